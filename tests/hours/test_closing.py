"""When hours and days close, where they begin, and that doing it again changes nothing."""

from __future__ import annotations

import sqlite3
import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.store_rows import T0, gpu, gpu_row

from gpuwatch.ledger.types import BucketRow
from gpuwatch.model import Host
from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.store.days import close_days, close_ledger_days, reopen
from gpuwatch.store.hours import close_hours, close_ledger_hours, merge_statements
from gpuwatch.store.rollup import close_minutes, write_ledger
from gpuwatch.store.rows import Tick
from gpuwatch.store.watermarks import set_watermark, watermark
from gpuwatch.store.writer import StoreWriter

HOUR = 3600


def begin(writer: StoreWriter, zone: str, first: datetime) -> int:
    """A host in that zone from that local time on; its unix second."""
    local = first.replace(tzinfo=ZoneInfo(zone))
    offset = local.utcoffset()
    assert offset is not None
    writer.begin_session(round(local.timestamp() * 1000), 1000, "")
    host = Host("m-1", "lab", utc_offset_seconds=round(offset.total_seconds()), timezone=zone)
    writer.add(Tick(round(local.timestamp() * 1000), host=host, gpus=[gpu(0)]))
    return round(local.timestamp())


def minutes(writer: StoreWriter, start: int, end: int, step: int = 60) -> None:
    """One row a minute from ``start`` to ``end``, and their minutes closed."""
    for t in range(start + step, end + 1, step):
        writer.add(Tick(t * 1000, gpu_rows=[gpu_row(dt_ms=step * 1000, utilization_ratio=0.5)]))
    assert writer.commit()
    close_minutes(writer.connection, end * 1000)


def rows(writer: StoreWriter, sql: str) -> list[tuple[Any, ...]]:
    return writer.connection.execute(sql).fetchall()


