"""kill -9 during recording, closing, sealing, trimming and retention: every committed row is there once, and all sums are right.

``GPUWATCH_KILLS`` says how often (10 unless given).
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from support.store_rows import T0

from gpuwatch.clock import FakeClock
from gpuwatch.recorder import Closer
from gpuwatch.store import check
from gpuwatch.store.archive.codec import contents, decode
from gpuwatch.store.connection import open_read
from gpuwatch.store.hours import close_hours
from gpuwatch.store.watermarks import watermark
from gpuwatch.store.writer import StoreWriter

SUPPORT = Path(__file__).resolve().parent.parent
KILLS = int(os.environ.get("GPUWATCH_KILLS", "10"))
STEP = 10
KEEP = {"hot_hours": 0.7, "chunk_days": 0.25, "minute_days": 0.3, "process_minute_days": 0.2, "hour_days": 1.5}
CHILD = f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
from pathlib import Path
from support.store_rows import T0, first_tick, gpu_row, process, process_row, tick
from gpuwatch.clock import FakeClock
from gpuwatch.recorder import Closer
from gpuwatch.store.deleting import Keep
from gpuwatch.store.writer import StoreWriter

path, second = Path(sys.argv[1]), int(sys.argv[2])
writer = StoreWriter.open(path, clock=FakeClock(), tmpfs_fallback=False)
writer.begin_session(T0 + second * 1000, 1000 * {STEP}, "boot")
writer.add(first_tick(people=[process(pid) for pid in range(1, 5)], second=second))
closer = Closer(writer, keep=Keep(**{KEEP!r}))
while True:
    second += {STEP}
    held = [process_row(pid, dt_ms=1000 * {STEP}, cpu_ratio=second * pid % 97 / 97) for pid in range(1, 5)]
    row = gpu_row(dt_ms=1000 * {STEP}, utilization_ratio=second % 101 / 101, energy_joules=float(second))
    writer.add(tick(second, row, held=held))
    now = T0 + second * 1000
    if closer.due(now) or second % (6 * {STEP}) == 0:
        assert writer.commit(), writer.problem
        print(second, flush=True)
    closer.work(now)
"""


