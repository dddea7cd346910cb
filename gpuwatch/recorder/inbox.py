"""What the collectors brought and the recorder has not taken yet; waiting for it, and sorting it by the second it belongs to."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from gpuwatch.clock import Clock
from gpuwatch.dataclass import replace
from gpuwatch.model import Batch
from gpuwatch.recorder.collector_thread import CollectorThread
from gpuwatch.recorder.people import People
from gpuwatch.recorder.servers import joined_counts, joined_samples
from gpuwatch.recorder.source import Delivery, Source
from gpuwatch.recorder.timeline import PERIODS
from gpuwatch.recorder.told import joined_told
from gpuwatch.recorder.trainers import joined_trainings

_MOST_DELIVERIES = 2000
"""Batches that may wait for a recorder that is held up, by a disk say: some ten minutes."""
_NS = 1e9


class Inbox:
    """Filled by the collectors' threads, emptied by the recorder's."""

    def __init__(self, clock: Clock, intervals: dict[str, float], people: People) -> None:
        self._clock = clock
        self._intervals = intervals
        self._people = people
        self._deliveries: deque[Delivery] = deque(maxlen=_MOST_DELIVERIES)
        self._enough = threading.Event()
        self._done: Callable[[], bool] = lambda: False
        """Whether what is waited for is there: asked by who delivers, so that the recorder wakes once and not for each delivery."""
        self.lookers: set[str] = set()
        """Collectors that describe processes."""

    def deliver(self, delivery: Delivery) -> None:
        """Take what one call brought; from any thread."""
        self._deliveries.append(delivery)
        if self._done():
            self._enough.set()

    def wait_for(self, threads: Sequence[CollectorThread], due: Iterable[Source], slot: float, seconds: float) -> None:
        """Wait until the sources that are due have brought this slot, and processes that a driver names were looked up."""
        deadline = self._clock.monotonic_ns() + round(seconds * _NS)
        names = {source.name for source in due}
        self._await(lambda: names <= {delivery.name for delivery in tuple(self._deliveries) if delivery.grid >= slot}, deadline)
        if not self.stranger():
            return
        before = len(self._deliveries)
        lookers = [thread for thread in threads if thread.source.name in self.lookers and not thread.source.stalled]
        for thread in lookers:
            thread.poke()
        asked = {thread.source.name for thread in lookers}
        self._await(lambda: asked <= {delivery.name for delivery in tuple(self._deliveries)[before:]}, deadline)

    def _await(self, done: Callable[[], bool], deadline_ns: int) -> None:
        self._done = done
        while True:
            self._enough.clear()
            if done() or (left := (deadline_ns - self._clock.monotonic_ns()) / _NS) <= 0:
                return
            self._clock.wait(self._enough, left)

    def stranger(self) -> bool:
        """Whether a driver has named a pid that no process collector has described."""
        described: set[int] = set()
        named: set[int] = set()
        for delivery in tuple(self._deliveries):
            if delivery.batch is not None:
                if delivery.batch.processes is not None:
                    self.lookers.add(delivery.name)
                    described.update(process.pid for process in delivery.batch.processes)
                named.update(sample.pid for sample in delivery.batch.process_samples if sample.gpu_uuid and not sample.start_ms)
        return self._people.unknown(named - described)

    def take(self, slot: float, *, recorded_ms: int, anew: bool) -> dict[int, dict[str, Batch]]:
        """The batches in hand by the millisecond they belong to, those of ``slot`` at least as an empty place.

        What a call brought so late that no row may bridge the time is taken as of now; so is everything when time begins ``anew``.
        What belongs to ``recorded_ms`` or before is dropped: the recorder before this one has it.
        """
        found: dict[int, dict[str, Batch]] = {round(slot * 1000): {}}
        while self._deliveries:
            delivery = self._deliveries.popleft()
            if delivery.batch is None:
                continue
            now = anew or delivery.late > PERIODS * self._intervals[delivery.name] or delivery.grid > slot
            ts_ms = round((slot if now else delivery.grid) * 1000)
            if ts_ms <= recorded_ms:
                continue
            at = found.setdefault(ts_ms, {})
            known = at.get(delivery.name)
            at[delivery.name] = delivery.batch if known is None else _joined(known, delivery.batch)
        return found


_LATEST = ("host", "gpus", "workloads", "gpu_samples", "host_sample", "extra_samples")


def _joined(first: Batch, second: Batch) -> Batch:
    """Two readings of one collector for one second: of each part the later one, of a process that of the longer span, of servers and trainings both."""
    seen = {(sample.pid, sample.start_ms, sample.gpu_uuid) for sample in first.process_samples}
    more = [sample for sample in second.process_samples if (sample.pid, sample.start_ms, sample.gpu_uuid) not in seen]
    latest = {name: getattr(second, name) or getattr(first, name) for name in _LATEST}
    return replace(
        second,
        **latest,
        processes=first.processes if second.processes is None else second.processes,
        driver_calls=first.driver_calls + second.driver_calls,
        driver_ns=first.driver_ns + second.driver_ns,
        process_samples=[*first.process_samples, *more],
        inference_samples=joined_samples(first.inference_samples, second.inference_samples),
        latency_counts=joined_counts(first.latency_counts, second.latency_counts),
        servers=joined_told(first.servers, second.servers),
        training_samples=joined_trainings(first.training_samples, second.training_samples),
        trainers=joined_told(first.trainers, second.trainers),
        runs=joined_told(first.runs, second.runs),
        events=[*first.events, *second.events],
        missing={**second.missing, **first.missing},
    )
