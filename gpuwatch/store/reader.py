"""Reading by SQL for people: one ``SELECT`` on the public views, checked by SQLite itself while it prepares the statement.

SQLite does not say reliably whether a view or the statement itself reads a table. So each private table is shadowed by a
temporary view that is refused wherever it is used: a statement that names the table gets the shadow, the public views do not.
"""

from __future__ import annotations

import re
import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Any

from gpuwatch.errors import UsageError
from gpuwatch.store import columns, connection

_HINT = "gpuwatch query 'SELECT * FROM v_schema' lists every view and column"
_SHADOW = "gpuwatch_private"
"""The function that every shadow calls."""
_CATALOGUES = frozenset({"sqlite_master", "sqlite_temp_master", "dbstat"})
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "writefile", "readfile", "edit", "fts3_tokenizer"})
_STEPS = 100_000
"""SQLite's steps (some milliseconds) after which Python gets a chance to see ctrl-c; until then it would wait for the end."""
_TOKEN = re.compile(r"--[^\n]*|/\*[\s\S]*?(?:\*/|$)|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|\w+|\S")


def open_reader(path: Path | str) -> sqlite3.Connection:
    """A connection that cannot write; see :func:`gpuwatch.store.connection.open_read` for what it raises."""
    db = connection.open_read(path)
    db.create_function(_SHADOW, 0, lambda: None)
    shadows = "".join(f"CREATE TEMP VIEW {table} AS SELECT {_SHADOW}();" for table in columns.TABLES)
    db.executescript(f"PRAGMA temp_store=MEMORY;PRAGMA query_only=OFF;{shadows}PRAGMA query_only=ON;")
    return db


def query(db: sqlite3.Connection, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of one ``SELECT`` (or ``WITH``) on the public views; ``db`` comes from :func:`open_reader`.

    Raises :class:`UsageError` for anything else (several statements, writes, private tables, an SQL error), in one line,
    :class:`gpuwatch.store.connection.OlderStore` for a view that an older store has not got, and :class:`KeyboardInterrupt` for a
    ctrl-c while it runs.
    """
    if _names_the_file(sql):
        raise UsageError("names with main. before them are not allowed; read the public views", _HINT)
    refused: list[str] = []
    db.set_progress_handler(lambda: None, _STEPS)
    db.set_authorizer(lambda *call: _authorize(refused, *call))
    try:
        cursor = db.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        if not names:
            raise UsageError("only SELECT is allowed", _HINT)
        return names, cursor.fetchall()
    except (sqlite3.Error, sqlite3.Warning) as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from None
        db.set_authorizer(None)
        explained = connection.explain(error, _file(db)) if isinstance(error, sqlite3.Error) else None
        if isinstance(explained, connection.OlderStore) and _is_public(str(error)):
            raise explained from error
        raise UsageError(refused[0] if refused else str(error), _HINT) from error
    finally:
        db.set_authorizer(None)
        db.set_progress_handler(None, 0)


def _is_public(message: str) -> bool:
    """Whether what is not there, by an error of SQLite, is a view or a column of this version."""
    from gpuwatch.store import views  # needed for this alone

    kind, _, name = message.rpartition(": ")
    name = name.rpartition(".")[2]
    if kind == "no such table":
        return name in views.NAMES
    return kind == "no such column" and any(column == name for _, column, _, _ in views.schema_rows())


def _file(db: sqlite3.Connection) -> str:
    """The path of the main database."""
    return str(db.execute("PRAGMA database_list").fetchone()[2])


def _names_the_file(sql: str) -> bool:
    """Whether a name is qualified with ``main``, which would reach around the shadows."""
    tokens = [token for token in _TOKEN.findall(sql) if not token.startswith(("--", "/*"))]
    return any(one.strip("'\"`[]").lower() == "main" and two == "." for one, two in pairwise(tokens))


def _authorize(refused: list[str], action: int, one: str | None, two: str | None, _database: str | None, inner: str | None) -> int:
    """``inner`` is the shadow that calls its function."""
    if action == sqlite3.SQLITE_READ:
        if one not in _CATALOGUES or two in ("ROWID", ""):  # which SQLite reads itself for json_each and its like
            return sqlite3.SQLITE_OK
        refused.append(f"{one} is private; read the public views")
    elif action == sqlite3.SQLITE_FUNCTION:
        if two == _SHADOW:
            refused.append(f"{inner} is private; read the public views")
        elif two not in _FORBIDDEN_FUNCTIONS:
            return sqlite3.SQLITE_OK
        refused.append(f"{two}() is not allowed")
    elif action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
        return sqlite3.SQLITE_OK
    elif action == sqlite3.SQLITE_UPDATE and one == "sqlite_master":
        return sqlite3.SQLITE_OK  # how SQLite declares json_each and its like; the connection itself cannot write
    refused.append("only SELECT on the public views is allowed")
    return sqlite3.SQLITE_DENY
