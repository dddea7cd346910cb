"""A stage for trainings that are only files."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.hookfiles import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)
