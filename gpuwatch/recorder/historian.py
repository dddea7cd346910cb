"""What becomes of closed minutes: hours and days, the archive, and what is too old, one small step a tick.

Nothing is remembered that the store does not know: what is open is found by the watermarks, so a recorder that was killed or off
for days goes on where it stopped, and a backlog takes as many ticks as it has steps. What fails is tried again a minute later and
stops neither recording nor the other work.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator

from gpuwatch.model import Event
from gpuwatch.names import Severity
from gpuwatch.store.archive.seal import SealJob, due
from gpuwatch.store.capacity import fit, shrink
from gpuwatch.store.days import close_hist_days, close_ledger_days, day_steps
from gpuwatch.store.deleting import Keep
from gpuwatch.store.hours import HOUR_S, close_ledger_hours, hour_offset_s, hour_start_s, hour_steps
from gpuwatch.store.idle_floor import learn
from gpuwatch.store.opening import MEMORY_HOURS
from gpuwatch.store.retention import aged, leapt, trim_hot
from gpuwatch.store.rows import Tick
from gpuwatch.store.watermarks import LEDGER_DAY_TIER, SEAL_TIER, behind, current_host
from gpuwatch.store.writer import StoreWriter

Work = Callable[[], Iterator[object]]
_STEP_MS = 1000
"""One step for so much time: a recorder with longer periods takes several steps a tick."""
_HOUR_STEPS, _HASTEN_STEPS = 1000, 100
"""So many ticks sealing an hour may take: half an hour, since in the others minutes are closed. After so many steps more than are
known to be needed it hastens."""


class Historian:
    """Works on one writer's store. ``keep`` says how long what is kept."""

    def __init__(self, writer: StoreWriter, keep: Keep, logger: logging.Logger) -> None:
        self._writer, self._keep, self._log = writer, keep, logger
        self._open: dict[str, Iterator[object]] = {}
        self._db: sqlite3.Connection | None = None
        self._sealed_s: int | None = None
        """Up to which hour's end this recorder has sealed."""
        self._aged_s: int | None = None
        self._learned_s: int | None = None
        self._hour_steps = self._sealing_steps = 0
        """So many steps it took to seal an hour last, and what is sealed now has taken so many."""
        self._told = ""

    def plan(self, end_s: int, ts_ms: int) -> None:
        """All minutes up to unix second ``end_s`` are closed: begin what can be done now and is not under way."""
        db = self._writer.connection
        if db is not self._db:
            self._db, self._sealed_s, self._aged_s, self._learned_s = db, None, None, None
            self._open.clear()
        work: dict[str, Work] = {"trim": lambda: self._trim(db, ts_ms)}
        if not self._writer.hot_only:
            hour_s = hour_start_s(end_s, hour_offset_s(db, current_host(db)))
            work["sum"] = lambda: self._sum(db, end_s)
            if hour_s != self._sealed_s:
                work["seal"] = lambda: self._seal(db, end_s, hour_s)
            if hour_s != self._aged_s:
                work["age"] = lambda: self._age(db, hour_s, ts_ms)
            if hour_s != self._learned_s:
                work["learn"] = lambda: self._learn(db, end_s, hour_s)
        for name, begin in work.items():
            self._open.setdefault(name, begin())

    def work(self, period_ms: int) -> None:
        """A tick's share of it: a step a second, and more of sealing where an hour has too many for that."""
        steps = max(1, period_ms // _STEP_MS)
        for number in range(steps * self._pace()):
            if not self._open or (number >= steps and self._next() != "seal"):
                return
            self._step()

    def _pace(self) -> int:
        """How many steps at once seal an hour in time: by what the last one took, so that it is even, and by what this one does."""
        late = self._sealing_steps - max(self._hour_steps, _HOUR_STEPS)
        return max(-(-self._hour_steps // _HOUR_STEPS), 1 + max(0, late) // _HASTEN_STEPS)

    def _next(self) -> str:
        """The most urgent work."""
        return next(name for name in ("sum", "trim", "seal", "age", "learn") if name in self._open)

    def _step(self) -> None:
        """One step of it."""
        name = self._next()
        try:
            next(self._open[name])
        except StopIteration:
            del self._open[name]
        except Exception as error:  # noqa: BLE001 - the writer's border: what is kept badly must not stop what is recorded
            del self._open[name]
            problem = f"{name}: {type(error).__name__}: {error}"
            if problem != self._told:  # once, not each minute
                self._log.error("keeping history failed: %s", problem, exc_info=not isinstance(error, sqlite3.Error))
            self._told = problem
            if isinstance(error, sqlite3.Error):
                self._writer.stumbled(error)

    def _sum(self, db: sqlite3.Connection, end_s: int) -> Iterator[object]:
        for host in behind(db, LEDGER_DAY_TIER):
            yield from hour_steps(db, end_s * 1000, host_id=host)
            while close_ledger_hours(db, end_s * 1000, host_id=host, limit=1):
                yield None
            yield from day_steps(db, end_s * 1000, host_id=host)
            for close in (close_ledger_days, close_hist_days):
                while close(db, end_s * 1000, host_id=host, limit=1):
                    yield None

    def _seal(self, db: sqlite3.Connection, end_s: int, hour_s: int) -> Iterator[object]:
        self._sealing_steps = 0
        for host in behind(db, SEAL_TIER):
            yield from self._counted(db, due(db, end_s * 1000, host_id=host))
        self._sealed_s = hour_s

    def _counted(self, db: sqlite3.Connection, jobs: list[SealJob]) -> Iterator[object]:
        """Seal the oldest hours first, and know how many steps each takes."""
        for job in jobs:
            for _ in job.steps(db):
                self._sealing_steps += 1
                yield None
            if job.seals_s is not None:
                self._hour_steps, self._sealing_steps = self._sealing_steps, 0

    def _trim(self, db: sqlite3.Connection, ts_ms: int) -> Iterator[object]:
        hours = min(self._keep.hot_hours, MEMORY_HOURS) if self._writer.hot_only else self._keep.hot_hours
        while trim_hot(db, ts_ms, hours, slices=1):
            yield None

    def _age(self, db: sqlite3.Connection, hour_s: int, ts_ms: int) -> Iterator[object]:
        """Once an hour; the many processes once a day."""
        if not leapt(db, ts_ms):
            yield from aged(db, ts_ms, self._keep, people=hour_s // HOUR_S % 24 == 0)
        yield from fit(db, ts_ms, self._keep, lambda sentence: self._tell(ts_ms, sentence))
        yield from shrink(db)
        self._aged_s = hour_s

    def _learn(self, db: sqlite3.Connection, end_s: int, hour_s: int) -> Iterator[object]:
        """At a start and once an hour: what GPUs draw while nobody holds them."""
        yield from learn(db, end_s)
        self._learned_s = hour_s

    def _tell(self, ts_ms: int, sentence: str) -> None:
        self._writer.add(Tick(ts_ms, events=[Event(ts_ms, "history_dropped", sentence, Severity.NOTICE)]))
