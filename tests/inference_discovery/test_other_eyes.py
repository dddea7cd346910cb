"""Servers that cannot be seen wholly: another user's, another network namespace's, behind Docker's proxies; hostile tables."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest
from support.serving_child import INNER_ADDRESS
from support.serving_process import bound, serving

from gpuwatch.collectors.inference import listening, sockets
from gpuwatch.collectors.inference.listening import owner_of, still_owns, where
from gpuwatch.collectors.inference.namespaces import Published, leads_to, published
from gpuwatch.collectors.inference.sockets import Socket
from gpuwatch.names import ServerState
from gpuwatch.plugin import ServerProcess

NOBODY = 65534


def refuse(monkeypatch):
    """The files of all processes are another user's."""
    monkeypatch.setattr(listening, "held", lambda root, pid, enough=(): None)


def test_another_users_server_by_its_port_and_user(tmp_path, monkeypatch):
    refuse(monkeypatch)
    one, port = bound()
    with serving(tmp_path, "vllm", "serve", sockets=[one]) as child:
        assert where(child.told(port=port)).state is ServerState.STARTING
        child("listen", port)
        named, usual = where(child.told(port=port)), where(child.told(), default_port=port)
        taken = where(child.told(), default_port=port, claimed=(port,))
        unnamed = where(child.told(engine="llama.cpp"))
        stranger = ServerProcess(child.pid, 1, NOBODY, (1, 1, port), "vllm", port=port)
        assert owner_of(port, [child.told(port=port)]) == child.told(port=port)
        assert owner_of(port, [stranger]) is None
        assert still_owns(child.told(port=port), named)
        not_its = where(stranger)
        child("close", port)
        assert not still_owns(child.told(port=port), named)
    assert (named.port, named.fd, usual.port) == (port, -1, port)
    assert (taken.state, unnamed.state) == (ServerState.PORT_UNKNOWN,) * 2 and "only root" in unnamed.detail
    assert not_its.state is ServerState.PORT_UNKNOWN and "another user" in not_its.detail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_another_user_really_sees(tmp_path):
    one, port = bound()
    with serving(tmp_path, "vllm", "serve", sockets=[one]) as child:
        child("listen", port)
        server = child.told(port=port)
        read, write = os.pipe()
        if not (pid := os.fork()):
            os.setuid(NOBODY)
            found = where(server)
            os.write(write, repr((found.port, found.fd, found.state, still_owns(server, found))).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(read, 999).decode() == repr((port, -1, ServerState.UP, True))
        os.close(read)
        os.close(write)


@pytest.fixture
def apart(tmp_path):
    """A server on port 8000 of a network of its own."""
    with serving(tmp_path, "vllm", "serve", "m", "--port", "8000") as child:
        if not child("leave"):
            pytest.skip("no network namespaces here")
        child("listen", 8000, "127.0.0.1")
        yield child


def test_a_server_in_another_network_is_told_and_not_asked(apart):
    found = where(apart.told(port=8000))
    assert (found.state, found.port) == (ServerState.OTHER_NAMESPACE, 0) and "[[inference.target]]" in found.detail
    assert apart("connections") == []


@pytest.fixture
def publish(tmp_path):
    """``publish(inner_host, inner_port)``: a port of this host that a process with Docker's name and command line holds."""
    with ExitStack() as running:

        def start(inside: str, inner_port: int, proto: str = "tcp") -> int:
            one, port = bound()
            line = f"x -proto {proto} -host-ip 127.0.0.1 -host-port {port} -container-ip {inside} -container-port {inner_port}"
            child = serving(tmp_path, "docker-proxy", *line.split(), sockets=[one], program="docker-proxy")
            running.enter_context(child)("listen", port)
            return port

        yield start


def test_the_published_port_of_a_container(apart, publish):
    publish("172.31.255.250", 8000)
    publish("127.0.0.1", 9000)
    publish("127.0.0.1", 8000, "udp")
    server = apart.told(port=8000)
    assert where(server).state is ServerState.OTHER_NAMESPACE, "none of these leads to it"
    port = publish("127.0.0.1", 8000)
    found = where(server)
    assert (found.host, found.port, found.state) == ("127.0.0.1", port, ServerState.UP)
    assert still_owns(server, found)
    assert owner_of(port, [server]) == server and owner_of(8000, [server]) is None
    assert where(apart.told(), default_port=8000).port == port
    apart("close", 8000)
    assert where(server).state is ServerState.STARTING, "there is a way to it, and it does not listen"


def test_a_containers_own_address_is_its_servers(apart):
    server = apart.told(port=8000)
    assert owner_of(8000, [server], host=INNER_ADDRESS) == server
    assert owner_of(8001, [server], host=INNER_ADDRESS) is None
    for other in ("198.51.100.8", "gpu-box", "localhost", "127.0.0.1", "::1"):
        assert owner_of(8000, [server], host=other) is None
    assert apart("connections") == []


def test_without_its_addresses_only_one_way_into_a_container_counts(tmp_path):
    (tmp_path / "7").mkdir()
    ways = [Published("0.0.0.0", 81, "10.0.0.2", 8000), Published("0.0.0.0", 82, "10.0.0.3", 8000)]
    assert leads_to(str(tmp_path), 7, ways) == [] and leads_to(str(tmp_path), 7, ways[:1]) == ways[:1]
    trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.3\n        /32 host LOCAL\n"
    (tmp_path / "7" / "net").mkdir()
    (tmp_path / "7" / "net" / "fib_trie").write_text(trie)
    assert leads_to(str(tmp_path), 7, ways) == ways[1:]


def test_command_lines_that_are_no_proxys(tmp_path):
    for pid, argv in enumerate(
        ("docker-proxy", "docker-proxy -host-port x -container-port 1 -container-ip 1", "docker-proxy -host-port"), 1
    ):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "comm").write_text("docker-proxy\n")
        (tmp_path / str(pid) / "cmdline").write_text(argv.replace(" ", "\0"))
    (tmp_path / "9").mkdir()
    assert published(str(tmp_path)) == [] == published(str(tmp_path / "absent"))
    (tmp_path / "1" / "cmdline").write_text("docker-proxy\0--container-ip=10.0.0.2\0--host-port=81\0--container-port=8000\0")
    assert published(str(tmp_path)) == [Published("0.0.0.0", 81, "10.0.0.2", 8000)]


