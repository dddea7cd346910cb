"""What real recordings take in the archive: minutes of the real ``gpuwatch record``, and past logs of real GPUs.

``python benchmarks/record_size.py --minutes 10`` runs ``gpuwatch record`` in real time on the fake driver: 8 H100 with GPM whose
values are new in each second (drawn evenly from wide spans, so they compress worse than real ones), 128 real sleeping processes. It
prints what the recorder cost, then seals a copy of its store with the recorder's own functions as if the hour were over, and weighs
that. ``--logs FOLDER`` imports each log of a folder into one store with ``gpuwatch import``.

How it is scaled to the day of a GPU: chunks by rows (a recording has 86,400 a day, a log as many as it has at its own pace), minutes
and their ledger by minutes (1440), hours, distributions and the heads of chunks by hours (24; those of a part of an hour count as a
whole one). What is weighed are rows, without what is empty in their pages: a store of whole hours has some 4 % of that. The naive
table holds the same rows (see ``archive_size.py``) and is scaled by rows, with its pages.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from archive_size import BUDGET_ALL, BUDGET_GPU, FAMILIES, ROLLUPS, naive, seal, weigh
from pty_measure import cpu_seconds, rss_mb
from scene import FakeDriver, home, moving, watched
from store import written

from gpuwatch.store.archive.shapes import GPU, PROCESS
from gpuwatch.store.hours import close_hours, close_ledger_hours

GPUS, PROCESSES = 8, 128
WARM_SECONDS, END_SECONDS = 11, 3
BUDGET_KIB, BUDGET_RSS_MB = 20, 30
DAY_S, HOUR_MS = 86_400, 3_600_000
ROW = 40
"""What a chunk takes beside its two texts."""
FEW = 1000
"""A log with fewer samples fills hardly a page of the naive table."""


class Cost(NamedTuple):
    """A tick of the recorder: CPU ms, KiB written, ms inside the driver; its memory, and that of a longer scenario than usual (MB)."""

    cpu_ms: float
    kib: float
    driver_ms: float
    rss_mb: float
    scenario_mb: float


def gpuwatch(*arguments: str) -> list[str]:
    """A command line of the checkout's program."""
    return [sys.executable, "-m", "gpuwatch", *arguments]


# ------------------------------------------------------------------------------------------------------------------ recording


