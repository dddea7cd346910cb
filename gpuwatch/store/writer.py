"""The one writer of samples: ticks are buffered as plain tuples and go into one short transaction, every second or every ten.

A failed commit loses nothing: the rows stay in a bounded ring in memory, ``problem`` says why in one line, and the next commit
tries again. A damaged file is moved aside; without room or permission recording goes on in a store in memory.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuwatch.clock import Clock
from gpuwatch.model import ExtraSample, MissingKey
from gpuwatch.names import GapReason, Missing, Severity
from gpuwatch.store import columns, connection
from gpuwatch.store.bulk import Inserter
from gpuwatch.store.connection import DamagedStore
from gpuwatch.store.identities import Identities
from gpuwatch.store.opening import Opener, scalar
from gpuwatch.store.rows import SourceState, Tick

RING_ROWS = 20_000
"""Sample rows that are kept in memory while the file cannot be written (about 6 MB)."""
RING_OPS = 5_000
"""Events, gaps, reasons and states that are kept so."""
_RECENT_TICKS = 64
_FLAG: dict[bool | None, int | None] = {None: None, False: 0, True: 1}
_INSERT = {
    "tick": Inserter("tick", ("tick_id", "ts_ms", "session_id")),
    "gpu_sample": Inserter("gpu_sample", columns.GPU_SAMPLE),
    "process_sample": Inserter("process_sample", columns.PROCESS_SAMPLE),
    "host_sample": Inserter("host_sample", columns.HOST_SAMPLE),
    "recorder_sample": Inserter("recorder_sample", columns.RECORDER_SAMPLE),
    "training_sample": Inserter("training_sample", columns.TRAINING_SAMPLE),
    "inference_sample": Inserter("inference_sample", columns.INFERENCE_SAMPLE),
    "extra_sample": Inserter("extra_sample", columns.EXTRA_SAMPLE),
}
_EVENT = columns.insert_sql("event", ("event_id", "ts_ms", "host_id", "gpu_id", "proc_id", "pid", "kind", "severity", "detail"))
_GAP = columns.insert_sql("gap", ("host_id", "gpu_id", "t0_ms", "t1_ms", "reason", "session_id"))
_MISSING = columns.insert_sql("missing", ("missing_id", "host_id", "entity", "entity_key", "field", "reason", "t0_ms"))
_SOURCE = columns.insert_sql("source_state", ("host_id", "name", "state", "last_ok_ms", "detail", "hint", "changed_ms"))
_SESSION = (
    "INSERT INTO session(session_id,host_id,started_ms,last_ms,version,period_ms,boot_id,pid) VALUES(?,?,?,?,?,?,?,?)"
    " ON CONFLICT(session_id) DO UPDATE SET host_id=excluded.host_id,last_ms=excluded.last_ms"
)


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """The new session, and how the one before it ended (``None``: there was none). ``previous_end_ms`` is its last row."""

    session_id: int
    previous_end_ms: int | None
    previous_clean: bool | None
    previous_boot_id: str = ""


@dataclass(slots=True)
class _Session:
    session_id: int
    started_ms: int
    last_ms: int
    period_ms: int
    boot_id: str


class StoreWriter:
    """One open store with its buffer. Not thread-safe: one thread adds and commits."""

    def __init__(self, opener: Opener, version: str) -> None:
        self._opener = opener
        self.connection = opener.connection
        self.problem = ""
        """Why the last commit failed, in one line, or empty."""
        self._version = version
        self._ids = Identities(self.connection)
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _INSERT}
        self._ops: list[tuple[str, tuple[Any, ...]]] = []
        self._open_missing: dict[MissingKey, tuple[Any, ...]] = {}
        self._sources: dict[str, tuple[Any, ...]] = {}
        self._recent: dict[int, int] = {}
        self._next_tick = 1 + scalar(self.connection, "SELECT max(tick_id) FROM tick")
        self._session: _Session | None = None
        self._dropped: tuple[int, int, int] | None = None

    # ------------------------------------------------------------------------------------------------------ opening

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        clock: Clock,
        simulated: bool = False,
        scenario: str = "",
        version: str = "",
        tmpfs_fallback: bool = True,
        mode: int = 0o600,
    ) -> StoreWriter:
        """Open or create the store; ``":memory:"`` for one tick that nobody keeps. The caller holds the lease.

        A damaged file is moved aside, a newer one is left alone for a side file, and one that cannot be written is replaced by
        a store in memory (``hot_only``); each says so in ``notices``. Raises :class:`StoreError` if nothing can be opened, or
        if the file's kind (simulated or real) differs.
        """
        opener = Opener(path, clock, simulated, scenario, tmpfs_fallback, mode)
        opener.open()
        return cls(opener, version)

    @property
    def path(self) -> Path | str:
        """The file that is written now; it may differ from the one asked for."""
        return self._opener.path

    @property
    def hot_only(self) -> bool:
        """True in the store in memory: only the last two hours are kept there, no rollups."""
        return self._opener.hot_only

    @property
    def notices(self) -> list[str]:
        """Sentences for the user about where the store lies and what happened to the old one."""
        return self._opener.notices

    def begin_session(self, now_ms: int, period_ms: int, boot_id: str) -> SessionInfo:
        """Start one life of a recorder; reasons and sources of the one before are closed. Call again after a clock step."""
        previous = self.connection.execute(
            "SELECT session_id, last_ms, clean, boot_id FROM session ORDER BY session_id DESC LIMIT 1"
        ).fetchone()
        if self._session is not None:
            self.end_session(clean=True)
            previous = (self._session.session_id, self._session.last_ms, 1, self._session.boot_id)
        session = _Session((previous[0] if previous else 0) + 1, now_ms, now_ms, period_ms, boot_id)
        end_ms = previous[1] if previous else now_ms
        self._session = session
        self._recent.clear()
        self._open_missing.clear()
        self._sources.clear()
        self._ops.append(("UPDATE missing SET t1_ms=max(t0_ms,?) WHERE t1_ms IS NULL", (end_ms,)))
        self._ops.append(("DELETE FROM source_state", ()))
        self.commit()
        if previous is None:
            return SessionInfo(session.session_id, None, None)
        return SessionInfo(session.session_id, previous[1], bool(previous[2]), previous[3])

    # ------------------------------------------------------------------------------------------------------ adding

    def add(self, tick: Tick) -> None:
        """Take one tick into the buffer. Ticks of the same ``ts_ms`` share one tick row, in whatever order they come."""
        try:
            self._add(tick)
        except sqlite3.Error as error:  # an identity could not be looked up; a second try finds the fresh file or raises
            self._failed(error)
            self._add(tick)

    def _add(self, tick: Tick) -> None:
        ids, ts = self._ids, tick.ts_ms
        if tick.host is not None:
            ids.host(tick.host, ts)
        for gpu in tick.gpus:
            ids.gpu(gpu, ts)
        for workload in tick.workloads:
            ids.workload(workload, ts)
        for process in tick.processes:
            ids.process(process, ts)
        self._add_rows(tick)
        for event in tick.events:
            gpu_id = ids.gpu_id(event.gpu_uuid, ts) if event.gpu_uuid else None
            proc_id = ids.latest_process(event.pid) if event.pid else None
            where = (ids.take_id("event"), event.ts_ms, self._host(ts), gpu_id, proc_id, event.pid or None)
            self._ops.append((_EVENT, (*where, event.kind, int(event.severity), event.detail)))
        for gap in tick.gaps:
            gpu_id = ids.gpu_id(gap.gpu_uuid, ts) if gap.gpu_uuid else 0
            self._ops.append((_GAP, (self._host(ts), gpu_id, gap.t0_ms, gap.t1_ms, int(gap.reason), self._session_id())))
        if tick.missing:
            self._add_missing(tick.missing, ts)
        for source in tick.sources:
            row = self._sources[source.name] = self._source_row(source, ts)
            self._ops.append((_SOURCE, row))

    def _host(self, ts_ms: int) -> int:
        return self._ids.current_host(ts_ms)

    def _session_id(self) -> int:
        return self._session.session_id if self._session else 0

    def _source_row(self, source: SourceState, ts_ms: int) -> tuple[Any, ...]:
        return self._host(ts_ms), source.name, source.state, source.last_ok_ms, source.detail, source.hint, ts_ms

    def _tick_id(self, ts_ms: int) -> int:
        found = self._recent.get(ts_ms)
        if found is not None:
            return found
        found = self._recent[ts_ms] = self._next_tick
        self._next_tick += 1
        self._rows["tick"].append((found, ts_ms, self._session_id()))
        if len(self._recent) > _RECENT_TICKS:
            del self._recent[next(iter(self._recent))]
        if self._session:
            self._session.last_ms = max(self._session.last_ms, ts_ms)
        return found

    def _add_rows(self, tick: Tick) -> None:
        ids, ts, rows = self._ids, tick.ts_ms, self._rows
        if not (
            tick.gpu_rows or tick.process_rows or tick.workload_rows or tick.extras or tick.host_values or tick.recorder_values
        ):
            return
        tick_id = self._tick_id(ts)
        gpu_id, process_id = ids.gpu_id, ids.process_id
        add = rows["gpu_sample"].append
        for g in tick.gpu_rows:
            facts = (g.dt_ms, _FLAG[g.quiet], None if g.context is None else int(g.context), g.quiet_ms, g.kappa_pm)
            add((tick_id, gpu_id(g.gpu_uuid, ts), *facts, int(g.unavailable), *g.values))
        add = rows["process_sample"].append
        for p in tick.process_rows:
            on = gpu_id(p.gpu_uuid, ts) if p.gpu_uuid else 0
            add((tick_id, process_id((p.pid, p.start_ms), ts), on, p.dt_ms, *p.values))
        for w in tick.workload_rows:
            table = "training_sample" if w.kind == "training" else "inference_sample"
            key = w.root_pid, w.root_start_ms, w.port
            rows[table].append((tick_id, ids.workload_id(key, w.kind, ts), w.dt_ms, *w.values))
        if tick.host_values is not None:
            rows["host_sample"].append((tick_id, self._host(ts), tick.host_dt_ms, *tick.host_values))
        if tick.recorder_values is not None:
            rows["recorder_sample"].append((tick_id, self._host(ts), tick.recorder_dt_ms, *tick.recorder_values))
        for extra in tick.extras:
            rows["extra_sample"].append(self._extra_row(tick_id, extra, ts))

    def _extra_row(self, tick_id: int, extra: ExtraSample, ts_ms: int) -> tuple[Any, ...]:
        gpu_id = self._ids.gpu_id(extra.gpu_uuid, ts_ms) if extra.gpu_uuid else 0
        return tick_id, extra.name, gpu_id, self._ids.latest_process(extra.pid) or 0, extra.unit, extra.value

    def _add_missing(self, changes: Mapping[MissingKey, Missing | None], ts_ms: int) -> None:
        for key, reason in changes.items():
            found = self._open_missing.pop(key, None)
            if found is not None:
                self._ops.append(("UPDATE missing SET t1_ms=? WHERE missing_id=?", (ts_ms, found[0])))
            if reason is not None:
                row = (self._ids.take_id("missing"), self._host(ts_ms), *key, int(reason), ts_ms)
                self._open_missing[key] = row
                self._ops.append((_MISSING, row))

    # ------------------------------------------------------------------------------------------------------ committing

    def commit(self) -> bool:
        """Write the buffer in one transaction. False if it failed: ``problem`` says why and the rows are kept for later."""
        db = self.connection
        no_room = self._opener.no_room()
        if no_room:
            self._keep(no_room)
            return False
        try:
            db.execute("BEGIN IMMEDIATE")
            self._write(db)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            self._failed(error)
            return False
        self._ids.written()
        for rows in self._rows.values():
            rows.clear()
        self._ops.clear()
        self._dropped = None
        self.problem = ""
        return True

    def _write(self, db: sqlite3.Connection) -> None:
        self._ids.write(db)
        if self._session:
            s = self._session
            values = (s.session_id, self._ids.host_id or None, s.started_ms, s.last_ms, self._version, s.period_ms, s.boot_id)
            db.execute(_SESSION, (*values, os.getpid()))
        for table, rows in self._rows.items():
            if rows:
                _INSERT[table].insert(db, rows)
        for sql, values in self._ops:
            db.execute(sql, values)
        if self._dropped is not None:
            self._write_dropped(db, *self._dropped)

    def _write_dropped(self, db: sqlite3.Connection, first_ms: int, last_ms: int, count: int) -> None:
        """Say in the store itself that rows are not there because they could not be kept."""
        host = self._host(last_ms)
        detail = f"{count} rows could not be written and were dropped: {self.problem}"
        event = (self._ids.take_id("event"), last_ms, host, None, None, None, "rows_dropped", int(Severity.WARNING), detail)
        db.execute(_EVENT, event)
        db.execute(_GAP, (host, 0, first_ms, last_ms, int(GapReason.STALL), self._session_id()))

    def _failed(self, error: sqlite3.Error) -> None:
        """Roll back and keep the rows; a damaged file is replaced by a fresh one, into which the kept rows go."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself
        explained = connection.explain(error, self.path)
        if not isinstance(explained, DamagedStore):
            self._keep(str(explained))
            return
        self.problem = str(explained)
        if self._opener.replace_damaged():
            self._move_in()
        self._trim_ring()

    def _keep(self, problem: str) -> None:
        """The rows wait in the ring; when that is full, recording moves to memory."""
        self.problem = problem
        if self._trim_ring() and self._opener.move_to_memory(problem, afresh=True):
            self._move_in()

    def _move_in(self) -> None:
        """Another, fresh file is open: write into it who everything is, and what is missing now."""
        self.connection = self._opener.connection
        self._ids.attach(self.connection)
        self._ids.requeue_all()
        self._ops.extend((_MISSING, row) for row in self._open_missing.values())
        self._ops.extend((_SOURCE, row) for row in self._sources.values())

    def _trim_ring(self) -> bool:
        """Drop the oldest ticks when more than ``RING_ROWS`` rows wait; True if some were dropped."""
        del self._ops[:-RING_OPS]
        excess = sum(map(len, self._rows.values())) - RING_ROWS
        ticks = self._rows["tick"]
        if excess <= 0 or not ticks:
            return False
        cut = ticks[min(len(ticks) - 1, len(ticks) // 4)][0]
        first, last = ticks[0][1], ticks[0][1]
        dropped = 0
        for table, rows in self._rows.items():
            if table == "tick":
                last = max((row[1] for row in rows if row[0] < cut), default=last)
            kept = [row for row in rows if row[0] >= cut]
            dropped += len(rows) - len(kept)
            self._rows[table] = kept
        before = self._dropped
        self._dropped = (before[0] if before else first, last, dropped + (before[2] if before else 0))
        return True

    # ------------------------------------------------------------------------------------------------------ closing

    def end_session(self, clean: bool = True) -> bool:
        """Commit what is left and mark the session's end; False if that failed."""
        if self._session is None:
            return self.commit()
        now_ms = round(self._opener.clock.time() * 1000)
        end = ("UPDATE session SET ended_ms=?, clean=? WHERE session_id=?", (now_ms, int(clean), self._session.session_id))
        self._ops.append(end)
        return self.commit()

    def close(self) -> None:
        """Close the file; on a clean exit it leaves WAL mode, so that it can be read from anywhere."""
        connection.close_cleanly(self.connection)
