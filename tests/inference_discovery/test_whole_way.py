"""From /proc to an address: real processes found by the process collector, asked where their sockets are, and no worker's port touched."""

from __future__ import annotations

import socket

import pytest
from support.serving_process import bound, serving

from gpuwatch.collectors.inference.listening import where
from gpuwatch.collectors.procs.collector import ProcsCollector
from gpuwatch.plugin import CollectorContext


@pytest.fixture
def board():
    """``board()``: what the process collector tells of the servers of this machine, by pid."""
    context = CollectorContext()
    collector = ProcsCollector(context)
    collector.open()

    def look():
        collector.collect(context.clock.time())
        return {server.pid: server for server in context.servers.current()[1]}

    yield look
    collector.close()


def test_only_the_server_is_ever_connected_to(tmp_path, board):
    (one, port), (two, inner) = bound(), bound()
    with (
        serving(tmp_path, "vllm", "serve", "a/b", "--port", str(port), sockets=[one]) as server,
        serving(tmp_path, "VLLM::EngineCore", "x", sockets=[two]) as engine,
    ):
        server("listen", port)
        engine("listen", inner)
        found = board()
        assert (found[server.pid].port, found[server.pid].model, found[engine.pid].worker) == (port, "a/b", True)
        for pid in (server.pid, engine.pid):
            place = where(found[pid], default_port=inner)
            if place.known:
                socket.create_connection((place.host, place.port), 2).close()
        assert engine("connections") == []
        for _ in range(1000):
            if server("connections"):
                break
        assert server("connections") == [port]


def test_two_servers_of_one_python_are_two_workloads(tmp_path, board):
    (one, first), (two, second) = bound(), bound()
    with (
        serving(tmp_path, "vllm", "serve", "m", "--port", str(first), sockets=[one]) as a,
        serving(tmp_path, "vllm", "serve", "m", "--port", str(second), sockets=[two]) as b,
    ):
        found = board()
        assert found[a.pid] == a.told(port=first, model="m") and found[a.pid].parent_pid == 0
    assert found[a.pid].workload == (a.pid, found[a.pid].start_ms, first)
    assert found[b.pid].workload == (b.pid, found[b.pid].start_ms, second)
