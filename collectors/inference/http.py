"""One GET over a plain socket with a deadline that nothing moves: not a slow drip, endless headers, nor a peer that sends without end.

``http.client`` is not used: with ``email`` it adds 6 MiB to a recorder of 30, follows no deadline (its timeouts are per read) and reads
headers and chunk sizes loosely. ``ssl`` (5 MiB) is imported only for a configured https target. No proxy variable is looked at, no
cookie kept, no compressed body read, no redirect followed but the one from PATH to PATH/ at the same place, which is asked by ourselves.
"""

from __future__ import annotations

import socket
from functools import cache
from typing import TYPE_CHECKING, Any

from gpuwatch import __version__
from gpuwatch.collectors.inference.reading import Answer
from gpuwatch.text import clean, clean_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch.clock import Clock

CONNECT_SECONDS, TOTAL_SECONDS = 0.3, 2.0
MAX_BODY, MAX_HEAD = 4 * 1024 * 1024, 16 * 1024
_PIECE = 65_536
_NS = 1_000_000_000


class Failure(Exception):
    """What went wrong, in one line. ``refused``: nobody listens. ``unused``: not a byte came back, so that asking again does no harm."""

    def __init__(self, line: str, *, refused: bool = False, too_large: bool = False, unused: bool = False) -> None:
        super().__init__(line)
        self.refused, self.too_large, self.unused = refused, too_large, unused