@pytest.mark.parametrize(("zone", "past"), [("Asia/Kolkata", 1800), ("Asia/Kathmandu", 900), ("America/New_York", 0)])
def test_hours_begin_where_the_hosts_local_hours_do(writer: StoreWriter, zone: str, past: int) -> None:
    start = begin(writer, zone, datetime(2026, 1, 5, 10, 0))
    minutes(writer, start, start + 2 * HOUR + 600)
    closed = close_hours(writer.connection, (start + 3 * HOUR) * 1000)
    assert closed == [start, start + HOUR] and start % HOUR == past
    assert rows(writer, "SELECT t, obs_ms FROM gpu_hour ORDER BY t") == [(start, HOUR * 1000), (start + HOUR, HOUR * 1000)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", (2025, 11, 2), 25),
        ("America/New_York", (2026, 3, 8), 23),
        ("Asia/Kolkata", (2026, 3, 8), 24),
        ("Asia/Kathmandu", (2026, 3, 8), 24),
    ],
)
def test_a_day_is_as_long_as_it_was_there(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch, zone: str, day: tuple[int, int, int], hours: int
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        start = begin(writer, zone, datetime(*day))
        minutes(writer, start - 3 * HOUR, start + 30 * HOUR, 600)
        close_hours(writer.connection, (start + 30 * HOUR) * 1000)
        close_days(writer.connection, (start + 30 * HOUR) * 1000)
    finally:
        monkeypatch.undo()
        time.tzset()
    found = rows(writer, "SELECT t, obs_ms/3600000 FROM gpu_day ORDER BY t")
    assert [(t - start, observed) for t, observed in found][1:] == [(0, hours)]


def test_a_day_that_is_not_over_has_no_row(writer: StoreWriter) -> None:
    start = begin(writer, "UTC", datetime(2026, 1, 5))
    minutes(writer, start, start + 24 * HOUR - 60, 60)
    close_hours(writer.connection, (start + 24 * HOUR - 60) * 1000)
    assert close_days(writer.connection, (start + 24 * HOUR - 60) * 1000) == []
    minutes(writer, start + 24 * HOUR - 60, start + 24 * HOUR)
    close_hours(writer.connection, (start + 24 * HOUR) * 1000)
    assert close_days(writer.connection, (start + 24 * HOUR) * 1000) == [start]


def test_an_hour_with_the_recorder_off_is_neither_idle_nor_busy(file_writer: StoreWriter) -> None:
    writer, db = file_writer, file_writer.connection
    start = begin(writer, "UTC", datetime(2026, 1, 5))
    minutes(writer, start, start + 1800)
    minutes(writer, start + 3 * HOUR, start + 4 * HOUR)
    for t in [*range(start, start + 1800, 60), *range(start + 3 * HOUR, start + 4 * HOUR, 60)]:
        write_ledger(db, 1, t, [BucketRow(0, Bucket.HELD_IDLE, Cause.NONE, Tier.N, 60_000, 0)], True)
    set_watermark(db, "ledger", start + 4 * HOUR)
    now_ms = (start + 5 * HOUR) * 1000
    assert close_hours(db, now_ms) == close_ledger_hours(db, now_ms) == [start, start + 3 * HOUR]
    assert rows(writer, "SELECT t, obs_ms, quiet_ms FROM gpu_hour ORDER BY t") == [(start, 1_800_000, 0), (start + 3 * HOUR, 3_600_000, 0)]  # fmt: skip
    assert rows(writer, "SELECT t, bucket, ms FROM ledger_hour ORDER BY t") == [
        (start, int(Bucket.HELD_IDLE), 1_800_000),
        (start + 3 * HOUR, int(Bucket.HELD_IDLE), 3_600_000),
    ]
    assert rows(writer, "SELECT bucket, sum(ms) FROM v_ledger_hour GROUP BY 1 ORDER BY 1") == [("held_idle", 5_400_000), ("unobserved", 1_800_000)]  # fmt: skip


def test_an_hour_waits_for_its_last_minute_and_the_ledgers_for_its_last_final_one(writer: StoreWriter) -> None:
    db, start = writer.connection, begin(writer, "UTC", datetime(2026, 1, 5))
    minutes(writer, start, start + HOUR - 60)
    assert close_hours(db, (start + 2 * HOUR) * 1000) == []
    minutes(writer, start + HOUR - 60, start + HOUR)
    assert close_hours(db, (start + HOUR) * 1000) == [start]

    for t in range(start, start + HOUR, 60):
        write_ledger(db, 1, t, [BucketRow(0, Bucket.WAIT, Cause.NONE, Tier.N, 60_000, 0)], t < start + HOUR - 60)
    set_watermark(db, "ledger", start + HOUR)
    ended = (start + HOUR + 16 * 60) * 1000
    assert close_ledger_hours(db, ended - 1000) == close_ledger_hours(db, ended) == []
    db.execute("UPDATE ledger_minute SET final=1")
    assert close_ledger_hours(db, ended - 1000) == []
    assert close_ledger_hours(db, ended) == [start]
    assert close_ledger_days(db, ended) == []


def test_the_watermark_moves_with_the_rows_or_not_at_all(writer: StoreWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    db, start = writer.connection, begin(writer, "UTC", datetime(2026, 1, 5))
    minutes(writer, start, start + HOUR)
    broken = (*merge_statements("minute", "hour")[:2], "INSERT INTO nowhere VALUES(1)")
    monkeypatch.setattr("gpuwatch.store.hours.merge_statements", lambda *_: broken)
    with pytest.raises(sqlite3.OperationalError):
        close_hours(db, (start + HOUR) * 1000)
    assert rows(writer, "SELECT count(*) FROM gpu_hour") == [(0,)] and watermark(db, "hour") is None
    monkeypatch.undo()
    assert close_hours(db, (start + HOUR) * 1000) == [start] and watermark(db, "hour") == start + HOUR
    assert close_hours(db, (start + HOUR) * 1000) == []


def test_minutes_that_a_clock_set_back_brings_are_in_their_hours_and_days_too(writer: StoreWriter) -> None:
    db, start = writer.connection, begin(writer, "UTC", datetime(2026, 1, 5))
    minutes(writer, start, start + HOUR)
    minutes(writer, start + 30 * HOUR, start + 31 * HOUR)
    close_hours(db, (start + 31 * HOUR) * 1000)
    assert close_days(db, (start + 31 * HOUR) * 1000) == [start]
    before = rows(writer, "SELECT * FROM gpu_hour")
    late = start + 5 * HOUR
    columns = [row[1] for row in db.execute("PRAGMA table_info(gpu_minute)")]
    copied = ",".join(["?", *columns[1:]])
    db.execute(f"INSERT INTO gpu_minute SELECT {copied} FROM gpu_minute WHERE t=?", (late, start))
    reopen(db, [late])
    assert watermark(db, "hour") == late and watermark(db, "day") == start
    assert close_hours(db, (start + 31 * HOUR) * 1000) == [late, start + 30 * HOUR]
    assert close_days(db, (start + 31 * HOUR) * 1000) == [start]
    after = rows(writer, "SELECT * FROM gpu_hour")
    assert [row for row in after if row in before] == before and len(after) == len(before) + 1
    assert rows(writer, "SELECT obs_ms FROM gpu_day") == [(3_660_000,)]


def test_another_hosts_rows_are_closed_for_themselves(writer: StoreWriter) -> None:
    db, start = writer.connection, begin(writer, "UTC", datetime(2026, 1, 5))
    minutes(writer, start, start + HOUR)
    old = T0 // 1000 - 86_400
    columns = [row[1] for row in db.execute("PRAGMA table_info(host)")]
    given = {"host_id": "-1", "machine_id": "'import:box'", "timezone": "'Asia/Kolkata'", "hour_offset_seconds": "1800"}
    db.execute(f"INSERT INTO host SELECT {','.join(given.get(c, c) for c in columns)} FROM host")
    columns = [row[1] for row in db.execute("PRAGMA table_info(gpu)")]
    given = {"gpu_id": "-1", "host_id": "-1", "uuid": "'import:box:0'"}
    db.execute(f"INSERT INTO gpu SELECT {','.join(given.get(c, c) for c in columns)} FROM gpu")
    columns = [row[1] for row in db.execute("PRAGMA table_info(gpu_minute)")]
    given = {"t": f"t-{start}+{old}", "gpu_id": "-1"}
    db.execute(f"INSERT INTO gpu_minute SELECT {','.join(given.get(c, c) for c in columns)} FROM gpu_minute")
    assert close_hours(db, (start + HOUR) * 1000) == [start]
    assert close_hours(db, (start + HOUR) * 1000, host_id=-1) == []
    set_watermark(db, "minute", old + 2 * HOUR, -1)
    closed = close_hours(db, (start + HOUR) * 1000, host_id=-1)
    assert closed and all(t % HOUR == 1800 for t in closed)
    assert rows(writer, "SELECT gpu_id, sum(obs_ms) FROM gpu_hour GROUP BY 1 ORDER BY 1") == [(-1, 3_600_000), (1, 3_600_000)]
    assert watermark(db, "hour", -1) == (old + 2 * HOUR - 1800) // HOUR * HOUR + 1800 and watermark(db, "hour") == start + HOUR
