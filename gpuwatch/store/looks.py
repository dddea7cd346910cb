"""What rules look at, read back from the store: ten seconds each on a grid of unix time, from hot rows or from the archive.

A row belongs to the look in which it ends. A look in which nothing of the host has a row is not made: it was not observed. Waiting
times of servers come once a minute, with the first look of their server from the minute's end on, since that is how they are kept.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping

from gpuwatch.model import OPEN_US
from gpuwatch.names import WAITS, Latency, Severity
from gpuwatch.rules.looks import LOOK_MS, GpuLook, Look, LookEvent, ProcessLook, ServerLook
from gpuwatch.store.archive.shapes import GPU, HOST, INFERENCE, PROCESS, TRAINING
from gpuwatch.store.archive.slices import OF_HOST
from gpuwatch.store.ledger_rows import ONCE
from gpuwatch.store.look_made import Processes, gpu_look, host_look, server_look, training_look
from gpuwatch.store.look_numbers import Rows
from gpuwatch.store.look_rows import Key, Past, Timed, hot_steps
from gpuwatch.store.window import Window

_SPAN_MS = 600_000
"""Rows of so much time are read at once."""
_MINUTE_MS = 60_000
_PIECE = 16
"""Processes of one piece."""
OWN_EVENTS = "finding_"
"""How the kinds of events begin that findings themselves have made: no rule sees them."""
_EVENTS = (
    "SELECT ts_ms, kind, severity, detail, coalesce(gpu_id, 0), coalesce(pid, 0) FROM event WHERE ts_ms>? AND ts_ms<=? AND host_id=? "
    f"AND substr(kind, 1, {len(OWN_EVENTS)})<>'{OWN_EVENTS}' ORDER BY ts_ms, event_id"
)
_LATENCY_OF = (
    f"s.workload_id, s.latency, s.lower_us, s.upper_us, {{}} FROM {{}} s.latency IN ({','.join(str(int(w)) for w in WAITS)})"
)
_LATENCY_HOT = "SELECT " + _LATENCY_OF.format(
    "sum(s.n)",
    "tick k CROSS JOIN inference_sample i ON i.tick_id=k.tick_id CROSS JOIN latency_sample s ON s.tick_id=k.tick_id AND "
    f"s.workload_id=i.workload_id WHERE k.ts_ms>:t0 AND k.ts_ms<=:t1 AND i.dt_ms>0 AND {OF_HOST} AND {ONCE} AND",
) + " GROUP BY 1, 2, 3, 4"  # fmt: skip
_LATENCY_KEPT = "SELECT " + _LATENCY_OF.format(
    "s.n",
    "latency_minute s JOIN workload w ON w.workload_id=s.workload_id AND w.host_id=:host WHERE s.t>=:t0/1000 AND s.t<:t1/1000 AND",
)
_SEVERITIES = {int(severity): severity for severity in Severity}
_PARTS = {GPU: 2, PROCESS: 5}
"""The rows of a look are read in so many pieces."""
Read = Callable[[int], Iterator[dict[Key, Rows]]]
Counts = Counter[tuple[float, float]]


class LookReader:
    """Makes the looks of one host, one after the other; it remembers a little of the one before."""

    def __init__(self, db: sqlite3.Connection, host_id: int) -> None:
        self._db, self._host_id = db, host_id
        self._processes = Processes()
        self._waits: dict[int, dict[Latency, Counts]] = {}
        """Waiting times of servers that have had no look since."""

    def steps(self, t_ms: int) -> Iterator[Look | None]:
        """The look up to ``t_ms`` from hot rows, in pieces of a few hundred microseconds: ``None`` after each, the look at last.

        The last is ``None`` too where nothing was observed.
        """

        def read(kind: int) -> Iterator[dict[Key, Rows]]:
            span = LOOK_MS // _PARTS.get(kind, 1)
            borders = range(t_ms - LOOK_MS, t_ms + 1, span)
            for rows in hot_steps(self._db, self._host_id, kind, borders):
                yield {key: timed.between(0, len(timed.ts)) for key, timed in rows.items()}

        yield from self.made(t_ms, read, sealed=False)

    def made(self, t_ms: int, read: Read, *, sealed: bool) -> Iterator[Look | None]:
        """The same of rows that ``read`` gives, for one kind after the other; what it gives last counts."""
        gpu_rows = yield from _pieces(read(GPU))
        gpus: dict[int, GpuLook] = {}
        for (gpu_id, *_), rows in gpu_rows.items():
            gpus[gpu_id] = gpu_look(rows)
            if len(gpus) % 2 == 0:
                yield None
        by_process: dict[int, dict[int, Rows]] = {}
        process_rows = yield from _pieces(read(PROCESS))
        for (proc_id, gpu_id), rows in process_rows.items():
            by_process.setdefault(proc_id, {})[gpu_id] = rows
        processes: dict[int, ProcessLook] = {}
        for proc_id, by_gpu in by_process.items():
            processes[proc_id] = self._processes.look(proc_id, by_gpu)
            if len(processes) % _PIECE == 0:
                yield None
        self._processes.keep(processes)
        trainings = {key[0]: training_look(rows) for key, rows in (yield from _pieces(read(TRAINING))).items()}
        servers = {key[0]: server_look(rows) for key, rows in (yield from _pieces(read(INFERENCE))).items()}
        host = {key: host_look(rows) for key, rows in (yield from _pieces(read(HOST))).items()}.get(())
        if t_ms % _MINUTE_MS == 0:
            self._wait(t_ms, sealed=sealed)
        self._told(servers)
        if not (gpus or processes or trainings or servers or host):
            yield None
            return
        yield Look(t_ms, gpus, processes, trainings, servers, host, self._events(t_ms))

    def _events(self, t_ms: int) -> tuple[LookEvent, ...]:
        found = self._db.execute(_EVENTS, (t_ms - LOOK_MS, t_ms, self._host_id))
        return tuple(
            LookEvent(ts_ms, kind, _SEVERITIES.get(severity, Severity.INFO), detail, gpu_id, pid)
            for ts_ms, kind, severity, detail, gpu_id, pid in found
        )

    def _wait(self, t_ms: int, *, sealed: bool) -> None:
        """Take the waiting times of the minute up to ``t_ms``."""
        span = {"t0": t_ms - _MINUTE_MS, "t1": t_ms, "host": self._host_id}
        found = self._db.execute(_LATENCY_KEPT, span).fetchall() if sealed else []
        for workload_id, latency, lower, upper, count in found or self._db.execute(_LATENCY_HOT, span):
            bounds = lower / 1e6, float("inf") if upper >= OPEN_US else upper / 1e6
            self._waits.setdefault(workload_id, {}).setdefault(Latency(latency), Counter())[bounds] += count

    def _told(self, servers: Mapping[int, ServerLook]) -> None:
        for workload_id, look in servers.items():
            waits = self._waits.pop(workload_id, None)
            if waits:
                look.latency = waits


def looks(source: sqlite3.Connection | Window, host_id: int, t0_ms: int, t1_ms: int) -> Iterator[Look]:
    """The looks of a host that end in ``(t0_ms, t1_ms]``, from hot rows, sealed hours or both; nothing where single rows are gone."""
    db = source if isinstance(source, sqlite3.Connection) else source.connection
    past, reader = Past(db, host_id), LookReader(db, host_id)
    hot_from_ms = past.hot_from_ms
    start = t0_ms - t0_ms % LOOK_MS
    while start < t1_ms:
        end = min(start - start % _SPAN_MS + _SPAN_MS, t1_ms - t1_ms % LOOK_MS)
        if end <= start:
            return
        rows = {kind: past.rows(kind, start, end) for kind in (GPU, PROCESS, TRAINING, INFERENCE, HOST)}
        if any(rows.values()):
            for t_ms in range(start + LOOK_MS, end + 1, LOOK_MS):
                sealed = hot_from_ms is None or hot_from_ms > t_ms - _MINUTE_MS
                found = {kind: [_cut(each, t_ms)] for kind, each in rows.items()}
                made = reader.made(t_ms, lambda kind, found=found: iter(found[kind]), sealed=sealed)  # type: ignore[misc]
                yield from (look for look in made if look is not None)
            start = end
        else:
            later = past.nearest_ms(end)
            if later is None:
                return
            start = max(end, later - later % LOOK_MS)


def _pieces(steps: Iterator[dict[Key, Rows]]) -> Generator[None, None, dict[Key, Rows]]:
    """A piece each; what the last one gave."""
    found = next(steps)
    yield
    for following in steps:
        found = following
        yield
    return found


def _cut(rows: Mapping[Key, Timed], t_ms: int) -> dict[Key, Rows]:
    """The rows of one look out of those of a longer time."""
    out = {}
    for key, timed in rows.items():
        end = bisect_right(timed.ts, t_ms)
        first = bisect_right(timed.ts, t_ms - LOOK_MS, 0, end)
        if first < end:
            out[key] = timed.between(first, end)
    return out
