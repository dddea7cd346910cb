"""The recorder: collectors in, ticks out, one writer. ``run`` does it live with threads, ``run_once`` step by step without any.

Each grid second it takes what the collectors brought for that second, waits briefly for the slow ones, and writes one tick. What
comes later is written under its own second. A collector that hangs is not waited for.
"""

from __future__ import annotations

import gc
import logging
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gpuwatch.clock import Clock
from gpuwatch.dataclass import replace
from gpuwatch.measure import quantise
from gpuwatch.model import Batch, Event
from gpuwatch.names import GapReason, Severity
from gpuwatch.plugin import Collector
from gpuwatch.recorder.collector_thread import CollectorThread
from gpuwatch.recorder.grid import last_slot, wait_for_slot
from gpuwatch.recorder.inbox import Inbox
from gpuwatch.recorder.merge import Merger
from gpuwatch.recorder.resume import last_facts
from gpuwatch.recorder.source import Source
from gpuwatch.recorder.timeline import PERIODS, Break, Timeline
from gpuwatch.store.idle_floor import floors
from gpuwatch.store.rows import GapRow, SourceState, Tick
from gpuwatch.store.writer import StoreWriter

if TYPE_CHECKING:
    from gpuwatch.recorder.advisor import Advisor
    from gpuwatch.recorder.closer import Closer
    from gpuwatch.recorder.cost import CostMeter

COMMIT_SECONDS, WATCHED_COMMIT_SECONDS = 10.0, 1.0
BACKED_OFF_COMMIT_SECONDS = 60.0
"""While a reader keeps the WAL from being emptied and it has grown large."""
_COST_SECONDS = 10.0
_LATE = 0.5
"""Share of a period that a tick waits for collectors that are due."""
_FIRST_SECONDS = 1.0
_STOP_SECONDS = 0.2
_TROUBLE = ("error", "stalled")
_NS = 1e9


