"""Reading by SQL for people: one ``SELECT`` on the public views, checked by SQLite itself while it prepares the statement."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from gpuwatch.errors import UsageError
from gpuwatch.store import columns, connection, views

_HINT = "gpuwatch query 'SELECT * FROM v_schema' lists every view and column"
_PRIVATE = frozenset(columns.TABLES)
_INSIDE = frozenset({*views.NAMES, "m", "c", "hole", "weighted", "x"})
"""Views, and the names of the subqueries inside them: SQLite says which of them reads a table."""
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "writefile", "readfile", "edit", "fts3_tokenizer"})


def open_reader(path: Path | str) -> sqlite3.Connection:
    """A connection that cannot write; see :func:`gpuwatch.store.connection.open_read` for what it raises."""
    return connection.open_read(path)


def query(db: sqlite3.Connection, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of one ``SELECT`` (or ``WITH``) on the public views.

    Raises :class:`UsageError` for anything else (several statements, writes, private tables, an SQL error), in one line.
    """
    refused: list[str] = []
    db.set_authorizer(lambda *call: _authorize(refused, *call))
    try:
        cursor = db.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        if not names:
            raise UsageError("only SELECT is allowed", _HINT)
        return names, cursor.fetchall()
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise UsageError(refused[0] if refused else str(error), _HINT) from error
    finally:
        db.set_authorizer(None)


def _authorize(refused: list[str], action: int, one: str | None, two: str | None, _database: str | None, inner: str | None) -> int:
    """Private tables may be read by the views alone; ``inner`` names the view or subquery that reads."""
    if action == sqlite3.SQLITE_READ:
        if one not in _PRIVATE or not two or inner in _INSIDE:
            return sqlite3.SQLITE_OK
        refused.append(f"{one} is private; read the public views")
    elif action == sqlite3.SQLITE_FUNCTION:
        if two not in _FORBIDDEN_FUNCTIONS:
            return sqlite3.SQLITE_OK
        refused.append(f"{two}() is not allowed")
    elif action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
        return sqlite3.SQLITE_OK
    elif action == sqlite3.SQLITE_UPDATE and one == "sqlite_master":
        return sqlite3.SQLITE_OK  # how SQLite declares json_each and its like; the connection itself cannot write
    refused.append("only SELECT on the public views is allowed")
    return sqlite3.SQLITE_DENY
