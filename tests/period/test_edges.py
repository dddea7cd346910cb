"""Spans with little or nothing in them: what is not known is said in words and never taken for idle."""

from __future__ import annotations

import sqlite3
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.kept import FILES, unpack
from support.period_rows import DAY_S, HOUR_S, MINUTE_S, Minutes, drop, start_s, store
from support.report_sums import check

from gpuwatch.clock import FakeClock
from gpuwatch.names import Bucket, GapReason, Missing
from gpuwatch.store.window import Window
from gpuwatch.store.writer import StoreWriter
from gpuwatch.view.period.build import build_report
from gpuwatch.view.period.types import Report, ReportRequest

FIRST = start_s("UTC", 2026, 1, 5)


def minutes(start: int, end: int, gpus: tuple[int, ...] = (1, 2), seed: int = 59_999) -> Minutes:
    return {(t, gpu_id): seed for t in range(start, end, MINUTE_S) for gpu_id in gpus}


def made(
    db: sqlite3.Connection, start: int, end: int | None, now: int, *, zone: str = "UTC", hosts: tuple[str, ...] = ()
) -> Report:
    report = build_report(
        Window(db),
        ReportRequest(start * 1000, None if end is None else end * 1000, hosts=hosts),
        now_ms=now * 1000,
        tz=ZoneInfo(zone),
    )
    check(report)
    return report


def imported(writer: StoreWriter) -> sqlite3.Connection:
    """The same rows as those of a log."""
    db = writer.connection
    db.execute("PRAGMA foreign_keys=OFF")
    for table in ("host", "gpu", "process", "rollup_state"):
        db.execute(f"UPDATE {table} SET host_id=-1")
    db.execute("UPDATE host SET hostname='old-lab', machine_id='import:old-lab', last_ms=(SELECT max(t)+60 FROM gpu_minute)*1000")
    db.execute("DELETE FROM session")
    return db


def test_nothing_was_recorded() -> None:
    writer = store("UTC", minutes(FIRST, FIRST + HOUR_S), FIRST + HOUR_S)
    report = made(writer.connection, FIRST - DAY_S, FIRST - HOUR_S, FIRST + HOUR_S)
    assert report.gpus == report.owners == report.days == ()
    assert report.strip is None
    assert report.total.capacity_gpu_ms == 0
    assert report.total.allocation_ratio is None
    assert report.notes[0] == "Nothing was recorded from 2026-01-04 00:00 to 2026-01-04 23:00."
    assert report.notes[1].startswith("lab was recorded from 2026-01-05 00:00 to ")
    assert report.notes[1].endswith(": ask for that with --host lab --since 2026-01-05T00:00 --until 2026-01-05T01:00")
    writer.close()


def test_an_empty_store() -> None:
    writer = StoreWriter.open(":memory:", clock=FakeClock())
    report = made(writer.connection, FIRST, None, FIRST + DAY_S)
    assert report.notes == ("Nothing was recorded from 2026-01-05 00:00 to 2026-01-06 00:00.",)
    assert report.span.hosts == ()
    writer.close()


def test_a_recording_of_less_than_a_minute() -> None:
    writer = store("UTC", minutes(FIRST, FIRST + HOUR_S), FIRST)
    report = made(writer.connection, FIRST - DAY_S, None, FIRST + 50)
    assert report.notes == ("No whole minute of lab is stored yet; single rows are in gpuwatch status.",)
    assert report.gpus == ()
    writer.close()


def test_a_recording_that_begins_in_the_span_is_not_blamed_for_the_time_before() -> None:
    writer = store("UTC", minutes(FIRST + 5 * HOUR_S, FIRST + 7 * HOUR_S), FIRST + 7 * HOUR_S)
    report = made(writer.connection, FIRST, None, FIRST + 7 * HOUR_S + 30)
    assert (report.span.start_ms, report.span.end_ms) == ((FIRST + 5 * HOUR_S) * 1000, (FIRST + 7 * HOUR_S) * 1000)
    assert report.total.capacity_gpu_ms == 2 * 2 * HOUR_S * 1000
    assert report.notes[0] == "The recording begins at 2026-01-05 05:00: what was before is not counted."
    writer.close()


