"""Times of single steps: from the ring of a hook file to counts in the buckets of ``steps``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gpuwatch.collectors.training import layout
from gpuwatch.collectors.training.steps import bucket_us
from gpuwatch.model import LatencyCounts
from gpuwatch.names import Latency

LATENCIES = (Latency.STEP, Latency.STEP_DATA, Latency.STEP_FORWARD, Latency.STEP_BACKWARD, Latency.STEP_OPTIMIZER)
_MOST_NS = 10**15
Times = tuple[int, int, int, int, int]
"""Nanoseconds of one step: all of it, data, forward, backward, optimizer."""


def spans(after: int, last: int) -> list[tuple[int, int]]:
    """Where in the file the steps after ``after`` up to ``last`` lie: (offset, bytes) of one or two pieces, of the latest that fit."""
    first = _first(after, last)
    count = last - first + 1
    if count <= 0:
        return []
    size, place = layout.STEP.size, first % layout.RING_STEPS
    whole = min(count, layout.RING_STEPS - place)
    pieces = [(layout.RING_AT + place * size, whole * size)]
    return pieces if whole == count else [*pieces, (layout.RING_AT, (count - whole) * size)]


def records(raw: bytes, after: int, last: int) -> list[Times]:
    """The steps in ``raw``, the bytes of ``spans``. One that was overwritten, or is being written, has another number: it is not counted."""
    found = []
    for expected, (number, _, *times, _) in enumerate(layout.STEP.iter_unpack(raw), _first(after, last)):
        if number == expected and all(0 <= time <= _MOST_NS for time in times):
            found.append((times[0], times[1], times[2], times[3], times[4]))
    return found


def _first(after: int, last: int) -> int:
    return max(after + 1, last - layout.RING_STEPS + 1, 1)


def counted(root: tuple[int, int], steps: Sequence[Times]) -> list[LatencyCounts]:
    """The steps as counts of the workload whose root is ``root``."""
    found = []
    for latency, times in zip(LATENCIES, zip(*steps)):
        counts = Counter([bucket_us(-(-time // 1000)) for time in times])
        found.append(LatencyCounts(*root, 0, latency, tuple((*bucket, count) for bucket, count in sorted(counts.items()))))
    return found
