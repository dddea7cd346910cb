"""One GET over a plain socket with a deadline that nothing moves: not a slow drip, endless headers, nor a peer that sends without end.

``http.client`` is not used: with ``email`` it adds 6 MiB to a recorder of 30, follows no deadline (its timeouts are per read) and reads
headers and chunk sizes loosely. ``ssl`` (5 MiB) is imported only for a configured https target. No proxy variable is looked at, no
cookie kept, no compressed body read, no redirect followed but the one from PATH to PATH/ at the same place, which is asked by ourselves.
"""

from __future__ import annotations

import socket
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from gpuwatch import __version__
from gpuwatch.collectors.inference.lookup import Lookup, Place, numeric
from gpuwatch.collectors.inference.reading import Answer
from gpuwatch.text import clean, clean_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch.clock import Clock

CONNECT_SECONDS, TOTAL_SECONDS = 0.3, 2.0
MAX_BODY, MAX_HEAD, MAX_CHUNKS = 4 * 1024 * 1024, 16 * 1024, 10_000
LARGE = 512 * 1024
_LARGE_ONE = threading.Lock()
"""Held by who holds a body larger than ``LARGE``: eight of 4 MiB at once would be more memory than the whole recorder has."""
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
        self._lookup: Lookup | None = None
        """Of the host's name, while it is not answered."""
        self._holds_large = False
        self._slashed: set[str] = set()
        """Paths that this server has with a slash at the end only."""
        self._rest, self._at = b"", 0
        """What has come and from where on it is still to be read."""

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
            self.let_go()
            error = clean(str(failure))
            return Answer(
                path, 0, b"", began, self._clock.monotonic_ns(), error, too_large=failure.too_large, refused=failure.refused
            )
        error = "" if status == 200 else f"it answers {abs(status)} to GET {path.partition('?')[0]}"
        return Answer(path, abs(status), body if status == 200 else b"", began, self._clock.monotonic_ns(), error)

    def close(self) -> None:
        """Hang up."""
        peer, self._socket, self._rest, self._at = self._socket, None, b"", 0
        if peer is not None:
            peer.close()

    def let_go(self) -> None:
        """Its answers have been read and are no longer held: the next large one may come."""
        if self._holds_large:
            self._holds_large = False
            _LARGE_ONE.release()

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
        if self._left:  # more came than was asked for: what comes next cannot be told from it
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
        if not self._keep or _has(headers, "connection", "close") or not _may_go_on(headers):
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
        """Connect to the first of the host's addresses that answers; each has a time of its own."""
        if not self.allowed():
            raise Failure("its port is no longer its own")
        failure = Failure("no address")
        for place in self._places(deadline):
            try:
                self._socket = socket.socket(place.family, socket.SOCK_STREAM)
                self._limit(min(deadline, self._clock.monotonic_ns() + round(CONNECT_SECONDS * _NS)))
                self._socket.connect(place.address)
                break
            except OSError as error:
                self.close()
                failure = Failure(_reason(error), refused=isinstance(error, ConnectionRefusedError))
        if self._socket is None:
            raise failure
        if self._tls:
            self._secure(deadline)

    def _places(self, deadline: int) -> Sequence[Place]:
        """Where to connect. A name, which only a configured target has, is looked up for no longer than there is time."""
        place = numeric(self.host, self.port)
        if place is not None:
            return [place]
        self._lookup = self._lookup or Lookup(self.host, self.port)
        found = self._lookup.wait((deadline - self._clock.monotonic_ns()) / _NS)
        if found is None:
            raise Failure(f"the name {self.host} was not looked up within {self._total_seconds:g} s")
        self._lookup = None
        if not found:
            raise Failure(f"the name {self.host} is not known")
        return found

    def _secure(self, deadline: int) -> None:
        self._limit(deadline)
        try:
            self._socket = _tls_context().wrap_socket(self._socket, server_hostname=self.host, do_handshake_on_connect=False)
            self._limit(deadline)
            self._socket.do_handshake()
        except TimeoutError:
            raise self._late() from None
        except (OSError, ValueError) as error:
            mistrust = getattr(error, "verify_message", "")
            reason = _reason(error) if isinstance(error, OSError) else str(error)
            raise Failure(
                f"its certificate is not trusted: {mistrust}" if mistrust else f"no secure connection: {reason}"
            ) from None

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

    @property
    def _left(self) -> int:
        """How many bytes have come that are still to be read."""
        return len(self._rest) - self._at

    def _line(self, deadline: int, limit: int) -> bytes:
        """One line of what is left to be read, without its end."""
        while (end := self._rest.find(b"\n", self._at, self._at + limit + 1)) < 0:
            if self._left > limit:
                raise Failure("its answer is not HTTP: a line without end")
            piece = self._more(deadline)
            if not piece:
                raise Failure("it closed the connection in the middle" if self._left else "it closed the connection")
            self._rest, self._at = self._rest[self._at :] + piece, 0
        line, self._at = self._rest[self._at : end], end + 1
        return line.rstrip(b"\r")

    def _head(self, deadline: int) -> tuple[int, dict[str, str]]:
        if not self._left:
            self._rest, self._at = self._more(deadline), 0
            if not self._rest:
                raise Failure("it closed the connection without an answer", unused=True)
        words = self._line(deadline, MAX_HEAD).split(None, 2)
        if len(words) < 2 or words[0] not in (b"HTTP/1.0", b"HTTP/1.1") or not (words[1].isdigit() and len(words[1]) == 3):
            raise Failure("its answer is not HTTP")
        headers: dict[str, str] = {"": words[0].decode()}
        size = 0
        while line := self._line(deadline, MAX_HEAD):
            size += len(line) + 2
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
        body = bytearray()
        self._append(body, int(length), deadline)
        return bytes(body)

    def _append(self, body: bytearray, length: int, deadline: int) -> None:
        """Read exactly so many bytes more."""
        whole = len(body) + length
        if whole > MAX_BODY:
            raise _too_large()
        if whole > LARGE:
            self._hold_large(deadline)
        body += self._rest[self._at : self._at + length]
        self._at += min(length, self._left)
        while len(body) < whole:
            self._rest, self._at = self._more(deadline), 0
            if not self._rest:
                raise Failure("it closed the connection in the middle")
            self._at = min(whole - len(body), len(self._rest))
            body += self._rest[: self._at]

    def _hold_large(self, deadline: int) -> None:
        """Wait until nobody else holds a large body."""
        if not self._holds_large:
            left = (deadline - self._clock.monotonic_ns()) / _NS
            if left <= 0 or not _LARGE_ONE.acquire(timeout=left):
                raise self._late()
            self._holds_large = True

    def _until_closed(self, deadline: int) -> bytes:
        body = bytearray(self._rest[self._at :])
        self._rest, self._at = b"", 0
        while piece := self._more(deadline):
            body += piece
            if len(body) > MAX_BODY:
                raise _too_large()
            if len(body) > LARGE:
                self._hold_large(deadline)
        if body and not body.endswith((b"\n", b"}", b"]")):
            raise Failure("it closed the connection in the middle")
        return bytes(body)

    def _chunks(self, deadline: int) -> bytes:
        body = bytearray()
        for _ in range(MAX_CHUNKS):
            size = self._line(deadline, 1024).partition(b";")[0].strip()
            if not 0 < len(size) <= 8 or size.strip(b"0123456789abcdefABCDEF"):
                raise _no_sense()
            length = int(size, 16)
            if not length:
                break
            self._append(body, length, deadline)
            if self._line(deadline, 1024):
                raise _no_sense()
        else:
            raise _no_sense()
        for _ in range(100):
            if not self._line(deadline, MAX_HEAD):
                return bytes(body)
        raise Failure("its answer has headers without end")


def _has(headers: dict[str, str], name: str, word: str) -> bool:
    return word in [part.strip() for part in headers.get(name, "").lower().split(",")]


def _may_go_on(headers: dict[str, str]) -> bool:
    """Whether the connection may be used again: HTTP/1.1, and the end of the body did not depend on its end."""
    known = "content-length" in headers or _has(headers, "transfer-encoding", "chunked")
    return known and (headers[""] == "HTTP/1.1" or _has(headers, "connection", "keep-alive"))


def _too_large() -> Failure:
    return Failure(f"its answer is larger than {MAX_BODY // 1024**2} MiB", too_large=True)


def _no_sense() -> Failure:
    return Failure("its answer comes in chunks that make no sense")


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "it closed the connection"
    return (error.strerror or type(error).__name__).lower()


@cache
def _tls_context() -> Any:
    """Of a client that verifies certificates."""
    import ssl

    return ssl.create_default_context()
