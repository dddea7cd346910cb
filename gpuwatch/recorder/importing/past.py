"""What the store has of a host already, where another log joins it: its exact rows come again, beside the new ones.

An hour with new rows is made anew as a whole, for all GPUs of the host. So are its neighbours as far as they depend on it: the hour
before, whose quiet runs may go on, and what follows, until a row finds everything as it was.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import tzinfo
from typing import Any

from gpuwatch.collectors.importers.types import LogProcessRow, LogRow, PastLog, Problem
from gpuwatch.dataclass import NamedTuple, fields, replace
from gpuwatch.model import Gpu, Process
from gpuwatch.names import Context
from gpuwatch.recorder.importing.hours import HOUR_MS, HourOfRows
from gpuwatch.store import columns
from gpuwatch.store.archive.codec import decode
from gpuwatch.store.archive.shapes import GPU, PROCESS, SHAPES
from gpuwatch.store.hours import HOUR_S
from gpuwatch.zone import midnight_s, next_midnight_s

_GPU_VALUES = columns.GPU_SAMPLE[2 + len(columns.GPU_FACTS) :]
_PROCESS_VALUES = columns.PROCESS_SAMPLE[4:]
_CONTEXTS: dict[int | None, Context | None] = {None: None, **{int(c): c for c in Context}}


_OF_GPU = "gpu_id IN (SELECT gpu_id FROM gpu WHERE host_id=?)"
_OF_PROCESS = "proc_id IN (SELECT proc_id FROM process WHERE host_id=?)"
_HIST_OF_GPU = f"entity=0 AND entity_id IN {_OF_GPU.removeprefix('gpu_id IN ')}"
HOUR_TABLES = {"gpu_hour": _OF_GPU, "process_hour": _OF_PROCESS, "ledger_hour": _OF_GPU, "hist_hour": _HIST_OF_GPU}
"""Tables of hours, with the condition that their rows are of a host."""


def _only(db: sqlite3.Connection, hours: Collection[int]) -> None:
    """Take from the scratch store all but these hours (unix seconds): the others were read for what they say of these."""
    db.execute("CREATE TABLE made(t INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO made VALUES(?)", [(t,) for t in hours])
    offset = next(iter(hours)) % HOUR_S
    for table in ("gpu_minute", "process_minute", "ledger_minute", *HOUR_TABLES):
        db.execute(f"DELETE FROM {table} WHERE t-(t-{offset})%{HOUR_S} NOT IN (SELECT t FROM made)")
    db.execute("DELETE FROM chunk WHERE t0_ms/1000 NOT IN (SELECT t FROM made)")


class Kept(LogRow):
    """A row that the store has."""


class State(NamedTuple):
    """Where a GPU stands before its next row: its last row, and the quiet run that ended with it."""

    last_ms: int | None
    quiet_ms: int = 0
    before: tuple[bool | None, Context | None] = (None, None)


class Piece(NamedTuple):
    """An hour of rows. ``states`` is where its GPUs stand, if it does not follow the piece before it.

    ``made`` is False for an hour that only tells its neighbour how a quiet run began or goes on.
    """

    start_ms: int
    gpus: dict[str, list[LogRow]]
    processes: list[LogProcessRow]
    states: dict[str, State] | None = None
    made: bool = True


class Past:
    """The rows of one host of the store at ``db``, which is only read; ``left_out`` counts new rows that it has already."""

    def __init__(self, db: sqlite3.Connection, host_id: int, log: PastLog) -> None:
        self._db, self._host, self._log = db, host_id, log
        self.left_out = 0
        self.problems: list[Problem] = []
        sql = "SELECT DISTINCT t0_ms FROM chunk WHERE kind IN (?,?) AND host_id=? ORDER BY t0_ms"
        self._hours = [row[0] for row in db.execute(sql, (GPU, PROCESS, host_id))]
        rolled = "SELECT DISTINCT t FROM gpu_hour WHERE gpu_id IN (SELECT gpu_id FROM gpu WHERE host_id=?)"
        self._gone = {row[0] * 1000 for row in db.execute(rolled, (host_id,))}.difference(self._hours)
        self._gpus = dict(self._known_gpus())
        self._keys: dict[str, str] = {}
        self._fresh: dict[str, bool] = {}
        self._ends: dict[str, int] = {}

    def _known_gpus(self) -> Iterator[tuple[int, Gpu]]:
        names = [f.name for f in fields(Gpu)]
        flags = {f.name for f in fields(Gpu) if str(f.type).startswith("bool")}
        sql = f"SELECT gpu_id,{','.join(columns.GPU)} FROM gpu WHERE host_id=?"
        for gpu_id, *values in self._db.execute(sql, (self._host,)):
            given: dict[str, Any] = {
                name: bool(v) if name in flags and v is not None else v for name, v in zip(names, values, strict=True)
            }
            yield gpu_id, Gpu(**given)

    def pieces(self, new: Iterable[HourOfRows], quiet_ms: Callable[[str], int]) -> Iterator[Piece]:
        """The hours to be made anew. ``quiet_ms`` tells the length of a GPU's quiet run after the piece before."""
        coming = iter(new)
        upcoming = next(coming, None)
        last: int | None = None
        while upcoming is not None:
            start = upcoming[0]
            if start in self._gone:
                self._leave_out(upcoming)
                upcoming = next(coming, None)
                continue
            before = start - HOUR_MS
            for hour in (before - HOUR_MS, before):
                if before in self._hours and hour in self._hours and (last is None or last < hour):
                    yield self._piece(hour, {}, [], last, made=hour == before)
                    last = hour
            yield self._piece(*upcoming, last)
            last, upcoming = start, next(coming, None)
            limit = self._hours[-1] + 1 if upcoming is None else upcoming[0]
            at = self._following(last)
            while at is not None and at < limit:
                yield self._piece(at, {}, [], last)
                last = at
                if all(quiet_ms(key) == end for key, end in self._ends.items()):
                    if at + HOUR_MS in self._hours and at + HOUR_MS < limit:
                        last = at + HOUR_MS
                        yield self._piece(last, {}, [], at, made=last + HOUR_MS == limit)
                    break
                at = self._following(at)

    def _leave_out(self, piece: HourOfRows) -> None:
        count = sum(map(len, piece[1].values()))
        self.left_out += count
        text = "rows of hours of which the store has kept the sums alone: they cannot be told from those that are in them"
        self.problems.append(Problem(1, text, count))

    def _following(self, hour_ms: int) -> int | None:
        at = bisect_right(self._hours, hour_ms)
        return self._hours[at] if at < len(self._hours) else None

    def _piece(
        self,
        start_ms: int,
        gpus: dict[str, list[LogRow]],
        processes: list[LogProcessRow],
        last: int | None,
        *,
        made: bool = True,
    ) -> Piece:
        jumped = last != start_ms - HOUR_MS
        states: dict[str, State] = {}
        if jumped:
            self._fresh.clear()
            states = {self._key(gpu_id): State(self._last(gpu_id, start_ms)) for gpu_id in self._gpus}
        self._ends = {}
        rows = {key: list(own) for key, own in gpus.items()}
        for key in rows:
            self._know(key)
        for gpu_id, stored in self._stored(GPU, start_ms):
            key = self._key(gpu_id)
            kept = self._kept(key, stored)
            self._ends[key] = stored["quiet_ms"][-1]
            rows[key] = self._merged(key, kept, rows.get(key, []))
            if not jumped or rows[key][0] is not kept[0]:
                continue
            quiet = None if stored["quiet"][0] is None else bool(stored["quiet"][0])
            before = stored["quiet_ms"][0] - stored["dt_ms"][0]
            if before > 0:
                states[key] = State(states[key].last_ms, before, (quiet, _CONTEXTS[stored["context"][0]]))
        for key, own in rows.items():
            self._fresh[key] = not isinstance(own[-1], Kept)
        stored_processes = self._processes(start_ms)
        known = {row[:3] for row in stored_processes}
        both = [*stored_processes, *(row for row in processes if row[:3] not in known)]
        both.sort(key=lambda row: row.ts_ms)
        return Piece(start_ms, rows, both, states or None, made)

    def fill_days(self, db: sqlite3.Connection, hours: Collection[int], zone: tzinfo) -> None:
        """Copy the other hours of the days of these hours (unix seconds) into the scratch store: days are sums of all of them."""
        made = set(hours)
        _only(db, made)
        for start, end in {(midnight_s(t, zone), next_midnight_s(t, zone)) for t in hours}:
            for table, whose in HOUR_TABLES.items():
                names = ",".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
                rows = self._db.execute(f"SELECT {names} FROM {table} WHERE t>=? AND t<? AND {whose}", (start, end, self._host))
                others = [row for row in rows if row[0] not in made]
                if others:
                    marks = columns.placeholders(others[0])
                    db.executemany(f"INSERT OR REPLACE INTO {table}({names}) VALUES({marks})", others)

    # ------------------------------------------------------------------------------------------------------------ reading

    def _stored(self, kind: int, start_ms: int) -> Iterator[tuple[int, dict[str, list[Any]]]]:
        sql = "SELECT entity_id, cols, body FROM chunk WHERE kind=? AND host_id=? AND t0_ms=?"
        for entity, cols, body in self._db.execute(sql, (kind, self._host, start_ms)).fetchall():
            yield entity, decode(cols, body, SHAPES[kind].columns)

    def _last(self, gpu_id: int, start_ms: int) -> int | None:
        sql = "SELECT max(t1_ms) FROM chunk WHERE kind=? AND host_id=? AND entity_id=? AND t0_ms<?"
        found: int | None = self._db.execute(sql, (GPU, self._host, gpu_id, start_ms)).fetchone()[0]
        return found

    def _kept(self, key: str, stored: dict[str, list[Any]]) -> list[LogRow]:
        values = zip(*(stored[name] for name in _GPU_VALUES), strict=True)
        facts = zip(stored["ts_ms"], stored["dt_ms"], stored["unavailable"], strict=True)
        return [Kept(ts, key, own, dt, bool(lost)) for (ts, dt, lost), own in zip(facts, values, strict=True)]

    def _merged(self, key: str, kept: list[LogRow], new: list[LogRow]) -> list[LogRow]:
        """All rows by time; one of the store that a new one has come before speaks for the time since that."""
        times = {row.ts_ms for row in kept}
        more = [row for row in new if row.ts_ms not in times]
        self.left_out += len(new) - len(more)
        out = sorted([*kept, *more], key=lambda row: row.ts_ms)
        fresh = self._fresh.get(key, False)
        for place, row in enumerate(out):
            mine = not isinstance(row, Kept)
            if fresh and not mine:
                out[place] = Kept(row.ts_ms, row.gpu, row.values, None, row.unavailable)
            fresh = mine
        return out

    def _processes(self, start_ms: int) -> list[LogProcessRow]:
        out: list[LogProcessRow] = []
        for gpu_id, stored in self._stored(PROCESS, start_ms):
            key = self._key(gpu_id) if gpu_id else ""
            values = zip(*(stored[name] for name in _PROCESS_VALUES), strict=True)
            facts = zip(stored["ts_ms"], stored["dt_ms"], stored["proc_id"], strict=True)
            out += [LogProcessRow(ts, self._process(proc), key, own, dt) for (ts, dt, proc), own in zip(facts, values, strict=True)]
        return out

    def _process(self, proc_id: int) -> tuple[int, int]:
        names = ("pid", "start_ms", "name", "start_known", "command", "container", "job", "role")
        sql = f"SELECT {','.join(f'p.{n}' for n in names)}, u.uid, coalesce(u.name, '') FROM process p LEFT JOIN user_account u ON u.user_id=p.user_id WHERE p.proc_id=?"
        *values, uid, user = self._db.execute(sql, (proc_id,)).fetchone()
        given = dict(zip(names, values, strict=True))
        given["start_known"] = bool(given["start_known"])
        process = Process(**given, uid=uid, user=user)
        self._log.processes.setdefault(process.key, process)
        return process.key

    # -------------------------------------------------------------------------------------------------------------- who

    def _key(self, gpu_id: int) -> str:
        """The log's key of a GPU of the store; one that the log does not have gets its UUID as key."""
        gpu = self._gpus[gpu_id]
        key = self._keys.get(gpu.uuid)
        if key is None:
            key = next((k for k, other in self._log.gpus.items() if other.uuid == gpu.uuid), gpu.uuid)
            self._log.gpus.setdefault(key, gpu)
            self._know(key)
        return key

    def _know(self, key: str) -> None:
        """What the store knows of a GPU holds where the log does not say it."""
        gpu = self._log.gpus[key]
        if gpu.uuid in self._keys:
            return
        self._keys[gpu.uuid] = key
        stored = next((known for known in self._gpus.values() if known.uuid == gpu.uuid), None)
        if stored is not None:
            lacking = {f.name: getattr(stored, f.name) for f in fields(Gpu) if getattr(gpu, f.name) in (None, "")}
            self._log.gpus[key] = replace(gpu, **lacking)
