"""Writing beside a recorder: care of the store (prune, forget, import) in short transactions of its own, only in this version's schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpuwatch.store import connection
from gpuwatch.store.columns import SCHEMA_VERSION
from gpuwatch.store.location import network_filesystem


@contextmanager
def open_beside(path: Path | str) -> Iterator[sqlite3.Connection]:
    """A connection that may write a store of exactly this schema, whether a recorder runs or not; its user begins the transactions.

    Raises :class:`NoStore`, :class:`OlderStore`, :class:`NewerStore` (both without touching the file), or :class:`StoreError` also
    for what SQLite says inside.
    """
    path = Path(path)
    if not connection.exists(path):
        raise connection.NoStore(f"there is no store at {path}", "start a recorder with: gpuwatch record")
    reader = connection.open_read(path)
    try:
        version = connection.schema_version(reader, path)
    finally:
        reader.close()
    if version > SCHEMA_VERSION:
        raise connection.newer(path, version)
    if version < SCHEMA_VERSION:
        raise connection.older(path, version)
    db = connection.open_write(path, wal=not network_filesystem(path))
    try:
        yield db
    except sqlite3.Error as error:
        raise connection.explain(error, path) from error
    finally:
        connection.close_cleanly(db)
