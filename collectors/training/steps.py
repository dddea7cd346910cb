"""In which buckets the times of single training steps are counted: bounds that never change, each a tenth above the one before.

So a percentile that is interpolated inside its bucket is off by a tenth at most, and a training whose steps take equally long fills two or
three buckets a minute.
"""

from __future__ import annotations

from bisect import bisect_left

from gpuwatch.model import OPEN_US


def _bounds() -> tuple[int, ...]:
    bounds = [100]
    while bounds[-1] < 4 * 3600 * 10**6:
        bounds.append(bounds[-1] * 11 // 10)
    return tuple(bounds)


BOUNDS_US = _bounds()
"""Upper bounds in microseconds, from 100 us to four hours."""


def bucket_us(microseconds: int) -> tuple[int, int]:
    """(lower, upper) bound of the bucket that a time lies in: lower < time <= upper; above all bounds the upper one is ``OPEN_US``."""
    place = bisect_left(BOUNDS_US, microseconds)
    lower = BOUNDS_US[place - 1] if place else 0
    return lower, BOUNDS_US[place] if place < len(BOUNDS_US) else OPEN_US
