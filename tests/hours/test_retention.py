"""What goes, when, and what must have its sums first."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.store_rows import T0, first_tick, gpu_row, process, process_row, tick

from gpuwatch.clock import FakeClock
from gpuwatch.model import Event
from gpuwatch.store import capacity
from gpuwatch.store.archive.seal import seal_all
from gpuwatch.store.days import close_days, close_ledger_days
from gpuwatch.store.deleting import Keep
from gpuwatch.store.hours import close_hours, close_ledger_hours
from gpuwatch.store.retention import aged, plan, prune, trim_hot
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.watermarks import set_watermark, watermark
from gpuwatch.store.writer import StoreWriter

T = T0 // 1000
HOUR, DAY = 3600, 86_400
HOUR_0 = T // HOUR * HOUR


def steps(writer: StoreWriter, hours: float, *, start: int = HOUR_0, step: int = 10, people: int = 1) -> int:
    """A row every ``step`` seconds for so many hours, each minute one of each process too; the last instant, unix ms."""
    writer.begin_session(start * 1000, 1000, "")
    pids = range(7, 7 + people)
    writer.add(first_tick(people=[process(pid) for pid in pids], second=start - T))
    chance = random.Random(7)
    for second in range(step, round(hours * HOUR) + 1, step):
        held = [process_row(pid, dt_ms=60_000, cpu_ratio=chance.random(), rss_bytes=chance.randrange(2**40)) for pid in pids]
        row = gpu_row(dt_ms=step * 1000, utilization_ratio=chance.random())
        writer.add(tick(start - T + second, row, held=held if second % 60 == 0 else []))
    assert writer.commit()
    return start * 1000 + round(hours * HOUR) * 1000


def close(writer: StoreWriter, now_ms: int) -> None:
    """All tiers and the archive."""
    db = writer.connection
    close_minutes(db, now_ms)
    set_watermark(db, "ledger", now_ms // 60_000 * 60)
    for close in (close_hours, close_ledger_hours, close_days, close_ledger_days):
        close(db, now_ms)
    seal_all(db, now_ms)


def count(writer: StoreWriter, *tables: str) -> list[int]:
    return [writer.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]


def retain(writer: StoreWriter, now_ms: int, **more: Any) -> int:
    return sum(aged(writer.connection, now_ms, Keep(**more)))


def test_hot_rows_go_after_two_hours_in_slices_and_their_sums_stay(writer: StoreWriter) -> None:
    now, db = steps(writer, 4), writer.connection
    close(writer, now)
    minutes = db.execute("SELECT count(*), sum(obs_ms) FROM gpu_minute").fetchall()
    assert trim_hot(db, now, slices=1) == 300
    while trim_hot(db, now):
        pass
    assert db.execute("SELECT min(ts_ms) FROM tick").fetchone()[0] == now - 7_200_000
    assert db.execute("SELECT count(*) FROM gpu_sample s WHERE tick_id NOT IN (SELECT tick_id FROM tick)").fetchone() == (0,)
    assert close_minutes(db, now + 60_000) == 1
    assert db.execute("SELECT count(*), sum(obs_ms) FROM gpu_minute").fetchall() == minutes == [(240, 14_400_000)]


def test_of_many_processes_fewer_ticks_go_at_once(writer: StoreWriter) -> None:
    now, db = steps(writer, 4), writer.connection
    close(writer, now)
    (first,) = db.execute("SELECT min(tick_id) FROM tick").fetchone()
    rows = [(first + n, proc, 1, 1000) for n in range(400) for proc in range(1000, 1199)]
    db.executemany("INSERT INTO process_sample(tick_id,proc_id,gpu_id,dt_ms) VALUES(?,?,?,?)", rows)
    (before,) = db.execute("SELECT count(*) FROM process_sample").fetchone()
    assert 20 <= trim_hot(db, now, slices=1) <= 30
    assert 5000 <= before - db.execute("SELECT count(*) FROM process_sample").fetchone()[0] <= 6000


def test_hot_rows_stay_until_their_hour_is_sealed(writer: StoreWriter) -> None:
    now, db = steps(writer, 4.5), writer.connection
    close_minutes(db, now)
    assert trim_hot(db, now) == 0
    close(writer, HOUR_0 * 1000 + 3_600_000)
    while trim_hot(db, now):
        pass
    assert db.execute("SELECT min(ts_ms) FROM tick").fetchone() == ((HOUR_0 + HOUR + 10) * 1000,)


def test_rows_that_a_clock_set_back_wrote_behind_the_seal_stay_too(writer: StoreWriter) -> None:
    now, db = steps(writer, 4), writer.connection
    close(writer, now)
    while trim_hot(db, now):
        pass
    writer.add(tick(HOUR_0 - T + 5, gpu_row()))
    writer.commit()
    late = db.execute("SELECT max(tick_id) FROM tick").fetchone()[0]
    while trim_hot(db, now + 90_000_000):
        pass
    assert db.execute("SELECT tick_id FROM tick").fetchall() == [(late,)]


def test_rows_of_a_clock_that_ran_ahead_do_not_keep_those_that_came_after_it(writer: StoreWriter) -> None:
    writer.add(first_tick())
    ahead = 10 * DAY
    for second in [ahead, ahead + 1, *range(0, 7500, 30)]:
        writer.add(tick(second, gpu_row()))
    writer.commit()
    trim_hot(writer.connection, T0 + 7500 * 1000, hours=1)
    assert writer.connection.execute("SELECT min(ts_ms)-?, max(ts_ms)-? FROM tick", (T0, T0)).fetchone() == (3_900_000, 7_470_000)


def test_rows_that_came_before_a_clock_ran_ahead_do_not_go_with_it(writer: StoreWriter) -> None:
    writer.add(first_tick())
    for second in [10, 20, 10 * DAY, 30]:
        writer.add(tick(second, gpu_row()))
    writer.commit()
    assert trim_hot(writer.connection, T0 + 60_000, hours=1) == 0


def test_a_store_in_memory_trims_by_age_alone(writer: StoreWriter) -> None:
    now = steps(writer, 3)
    while trim_hot(writer.connection, now, 1):
        pass
    assert count(writer, "tick") == [361]


TIERS = ("chunk", "process_minute", "gpu_minute", "process_hour", "gpu_hour", "hist_hour", "process_day", "gpu_day")


@pytest.mark.parametrize(
    ("days", "left"),
    [
        (6, TIERS),
        (8, [t for t in TIERS if t != "process_minute"]),
        (31, [t for t in TIERS if t not in ("process_minute", "chunk")]),
        (36, ["process_hour", "gpu_hour", "hist_hour", "process_day", "gpu_day"]),
        (402, ["process_day", "gpu_day"]),
    ],
)
def test_each_tier_is_kept_as_long_as_it_says(writer: StoreWriter, days: int, left: list[str]) -> None:
    start = HOUR_0 // DAY * DAY
    now = steps(writer, 24, start=start, step=60)
    close(writer, now)
    assert all(count(writer, *TIERS))
    sums = "SELECT sum(obs_ms), sum(utilization_pm_ms) FROM gpu_{}"
    before = writer.connection.execute(sums.format("day")).fetchall()
    retain(writer, start * 1000 + (days + 1) * DAY * 1000 + 7_200_000)
    whole = [table for table, rows in zip(TIERS, count(writer, *TIERS), strict=True) if rows]
    assert whole == list(left)
    assert writer.connection.execute(sums.format("day")).fetchall() == before


def test_nothing_goes_before_its_sums_are_made(writer: StoreWriter) -> None:
    now = steps(writer, 26, start=HOUR_0 // DAY * DAY, step=60)
    close_minutes(writer.connection, now)
    retain(writer, now + 500 * DAY * 1000)
    assert count(writer, "gpu_minute") == [26 * 60]
    close_hours(writer.connection, now)
    retain(writer, now + 500 * DAY * 1000)
    assert count(writer, "gpu_minute", "gpu_hour") == [0, 26]
    close_days(writer.connection, now)
    retain(writer, now + 500 * DAY * 1000)
    assert count(writer, "gpu_hour", "gpu_day") == [2, 1]


def test_minutes_are_kept_as_long_as_is_configured_and_those_of_processes_never_longer(writer: StoreWriter) -> None:
    now = steps(writer, 2)
    close(writer, now)
    retain(writer, now + 99 * DAY * 1000, minute_days=100, process_minute_days=8)
    assert count(writer, "gpu_minute", "process_minute") == [120, 0]
    retain(writer, now + 3 * DAY * 1000, minute_days=2)
    assert count(writer, "gpu_minute") == [0]


def test_old_events_command_lines_and_people_go(writer: StoreWriter) -> None:
    now, db = steps(writer, 2), writer.connection
    writer.add(tick(0, events=[Event(now, "xid", "79")], processes=[process(8)]))
    writer.commit()
    close(writer, now)
    retain(writer, now + 8 * DAY * 1000)
    assert db.execute("SELECT DISTINCT command<>'' FROM process").fetchall() == [(1,)]
    retain(writer, now + 36 * DAY * 1000)
    assert db.execute("SELECT DISTINCT command, name FROM process").fetchall() == [("", "python3")]
    assert count(writer, "event", "process") == [1, 2]
    retain(writer, now + 401 * DAY * 1000)
    assert count(writer, "event", "process") == [0, 0]


def test_people_of_whom_a_day_speaks_stay(writer: StoreWriter) -> None:
    now = steps(writer, 26, start=HOUR_0 // DAY * DAY, step=60)
    close(writer, now)
    retain(writer, now + 900 * DAY * 1000)
    assert count(writer, "process_day", "process") == [1, 1]


def test_a_host_that_was_imported_ages_by_its_own_data(writer: StoreWriter) -> None:
    now, db = steps(writer, 2), writer.connection
    close(writer, now)
    years_ago = 5 * 365 * DAY

    def copy(table: str, **given: str) -> None:
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        db.execute(f"INSERT INTO {table} SELECT {','.join(given.get(name, name) for name in names)} FROM {table}")

    copy("host", host_id="-1", machine_id="'import:box'", first_ms="0", last_ms=f"last_ms-{years_ago}000")
    copy("gpu", gpu_id="-1", host_id="-1", uuid="'import:box:0'", last_ms=f"last_ms-{years_ago}000")
    for table in ("gpu_minute", "gpu_hour"):
        copy(table, gpu_id="-1", t=f"t-{years_ago}")
    copy("hist_hour", entity_id="-1", t=f"t-{years_ago}")
    copy("chunk", host_id="-1", entity_id="-entity_id", t0_ms=f"t0_ms-{years_ago}000", t1_ms=f"t1_ms-{years_ago}000")
    copy("rollup_state", host_id="-1")
    before = count(writer, "gpu_minute", "gpu_hour", "hist_hour", "chunk")
    assert retain(writer, now) == 0 and count(writer, "gpu_minute", "gpu_hour", "hist_hour", "chunk") == before
    retain(writer, now + 50 * DAY * 1000)
    after = count(writer, "gpu_minute", "gpu_hour", "hist_hour", "chunk")
    assert after == [before[0] // 2, before[1], before[2], before[3] // 2]
    assert db.execute("SELECT DISTINCT gpu_id FROM gpu_minute").fetchall() == [(-1,)]


def test_what_would_go_is_what_goes(writer: StoreWriter) -> None:
    now = steps(writer, 26, start=HOUR_0 // DAY * DAY, step=60)
    close(writer, now)
    later = now + 36 * DAY * 1000
    would = {old.table: old.rows for old in plan(writer.connection, later, Keep())}
    before = dict(zip(TIERS, count(writer, *TIERS), strict=True))
    assert plan(writer.connection, now, Keep()) == []
    assert all(old.size_bytes > old.rows for old in plan(writer.connection, later, Keep()))
    prune(writer.connection, later, Keep(), lambda _: None)
    after = dict(zip(TIERS, count(writer, *TIERS), strict=True))
    assert {table: before[table] - after[table] for table in TIERS if before[table] > after[table]} == {
        table: rows for table, rows in would.items() if table in TIERS
    }


@pytest.fixture
def full(file_writer: StoreWriter, monkeypatch: pytest.MonkeyPatch) -> tuple[StoreWriter, int, Callable[[int], Keep]]:
    """Three days in a file, and a cap in kilobytes."""
    now = steps(file_writer, 80, start=HOUR_0 // DAY * DAY, step=60, people=20)
    close(file_writer, now)
    while trim_hot(file_writer.connection, now):
        pass
    monkeypatch.setattr(capacity, "MB", 1000)
    return file_writer, now, lambda kilobytes: Keep(max_mb=kilobytes)


def test_beyond_the_cap_the_oldest_days_go_first_and_processes_before_gpus(full: Any) -> None:
    writer, now, keep = full
    db, said = writer.connection, list[str]()
    used = capacity.used_bytes(db) // 1000
    first_day = HOUR_0 // DAY * DAY * 1000
    sums = db.execute("SELECT count(*), sum(obs_ms) FROM gpu_minute").fetchall()
    list(capacity.fit(db, now, keep(used + 1), said.append))
    assert said == []
    list(capacity.fit(db, now, keep(used - 1), said.append))
    assert len(said) == 1 and "process values of 2025-11-14 were dropped" in said[0] and "[store] max_mb" in said[0]
    assert db.execute("SELECT count(*) FROM chunk WHERE kind=1 AND t0_ms<?", (first_day + DAY * 1000,)).fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM chunk WHERE kind=0 AND t0_ms<?", (first_day + DAY * 1000,)).fetchone() == (24,)
    assert db.execute("SELECT count(*), sum(obs_ms) FROM gpu_minute").fetchall() == sums


def test_a_cap_far_too_small_takes_all_values_then_minutes_but_never_the_newest(full: Any) -> None:
    writer, now, keep = full
    db, said = writer.connection, list[str]()
    hours = count(writer, "gpu_hour", "gpu_day")
    list(capacity.fit(db, now, keep(1), said.append))
    assert any("GPU minutes" in sentence for sentence in said)
    assert count(writer, "gpu_hour", "gpu_day") == hours
    assert db.execute("SELECT min(t0_ms) FROM chunk").fetchone()[0] >= now - 4 * HOUR * 1000
    assert db.execute("SELECT min(t) FROM gpu_minute").fetchone()[0] >= now // 1000 - 4 * HOUR
    assert sum(capacity.fit(db, now, keep(1), said.append)) == 0


def test_free_pages_go_back_to_the_disk_in_small_pieces(full: Any) -> None:
    writer, now, keep = full
    db = writer.connection
    list(capacity.fit(db, now, keep(1), lambda _: None))
    free = capacity.free_pages(db)
    assert free > 100
    pieces = [free, *(left for left in capacity.shrink(db, 10))]
    assert capacity.free_pages(db) == 10 and len(pieces) > 2
    assert all(0 < before - after <= 110 for before, after in zip(pieces, [p + 10 for p in pieces[1:]], strict=False))
    assert list(capacity.shrink(db, 10)) == []


def test_the_watermarks_are_those_of_the_host_that_is_named(writer: StoreWriter) -> None:
    now = steps(writer, 2)
    close(writer, now)
    assert watermark(writer.connection, "hour", 1) == watermark(writer.connection, "hour") == HOUR_0 + 2 * HOUR
    assert watermark(writer.connection, "hour", -1) is None


def test_at_the_last_wall_nothing_is_lost_and_the_cap_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "MB", 1000)
    writer = StoreWriter.open(tmp_path / "gpuwatch.db", clock=FakeClock(), tmpfs_fallback=False, max_mb=800)
    writer.begin_session(T0, 1000, "")
    writer.add(first_tick())
    added = 0
    while not writer.problem and added < 60_000:
        for second in range(added, added + 200):
            writer.add(tick(second, gpu_row()))
        added += 200
        writer.commit()
    assert "gpuwatch.db has reached its size cap ([store] max_mb = 800)" in writer.problem
    kept = count(writer, "gpu_sample")[0]
    assert kept == added - 200 and capacity.used_bytes(writer.connection) <= 880_000
    writer.connection.execute("DELETE FROM gpu_sample")
    assert writer.commit() and writer.problem == ""
    assert writer.connection.execute("SELECT max(tick_id)-min(tick_id)+1, count(*) FROM gpu_sample").fetchone() == (200, 200)
    writer.close()
