"""How long what is kept, and how rows are deleted beside a recorder: in short transactions of about a thousand rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from gpuwatch.dataclass import NamedTuple
from gpuwatch.store.connection import transaction

SLICE_ROWS, SLICE_CHUNKS = 1000, 16


class Keep(NamedTuple):
    """How long what is kept, and how large the file may become in MB (0: without a limit)."""

    hot_hours: float = 2.0
    chunk_days: float = 30.0
    minute_days: float = 35.0
    process_minute_days: float = 7.0
    hour_days: float = 400.0
    max_mb: int = 2048


def run(db: sqlite3.Connection, sql: str, values: Sequence[int] = ()) -> int:
    """One statement in a transaction of its own; the rows that it changed."""
    with transaction(db):
        return db.execute(sql, values).rowcount


def delete_chunks(db: sqlite3.Connection, where: str, values: Sequence[int] = ()) -> Iterator[int]:
    """Chunks are large: a few at a time."""
    sql = f"DELETE FROM chunk WHERE rowid IN (SELECT rowid FROM chunk WHERE {where} LIMIT {SLICE_CHUNKS})"
    while deleted := run(db, sql, values):
        yield deleted


def delete_rows(db: sqlite3.Connection, table: str, column: str, span: tuple[int, int], more: str = "") -> Iterator[int]:
    """Rows with ``column`` in ``[span[0], span[1])`` and ``more`` true, up to the row that is a slice further each time."""
    start, end = span
    further = f"SELECT {column} FROM {table} WHERE {column}>=? AND {column}<? ORDER BY {column} LIMIT 1 OFFSET {SLICE_ROWS}"
    sql = f"DELETE FROM {table} WHERE {column}>=? AND {column}<?{' AND ' if more else ''}{more}"
    while start < end:
        row = db.execute(further, (start, end)).fetchone()
        until = end if row is None else max(row[0], start + 1)
        yield run(db, sql, (start, until))
        start = until
