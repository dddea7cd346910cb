"""Names of servers to addresses. The system's own look-up knows no deadline and may hang for half a minute: it gets a thread of its own,
and who needs the answer waits for as long as it has time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import Any

from gpuwatch.dataclass import NamedTuple

_MOST = 4


class Place(NamedTuple):
    """Where to connect: the family of a socket, and what its ``connect`` takes."""

    family: int
    address: Any


def numeric(host: str, port: int) -> Place | None:
    """The place of an address in digits; ``None`` for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, UnicodeError):
            continue
        return Place(family, (host, port))
    return None


class Lookup:
    """One name being looked up. Its thread is a daemon, and there is never a second one for the same connection."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._found: list[Place] = []
        self._done = threading.Event()
        threading.Thread(target=self._run, name="look-up-name", daemon=True).start()

    def _run(self) -> None:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self._found = [Place(family, address) for family, _, _, _, address in found[:_MOST]]
        except (OSError, UnicodeError):
            pass  # a name without an address
        finally:
            self._done.set()

    def wait(self, seconds: float) -> Sequence[Place] | None:
        """The places behind the name, none if it is not known; ``None`` while that is not known yet."""
        return self._found if self._done.wait(max(0.0, seconds)) else None
