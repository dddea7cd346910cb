"""What must hold in every report, whatever it is about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from support.json_schema import faults

from gpuwatch.names import Bucket, Cause
from gpuwatch.view.period.json import report_json
from gpuwatch.view.period.schema import report as report_schema
from gpuwatch.view.period.types import Ledger, Report


def check_ledger(ledger: Ledger) -> None:
    """One ledger in itself."""
    buckets = ledger.buckets_gpu_ms
    assert sum(buckets.values()) == ledger.capacity_gpu_ms
    assert min(buckets.values()) >= 0
    assert sum(ledger.wait_gpu_ms.values()) == buckets[Bucket.WAIT]
    assert set(ledger.wait_gpu_ms) == set(Cause) - {Cause.NONE}
    assert ledger.observed_gpu_ms == ledger.capacity_gpu_ms - buckets[Bucket.UNOBSERVED]
    assert ledger.allocated_gpu_ms >= ledger.first_time_gpu_ms >= 0
    if ledger.coverage_ratio is None:
        assert not ledger.capacity_gpu_ms
    if ledger.allocation_ratio is not None:
        assert ledger.allocation_ratio == ledger.allocated_gpu_ms / ledger.observed_gpu_ms
    if ledger.running_ratio is not None:
        assert ledger.running_ratio == ledger.first_time_gpu_ms / ledger.allocated_gpu_ms
    if ledger.fill_ratio and ledger.efficiency_ratio:
        parts = (ledger.allocation_ratio or 0) * (ledger.running_ratio or 0)
        assert parts * ledger.fill_ratio.low == pytest.approx(ledger.efficiency_ratio.low, abs=1e-9)
        assert parts * ledger.fill_ratio.high == pytest.approx(ledger.efficiency_ratio.high, abs=1e-9)


def same_sums(whole: Ledger, rows: Sequence[Any]) -> None:
    """Rows cut a whole, bucket by bucket, with its energy."""
    for bucket in Bucket:
        assert sum(row.ledger.buckets_gpu_ms[bucket] for row in rows) == whole.buckets_gpu_ms[bucket], bucket
    for cause in Cause:
        if cause:
            assert sum(row.ledger.wait_gpu_ms[cause] for row in rows) == whole.wait_gpu_ms[cause]
    assert sum(row.ledger.energy_mj or 0 for row in rows) == (whole.energy_mj or 0)
    assert sum(row.ledger.idle_energy_mj or 0 for row in rows) == (whole.idle_energy_mj or 0)


def check(report: Report) -> dict[str, Any]:
    """All of it; the report's JSON."""
    tables = [report.days, report.gpus, report.owners, report.host_rows, report.strip.lanes if report.strip else ()]
    tables += [report.hours] if report.by == "hour" else []
    for rows in tables:
        same_sums(report.total, rows)
        for row in rows:
            check_ledger(row.ledger)
    check_ledger(report.total)
    assert [row.kind for row in report.owners[-1:]] in ([], ["nobody"])
    assert sum(report.quality.unobserved_gpu_ms.values()) == report.total.buckets_gpu_ms[Bucket.UNOBSERVED]
    for process in report.processes:
        assert process.held_gpu_ms == process.ledger.capacity_gpu_ms == process.ledger.allocated_gpu_ms
    for rows in (report.days, report.hours):
        assert all(a.end_ms == b.start_ms for a, b in pairwise(rows))
        assert not rows or (rows[0].start_ms, rows[-1].end_ms) == (report.span.start_ms, report.span.end_ms)
    if report.strip:
        check_strip(report)
    document = json.loads(json.dumps(report_json(report)))
    assert faults(document, report_schema()) == []
    return document  # type: ignore[no-any-return]


def check_strip(report: Report) -> None:
    """Columns sum to 1000, or to nothing where a GPU did not count."""
    assert report.strip is not None
    columns = len(report.strip.edges_ms) - 1
    assert 1 <= columns <= 170
    assert len(report.strip.lanes) <= 24
    assert list(report.strip.edges_ms) == sorted(set(report.strip.edges_ms))
    for lane in report.strip.lanes:
        for column in range(columns):
            share = sum(values[column] for values in lane.shares_pm.values())
            assert share in (0, 1000)
        for tenure in lane.tenures:
            assert 0 <= tenure.first_column <= tenure.last_column < columns
