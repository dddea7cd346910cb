"""What a GPU-day takes in the archive, by kind, beside the table that one writes first, and what sealing and reading it cost.

``python benchmarks/archive_size.py`` records two hours of four GPUs with noise in every digit (a training, a server, a held idle and an
empty GPU, with 16 processes each; see ``archive_scene.py``) and two hours of the simulated lab through the recorder's own store, seals
them, and scales to a day; ``--full`` records 24 hours of each. The naive table holds the same rows: an id, the time as ISO text, the
UUID, every measured value as a real number in its base unit, for processes also pid, user and command line, and two indices. One hour
of it is built and scaled. Exits 1 when a budget is missed. CPU is that of this process; a busy machine adds to it.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import archive_scene

from gpuwatch import plugin
from gpuwatch.clock import FakeClock
from gpuwatch.dataclass import replace
from gpuwatch.measure import measures
from gpuwatch.model import GpuSample, ProcessSample
from gpuwatch.plugin import CollectorContext
from gpuwatch.recorder.closer import Closer
from gpuwatch.recorder.merge import Merger
from gpuwatch.store.archive import codec
from gpuwatch.store.archive.seal import HOUR_MS, due
from gpuwatch.store.archive.shapes import GPU, PROCESS, SHAPES
from gpuwatch.store.columns import HOT_TABLES
from gpuwatch.store.hours import close_hours, close_ledger_hours
from gpuwatch.store.rows import Tick
from gpuwatch.store.writer import StoreWriter

BUDGET_GPU, BUDGET_ALL, BUDGET_STEP_MS = 1.3e6, 4e6, 5.0
MARKS = {GPU: "gpu", PROCESS: "process"}
ROLLUPS = {
    "minutes of GPUs": ("gpu_minute",),
    "minutes of processes": ("process_minute",),
    "ledger minutes": ("ledger_minute", "ledger_span"),
    "distributions": ("hist_hour", "hist_bin"),
}
FAMILIES = ("gpu", "process", "ledger")
OF_PROCESSES = ("chunks: process", "minutes of processes")
FIRST_HOUR = f"t0_ms={archive_scene.START_S * 1000}"


class Sealing(NamedTuple):
    """CPU seconds and rows by kind, and the longest steps (ms)."""

    cpu: Counter[int]
    rows: Counter[int]
    steps: list[float]


def simulated(hours: float, scenario: str = "lab") -> Iterator[Tick]:
    """The simulated host at 1 Hz, processes every two seconds as its collector gives them when it is live."""
    end = archive_scene.START_S + round(hours * 3600)
    context = CollectorContext(clock=FakeClock(float(end)), options={"scenario": scenario, "epoch": end})
    collector: Any = plugin.load("simulated")(context)
    collector.open()
    merger = Merger({collector.name: 1})
    for batch in collector.backfill(archive_scene.START_S - 1, end, 1):
        if batch.t % 2:
            batch = replace(batch, process_samples=())
        yield merger.merge(batch.t * 1000, {collector.name: batch})


def record(path: Path, ticks: Iterable[Tick]) -> StoreWriter:
    """Write ticks as a recorder does, minute for minute."""
    clock = FakeClock(float(archive_scene.START_S))
    writer = StoreWriter.open(path, clock=clock, simulated=True, tmpfs_fallback=False)
    writer.begin_session(archive_scene.START_S * 1000, 1000, "bench")
    closer = Closer(writer)
    for tick in ticks:
        writer.add(tick)
        if tick.ts_ms % 60_000 == 0:
            writer.commit()
            closer.finish(tick.ts_ms)
    return writer


def seal(db: sqlite3.Connection, now_ms: int) -> Sealing:
    """Seal all closed hours, step by step as the recorder does."""
    out = Sealing(Counter(), Counter(), [])
    for job in due(db, now_ms):
        steps = job.steps(db)
        while True:
            began = time.process_time()
            ended = next(steps, "end") == "end"
            took = time.process_time() - began
            out.cpu[job.kind] += took  # type: ignore[assignment]
            if ended:
                break
            out.steps.append(took * 1000)
    for kind, rows in db.execute("SELECT kind, sum(n) FROM chunk GROUP BY kind"):
        out.rows[kind] = rows
    out.steps.sort()
    return out


def file_bytes(db: sqlite3.Connection) -> int:
    """The size of the file without free pages."""
    db.execute("VACUUM")
    pages, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * size)


def weigh(db: sqlite3.Connection) -> dict[str, int]:
    """What each part takes in the file: its size with it less the size without it.

    Hours are so few that they fill no page; each is as large as a minute's row of its kind.
    """
    rows = {t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for f in FAMILIES for t in (f"{f}_minute", f"{f}_hour")}
    for table in (*HOT_TABLES, "tick"):
        db.execute(f"DELETE FROM {table}")
    left, out = file_bytes(db), dict[str, int]()
    parts: dict[str, tuple[str, ...]] = {
        "chunks: gpu": (f"chunk WHERE kind={GPU}",),
        "chunks: process": (f"chunk WHERE kind={PROCESS}",),
        "chunks: host, recorder": ("chunk",),
    }
    for name, tables in {**parts, **ROLLUPS}.items():
        for table in tables:
            db.execute(f"DELETE FROM {table}")
        now = file_bytes(db)
        out[name], left = left - now, now
    minutes = {"gpu": out["minutes of GPUs"], "process": out["minutes of processes"], "ledger": out["ledger minutes"]}
    out["hours"] = round(sum(size * rows[f"{f}_hour"] / max(rows[f"{f}_minute"], 1) for f, size in minutes.items()))
    return out


# ----------------------------------------------------------------------------------------------------------------- naive


def naive(db: sqlite3.Connection, folder: Path, where: str = FIRST_HOUR) -> dict[int, float]:
    """Bytes of the GPU and process rows of these chunks in the table that one writes first."""
    uuids = dict(db.execute("SELECT gpu_id, uuid FROM gpu"))
    people = {row[0]: row[1:] for row in db.execute("SELECT p.proc_id, p.pid, coalesce(u.name,''), p.command FROM process p LEFT JOIN user_account u ON u.user_id=p.user_id")}  # fmt: skip
    out: dict[int, float] = {}
    for kind, sample_type in ((GPU, GpuSample), (PROCESS, ProcessSample)):
        chunks = db.execute(f"SELECT entity_id, cols, body FROM chunk WHERE kind=? AND {where}", (kind,)).fetchall()
        if not chunks:
            out[kind] = 0
            continue
        scales = [(m.column, m.scale) for m in measures(sample_type).values()]
        measured = {name for _, cols, body in chunks for name, values in codec.decode(cols, body).items() if values.count(None) != len(values)}  # fmt: skip
        kept = [(name, scale) for name, scale in scales if name in measured]
        path = folder / f"naive-{kind}.db"
        path.unlink(missing_ok=True)
        made = sqlite3.connect(path)
        who = ", pid INTEGER, user TEXT, command TEXT" if kind == PROCESS else ""
        made.execute(f"CREATE TABLE sample(id INTEGER PRIMARY KEY, at TEXT, uuid TEXT{who}, {','.join(f'{name} REAL' for name, _ in kept)})")  # fmt: skip
        made.execute("CREATE INDEX by_time ON sample(at)")
        made.execute("CREATE INDEX by_gpu ON sample(uuid)")
        marks = ",".join("?" * (2 + 3 * (kind == PROCESS) + len(kept)))
        for entity, cols, body in chunks:
            columns = codec.decode(cols, body)
            at = [datetime.fromtimestamp(ts / 1000, UTC).isoformat() for ts in columns["ts_ms"]]
            cells = [[None if v is None else v / scale for v in columns[name]] for name, scale in kept]
            whose = list(zip(*(people[i] for i in columns["proc_id"]), strict=True)) if kind == PROCESS else []
            rows = zip(at, [uuids.get(entity, "")] * len(at), *whose, *cells, strict=True)
            made.executemany(f"INSERT INTO sample VALUES(NULL,{marks})", rows)
        made.commit()
        made.close()
        out[kind] = path.stat().st_size
    return out


def decode_all(db: sqlite3.Connection, kind: int) -> tuple[float, int]:
    """CPU seconds of decoding every chunk of a kind, and how many chunks."""
    chunks = db.execute("SELECT cols, body FROM chunk WHERE kind=?", (kind,)).fetchall()
    began = time.process_time()
    for cols, body in chunks:
        codec.decode(cols, body)
    return time.process_time() - began, len(chunks)


# ----------------------------------------------------------------------------------------------------------------- report


def measure(title: str, ticks: Iterable[Tick], hours: int, folder: Path, say: Callable[[str], None]) -> bool:
    """Record, seal, weigh and print one recording; whether the budgets are met."""
    end_ms = archive_scene.START_S * 1000 + hours * HOUR_MS
    writer = record(folder / "bench.db", ticks)
    db = writer.connection
    close_hours(db, end_ms)
    close_ledger_hours(db, end_ms + 3_600_000)
    cost = seal(db, end_ms)
    gpus, held = (db.execute(f"SELECT count(DISTINCT entity_id) FROM chunk WHERE kind={k} AND entity_id>0").fetchone()[0] for k in MARKS)  # fmt: skip
    boards = "SELECT entity_id, sum(length(body)+length(cols)) FROM chunk WHERE kind=0 GROUP BY 1 ORDER BY 1"
    each = [size / hours * 24 / 1e6 for _, size in db.execute(boards)]
    reading = {kind: decode_all(db, kind) for kind in MARKS}
    built = naive(db, folder)
    peer = {"chunks: gpu": built[GPU] / gpus * 24, "chunks: process": built[PROCESS] / held * 24}
    sizes = {name: size / (held if name in OF_PROCESSES else gpus) / hours * 24 for name, size in weigh(db).items()}
    db.close()
    say(f"\n{title}\n  {gpus} GPUs ({held} with processes), {cost.rows[GPU]} GPU rows, {cost.rows[PROCESS]} process rows, {hours} h; MB per GPU-day")  # fmt: skip
    for name, size in sizes.items():
        beside = f"   naive {peer[name] / 1e6:>8.2f} ({peer[name] / size:.0f}x)" if name in peer else ""
        say(f"  {name:<26}{size / 1e6:>8.3f}{beside}")
    gpu, total, whole = sizes["chunks: gpu"], sum(sizes.values()), sum(peer.values())
    say(f"  {'all, with processes':<26}{total / 1e6:>8.3f}   naive {whole / 1e6:>8.2f} ({whole / total:.0f}x, and without rollups)")
    say("  GPU chunks by GPU: " + ", ".join(f"{size:.2f}" for size in each))
    for kind, mark in MARKS.items():
        (seconds, chunks), rows = reading[kind], max(cost.rows[kind], 1)
        say(f"  {mark:<8} seal {cost.cpu[kind] / rows * 1e6:5.1f} us a row, {cost.cpu[kind] / max(chunks, 1) * 1e3:6.1f} ms a GPU-hour;"
            f" decode all {seconds / rows * 1e6:4.2f} us a row, {seconds / max(chunks, 1) * 1e3:5.1f} ms")  # fmt: skip
    steps = cost.steps
    middle, high = steps[len(steps) // 2], steps[len(steps) * 95 // 100]
    say(f"  {len(steps)} steps of sealing: median {middle:.2f} ms, 95 % {high:.2f}, longest {steps[-1]:.2f}")
    met = gpu <= BUDGET_GPU and total <= BUDGET_ALL and middle <= BUDGET_STEP_MS
    say(
        f"  budgets: GPU rows {BUDGET_GPU / 1e6}, all {BUDGET_ALL / 1e6}, a step {BUDGET_STEP_MS:.0f} ms: {'met' if met else 'MISSED'}"
    )
    (folder / "bench.db").unlink()
    return met


def main(say: Callable[[str], None] = print) -> int:
    """Measure both recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--full", action="store_true", help="24 hours of each, nothing scaled but the naive table")
    args = parser.parse_args()
    hours = 24 if args.full else 2
    say(f"{hours} hours recorded at 1 Hz (processes every 2 s)" + ("" if args.full else " and scaled to a day") + f"; {len(SHAPES)} kinds of chunks")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noisy = f"noise in every digit: {', '.join(archive_scene.STATES)}; 16 processes on each but the empty one"
        met = [
            measure(noisy, archive_scene.ticks(hours), hours, folder, say),
            measure("simulated lab", simulated(hours), hours, folder, say),
        ]
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