@pytest.mark.timeout(120 + 30 * KILLS)
def test_kill_nine_at_any_moment_of_history(tmp_path: Path) -> None:
    chance = random.Random(11)
    path, start, written = tmp_path / "gpuwatch.db", 0, set[int]()
    worked = Counter[str]()
    for _ in range(KILLS):
        begun = start
        with subprocess.Popen([sys.executable, "-c", CHILD, str(path), str(start)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            try:
                said = [int(child.stdout.readline()) for _ in range(chance.randrange(150, 500))]
                time.sleep(chance.random() / 100)
            finally:
                child.send_signal(signal.SIGKILL)
            last = max([*said, *(int(line) for line in child.stdout.read().split())])
        written.update(range(begun + STEP, last + 1, STEP))
        newest = _inspect(path, written, last, worked)
        written.update(range(begun + STEP, newest + 1, STEP))  # committed, and killed before it could say so
        start = newest + 7200
    assert worked["sealed"] and worked["chunks dropped"] and worked["minutes dropped"]
    _finish(path, start)


def _finish(path: Path, second: int) -> None:
    """The next recorder does all that is left; then all hours are the sums of their minutes."""
    writer = StoreWriter.open(path, clock=FakeClock(), tmpfs_fallback=False)
    writer.begin_session(T0 + second * 1000, 1000 * STEP, "boot")
    now = T0 + second * 1000
    closer = Closer(writer)
    closer.finish(now)
    for tick in range(1, 2000):
        closer.work(now + tick * 10)
    db = writer.connection
    assert close_hours(db, now) == []
    assert db.execute("SELECT count(*) FROM ledger_minute WHERE final=0").fetchone() == (0,)
    _hours_are_sums(db)
    writer.connection.close()


def _inspect(path: Path, written: set[int], last: int, worked: Counter[str]) -> int:
    """Everything that was acknowledged is in the file once; gives the last second that is there."""
    assert check.check(path) == []
    db = open_read(path)
    try:
        newest = (db.execute("SELECT max(ts_ms) FROM tick").fetchone()[0] - T0) // 1000
        assert newest >= last, "an acknowledged tick is lost"
        sealed, hot = _sealed(db), _hot(db)
        for rows in (sealed, hot):
            assert max(Counter(second for second, _ in rows).values(), default=1) == 1, "a row is doubled"
        chunks_cut = newest - round(KEEP["chunk_days"] * 86_400)
        found = dict(sealed) | dict(hot)
        assert all(dict(sealed).get(second, mj) == mj for second, mj in hot), "a sealed row differs from the hot one"
        assert {second for second in written if second > chunks_cut} <= set(found), "a row is neither hot nor sealed"
        assert all(mj == second * 1000 for second, mj in found.items())
        _minutes_are_sums(db, found, newest)
        _hours_are_sums(db)
        worked["sealed"] += len(sealed)
        oldest = min(written)
        worked["chunks dropped"] += oldest not in found
        worked["minutes dropped"] += db.execute("SELECT min(t) FROM gpu_minute").fetchone()[0] > (T0 // 1000 + oldest)
    finally:
        db.close()
    return int(newest)


def _sealed(db: sqlite3.Connection) -> list[tuple[int, int]]:
    rows = list[tuple[int, int]]()
    for cols, body in db.execute("SELECT cols, body FROM chunk WHERE kind=0"):
        columns = decode(contents(cols), body, ("ts_ms", "energy_mj"))
        rows += [((ts - T0) // 1000, mj) for ts, mj in zip(columns["ts_ms"], columns["energy_mj"], strict=True)]
    return rows


def _hot(db: sqlite3.Connection) -> list[tuple[int, int]]:
    return [
        ((ts - T0) // 1000, mj) for ts, mj in db.execute("SELECT k.ts_ms, s.energy_mj FROM tick k JOIN gpu_sample s USING(tick_id)")
    ]


def _minutes_are_sums(db: sqlite3.Connection, found: dict[int, int], newest: int) -> None:
    """Every closed minute whose rows are all still there says what they say."""
    done, sums, counts = watermark(db, "minute") or 0, Counter[int](), Counter[int]()
    for second, mj in found.items():
        minute = (T0 // 1000 + second - 1) // 60 * 60
        sums[minute] += mj
        counts[minute] += 1
    oldest = max(min(sums), (T0 // 1000 + newest - round(min(KEEP["chunk_days"], KEEP["minute_days"]) * 86_400)) // 3600 * 3600)
    closed = {t: (n, mj) for t, n, mj in db.execute("SELECT t, n, energy_mj_sum FROM gpu_minute")}
    for minute in sums:
        if oldest < minute < done:
            assert closed[minute] == (counts[minute], sums[minute])


def _hours_are_sums(db: sqlite3.Connection) -> None:
    """Every hour whose minutes are still there is their sum, for GPUs, processes and the ledger."""
    for table, tier, key, column in (
        ("gpu", "hour", "gpu_id", "energy_used_mj"),
        ("process", "hour", "proc_id", "cpu_pm_ms"),
        ("ledger", "ledger_hour", "gpu_id", "ms"),
    ):
        done = watermark(db, tier) or 0
        hours = f"SELECT t, {key}, sum({column}) FROM {table}_hour WHERE t<? GROUP BY 1, 2"
        minutes = f"SELECT t/3600*3600, {key}, sum({column}) FROM {table}_minute WHERE t<? GROUP BY 1, 2"
        closed = {row[:2]: row[2] for row in db.execute(hours, (done,))}
        rows = db.execute(minutes, (done,)).fetchall()
        assert all(closed.get(row[:2]) == row[2] for row in rows)
