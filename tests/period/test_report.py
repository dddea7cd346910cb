"""Reports over real back-filled stores: every table is the same GPU time, cut in another way."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.period_store import backfilled
from support.report_sums import check

from gpuwatch.names import Bucket, Missing
from gpuwatch.report.period_figures import Figures
from gpuwatch.store.window import Window
from gpuwatch.view.period.build import build_report
from gpuwatch.view.period.types import BY, Report, ReportRequest

HOUR_MS = 3_600_000
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York")


def made(path: Path, now_s: int, start_ms: int, end_ms: int | None = None, *, zone: str = "UTC", by: str = "gpu") -> Report:
    with Window(path) as window:
        return build_report(window, ReportRequest(start_ms, end_ms, by), now_ms=now_s * 1000, tz=ZoneInfo(zone))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("by", ["gpu", "hour"])
def test_all_tables_sum_to_the_total_in_any_zone(lab: tuple[Path, int], zone: str, by: str) -> None:
    path, now_s = lab
    whole = made(path, now_s, 0)
    report = made(path, now_s, 0, zone=zone, by=by)
    document = check(report)
    assert report.total == whole.total
    assert document["span"]["zone"] == zone
    assert document["days"][1]["since"].startswith(document["days"][1]["label"] + "T00:00:00")
    assert [row.partial for row in report.days] == [True, *[False] * (len(report.days) - 2), True]
    for row in report.hours[1:-1]:
        assert datetime.fromtimestamp(row.start_ms / 1000, ZoneInfo(zone)).minute == 0
        assert row.end_ms - row.start_ms == HOUR_MS
        assert not row.partial


def test_a_total_is_the_sum_of_any_partition_of_its_span(lab: tuple[Path, int]) -> None:
    path, now_s = lab
    edges = [now_s * 1000 - minutes * 60_000 for minutes in (2_950, 2_893, 2_200, 1_441, 1_440, 700, 61, 17)]
    edges = [edge // 60_000 * 60_000 for edge in edges]
    whole = made(path, now_s, edges[0], edges[-1])
    pieces = [made(path, now_s, a, b) for a, b in pairwise(edges)]
    for bucket in Bucket:
        assert sum(piece.total.buckets_gpu_ms[bucket] for piece in pieces) == whole.total.buckets_gpu_ms[bucket]
    assert sum(piece.total.energy_mj or 0 for piece in pieces) == whole.total.energy_mj
    assert sum(piece.use.observed_seconds for piece in pieces) == whole.use.observed_seconds
    held = {(row.user, row.kind): row.ledger.allocated_gpu_ms for row in whole.owners}
    for key, ms in held.items():
        assert ms == sum(row.ledger.allocated_gpu_ms for piece in pieces for row in piece.owners if (row.user, row.kind) == key)


@pytest.mark.parametrize("by", BY)
def test_the_main_table_is_the_one_that_was_asked_for(lab: tuple[Path, int], by: str) -> None:
    path, now_s = lab
    report = made(path, now_s, now_s * 1000 - 5 * HOUR_MS, by=by)
    check(report)
    rows = {"gpu": report.gpus, "user": report.owners, "process": report.processes, "host": report.host_rows, "day": report.days, "hour": report.hours, "model": report.models, "run": report.training}  # fmt: skip
    assert report.main() == rows[by] != ()
    assert bool(report.hours) is (by == "hour")
    assert (len(report.processes) == report.process_count) is (by == "process" or report.process_count <= 10)


def test_figures_are_those_of_the_public_views(lab: tuple[Path, int]) -> None:
    path, now_s = lab
    start, end = now_s // 60 * 60 - 30 * 3600, now_s // 60 * 60 - 7 * 3600
    report = made(path, now_s, start * 1000, end * 1000)
    with Window(path) as window:
        span = (start, end)
        for uuid, utilization, watts, joules, peak, hottest, quiet, throttled in window.rows(
            "SELECT gpu_uuid, sum(utilization_ratio*observed_seconds)/sum(observed_seconds), sum(power_watts*observed_seconds)/sum(observed_seconds),"
            " sum(energy_joules), max(memory_used_max_bytes), max(temperature_max_celsius), sum(quiet_seconds), sum(throttled_seconds) "
            "FROM v_gpu_minute WHERE t>=? AND t<? GROUP BY 1",
            span,
        ):
            use = next(row.use for row in report.gpus if row.gpu_uuid == uuid)
            assert use.utilization_ratio == pytest.approx(utilization)
            assert use.power_watts == pytest.approx(watts)
            assert use.energy_joules == pytest.approx(joules)
            assert (use.memory_used_max_bytes, use.temperature_max_celsius) == (peak, hottest)
            assert (use.quiet_seconds, use.throttled_seconds) == (pytest.approx(quiet), pytest.approx(throttled))
        for user, held, energy in window.rows(
            'SELECT "user", sum(ms), sum(energy_mj) FROM v_ledger_minute WHERE t>=? AND t<? AND "user" IS NOT NULL GROUP BY 1', span
        ):
            row = next(row for row in report.owners if row.user == user)
            assert (row.ledger.capacity_gpu_ms, row.ledger.energy_mj) == (held, energy)
        for pid, ms in window.rows(
            "SELECT pid, sum(ms) FROM v_ledger_minute WHERE t>=? AND t<? AND pid IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 5",
            span,
        ):
            assert next(row for row in report.processes if row.pid == pid).held_gpu_ms == ms


def test_percentiles_stand_on_closed_hours_and_are_within_two_percent(lab: tuple[Path, int]) -> None:
    path, now_s = lab
    start = (now_s // 3600 - 30) * 3600
    report = made(path, now_s, start * 1000, (start + 20 * 3600) * 1000)
    with Window(path) as window:
        for row in report.gpus:
            watts = [each[0] for each in window.rows("SELECT power_watts FROM v_gpu_minute WHERE gpu_uuid=? AND t>=? AND t<? ORDER BY 1", (row.gpu_uuid, start, start + 20 * 3600))]  # fmt: skip
            found = row.quantiles["power_watts"]
            assert found.coverage_ratio == 1.0
            assert found.p50 == pytest.approx(watts[(len(watts) - 1) // 2], rel=0.021)
            assert found.p95 == pytest.approx(watts[round(len(watts) * 0.95) - 1], rel=0.021)


def test_a_span_with_instances_counts_each_board_once(tmp_path: Path) -> None:
    path, now_s = backfilled(tmp_path, "mig", 5)
    report = made(path, now_s, 0, by="hour")
    check(report)
    boards = [row for row in report.gpus if not row.parent_uuid]
    assert report.span.gpu_count == len(boards) == 3
    for board in boards:
        family = [row for row in report.gpus if board.gpu_uuid in (row.gpu_uuid, row.parent_uuid)]
        whole = sum(row.ledger.capacity_gpu_ms for row in family)
        assert 0 <= whole - (report.span.end_ms - report.span.start_ms) < len(family)  # shares of a millisecond
    assert set(report.quality.unobserved_gpu_ms) <= {"no_signal", "unknown"}


def test_energy_of_sliced_boards_is_in_the_sums_and_in_nobodys_row(tmp_path: Path) -> None:
    path, now_s = backfilled(tmp_path, "mig", 5)
    report = made(path, now_s, 0)
    check(report)
    boards = {row.gpu_uuid: row for row in report.gpus if not row.parent_uuid}
    sliced = [board for uuid, board in boards.items() if any(row.parent_uuid == uuid for row in report.gpus)]
    whole = next(board for board in boards.values() if board not in sliced)
    assert len(sliced) == 2 and all((row.use.energy_joules or 0) > 1e6 for row in boards.values())
    for row in report.gpus:
        assert (row.ledger.energy_mj is None) is (row is not whole) is (row.ledger.energy_reason is Missing.NOT_SUPPORTED)
    assert report.total.energy_mj == whole.ledger.energy_mj
    assert report.use.energy_joules == pytest.approx(sum(row.use.energy_joules or 0 for row in boards.values()))
    energy = {row.user: row.ledger.energy_mj for row in report.owners}
    assert energy["alice"] and energy["kim"] is energy["svc"] is energy[None] is None, "whose the rest was nobody can tell"
    assert {row.user: row.ledger.energy_mj is None for row in report.processes} == {"alice": False, "kim": True, "svc": True, "bob": True}  # fmt: skip
    assert report.quality.energy_sources == {"counter": 3}
    figures = Figures(report)
    printed = figures.energy_column(report.gpus)
    assert [text == "–" for text in printed] == [bool(row.parent_uuid) for row in report.gpus]
    assert sum(float(text) for text in printed if text != "–") == pytest.approx(float(figures.energy))
    kwh, boards_kwh, whole_kwh = map(float, re.findall(r"[\d.]+", figures.energy_words())[:3])
    assert boards_kwh + whole_kwh == pytest.approx(kwh) == pytest.approx((report.use.energy_joules or 0) / 3.6e6, abs=0.006)


def test_a_lost_gpu_is_told(tmp_path: Path) -> None:
    path, now_s = backfilled(tmp_path, "lost-gpu", 3)
    report = made(path, now_s, 0)
    check(report)
    assert report.total.buckets_gpu_ms[Bucket.UNAVAILABLE] > 0
    assert {event.kind for event in report.quality.lost} == {"xid", "gpu_lost", "gpu_recovered"}
    assert {event.gpu_index for event in report.quality.lost} == {3}


def test_what_cannot_be_asked_is_refused(lab: tuple[Path, int]) -> None:
    path, now_s = lab
    with pytest.raises(ValueError, match="by must be"):
        made(path, now_s, 0, by="planet")
    with pytest.raises(ValueError, match="ends before"):
        made(path, now_s, 10_000_000, 9_000_000)