def record(seconds: int, folder: Path) -> tuple[Path, Cost]:
    """``gpuwatch record`` for so long: its store, and what a tick cost between its start and its end."""
    path = folder / "recorded.db"
    with watched(moving(GPUS, PROCESSES, seconds=seconds + 60), PROCESSES) as fake:
        scenario_mb = loaded_mb(fake)
        command = gpuwatch("record", "--for", f"{seconds}s", "--store", str(path))
        running = subprocess.Popen(command, env=home(folder, fake.env), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(WARM_SECONDS)
            cost = _cost(running.pid, fake, seconds - WARM_SECONDS - END_SECONDS, scenario_mb)
            if running.wait(60):
                raise RuntimeError(f"gpuwatch record ended with {running.returncode}")
        finally:
            running.kill()
            running.wait()
    return path, cost


def _cost(pid: int, fake: FakeDriver, seconds: int, scenario_mb: float) -> Cost:
    seconds = seconds // 10 * 10 or seconds  # it commits every 10 s
    fake.reset_calls()
    cpu, size = cpu_seconds(pid), written(pid)
    time.sleep(seconds)
    inside = sum(call.seconds for call in fake.calls().values())
    spent, wrote = cpu_seconds(pid) - cpu, written(pid) - size
    return Cost(spent / seconds * 1e3, wrote / seconds / 1024, inside / seconds * 1e3, rss_mb(pid) - scenario_mb, scenario_mb)


def loaded_mb(fake: FakeDriver) -> float:
    """What this scenario takes in a process, beyond that of the other benchmarks, which is a minute long."""
    sizes = []
    with FakeDriver(moving(GPUS, PROCESSES)) as usual:
        for driver in (fake, usual):
            command = [sys.executable, "-c", "import pynvml; pynvml.nvmlInit(); print(flush=True); input()"]
            with subprocess.Popen(
                command, env={**os.environ, **driver.env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as process:
                assert process.stdout is not None
                process.stdout.readline()
                sizes.append(rss_mb(process.pid))
                process.communicate(b"\n")
    return sizes[0] - sizes[1]


@contextmanager
def closed(path: Path, copy: Path) -> Iterator[sqlite3.Connection]:
    """A copy of a recorder's store as it is when the hour is over: sealed, its hours summed up."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy, isolation_level=None)) as db:
        source.backup(db)
        last_ms = db.execute("SELECT max(ts_ms) FROM tick").fetchone()[0]
        end_ms = -(-last_ms // HOUR_MS) * HOUR_MS
        close_hours(db, end_ms)
        close_ledger_hours(db, end_ms + 2 * DAY_S * 1000)
        seal(db, end_ms)
        yield db


def used(db: sqlite3.Connection) -> Counter[str]:
    """Bytes in each table with its indices, by SQLite's own count; what is unused in half-empty pages is left out."""
    owner = dict(db.execute("SELECT name, tbl_name FROM sqlite_master"))
    out = Counter[str]()
    for name, size in db.execute("SELECT name, sum(pgsize-unused) FROM dbstat GROUP BY name"):
        out[owner.get(name, name)] += size
    return out


def parts_of_a_day(db: sqlite3.Connection, seconds: float) -> dict[str, float]:
    """Bytes of a GPU-day by part."""
    tables, hours = used(db), _count(db, "count(DISTINCT t0_ms)", "chunk")
    minutes, counted = _count(db, "count(DISTINCT t)", "gpu_minute"), {}
    kinds = {
        "chunks: gpu": f"kind={GPU}",
        "chunks: process": f"kind={PROCESS}",
        "chunks: host, recorder": f"kind NOT IN ({GPU},{PROCESS})",
    }
    for name, where in kinds.items():
        bodies, heads = (
            _count(db, f"coalesce(sum({what}),0)", f"chunk WHERE {where}") for what in ("length(body)", f"length(cols)+{ROW}")
        )
        counted[name] = bodies * DAY_S / seconds + heads * 24 / hours
    for name, made in ROLLUPS.items():
        counted[name] = sum(tables[table] for table in made) * (24 / hours if name == "distributions" else 1440 / minutes)
    counted["hours"] = sum(tables[f"{family}_hour"] for family in FAMILIES) * 24 / hours
    return {name: size / GPUS for name, size in counted.items()}


def _count(db: sqlite3.Connection, what: str, where: str) -> int:
    number: int = db.execute(f"SELECT {what} FROM {where}").fetchone()[0]
    return number


def report_recording(path: Path, cost: Cost, folder: Path) -> bool:
    """Print what the recorder cost and what its rows take; whether the budgets are met."""
    with closed(path, folder / "closed.db") as db:
        rows = {kind: _count(db, "coalesce(sum(n),0)", f"chunk WHERE kind={kind}") for kind in (GPU, PROCESS)}
        seconds = rows[GPU] / GPUS
        peer = {kind: size / GPUS * DAY_S / seconds for kind, size in naive(db, folder, "1").items()}
        sizes = parts_of_a_day(db, seconds)
    print(f"\n`gpuwatch record`, {seconds:.0f} s of {GPUS} GPUs and {PROCESSES} processes, every value new in each second")
    print(f"  a tick: {cost.cpu_ms:.2f} ms of CPU, {cost.kib:.1f} KiB written (budget {BUDGET_KIB}), {cost.driver_ms:.2f} ms inside the fake driver")  # fmt: skip
    print(f"  memory {cost.rss_mb:.1f} MB (budget {BUDGET_RSS_MB}) and {cost.scenario_mb:.1f} for the scenario, which the fake driver holds; the store as recorded {path.stat().st_size / 1e6:.2f} MB")  # fmt: skip
    print(f"  {rows[GPU]} GPU rows, {rows[PROCESS]} process rows; MB per GPU-day with {PROCESSES // GPUS} processes")
    beside = {"chunks: gpu": peer[GPU], "chunks: process": peer[PROCESS]}
    for name, size in sizes.items():
        naive_size = f"   naive {beside[name] / 1e6:>8.2f} ({beside[name] / size:.0f}x)" if name in beside else ""
        print(f"  {name:<26}{size / 1e6:>8.3f}{naive_size}")
    gpu, total, whole = sizes["chunks: gpu"], sum(sizes.values()), sum(peer.values())
    print(
        f"  {'all, with processes':<26}{total / 1e6:>8.3f}   naive {whole / 1e6:>8.2f} ({whole / total:.0f}x, and without rollups)"
    )
    met = gpu <= BUDGET_GPU and total <= BUDGET_ALL and cost.kib <= BUDGET_KIB and cost.rss_mb <= BUDGET_RSS_MB
    print(f"  budgets: GPU rows {BUDGET_GPU / 1e6}, all {BUDGET_ALL / 1e6}: {'met' if met else 'MISSED'}")
    return met


# ----------------------------------------------------------------------------------------------------------------------- logs


class Log(NamedTuple):
    """A log in the store: its host, how many values a row has, samples of all GPUs, and the rows of one GPU in a day at its pace."""

    name: str
    host_id: int
    gpus: int
    values: int
    samples: int
    rows_a_day: float


def load(files: list[Path], path: Path) -> list[Log]:
    """Import the files that are logs, each as a host of its own."""
    logs = []
    for file in files:
        command = gpuwatch("import", "--json", "--tz", "UTC", "--store", str(path), str(file))
        done = subprocess.run(
            command, env=home(path.parent, os.environ), stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        said = json.loads(done.stdout)["files"][0]
        if said["state"] != "imported":
            print(f"  left out: {file.name}: {said['message'].split(':')[0]}")
            continue
        with closing(sqlite3.connect(path)) as db:
            host_id = db.execute("SELECT host_id FROM host WHERE hostname=?", (said["host"],)).fetchone()[0]
            samples = db.execute("SELECT sum(n) FROM chunk WHERE kind=? AND host_id=?", (GPU, host_id)).fetchone()[0]
        logs.append(Log(file.stem, host_id, said["gpu_count"], len(said["columns"]), samples, DAY_S / said["interval_seconds"]))
    return logs


def report_logs(files: list[Path], folder: Path) -> None:
    """Print what each log takes, and the store of all of them."""
    path = folder / "logs.db"
    print("\npast logs, each imported as a host of its own")
    logs = load(files, path)
    if not logs:
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        lines = [_weights(db, folder, log) for log in logs]
        chunks, peer = (sum(line[n] for line in lines) for n in (0, 1))
        process = naive(db, folder, "1")[PROCESS]
        count = {t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("gpu_minute", "gpu_hour")}
        size, parts = path.stat().st_size, weigh(db)
    # What a GPU has beside its chunks comes by the minute and by the hour, and is much the same for all of them.
    beside = 1440 * (parts["minutes of GPUs"] + parts["ledger minutes"]) / count["gpu_minute"]
    beside += 24 * (parts["distributions"] + parts["hours"]) / count["gpu_hour"]
    print(f"  {'':<34}{'samples':>8}{'GPUs':>5}{'values':>7}{'rows/day':>9} | {'bytes a sample':^22} | {'MB per GPU-day':^30}")
    print(
        f"  {'':<34}{'':>8}{'':>5}{'a row':>7}{'of a GPU':>9} | {'chunks':>7}{'naive':>8}{'':>7} | {'chunks':>9}{'+rollups':>10}{'naive':>11}"
    )
    for log, (ours, theirs) in zip(logs, lines):
        a_day, naive_day = ours / log.samples * log.rows_a_day, theirs / log.samples * log.rows_a_day
        few = "  few samples" if log.samples < FEW else ""
        print(
            f"  {log.name:<34}{log.samples:>8}{log.gpus:>5}{log.values:>7}{log.rows_a_day:>9.0f} | {ours / log.samples:>7.2f}{theirs / log.samples:>8.1f}"
            f"{theirs / ours:>6.0f}x | {a_day / 1e6:>9.3f}{(a_day + beside) / 1e6:>10.3f}{naive_day / 1e6:>11.2f}{few}"
        )
    samples = sum(log.samples for log in logs)
    print(f"  {'all':<34}{samples:>8}{sum(log.gpus for log in logs):>5}{'':>16} | {chunks / samples:>7.2f}{peer / samples:>8.1f}{peer / chunks:>6.0f}x |"
          f" at one row a second: {chunks / samples * DAY_S / 1e6:.3f} MB per GPU-day, naive {peer / samples * DAY_S / 1e6:.2f}")  # fmt: skip
    told = ", ".join(f"{name} {part / 1e3:.0f}" for name, part in parts.items())
    print(f"  the whole store {size / 1e3:.0f} kB, the naive tables {(peer + process) / 1e3:.0f}; of it in kB: {told}; the rest is what an empty store has, and pages that are not full")  # fmt: skip


def _weights(db: sqlite3.Connection, folder: Path, log: Log) -> tuple[int, float]:
    """Bytes of a log's GPU rows in chunks, and in the naive table."""
    sql = "SELECT sum(length(body)+length(cols)) FROM chunk WHERE kind=? AND host_id=?"
    return db.execute(sql, (GPU, log.host_id)).fetchone()[0], naive(db, folder, f"host_id={log.host_id}")[GPU]


def main() -> int:
    """Weigh what was asked for; 1 if a budget is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, help="record for so long, in real time")
    parser.add_argument("--logs", type=Path, help="a folder of past logs")
    args = parser.parse_args()
    if args.minutes is None and args.logs is None:
        parser.error("say --minutes N, --logs FOLDER or both")
    if args.minutes is not None and args.minutes < 1:
        parser.error("a recording of less than a minute has no minute")
    met = True
    with tempfile.TemporaryDirectory(prefix="gpuwatch-size-") as name:
        folder = Path(name)
        if args.minutes is not None:
            met = report_recording(*record(round(args.minutes * 60), folder), folder)
        if args.logs is not None:
            report_logs(sorted(path for path in args.logs.iterdir() if path.suffix in (".csv", ".log")), folder)
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
