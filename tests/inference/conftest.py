"""Captured pages of real servers."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def fixtures(shared: Path) -> Path:
    """Pages of real servers."""
    return shared / "fixtures" / "inference"
