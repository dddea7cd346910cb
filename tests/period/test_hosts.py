"""Several hosts of one store: together they are the sum of each alone, and ids below 0 are as good as others."""

from __future__ import annotations

import sqlite3
from zoneinfo import ZoneInfo

import pytest
from support.period_rows import DAY_S, HOUR_S, MINUTE_S, start_s, store
from support.report_sums import check

from gpuwatch.names import Bucket
from gpuwatch.store.window import Window
from gpuwatch.store.writer import StoreWriter
from gpuwatch.view.period.build import build_report
from gpuwatch.view.period.types import Report, ReportRequest

FIRST = start_s("UTC", 2026, 1, 5)


def twice(imported: bool) -> StoreWriter:
    """A recorded host, and beside it one with other ids that did the same."""
    rows = {(t, gpu_id): t // 60 % 50_000 + gpu_id for t in range(FIRST, FIRST + 2 * DAY_S, 7 * MINUTE_S) for gpu_id in (1, 2)}
    writer = store("UTC", rows, FIRST + 2 * DAY_S + HOUR_S)
    db, sign = writer.connection, -1 if imported else 1
    db.execute("PRAGMA foreign_keys=OFF")
    host = -1 if imported else 2
    moved = {"gpu_id": f"{sign}*(gpu_id+10)", "proc_id": f"{sign}*(proc_id+10)", "owner_id": f"CASE owner_id WHEN 0 THEN 0 ELSE {sign}*(owner_id+10) END"}  # fmt: skip
    moved |= {"host_id": str(host), "hostname": "'other'", "machine_id": "'m-2'", "user_id": f"{sign}*(user_id+10)"}
    for table in ("host", "gpu", "process", "user_account", "rollup_state", *(f"{what}_{tier}" for what in ("gpu", "process", "ledger") for tier in ("minute", "hour", "day"))):  # fmt: skip
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        cells = ",".join(moved.get(name, name) for name in names)
        db.execute(f"INSERT INTO {table} SELECT {cells} FROM {table}")
    db.execute("UPDATE host SET last_ms=?", ((FIRST + 2 * DAY_S) * 1000,))
    return writer


def made(db: sqlite3.Connection, *hosts: str, by: str = "gpu") -> Report:
    report = build_report(
        Window(db),
        ReportRequest(FIRST * 1000, (FIRST + 2 * DAY_S) * 1000, by, hosts),
        now_ms=(FIRST + 2 * DAY_S + HOUR_S) * 1000,
        tz=ZoneInfo("Europe/Berlin"),
    )
    check(report)
    return report


@pytest.mark.parametrize("imported", [False, True])
@pytest.mark.parametrize("by", ["gpu", "hour"])
def test_together_is_the_sum_of_each_alone(imported: bool, by: str) -> None:
    writer = twice(imported)
    both, one, other = (made(writer.connection, *hosts, by=by) for hosts in (["all"], ["lab"], ["other"]))
    assert both.span.hosts == ("lab", "other")
    assert both.span.gpu_count == 4
    assert [row.host for row in both.host_rows] == ["lab", "other"]
    for row, alone in zip(both.host_rows, (one, other)):
        assert (row.ledger, row.use) == (alone.total, alone.use)
    for bucket in Bucket:
        assert both.total.buckets_gpu_ms[bucket] == one.total.buckets_gpu_ms[bucket] + other.total.buckets_gpu_ms[bucket]
    assert both.use.observed_seconds == one.use.observed_seconds + other.use.observed_seconds
    assert both.gpus == (*one.gpus, *other.gpus)
    assert [row.use.observed_seconds for row in both.days] == [a.use.observed_seconds + b.use.observed_seconds for a, b in zip(one.days, other.days)]  # fmt: skip
    assert {row.kind for row in both.host_rows} == ({"recorded", "imported"} if imported else {"recorded"})
    writer.close()


def test_the_recorders_own_host_is_the_one_that_is_meant() -> None:
    writer = twice(imported=True)
    assert made(writer.connection).span.hosts == ("lab",)
    nobody = made(writer.connection, "nowhere")
    assert (nobody.span.hosts, nobody.gpus) == ((), ())
    writer.close()
