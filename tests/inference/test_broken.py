"""What goes wrong inside: a look that raises, a server that becomes another, a page that is too much, names without an answer."""

from __future__ import annotations

import threading

import pytest
from support.inference_bench import Bench, vllm
from support.replay_server import ReplayServer, page, replay

from gpuwatch.clock import SystemClock
from gpuwatch.collectors.inference.engines.once import MAX_VALUES, document
from gpuwatch.collectors.inference.engines.vllm import VLLM
from gpuwatch.collectors.inference.http import Connection
from gpuwatch.collectors.inference.look import look
from gpuwatch.collectors.inference.table_reader import TableReader
from gpuwatch.collectors.inference.target import Target
from gpuwatch.collectors.inference.workers import MOST, Threads
from gpuwatch.dataclass import replace
from gpuwatch.names import ServerState


def test_jobs_are_done_after_others_have_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    workers, done, broken = Threads(), threading.Event(), threading.Semaphore(0)

    def job() -> None:
        broken.release()
        raise RuntimeError("a job")

    for _ in range(2 * MOST):
        workers.submit(job)
        assert broken.acquire(timeout=10)
    workers.submit(done.set)
    assert done.wait(10)


def test_a_look_that_raises_is_a_failure_and_the_server_is_asked_again(
    server: ReplayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put("/metrics", page(vllm(10)))
    bench = Bench()
    bench.watch(bench.process(server))
    with monkeypatch.context() as patch:
        patch.setattr(Target, "ask", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            bench.tick()
    bench.tick()
    assert bench.told().state is ServerState.UP


def test_a_page_of_another_engine_is_recognised(server: ReplayServer) -> None:
    bench = Bench()
    server.put("/metrics", page(vllm(10)), page(vllm(10)), page(vllm(25)))
    bench.watch(bench.process(server, engine="sglang"))
    bench.tick()
    bench.tick()
    assert bench.sample().output_tokens_total == 15
    assert bench.told().engine == "vllm"


def test_a_server_that_becomes_one_of_another_engine_is_read_as_such(server: ReplayServer) -> None:
    sglang = [page(f"# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs {number}\n") for number in range(9)]
    server.put("/metrics", page(vllm(10)), page(vllm(10)), *sglang)
    bench = Bench(targets=[{"url": f"http://127.0.0.1:{server.port}"}])
    for _ in range(3):
        bench.tick()
    assert bench.told().engine == "vllm"
    for _ in range(3):
        bench.tick(8.0)
    assert (bench.told().engine, bench.told().state) == ("sglang", ServerState.UP)
    assert bench.sample(8.0).output_tokens_total is None


def test_no_token_is_lost_when_one_of_two_addresses_fails_once(server: ReplayServer) -> None:
    bench = Bench()
    with replay() as other:
        server.put("/metrics", *[page(vllm(tokens)) for tokens in (100, 110, 120, 130)])
        other.put("/metrics", page(vllm(1000)), page(b"", 500), page(vllm(1007)), page(vllm(1008)))
        one = bench.process(server, port=0)
        both = [replace(one, port=at.port, start_ms=one.start_ms + n) for n, at in enumerate((server, other))]
        bench.watch(*both)
        told = [sample for _ in range(4) for sample in bench.tick().inference_samples]
    assert [(sample.output_tokens_total, sample.window_seconds) for sample in told] == [(None, None), (27, 4.0), (11, 2.0)]


def test_answers_are_not_held_longer_than_they_are_read(server: ReplayServer) -> None:
    server.put("/metrics", page(vllm(10)))
    connection = Connection("127.0.0.1", server.port, SystemClock())
    found = look(TableReader(VLLM), connection, SystemClock())
    connection.close()
    assert found.reading is not None and found.bytes == len(vllm(10))
    assert [answer.body for answer in found.answers] == [b""]


def test_a_document_of_a_million_values_is_not_read() -> None:
    assert document(b"[" + b"0," * (MAX_VALUES - 2) + b"0]") == [0] * (MAX_VALUES - 1)
    with pytest.raises(ValueError, match="more values"):
        document(b"[" + b"[]," * MAX_VALUES + b"[]]")