def test_time_without_a_recorder_is_neither_idle_nor_busy_and_has_a_reason() -> None:
    rows = minutes(FIRST, FIRST + 2 * HOUR_S) | minutes(FIRST + 5 * HOUR_S, FIRST + 6 * HOUR_S)
    writer = store("UTC", rows, FIRST + 6 * HOUR_S)
    db = writer.connection
    db.execute(
        "INSERT INTO gap(host_id,gpu_id,t0_ms,t1_ms,reason) VALUES(1,0,?,?,1)",
        ((FIRST + 2 * HOUR_S) * 1000, (FIRST + 5 * HOUR_S) * 1000),
    )
    db.executemany("INSERT INTO gap_energy VALUES(1,?,?,?)", [(gpu, (FIRST + 2 * HOUR_S) * 1000, 3000) for gpu in (1, 2)])
    report = made(db, FIRST, FIRST + 6 * HOUR_S, FIRST + 6 * HOUR_S)
    unknown = report.quality.unobserved_gpu_ms
    assert unknown["crash"] == 2 * 3 * HOUR_S * 1000
    assert report.total.buckets_gpu_ms[Bucket.UNOBSERVED] == sum(unknown.values())
    assert report.quality.gap_energy_mj == report.quality.gaps[0].energy_mj == 6000
    assert "the recorder had crashed (6.0)" in report.notes[0]
    cut = made(db, FIRST + 3 * HOUR_S, FIRST + 4 * HOUR_S, FIRST + 6 * HOUR_S)
    assert cut.quality.gap_energy_mj == 2000
    assert cut.total.observed_gpu_ms == 0
    assert cut.total.efficiency_ratio is None
    assert cut.total.idle_gpu_ms == cut.total.waste_gpu_ms == 0
    for each in (cut.total, *(row.ledger for row in cut.gpus), cut.days[0].ledger, cut.owners[-1].ledger):
        assert (each.energy_mj, each.idle_energy_mj, each.energy_reason) == (None, None, Missing.STALE), "nothing known is no zero"
    assert "Nothing was observed in this span." in cut.notes
    assert all(row.use.utilization_ratio is None and row.use.missing for row in cut.gpus)
    writer.close()


def test_a_recorder_that_stopped_is_told() -> None:
    writer = store("UTC", minutes(FIRST, FIRST + HOUR_S), FIRST + HOUR_S)
    writer.connection.execute("UPDATE host SET last_ms=?", ((FIRST + HOUR_S) * 1000,))
    report = made(writer.connection, FIRST, None, FIRST + 4 * HOUR_S)
    assert report.total.capacity_gpu_ms == 2 * 4 * HOUR_S * 1000
    assert report.quality.unobserved_gpu_ms["off"] == 2 * 3 * HOUR_S * 1000
    assert "the recorder was off (6.0)" in " ".join(report.notes)
    writer.close()


def test_a_log_has_no_recorder_that_was_off() -> None:
    rows = minutes(FIRST, FIRST + HOUR_S) | minutes(FIRST + 4 * HOUR_S, FIRST + 5 * HOUR_S)
    db = imported(store("UTC", rows, FIRST + 5 * HOUR_S))
    span = ((FIRST + HOUR_S) * 1000, (FIRST + 4 * HOUR_S) * 1000)
    db.execute("INSERT INTO gap(host_id,gpu_id,t0_ms,t1_ms,reason) VALUES(-1,0,?,?,?)", (*span, GapReason.OFF))
    report = made(db, FIRST, FIRST + 5 * HOUR_S, FIRST + DAY_S, hosts=("old-lab",))
    assert report.quality.unobserved_gpu_ms["off"] == 2 * 3 * HOUR_S * 1000
    told = " ".join(report.notes)
    assert "the log has no rows then (6.0)" in told
    assert "recorder" not in told


def test_a_recording_that_has_just_begun_is_no_news_for_an_earlier_span() -> None:
    writer = store("UTC", minutes(FIRST, FIRST + HOUR_S), FIRST)
    report = made(writer.connection, FIRST - DAY_S, FIRST - HOUR_S, FIRST + 50)
    assert "No whole minute" not in " ".join(report.notes)
    writer.close()


