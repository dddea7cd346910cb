"""The only user of time. Everything else is given a Clock (or a ``now``), so that tests never sleep."""

from __future__ import annotations

import threading
import time
from time import monotonic_ns
from typing import Protocol


class Clock(Protocol):
    """Wall time for people, boot time for durations."""

    def time(self) -> float:
        """Unix seconds."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back, not counting suspend."""
        ...

    def boottime_ns(self) -> int:
        """Nanoseconds that never go back, counting suspend."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait up to ``seconds`` for ``event``; True if it is set."""
        ...


class SystemClock:
    """The real clock."""

    def time(self) -> float:
        return time.time()

    monotonic_ns = staticmethod(monotonic_ns)  # asked twice for each call of a driver

    def boottime_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)


class FakeClock:
    """A clock that stands still until told: ``advance`` moves wall, monotonic and boot time together."""

    def __init__(self, start: float = 1_763_130_727.0) -> None:
        self.wall = start
        self.mono_ns = self.boot_ns = 1_000_000_000_000

    def time(self) -> float:
        return self.wall

    def monotonic_ns(self) -> int:
        return self.mono_ns

    def boottime_ns(self) -> int:
        return self.boot_ns

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.advance(max(0.0, seconds))
        return event.is_set()

    def advance(self, seconds: float, *, suspended: float = 0.0, step: float = 0.0) -> None:
        """Let ``seconds`` pass; ``suspended`` more on wall and boot time only; ``step`` moves the wall clock alone."""
        self.wall += seconds + suspended + step
        self.mono_ns += round(seconds * 1e9)
        self.boot_ns += round((seconds + suspended) * 1e9)
