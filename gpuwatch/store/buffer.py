"""Ticks on their way into the store: plain tuples under the store's ids, kept until a transaction that holds them has succeeded."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from gpuwatch.model import ExtraSample, MissingKey
from gpuwatch.names import GapReason, Latency, Missing, Severity
from gpuwatch.store import columns
from gpuwatch.store.bulk import Inserter
from gpuwatch.store.identities import Identities
from gpuwatch.store.rows import SourceState, Tick
from gpuwatch.store.trainer_rows import one_each

RING_ROWS = 20_000
"""Sample rows that are kept in memory while the file cannot be written (about 6 MB)."""
RING_OPS = 5_000
"""Events, gaps, reasons and states that are kept so."""
_RECENT_TICKS = 64
_KIND = {False: "inference", True: "training"}
_FLAG: dict[bool | None, int | None] = {None: None, False: 0, True: 1}
_INSERT = {
    "tick": Inserter("tick", ("tick_id", "ts_ms", "session_id")),
    "gpu_sample": Inserter("gpu_sample", columns.GPU_SAMPLE),
    "process_sample": Inserter("process_sample", columns.PROCESS_SAMPLE),
    "host_sample": Inserter("host_sample", columns.HOST_SAMPLE),
    "recorder_sample": Inserter("recorder_sample", columns.RECORDER_SAMPLE),
    "training_sample": Inserter("training_sample", columns.TRAINING_SAMPLE),
    "inference_sample": Inserter("inference_sample", columns.INFERENCE_SAMPLE),
    "latency_sample": Inserter("latency_sample", columns.LATENCY_SAMPLE),
    "extra_sample": Inserter("extra_sample", columns.EXTRA_SAMPLE),
}
_EVENT = columns.insert_sql("event", ("event_id", "ts_ms", "host_id", "gpu_id", "proc_id", "pid", "kind", "severity", "detail"))
_GAP = columns.insert_sql("gap", ("host_id", "gpu_id", "t0_ms", "t1_ms", "reason", "session_id"))
_GAP_ENERGY = columns.insert_sql("gap_energy", ("host_id", "gpu_id", "t0_ms", "energy_mj"))
_MISSING = columns.insert_sql("missing", ("missing_id", "host_id", "entity", "entity_key", "field", "reason", "t0_ms"))
_SOURCE = columns.insert_sql("source_state", ("host_id", "name", "state", "last_ok_ms", "detail", "hint", "changed_ms"))


class TickBuffer:
    """What was added and is not committed yet, and what must be said again in a fresh file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.ids = Identities(db)
        self.session_id = 0
        self.last_ms = 0
        """Time of the newest tick of this session."""
        self._next_tick = 1 + (db.execute("SELECT max(tick_id) FROM tick").fetchone()[0] or 0)
        self._recent: dict[int, int] = {}
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _INSERT}
        self._ops: list[tuple[str, tuple[Any, ...]]] = []
        self._open_missing: dict[MissingKey, tuple[Any, ...]] = {}
        self._sources: dict[str, tuple[Any, ...]] = {}
        self._dropped: tuple[int, int, int] | None = None

    def begin_session(self, session_id: int, now_ms: int, previous_end_ms: int) -> None:
        """Rows belong to a new session; what was missing or known about sources before is closed."""
        self.session_id, self.last_ms = session_id, now_ms
        for memory in (self._recent, self._open_missing, self._sources):
            memory.clear()
        self.do("UPDATE missing SET t1_ms=max(t0_ms,?) WHERE t1_ms IS NULL", previous_end_ms)
        self.do("DELETE FROM source_state")
        self.ids.trainings.begin(now_ms)

    def do(self, sql: str, *values: Any) -> None:
        """One more statement for the next commit."""
        self._ops.append((sql, values))

    def __len__(self) -> int:
        """Sample rows that wait, ticks included."""
        return sum(map(len, self._rows.values()))

    # ------------------------------------------------------------------------------------------------------ adding

    def add(self, tick: Tick) -> None:
        """Take one tick. Ticks of the same ``ts_ms`` share one tick row, in whatever order they come."""
        ids, ts = self.ids, tick.ts_ms
        if tick.host is not None:
            ids.host(tick.host, ts)
        for gpu in tick.gpus:
            ids.gpu(gpu, ts)
        for workload in tick.workloads:
            ids.workload(workload, ts)
        for server in tick.servers:
            ids.server(server, ts)
        for process in tick.processes:
            ids.process(process, ts)
        for trainer in tick.trainers:
            ids.trainer(trainer, ts)
        for run in tick.runs:
            ids.run(run, ts)
        sampled = tick.gpu_rows or tick.process_rows or tick.workload_rows or tick.training_rows
        if sampled or tick.extras or tick.host_values or tick.recorder_values:
            self._add_rows(tick, self._tick_id(ts))
        for event in tick.events:
            gpu_id = ids.gpu_id(event.gpu_uuid, ts) if event.gpu_uuid else None
            proc_id = ids.latest_process(event.pid) if event.pid else None
            where = (ids.take_id("event"), event.ts_ms, ids.current_host(ts), gpu_id, proc_id, event.pid or None)
            self.do(_EVENT, *where, event.kind, int(event.severity), event.detail)
        for gap in tick.gaps:
            gpu_id = ids.gpu_id(gap.gpu_uuid, ts) if gap.gpu_uuid else 0
            self.do(_GAP, ids.current_host(ts), gpu_id, gap.t0_ms, gap.t1_ms, int(gap.reason), self.session_id)
        for used in tick.gap_energy:
            self.do(_GAP_ENERGY, ids.current_host(ts), ids.gpu_id(used.gpu_uuid, ts), used.t0_ms, used.energy_mj)
        if tick.missing:
            self._add_missing(tick.missing, ts)
        for source in tick.sources:
            self._add_source(source, ts)

    def _tick_id(self, ts_ms: int) -> int:
        found = self._recent.get(ts_ms)
        if found is not None:
            return found
        found = self._recent[ts_ms] = self._next_tick
        self._next_tick += 1
        self._rows["tick"].append((found, ts_ms, self.session_id))
        if len(self._recent) > _RECENT_TICKS:
            del self._recent[next(iter(self._recent))]
        self.last_ms = max(self.last_ms, ts_ms)
        return found

    def _add_rows(self, tick: Tick, tick_id: int) -> None:
        ids, ts, rows = self.ids, tick.ts_ms, self._rows
        gpu_id, process_id = ids.gpu_id, ids.process_id
        add = rows["gpu_sample"].append
        for g in tick.gpu_rows:
            facts = (g.dt_ms, _FLAG[g.quiet], None if g.context is None else int(g.context), g.quiet_ms, g.kappa_pm)
            add((tick_id, gpu_id(g.gpu_uuid, ts), *facts, int(g.unavailable), *g.values))
        add = rows["process_sample"].append
        for p in tick.process_rows:
            on = gpu_id(p.gpu_uuid, ts) if p.gpu_uuid else 0
            add((tick_id, process_id((p.pid, p.start_ms), ts), on, p.dt_ms, *p.values))
        add = rows["inference_sample"].append
        for w in tick.workload_rows:
            key = w.root_pid, w.root_start_ms, w.port
            add((tick_id, ids.workload_id(key, w.kind, ts), w.dt_ms, *w.values))
        add = rows["training_sample"].append
        for r in one_each(tick.training_rows):
            root = r.root_pid, r.root_start_ms
            add(
                (
                    tick_id,
                    process_id((r.pid, r.start_ms), ts, root),
                    ids.workload_id((*root, 0), "training", ts),
                    r.dt_ms,
                    *r.values,
                )
            )
        for counts in tick.latencies:
            key, kind = (counts.root_pid, counts.root_start_ms, counts.port), _KIND[counts.latency >= Latency.STEP]
            of = (tick_id, ids.workload_id(key, kind, ts), int(counts.latency))
            rows["latency_sample"].extend([(*of, *bucket) for bucket in counts.buckets])
        if tick.host_values is not None:
            rows["host_sample"].append((tick_id, ids.current_host(ts), tick.host_dt_ms, *tick.host_values))
        if tick.recorder_values is not None:
            rows["recorder_sample"].append((tick_id, ids.current_host(ts), tick.recorder_dt_ms, *tick.recorder_values))
        for extra in tick.extras:
            rows["extra_sample"].append(self._extra_row(tick_id, extra, ts))

    def _extra_row(self, tick_id: int, extra: ExtraSample, ts_ms: int) -> tuple[Any, ...]:
        gpu_id = self.ids.gpu_id(extra.gpu_uuid, ts_ms) if extra.gpu_uuid else 0
        return tick_id, extra.name, gpu_id, self.ids.latest_process(extra.pid) or 0, extra.unit, extra.value

    def _add_missing(self, changes: Mapping[MissingKey, Missing | None], ts_ms: int) -> None:
        for key, reason in changes.items():
            found = self._open_missing.pop(key, None)
            if found is not None:
                self.do("UPDATE missing SET t1_ms=? WHERE missing_id=?", ts_ms, found[0])
            if reason is not None:
                row = (self.ids.take_id("missing"), self.ids.current_host(ts_ms), *key, int(reason), ts_ms)
                self._open_missing[key] = row
                self.do(_MISSING, *row)

    def _add_source(self, source: SourceState, ts_ms: int) -> None:
        known = (source.name, source.state, source.last_ok_ms, source.detail, source.hint)
        row = self._sources[source.name] = (self.ids.current_host(ts_ms), *known, ts_ms)
        self.do(_SOURCE, *row)

    # ------------------------------------------------------------------------------------------------------ writing

    def write(self, db: sqlite3.Connection, problem: str) -> None:
        """Put everything into the open transaction. ``problem`` is why rows were dropped, if some were."""
        forgotten = self.ids.forget(db)
        if forgotten:
            self._ops = [_unsaid(sql, values, forgotten) for sql, values in self._ops]
        self.ids.write(db, self.last_ms)
        for table, rows in self._rows.items():
            if rows:
                _INSERT[table].insert(db, rows)
        for sql, values in self._ops:
            db.execute(sql, values)
        if self._dropped is not None:
            self._write_dropped(db, *self._dropped, problem)

    def _write_dropped(self, db: sqlite3.Connection, first_ms: int, last_ms: int, count: int, problem: str) -> None:
        """Say in the store itself that rows are not there because they could not be kept."""
        host = self.ids.current_host(last_ms)
        detail = f"{count} rows could not be written and were dropped: {problem}"
        event = (self.ids.take_id("event"), last_ms, host, None, None, None, "rows_dropped", int(Severity.WARNING), detail)
        db.execute(_EVENT, event)
        db.execute(_GAP, (host, 0, first_ms, last_ms, int(GapReason.STALL), self.session_id))

    def written(self) -> None:
        """The transaction succeeded."""
        self.ids.written(self.last_ms)
        for rows in self._rows.values():
            rows.clear()
        self._ops.clear()
        self._dropped = None

    def move_in(self, db: sqlite3.Connection) -> None:
        """Another, fresh file is open: it must be told who everything is, and what is missing now."""
        self.ids.attach(db)
        self.ids.requeue_all()
        self._ops.extend((_MISSING, row) for row in self._open_missing.values())
        self._ops.extend((_SOURCE, row) for row in self._sources.values())

    def trim(self) -> bool:
        """Drop the oldest quarter of the ticks when more than ``RING_ROWS`` rows wait; True if some were dropped."""
        del self._ops[:-RING_OPS]
        ticks = self._rows["tick"]
        if len(self) <= RING_ROWS or not ticks:
            return False
        first, cut = ticks[0][1], ticks[len(ticks) // 4][0]
        last = max((ts_ms for tick_id, ts_ms, _ in ticks if tick_id < cut), default=first)
        before = len(self)
        for table, rows in self._rows.items():
            self._rows[table] = [row for row in rows if row[0] >= cut]
        start, count = (self._dropped[0], self._dropped[2]) if self._dropped else (first, 0)
        self._dropped = (start, last, count + before - len(self))
        return True


def _unsaid(sql: str, values: tuple[Any, ...], forgotten: frozenset[int]) -> tuple[str, tuple[Any, ...]]:
    """An event of a process of somebody who was forgotten since says nothing."""
    return (sql, (*values[:-1], "")) if sql == _EVENT and values[4] in forgotten else (sql, values)
