"""The study's worked example of 192 GPU-hours, from samples: eight GPUs over a day, a row a minute, to the printed digits."""

from __future__ import annotations

import pytest

from gpuwatch.ledger import split, stored
from gpuwatch.ledger.facts import kappa_pm
from gpuwatch.ledger.ratios import ratios
from gpuwatch.ledger.types import BucketRow, LedgerRow
from gpuwatch.model import Gpu, GpuSample
from gpuwatch.names import Bucket, Context, Tier

HOUR, MINUTE = 3_600_000, 60_000
T0 = 1_763_164_800_000
H100 = Gpu("GPU", 0, "H100", sm_clock_max_hertz=2_000_000_000)
HOT = GpuSample("GPU", clock_event_reasons=0x40, sm_clock_hertz=1_700_000_000)
"""A GPU that heat keeps at 0.85 of its clock."""

TRAINING = {"overhead_pm": 50, "graphics_active_pm": 800, "sm_active_pm": 600, "dram_active_pm": 320, "tensor_active_pm": 186, "redone_pm": 20}  # fmt: skip
"""5 % start-up and checkpoints; b = 0.80, rho = 0.02, s = 0.75; r = 0.50 by memory, and less by the tensor cores."""
NOTEBOOK = {"graphics_active_pm": 400, "sm_active_pm": 160, "dram_active_pm": 48, "tensor_active_pm": 20}
"""b = 0.4, s = 0.4, r = 0.15."""


def day(active_ms: int, context: Context, signals: dict[str, int], kappa: int = 1000) -> list[LedgerRow]:
    """Rows a minute apart: active for so long, then quiet to the end of the day."""
    out = []
    for end in range(MINUTE, 24 * HOUR + 1, MINUTE):
        quiet = end > active_ms
        values = dict.fromkeys(stored.COLUMNS) | {"dt_ms": MINUTE, "quiet": int(quiet), "context": int(context), "unavailable": 0}
        values |= {"quiet_ms": end - active_ms if quiet else 0, "kappa_pm": kappa, "power_mw": 300_000, "utilization_pm": 0}
        out.append(stored.row(T0 + end, tuple((values if quiet else values | signals).values())))
    return out


def ledger(rows: list[LedgerRow]) -> list[BucketRow]:
    return [each for n in range(24) for each in split(rows, start_ms=T0 + n * HOUR, end_ms=T0 + (n + 1) * HOUR)]


@pytest.fixture(scope="module")
def columns() -> list[list[BucketRow]]:
    """Notebook, training, spare."""
    notebook = ledger(day(3 * HOUR, Context.PROCESS, NOTEBOOK))
    training = ledger(day(24 * HOUR, Context.PROCESS, TRAINING))
    hot = ledger(day(24 * HOUR, Context.PROCESS, TRAINING, kappa_pm(HOT, H100)))
    return [notebook * 2, training * 4 + hot, ledger(day(0, Context.NONE, {}))]


PRINTED = {
    Bucket.UNALLOCATED: ("0.00", "0.00", "24.00", "24.00", "12.5"),
    Bucket.HELD_IDLE: ("42.00", "0.00", "0.00", "42.00", "21.9"),
    Bucket.OVERHEAD: ("0.00", "6.00", "0.00", "6.00", "3.1"),
    Bucket.WAIT: ("3.60", "22.80", "0.00", "26.40", "13.8"),
    Bucket.THROTTLED: ("0.00", "2.74", "0.00", "2.74", "1.4"),
    Bucket.REDONE: ("0.00", "1.77", "0.00", "1.77", "0.9"),
    Bucket.EMPTY_SM: ("1.44", "21.67", "0.00", "23.11", "12.0"),
    Bucket.STALLED_SM: ("0.60", "21.67", "0.00", "22.27", "11.6"),
    Bucket.EFFECTIVE: ("0.36", "43.35", "0.00", "43.71", "22.8"),
}


def test_every_cell_is_what_the_study_prints(columns: list[list[BucketRow]]) -> None:
    hours = [{bucket: sum(row.ms for row in rows if row.bucket is bucket) / HOUR for bucket in Bucket} for rows in columns]
    for bucket in Bucket:
        own = [column[bucket] for column in hours]
        cells = (*(f"{each:.2f}" for each in own), f"{sum(own):.2f}", f"{sum(own) / 192 * 100:.1f}")
        assert cells == PRINTED.get(bucket, ("0.00", "0.00", "0.00", "0.00", "0.0")), bucket
    assert [sum(row.ms for row in rows) for rows in columns] == [48 * HOUR, 120 * HOUR, 24 * HOUR]


def test_the_ratios_are_what_the_study_prints(columns: list[list[BucketRow]]) -> None:
    out = ratios(row for rows in columns for row in rows)
    assert out.tier is Tier.G and out.observed_ms == 192 * HOUR
    assert out.fill_low == out.fill_high and out.efficiency_low == out.efficiency_high
    found = (out.allocated, out.running, out.fill_low, out.efficiency_low)
    assert [None if each is None else f"{each:.3f}" for each in found] == ["0.875", "0.547", "0.476", "0.228"]
    assert f"{out.waste_ms / HOUR:.2f}" == f"{42 + 6 + 26.4 + 2.736 + 1.76928:.2f}"
