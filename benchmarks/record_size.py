"""What real recordings take in the archive: minutes of the real ``gpuwatch record``, and past logs of real GPUs.

``python benchmarks/record_size.py --minutes 10`` runs ``gpuwatch record`` in real time on the fake driver: 8 H100 with GPM in the
four states of ``archive_scene.py`` with its noise in every digit, 16 real sleeping processes on each but the empty ones. With
``--busy`` each of the 8 has 16 that all compute, and every value is drawn anew in each second, evenly from a wide span: that
compresses worse than what is real, so no budget of size is held against it. It prints what the recorder cost, then seals a copy of
its store with the recorder's own functions as if the hour were over, and weighs that. ``--logs FOLDER`` imports each log of a folder
with ``gpuwatch import``.

How it is scaled to the day of a GPU: chunks by rows (a recording has 86,400 a day, a log as many as it has at its own pace), minutes
and their ledger by minutes (1440), hours, distributions and the heads of chunks by hours (24; those of a part of an hour count as a
whole one). What is weighed are rows, and for each chunk of a recording the half page that it leaves empty in the middle. The naive
table holds the same rows (see ``archive_size.py``) and is scaled by rows, with its pages.
"""

from __future__ import annotations

import argparse
import json
import os
import random
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

import archive_scene
from archive_size import BUDGET_ALL, BUDGET_GPU, FAMILIES, OF_PROCESSES, ROLLUPS, naive, seal, weigh
from pty_measure import cpu_seconds, rss_mb
from scene import FakeDriver, home, moving, of_class, watched
from store import written

from gpuwatch.clock import FakeClock
from gpuwatch.measure import measures
from gpuwatch.model import ProcessSample
from gpuwatch.recorder.closer import Closer
from gpuwatch.store.archive.shapes import GPU, PROCESS
from gpuwatch.store.hours import FINAL_AFTER_S, close_hours, close_ledger_hours
from gpuwatch.store.writer import StoreWriter

GPUS, PER_GPU = 8, archive_scene.PROCESSES
WARM_SECONDS, END_SECONDS = 11, 3
BUDGET_KIB, BUDGET_RSS_MB = 20, 30
DAY_S, HOUR_MS = 86_400, 3_600_000
ROW = 40 + 2048
"""What a chunk takes beside its two texts: its other columns, and half a page that stays empty."""
GAUGES = {
    "util": ("utilization_ratio", 100),
    "memutil": ("memory_utilization_ratio", 100),
    "memory_used": ("memory_used_bytes", 1),
    "power_mw": ("power_watts", 1000),
    "temp": ("temperature_celsius", 1),
    "memtemp": ("memory_temperature_celsius", 1),
    "sm_clock": ("sm_clock_hertz", 1e-6),
    "gpm.1": ("graphics_active_ratio", 1000),
    "gpm.2": ("sm_active_ratio", 1000),
    "gpm.3": ("sm_occupancy_ratio", 1000),
    "gpm.5": ("tensor_active_ratio", 1000),
    "gpm.10": ("dram_active_ratio", 1000),
    "pcie_rx_kib_s": ("pcie_rx_bytes", 1 / 1024),
    "pcie_tx_kib_s": ("pcie_tx_bytes", 1 / 1024),
    "nvlink_rx_kib_s": ("nvlink_rx_bytes", 1 / 1024),
    "nvlink_tx_kib_s": ("nvlink_tx_bytes", 1 / 1024),
}
"""Series of the fake driver -> the gauge that it plays, and its factor."""
SM_COLUMN = list(measures(ProcessSample)).index("sm_utilization_ratio")
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


class Scene(NamedTuple):
    """Lines of a scenario, its processes, and how many GPUs have some."""

    title: str
    lines: list[str]
    processes: int
    held: int


def busy(seconds: int) -> Scene:
    """Nothing but what is new in each second."""
    title = "each busy, every value drawn evenly from a wide span in each second"
    return Scene(title, moving(GPUS, GPUS * PER_GPU, seconds=seconds), GPUS * PER_GPU, GPUS)


def lifelike(seconds: int) -> Scene:
    """Each state of ``archive_scene.py`` twice, second by second."""
    dice, states = random.Random(7), archive_scene.STATES * 2
    boards = [archive_scene.Board(number, state, dice) for number, state in enumerate(states)]
    lines, first = of_class("hopper-h100", GPUS).splitlines(), 0
    for number, board in enumerate(boards):
        sampled = [board.gauges(second)[1] for second in range(seconds)]
        for name, (field, factor) in GAUGES.items():
            values = [round((getattr(sample, field) or 0) * factor) for sample in sampled]
            lines += [f"v {number} {name} {second * 1000} {value}" for second, value in enumerate(values)]
        for n in range(len(board.processes)):
            lines += [
                f"proc p{first + n} kind=C name=python3",
                f"pv p{first + n} {number} mem 0 {1 + 32 * (n < archive_scene.HEAVY)}000000000",
            ]
        for second in range(0, seconds, archive_scene.PROCESS_STEP):
            shares = [row.values[SM_COLUMN] or 0 for row in board.process_rows()]
            lines += [
                f"pv p{first + n} {number} sm {second * 1000} {share // 10}"
                for n, share in enumerate(shares)
                if n < archive_scene.HEAVY or not second
            ]
        first += len(board.processes)
    return Scene(
        ", ".join(archive_scene.STATES) + " twice, noise in every digit",
        lines,
        first,
        sum(bool(board.processes) for board in boards),
    )


