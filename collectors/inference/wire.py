"""A socket to one server, of which every call ends by one deadline: connecting, the handshake, what is sent and each piece that comes."""

from __future__ import annotations

import socket
from functools import cache
from typing import TYPE_CHECKING, Any

from gpuwatch.collectors.inference.lookup import Lookup, Place, numeric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch.clock import Clock

CONNECT_SECONDS = 0.3
_PIECE = 65_536
_NS = 1_000_000_000


class Failure(Exception):
    """What went wrong, in one line. ``refused``: nobody listens. ``unused``: not a byte came back, so that asking again does no harm."""

    def __init__(self, line: str, *, refused: bool = False, too_large: bool = False, unused: bool = False) -> None:
        super().__init__(line)
        self.refused, self.too_large, self.unused = refused, too_large, unused


class Wire:
    """See the module's docstring. All methods raise :class:`Failure`, and nothing else, for what a server or a network does."""

    def __init__(self, host: str, port: int, clock: Clock, *, tls: bool, total_seconds: float) -> None:
        self.host, self.port, self.tls = host, port, tls
        self._clock, self._total_seconds = clock, total_seconds
        self._deadline = 0
        self._socket: Any = None
        self._lookup: Lookup | None = None
        """Of the host's name, while it is not answered."""
        self._came, self._at = b"", 0
        """What has come, and from where on it is still to be read."""

    def begin(self) -> int:
        """From now on there are ``total_seconds``. Returns the instant."""
        now = self._clock.monotonic_ns()
        self._deadline = now + round(self._total_seconds * _NS)
        return now

    @property
    def seconds_left(self) -> float:
        """Until the deadline; raises when it is over."""
        left = (self._deadline - self._clock.monotonic_ns()) / _NS
        if left <= 0:
            raise self.late()
        return left

    def late(self) -> Failure:
        """The deadline is over."""
        return Failure(f"no whole answer within {self._total_seconds:g} s")

    # ------------------------------------------------------------------------------------------------------- open and close

    @property
    def is_open(self) -> bool:
        """Whether there is a connection; the server may have closed it meanwhile."""
        return self._socket is not None

    def close(self) -> None:
        """Hang up."""
        peer, self._socket, self._came, self._at = self._socket, None, b"", 0
        if peer is not None:
            peer.close()

    def connect(self) -> None:
        """Connect to the first of the host's addresses that answers; each has a time of its own."""
        failure = Failure("no address")
        for place in self._places():
            try:
                self._socket = socket.socket(place.family, socket.SOCK_STREAM)
                self._socket.settimeout(min(CONNECT_SECONDS, self.seconds_left))
                self._socket.connect(place.address)
                break
            except OSError as error:
                self.close()
                failure = Failure(_reason(error), refused=isinstance(error, ConnectionRefusedError))
        if self._socket is None:
            raise failure
        if self.tls:
            self._secure()

    def _places(self) -> Sequence[Place]:
        """Where to connect. A name, which only a configured target has, is looked up for no longer than there is time."""
        place = numeric(self.host, self.port)
        if place is not None:
            return [place]
        self._lookup = self._lookup or Lookup(self.host, self.port)
        found = self._lookup.wait(self.seconds_left)
        if found is None:
            raise Failure(f"the name {self.host} was not looked up within {self._total_seconds:g} s")
        self._lookup = None
        if not found:
            raise Failure(f"the name {self.host} is not known")
        return found

    def _secure(self) -> None:
        try:
            self._socket.settimeout(self.seconds_left)
            self._socket = _tls_context().wrap_socket(self._socket, server_hostname=self.host, do_handshake_on_connect=False)
            self._socket.settimeout(self.seconds_left)
            self._socket.do_handshake()
        except TimeoutError:
            raise self.late() from None
        except (OSError, ValueError) as error:
            mistrust = getattr(error, "verify_message", "")
            reason = _reason(error) if isinstance(error, OSError) else str(error)
            raise Failure(
                f"its certificate is not trusted: {mistrust}" if mistrust else f"no secure connection: {reason}"
            ) from None

    # ------------------------------------------------------------------------------------------------------ send and receive

    def send(self, data: bytes) -> None:
        """All of it."""
        self._socket.settimeout(self.seconds_left)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise self.late() from None
        except OSError as error:
            raise Failure(_reason(error), unused=True) from None

    @property
    def unread(self) -> int:
        """How many bytes have come and are still to be read."""
        return len(self._came) - self._at

    def read(self, most: int = _PIECE) -> bytes:
        """What is there, up to so many bytes; if nothing is, what comes next. Empty at the end."""
        if not self.unread:
            self._came, self._at = self._more(), 0
        piece = self._came[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def line(self, limit: int) -> bytes:
        """The next line without its end, which is no longer than ``limit``."""
        while (end := self._came.find(b"\n", self._at, self._at + limit + 1)) < 0:
            if self.unread > limit:
                raise Failure("its answer is not HTTP: a line without end")
            piece = self._more()
            if not piece:
                raise Failure("it closed the connection in the middle" if self.unread else "it closed the connection")
            self._came, self._at = self._came[self._at :] + piece, 0
        line, self._at = self._came[self._at : end], end + 1
        return line.rstrip(b"\r")

    def wait(self) -> None:
        """Until the first bytes of an answer are there."""
        if not self.unread:
            self._came, self._at = self._more(), 0
            if not self._came:
                raise Failure("it closed the connection without an answer", unused=True)

    def _more(self) -> bytes:
        """The next bytes from the network; empty at the end."""
        self._socket.settimeout(self.seconds_left)
        try:
            return bytes(self._socket.recv(_PIECE))
        except TimeoutError:
            raise self.late() from None
        except OSError as error:
            raise Failure(_reason(error), unused=isinstance(error, ConnectionResetError) and not self._came) from None


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
