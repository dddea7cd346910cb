"""A loopback HTTP server that answers what a test gives it: pages in order, and everything that a hostile or broken server does."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

Act = Callable[[socket.socket], bool]
"""Answers one request on an open connection; whether the connection stays open."""


def page(body: bytes | str, status: int = 200, *, headers: Sequence[str] = (), close: bool = False) -> Act:
    """A proper answer."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", *headers, *(["Connection: close"] if close else [])]
    return raw("\r\n".join([*lines, "", ""]).encode() + data, close=close)


def raw(data: bytes, *, close: bool = True) -> Act:
    """Exactly these bytes."""

    def act(peer: socket.socket) -> bool:
        peer.sendall(data)
        return not close

    return act


def chunked(*pieces: bytes) -> Act:
    """A proper answer in chunks, with an extension and a trailer."""
    body = b"".join(b"%x;x=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\nX-Trailer: 1\r\n\r\n", close=False)


def hang(peer: socket.socket) -> bool:
    """Say nothing until the client hangs up."""
    with contextlib.suppress(OSError):
        peer.recv(1)
    return False


def drip(head: bytes, piece: bytes, pause: float = 0.02) -> Act:
    """``head``, then a piece now and then, without end."""

    def act(peer: socket.socket) -> bool:
        with contextlib.suppress(OSError):
            peer.sendall(head)
            while True:
                peer.sendall(piece)
                time.sleep(pause)
        return False

    return act


class ReplayServer:
    """``answers``: path -> acts, one a request, the last one for all that follow. ``requests`` are what clients sent."""

    def __init__(self, answers: dict[str, list[Act]] | None = None) -> None:
        self.answers = answers or {}
        self.requests: list[bytes] = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self._peers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def paths(self) -> list[str]:
        """The path of each request, in order."""
        return [request.split()[1].decode() for request in self.requests]

    def put(self, path: str, *acts: Act) -> None:
        """What ``path`` answers from now on."""
        self.answers[path] = list(acts)

    def hang_up(self) -> None:
        """Close every open connection, as a server does that waited too long."""
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()
        self._peers.clear()

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.hang_up()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                self.connections += 1
                self._peers.append(peer)
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer:
            while request := _request(peer):
                self.requests.append(request)
                acts = self.answers.get(request.split()[1].decode(), [page("not here", 404)])
                act = acts.pop(0) if len(acts) > 1 else acts[0]
                if not act(peer):
                    return


def _request(peer: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = peer.recv(4096)
        if not piece:
            return b""
        data += piece
    return data


@contextlib.contextmanager
def replay(answers: dict[str, list[Act]] | None = None) -> Iterator[ReplayServer]:
    """A server that listens until the block ends."""
    server = ReplayServer(answers)
    try:
        yield server
    finally:
        server.close()