class Connection:
    """To one server; kept open between requests if ``keep`` and the server wants it. Used by one thread at a time.

    ``allowed`` is asked before each new connection: whether the address is still that of the process that is meant.
    """

    def __init__(
        self,
        host: str,
        port: int,
        clock: Clock,
        *,
        tls: bool = False,
        key: str = "",
        total_seconds: float = TOTAL_SECONDS,
        keep: bool = True,
        allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        self.host, self.port = host, port
        self._clock = clock
        self._tls, self._key, self._keep = tls, key, keep
        self._total_seconds, self.allowed = total_seconds, allowed
        self._socket: Any = None
        self._slashed: set[str] = set()
        """Paths that this server has with a slash at the end only."""
        self._rest = b""

    def get(self, path: str) -> Answer:
        """Ask for ``path``. Never raises for what a server or a network does."""
        began = self._clock.monotonic_ns()
        deadline = began + round(self._total_seconds * _NS)
        try:
            status, body = self._ask(path + "/" * (path in self._slashed), deadline)
            if status < 0:
                self._slashed.add(path)
                status, body = self._ask(path + "/", deadline)
        except Failure as failure:
            self.close()
            error = clean(str(failure))
            return Answer(
                path, 0, b"", began, self._clock.monotonic_ns(), error, too_large=failure.too_large, refused=failure.refused
            )
        error = "" if status == 200 else f"it answers {abs(status)} to GET {path}"
        return Answer(path, abs(status), body if status == 200 else b"", began, self._clock.monotonic_ns(), error)

    def close(self) -> None:
        """Hang up."""
        peer, self._socket, self._rest = self._socket, None, b""
        if peer is not None:
            peer.close()

    # ---------------------------------------------------------------------------------------------------------- one request

    def _ask(self, path: str, deadline: int) -> tuple[int, bytes]:
        """Status (negative: it is at PATH/) and body. A kept connection that the server has closed meanwhile is made anew once."""
        kept = self._socket is not None
        try:
            return self._exchange(path, deadline)
        except Failure as failure:
            if not (kept and failure.unused):
                raise
        self.close()
        return self._exchange(path, deadline)

    def _exchange(self, path: str, deadline: int) -> tuple[int, bytes]:
        if self._rest:  # more came than was asked for: what comes next cannot be told from it
            self.close()
        if self._socket is None:
            self._connect(deadline)
        self._limit(deadline)
        try:
            self._socket.sendall(self._request(path))
        except TimeoutError:
            raise self._late() from None
        except OSError as error:
            raise Failure(_reason(error), unused=True) from None
        status, headers = self._head(deadline)
        for _ in range(3):
            if status != 100 and status != 103:
                break
            status, headers = self._head(deadline)
        body = b"" if status in (204, 304) else self._body(headers, deadline)
        if not self._keep or _has(headers, "connection", "close") or not _has_length(headers):
            self.close()
        if status in (301, 302, 307, 308) and self._is_slash(headers.get("location", ""), path):
            status = -status
        if status == 200 and headers.get("content-encoding", "identity").lower() != "identity":
            raise Failure("its answer is compressed, although it was asked not to")
        return status, body

    def _request(self, path: str) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}:{self.port}",
            f"User-Agent: gpuwatch/{__version__}",
            "Accept: text/plain;version=0.0.4, application/json;q=0.9",
            "Accept-Encoding: identity",
            f"Connection: {'keep-alive' if self._keep else 'close'}",
        ]
        if self._key:
            lines.append(f"Authorization: Bearer {self._key}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def _is_slash(self, location: str, path: str) -> bool:
        """Whether a redirect only adds a slash at this very place."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "https" if self._tls else "http"
        here = {path + "/", f"{scheme}://{host}:{self.port}{path}/"}
        return not path.endswith("/") and location in here

    # -------------------------------------------------------------------------------------------------------------- reading

    def _connect(self, deadline: int) -> None:
        first = min(deadline, self._clock.monotonic_ns() + round(CONNECT_SECONDS * _NS))
        if not self.allowed():
            raise Failure("its port is no longer its own")
        failure = Failure("no address")
        for family, address in _addresses(self.host, self.port):
            peer = socket.socket(family, socket.SOCK_STREAM)
            self._socket = peer
            try:
                self._limit(first)
                peer.connect(address)
                break
            except (OSError, Failure) as error:
                self.close()
                failure = error if isinstance(error, Failure) else Failure(_reason(error), refused=_is_refusal(error))
        if self._socket is None:
            raise failure
        if self._tls:
            self._socket = _wrapped(self._socket, self.host)
            self._limit(deadline)
            try:
                self._socket.do_handshake()
            except OSError as error:
                raise Failure(f"no secure connection: {_reason(error)}") from None

    def _limit(self, deadline: int) -> None:
        """Let the next call on the socket take no longer than is left."""
        left = (deadline - self._clock.monotonic_ns()) / _NS
        if left <= 0:
            raise self._late()
        self._socket.settimeout(left)

    def _late(self) -> Failure:
        return Failure(f"no whole answer within {self._total_seconds:g} s")

    def _more(self, deadline: int) -> bytes:
        """The next bytes; empty at the end."""
        self._limit(deadline)
        try:
            return bytes(self._socket.recv(_PIECE))
        except TimeoutError:
            raise self._late() from None
        except OSError as error:
            raise Failure(_reason(error), unused=isinstance(error, ConnectionResetError) and not self._rest) from None

    def _line(self, deadline: int, limit: int) -> bytes:
        """One line of what is left to be read, without its end."""
        while (end := self._rest.find(b"\n")) < 0 or end > limit:
            if len(self._rest) > limit:
                raise Failure("its answer is not HTTP: a line without end")
            piece = self._more(deadline)
            if not piece:
                raise Failure("it closed the connection in the middle" if self._rest else "it closed the connection")
            self._rest += piece
        line, self._rest = self._rest[:end], self._rest[end + 1 :]
        return line.rstrip(b"\r")

    def _head(self, deadline: int) -> tuple[int, dict[str, str]]:
        if not self._rest:
            self._rest = self._more(deadline)
            if not self._rest:
                raise Failure("it closed the connection without an answer", unused=True)
        words = self._line(deadline, MAX_HEAD).split(None, 2)
        if len(words) < 2 or words[0] not in (b"HTTP/1.0", b"HTTP/1.1") or not (words[1].isdigit() and len(words[1]) == 3):
            raise Failure("its answer is not HTTP")
        headers: dict[str, str] = {"": words[0].decode()}
        size = 0
        while line := self._line(deadline, MAX_HEAD):
            size += len(line)
            if size > MAX_HEAD:
                raise Failure("its answer has headers without end")
            name, _, value = line.partition(b":")
            headers[clean_bytes(name).strip().lower()] = clean_bytes(value).strip()
        return int(words[1]), headers

    def _body(self, headers: dict[str, str], deadline: int) -> bytes:
        if _has(headers, "transfer-encoding", "chunked"):
            return self._chunks(deadline)
        length = headers.get("content-length")
        if length is None:
            return self._until_closed(deadline)
        if not length.isdecimal() or len(length) > 12:
            raise Failure("its answer has no proper length")
        return self._exactly(int(length), deadline)

    def _exactly(self, length: int, deadline: int) -> bytes:
        if length > MAX_BODY:
            raise _too_large()
        body = bytearray(self._rest[:length])
        self._rest = self._rest[length:]
        while len(body) < length:
            piece = self._more(deadline)
            if not piece:
                raise Failure("it closed the connection in the middle")
            need = length - len(body)
            body += piece[:need]
            self._rest = piece[need:]
        return bytes(body)

    def _until_closed(self, deadline: int) -> bytes:
        body = bytearray(self._rest)
        self._rest = b""
        while piece := self._more(deadline):
            body += piece
            if len(body) > MAX_BODY:
                raise _too_large()
        if body and not body.endswith((b"\n", b"}", b"]")):
            raise Failure("it closed the connection in the middle")
        return bytes(body)

    def _chunks(self, deadline: int) -> bytes:
        body = bytearray()
        while True:
            size = self._line(deadline, 1024).partition(b";")[0].strip()
            if not 0 < len(size) <= 8 or size.strip(b"0123456789abcdefABCDEF"):
                raise Failure("its answer comes in chunks that make no sense")
            length = int(size, 16)
            if len(body) + length > MAX_BODY:
                raise _too_large()
            if not length:
                break
            body += self._exactly(length, deadline)
            if self._line(deadline, 1024):
                raise Failure("its answer comes in chunks that make no sense")
        for _ in range(100):
            if not self._line(deadline, MAX_HEAD):
                return bytes(body)
        raise Failure("its answer has headers without end")


def _has(headers: dict[str, str], name: str, word: str) -> bool:
    return word in [part.strip() for part in headers.get(name, "").lower().split(",")]


def _has_length(headers: dict[str, str]) -> bool:
    """Whether the connection may be used again: HTTP/1.1, and the end of the body did not depend on its end."""
    known = "content-length" in headers or _has(headers, "transfer-encoding", "chunked")
    return known and (headers[""] == "HTTP/1.1" or _has(headers, "connection", "keep-alive"))


def _too_large() -> Failure:
    return Failure(f"its answer is larger than {MAX_BODY // 1024**2} MiB", too_large=True)


def _is_refusal(error: OSError) -> bool:
    return isinstance(error, ConnectionRefusedError)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "it closed the connection"
    return (error.strerror or type(error).__name__).lower()


def _addresses(host: str, port: int) -> Sequence[tuple[int, Any]]:
    """Where to connect; a name is looked up, which only a configured target has."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, UnicodeError):
            continue
        return [(family, (host, port))]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Failure(f"the name {host} is not known") from None
    return [(family, address) for family, _, _, _, address in found[:4]]


def _wrapped(peer: Any, host: str) -> Any:
    """TLS on a connection; certificates are verified."""
    return _tls_context().wrap_socket(peer, server_hostname=host, do_handshake_on_connect=False)


@cache
def _tls_context() -> Any:
    import ssl

    return ssl.create_default_context()
