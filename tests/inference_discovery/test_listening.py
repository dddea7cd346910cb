"""Where real processes listen: by their own sockets only, preferring what their command line and their engine name."""

from __future__ import annotations

import socket

import pytest
from support.serving_process import bound, serving

from gpuwatch.collectors.inference.listening import owner_of, still_owns, where
from gpuwatch.names import ServerState


def of(found):
    return found.host, found.port, found.state


def test_the_port_of_the_command_line_once_it_is_open(tmp_path):
    one, port = bound()
    with serving(tmp_path, "vllm", "serve", "m", "--port", str(port), sockets=[one]) as child:
        server = child.told(port=port)
        before = where(server)
        child("listen", port)
        found = where(server)
    assert (before.state, before.detail) == (ServerState.STARTING, f"port {port} is not open yet") and not before.known
    assert of(found) == ("127.0.0.1", port, ServerState.UP) and found.known and found.pid == child.pid


def test_a_server_that_listened_does_not_start(tmp_path):
    one, port = bound()
    with serving(tmp_path, "vllm", "serve", "m", "--port", str(port), sockets=[one]) as child:
        server = child.told(port=port)
        first = where(server, before=where(server))
        child("listen", port)
        found = where(server, before=first)
        child("close", port)
        gone = where(server, before=found)
        still = where(server, before=gone)
        child("listen", port, "127.0.0.1")
        again = where(server, before=still)
    assert [one.state for one in (first, found, again)] == [ServerState.STARTING, ServerState.UP, ServerState.UP]
    assert [(one.state, one.detail) for one in (gone, still)] == [
        (ServerState.UNREACHABLE, f"it no longer listens on port {port}")
    ] * 2


def test_the_command_lines_port_wins_over_the_engines_default_and_the_pages_port_over_both(tmp_path):
    ports = {}
    sockets = []
    for name in ("given", "default", "page"):
        one, ports[name] = bound()
        sockets.append(one)
    with serving(tmp_path, "tritonserver", "x", sockets=sockets) as child:
        for port in ports.values():
            child("listen", port)
        told = child.told
        assert where(told(port=ports["given"]), default_port=ports["default"]).port == ports["given"]
        assert where(told(), default_port=ports["default"]).port == ports["default"]
        assert where(told(port=1), default_port=ports["default"]).port == ports["default"]
        assert where(told(port=ports["given"], metrics_port=ports["page"])).port == ports["page"]
        assert where(told(port=ports["given"]), metrics_port=ports["page"]).port == ports["page"]
        assert where(told(port=ports["given"], metrics_port=ports["page"]), metrics_port=ports["default"]).port == ports["page"]
        assert where(told(port=ports["given"]), metrics_port=1).port == ports["given"]


def test_the_port_of_another_process_is_never_given(tmp_path):
    one, port = bound()
    with serving(tmp_path, "vllm", "serve", "m") as child, one:
        one.listen()
        found = [where(child.told(port=port)), where(child.told(), default_port=port)]
    assert [of(each) for each in found] == [("", 0, ServerState.STARTING)] * 2


@pytest.mark.parametrize(("engine", "state"), [("llama.cpp", ServerState.UP), ("vllm", ServerState.PORT_UNKNOWN)])
def test_the_only_port_of_a_process_counts_where_it_can_be_no_other(tmp_path, engine, state):
    one, port = bound()
    with serving(tmp_path, "x", "serve", sockets=[one]) as child:
        child("listen", port)
        found = where(child.told(engine), default_port=1)
    assert (found.state, found.port) == (state, port if state is ServerState.UP else 0)


def low() -> tuple[socket.socket, int]:
    """A port below those that the kernel gives out."""
    for port in range(20_000, 32_000):
        try:
            return bound(port=port)
        except OSError:
            continue
    pytest.skip("no low port is free")


@pytest.mark.parametrize(
    ("engine", "flags", "state"),
    [
        ("vllm", (), ServerState.PORT_UNKNOWN),
        ("vllm", ("--config",), ServerState.UP),
        ("dynamo", (), ServerState.UP),
        ("ray-serve", (), ServerState.PORT_UNKNOWN),
    ],
)
def test_a_low_port_may_be_a_part_of_the_engine_unless_the_servers_own_stands_elsewhere(tmp_path, engine, flags, state):
    """Ray gives its processes ports from 10002 on, and VLLM_PORT is that of vLLM's parts: neither speaks HTTP."""
    one, port = low()
    with serving(tmp_path, "x", "serve", sockets=[one]) as child:
        child("listen", port)
        found = where(child.told(engine, flags=frozenset(flags)), default_port=1)
    assert (found.state, found.port) == (state, port if state is ServerState.UP else 0)
    assert found.known or "and 1 is not open" in found.detail


@pytest.mark.parametrize(("engine", "state"), [("vllm", ServerState.UNREACHABLE), ("llama.cpp", ServerState.UP)])
def test_what_is_left_of_a_server_that_ends_is_not_asked(tmp_path, engine, state):
    (one, port), (two, inner) = low(), bound()
    with serving(tmp_path, "x", "serve", sockets=[one, two]) as child:
        child("listen", port)
        server = child.told(engine, port=port)
        found = where(server)
        child("close", port)
        child("listen", inner)
        left = where(server, before=found)
    assert found.port == port and (left.state, left.port) == (state, inner if state is ServerState.UP else 0)


