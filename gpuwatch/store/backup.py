"""Copying the store while a recorder writes it (SQLite's backup interface: one consistent moment, no lock held for long)."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from gpuwatch.errors import StoreError
from gpuwatch.store import connection

_PAGES = 2000  # 8 MB between two breaths, so that a recorder never waits


def backup(path: Path | str, target: Path | str) -> int:
    """Write a copy of the store to ``target`` (mode 0600, readable without WAL) and return its size in bytes.

    Raises :class:`StoreError` if the target exists or has no room, or if the store cannot be read.
    """
    target = Path(target)
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError as error:
        raise StoreError(f"{target} exists already", "name a file that does not exist") from error
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}", "name another file") from error
    try:
        source = connection.open_read(path)
        try:
            _copy(source, target)
        finally:
            source.close()
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target.stat().st_size


def _copy(source: sqlite3.Connection, target: Path) -> None:
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        source.backup(copy, pages=_PAGES, sleep=0.01)
        copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise connection.explain(error, target) from error
    finally:
        copy.close()
