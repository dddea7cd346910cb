"""One GET over a plain socket with a deadline that nothing moves: not a slow drip, endless headers, nor a peer that sends without end.

``http.client`` is not used: with ``email`` it adds 6 MiB to a recorder of 30, follows no deadline (its timeouts are per read) and reads
headers and chunk sizes loosely. ``ssl`` (5 MiB) is imported only for a configured https target. No proxy variable is looked at, no
cookie kept, no compressed body read, no redirect followed but the one from PATH to PATH/ at the same place, which is asked by ourselves.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gpuwatch import __version__
from gpuwatch.collectors.inference.reading import Answer
from gpuwatch.collectors.inference.wire import Failure, Wire
from gpuwatch.text import clean, clean_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch.clock import Clock

TOTAL_SECONDS = 2.0
MAX_BODY, MAX_HEAD, MAX_CHUNKS = 4 * 1024 * 1024, 16 * 1024, 10_000
LARGE = 512 * 1024
_LARGE_ONE = threading.Lock()
"""Held by who holds a body larger than ``LARGE``: eight of 4 MiB at once would be more memory than the whole recorder has."""


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
        self._clock, self._key, self._keep, self.allowed = clock, key, keep, allowed
        self._wire = Wire(host, port, clock, tls=tls, total_seconds=total_seconds)
        self._held, self._holds_large = 0, False
        """Bytes of the answers since ``let_go``, and whether they may be many."""
        self._slashed: set[str] = set()
        """Paths that this server has with a slash at the end only."""

    def get(self, path: str) -> Answer:
        """Ask for ``path``. Never raises for what a server or a network does."""
        began = self._wire.begin()
        try:
            status, body, moved = self._ask(path + "/" * (path in self._slashed))
            if moved:
                self._slashed.add(path)
                status, body, _ = self._ask(path + "/")
        except Failure as failure:
            self.close()
            self.let_go()
            error = clean(str(failure))
            return Answer(
                path, 0, b"", began, self._clock.monotonic_ns(), error, too_large=failure.too_large, refused=failure.refused
            )
        self._held += len(body)
        error = "" if status == 200 else f"it answers {status} to GET {path.partition('?')[0]}"
        return Answer(path, status, body if status == 200 else b"", began, self._clock.monotonic_ns(), error)

    def close(self) -> None:
        """Hang up."""
        self._wire.close()

    def let_go(self) -> None:
        """Its answers have been read and are no longer held: the next large one may come."""
        self._held = 0
        if self._holds_large:
            self._holds_large = False
            _LARGE_ONE.release()

    # ---------------------------------------------------------------------------------------------------------- one request

    def _ask(self, path: str) -> tuple[int, bytes, bool]:
        """Status, body, and whether it is at PATH/. A kept connection that the server has closed meanwhile is made anew once."""
        kept = self._wire.is_open
        try:
            return self._exchange(path)
        except Failure as failure:
            if not (kept and failure.unused):
                raise
        self.close()
        return self._exchange(path)

    def _exchange(self, path: str) -> tuple[int, bytes, bool]:
        wire = self._wire
        if wire.unread:  # more came than was asked for: what comes next cannot be told from it
            wire.close()
        if not wire.is_open:
            if not self.allowed():
                raise Failure("its port is no longer its own")
            wire.connect()
        wire.send(self._request(path))
        status, headers = self._head()
        for _ in range(3):
            if status != 100 and status != 103:
                break
            status, headers = self._head()
        body = b"" if status in (204, 304) else self._body(headers)
        if not self._keep or _has(headers, "connection", "close") or not _may_go_on(headers):
            wire.close()
        if status == 200 and headers.get("content-encoding", "identity").lower() != "identity":
            raise Failure("its answer is compressed, although it was asked not to")
        return status, body, status in (301, 302, 307, 308) and self._is_slash(headers.get("location", ""), path)

    def _request(self, path: str) -> bytes:
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {self._place}",
            f"User-Agent: gpuwatch/{__version__}",
            "Accept: text/plain;version=0.0.4, application/json;q=0.9",
            "Accept-Encoding: identity",
            f"Connection: {'keep-alive' if self._keep else 'close'}",
        ]
        if self._key:
            lines.append(f"Authorization: Bearer {self._key}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    @property
    def _place(self) -> str:
        host, port = self._wire.host, self._wire.port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _is_slash(self, location: str, path: str) -> bool:
        """Whether a redirect only adds a slash at this very place."""
        here = {path + "/", f"{'https' if self._wire.tls else 'http'}://{self._place}{path}/"}
        return not path.endswith("/") and location in here

    # -------------------------------------------------------------------------------------------------------------- reading

    def _head(self) -> tuple[int, dict[str, str]]:
        self._wire.wait()
        words = self._wire.line(MAX_HEAD).split(None, 2)
        if len(words) < 2 or words[0] not in (b"HTTP/1.0", b"HTTP/1.1") or not (words[1].isdigit() and len(words[1]) == 3):
            raise Failure("its answer is not HTTP")
        headers: dict[str, str] = {"": words[0].decode()}
        size = 0
        while line := self._wire.line(MAX_HEAD):
            size += len(line) + 2
            if size > MAX_HEAD:
                raise Failure("its answer has headers without end")
            name, _, value = line.partition(b":")
            headers[clean_bytes(name).strip().lower()] = clean_bytes(value).strip()
        return int(words[1]), headers

    def _body(self, headers: dict[str, str]) -> bytes:
        if _has(headers, "transfer-encoding", "chunked"):
            return self._chunks()
        length = headers.get("content-length")
        if length is None:
            return self._until_closed()
        if not length.isdecimal() or len(length) > 12:
            raise Failure("its answer has no proper length")
        body = bytearray()
        self._append(body, int(length))
        return bytes(body)

    def _append(self, body: bytearray, length: int) -> None:
        """Read exactly so many bytes more."""
        whole = len(body) + length
        self._allow(whole)
        while len(body) < whole:
            piece = self._wire.read(whole - len(body))
            if not piece:
                raise Failure("it closed the connection in the middle")
            body += piece

    def _allow(self, size: int) -> None:
        """Whether a body may be so large beside those that are held; if they are large together, wait until nobody else holds such."""
        size += self._held
        if size > MAX_BODY:
            raise Failure(f"its answer is larger than {MAX_BODY // 1024**2} MiB", too_large=True)
        if size > LARGE and not self._holds_large:
            if not _LARGE_ONE.acquire(timeout=self._wire.seconds_left):
                raise self._wire.late()
            self._holds_large = True

    def _until_closed(self) -> bytes:
        body = bytearray()
        while piece := self._wire.read():
            body += piece
            self._allow(len(body))
        if body and not body.endswith((b"\n", b"}", b"]")):
            raise Failure("it closed the connection in the middle")
        return bytes(body)

    def _chunks(self) -> bytes:
        body = bytearray()
        for _ in range(MAX_CHUNKS):
            size = self._wire.line(1024).partition(b";")[0].strip()
            if not 0 < len(size) <= 8 or size.strip(b"0123456789abcdefABCDEF"):
                raise _no_sense()
            length = int(size, 16)
            if not length:
                break
            self._append(body, length)
            if self._wire.line(1024):
                raise _no_sense()
        else:
            raise _no_sense()
        for _ in range(100):
            if not self._wire.line(MAX_HEAD):
                return bytes(body)
        raise Failure("its answer has headers without end")


def _has(headers: dict[str, str], name: str, word: str) -> bool:
    return word in [part.strip() for part in headers.get(name, "").lower().split(",")]


def _may_go_on(headers: dict[str, str]) -> bool:
    """Whether the connection may be used again: HTTP/1.1, and the end of the body did not depend on its end."""
    known = "content-length" in headers or _has(headers, "transfer-encoding", "chunked")
    return known and (headers[""] == "HTTP/1.1" or _has(headers, "connection", "keep-alive"))


def _no_sense() -> Failure:
    return Failure("its answer comes in chunks that make no sense")
