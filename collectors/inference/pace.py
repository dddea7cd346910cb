"""How often a server is asked: often while it works, less when it is idle, and never so often that asking costs 1 % of a core."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

IDLE_SECONDS, IDLE_AFTER_SECONDS = 5.0, 60.0
COST_RATIO = 0.01
LONGEST_SECONDS, SELDOM_SECONDS = 60.0, 600.0
"""Between two looks at a server that fails, or that has no page for us and may get one without being started anew."""
PATIENCE = 3
"""Failures in a row before a server that answered is called unreachable, and asked less often."""
_NS = 1e9


def chance() -> float:
    """A number from 0 to 1 that nobody foresees. (``random`` would be a megabyte for this.)"""
    return int.from_bytes(os.urandom(2)) / 65_536


class Cost:
    """What a look costs, on either side: the time of the answers is the upper bound of the server's part, and of several looks the
    shortest says most, since what is above it was waiting."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=8)

    def add(self, seconds: float) -> None:
        """One look took so long."""
        self._recent.append(seconds)

    @property
    def seconds(self) -> float:
        """An upper bound of what one look costs."""
        return min(self._recent, default=0.0)


def interval(own_seconds: float, *, idle: bool, cost_seconds: float) -> float:
    """Seconds between two looks, a multiple of the collector's ``own_seconds``."""
    wanted = max(own_seconds, IDLE_SECONDS if idle else 0.0, min(cost_seconds / COST_RATIO, LONGEST_SECONDS))
    return own_seconds * -(-round(wanted * 1000) // round(own_seconds * 1000))


def back_off(failures: int, own_seconds: float, draw: Callable[[], float]) -> float:
    """Seconds until the next look after so many failures in a row: twice as long each time, up to a minute, and never in step."""
    if failures < PATIENCE:
        return own_seconds
    return float(min(LONGEST_SECONDS, own_seconds * 2 ** min(10, failures - PATIENCE + 1))) * (0.75 + 0.5 * draw())
