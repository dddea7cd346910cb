"""The recorder: collectors in, ticks out, one writer. ``run`` does it live with threads, ``run_once`` step by step without any.

Each grid second it takes what the collectors brought for that second, waits briefly for the slow ones, and writes one tick. What
comes later is written under its own second. A collector that hangs is not waited for.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from gpuwatch.clock import Clock
from gpuwatch.model import Batch, Event, quantise
from gpuwatch.names import GapReason, Severity
from gpuwatch.plugin import Collector
from gpuwatch.recorder.closer import Closer
from gpuwatch.recorder.collector_thread import CollectorThread, next_slot
from gpuwatch.recorder.cost import CostMeter
from gpuwatch.recorder.merge import Merger
from gpuwatch.recorder.resume import last_facts
from gpuwatch.recorder.source import Delivery, Source
from gpuwatch.recorder.timeline import PERIODS, Break, Timeline
from gpuwatch.store.rows import GapRow, SourceState, Tick
from gpuwatch.store.writer import StoreWriter

COMMIT_SECONDS, WATCHED_COMMIT_SECONDS = 10.0, 1.0
_COST_SECONDS = 10.0
_LATE = 0.5
"""Share of a period that a tick waits for collectors that are due."""
_FIRST_SECONDS = 1.0
_STOP_SECONDS = 0.2
_MOST_DELIVERIES = 2000
"""Batches that may wait for a recorder that is held up, by a disk say: some ten minutes."""
_NS = 1e9


class Recorder:
    """One life of a recorder over an open writer; the caller holds the lease and closes the writer.

    ``watched`` says whether somebody looks (then commits come each second), ``closer`` does the work of closed minutes, ``cost``
    measures the recorder itself. ``period_seconds`` defaults to the fastest collector's; ``commit_seconds`` is how often an
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
        self._closer = closer
        self._cost = cost
        self._boot_id = boot_id
        self._commit_seconds = commit_seconds
        self._merger = Merger({source.name: source.interval for source in self.sources})
        self._timeline = Timeline(clock, self.period)
        self._deliveries: deque[Delivery] = deque(maxlen=_MOST_DELIVERIES)
        self._arrived = threading.Event()
        self._lookers: set[str] = set()
        self._told: dict[str, tuple[str, str, str]] = {}
        self._gaps: list[GapRow] = []
        self._events: list[Event] = []
        self._begun = False
        self._recorded_ms = 0
        self._committed: float | None = None
        self._cost_at: float | None = None
        self._problem = ""

    # ------------------------------------------------------------------------------------------------------------- live

    def run(self, stop: threading.Event) -> None:
        """Record until ``stop`` is set; what is in hand then is committed and the session ends clean."""
        self.begin()
        threads = [CollectorThread(source, self._clock, self._deliver) for source in self.sources]
        for thread in threads:
            thread.start()
        try:
            slot = float(math.floor(self._clock.time()))
            if slot * 1000 > self._recorded_ms:
                self._gather(threads, self.sources, slot, _FIRST_SECONDS)
                self._tick(slot)
            while not stop.is_set():
                slot = next_slot(self._clock, self.period)
                while 0 < (left := slot - self._clock.time()) <= self.period:
                    if self._clock.wait(stop, left):
                        return
                if left > 0:
                    continue  # the clock was set back while it waited
                due = [source for source in self.sources if source.due(slot) and not source.stalled]
                self._gather(threads, due, slot, _LATE * self.period)
                self._tick(slot)
        finally:
            for thread in threads:
                thread.stop()
            for thread in threads:
                thread.stop(0.0 if thread.source.busy else _STOP_SECONDS)
            self.end()

    def _deliver(self, delivery: Delivery) -> None:
        self._deliveries.append(delivery)
        self._arrived.set()

    def _gather(self, threads: Sequence[CollectorThread], due: Iterable[Source], slot: float, seconds: float) -> None:
        """Wait until the sources that are due have brought this slot, and processes that a driver names were looked up."""
        deadline = self._clock.monotonic_ns() + round(seconds * _NS)
        names = {source.name for source in due}
        self._await(lambda: names <= {delivery.name for delivery in tuple(self._deliveries) if delivery.grid >= slot}, deadline)
        if not self._stranger():
            return
        before = len(self._deliveries)
        lookers = [thread for thread in threads if thread.source.name in self._lookers and not thread.source.stalled]
        for thread in lookers:
            thread.poke()
        asked = {thread.source.name for thread in lookers}
        self._await(lambda: asked <= {delivery.name for delivery in tuple(self._deliveries)[before:]}, deadline)

    def _await(self, done: Callable[[], bool], deadline_ns: int) -> None:
        while True:
            self._arrived.clear()
            if done() or (left := (deadline_ns - self._clock.monotonic_ns()) / _NS) <= 0:
                return
            self._clock.wait(self._arrived, left)

    def _stranger(self) -> bool:
        """Whether a driver has named a pid that no process collector has described."""
        described: set[int] = set()
        named: set[int] = set()
        for delivery in tuple(self._deliveries):
            if delivery.batch is not None:
                if delivery.batch.processes is not None:
                    self._lookers.add(delivery.name)
                    described.update(process.pid for process in delivery.batch.processes)
                named.update(sample.pid for sample in delivery.batch.process_samples if sample.gpu_uuid and not sample.start_ms)
        return self._merger.people.unknown(named - described)

    def _sorted_out(self, slot: float, anew: bool) -> dict[int, dict[str, Batch]]:
        """The batches in hand by the millisecond they belong to, those of ``slot`` at least as an empty place.

        What a call brought so late that no row may bridge the time is taken as of now; so is everything when time begins ``anew``.
        """
        intervals = {source.name: source.interval for source in self.sources}
        found: dict[int, dict[str, Batch]] = {round(slot * 1000): {}}
        while self._deliveries:
            delivery = self._deliveries.popleft()
            if delivery.batch is None:
                continue
            now = anew or delivery.late > PERIODS * intervals[delivery.name] or delivery.grid > slot
            ts_ms = round((slot if now else delivery.grid) * 1000)
            if ts_ms <= self._recorded_ms:
                continue  # the recorder before this one has recorded that second
            at = found.setdefault(ts_ms, {})
            known = at.get(delivery.name)
            at[delivery.name] = delivery.batch if known is None else _joined(known, delivery.batch)
        return found

    # ---------------------------------------------------------------------------------------------------- step by step

    def begin(self) -> None:
        """Begin the session. What lies between the last one and now is a gap, unless it is so short that rows bridge it.

        Called by ``run`` and ``run_once``.
        """
        if self._begun:
            return
        self._begun = True
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

    def run_once(self, now: float) -> None:
        """One tick at unix second ``now``: collectors that are due read in this thread, in the order of their names."""
        first = not self._begun
        self.begin()
        for source in self.sources:
            if first or source.due(now):
                self._deliver(source.step(now))
        if self._stranger():
            for source in self.sources:
                if source.name in self._lookers and not source.due(now):
                    self._deliver(source.step(now))
        self._tick(now)

    def end(self) -> None:
        """Close the collectors that are not hanging, commit, end the session."""
        if not self._begun:
            return
        if self._merger.last_ms is not None:
            self._keep(Tick(self._merger.last_ms, sources=self._states(True)))
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
        batches = self._sorted_out(slot, happened is not None and happened.reason is GapReason.CLOCK)
        if happened is not None:
            self._interrupt(happened, ts_ms, sorted(batches))
        urgent = self._committed is None
        commit = urgent or self._commit_due()
        for at_ms in sorted(batches):
            self._count(batches[at_ms].values())
            tick = self._merger.merge(at_ms, batches[at_ms])
            if at_ms == ts_ms:
                tick = self._completed(tick, commit)
            urgent = urgent or any(event.severity >= Severity.WARNING for event in tick.events)
            self._keep(tick)
        closing = self._closer is not None and self._closer.due(ts_ms)
        if urgent or commit or closing:
            self._commit()
        if self._closer is not None and not self._writer.problem:
            self._closer.work(ts_ms)
        if ts_ms % 60_000 < self.period * 1000:
            self._merger.prune(ts_ms)

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

    def _completed(self, tick: Tick, commit: bool) -> Tick:
        """The tick with what the recorder itself has to say."""
        gaps, events = [*self._gaps, *tick.gaps], [*self._events, *tick.events]
        self._gaps, self._events = [], []
        tick = replace(tick, gaps=gaps, events=events, sources=self._states(commit))
        now = self._clock.monotonic_ns() / _NS
        if self._cost is None or (self._cost_at is not None and now - self._cost_at < _COST_SECONDS):
            return tick
        since = 0.0 if self._cost_at is None else now - self._cost_at
        self._cost_at = now
        return replace(tick, recorder_dt_ms=round(since * 1000), recorder_values=quantise(self._cost.sample()))

    def _count(self, batches: Iterable[Batch]) -> None:
        if self._cost is not None:
            for batch in batches:
                self._cost.count(batch.driver_calls, batch.driver_ns)

    def _states(self, everything: bool) -> list[SourceState]:
        """Sources whose state changed; all of them when the store is about to be written (so that their age is true)."""
        out = []
        for source in self.sources:
            state = source.state
            said = state.state, state.detail, state.hint
            if everything or self._told.get(source.name) != said:
                self._told[source.name] = said
                out.append(state)
        return out

    def _commit_due(self) -> bool:
        since = self._clock.monotonic_ns() / _NS - (self._committed or 0.0)
        slack = self.period / 2
        return since >= self._commit_seconds - slack or (since >= WATCHED_COMMIT_SECONDS - slack and self._watched())

    def _keep(self, tick: Tick) -> None:
        """Hand a tick to the writer; one that it cannot take is lost, and the recorder goes on."""
        try:
            self._writer.add(tick)
        except sqlite3.Error as error:
            self._complain(f"a tick could not be kept: {error}")

    def _commit(self) -> None:
        self._committed = self._clock.monotonic_ns() / _NS
        problem = "" if self._writer.commit() else self._writer.problem
        if problem:
            self._complain(f"nothing can be written: {problem}")
        else:
            self._problem = ""

    def _complain(self, problem: str) -> None:
        """Log a trouble once, not each second."""
        if problem != self._problem:
            self._log.error("%s", problem)
        self._problem = problem


def _joined(first: Batch, second: Batch) -> Batch:
    """Two readings of one collector for one second: the later one, with what only the earlier has; of processes the earlier one,
    which spoke for the longer time."""
    seen = {(sample.pid, sample.start_ms, sample.gpu_uuid) for sample in first.process_samples}
    more = [sample for sample in second.process_samples if (sample.pid, sample.start_ms, sample.gpu_uuid) not in seen]
    return replace(
        second,
        driver_calls=first.driver_calls + second.driver_calls,
        driver_ns=first.driver_ns + second.driver_ns,
        gpu_samples=second.gpu_samples or first.gpu_samples,
        process_samples=[*first.process_samples, *more],
        host_sample=second.host_sample or first.host_sample,
        events=[*first.events, *second.events],
        missing={**second.missing, **first.missing},
    )
