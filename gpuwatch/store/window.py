"""The read side of the store: what a viewer asks SQLite for, each row once. Works beside a recorder, without one and on a copy.

A :class:`Window` looks at one host of one store. Values are the store's integers under the store's names; the view turns them
into base units. Nothing here holds a read transaction open between two calls.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from gpuwatch.measure import measures
from gpuwatch.model import GpuSample
from gpuwatch.store import connection as opening
from gpuwatch.store.closed import ClosedTime
from gpuwatch.store.columns import GPU_SAMPLE, HOST_SAMPLE, SCHEMA_VERSION
from gpuwatch.store.facts import GpuFacts, Held, ProcessFacts, ProcessIdentity, Recording
from gpuwatch.store.served import ServedTime
from gpuwatch.store.trained import TrainedTime

PAST = "past"
"""Where a window keeps those that it has made over older instants."""
LATE_TICKS = 4
"""A slow collector may add its rows to a tick that was already read: so many ticks are looked at again."""


_GPU_SQL = (
    f"SELECT s.tick_id, t.ts_ms, {', '.join(f's.{name}' for name in GpuFacts._fields[2:])} "
    "FROM gpu_sample s JOIN tick t ON t.tick_id = s.tick_id WHERE s.tick_id BETWEEN ? AND ? ORDER BY s.tick_id, s.gpu_id"
)
_PROCESS_SQL = (
    f"SELECT s.tick_id, t.ts_ms, {', '.join(f's.{name}' for name in ProcessFacts._fields[2:])} "
    "FROM process_sample s JOIN tick t ON t.tick_id = s.tick_id WHERE s.tick_id BETWEEN ? AND ? ORDER BY s.tick_id"
)
_HELD_SQL = (
    "SELECT s.tick_id, t.ts_ms, s.gpu_id, s.proc_id, s.sm_pm, s.gpu_memory_mib FROM process_sample s "
    "JOIN tick t ON t.tick_id = s.tick_id WHERE s.tick_id BETWEEN ? AND ? ORDER BY s.tick_id"
)
_IDENTITY_SQL = (
    "SELECT p.proc_id, p.pid, p.start_ms, p.name, p.start_known, p.parent_pid, p.parent_start_ms, p.command, p.container, "
    "p.job, p.role, u.uid, coalesce(u.name, ''), p.workload_pid, p.workload_start_ms FROM process p LEFT JOIN user_account u ON u.user_id = p.user_id "
)


class Window(ClosedTime, ServedTime, TrainedTime):
    """Reads one store. ``source`` is a path or an open connection (a one-shot store in memory).

    Raises :class:`gpuwatch.errors.StoreError` with one clear line when the store cannot be opened or read.
    """

    def __init__(self, source: Path | str | sqlite3.Connection, *, host_id: int | None = None) -> None:
        self.path: Path | None = None
        if isinstance(source, sqlite3.Connection):
            self._db, self._owned = source, False
        else:
            self.path = Path(source)
            self._db, self._owned = opening.open_read(self.path), True
        self._host_id = host_id
        self._identities: dict[int, ProcessIdentity] = {}
        self._forgets: Any = None
        self.memo: dict[str, Any] = {}
        """Room for what a reader derives from rows that no longer change."""

    def close(self) -> None:
        """Close the store, if this window opened it."""
        for past in self.memo.pop(PAST, {}).values():
            past.close()
        if self._owned:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise opening.explain(error, self.path or ":memory:") from error

    def _one(self, sql: str, values: Sequence[object] = ()) -> Any:
        rows = self._all(sql, values)
        return rows[0] if rows else None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One state of the store for all that is asked inside, whatever is committed meanwhile; and one lock, not one a question."""
        if not self._owned or self._db.in_transaction:
            yield  # the connection is a writer's, or this is done already
            return
        self._all("BEGIN")
        try:
            yield
        finally:
            self._end_reading()

    def _end_reading(self) -> None:
        if self._db.in_transaction:  # an error may have ended it
            self._all("COMMIT")

    def data_version(self) -> int:
        """A number that changes when another connection has committed (``PRAGMA data_version``)."""
        return int(self._one("PRAGMA data_version")[0])

    def outdated(self) -> str:
        """What to say of a store that an older gpuwatch writes, in one line; empty for one of this version."""
        version = int(self._one("PRAGMA user_version")[0])
        if version >= SCHEMA_VERSION:
            return ""
        return f"The store is of an older gpuwatch (schema {version}): restart its recorder, or run gpuwatch db upgrade where none records"

    def over(self, at_ms: int, back_ms: int, gpu_ids: Collection[int] | None = None) -> Window:
        """The window that knows the single rows of the ``back_ms`` before an instant: this one while they are hot.

        With ``gpu_ids`` one that reads all columns of those GPUs, for readers that ask by SQL. It belongs to this window and
        stands at the instant until the next call.
        """
        from gpuwatch.store.archive.replay import over

        return over(self, at_ms, back_ms, gpu_ids)

    def standing(self, at_ms: int) -> Window:
        """The window that a view of this instant was last built from."""
        past: Window | None = self.memo.get(PAST, {}).get("view")
        return past if past is not None and past.at_ms == at_ms else self

    at_ms: int | None = None
    """Where it stands, if it is one over an older instant."""

    # ------------------------------------------------------------------------------------------------------------ who

    def recording(self) -> Recording | None:
        """The newest session with the file's own facts; ``None`` when nothing was ever recorded."""
        row = self._one(
            "SELECT session_id, host_id, pid, started_ms, last_ms, ended_ms, period_ms FROM session ORDER BY session_id DESC LIMIT 1"
        )
        meta = self.memo.get("meta")  # a store is born simulated or real, before its first session
        if meta is None:
            meta = dict(self._all("SELECT key, value FROM meta WHERE key IN ('simulated', 'scenario')"))
            if row is not None:
                self.memo["meta"] = meta
        simulated, scenario = meta.get("simulated", "0") == "1", meta.get("scenario", "")
        first = self.memo.get("first_ms")
        if first is None:
            found = self._one("SELECT first_ms FROM host WHERE host_id=?", (self.host_id,))
            first = self.memo["first_ms"] = found[0] if found else None
        if row is None:
            return None
        session, host, pid, started, last, ended, period = row
        return Recording(host, session, pid, started, last, ended, period, first, simulated, scenario)

    @property
    def connection(self) -> sqlite3.Connection:
        """The open store."""
        return self._db

    @property
    def host_id(self) -> int:
        """The host that this window looks at: the given one, else that of the newest session, else the newest host; 0: none."""
        if self._host_id is None:
            row = self._one("SELECT host_id FROM session WHERE host_id IS NOT NULL ORDER BY session_id DESC LIMIT 1")
            row = row or self._one("SELECT host_id FROM host ORDER BY last_ms DESC LIMIT 1")
            if row is None:
                return 0
            self._host_id = int(row[0])
        return self._host_id

    @property
    def imported(self) -> bool:
        """Whether the host is that of a log: it has no hot rows and nobody records it."""
        return self.host_id < 0

    def host(self) -> Mapping[str, Any] | None:
        """The host's row by column name."""
        return self._named("SELECT * FROM host WHERE host_id=?", (self.host_id,), key=None).get(0)

    def gpus(self) -> Mapping[int, Mapping[str, Any]]:
        """All GPUs of the host that were ever seen, by ``gpu_id``, in the order of their index."""
        return self._named("SELECT * FROM gpu WHERE host_id=? ORDER BY gpu_index, parent_uuid, uuid", (self.host_id,), key="gpu_id")

    def workloads(self, at_ms: int, recent_ms: int) -> Mapping[int, Mapping[str, Any]]:
        """Workloads of the host that were there in the ``recent_ms`` before ``at_ms``, by ``workload_id``."""
        sql = (
            "SELECT w.*, coalesce(u.name, '') AS user FROM workload w LEFT JOIN user_account u ON u.user_id = w.user_id "
            "WHERE w.host_id=? AND w.first_ms<=? AND w.last_ms>=? ORDER BY w.workload_id"
        )
        return self._named(sql, (self.host_id, at_ms, at_ms - recent_ms), key="workload_id")

    def _named(self, sql: str, values: Sequence[object], key: str | None) -> dict[int, dict[str, Any]]:
        try:
            cursor = self._db.execute(sql, values)
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        except sqlite3.Error as error:
            raise opening.explain(error, self.path or ":memory:") from error
        return {int(row[key]) if key else number: row for number, row in enumerate(rows)}

    def identities(self, proc_ids: Iterable[int], *, fresh: bool = False) -> Mapping[int, ProcessIdentity]:
        """Who these processes are; each is read once, again with ``fresh`` (a command may change by exec)."""
        forgets = self._one("SELECT value FROM meta WHERE key=?", (opening.FORGETS,))
        if forgets != self._forgets:  # people were forgotten since: nobody's name is remembered here either
            self._identities.clear()
            self._forgets = forgets
        wanted = [i for i in proc_ids if fresh or i not in self._identities]
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            marks = ",".join("?" * len(part))
            for row in self._all(f"{_IDENTITY_SQL} WHERE p.proc_id IN ({marks})", part):
                self._identities[row[0]] = ProcessIdentity._make(row)
        return self._identities

    # ----------------------------------------------------------------------------------------------------------- rows

    def last_tick(self) -> tuple[int, int] | None:
        """``(tick_id, ts_ms)`` of the newest tick."""
        row = self._one("SELECT tick_id, ts_ms FROM tick ORDER BY tick_id DESC LIMIT 1")
        return None if row is None else (row[0], row[1])

    def tick_range(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        """The first and last ``tick_id`` of ``[start_ms, end_ms]``; first > last when there is none."""
        row = self._one("SELECT min(tick_id), max(tick_id) FROM tick WHERE ts_ms BETWEEN ? AND ?", (start_ms, end_ms))
        return (1, 0) if row[0] is None else (row[0], row[1])

    def tick_ms(self, tick_id: int) -> int:
        """The time of a tick that is there."""
        return int(self._one("SELECT ts_ms FROM tick WHERE tick_id=?", (tick_id,))[0])

    def newest_ms(self) -> int:
        """Time of the newest tick; 0: none."""
        newest = self.last_tick()
        return newest[1] if newest else 0

    def first_tick_ms(self) -> int | None:
        """Time of the oldest single row that is kept."""
        row = self._one("SELECT ts_ms FROM tick ORDER BY tick_id LIMIT 1")
        return None if row is None else int(row[0])

    def tick_over(self, at_ms: int) -> int | None:
        """The tick after ``at_ms`` whose GPU rows speak for ``at_ms`` too; ``None`` when there is none."""
        row = self._one("SELECT tick_id, ts_ms FROM tick WHERE ts_ms>? ORDER BY ts_ms LIMIT 1", (at_ms,))
        if row is None:
            return None
        reach = self._one("SELECT max(dt_ms) FROM gpu_sample WHERE tick_id=?", (row[0],))[0]
        return int(row[0]) if reach is not None and row[1] - reach < at_ms else None

    def superseded(self, first_tick: int, last_tick: int, at_ms: int) -> frozenset[int]:
        """Ticks of ``[first_tick, last_tick]`` that do not count at ``at_ms``, since a clock that was set back repeats their time."""
        sql = (
            "SELECT k.tick_id FROM tick k WHERE k.tick_id BETWEEN ? AND ? AND EXISTS (SELECT 1 FROM session s "
            "WHERE s.session_id>k.session_id AND s.started_ms<k.ts_ms AND (k.ts_ms<=s.last_ms OR k.ts_ms>?))"
        )
        return frozenset(row[0] for row in self._all(sql, (first_tick, last_tick, at_ms)))

    def gpu_rows(self, first_tick: int, last_tick: int, gpu_id: int | None = None) -> list[GpuFacts]:
        """The facts of all GPUs (or one) in these ticks, in order."""
        if gpu_id is None:
            return [GpuFacts._make(row) for row in self._all(_GPU_SQL, (first_tick, last_tick))]
        sql = _GPU_SQL.replace(" ORDER BY", " AND s.gpu_id=? ORDER BY")
        return [GpuFacts._make(row) for row in self._all(sql, (first_tick, last_tick, gpu_id))]

    def newer_gpu_rows(self, first_tick: int, last_tick: int, known: Mapping[int, int]) -> list[GpuFacts]:
        """The facts of all GPUs in these ticks, in order, without those up to the time that is ``known`` of a GPU."""
        found = self._all(_GPU_SQL, (first_tick, last_tick))
        return [GpuFacts._make(row) for row in found if row[1] > known.get(row[2], -1)]

    def newest_tick(self, gpu_id: int, first_tick: int, last_tick: int) -> int | None:
        """The newest of these ticks in which a GPU has a row."""
        sql = "SELECT max(tick_id) FROM gpu_sample WHERE tick_id BETWEEN ? AND ? AND gpu_id=?"
        found = self._one(sql, (first_tick, last_tick, gpu_id))[0]
        return None if found is None else int(found)

    def ahead_rows(self, gpu_ids: Collection[int], from_ms: int, to_ms: int) -> list[GpuFacts] | None:
        """Facts of some GPUs in ``(from_ms, to_ms]``; ``None`` when no GPU has any row there."""
        first, last = self.tick_range(from_ms + 1, to_ms)
        return None if first > last else [row for row in self.gpu_rows(first, last) if row.gpu_id in gpu_ids]

    def columns(self, first_tick: int, last_tick: int) -> Mapping[int, Mapping[str, Sequence[Any]]] | None:
        """The GPUs' facts in these ticks, column by column, where rows lie in columns; ``None`` where SQL adds up faster."""
        return None

    def rows(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """Any other rows, for readers that keep their own statements."""
        return self._all(sql, values)

    def each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """The same one by one, where there are many."""
        try:
            yield from self._db.execute(sql)
        except sqlite3.Error as error:
            raise opening.explain(error, self.path or ":memory:") from error

    def process_rows(self, first_tick: int, last_tick: int) -> list[ProcessFacts]:
        """All process rows of these ticks, in order."""
        return [ProcessFacts._make(row) for row in self._all(_PROCESS_SQL, (first_tick, last_tick))]

    def held(self, first_tick: int, last_tick: int) -> list[Held]:
        """Who was on which GPU, for each of these ticks that has process rows, in order."""
        out: list[Held] = []
        held: dict[int, list[tuple[int, int | None, int | None]]] = {}
        for tick_id, ts_ms, gpu_id, *share in self._all(_HELD_SQL, (first_tick, last_tick)):
            if not out or out[-1].tick_id != tick_id:
                held = {}
                out.append(Held(tick_id, ts_ms, held))
            if gpu_id:
                held.setdefault(gpu_id, []).append((share[0], share[1], share[2]))
        return out

    def newest_process_tick(self, first_tick: int, last_tick: int) -> int | None:
        """The newest of these ticks with process rows."""
        found = self._one("SELECT max(tick_id) FROM process_sample WHERE tick_id BETWEEN ? AND ?", (first_tick, last_tick))[0]
        return None if found is None else int(found)

    def newest_gpu(self, gpu_id: int, at_ms: int) -> Mapping[str, float | None]:
        """The newest row of one GPU in the minute before ``at_ms``, in base units by public name; amounts as rates a second."""
        sql = (
            f"SELECT {','.join('s.' + name for name in GPU_SAMPLE)} FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id AND s.gpu_id=? "
            "WHERE k.ts_ms>? AND k.ts_ms<=? ORDER BY k.ts_ms DESC LIMIT 1"
        )
        row = self._one(sql, (gpu_id, at_ms - 60_000, at_ms))
        if row is None:
            return {}
        cell = dict(zip(GPU_SAMPLE, row, strict=True))
        seconds = cell["dt_ms"] / 1000
        out: dict[str, float | None] = {}
        for name, m in measures(GpuSample).items():
            raw = cell[m.column]
            value = None if raw is None else raw / m.scale
            out[name] = value
            if m.kind == "delta":
                out[f"{name}_per_second"] = value / seconds if value is not None and seconds else None
        return out

    def process_id(self, pid: int, start_ms: int) -> int | None:
        """The ``proc_id`` of a process."""
        row = self._one("SELECT proc_id FROM process WHERE host_id=? AND pid=? AND start_ms=?", (self.host_id, pid, start_ms))
        return None if row is None else int(row[0])

    def gpu_table(self, tick_id: int, names: Sequence[str]) -> list[tuple[Any, ...]]:
        """``gpu_id`` and the named columns of all GPUs in one tick."""
        return self._all(f"SELECT gpu_id,{','.join(names)} FROM gpu_sample WHERE tick_id=?", (tick_id,))

    def host_row(self, last_tick: int, lookback: int = 20) -> Mapping[str, Any] | None:
        """The newest host row in the ``lookback`` ticks up to ``last_tick``, with its ``ts_ms``."""
        row = self._one(
            f"SELECT t.ts_ms, {','.join('s.' + c for c in HOST_SAMPLE)} FROM host_sample s JOIN tick t ON t.tick_id=s.tick_id "
            "WHERE s.tick_id BETWEEN ? AND ? AND s.host_id=? ORDER BY s.tick_id DESC LIMIT 1",
            (last_tick - lookback, last_tick, self.host_id),
        )
        return None if row is None else dict(zip(("ts_ms", *HOST_SAMPLE), row, strict=True))

    # ------------------------------------------------------------------------------------------------- around the rows

    def missing(self, at_ms: int) -> Mapping[tuple[str, str], Mapping[str, int]]:
        """(entity kind, entity key) -> field -> reason, of what was not measured at ``at_ms``."""
        out: dict[tuple[str, str], dict[str, int]] = {}
        sql = (
            "SELECT entity, entity_key, field, reason FROM missing "
            "WHERE host_id=? AND t0_ms<=? AND (t1_ms IS NULL OR t1_ms>?) ORDER BY missing_id"
        )
        for entity, key, field, reason in self._all(sql, (self.host_id, at_ms, at_ms)):
            out.setdefault((entity, key), {})[field] = reason
        return out

    def missing_mark(self) -> tuple[int, int]:
        """Changes when a reason begins or ends: cheaper than reading them all again."""
        row = self._one(
            "SELECT coalesce((SELECT max(missing_id) FROM missing), 0), (SELECT count(*) FROM missing WHERE t1_ms IS NULL)"
        )
        return row[0], row[1]

    def gaps(self, start_ms: int, end_ms: int) -> list[tuple[int, int, int, int]]:
        """(gpu_id or 0 for the host, t0_ms, t1_ms, reason) of the gaps that touch a span."""
        sql = "SELECT gpu_id, t0_ms, t1_ms, reason FROM gap WHERE host_id=? AND t0_ms<? AND t1_ms>? ORDER BY t0_ms, gpu_id"
        return self._all(sql, (self.host_id, end_ms, start_ms))

    def events(self, at_ms: int, limit: int = 20) -> list[tuple[int, str, int, str, int | None, int | None]]:
        """(ts_ms, kind, severity, detail, gpu_id, pid) of the newest events up to ``at_ms``, newest first."""
        sql = (
            "SELECT ts_ms, kind, severity, detail, gpu_id, pid FROM event WHERE ts_ms<=? AND host_id=? "
            "ORDER BY ts_ms DESC, event_id DESC LIMIT ?"
        )
        return self._all(sql, (at_ms, self.host_id, limit))

    def sources(self) -> list[tuple[str, str, int | None, str, str, int]]:
        """(name, state, last_ok_ms, detail, hint, changed_ms) of the collectors as they are now."""
        sql = "SELECT name, state, last_ok_ms, detail, hint, changed_ms FROM source_state WHERE host_id=? ORDER BY name"
        return self._all(sql, (self.host_id,))
