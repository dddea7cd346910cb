"""Forty hours of a simulated lab, one whole day and parts of two, with a gap of GPU 2 and one of the whole host."""

from __future__ import annotations

from pathlib import Path

from gpuwatch.clock import FakeClock
from gpuwatch.names import GapReason
from gpuwatch.plugin import CollectorContext
from gpuwatch.recorder.backfill import backfill
from gpuwatch.store.writer import StoreWriter

NOW = 1_763_130_720
"""Fri 14 Nov 2025 14:32 UTC."""
HOURS = 40
MIDNIGHT = NOW // 86_400 * 86_400


def two_days(path: Path) -> Path:
    """Write the store; the gaps are told, its rows go on through them."""
    clock = FakeClock(NOW)
    writer = StoreWriter.open(path, clock=clock, simulated=True, scenario="lab")
    context = CollectorContext(clock=clock, options={"scenario": "lab", "seed": 7, "epoch": MIDNIGHT})
    backfill(writer, context, now=NOW, hours=HOURS)
    gaps = [(1, 0, NOW * 1000 - 7_200_000, NOW * 1000 - 1_980_000, int(GapReason.OFF), None)]
    gaps += [(1, 3, NOW * 1000 - 90_000, NOW * 1000 - 30_000, int(GapReason.STALL), None)]
    writer.connection.executemany("INSERT INTO gap VALUES(?,?,?,?,?,?)", gaps)
    writer.close()
    return path
