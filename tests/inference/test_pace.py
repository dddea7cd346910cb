"""How often servers are asked, and by whom."""

from __future__ import annotations

import threading

import pytest

from gpuwatch.collectors.inference.pace import Cost, back_off, chance, interval
from gpuwatch.collectors.inference.workers import MOST, Threads


@pytest.mark.parametrize(
    ("idle", "cost", "seconds"),
    [(False, 0.0, 2.0), (False, 0.019, 2.0), (False, 0.021, 4.0), (True, 0.0, 6.0), (False, 0.3, 30.0), (True, 5.0, 60.0)],
)
def test_a_look_costs_less_than_a_hundredth_of_a_core(idle: bool, cost: float, seconds: float) -> None:
    assert interval(2.0, idle=idle, cost_seconds=cost) == seconds
    assert cost / seconds <= 0.01 or seconds == 60.0


def test_what_is_above_the_shortest_of_the_last_looks_was_waiting() -> None:
    cost = Cost()
    assert cost.seconds == 0.0
    for seconds in (0.5, 0.02, 1.9, 0.03):
        cost.add(seconds)
    assert cost.seconds == 0.02
    for _ in range(8):
        cost.add(0.2)
    assert cost.seconds == 0.2, "it may have become dear"


def test_attempts_become_rare_and_are_never_in_step() -> None:
    assert [back_off(failures, 2.0, lambda: 0.5) for failures in range(9)] == [2, 2, 2, 4, 8, 16, 32, 60, 60]
    assert back_off(9, 2.0, lambda: 0.0) < 60 < back_off(9, 2.0, lambda: 1.0)
    assert back_off(10**9, 2.0, lambda: 0.5) == 60
    drawn = [chance() for _ in range(50)]
    assert all(0 <= one < 1 for one in drawn)
    assert len(set(drawn)) > 1


def test_threads_are_few_and_do_every_job() -> None:
    workers, hold, done = Threads(), threading.Event(), threading.Semaphore(0)
    seen: set[str] = set()

    def job() -> None:
        seen.add(threading.current_thread().name + str(threading.get_ident()))
        hold.wait(20)
        done.release()

    before = threading.active_count()
    for _ in range(MOST + 5):
        workers.submit(job)
    assert threading.active_count() - before <= MOST
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "ask-servers")
    hold.set()
    for _ in range(MOST + 5):
        assert done.acquire(timeout=20)
    assert len(seen) <= MOST


def test_one_thread_is_enough_for_one_job_at_a_time() -> None:
    workers, done = Threads(), threading.Semaphore(0)
    seen: set[int] = set()
    for _ in range(5):

        def job() -> None:
            seen.add(threading.get_ident())
            done.release()

        workers.submit(job)
        assert done.acquire(timeout=20)
        threading.Event().wait(0.05)
    assert len(seen) <= 2
