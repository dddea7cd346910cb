"""Any span of the store as rows under the names and units of the public views, a slice of time after the other: memory stays flat.

A row speaks for the time before it, so ``[start, end)`` has the single rows with ``start < ts_ms <= end``: exports of spans that
follow each other have every row once. Buckets and events lie in a span by their start, gaps and findings by any part of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import dataclass
from gpuwatch.errors import UsageError
from gpuwatch.model import HostSample
from gpuwatch.store import export_archive, views
from gpuwatch.store.viewkit import HOST, TS, Col, View, raw_measures, seconds

Row = tuple[Any, ...]
SLICE_S, DAY_S = 600, 86_400
WHAT = ("gpu", "process", "workload", "training", "latency", "host", "ledger", "findings", "mutes", "events", "gaps")
EVERY = ("second", "minute", "hour", "day")


@dataclass(frozen=True, slots=True)
class Source:
    """Where one kind of row comes from.

    ``rows`` is the SQL of the rows of a slice of time; ``{0}`` and ``{1}`` are its start and end in unix seconds. ``order`` makes
    them stand by time. ``first`` asks for the unix second of the oldest row. ``sealed`` names what older rows of the same columns
    are archived as.
    """

    columns: tuple[Col, ...]
    rows: str
    order: str
    first: str
    slice_s: int
    sealed: str = ""


_VIEWS: Mapping[str, View] = {view.name: view for view in views.VIEWS}
_PROCESS, _WORKLOAD, _TRAINING = (_VIEWS[name].columns for name in ("v_process_now", "v_workload_now", "v_training_now"))
_HOST = (
    TS,
    HOST,
    Col("duration_seconds", seconds("s.dt_ms"), "seconds", "Time that the row speaks for"),
    *raw_measures(HostSample),
)
_TICKS = "FROM tick k CROSS JOIN {0} s ON s.tick_id=k.tick_id"
_FROM = {
    "gpu": _TICKS.format("gpu_sample") + " JOIN gpu g ON g.gpu_id=s.gpu_id JOIN host h ON h.host_id=g.host_id",
    "process": _TICKS.format("process_sample") + " JOIN process p ON p.proc_id=s.proc_id JOIN host h ON h.host_id=p.host_id "
    "LEFT JOIN user_account u ON u.user_id=p.user_id LEFT JOIN gpu g ON g.gpu_id=s.gpu_id",
    "workload": _TICKS.format("inference_sample")
    + " JOIN workload w ON w.workload_id=s.workload_id JOIN host h ON h.host_id=w.host_id "
    "LEFT JOIN user_account u ON u.user_id=w.user_id",
    "training": _TICKS.format("training_sample")
    + " JOIN process p ON p.proc_id=s.proc_id JOIN workload w ON w.workload_id=s.workload_id JOIN host h ON h.host_id=w.host_id "
    "LEFT JOIN user_account u ON u.user_id=w.user_id LEFT JOIN trainer t ON t.proc_id=s.proc_id",
    "host": _TICKS.format("host_sample") + " JOIN host h ON h.host_id=s.host_id",
}


def _single(what: str, columns: tuple[Col, ...], order: str) -> Source:
    listed = ", ".join(f'{c.sql} AS "{c.name}"' for c in columns)
    time = f"k.ts_ms>{{0}}*1000 AND k.ts_ms<={{1}}*1000 AND {export_archive.unsealed(what)}"
    rows = f"SELECT {listed} {_FROM[what]} WHERE {time}"
    return Source(columns, rows, order, "SELECT min(ts_ms)/1000 FROM tick", SLICE_S, what)


def _view(name: str, time: str, order: str, first: str, slice_s: int) -> Source:
    return Source(_VIEWS[name].columns, f"SELECT * FROM {name} WHERE {time}", order, first, slice_s)


def _tier(what: str, every: str) -> Source:
    name = f"{what}_{every}"
    return _view(
        f"v_{name}", "t>={0} AND t<{1}", _ORDER[what], f"SELECT min(t) FROM {name}", DAY_S if every == "minute" else 30 * DAY_S
    )


_SINGLE: Mapping[str, Source] = {
    "gpu": _single("gpu", _VIEWS["v_gpu_raw"].columns, "ts_ms, host, gpu_index"),
    "process": _single("process", _PROCESS, "ts_ms, host, pid, start_ms, gpu_index"),
    "workload": _single("workload", _WORKLOAD, "ts_ms, host, root_pid, root_start_ms, port"),
    "training": _single("training", _TRAINING, "ts_ms, host, pid, start_ms"),
    "host": _single("host", _HOST, "ts_ms, host"),
}
_TIERS: Mapping[str, Sequence[str]] = {
    "gpu": ("minute", "hour", "day"),
    "process": ("minute", "hour", "day"),
    "workload": ("minute", "hour", "day"),
    "latency": ("minute", "hour", "day"),
    "ledger": ("minute", "hour"),
}
_ORDER = {
    "gpu": "t, host, gpu_index",
    "process": "t, host, pid, start_ms, gpu_index",
    "workload": "t, host, root_pid, root_start_ms, port",
    "latency": "t, host, root_pid, root_start_ms, port, latency, lower_seconds, upper_seconds",
    "ledger": 't, host, gpu_index, "user", pid, start_ms, bucket, cause, tier',
}
_OTHER: Mapping[str, Source] = {
    "findings": _view(
        "v_finding",
        "(ended_ms IS NULL OR ended_ms>{0}*1000) AND started_ms<{1}*1000",
        "started_ms, host, finding_id",
        "SELECT min(started_ms)/1000 FROM finding",
        4000 * DAY_S,
    ),
    "mutes": _view(
        "v_mute",
        "made_ms>={0}*1000 AND made_ms<{1}*1000",
        "made_ms, host, mute_id",
        "SELECT min(made_ms)/1000 FROM mute",
        4000 * DAY_S,
    ),
    "events": _view("v_event", "ts_ms>={0}*1000 AND ts_ms<{1}*1000", "ts_ms", "SELECT min(ts_ms)/1000 FROM event", DAY_S),
    "gaps": _view(
        "v_gap", "end_ms>{0}*1000 AND start_ms<{1}*1000", "start_ms, host", "SELECT min(t0_ms)/1000 FROM gap", 4000 * DAY_S
    ),
}


def steps(what: str) -> tuple[str, ...]:
    """How finely this kind of row can be had, the finest first; empty for findings, mutes, events and gaps."""
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
    oldest = [db.execute(of.first).fetchone()[0], export_archive.first_s(db, of.sealed) if of.sealed else None]
    return min((int(found) - 1 for found in oldest if found is not None), default=2**62)


def _slice(db: sqlite3.Connection, of: Source, start_s: int, end_s: int, host: str | None) -> list[Row]:
    """Hot and sealed rows of one slice, as one state of the store has them."""
    only = "" if host is None else " WHERE host=?"
    sql = f"SELECT * FROM ({of.rows.format(start_s, end_s)}){only} ORDER BY {of.order}"
    db.execute("BEGIN")
    try:
        rows = db.execute(sql, () if host is None else (host,)).fetchall()
        names = [column.name for column in of.columns]
        sealed = export_archive.sealed_rows(db, of.sealed, names, start_s * 1000, end_s * 1000) if of.sealed else []
    finally:
        db.execute("COMMIT")
    if not sealed:
        return rows
    if host is not None:
        place = names.index("host")
        sealed = [row for row in sealed if row[place] == host]
    key = export_archive.by(names, of.order.split(", "))
    archived = {key(row) for row in sealed}  # while hours are being sealed, some of their rows are in both
    return sorted([*(row for row in rows if key(row) not in archived), *sealed], key=key)


def known_hosts(db: sqlite3.Connection) -> list[str]:
    """The host names of a store."""
    return [row[0] for row in db.execute("SELECT DISTINCT hostname FROM host ORDER BY hostname")]