def record(scene: Scene, seconds: int, folder: Path) -> tuple[Path, Cost]:
    """``gpuwatch record`` for so long: its store, and what a tick cost between its start and its end."""
    path = folder / "recorded.db"
    with watched(scene.lines, scene.processes) as fake:
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
    with FakeDriver(moving(GPUS, GPUS * PER_GPU)) as usual:
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
    """A copy of a recorder's store as it is when the hour is over: its minutes and hours closed, its rows sealed."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        last_ms = source.execute("SELECT max(ts_ms) FROM tick").fetchone()[0]
    end_ms = -(-last_ms // HOUR_MS) * HOUR_MS
    final_ms = end_ms + (FINAL_AFTER_S + 60) * 1000
    writer = StoreWriter.open(copy, clock=FakeClock(final_ms / 1000), tmpfs_fallback=False)
    Closer(writer).finish(final_ms)
    close_hours(writer.connection, final_ms)
    close_ledger_hours(writer.connection, final_ms)
    seal(writer.connection, end_ms)
    yield writer.connection
    writer.close()


def used(db: sqlite3.Connection) -> Counter[str]:
    """Bytes in each table with its indices, by SQLite's own count; what is unused in half-empty pages is left out."""
    owner = dict(db.execute("SELECT name, tbl_name FROM sqlite_master"))
    out = Counter[str]()
    for name, size in db.execute("SELECT name, sum(pgsize-unused) FROM dbstat GROUP BY name"):
        out[owner.get(name, name)] += size
    return out


def parts_of_a_day(db: sqlite3.Connection, seconds: float, held: int) -> dict[str, float]:
    """Bytes of a GPU-day by part, those of processes by GPUs that have some."""
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
    return {name: size / (held if name in OF_PROCESSES else GPUS) for name, size in counted.items()}


def _count(db: sqlite3.Connection, what: str, where: str) -> int:
    number: int = db.execute(f"SELECT {what} FROM {where}").fetchone()[0]
    return number


def report_recording(scene: Scene, path: Path, cost: Cost, folder: Path) -> bool:
    """Print what the recorder cost and what its rows take; whether the budgets are met."""
    with closed(path, folder / "closed.db") as db:
        rows = {kind: _count(db, "coalesce(sum(n),0)", f"chunk WHERE kind={kind}") for kind in (GPU, PROCESS)}
        seconds = rows[GPU] / GPUS
        built = naive(db, folder, "1")
        peer = {GPU: built[GPU] / GPUS * DAY_S / seconds, PROCESS: built[PROCESS] / scene.held * DAY_S / seconds}
        sizes = parts_of_a_day(db, seconds, scene.held)
    print(f"\n`gpuwatch record`, {seconds:.0f} s of {GPUS} GPUs and {scene.processes} processes: {scene.title}")
    print(f"  a tick: {cost.cpu_ms:.2f} ms of CPU, {cost.kib:.1f} KiB written (budget {BUDGET_KIB}), {cost.driver_ms:.2f} ms inside the fake driver")  # fmt: skip
    print(f"  memory {cost.rss_mb:.1f} MB (budget {BUDGET_RSS_MB}) and {cost.scenario_mb:.1f} for the scenario, which the fake driver holds; the store as recorded {path.stat().st_size / 1e6:.2f} MB")  # fmt: skip
    print(f"  {rows[GPU]} GPU rows, {rows[PROCESS]} process rows; MB per GPU-day with {PER_GPU} processes")
    beside = {"chunks: gpu": peer[GPU], "chunks: process": peer[PROCESS]}
    for name, size in sizes.items():
        naive_size = f"   naive {beside[name] / 1e6:>8.2f} ({beside[name] / size:.0f}x)" if name in beside else ""
        print(f"  {name:<26}{size / 1e6:>8.3f}{naive_size}")
    gpu, total, whole = sizes["chunks: gpu"], sum(sizes.values()), sum(peer.values())
    print(
        f"  {'all, with processes':<26}{total / 1e6:>8.3f}   naive {whole / 1e6:>8.2f} ({whole / total:.0f}x, and without rollups)"
    )
    missed = [f"{cost.kib:.1f} KiB"] * (cost.kib > BUDGET_KIB) + [f"{cost.rss_mb:.1f} MB of memory"] * (cost.rss_mb > BUDGET_RSS_MB)
    if scene.held < GPUS:
        missed += ["GPU rows"] * (gpu > BUDGET_GPU) + ["all parts"] * (total > BUDGET_ALL)
        print(f"  budgets of size: GPU rows {BUDGET_GPU / 1e6}, all {BUDGET_ALL / 1e6}")
    print("  budgets MISSED: " + ", ".join(missed) if missed else "  budgets met")
    return not missed


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
    parser.add_argument("--busy", action="store_true", help="values that nothing can compress")
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
            seconds = round(args.minutes * 60)
            scene = (busy if args.busy else lifelike)(seconds + 60)
            met = report_recording(scene, *record(scene, seconds, folder), folder)
        if args.logs is not None:
            report_logs(sorted(path for path in args.logs.iterdir() if path.suffix in (".csv", ".log")), folder)
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
