"""A store in memory for each test, and what writes hours into it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.full_hour import SERVER, T0, TRAINING, Recording, everything
from support.store_rows import HOST, gpu, process

from gpuwatch.clock import FakeClock
from gpuwatch.dataclass import replace
from gpuwatch.store.rows import Tick
from gpuwatch.store.writer import StoreWriter


@pytest.fixture
def writer() -> Iterator[StoreWriter]:
    made = StoreWriter.open(":memory:", clock=FakeClock(T0 / 1000))
    yield made
    made.close()


@pytest.fixture
def record(writer: StoreWriter) -> Recording:
    """Write the seconds ``range(first, last, step)`` after ``T0`` in a session of their own."""

    def told(first: int, last: int, step: int = 20, *, shift_ms: int = 0, session: bool = True) -> StoreWriter:
        if session:
            writer.begin_session(T0 + first * 1000 - 500, 1000, "boot")
        writer.add(Tick(T0 + first * 1000 + shift_ms, host=HOST, gpus=[gpu(0), gpu(1)], processes=[process(p) for p in (7, 8, 9)], workloads=[TRAINING, SERVER]))  # fmt: skip
        for second in range(first, last, step):
            tick = everything(second, step)
            writer.add(replace(tick, ts_ms=tick.ts_ms + shift_ms))
        assert writer.commit(), writer.problem
        return writer

    return told