def test_of_two_unnamed_ports_none_is_guessed(tmp_path):
    (one, first), (two, second) = bound(), bound()
    with serving(tmp_path, "llama-server", "x", sockets=[one, two]) as child:
        child("listen", first)
        child("listen", second)
        found = where(child.told("llama.cpp"))
        assert (found.state, found.port) == (ServerState.PORT_UNKNOWN, 0) and "[[inference.target]]" in found.detail
        assert child("connections") == []


def test_a_port_of_its_own_that_opens_before_the_named_one_is_not_asked(tmp_path):
    one, inner = bound()
    with serving(tmp_path, "vllm", "serve", sockets=[one]) as child:
        child("listen", inner)
        assert where(child.told(port=1)).state is ServerState.STARTING


def other_address() -> str:
    """An address of this host that is not loopback, empty if there is none; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


@pytest.mark.parametrize(
    ("host", "asked"),
    [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("127.0.0.5", "127.0.0.5"), ("::", "::1"), ("::1", "::1")],
)
def test_the_address_to_ask(tmp_path, host, asked):
    try:
        one, port = bound(host)
    except OSError:
        pytest.skip(f"{host} is no address here")
    with serving(tmp_path, "vllm", "serve", sockets=[one]) as child:
        child("listen", port)
        found = where(child.told(port=port))
    assert of(found) == (asked, port, ServerState.UP)


def test_an_address_of_this_host_is_asked_as_it_is(tmp_path):
    if not (host := other_address()):
        pytest.skip("this host has no address but loopback")
    one, port = bound(host)
    with serving(tmp_path, "vllm", "serve", sockets=[one]) as child:
        child("listen", port)
        server = child.told(port=port)
        assert of(where(server)) == (host, port, ServerState.UP)
        assert owner_of(port, [server], host=host) == server and owner_of(port, [server], host="192.0.2.1") is None


def test_ipv4_is_asked_where_both_listen(tmp_path):
    one, port = bound()
    one.close()
    with serving(tmp_path, "vllm", "serve") as child:
        try:
            child("listen", port, "::1")
        except ValueError:
            pytest.skip("no IPv6 on loopback, or the port is taken there")
        assert where(child.told(port=port)).host == "::1"
        child("listen", port, "127.0.0.1")
        assert where(child.told(port=port)).host == "127.0.0.1"


def test_a_server_is_not_asked_over_https_or_a_unix_socket_or_as_a_worker(tmp_path):
    one, port = bound()
    with serving(tmp_path, "vllm", "serve", sockets=[one]) as child:
        child("listen", port)
        https = where(child.told(port=port, tls=True))
        unix = where(child.told(port=port, flags=frozenset(["--uds"])))
        worker = where(child.told(port=port, worker=True))
        assert child("connections") == []
    assert not https.known and f"https on port {port}" in https.detail
    assert not unix.known and "--uds" in unix.detail
    assert not worker.known and worker.port == 0


def test_a_process_that_has_ended(tmp_path):
    with serving(tmp_path, "vllm", "serve") as child:
        server = child.told(port=1)
    assert where(server).state is ServerState.UNREACHABLE and "ended" in where(server).detail


def test_an_address_holds_while_the_process_keeps_that_very_socket(tmp_path):
    one, port = bound()
    with serving(tmp_path, "vllm", "serve", sockets=[one]) as child:
        server = child.told(port=port)
        assert not still_owns(server, where(server))
        child("listen", port)
        found = where(server)
        assert still_owns(server, found)
        child("close", port)
        assert not still_owns(server, found)
        child("listen", port, "127.0.0.1")
        assert not still_owns(server, found), "the port is open again, on another socket"
        again = where(server)
        assert again.port == port and still_owns(server, again)
    assert not still_owns(server, again)


def test_two_servers_that_swap_their_ports_are_found_where_they_are(tmp_path):
    (one, first), (two, second) = bound(), bound()
    with serving(tmp_path, "vllm", "serve", sockets=[one]) as a, serving(tmp_path, "vllm", "serve", sockets=[two]) as b:
        a("listen", first)
        b("listen", second)
        was = {child: where(child.told(port=port)) for child, port in ((a, first), (b, second))}
        a("close", first)
        b("close", second)
        a("listen", second, "127.0.0.1")
        b("listen", first, "127.0.0.1")
        for child, named, now in ((a, first, second), (b, second, first)):
            server = child.told(port=named)
            assert not still_owns(server, was[child])
            assert where(server, before=was[child]).port == now
            assert owner_of(now, [a.told(port=first), b.told(port=second)]) == server


def test_whose_a_port_is(tmp_path):
    (one, first), (two, second) = bound(), bound()
    with serving(tmp_path, "a", "serve", sockets=[one]) as a, serving(tmp_path, "b", "serve", sockets=[two]) as b:
        a("listen", first)
        b("listen", second)
        servers = [a.told(port=first), b.told()]
        assert owner_of(first, servers) == servers[0] and owner_of(second, servers) == servers[1]
        assert owner_of(second, servers[:1]) is None and owner_of(1, servers) is None
        embedded = b.told(worker=True)
        worker = type(embedded)(1, 1, None, embedded.workload, "vllm", worker=True, parent_pid=b.pid)
        assert owner_of(second, [servers[0], worker]) == worker, "the program that embeds an engine is the parent of its workers"
