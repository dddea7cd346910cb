"""Sealing: the hot rows of a closed hour become one chunk for each entity, exactly, a few milliseconds at a time.

No transaction is open between two steps. A chunk is written in one, together with the distributions of its hour, so that a recorder
that is killed anywhere has either sealed an entity's hour or finds its rows again on the next start. Sealing an hour once more
merges: what the chunk holds stays, and of the hot rows come those that speak for time that it does not have. So it can be
repeated at will, and a clock that was set back adds nothing twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator

from gpuwatch.dataclass import dataclass, replace
from gpuwatch.store.archive.hour import SealedHour
from gpuwatch.store.archive.shapes import GPU, PROCESS, SHAPES
from gpuwatch.store.archive.slices import HOUR_MS, OF_HOST, HotRows
from gpuwatch.store.connection import transaction
from gpuwatch.store.hours import hour_offset_s, hour_start_s
from gpuwatch.store.watermarks import SEAL_TICK_TIER, SEAL_TIER, current_host, set_watermark, watermark

__all__ = ["HOUR_MS", "SealJob", "due", "seal_all"]

_ENTITIES_MS = 300_000
"""Entities are looked up in slices of so much time."""


@dataclass(frozen=True, slots=True)
class SealJob:
    """One hour of one hot table. ``seals_s``: what is sealed when it is done (unix second), ``seals_tick``: up to which tick."""

    kind: int
    host_id: int
    t0_ms: int
    seals_s: int | None = None
    seals_tick: int | None = None

    def steps(self, db: sqlite3.Connection) -> Iterator[None]:
        """Do it, at most about 5 ms of work at a time. Stopping between two steps loses nothing and leaves nothing behind."""
        entities = set[int]()
        for found in self._entities(db):
            entities |= found
            yield
        groups = [sorted(entities)] if self.kind == PROCESS else [[entity] for entity in sorted(entities)]
        for group in groups:
            while group:
                group = yield from self._seal(db, group)
        with transaction(db):
            if self.seals_s is not None:
                set_watermark(db, SEAL_TIER, self.seals_s, self.host_id)
            if self.seals_tick is not None:
                db.execute("INSERT OR REPLACE INTO rollup_state VALUES(?,?,?)", (self.host_id, SEAL_TICK_TIER, self.seals_tick))
        yield

    def _seal(self, db: sqlite3.Connection, entities: list[int]) -> Generator[None, None, list[int]]:
        """Seal the hours of some entities in one pass; those whose chunk was changed meanwhile must be done again.

        Rows of processes lie by process and not by GPU: to look for those of one GPU is to go through them all.
        """
        hours = {entity: SealedHour(db, self.kind, self.host_id, entity, self.t0_ms) for entity in entities}
        only = None if self.kind == PROCESS else entities[0]
        for start, end, columns in HotRows(db, SHAPES[self.kind], self.host_id, only, self.t0_ms):
            yield
            for entity, hour in hours.items():
                yield from hour.add(start, end, columns.get(entity, ()))
        again = []
        for entity, hour in hours.items():
            if not (yield from hour.finish()):
                again.append(entity)
            yield
        return again

    def _entities(self, db: sqlite3.Connection) -> Iterator[set[int]]:
        """Which entities may have rows in the hour, slice by slice."""
        shape = SHAPES[self.kind]
        if shape.entity == "gpu_id":
            sql = "SELECT gpu_id FROM gpu WHERE host_id=? OR last_ms>?"
            gpus = {row[0] for row in db.execute(sql, (self.host_id, self.t0_ms))}
            yield gpus if self.kind == GPU else gpus | {0}
        elif shape.entity:
            sql = (
                f"SELECT DISTINCT s.{shape.entity} FROM tick k CROSS JOIN {shape.table} s"
                " WHERE k.ts_ms>? AND k.ts_ms<=? AND s.tick_id=k.tick_id"
            )
            for start in range(self.t0_ms, self.t0_ms + HOUR_MS, _ENTITIES_MS):
                yield {row[0] for row in db.execute(sql, (start, start + _ENTITIES_MS))}
        else:
            yield {0}


def due(db: sqlite3.Connection, now_ms: int, *, host_id: int | None = None) -> list[SealJob]:
    """What is to be sealed: hours that ended by ``now_ms``, oldest first; one job for each hot table that has rows.

    The caller decides how long late rows may take. Hours behind the watermark come again if a clock that was set back has written
    into them since. ``host_id`` defaults to the host that records here.
    """
    newest = db.execute("SELECT max(tick_id) FROM tick").fetchone()[0]
    if newest is None:
        return []
    host = current_host(db) if host_id is None else host_id
    offset = hour_offset_s(db, host)
    end_ms, done_s = hour_start_s(now_ms // 1000, offset) * 1000, watermark(db, SEAL_TIER, host)
    start = f"(k.ts_ms-1-{offset * 1000})/{HOUR_MS}*{HOUR_MS}+{offset * 1000}"
    hours = f"SELECT DISTINCT {start} FROM tick k WHERE k.ts_ms>:since AND k.ts_ms<=:until AND k.tick_id>:tick AND {OF_HOST}"
    since_ms = 0 if done_s is None else done_s * 1000
    starts = {row[0] for row in db.execute(hours, {"host": host, "since": since_ms, "until": end_ms, "tick": 0})}
    if done_s is not None:
        tick = watermark(db, SEAL_TICK_TIER, host) or 0
        if tick > newest:  # all ticks were deleted since, and their ids began anew
            tick = 0
        behind = {"host": host, "since": 0, "until": min(since_ms, end_ms), "tick": tick}
        starts |= {row[0] for row in db.execute(hours, behind)}
    kinds = [kind for kind, shape in SHAPES.items() if kind == GPU or _any(db, shape.table)]
    return _with_marks([SealJob(kind, host, t0_ms) for t0_ms in sorted(starts) for kind in kinds], newest)


def _any(db: sqlite3.Connection, table: str) -> bool:
    return db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None


def _with_marks(jobs: list[SealJob], newest_tick: int) -> list[SealJob]:
    """The last job of each hour says that the hour is sealed, the very last one that nothing is left behind."""
    out = []
    for number, job in enumerate(jobs):
        last = number + 1 == len(jobs)
        ends = last or jobs[number + 1].t0_ms != job.t0_ms
        seals_s = (job.t0_ms + HOUR_MS) // 1000 if ends else None
        out.append(replace(job, seals_s=seals_s, seals_tick=newest_tick if last else None))
    return out


def seal_all(db: sqlite3.Connection, now_ms: int, *, host_id: int | None = None) -> int:
    """Seal at once all that is :func:`due`; how many hours."""
    jobs = due(db, now_ms, host_id=host_id)
    for job in jobs:
        with transaction(db):
            for _ in job.steps(db):
                pass
    return len({job.t0_ms for job in jobs})
