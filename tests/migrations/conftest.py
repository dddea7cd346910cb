"""A kept store, unpacked."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import kept


@pytest.fixture(params=kept.FILES, ids=lambda packed: packed.name.partition(".")[0])
def packed(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def store(packed: Path, tmp_path: Path) -> Path:
    """A store of an older version, on a disk of its own."""
    return kept.unpack(packed, tmp_path / "gpuwatch.db")