def test_an_imported_log_counts_from_its_first_row_to_its_last() -> None:
    db = imported(store("UTC", minutes(FIRST, FIRST + 2 * HOUR_S), FIRST + 2 * DAY_S))
    report = made(db, FIRST - DAY_S, None, FIRST + 9 * DAY_S, hosts=("old-lab",))
    assert report.total.capacity_gpu_ms == 2 * 2 * HOUR_S * 1000
    assert report.host_rows[0].kind == "imported"
    assert (
        report.notes[0]
        == "The imported log of old-lab covers 2026-01-05 00:00 to 2026-01-05 02:00: nothing before or after is counted."
    )
    assert report.notes[-1].startswith("All of this comes from imported logs")
    assert {each.enable.split(",")[3].split(" ")[0] for each in report.not_measured if each.enable} == {"memory.used", "power.draw", "temperature.gpu", "clocks_event_reasons.active"}  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("Europe/Berlin", (2026, 3, 29), 23), ("Europe/Berlin", (2025, 10, 26), 25), ("Australia/Lord_Howe", (2026, 4, 5), 24.5)],
)
def test_days_on_which_clocks_change(zone: str, day: tuple[int, int, int], hours: float) -> None:
    first = start_s(zone, *day)
    rows = {(t, 1): t % 50_000 + 7 for t in range(first - 5 * HOUR_S, first + 30 * HOUR_S, MINUTE_S)}
    writer = store(zone, rows, first + 31 * HOUR_S)
    report = made(writer.connection, first - 5 * HOUR_S, first + 30 * HOUR_S, first + 31 * HOUR_S, zone=zone)
    assert [row.ledger.capacity_gpu_ms / 2 / 3_600_000 for row in report.days] == [5, hours, 30 - hours]
    assert report.days[1].label == f"{day[0]}-{day[1]:02}-{day[2]:02}"
    writer.close()


def test_edges_that_had_to_move_are_told_and_nothing_is_lost() -> None:
    writer = store("UTC", minutes(FIRST, FIRST + 3 * DAY_S), FIRST + 4 * DAY_S)
    whole = made(writer.connection, FIRST, FIRST + 3 * DAY_S, FIRST + 4 * DAY_S)
    drop(writer, "minute", FIRST + 2 * DAY_S)
    assert made(writer.connection, FIRST, FIRST + 3 * DAY_S, FIRST + 4 * DAY_S).total == whole.total
    report = made(writer.connection, FIRST + 600, FIRST + 2 * DAY_S, FIRST + 4 * DAY_S, zone="Asia/Kolkata")
    assert report.span.start_ms == FIRST * 1000
    assert report.total.buckets_gpu_ms[Bucket.UNOBSERVED] * 3 == whole.total.buckets_gpu_ms[Bucket.UNOBSERVED] * 2
    assert report.quality.estimates[0].startswith("The span was widened to whole hours")
    assert report.quality.estimates[1].startswith("2 edges between days or hours moved")
    writer.close()


def test_a_fleet_has_few_lanes() -> None:
    writer = store("UTC", minutes(FIRST, FIRST + HOUR_S), FIRST + HOUR_S)
    db = writer.connection
    names = ",".join(row[1] for row in db.execute("PRAGMA table_info(gpu)") if row[1] not in ("gpu_id", "uuid", "gpu_index"))
    for gpu_id in range(3, 41):
        db.execute(f"INSERT INTO gpu(gpu_id,uuid,gpu_index,{names}) SELECT ?,?,?,{names} FROM gpu WHERE gpu_id=1", (gpu_id, f"GPU-{gpu_id}", gpu_id - 1))  # fmt: skip
    report = made(db, FIRST, None, FIRST + HOUR_S)
    assert report.strip is not None
    assert len(report.gpus) == 40
    assert len(report.strip.lanes) == 24
    assert report.strip.lanes[-1].folded == 17
    assert {1, 2} <= {(lane.gpu_index or 0) + 1 for lane in report.strip.lanes}
    writer.close()


@pytest.mark.parametrize("packed", FILES, ids=lambda path: path.name)
def test_a_store_of_an_older_version_is_reported_as_it_is(packed: Path, tmp_path: Path) -> None:
    path = unpack(packed, tmp_path / "old.db")
    with Window(path) as window:
        first, last = window.rows("SELECT min(t), max(t) FROM gpu_minute", ())[0]
        report = build_report(window, ReportRequest(first * 1000, (last + 60) * 1000), now_ms=(last + 120) * 1000, tz=UTC)
        check(report)
        booked = window.rows("SELECT sum(ms) FROM ledger_minute WHERE t<=? AND bucket>0", (last,))[0][0]
        assert report.total.observed_gpu_ms == booked > 0
        tiers = {each.tier for each in report.quality.tiers}
        assert tiers == ({"minute"} if packed.name.startswith("schema-1") else {"minute", "hour", "day"})
