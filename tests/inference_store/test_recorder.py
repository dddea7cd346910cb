"""Servers on their way through the recorder: the time that a row speaks for, what is told once, two readings for one second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.recording import START, Lab, Scripted, host_batch
from support.serving import EDGES_US, LLAMA, VLLM, counts, server, workload

from gpuwatch.dataclass import replace
from gpuwatch.model import Batch, Host, InferenceSample, LatencyCounts, Server
from gpuwatch.names import Latency, ServerState
from gpuwatch.recorder.inbox import _joined
from gpuwatch.recorder.merge import Merger
from gpuwatch.recorder.people import People

INTERVAL_MS = 2000


def sample(key: tuple[int, int, int] = VLLM, tokens: float | None = 10.0, **more: Any) -> InferenceSample:
    return InferenceSample(*key, output_tokens_total=tokens, **more)


def batch(*samples: InferenceSample, **more: Any) -> Batch:
    return Batch("inference", 0, inference_samples=samples, **more)


def durations(steps: list[tuple[int, float]]) -> list[int]:
    """What rows speak for: (milliseconds since the row before, the pace that its sample says)."""
    merger, ts_ms, out = Merger({"inference": INTERVAL_MS / 1000, "procs": 2.0}), 1_000_000, []
    for step, pace in steps:
        ts_ms += step
        merger.prune(ts_ms)
        tick = merger.merge(ts_ms, {"inference": batch(sample(interval_seconds=pace))})
        out.append(tick.workload_rows[0].dt_ms)
    return out


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(2000, 0.0), (2000, 0.0), (6000, 0.0), (6001, 0.0), (2000, 0.0)], [0, 2000, 6000, 0, 2000]),
        ([(2000, 15.0), (15_000, 15.0), (45_000, 15.0), (45_001, 15.0)], [0, 15_000, 45_000, 0]),
        ([(2000, 0.5), (6000, 0.5)], [0, 6000]),  # never shorter than the collector's own
        ([(2000, 0.0), (2000, 60.0), (60_000, 60.0), (60_000, 2.0), (6001, 2.0)], [0, 2000, 60_000, 60_000, 0]),
    ],
    ids=["usual", "seldom", "faster", "from slow to fast"],
)
def test_a_row_bridges_three_of_its_own_periods(steps: list[tuple[int, float]], expected: list[int]) -> None:
    assert durations(steps) == expected


def test_what_was_counted_over_looks_that_failed_speaks_for_that_time() -> None:
    merger = Merger({"inference": 2.0})
    for ts_ms, window, expected in (
        (2000, None, 0),
        (4000, 2.0, 2000),
        (18_000, 13.9, 14_000),
        (40_000, 2.0, 0),
        (47_000, None, 0),
    ):
        merger.prune(ts_ms)
        (row,) = merger.merge(ts_ms, {"inference": batch(sample(window_seconds=window))}).workload_rows
        assert row.dt_ms == expected


def test_each_server_has_its_own_pace() -> None:
    merger = Merger({"inference": 2.0})
    for ts_ms in range(2000, 60_000, 2000):
        samples = [sample(VLLM)] + ([sample(LLAMA, interval_seconds=20.0)] if ts_ms % 20_000 == 0 else [])
        rows = merger.merge(ts_ms, {"inference": batch(*samples)}).workload_rows
        merger.prune(ts_ms)
        assert {row.dt_ms for row in rows} <= ({0} if ts_ms == 2000 else {2000, 0 if ts_ms == 20_000 else 20_000})


def test_no_row_bridges_a_break() -> None:
    merger = Merger({"inference": 2.0})
    merger.merge(2000, {"inference": batch(sample(interval_seconds=60.0))})
    merger.forget()
    assert merger.merge(4000, {"inference": batch(sample(interval_seconds=60.0))}).workload_rows[0].dt_ms == 0


def test_latencies_come_with_the_tick() -> None:
    merger = Merger({"inference": 2.0})
    tick = merger.merge(2000, {"inference": batch(sample(), latency_counts=[counts()], servers=[server()])})
    assert list(tick.latencies) == [counts()] and list(tick.servers) == [server()]


# ------------------------------------------------------------------------------------------------------------ told once


def told(people: People, *servers: Server) -> list[Server]:
    people.learn("inference", Batch("inference", 0, servers=servers))
    return people.take()[4]


def test_a_server_is_told_when_it_is_new_or_has_changed() -> None:
    people, changed = People(), server(state=ServerState.UNREACHABLE)
    assert told(people, server(), server(LLAMA)) == [server(), server(LLAMA)]
    assert told(people, server()) == []
    assert told(people, changed) == [changed]
    assert told(people) == []


def test_of_two_changes_the_later_one_is_told() -> None:
    people = People()
    assert told(people, server(state=ServerState.STARTING), server()) == [server()]


def test_another_machine_is_told_everything() -> None:
    people = People()
    people.learn("procs", Batch("procs", 0, host=Host("m-1", "a"), workloads=[workload()]))
    told(people, server())
    people.learn("procs", Batch("procs", 0, host=Host("m-2", "b")))
    _, _, _, workloads, servers = people.take()
    assert (workloads, servers) == ([workload()], [server()])


def test_thousands_of_servers_that_come_and_go_are_not_remembered_for_ever() -> None:
    people = People()
    for pid in range(5000):
        assert told(people, server((pid, 1, 0))) == [server((pid, 1, 0))]
    assert len(people._servers._known) <= 1000
    assert told(people, server((4999, 1, 0))) == []


# -------------------------------------------------------------------------------------- two readings for the same second


def test_counts_of_two_readings_add_up_and_gauges_are_the_later_ones() -> None:
    first = sample(VLLM, 10.0, window_seconds=2.0, running_requests=4.0, requests_total=1.0, interval_seconds=2.0)
    second = sample(VLLM, 5.0, window_seconds=2.5, running_requests=6.0, prefill_tokens_total=7.0)
    joined = _joined(batch(first, sample(LLAMA, 3.0)), batch(second))
    expected = replace(second, output_tokens_total=15.0, window_seconds=4.5, requests_total=1.0, interval_seconds=2.0)
    assert list(joined.inference_samples) == [expected, sample(LLAMA, 3.0)]


def test_what_no_reading_knows_stays_unknown() -> None:
    (joined,) = _joined(batch(sample(tokens=None)), batch(sample(tokens=None))).inference_samples
    assert joined.output_tokens_total is None


def test_buckets_of_two_readings_add_up() -> None:
    first, other = counts(numbers=(1, 0, 2, 0)), counts(latency=Latency.ITL)
    joined = _joined(batch(latency_counts=[first, other]), batch(latency_counts=[counts(numbers=(1, 5, 0, 0))]))
    assert list(joined.latency_counts) == [counts(numbers=(2, 5, 2, 0)), other]
    assert all(upper <= EDGES_US[-1] for count in joined.latency_counts for _, upper, _ in count.buckets)


def test_of_two_states_of_a_server_the_later_one_counts() -> None:
    first = batch(servers=[server(state=ServerState.STARTING), server(LLAMA)])
    assert list(_joined(first, batch(servers=[server()])).servers) == [server(), server(LLAMA)]


# --------------------------------------------------------------------------------------------------- the whole recorder


def record(lab: Lab, make: Callable[[float], Batch], **more: Any) -> None:
    lab.record(Scripted("host", host_batch), Scripted("inference", make, interval=2.0), **more)


def test_servers_and_their_buckets_reach_the_store() -> None:
    lab = Lab()
    record(lab, lambda now: batch(sample(), latency_counts=[counts()], servers=[server()]))
    lab.tick(10)
    assert lab.rows("SELECT count(*), sum(dt_ms), sum(output_tokens) FROM inference_sample") == [(5, 8000, 50)]
    assert lab.rows("SELECT count(DISTINCT tick_id), count(*), sum(n) FROM latency_sample") == [(5, 20, 50)]
    assert lab.rows("SELECT state, url, interval_ms, scrape_us FROM server") == [(1, "http://127.0.0.1:8000/metrics", 2000, 4000)]


def test_a_reading_that_came_late_is_counted_with_the_next_one() -> None:
    """The collector hangs over three of its turns; what it then brings for two slots at once is not lost."""
    lab = Lab()
    record(lab, lambda now: batch(sample(tokens=1.0), latency_counts=[counts(numbers=(1, 0, 0, 0))]))
    lab.tick(5)
    source = lab.recorder.sources[1] if lab.recorder.sources[1].name == "inference" else lab.recorder.sources[0]
    for late in (-4.0, -2.0):
        delivery = source.step(lab.clock.time() + late)
        lab.recorder.inbox.deliver(replace(delivery, late=60.0))
    lab.tick(5)
    assert lab.rows("SELECT sum(output_tokens) FROM inference_sample") == lab.rows("SELECT sum(n) FROM latency_sample")
    assert lab.rows("SELECT max(output_tokens) FROM inference_sample")[0][0] >= 2


def test_only_changes_of_a_server_are_written() -> None:
    lab, states = Lab(), iter([*[ServerState.STARTING] * 2, *[ServerState.UP] * 10])
    record(lab, lambda now: batch(sample(tokens=None), servers=[server(state=next(states))]))
    lab.tick(4)
    assert lab.rows("SELECT state FROM server") == [(int(ServerState.STARTING),)]
    first = round(START * 1000)
    lab.tick(8)
    assert lab.rows("SELECT state, first_ms, last_ms FROM server") == [(int(ServerState.UP), first, first + 4000)]


def test_a_count_of_a_server_without_rows_is_kept_and_not_added_up() -> None:
    lab = Lab()
    record(lab, lambda now: batch(latency_counts=[LatencyCounts(*LLAMA, Latency.E2E, ((0, 10, 3),))]), close_minutes=True)
    lab.tick(70)
    assert lab.rows("SELECT count(*)>20 FROM latency_sample") == [(1,)]
    assert lab.rows("SELECT count(*) FROM latency_minute") == [(0,)]
