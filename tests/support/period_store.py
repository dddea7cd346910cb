"""Simulated stores with days of history, for tests of reports."""

from __future__ import annotations

from pathlib import Path

from gpuwatch.clock import FakeClock
from gpuwatch.plugin import CollectorContext
from gpuwatch.recorder.backfill import backfill
from gpuwatch.store.writer import StoreWriter


def backfilled(folder: Path, scenario: str, hours: float, *, ago_s: int = 0) -> tuple[Path, int]:
    """(file, unix second of its end): so many hours of a scenario, whose time 0 is ``ago_s`` before the end."""
    path = folder / f"{scenario}.db"
    clock = FakeClock()
    now = int(clock.time())
    writer = StoreWriter.open(path, clock=clock, simulated=True, scenario=scenario)
    options = {"scenario": scenario, "seed": 7, "epoch": now - ago_s}
    backfill(writer, CollectorContext(clock=clock, options=options), now=now, hours=hours)
    writer.close()
    return path, now
