"""A report over a simulated span equals the scenario itself, added up without any row or store."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.period_store import backfilled
from support.span_truth import SpanTruth

from gpuwatch.measure import MIB
from gpuwatch.names import Bucket
from gpuwatch.store.window import Window
from gpuwatch.view.period.build import build_report
from gpuwatch.view.period.types import GpuRow, ReportRequest

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
BUSY = (Bucket.THROTTLED, Bucket.EMPTY_SM, Bucket.STALLED_SM, Bucket.EFFECTIVE, Bucket.BUSY_UNKNOWN)


def buckets(row: GpuRow, *names: Bucket) -> int:
    return sum(row.ledger.buckets_gpu_ms[name] for name in names)


@pytest.mark.parametrize(("scenario", "hours"), [("lab", 50), ("starved-loader", 5)])
def test_a_report_equals_the_scenario(scenario: str, hours: int, lab: tuple[Path, int], tmp_path: Path) -> None:
    path, now_s = lab if scenario == "lab" else backfilled(tmp_path, scenario, hours)
    start_s, end_s = (
        now_s // 60 * 60 - hours * 3600,
        now_s // 60 * 60 - 3600,
    )  # the last hour was read more often than once a minute
    with Window(path) as window:
        report = build_report(window, ReportRequest(start_s * 1000, end_s * 1000), now_ms=now_s * 1000)
    truth, shared, people = SpanTruth(scenario, now_s), 0, dict[str, int]()
    assert len(report.gpus) == len(truth.places)
    for row in report.gpus:
        true = truth.gpu(str(row.gpu_index), start_s, end_s)
        rows = true.minutes
        assert row.ledger.capacity_gpu_ms == row.ledger.observed_gpu_ms == rows * MINUTE_MS
        assert row.use.observed_seconds == rows * 60
        assert row.use.utilization_ratio == pytest.approx(true.utilization, abs=0.0005)
        assert row.use.sm_active_ratio == (None if true.sm_active is None else pytest.approx(true.sm_active, abs=0.0005))
        assert row.use.power_watts == pytest.approx(true.watts, abs=0.0005)
        assert row.use.energy_joules == pytest.approx(true.joules, abs=0.0005 * rows)
        assert row.ledger.energy_mj == pytest.approx(true.joules * 1000, abs=rows)
        assert row.use.quiet_seconds == true.quiet * 60
        assert row.use.memory_used_max_bytes == true.memory_max_mib / MIB
        assert buckets(row, Bucket.UNALLOCATED) == true.free * MINUTE_MS
        assert buckets(row, Bucket.HELD_IDLE, Bucket.ALLOCATED_UNUSED) == true.held_idle * MINUTE_MS
        fine = rows * 30  # half a per mille of a minute
        overhead = buckets(row, Bucket.OVERHEAD)  # what hooks say of starting and saving goes before busy and wait
        wait, busy = buckets(row, Bucket.WAIT), buckets(row, Bucket.REDONE, *BUSY)
        assert wait + busy + overhead == pytest.approx((true.wait + true.busy) * MINUTE_MS, abs=2 * fine)
        assert 0 <= true.wait * MINUTE_MS - wait + fine <= overhead + 2 * fine
        assert 0 <= true.busy * MINUTE_MS - busy + fine <= overhead + 2 * fine
        shared += true.users.pop("shared", 0)
        for user, minutes in true.users.items():
            people[user] = people.get(user, 0) + minutes
    for owner in report.owners:
        if owner.kind != "nobody":
            minutes = people.pop(owner.user or "?", 0)
            assert minutes * MINUTE_MS <= owner.ledger.allocated_gpu_ms <= (minutes + shared) * MINUTE_MS
    assert not people
    assert sum(owner.ledger.allocated_gpu_ms for owner in report.owners) == report.total.allocated_gpu_ms
