"""A store for each test, in a file: one in memory has no views."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.store_rows import T0

from gpuwatch.clock import FakeClock
from gpuwatch.store.writer import StoreWriter


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[StoreWriter]:
    made = StoreWriter.open(tmp_path / "store.db", clock=FakeClock(T0 / 1000), tmpfs_fallback=False)
    made.begin_session(T0, 1000, "boot")
    yield made
    made.close()
