"""One recorder over a store in memory for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.recording import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.writer.close()


@pytest.fixture
def file_lab(tmp_path: Path) -> Iterator[Lab]:
    """The same with a file, which can be opened again."""
    made = Lab(tmp_path / "gpuwatch.db")
    yield made
    made.writer.close()
