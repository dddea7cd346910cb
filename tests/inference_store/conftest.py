"""A store in a file, its clock standing still, with what stands in for it in memory beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.store_rows import T0

from gpuwatch.clock import FakeClock
from gpuwatch.store.writer import StoreWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gpuwatch.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(T0 / 1000)


@pytest.fixture
def writer(path: Path, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreWriter]:
    monkeypatch.setattr("gpuwatch.store.location.MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    made = StoreWriter.open(path, clock=clock, version="1")
    made.begin_session(T0, 1000, "boot")
    yield made
    made.connection.close()
