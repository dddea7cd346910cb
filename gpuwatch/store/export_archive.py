"""Sealed rows in the columns and units of the hot ones, for exports: the same numbers, computed as the views compute them.

What a chunk holds counts up to the host's ``seal`` watermark; later time is in the hot rows, of which the last steps of sealing may
have written a part into chunks already. Hosts that were imported have no hot rows. The number of a tick is not archived.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpuwatch.measure import Measure, measures
from gpuwatch.model import GpuSample, HostSample, InferenceSample, ProcessSample
from gpuwatch.names import Context, Phase, ServerState, TrainingSource
from gpuwatch.store.archive import codec
from gpuwatch.store.archive.shapes import GPU, HOST, INFERENCE, PROCESS, TRAINING
from gpuwatch.store.viewkit import WORKLOAD, WORKLOAD_JOIN, multiplier
from gpuwatch.store.watermarks import SEAL_TICK_TIER, SEAL_TIER
from gpuwatch.training import TrainingSample

Row = tuple[Any, ...]
Cells = list[Any]
KINDS: Mapping[str, tuple[int, type]] = {
    "gpu": (GPU, GpuSample),
    "process": (PROCESS, ProcessSample),
    "workload": (INFERENCE, InferenceSample),
    "training": (TRAINING, TrainingSample),
    "host": (HOST, HostSample),
}
HOUR_MS = 3_600_000
_FACTS = {"quiet": "quiet", "quiet_seconds": "quiet_ms", "clock_ratio": "kappa_pm", "unavailable": "unavailable"}
_CONTEXT: Mapping[int | None, str | None] = {None: None} | {int(word): word.label for word in Context}
_STATE: Mapping[str, Mapping[int | None, str | None]] = {
    "server_state": {None: None} | {int(word): word.label for word in ServerState},
    "phase": {None: None} | {int(word): word.label for word in Phase},
}
_SOURCE: Mapping[int | None, str | None] = {None: None} | {int(word): word.label for word in TrainingSource}
_SERVER = f"SELECT {','.join(c.sql for c in WORKLOAD)} FROM (SELECT ? AS workload_id) m {WORKLOAD_JOIN}"
_RANK = "SELECT p.pid, p.start_ms, t.rank, t.world, t.source FROM process p LEFT JOIN trainer t ON t.proc_id=p.proc_id WHERE p.proc_id=?"
_FIND = "SELECT t0_ms, cols, body FROM chunk WHERE kind=? AND host_id=? AND entity_id=? AND t0_ms>? AND t0_ms<? ORDER BY t0_ms"


def first_s(db: sqlite3.Connection, what: str) -> int | None:
    """The unix second of the oldest sealed hour; ``None`` if there is none."""
    found = db.execute("SELECT min(t0_ms)/1000 FROM chunk WHERE kind=?", (KINDS[what][0],)).fetchone()[0]
    return None if found is None else int(found)


def unsealed(what: str) -> str:
    """SQL that is true of a hot row (``k`` its tick, ``h`` its host) that no chunk answers for."""
    done = "(SELECT done_s FROM rollup_state r WHERE r.host_id=h.host_id AND r.tier='{}')"
    return (
        f"(k.ts_ms>coalesce({done.format(SEAL_TIER)}*1000,-1) OR k.tick_id>coalesce({done.format(SEAL_TICK_TIER)},k.tick_id))"
        if what in KINDS
        else "1"
    )


def sealed_rows(db: sqlite3.Connection, what: str, names: Sequence[str], start_ms: int, end_ms: int) -> list[Row]:
    """The sealed rows of ``(start_ms, end_ms]`` as tuples of the named columns, in no order."""
    kind = KINDS[what][0]
    out: list[Row] = []
    entities = db.execute("SELECT DISTINCT host_id, entity_id FROM chunk WHERE kind=?", (kind,)).fetchall()
    for host_id, entity_id in entities:
        until = min(end_ms, _sealed_until(db, host_id))
        make: _Maker | None = None
        for _, cols, body in db.execute(_FIND, (kind, host_id, entity_id, start_ms - HOUR_MS, until)):
            contents = codec.contents(cols)
            first, last = contents.between(start_ms, until)
            if first == last:
                continue
            make = make or _Maker(db, what, host_id, entity_id)
            columns = codec.decode(contents, body, None, first, last)
            rows = zip(*[make.cells(name, columns) for name in names], strict=True)
            out += [row for row, ts_ms in zip(rows, columns["ts_ms"], strict=True) if start_ms < ts_ms <= until]
    return out


def _sealed_until(db: sqlite3.Connection, host_id: int) -> int:
    row = db.execute("SELECT done_s FROM rollup_state WHERE host_id=? AND tier=?", (host_id, SEAL_TIER)).fetchone()
    return int(row[0]) * 1000 if row else 2**62 if host_id < 0 else -1


class _Maker:
    """Makes the public columns of one entity's chunk."""

    def __init__(self, db: sqlite3.Connection, what: str, host_id: int, entity_id: int) -> None:
        self._measures: Mapping[str, Measure] = measures(KINDS[what][1])
        named = db.execute("SELECT hostname FROM host WHERE host_id=?", (host_id,)).fetchone()
        self._fixed: dict[str, Any] = {"host": named[0] if named else None, "tick_id": None}
        if what == "workload":
            names = [column.name for column in WORKLOAD]
            found = db.execute(_SERVER, (entity_id,)).fetchone() or (None,) * len(names)
            self._fixed |= dict(zip(names, found, strict=True))
        elif what == "training":
            pid, start_ms, rank, world, source = db.execute(_RANK, (entity_id,)).fetchone() or (None,) * 5
            self._fixed |= {"pid": pid, "start_ms": start_ms, "rank": rank, "world": world, "source": _SOURCE[source]}
        elif what != "host":
            gpu = db.execute("SELECT uuid, gpu_index FROM gpu WHERE gpu_id=?", (entity_id,)).fetchone() or (None, None)
            self._fixed |= {"gpu_uuid": gpu[0], "gpu_index": gpu[1]}
        self._people = _people(db) if what == "process" else {}
        self._state = "phase" if what == "training" else "server_state"
        self._workloads = _workloads(db) if what == "training" else {}

    def cells(self, name: str, columns: Mapping[str, Cells]) -> Cells:
        """One public column from the chunk's."""
        times = columns["ts_ms"]
        if name in self._fixed:
            return [self._fixed[name]] * len(times)
        if name == "ts_ms":
            return times
        if name == "duration_seconds":
            return [value / 1000.0 for value in columns["dt_ms"]]
        if name == "state":
            return [_STATE[self._state].get(value) for value in columns.get(self._state) or [None] * len(times)]
        if name == "context" and "context" in columns:
            return [_CONTEXT[value] for value in columns["context"]]
        if name in _FACTS and _FACTS[name] in columns:
            found = columns[_FACTS[name]]
            return found if name in ("quiet", "unavailable") else [None if v is None else v / 1000.0 for v in found]
        if name in self._measures:
            measure = self._measures[name]
            return _scaled(columns.get(measure.column) or [None] * len(times), measure)
        if self._workloads:
            return [self._workloads.get(workload, {}).get(name) for workload in columns["workload_id"]]
        return [self._people.get(proc, _NOBODY)[_PERSON.index(name)] for proc in columns["proc_id"]]


