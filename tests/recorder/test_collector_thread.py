"""The thread's rhythm, driven by a clock that only it moves."""

from __future__ import annotations

import threading

from support.recording import Scripted, host_batch

from gpuwatch.clock import FakeClock
from gpuwatch.model import Batch
from gpuwatch.recorder.collector_thread import CollectorThread
from gpuwatch.recorder.source import Delivery, Source


class Driven:
    """Runs a thread until it has delivered ``count`` times."""

    def __init__(self, clock: FakeClock, collector: Scripted, count: int) -> None:
        self.deliveries: list[Delivery] = []
        self.enough = threading.Event()
        self.count = count
        self.pokes: set[int] = set()
        self.thread = CollectorThread(Source(collector, clock), clock, self.take)
        self.thread.start()
        assert self.enough.wait(10)
        self.thread.stop(10)

    def take(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        if len(self.deliveries) >= self.count:
            self.thread.stop()
            self.enough.set()


def test_it_reads_at_once_and_then_on_multiples_of_its_interval() -> None:
    collector = Scripted("procs", host_batch, interval=2.0)
    driven = Driven(FakeClock(1001.3), collector, 4)
    assert [delivery.grid for delivery in driven.deliveries] == [1001.0, 1002.0, 1004.0, 1006.0]
    assert (collector.opened, collector.closed) == (1, 1)


def test_missed_slots_are_skipped_and_never_made_up_for() -> None:
    clock = FakeClock(1000.0)

    def slow(now: float) -> Batch:
        clock.advance(5.5 if now == 1002.0 else 0.01)
        return host_batch(now)

    driven = Driven(clock, Scripted("nvml", slow), 5)
    assert [delivery.grid for delivery in driven.deliveries] == [1000.0, 1001.0, 1002.0, 1008.0, 1009.0]


def test_a_failing_collector_keeps_its_rhythm() -> None:
    def fail(now: float) -> Batch:
        raise OSError("gone")

    driven = Driven(FakeClock(1000.0), Scripted("nvml", fail), 4)
    assert [(delivery.grid, delivery.batch) for delivery in driven.deliveries] == [(1000.0 + n, None) for n in range(4)]


def test_a_poke_reads_between_two_slots() -> None:
    class Poking(FakeClock):
        """Pokes the thread while it waits for 1010."""

        def wait(self, event: threading.Event, seconds: float) -> bool:
            if self.wall == 1000.0:
                self.advance(3.4)
                event.set()
                return True
            return super().wait(event, seconds)

    driven = Driven(Poking(1000.0), Scripted("procs", host_batch, interval=10.0), 3)
    assert [delivery.grid for delivery in driven.deliveries] == [1000.0, 1003.0, 1010.0]


def test_a_clock_that_is_set_back_while_it_waits_does_not_keep_it_waiting() -> None:
    class SetBack(FakeClock):
        """Goes back an hour once, in the middle of a wait."""

        done = False

        def wait(self, event: threading.Event, seconds: float) -> bool:
            if self.wall >= 10_002 and not self.done:
                self.done = True
                self.advance(0.5, step=-3600)
                return False
            return super().wait(event, seconds)

    driven = Driven(SetBack(10_000.0), Scripted("nvml", host_batch), 6)
    assert [delivery.grid for delivery in driven.deliveries] == [10_000.0, 10_001.0, 10_002.0, 6403.0, 6404.0, 6405.0]


def test_a_slot_that_was_overslept_is_skipped() -> None:
    class Frozen(FakeClock):
        """Stops for half a minute once, in the middle of a wait."""

        done = False

        def wait(self, event: threading.Event, seconds: float) -> bool:
            if self.wall >= 1002 and not self.done:
                self.done = True
                self.advance(30.5)
            return super().wait(event, seconds)

    driven = Driven(Frozen(1000.0), Scripted("nvml", host_batch), 5)
    assert [delivery.grid for delivery in driven.deliveries] == [1000.0, 1001.0, 1002.0, 1033.0, 1034.0]
