"""What a jump into the past costs: random seconds of an archived day with 8 GPUs at 1 Hz and 128 processes every 2 s.

``python benchmarks/replay.py [--jumps 60]`` records one hour through the real recorder, seals it, repeats its chunks and rollups over
a day with shifted times, deletes all single rows, and prints CPU milliseconds of a whole ``build_view``: cold (another hour each
time), and warm (20 s on from the last instant, as an arrow key does). Exits 1 when the median cold jump is over its budget.
A fixed loop is timed around each jump: what a busy machine adds to it is taken off the printed figure, which is also given as it was.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from recorder_tick import Drivers, Ready

from gpuwatch.clock import FakeClock
from gpuwatch.recorder import Closer, CostMeter, Recorder
from gpuwatch.store import connection
from gpuwatch.store.archive import codec
from gpuwatch.store.archive.seal import seal_all
from gpuwatch.store.columns import HOT_TABLES
from gpuwatch.store.hours import close_hours, close_ledger_hours
from gpuwatch.store.window import Window
from gpuwatch.store.writer import StoreWriter
from gpuwatch.view.build import build_view

HOUR_S, HOURS = 3600, 24
START = 1_763_132_400
"""Fri 14 Nov 2025 15:00 UTC."""
SETTLE_S = 1200
BUDGET_MS = 50.0
_TIERS = ("gpu_minute", "process_minute", "ledger_minute", "gpu_hour", "process_hour", "ledger_hour")


def build(path: Path) -> None:
    """A day of sealed hours without a single hot row."""
    clock, drivers = FakeClock(START), Drivers()
    writer = StoreWriter.open(path, clock=clock)
    sources = [Ready(name, make, {"nvml": 1, "procs": 2}[name]) for name, make in drivers.make.items()]
    recorder = Recorder(sources, writer, clock, closer=Closer(writer), cost=CostMeter())
    for _ in range(HOUR_S + SETTLE_S):
        for source in sources:
            source.prepare(clock.time())
        recorder.run_once(clock.time())
        clock.advance(1)
    writer.close()
    db = connection.open_write(path)
    now_ms = (START + HOUR_S + SETTLE_S) * 1000
    seal_all(db, now_ms)
    close_hours(db, now_ms)
    close_ledger_hours(db, now_ms)
    for table in (*HOT_TABLES, "tick"):
        db.execute(f"DELETE FROM {table}")
    db.execute("BEGIN")
    for hour in range(1, HOURS):
        _repeat(db, hour * HOUR_S)
    end = START + HOURS * HOUR_S
    for table in ("host", "gpu", "process", "session"):
        db.execute(f"UPDATE {table} SET last_ms=?", (end * 1000,))
    db.execute("UPDATE rollup_state SET done_s=?", (end,))
    db.execute("UPDATE ledger_minute SET final=1")
    db.execute("COMMIT")
    connection.close_cleanly(db)


def _repeat(db: sqlite3.Connection, shift_s: int) -> None:
    """The first hour once more, so much later."""
    for row in db.execute("SELECT * FROM chunk WHERE t0_ms=?", (START * 1000,)).fetchall():
        kind, host, entity, t0, t1, count, number, cols, body = row
        shift = shift_s * 1000
        known = codec.contents(cols)
        encoder = codec.Encoder(known.columns, t0 + shift)
        for block in range(len(known.blocks)):
            columns = codec.decode(known, body, None, block, block + 1)
            columns["ts_ms"] = [ts + shift for ts in columns["ts_ms"]]
            for _ in encoder.add(list(columns.values())):
                pass
        db.execute("INSERT INTO chunk VALUES(?,?,?,?,?,?,?,?,?)", (kind, host, entity, t0 + shift, t1 + shift, count, number, *encoder.finish()))  # fmt: skip
    for table in _TIERS:
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")][1:]
        listed = ",".join(names)
        db.execute(
            f"INSERT OR REPLACE INTO {table}(t,{listed}) SELECT t+?,{listed} FROM {table} WHERE t>=? AND t<?",
            (shift_s, START, START + HOUR_S),
        )


def _loop() -> float:
    began, total = time.process_time(), 0
    for number in range(40_000):
        total += number * number // 7
    return (time.process_time() - began) * 1000


def jumps(path: Path, count: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(CPU ms without what the machine's load adds, CPU ms) of cold and of warm jumps."""
    dice, base = random.Random(1), min(_loop() for _ in range(40))
    cold, warm = [], []
    now_ms = (START + HOURS * HOUR_S + SETTLE_S) * 1000
    with Window(path) as window:
        for _ in range(count):
            at_ms = (START + dice.randrange(HOUR_S, HOURS * HOUR_S - HOUR_S)) * 1000 + dice.randrange(1000)
            for made in (cold, warm):
                before, began = _loop(), time.process_time()
                view = build_view(window, at_ms, now_ms=now_ms)
                spent = (time.process_time() - began) * 1000
                made.append((spent * 2 * base / (before + _loop()), spent))
                if (len(view.gpus), len(view.processes)) != (8, 128):
                    raise RuntimeError(f"{len(view.gpus)} GPUs and {len(view.processes)} processes at {at_ms}")
                at_ms += 20_000
    return cold, warm


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jumps", type=int, default=60, help="jumps to measure (default 60)")
    parser.add_argument("--store", type=Path, help="keep the archived day here, or use the one that is there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = args.store or Path(folder) / "day.db"
        if not path.exists():
            build(path)
        cold, warm = jumps(path, args.jumps)
        size = path.stat().st_size / 1e6
    print(json.dumps({"store_mb": round(size, 1), "jumps": args.jumps}))
    for name, found in (("cold", cold), ("warm", warm)):
        steady, spent = zip(*found, strict=True)
        print(
            f"{name} jump: {median(steady):5.1f} ms CPU (as measured {median(spent):5.1f}, best {min(spent):5.1f}, worst {max(spent):5.1f})"
        )
    return int(median([each for each, _ in cold]) > BUDGET_MS)


if __name__ == "__main__":
    sys.exit(main())
