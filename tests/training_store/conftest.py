"""A store in memory for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.store_rows import T0

from gpuwatch.clock import FakeClock
from gpuwatch.store.writer import StoreWriter


@pytest.fixture
def writer() -> Iterator[StoreWriter]:
    made = StoreWriter.open(":memory:", clock=FakeClock(T0 / 1000))
    made.begin_session(T0, 1000, "boot")
    yield made
    made.close()