LINE = "   0: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000  1000        0 {} 1 0000000000000000 100 0 0 10 0\n"


def table(root, text, name="tcp"):
    (root / "self" / "net").mkdir(parents=True, exist_ok=True)
    (root / "self" / "net" / name).write_text("  sl  local_address rem_address   st\n" + text)


def test_the_kernels_table_and_its_monitor_say_the_same():
    one, port = bound()
    two, other = bound()
    with one, two:
        one.listen()
        by_monitor = {found for found in sockets.listening("/proc", "self") if found.port in (port, other)}
        by_table = {found for found in sockets.listening("/proc/", "self") if found.port in (port, other)}
    assert by_monitor == by_table and [(found.host, found.port) for found in by_table] == [("127.0.0.1", port)]


def test_where_the_monitor_refuses_the_table_is_read(monkeypatch):
    one, port = bound()
    with one:
        one.listen()
        monkeypatch.setattr(sockets, "_SOCK_DIAG", 31)
        assert port in [found.port for found in sockets.listening("/proc", "self")]


def test_addresses_of_the_table(tmp_path):
    table(tmp_path, LINE.format("0100007F:1F90", "0A", 71) + LINE.format("0500000A:0050", "01", 72))
    six = "000000000000000000000000{}:1F91".format
    table(
        tmp_path,
        LINE.format(six("01000000"), "0A", 73) + LINE.format("0000000000000000FFFF00000100007F:1F92", "0A", 74),
        "tcp6",
    )
    assert sockets.listening(str(tmp_path), "self") == [
        Socket("127.0.0.1", 8080, 1000, 71),
        Socket("::1", 8081, 1000, 73),
        Socket("127.0.0.1", 8082, 1000, 74),
    ]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "garbage\n", LINE.format("xx:yy", "0A", 1), LINE.format("0100007F", "0A", 1), "\0" * 9999]
)
def test_a_table_that_makes_no_sense_is_empty(tmp_path, text):
    table(tmp_path, text)
    assert sockets.listening(str(tmp_path), "self") == [] == sockets.listening(str(tmp_path / "absent"), "self")


def test_reading_ends_where_nothing_listens_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr(sockets, "CHUNK", 4096)
    connections = "".join(LINE.format("0100007F:1F90", "01", inode) for inode in range(1000, 2000))
    table(tmp_path, LINE.format("0100007F:1F90", "0A", 71) + connections + LINE.format("0100007F:1F91", "0A", 72))
    assert [found.inode for found in sockets.listening(str(tmp_path), "self")] == [71]
