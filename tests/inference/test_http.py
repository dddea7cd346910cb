"""The one GET: proper answers, and one clear line in time for everything else that can come back from a port."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.replay_server import Act, chunked, drip, hang, page, raw, replay

from gpuwatch.clock import SystemClock
from gpuwatch.collectors.inference.http import LARGE, MAX_BODY, Connection
from gpuwatch.collectors.inference.reading import Answer

BODY = b"tiny:running 1\n"
OK = b"HTTP/1.1 200 OK\r\n"


def get(port: int, path: str = "/metrics", *, seconds: float = 0.5, key: str = "", keep: bool = True) -> Answer:
    connection = Connection("127.0.0.1", port, SystemClock(), total_seconds=seconds, key=key, keep=keep)
    try:
        return connection.get(path)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "act",
    [
        page(BODY),
        page(BODY, close=True),
        chunked(BODY[:5], BODY[5:]),
        chunked(*[BODY[at : at + 1] for at in range(len(BODY))]),
        raw(OK + b"\r\n" + BODY),
        raw(b"HTTP/1.0 200 OK\n\n" + BODY),
        raw(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"content-LENGTH: 15\r\n\r\n" + BODY),
        raw(OK + b"Content-Length: 15\r\n\r\n" + BODY + b"HTTP/1.1 200 more than was asked for"),
    ],
)
def test_proper_answers(act: Act) -> None:
    with replay({"/metrics": [act]}) as server:
        answer = get(server.port)
        assert (answer.status, answer.body, answer.error) == (200, BODY, "")
        assert answer.ended_ns >= answer.began_ns > 0


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (hang, "no whole answer within 0.5 s"),
        (drip(b"", b"H"), "not HTTP|no whole answer"),
        (drip(OK, b"X-A: b\r\n" * 50, 0.0), "headers without end"),
        (drip(OK, b"X-A: b\r\n"), "no whole answer"),
        (drip(OK, b"a\n" * 5000, 0.0), "headers without end"),
        (drip(OK + b"X: ", b"y" * 5000, 0.0), "line without end"),
        (drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nz\r\n" * 5000, 0.0), "chunks that make no sense"),
        (raw(OK + b"Transfer-Encoding: chunked\r\n\r\n4000000000000000\r\nabc\r\n"), "chunks that make no sense"),
        (drip(OK + b"Content-Length: 900000\r\n\r\n", b"z"), "no whole answer"),
        (drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nz\r\n"), "no whole answer"),
        (drip(OK + b"\r\n", b"z\n"), "no whole answer"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "not HTTP"),
        (raw(b"\x16\x03\x01\x00\xff" * 40), "not HTTP|closed"),
        (raw(b"HTTP/2 200 OK\r\n\r\n"), "not HTTP"),
        (raw(b"HTTP/1.1 2x0 OK\r\n\r\n"), "not HTTP"),
        (raw(b""), "closed the connection without an answer"),
        (raw(OK), "closed the connection"),
        (raw(OK + b"Content-Length: 100\r\n\r\nabc"), "closed the connection in the middle"),
        (raw(OK + b"Content-Length: -5\r\n\r\nabc"), "no proper length"),
        (raw(OK + b"Content-Length: 12e3\r\n\r\nabc"), "no proper length"),
        (raw(OK + b"\r\ntiny:running 1\ntiny:waiti"), "closed the connection in the middle"),
        (raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"), "chunks that make no sense"),
        (raw(OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n"), "chunks that make no sense"),
        (raw(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n"), "chunks that make no sense"),
        (raw(OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"), "compressed"),
        (page(b"", 500), "answers 500"),
        (page(b"", 204), "answers 204"),
    ],
)
def test_everything_else_gives_one_line(act: Act, words: str) -> None:
    with replay({"/metrics": [act]}) as server:
        clock = SystemClock()
        began = clock.monotonic_ns()
        answer = get(server.port)
        assert any(word in answer.error for word in words.split("|")), answer.error
        assert "\n" not in answer.error
        assert answer.body == b""
        assert clock.monotonic_ns() - began < 5e9, "the deadline is absolute"


@pytest.mark.parametrize(
    "act",
    [
        raw(OK + b"Content-Length: 4194305\r\n\r\n"),
        drip(OK + b"\r\n", b"x" * 200_000, 0.0),
        drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"30d40\r\n" + b"x" * 200_000 + b"\r\n", 0.0),
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n"),
    ],
)
def test_what_is_too_large_is_not_read(act: Act) -> None:
    with replay({"/metrics": [act]}) as server:
        answer = get(server.port, seconds=5)
        assert answer.too_large
        assert answer.error == "its answer is larger than 4 MiB"
    assert MAX_BODY == 4 * 1024**2


def test_nobody_listens() -> None:
    with replay() as server:
        port = server.port
    answer = get(port)
    assert answer.refused
    assert answer.error == "nobody listens there"


def test_a_kept_connection_is_used_again_and_made_anew_when_the_server_closed_it() -> None:
    with replay({"/metrics": [page(BODY)]}) as server:
        connection = Connection("127.0.0.1", server.port, SystemClock())
        assert [connection.get("/metrics").status for _ in range(3)] == [200] * 3
        assert server.connections == 1
        server.hang_up()
        assert connection.get("/metrics").status == 200
        assert server.connections == 2
        connection.close()
        assert get(server.port, keep=False).status == 200
        assert b"Connection: close" in server.requests[-1]


def test_an_answer_to_nothing_is_not_taken_for_the_next_one() -> None:
    evil = raw(OK + b"Content-Length: 15\r\n\r\n" + BODY + OK + b"Content-Length: 5\r\n\r\nevil\n", close=False)
    with replay({"/metrics": [evil, page(BODY)]}) as server:
        connection = Connection("127.0.0.1", server.port, SystemClock())
        assert [connection.get("/metrics").body for _ in range(2)] == [BODY, BODY]
        connection.close()


def moved(place: str, status: int = 307) -> Act:
    return page(b"", status, headers=[f"Location: {place}"])


def test_a_redirect_to_the_same_path_with_a_slash_is_asked_by_ourselves_and_remembered() -> None:
    for place in ("/metrics/", "http://127.0.0.1:{port}/metrics/"):
        with replay({"/metrics/": [page(BODY)]}) as server:
            server.put("/metrics", moved(place.format(port=server.port)))
            connection = Connection("127.0.0.1", server.port, SystemClock())
            assert [connection.get("/metrics").body for _ in range(2)] == [BODY, BODY]
            assert server.paths == ["/metrics", "/metrics/", "/metrics/"]
            connection.close()


@pytest.mark.parametrize(
    "place", ["/other", "http://127.0.0.1:{other}/metrics/", "http://127.0.0.1.nip.io:{port}/metrics/", "//{other}/metrics/", ""]
)
def test_no_other_redirect_is_followed(place: str) -> None:
    with replay({"/metrics/": [page(BODY)], "/other": [page(BODY)]}) as server, replay({"/metrics/": [page(BODY)]}) as other:
        server.put("/metrics", moved(place.format(port=server.port, other=other.port)))
        answer = get(server.port, key="secret")
        assert (answer.status, answer.error) == (307, "it answers 307 to GET /metrics")
        assert server.paths == ["/metrics"]
        assert other.requests == []


def test_a_redirect_in_a_circle_ends() -> None:
    with replay({"/metrics": [moved("/metrics/")], "/metrics/": [moved("/metrics")]}) as server:
        assert get(server.port).status == 307


def test_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with replay({"/metrics": [page(BODY, headers=["Set-Cookie: a=b"])]}) as server:
        connection = Connection("127.0.0.1", server.port, SystemClock())
        connection.get("/metrics")
        connection.get("/metrics")
        connection.close()
        lines = server.requests[1].decode().split("\r\n")
        assert lines[0] == "GET /metrics HTTP/1.1"
        assert f"Host: 127.0.0.1:{server.port}" in lines
        assert "Accept-Encoding: identity" in lines
        assert any(line.startswith("Accept: text/plain;version=0.0.4") for line in lines)
        assert any(line.startswith("User-Agent: gpuwatch/") for line in lines)
        assert not any(line.lower().startswith(("cookie", "authorization")) for line in lines)
        get(server.port, key="k-1")
        assert b"Authorization: Bearer k-1\r\n" in server.requests[-1]


def test_a_name_that_is_not_known_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    assert Connection("no.such.host", 80, SystemClock()).get("/metrics").error == "the name no.such.host is not known"


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[int]]]:
    """Names are found once the event is set; the ports that they were looked up for."""
    found, asked = threading.Event(), list[int]()

    def look_up(_: str, port: int, **__: object) -> list[tuple[object, ...]]:
        asked.append(port)
        found.wait(30)
        return [(socket.AF_INET, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    yield found, asked
    found.set()


def test_a_name_that_takes_long_holds_nobody_up_and_is_looked_up_once(slow_names: tuple[threading.Event, list[int]]) -> None:
    found, asked = slow_names
    with replay({"/metrics": [page(BODY)]}) as server:
        connection = Connection("a.host", server.port, SystemClock(), total_seconds=0.1)
        for _ in range(3):
            assert connection.get("/metrics").error == "the name a.host was not looked up within 0.1 s"
        assert asked == [server.port]
        found.set()
        connection._wire._total_seconds = 5.0
        assert connection.get("/metrics").status == 200
        connection.close()


def test_each_address_of_a_name_has_a_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with replay({"/metrics": [page(BODY)]}) as server, socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        queued = [socket.socket() for _ in range(3)]
        for one in queued:
            one.setblocking(False)
            one.connect_ex(full.getsockname())  # what is more than the queue holds gets no answer
        places = [(socket.AF_INET, 0, 0, "", place) for place in (full.getsockname(), ("127.0.0.1", server.port))]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: places)
        connection = Connection("a.host", server.port, SystemClock(), total_seconds=5.0)
        assert connection.get("/metrics").status == 200
        connection.close()
        for one in queued:
            one.close()


def test_a_host_without_sockets_of_that_kind_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr("socket.socket", none)
    assert Connection("::1", 80, SystemClock()).get("/metrics").error == "address family not supported by protocol"


def test_https_is_verified(tmp_path: Path) -> None:
    with replay({"/metrics": [page(BODY)]}) as server:
        answer = Connection("127.0.0.1", server.port, SystemClock(), tls=True, total_seconds=1.0).get("/metrics")
        assert answer.status == 0
        assert answer.error.startswith("no secure connection") or "no whole answer" in answer.error
        assert server.requests == []


def _mistrust() -> OSError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "no secure connection: it closed the connection"),
        (ValueError("no such name"), "no secure connection: no such name"),
        (_mistrust(), "its certificate is not trusted: self-signed certificate"),
    ],
)
def test_a_connection_that_cannot_be_made_secure_is_one_line(error: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def wrap_socket(self, *_: object, **__: object) -> None:
            raise error

    monkeypatch.setattr("gpuwatch.collectors.inference.wire._tls_context", Broken)
    with replay() as server:
        assert Connection("127.0.0.1", server.port, SystemClock(), tls=True).get("/metrics").error == words


def test_a_key_in_the_url_is_not_told() -> None:
    with replay() as server:
        assert get(server.port, "/metrics?key=secret").error == "it answers 404 to GET /metrics"


def test_answers_that_are_held_together_are_no_larger_than_one_may_be() -> None:
    with replay({"/metrics": [page(b"a\n" * (MAX_BODY // 2 - 1))], "/more": [page(BODY)]}) as server:
        connection = Connection("127.0.0.1", server.port, SystemClock(), total_seconds=5.0)
        assert connection.get("/metrics").status == 200
        assert connection.get("/more").too_large
        connection.let_go()
        assert connection.get("/more").body == BODY
        connection.close()


def test_one_large_answer_is_held_at_a_time() -> None:
    with replay({"/metrics": [page(b"a\n" * LARGE)]}) as server:
        one, two = [Connection("127.0.0.1", server.port, SystemClock(), total_seconds=seconds) for seconds in (5.0, 0.5)]
        assert one.get("/metrics").status == 200
        assert two.get("/metrics").error == "no whole answer within 0.5 s"
        one.let_go()
        two._wire._total_seconds = 5.0
        assert two.get("/metrics").status == 200
        for connection in (one, two):
            connection.let_go()
            connection.close()


def test_many_at_once_do_not_disturb_each_other() -> None:
    with replay({f"/{number}": [page(f"tiny:a {number}\n")] for number in range(8)}) as server:
        found: dict[int, bytes] = {}

        def ask(number: int) -> None:
            found[number] = get(server.port, f"/{number}", seconds=5).body

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {number: f"tiny:a {number}\n".encode() for number in range(8)}
