"""Any span of the store as rows under the names and units of the public views, a slice of time after the other: memory stays flat.

A row speaks for the time before it, so ``[start, end)`` has the single rows with ``start < ts_ms <= end``: exports of spans that
follow each other have every row once. Buckets and events lie in a span by their start, gaps by any part of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import dataclass
from gpuwatch.errors import UsageError
from gpuwatch.model import HostSample
from gpuwatch.store import views
from gpuwatch.store.viewkit import HOST, TS, Col, View, raw_measures, seconds

Row = tuple[Any, ...]
HOUR_S, DAY_S = 3600, 86_400
WHAT = ("gpu", "process", "workload", "host", "ledger", "events", "gaps")
EVERY = ("second", "minute", "hour", "day")


@dataclass(frozen=True, slots=True)
class Source:
    """Where one kind of row comes from.

    ``time`` is the SQL that a slice of time filters by; ``{0}`` and ``{1}`` are its start and end in unix seconds. ``order`` makes
    the rows of a slice stand by time. ``first`` asks for the unix second of the oldest row. ``raw`` is the kind of chunk that
    holds older rows of the same columns.
    """

    columns: tuple[Col, ...]
    rows: str
    time: str
    order: str
    first: str
    slice_s: int
    raw: str = ""


_VIEWS: Mapping[str, View] = {view.name: view for view in views.VIEWS}
_BY_TS, _BY_T = "ts_ms>{0}*1000 AND ts_ms<={1}*1000", "t>={0} AND t<{1}"
_FIRST_TICK = "SELECT min(ts_ms)/1000 FROM tick"
_PROCESS = _VIEWS["v_process_now"].columns
_HOST = (
    TS,
    HOST,
    Col("duration_seconds", seconds("s.dt_ms"), "seconds", "Time that the row speaks for"),
    *raw_measures(HostSample),
)


def _listed(columns: Sequence[Col]) -> str:
    return ", ".join(f'{c.sql} AS "{c.name}"' for c in columns)


_PROCESS_ROWS = (
    f"SELECT {_listed(_PROCESS)} FROM tick k CROSS JOIN process_sample s ON s.tick_id=k.tick_id JOIN process p ON p.proc_id=s.proc_id "
    "JOIN host h ON h.host_id=p.host_id LEFT JOIN user_account u ON u.user_id=p.user_id LEFT JOIN gpu g ON g.gpu_id=s.gpu_id"
)
_HOST_ROWS = (
    f"SELECT {_listed(_HOST)} FROM tick k CROSS JOIN host_sample s ON s.tick_id=k.tick_id JOIN host h ON h.host_id=s.host_id"
)


def _single(columns: tuple[Col, ...], rows: str, order: str, raw: str) -> Source:
    return Source(columns, rows, _BY_TS, order, _FIRST_TICK, HOUR_S, raw)


def _view(name: str, time: str, order: str, first: str, slice_s: int) -> Source:
    view = _VIEWS[name]
    return Source(view.columns, f"SELECT * FROM {name}", time, order, first, slice_s)


def _tier(what: str, every: str) -> Source:
    name = f"{what}_{every}"
    return _view(f"v_{name}", _BY_T, _ORDER[what], f"SELECT min(t) FROM {name}", DAY_S if every == "minute" else 30 * DAY_S)


_SINGLE: Mapping[str, Source] = {
    "gpu": _single(_VIEWS["v_gpu_raw"].columns, "SELECT * FROM v_gpu_raw", "ts_ms, host, gpu_index", "gpu"),
    "process": _single(_PROCESS, _PROCESS_ROWS, "ts_ms, host, pid, start_ms, gpu_index", "process"),
    "host": _single(_HOST, _HOST_ROWS, "ts_ms, host", "host"),
}
_TIERS: Mapping[str, Sequence[str]] = {
    "gpu": ("minute", "hour", "day"),
    "process": ("minute", "hour", "day"),
    "workload": ("minute", "hour", "day"),
    "ledger": ("minute", "hour"),
}
_ORDER = {
    "gpu": "t, host, gpu_index",
    "process": "t, host, pid, start_ms, gpu_index",
    "workload": "t, host, root_pid, root_start_ms, port",
    "ledger": 't, host, gpu_index, "user", pid, start_ms, bucket, cause, tier',
}
_OTHER: Mapping[str, Source] = {
    "events": _view("v_event", "ts_ms>={0}*1000 AND ts_ms<{1}*1000", "ts_ms", "SELECT min(ts_ms)/1000 FROM event", DAY_S),
    "gaps": _view(
        "v_gap", "end_ms>{0}*1000 AND start_ms<{1}*1000", "start_ms, host", "SELECT min(t0_ms)/1000 FROM gap", 4000 * DAY_S
    ),
}


def steps(what: str) -> tuple[str, ...]:
    """How finely this kind of row can be had, the finest first; empty for events and gaps."""
    return (*(("second",) if what in _SINGLE else ()), *_TIERS.get(what, ()))


def source(what: str, every: str | None = None) -> Source:
    """Where the rows come from. Raises :class:`UsageError` for a step that they do not have."""
    known = steps(what)
    if every is None:
        every = known[0] if known else ""
    elif every not in known:
        could = f"--every {' or '.join(known)}" if known else "leave out --every"
        raise UsageError(f"there are no rows of '{what}' for every {every}", could)
    if what in _OTHER:
        return _OTHER[what]
    return _SINGLE[what] if every == "second" else _tier(what, every)


def rows(db: sqlite3.Connection, of: Source, start_s: int, end_s: int, host: str | None = None) -> Iterator[Row]:
    """The rows of ``[start_s, end_s)``, oldest first, of one host or all; each slice of time is read in a transaction of its own."""
    at, last = max(start_s, _first(db, of)), end_s
    while at < last:
        after = min(last, at - at % of.slice_s + of.slice_s)
        yield from _slice(db, of, at, after, host)
        at = after


def _first(db: sqlite3.Connection, of: Source) -> int:
    """The unix second of the oldest row, less one; where there is none, so late that nothing is read."""
    found = db.execute(of.first).fetchone()[0]
    return 2**62 if found is None else int(found) - 1


def _slice(db: sqlite3.Connection, of: Source, start_s: int, end_s: int, host: str | None) -> list[Row]:
    only = "" if host is None else " WHERE host=?"
    sql = f"SELECT * FROM ({of.rows} WHERE {of.time.format(start_s, end_s)}){only} ORDER BY {of.order}"
    return db.execute(sql, () if host is None else (host,)).fetchall()


def known_hosts(db: sqlite3.Connection) -> list[str]:
    """The host names of a store."""
    return [row[0] for row in db.execute("SELECT DISTINCT hostname FROM host ORDER BY hostname")]
