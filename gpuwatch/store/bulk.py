"""Many rows in few statements: per row SQLite's insert is cheap, binding and stepping one statement for each is what costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

from gpuwatch.store.columns import insert_sql, placeholders

_ROWS = 80
"""Rows a statement; at 128 rows of 11 columns half the CPU of one row a statement, and more gains nothing."""


class Inserter:
    """``INSERT OR REPLACE`` of plain tuples into one table."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self._one = insert_sql(table, columns)
        self._width = len(columns)
        self._group = f",({placeholders(columns)})"

    def insert(self, db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert all rows in the open transaction."""
        size = max(1, min(_ROWS, db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // self._width))
        whole = len(rows) // size * size
        if whole:
            many = self._one + self._group * (size - 1)
            for start in range(0, whole, size):
                db.execute(many, tuple(chain.from_iterable(rows[start : start + size])))
        if whole < len(rows):
            db.executemany(self._one, rows[whole:])
