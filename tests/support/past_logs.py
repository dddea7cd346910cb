"""Past logs for tests, without a file, and what an import leaves in a store, by public names only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from gpuwatch.collectors.importers.types import LogProcessRow, LogRow, PastLog
from gpuwatch.measure import quantise
from gpuwatch.model import Gpu, GpuSample, Process
from gpuwatch.recorder.importing import Outcome, Settings, Source, import_log
from gpuwatch.store import connection
from gpuwatch.store.archive.codec import decode

T0 = 1_763_128_800_000
"""A whole hour, unix milliseconds."""
NOW = T0 + 40 * 86_400_000


def row(ts_ms: int, gpu: str = "0", duration_ms: int | None = None, **values: Any) -> LogRow:
    return LogRow(ts_ms, gpu, quantise(GpuSample("", **values)), duration_ms)


def log_of(rows: Iterable[LogRow | LogProcessRow], *, gpus: Sequence[Gpu] = (), processes: Sequence[Process] = (), **more: Any) -> PastLog:  # fmt: skip
    """A log of these rows; GPUs that are not given are called ``import:box:<key>``."""
    log = PastLog("a test", iter(()), processes={p.key: p for p in processes}, **more)
    log.gpus.update({str(gpu.index): gpu for gpu in gpus})

    def read() -> Iterable[LogRow | LogProcessRow]:
        for each in rows:
            log.lines_read += 1
            if isinstance(each, LogRow) and each.gpu not in log.gpus:
                log.gpus[each.gpu] = Gpu(f"import:box:{each.gpu}", int(each.gpu), "")
            yield each

    log.rows = iter(read())
    return log


def new_store(path: Path) -> Path:
    connection.open_write(path).close()
    return path


def imported(
    store: Path, rows: Sequence[LogRow | LogProcessRow], *, name: str = "log", label: str = "box", now_ms: int = NOW, **more: Any
) -> Outcome:
    """Import rows into a store under one label. ``more`` are settings, or parts of the log."""
    settings = {key: more.pop(key) for key in ("zone", "interval_ms") if key in more}
    source = Source(name, f"hash of {name}", lambda: log_of(rows, **more))
    return import_log(store, source, Settings(label, **settings), now_ms=now_ms)


def ask(store: Path, sql: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(store)) as db:
        return db.execute(sql, values).fetchall()


TABLES = {
    "gpu": ("gpu_minute", "gpu_hour", "gpu_day"),
    "ledger": ("ledger_minute", "ledger_hour", "ledger_day"),
    "process": ("process_minute", "process_hour", "process_day"),
}


def content(store: Path) -> dict[str, list[Any]]:
    """All that a store says of imported rows, with names instead of ids, in one order."""
    with closing(sqlite3.connect(store)) as db:
        db.row_factory = sqlite3.Row
        gpus = {row["gpu_id"]: (row["host_id"], row["uuid"]) for row in db.execute("SELECT * FROM gpu")}
        hosts = {row["host_id"]: row["machine_id"] for row in db.execute("SELECT * FROM host")}
        gpus = {key: (hosts[host], uuid) for key, (host, uuid) in gpus.items()} | {0: ("", "")}
        processes = {row["proc_id"]: (row["pid"], row["start_ms"]) for row in db.execute("SELECT * FROM process")}
        owners = {row["owner_id"]: (row["job"], processes[row["proc_id"]]) for row in db.execute("SELECT * FROM owner")} | {0: ()}

        def named(row: sqlite3.Row) -> tuple[Any, ...]:
            found = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a row iterates over its values
            for key, names in (("gpu_id", gpus), ("proc_id", processes), ("owner_id", owners)):
                if key in found:
                    found[key] = names[found[key]]
            return tuple(found.items())

        out: dict[str, list[Any]] = {}
        for table in (*(name for names in TABLES.values() for name in names), "ledger_span"):
            out[table] = sorted(map(named, db.execute(f"SELECT * FROM {table}")), key=repr)
        out["gap"] = sorted(
            (hosts[g["host_id"]], gpus[g["gpu_id"]][1], g["t0_ms"], g["t1_ms"], g["reason"])
            for g in db.execute("SELECT * FROM gap")
        )
        for table in ("hist_hour", "hist_day"):
            found = db.execute(f"SELECT * FROM {table}")
            out[table] = sorted((*gpus[h["entity_id"]], h["t"], h["metric"], h["bin"], h["weight"]) for h in found)
        out["rows"] = []
        for chunk in db.execute("SELECT * FROM chunk ORDER BY t0_ms, kind"):
            cells = decode(chunk["cols"], chunk["body"])
            if "proc_id" in cells:
                cells["proc_id"] = [processes[proc] for proc in cells["proc_id"]]
            rows = sorted(zip(*cells.values(), strict=True), key=repr)
            out["rows"].append(
                (chunk["kind"], gpus[chunk["entity_id"]], chunk["t0_ms"], chunk["t1_ms"], chunk["n"], tuple(cells), rows)
            )
        out["rows"].sort(key=repr)
    return out
