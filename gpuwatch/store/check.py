"""Looking for damage: SQLite's own check of every page, then of what the tables say about each other."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gpuwatch.store import connection

_REFERENCES = (
    ("gpu_sample", "tick_id", "tick", "tick_id"),
    ("process_sample", "tick_id", "tick", "tick_id"),
    ("gpu_sample", "gpu_id", "gpu", "gpu_id"),
    ("process_sample", "proc_id", "process", "proc_id"),
    ("gpu_minute", "gpu_id", "gpu", "gpu_id"),
    ("process_minute", "proc_id", "process", "proc_id"),
)


def check(path: Path | str, *, limit: int = 20) -> list[str]:
    """What is wrong with the store, one line each, empty if nothing is. Reads the whole file (seconds for a gigabyte).

    Raises :class:`gpuwatch.errors.StoreError` if it cannot be opened at all for another reason than damage.
    """
    try:
        db = connection.open_read(path)
    except connection.DamagedStore as error:
        return [str(error)]
    try:
        lines = [row[0] for row in db.execute(f"PRAGMA quick_check({limit})") if row[0] != "ok"]
        return [f"{path}: {line}" for line in lines] or _dangling(db, path)
    except sqlite3.Error as error:
        return [str(connection.explain(error, path))]
    finally:
        db.close()


def _dangling(db: sqlite3.Connection, path: Path | str) -> list[str]:
    """Rows that point to nothing."""
    out = []
    for table, column, target, key in _REFERENCES:
        sql = f"SELECT count(*) FROM {table} s WHERE NOT EXISTS (SELECT 1 FROM {target} t WHERE t.{key}=s.{column})"
        count = db.execute(sql).fetchone()[0]
        if count:
            out.append(f"{path}: {count} rows of {table} name a {target} that is not there")
    return out
