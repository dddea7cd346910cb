"""kill -9 at any moment: no committed tick is lost, the file is whole, minutes equal their rows, the next recorder goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.store_rows import T0

from gpuwatch.clock import FakeClock
from gpuwatch.store import check
from gpuwatch.store.connection import open_read
from gpuwatch.store.lease import Lease
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.writer import StoreWriter

SUPPORT = Path(__file__).resolve().parent.parent
CHILD = f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
from pathlib import Path
from support.store_rows import T0, first_tick, gpu_row, process, process_row, tick
from gpuwatch.clock import FakeClock
from gpuwatch.store.lease import Lease
from gpuwatch.store.retention import trim_hot
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.writer import StoreWriter

path, start = Path(sys.argv[1]), int(sys.argv[2])
lease = Lease.acquire(path, {{}})
assert lease is not None
writer = StoreWriter.open(path, clock=FakeClock(), tmpfs_fallback=False)
writer.begin_session(T0 + start * 1000, 1000, "boot")
writer.add(first_tick(people=[process(pid) for pid in range(1, 9)], second=start))
second = start
while True:
    for _ in range(10):
        second += 1
        held = [process_row(pid) for pid in range(1, 9)] if second % 2 else ()
        writer.add(tick(second, gpu_row(utilization_ratio=0.5, energy_joules=1.0), held=held))
    assert writer.commit(), writer.problem
    print(second, flush=True)
    now = T0 + second * 1000
    if second % 60 == 0:
        close_minutes(writer.connection, now)
        trim_hot(writer.connection, now, 0.05)
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 31])
def test_kill_nine(path: Path, acknowledged: int) -> None:
    start = last = 0
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path), str(start)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(acknowledged):
            last = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in child.stdout.read().split())])
        child.wait()
        child.stdout.close()
        _inspect(path, last)
        start = last + 1000
    lease = Lease.acquire(path, {})
    assert lease is not None
    lease.release()
    writer = StoreWriter.open(path, clock=FakeClock(), tmpfs_fallback=False)
    info = writer.begin_session(T0 + start * 1000, 1000, "boot")
    assert info.previous_clean is False and info.previous_end_ms is not None and info.previous_end_ms >= T0 + last * 1000
    close_minutes(writer.connection, T0 + start * 1000)
    _minutes_equal_rows(writer)
    writer.connection.close()


def _inspect(path: Path, last: int) -> None:
    assert check.check(path) == []
    reader = open_read(path)
    try:
        first, newest, count = reader.execute("SELECT min(tick_id), max(ts_ms), count(*) FROM tick").fetchone()
        assert newest >= T0 + last * 1000, "an acknowledged tick is lost"
        assert reader.execute("SELECT max(tick_id) FROM tick").fetchone()[0] - first + 1 == count, "a tick is missing or doubled"
    finally:
        reader.close()


def _minutes_equal_rows(writer: StoreWriter) -> None:
    """Every closed minute whose rows are all still there says what they say."""
    sql = """
        SELECT m.t, m.n, m.energy_used_mj, r.n, r.mj FROM gpu_minute m JOIN
        (SELECT (k.ts_ms-1)/60000*60 AS t, count(*) AS n, sum(s.energy_mj) AS mj FROM gpu_sample s JOIN tick k USING(tick_id) GROUP BY 1) r
        ON r.t=m.t WHERE m.t>(SELECT min(ts_ms) FROM tick)/1000
    """
    rows = writer.connection.execute(sql).fetchall()
    assert all((n, mj) == (kept, kept_mj) for _, n, mj, kept, kept_mj in rows), rows
