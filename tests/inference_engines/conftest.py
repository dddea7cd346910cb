"""Pages of real servers from ../shared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Captured = Callable[[str], bytes]


@pytest.fixture(scope="session")
def captured(shared: Path) -> Captured:
    """``captured(name)``: the bytes of a page or document that somebody captured."""
    return lambda name: (shared / "fixtures" / "inference" / name).read_bytes()