_PERSON = ("pid", "start_ms", "name", "user", "job")
_NOBODY = (None,) * len(_PERSON)


def _people(db: sqlite3.Connection) -> dict[int, Row]:
    sql = (
        "SELECT p.proc_id, p.pid, p.start_ms, p.name, u.name, p.job FROM process p LEFT JOIN user_account u ON u.user_id=p.user_id"
    )
    return {row[0]: row[1:] for row in db.execute(sql)}


def _workloads(db: sqlite3.Connection) -> dict[int, dict[str, Any]]:
    """Those that have ranks, which may be of one workload and then of another."""
    sql = f"SELECT m.workload_id, {','.join(c.sql for c in WORKLOAD)} FROM workload m {WORKLOAD_JOIN}"
    return {row[0]: dict(zip((c.name for c in WORKLOAD), row[1:], strict=True)) for row in db.execute(sql)}


def _scaled(values: Cells, measure: Measure) -> Cells:
    """Stored integers in their base unit, by the same arithmetic as ``viewkit``'s SQL."""
    if measure.scale == 1:
        return values
    factor = multiplier(measure)
    if factor is not None:
        return [None if value is None else value * factor for value in values]
    divisor = float(measure.scale)
    return [None if value is None else value / divisor for value in values]


Order = Callable[[Row], tuple[Any, ...]]


def by(names: Sequence[str], order: Sequence[str]) -> Order:
    """A key that sorts rows as ``ORDER BY`` does: NULL first."""
    places = [names.index(name) for name in order]
    return lambda row: tuple([(row[place] is not None, row[place]) for place in places])