class Recorder:
    """One life of a recorder over an open writer; the caller holds the lease and closes the writer.

    ``watched`` says whether somebody looks (then commits come each second), ``closer`` does the work of closed minutes, ``advisor``
    judges by rules what was recorded, ``cost`` measures the recorder itself. ``period_seconds`` defaults to the fastest collector's; ``commit_seconds`` is how often an
    unwatched recorder writes.
    """

    def __init__(
        self,
        collectors: Sequence[Collector],
        writer: StoreWriter,
        clock: Clock,
        *,
        watched: Callable[[], bool] = lambda: False,
        closer: Closer | None = None,
        advisor: Advisor | None = None,
        cost: CostMeter | None = None,
        period_seconds: float | None = None,
        commit_seconds: float = COMMIT_SECONDS,
        boot_id: str = "",
        logger: logging.Logger | None = None,
    ) -> None:
        self._log = logger or logging.getLogger("gpuwatch.recorder")
        self.sources = [Source(collector, clock, self._log) for collector in sorted(collectors, key=lambda c: c.name)]
        self.period = period_seconds or min((source.interval for source in self.sources), default=1.0)
        self._writer = writer
        self._clock = clock
        self._watched = watched
        self._closer, self._advisor = closer, advisor
        self._cost = cost
        self._boot_id = boot_id
        self._commit_seconds = commit_seconds
        intervals = {source.name: source.interval for source in self.sources}
        self._merger = Merger(intervals)
        self.inbox = Inbox(clock, intervals, self._merger.people)
        self._timeline = Timeline(clock, self.period)
        self._told: dict[str, tuple[str, str, str]] = {}
        self._gaps: list[GapRow] = []
        self._events: list[Event] = []
        self._begun = False
        self._recorded_ms = 0
        self._committed: float | None = None
        self._committed_ms = 0
        """All rows up to here are in the store."""
        self._cost_at: float | None = None
        self._problem = ""

    # ------------------------------------------------------------------------------------------------------------- live

    def run(self, stop: threading.Event) -> None:
        """Record until ``stop`` is set; what is in hand then is committed and the session ends clean."""
        self.begin()
        threads = [CollectorThread(source, self._clock, self.inbox.deliver) for source in self.sources]
        for thread in threads:
            thread.start()
        try:
            slot = last_slot(self._clock, 1.0)
            if slot * 1000 > self._recorded_ms:
                self.inbox.wait_for(threads, self.sources, slot, _FIRST_SECONDS)
                self._tick(slot)
            gc.freeze()  # what the start has made stays to the end, and need not be looked through again
            gc.enable()
            while (next_slot := wait_for_slot(self._clock, self.period, stop)) is not None and not stop.is_set():
                due = [source for source in self.sources if source.due(next_slot) and not source.stalled]
                self.inbox.wait_for(threads, due, next_slot, _LATE * self.period)
                self._tick(next_slot)
        finally:
            for thread in threads:
                thread.stop()
            for thread in threads:
                thread.stop(0.0 if thread.source.busy else _STOP_SECONDS)
            self.end()

    # ---------------------------------------------------------------------------------------------------- step by step

    def begin(self) -> None:
        """Begin the session. What lies between the last one and now is a gap, unless it is so short that rows bridge it.

        Called by ``run`` and ``run_once``.
        """
        if self._begun:
            return
        self._begun = True
        self._recall_floors()
        now_ms = round(self._clock.time() * 1000)
        info = self._writer.begin_session(now_ms, round(self.period * 1000), self._boot_id)
        if info.previous_end_ms is None or info.previous_end_ms >= now_ms:
            return
        if now_ms - info.previous_end_ms <= PERIODS * self.period * 1000:
            self._merger.resume(last_facts(self._writer.connection))
            self._recorded_ms = info.previous_end_ms
        else:
            reason = GapReason.OFF if info.previous_clean else GapReason.CRASH
            self._gaps.append(GapRow(info.previous_end_ms, now_ms, reason))

    def _recall_floors(self) -> None:
        """What GPUs draw while nobody holds them, as far as the store has learned it."""
        try:
            self._merger.work.idle_watts = floors(self._writer.connection)
        except sqlite3.Error as error:
            self._writer.stumbled(error)

    def run_once(self, now: float, *, only: Collection[str] | None = None) -> None:
        """One tick at unix second ``now``: collectors that are due read in this thread, in the order of their names, those last that
        go by what others find.

        ``only`` these sources are read if given, whether due or not.
        """
        first = not self._begun
        self.begin()
        due = [source for source in self.sources if first or (source.due(now) if only is None else source.name in only)]
        for source in due:
            if not source.follows:
                self.inbox.deliver(source.step(now))
        if self.inbox.stranger():
            for source in self.sources:
                if source.name in self.inbox.lookers and not source.due(now):
                    self.inbox.deliver(source.step(now))
        for source in due:
            if source.follows:
                self.inbox.deliver(source.step(now))
        self._tick(now)

    def end(self) -> None:
        """Close the collectors that are not hanging, commit, end the session."""
        if not self._begun:
            return
        if self._merger.last_ms is not None:
            self._keep(Tick(self._merger.last_ms, sources=[source.state for source in self.sources]))
        for source in self.sources:
            if not source.busy:
                source.close()
        if self._closer is not None:
            self._writer.commit()
            self._closer.finish(round(self._clock.time() * 1000))
        self._writer.end_session(clean=True)
        self._begun = False

    # ------------------------------------------------------------------------------------------------------------- tick

    def _tick(self, slot: float) -> None:
        ts_ms = round(slot * 1000)
        happened = self._timeline.observe()
        anew = happened is not None and happened.reason is GapReason.CLOCK
        batches = self.inbox.take(slot, recorded_ms=self._recorded_ms, anew=anew)
        if happened is not None:
            self._interrupt(happened, ts_ms, sorted(batches))
        states = [source.state for source in self.sources]
        changed = self._changed(states, ts_ms)
        closing = self._closer is not None and self._closer.due(ts_ms)
        commit = closing or self._committed is None or self._urgent(batches) or self._commit_due()
        for at_ms in sorted(batches):
            self._count(batches[at_ms].values())
            tick = self._merger.merge(at_ms, batches[at_ms])
            if at_ms == ts_ms:
                tick = self._completed(tick, states if commit else changed)
            self._keep(tick)
        if commit and self._commit():
            self._committed_ms = ts_ms
        if self._closer is not None and not self._writer.problem:
            self._closer.work(ts_ms)
        if self._advisor is not None and not self._writer.problem:
            self._advisor.work(ts_ms, self._committed_ms)
            self._merger.inferred = self._advisor.causes
        if ts_ms % 60_000 < self.period * 1000:
            self._merger.prune(ts_ms)
            self._recall_floors()

    def _interrupt(self, happened: Break, ts_ms: int, seconds_ms: Sequence[int]) -> None:
        """Time did not simply pass since the last tick: let no row bridge it, and say so.

        When only this thread was held up the collectors went on, and what they brought meanwhile leaves no hole.
        """
        last_ms = self._merger.last_ms
        if happened.reason is GapReason.STALL and last_ms is not None:
            holes = [after - before for before, after in pairwise([last_ms, *seconds_ms])]
            if max(holes) <= PERIODS * self.period * 1000:
                return
        if last_ms is not None and last_ms < ts_ms:
            self._gaps.append(GapRow(last_ms, ts_ms, happened.reason))
        self._merger.forget()
        if happened.reason is GapReason.CLOCK:
            detail = f"the wall clock was set by {happened.step_seconds:+.1f} s"
            self._events.append(Event(ts_ms, "clock_step", detail, Severity.NOTICE))
            self._writer.begin_session(ts_ms, round(self.period * 1000), self._boot_id)
            self._recorded_ms = 0
            self._merger.forget_reasons()
            self._told.clear()

    def _urgent(self, batches: Mapping[int, Mapping[str, Batch]]) -> bool:
        """Whether something happened that must not wait for the next commit."""
        told = (event for at in batches.values() for batch in at.values() for event in batch.events)
        return any(event.severity >= Severity.WARNING for event in (*self._events, *told))

    def _completed(self, tick: Tick, states: Sequence[SourceState]) -> Tick:
        """The tick with what the recorder itself has to say. All states are told with a commit, so that their age is true."""
        gaps, events = [*self._gaps, *tick.gaps], [*self._events, *tick.events]
        self._gaps, self._events = [], []
        tick = replace(tick, gaps=gaps, events=events, sources=states)
        now = self._clock.monotonic_ns() / _NS
        if self._cost is None or (self._cost_at is not None and now - self._cost_at < _COST_SECONDS - self.period / 2):
            return tick
        since = 0.0 if self._cost_at is None else now - self._cost_at
        self._cost_at = now
        return replace(tick, recorder_dt_ms=round(since * 1000), recorder_values=quantise(self._cost.sample()))

    def _count(self, batches: Iterable[Batch]) -> None:
        if self._cost is not None:
            for batch in batches:
                self._cost.count(batch.driver_calls, batch.driver_ns)

    def _changed(self, states: Sequence[SourceState], ts_ms: int) -> list[SourceState]:
        """Sources whose state changed. One that fails or stalls, or comes back from that, is an event as well."""
        out = []
        for state in states:
            said, before = (state.state, state.detail, state.hint), self._told.get(state.name)
            if before != said:
                self._told[state.name] = said
                out.append(state)
            if before is None or before[0] != state.state:
                self._events.extend(_turn(ts_ms, before[0] if before else "", state))
        return out

    def _commit_due(self) -> bool:
        since = self._clock.monotonic_ns() / _NS - (self._committed or 0.0)
        slack = self.period / 2
        if self._writer.backed_off:
            return since >= max(self._commit_seconds, BACKED_OFF_COMMIT_SECONDS) - slack
        return since >= self._commit_seconds - slack or (since >= WATCHED_COMMIT_SECONDS - slack and self._watched())

    def _keep(self, tick: Tick) -> None:
        """Hand a tick to the writer; one that it cannot take is lost, and the recorder goes on."""
        try:
            self._writer.add(tick)
        except sqlite3.Error as error:
            self._complain(f"a tick could not be kept: {error}")

    def _commit(self) -> bool:
        self._committed = self._clock.monotonic_ns() / _NS
        self._log.debug("commit")
        problem = "" if self._writer.commit() else self._writer.problem
        if problem:
            self._complain(f"nothing can be written: {problem}")
        else:
            self._problem = ""
        return not problem

    def _complain(self, problem: str) -> None:
        """Log a trouble once, not each second."""
        if problem != self._problem:
            self._log.error("%s", problem)
        self._problem = problem


def _turn(ts_ms: int, before: str, state: SourceState) -> list[Event]:
    """What a change of a source's state means to people."""
    if state.state in _TROUBLE:
        return [Event(ts_ms, f"source_{state.state}", f"{state.name}: {state.detail}", Severity.WARNING)]
    if state.state == "ok" and before in _TROUBLE:
        return [Event(ts_ms, "source_ok", f"{state.name} answers again", Severity.INFO)]
    return []
