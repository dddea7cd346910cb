"""The grid of a host: wall seconds that are multiples of a period, whatever the clock does while one waits for the next."""

from __future__ import annotations

import math
import threading

from gpuwatch.clock import Clock


def last_slot(clock: Clock, interval: float) -> float:
    """The latest slot that has come."""
    return math.floor(clock.time() / interval) * interval


def wait_for_slot(clock: Clock, interval: float, event: threading.Event) -> float | None:
    """Wait for the next slot and return it; ``None`` if ``event`` was set meanwhile.

    Slots that were overslept are skipped, and a clock that was set back is not waited for.
    """
    slot = last_slot(clock, interval) + interval
    while (left := slot - clock.time()) > 0:
        if left > interval:
            slot = last_slot(clock, interval) + interval
        elif clock.wait(event, left):
            return None
    return max(slot, last_slot(clock, interval))
