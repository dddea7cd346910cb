"""Servers that the user names: elsewhere or of a process here, with a key that goes to them alone, and what is not understood."""

from __future__ import annotations

import logging

import pytest
from support.inference_bench import Bench, vllm
from support.replay_server import ReplayServer, page

from gpuwatch.collectors.inference.configured import configured


def test_a_server_elsewhere_is_a_workload_of_its_own(server: ReplayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "k-1")
    server.put("/metrics", page(vllm(10)), page(vllm(12)))
    bench = Bench(targets=[{"url": f"http://localhost:{server.port}", "name": "big one", "token_env": "MY_KEY"}])
    bench.tick()
    batch = bench.tick()
    (workload,) = batch.workloads
    assert (workload.root_pid, workload.port, workload.kind, workload.name) == (0, server.port, "inference", "big one")
    assert (workload.engine, workload.model) == ("vllm", "m")
    (sample,) = bench.tick().inference_samples
    assert (sample.root_pid, sample.root_start_ms, sample.port) == (0, workload.root_start_ms, server.port)
    assert all(b"Authorization: Bearer k-1\r\n" in request for request in server.requests)
    assert "k-1" not in repr(batch)
    assert "k-1" not in repr(configured(bench.context.options))


def test_a_configured_address_of_a_process_is_that_process(server: ReplayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "k-2")
    server.put("/metrics", page(vllm(10)))
    bench = Bench(targets=[{"url": f"http://127.0.0.1:{server.port}/metrics", "token_env": "MY_KEY"}])
    process = bench.process(server)
    bench.watch(process)
    batch = bench.tick()
    assert batch.workloads == []
    (sample,) = batch.inference_samples
    assert (sample.root_pid, sample.root_start_ms, sample.port) == process.workload
    assert b"Bearer k-2" in server.requests[0]


def test_a_key_that_is_not_set_or_not_right_is_said_so(server: ReplayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.put("/metrics", page(b"", 401))
    for value, words in (("", "set the variable MY_KEY"), ("wrong", "the key in MY_KEY is not the one")):
        monkeypatch.setenv("MY_KEY", value)
        bench = Bench(targets=[{"url": f"http://127.0.0.1:{server.port}", "token_env": "MY_KEY"}])
        bench.tick()
        assert words in bench.told().hint
        assert "wrong" not in bench.told().hint


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({}, "url must be like"),
        ({"url": "ftp://x"}, "url must be like"),
        ({"url": "http://:80"}, "url must be like"),
        ({"url": "http://x:99999"}, "url must be like"),
        ({"url": "http://me:secret@x:80"}, "no user or password"),
        ({"url": "http://x:80/a b"}, "characters"),
        ({"url": "http://x:80/a\r\nHost: y"}, "characters"),
        ({"url": "http://x:80", "engine": "vlm"}, "unknown engine 'vlm'"),
        ({"url": "http://x:80", "token_env": "BAD_KEY"}, "more than a key"),
    ],
)
def test_a_target_that_is_not_understood_is_one_line(
    target: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BAD_KEY", "a\r\nX: y")
    bench = Bench(targets=[target])
    with caplog.at_level(logging.WARNING):
        (event,) = bench.tick().events
    assert words in event.detail
    assert "secret" not in event.detail + caplog.text
    assert event.detail.startswith("inference.target 1: ")
