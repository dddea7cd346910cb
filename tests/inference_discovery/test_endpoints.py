"""Where the collector asks: what it looks up again, and when, on real sockets with a clock that stands still."""

from __future__ import annotations

import pytest
from support.serving_process import bound, serving

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.inference import discovery, listening
from gpuwatch.collectors.inference.configured import configured
from gpuwatch.collectors.inference.discovery import Discovery
from gpuwatch.collectors.inference.engines.vllm import VLLM
from gpuwatch.dataclass import replace
from gpuwatch.names import ServerState
from gpuwatch.plugin import CollectorContext

SECOND = 1_000_000_000
NONE = frozenset()


@pytest.fixture
def context():
    return CollectorContext(clock=FakeClock())


def addresses(found):
    """Workload -> the ports that are asked."""
    return {key: [endpoint.address.port for endpoint in one.endpoints] for key, one in found.items()}


def test_a_server_that_moves_is_found_within_half_a_minute_and_at_once_if_it_fails(tmp_path, context):
    (one, first), (two, second) = bound(), bound()
    with serving(tmp_path, "vllm", "serve", sockets=[one, two]) as child:
        child("listen", first)
        server = child.told(port=first)
        context.servers.publish([server])
        discovery = Discovery(context, ())
        found = discovery.changed(0, NONE, 2.0)
        assert addresses(found) == {server.workload: [first]}
        (endpoint,) = found[server.workload].endpoints
        child("close", first)
        child("listen", second)
        assert not endpoint.allowed(), "nothing new is connected to"
        assert discovery.changed(2 * SECOND, NONE, 2.0) is None
        assert addresses(discovery.changed(31 * SECOND, NONE, 2.0)) == {server.workload: [second]}
        child("close", second)
        child("listen", first, "127.0.0.1")
        failing = frozenset([server.workload])
        assert addresses(discovery.changed(33 * SECOND, failing, 2.0)) == {server.workload: [first]}


def test_a_configured_port_is_asked_only_while_it_is_the_servers(tmp_path, context):
    one, port = bound()
    with serving(tmp_path, "mine", "serve", sockets=[one]) as a, serving(tmp_path, "mine", "serve") as b:
        a("listen", port)
        servers = [a.told(), b.told()]
        context.servers.publish(servers)
        targets, _ = configured({"targets": [{"url": f"http://127.0.0.1:{port}"}]})
        discovery = Discovery(context, targets)
        found = discovery.changed(0, NONE, 2.0)
        assert addresses(found)[servers[0].workload] == [port]
        (endpoint,) = found[servers[0].workload].endpoints
        assert endpoint.allowed()
        a("close", port)
        b("listen", port, "127.0.0.1")
        assert not endpoint.allowed()
        found = discovery.changed(2 * SECOND, frozenset([servers[0].workload]), 2.0)
        assert addresses(found)[servers[1].workload] == [port] and port not in addresses(found)[servers[0].workload]


def test_no_worker_is_ever_an_endpoint(tmp_path, context):
    (one, port), (two, inner) = bound(), bound()
    with serving(tmp_path, "vllm", "serve", sockets=[one]) as child, serving(tmp_path, "x", "y", sockets=[two]) as engine:
        child("listen", port)
        engine("listen", inner)
        context.servers.publish([child.told(port=port), engine.told(worker=True, port=inner)])
        found = Discovery(context, ()).changed(0, NONE, 2.0)
    assert [ports for ports in addresses(found).values() if ports] == [[port]]


def test_of_two_servers_that_may_both_be_meant_by_a_usual_port_none_is_asked(tmp_path, context, monkeypatch):
    """Another user's sockets are not shown; a second server whose port stands in a file would be taken for the first."""
    one, port = bound()
    monkeypatch.setattr(listening, "held", lambda root, pid, enough=(): None)
    monkeypatch.setattr(discovery, "engine", lambda name: replace(VLLM, default_port=port))
    with serving(tmp_path, "vllm", "serve", sockets=[one]) as a, serving(tmp_path, "vllm", "serve") as b:
        a("listen", port)
        context.servers.publish([a.told()])
        alone = Discovery(context, ()).changed(0, NONE, 2.0)
        part = replace(b.told(), workload=a.told().workload, parent_pid=a.pid)
        context.servers.publish([a.told(), part])
        together = Discovery(context, ()).changed(0, NONE, 2.0)
        context.servers.publish([a.told(), b.told()])
        both = Discovery(context, ()).changed(0, NONE, 2.0)
    assert list(addresses(alone).values()) == [[port]] == list(addresses(together).values())
    assert list(addresses(both).values()) == [[], []]
    assert {one.listening.state for one in both.values()} == {ServerState.PORT_UNKNOWN}


def test_a_replica_of_ray_has_no_page_whatever_it_listens_on(tmp_path, context):
    one, port = bound()
    with serving(tmp_path, "x", "serve", sockets=[one]) as child:
        child("listen", port)
        context.servers.publish([child.told("ray-serve")])
        (found,) = Discovery(context, ()).changed(0, NONE, 2.0).values()
    assert found.endpoints == [] and found.listening.state is ServerState.PORT_UNKNOWN
    assert "--metrics-export-port" in found.listening.detail
