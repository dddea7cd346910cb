"""A clock that was far ahead for a while: no minute before or after it is lost, no sum lies beyond what is closed, nothing grows old."""

from __future__ import annotations

from typing import Any

import pytest
from support.recording import START, Lab, Scripted, gpu_batch, host_batch, proc_batch
from support.store_rows import T0, first_tick, gpu_row, tick

from gpuwatch.clock import FakeClock
from gpuwatch.recorder import Closer
from gpuwatch.store import check
from gpuwatch.store.deleting import Keep
from gpuwatch.store.retention import SETTLED_MS, leapt
from gpuwatch.store.watermarks import watermark
from gpuwatch.store.writer import StoreWriter

STEP, DAY = 10, 86_400


@pytest.fixture
def lab(file_lab: Lab) -> Lab:
    begin(file_lab)
    run(file_lab, 900)
    file_lab.clock.advance(0, step=3 * DAY)
    run(file_lab, 2 * 3600)
    file_lab.clock.advance(0, step=-3 * DAY)
    return file_lab


def begin(lab: Lab) -> None:
    sources = [Scripted(*of, interval=float(STEP)) for of in (("nvml", gpu_batch), ("procs", proc_batch), ("host", host_batch))]
    lab.record(*sources, close_minutes=True, period_seconds=float(STEP))


def run(lab: Lab, seconds: int) -> None:
    for _ in range(seconds // STEP):
        lab.recorder.run_once(lab.clock.time())
        lab.clock.advance(STEP)


def missing(lab: Lab) -> list[Any]:
    """Minutes before now that have rows and no sums."""
    rows = "SELECT DISTINCT (k.ts_ms-1)/60000*60 AS t FROM tick k JOIN gpu_sample s USING(tick_id) WHERE s.gpu_id=1 AND s.dt_ms>0"
    sql = f"SELECT (t-?)/60 FROM ({rows}) WHERE t<?-60 AND (t NOT IN (SELECT t FROM gpu_minute WHERE gpu_id=1) OR t NOT IN (SELECT t FROM ledger_minute WHERE gpu_id=1))"
    return lab.rows(sql, int(START), int(lab.clock.time()) // 60 * 60)


@pytest.mark.parametrize("off", [100, 5000])
def test_a_recorder_that_is_killed_after_it_leaves_no_minute_open(lab: Lab, off: int) -> None:
    run(lab, 350)
    lab.writer.commit()
    lab.reopen()
    lab.clock.advance(off)
    begin(lab)
    run(lab, 300)
    assert missing(lab) == []


def test_what_past_logs_say_of_a_minute_does_not_close_it(lab: Lab) -> None:
    run(lab, 50)
    columns = [row[1] for row in lab.rows("PRAGMA table_info(gpu_minute)")]
    first = int(START) // 60 * 60
    for t in range(first + 900, first + 3000, 60):
        given = ",".join({"t": str(t), "gpu_id": "-1"}.get(name, name) for name in columns)
        lab.db.execute(f"INSERT INTO gpu_minute SELECT {given} FROM gpu_minute WHERE gpu_id=1 ORDER BY t LIMIT 1")
    run(lab, 1200)
    assert missing(lab) == []


def test_no_hour_or_day_has_sums_before_it_is_closed(lab: Lab) -> None:
    run(lab, 400)
    for family, tiers in (("gpu", ("hour", "day")), ("process", ("hour", "day")), ("ledger", ("ledger_hour", "ledger_day"))):
        for period, tier in zip(("hour", "day"), tiers, strict=True):
            newest = lab.rows(f"SELECT max(t) FROM {family}_{period}")[0][0]
            assert newest is None or newest < (watermark(lab.db, tier) or 0), (family, period)
    assert check.check(lab.path) == []
    run(lab, 5000)
    hours = dict(lab.rows("SELECT t, obs_ms FROM gpu_hour WHERE gpu_id=1"))
    minutes = dict(lab.rows("SELECT t/3600*3600, sum(obs_ms) FROM gpu_minute WHERE gpu_id=1 GROUP BY 1"))
    assert hours and all(minutes[t] == obs_ms for t, obs_ms in hours.items())


def test_nothing_is_too_old_by_a_clock_that_has_just_leapt(tmp_path: Any) -> None:
    """As at the start of a computer whose clock is wrong until it has asked the network."""
    writer = StoreWriter.open(tmp_path / "gpuwatch.db", clock=FakeClock(), tmpfs_fallback=False)
    closer = Closer(writer, keep=Keep(hot_hours=0.6))

    def hours(begin_s: int, seconds: int) -> None:
        writer.begin_session(T0 + begin_s * 1000, STEP * 1000, "boot")
        writer.add(first_tick(second=begin_s))
        for second in range(begin_s + STEP, begin_s + seconds, STEP):
            writer.add(tick(second, gpu_row(dt_ms=STEP * 1000)))
            assert writer.commit()
            closer.work(T0 + second * 1000)

    hours(0, 8000)
    count = "SELECT (SELECT count(*) FROM chunk WHERE t0_ms<?), (SELECT count(*) FROM gpu_minute WHERE t<?)"
    limits = (T0 + 8_000_000, T0 // 1000 + 8000)
    before = writer.connection.execute(count, limits).fetchone()
    assert all(before)
    years = 500 * DAY
    hours(years, 2000)
    hours(years + 2000, 1000)  # also when it is started again
    after = writer.connection.execute(count, limits).fetchone()
    assert leapt(writer.connection, T0 + (years + 3000) * 1000)
    assert after[0] >= before[0] and after[1] >= before[1]
    assert not leapt(writer.connection, T0 + years * 1000 + SETTLED_MS)
    hours(years + 3000, 8000)  # it has been so for an hour
    assert writer.connection.execute(count, limits).fetchone() == (0, 0)
    writer.close()
