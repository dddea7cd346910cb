"""Rows of ``server`` and ``server_field`` on their way into the store: queued when something changed, written after the workload's."""

from __future__ import annotations

import sqlite3
from typing import Any

from gpuwatch.model import Server

_SERVER = (
    *("workload_id", "state", "detail", "hint", "url", "engine", "engine_version", "served_model", "verified"),
    *(
        "max_model_tokens",
        "max_running_requests",
        "kv_cache_tokens",
        "interval_ms",
        "scrape_us",
        "page_bytes",
        "first_ms",
        "last_ms",
    ),
)
_FIELD = ("workload_id", "field", "quality", "source", "since_ms")
_KEEP = 2000
Row = tuple[Any, ...]
Known = tuple[Row, tuple[Row, ...]]
"""A row of ``server`` and its rows of ``server_field``."""


def _upsert(table: str, names: tuple[str, ...], rows: str, key: str, changes: str) -> str:
    return f"INSERT INTO {table}({','.join(names)}) {rows} ON CONFLICT({key}) DO UPDATE SET {changes}"


def server_sql(rows: str) -> str:
    """Insert or renew servers; ``rows`` is ``VALUES …`` or a ``SELECT`` with ``WHERE``. When it was first seen stays."""
    changes = [f"{name}=excluded.{name}" for name in _SERVER[1:] if name not in ("first_ms", "last_ms")]
    return _upsert("server", _SERVER, rows, "workload_id", ",".join([*changes, "last_ms=max(server.last_ms,excluded.last_ms)"]))


def field_sql(rows: str) -> str:
    """The same for the sources of their numbers: ``since_ms`` stays as long as the source does."""
    same = "server_field.quality=excluded.quality AND server_field.source=excluded.source"
    since = f"since_ms=CASE WHEN {same} THEN server_field.since_ms ELSE excluded.since_ms END"
    return _upsert("server_field", _FIELD, rows, "workload_id,field", f"quality=excluded.quality,source=excluded.source,{since}")


_SERVER_SQL = server_sql(f"VALUES({','.join('?' * len(_SERVER))})")
_FIELD_SQL = field_sql(f"VALUES({','.join('?' * len(_FIELD))})")


class ServerRows:
    """What is known of each server, by its workload's row id, and what of it is still to be written."""

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}
        self._pending: set[int] = set()

    def put(self, workload_id: int, server: Server, ts_ms: int) -> None:
        """A server that is new or has changed."""
        row = (
            *(workload_id, int(server.state), server.detail, server.hint, server.url, server.engine, server.engine_version),
            *(server.served_model, int(server.verified), server.max_model_tokens, server.max_running_requests),
            *(server.kv_cache_tokens, round(server.interval_seconds * 1000)),
            *(None if server.scrape_seconds is None else round(server.scrape_seconds * 1e6), server.page_bytes, ts_ms, ts_ms),
        )
        fields = tuple((workload_id, known.field, int(known.quality), known.source, ts_ms) for known in server.fields)
        self._known.pop(workload_id, None)
        self._known[workload_id] = row, fields
        self._pending.add(workload_id)

    def requeue_all(self) -> None:
        """Write every one again: the file was replaced by an empty one."""
        self._pending.update(self._known)

    def take_away(self, workload_id: int) -> Known | None:
        """Write it no more under this id; gives what was known of it, for :meth:`put_again`."""
        self._pending.discard(workload_id)
        return self._known.pop(workload_id, None)

    def put_again(self, workload_id: int, known: Known, ts_ms: int) -> None:
        """What was taken away goes on under another id."""
        row, fields = known
        again = tuple((workload_id, *field[1:-1], ts_ms) for field in fields)
        self._known[workload_id] = (workload_id, *row[1:-2], ts_ms, ts_ms), again
        self._pending.add(workload_id)

    def write(self, db: sqlite3.Connection) -> None:
        """Put what is pending into the open transaction, after the workloads; ``written`` forgets it after the commit."""
        for workload_id in sorted(self._pending):
            row, fields = self._known[workload_id]
            db.execute(_SERVER_SQL, row)
            gone = f"DELETE FROM server_field WHERE workload_id=? AND field NOT IN ({','.join('?' * len(fields))})"
            db.execute(gone, (workload_id, *(field[1] for field in fields)))
            db.executemany(_FIELD_SQL, fields)

    def written(self) -> None:
        """The commit succeeded."""
        self._pending.clear()
        while len(self._known) > _KEEP:
            del self._known[next(iter(self._known))]
