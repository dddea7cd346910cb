"""A store in memory and one in a file for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuwatch.clock import FakeClock
from gpuwatch.store.writer import StoreWriter


@pytest.fixture
def writer() -> Iterator[StoreWriter]:
    made = StoreWriter.open(":memory:", clock=FakeClock())
    yield made
    made.close()


@pytest.fixture
def file_writer(tmp_path: Path) -> Iterator[StoreWriter]:
    made = StoreWriter.open(tmp_path / "gpuwatch.db", clock=FakeClock(), tmpfs_fallback=False)
    yield made
    made.close()
