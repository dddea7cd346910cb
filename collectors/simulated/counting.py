"""What something of a scenario has counted up to any moment, in integers that add up over every span.

Counts of a loop are whole numbers, so that equal spans of different loops show the same. Within a step they grow evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from gpuwatch.collectors.simulated.compiled import Scenario
from gpuwatch.collectors.simulated.patterns import Points
from gpuwatch.collectors.simulated.plans import NO_LOOP_MS

Counts = Sequence[int]


class Counted:
    """Running sums of some columns at the edges of a scenario's steps, and between them."""

    def __init__(self, loop_ms: int, step_ms: int, columns: Sequence[Sequence[int]]) -> None:
        self._loop_ms, self._step_ms = loop_ms, step_ms
        self._length = loop_ms or NO_LOOP_MS
        self._edges: list[Counts] = list(zip(*columns, strict=True))
        self._last: tuple[int, Counts] = 0, self._edges[0]

    def at(self, t_ms: int) -> Counts:
        """All that was counted since scenario time 0 (less than nothing before it), in the order of the columns."""
        if t_ms == self._last[0]:  # where the look before ended, this one begins
            return self._last[1]
        loops, inside = divmod(t_ms, self._length) if self._loop_ms else (0, t_ms)
        step = min(max(inside // self._step_ms, 0), len(self._edges) - 2)
        start = step * self._step_ms
        counts, after = self._edges[step], self._edges[step + 1]
        if part := inside - start:
            span = min(self._step_ms, self._length - start)
            counts = [a + (b - a) * part // span for a, b in zip(counts, after)]
        if loops:
            counts = [count + loops * whole for count, whole in zip(counts, self._edges[-1])]
        self._last = t_ms, counts
        return counts


def running(amounts: Sequence[float], total: int | None = None) -> list[int]:
    """The running sum at every edge in whole numbers, stretched so that it ends at ``total`` (without: at the nearest one).

    Amounts that sum to nothing stay nothing, at ``len(amounts) + 1`` edges.
    """
    end = sum(amounts)
    total = round(end) if total is None else total
    if not total:
        return [0] * (len(amounts) + 1)
    stretch = total / end
    return [0, *[min(int(amount * stretch), total) for amount in accumulate(amounts[:-1])], total]


def load_of(scenario: Scenario, place: str) -> Points | None:
    """The load of a place in percent: its utilization, or the activity that an instance has instead."""
    table = scenario.table.gpu
    if (series := table.get((place, "util"))) is not None:
        return list(series.times), list(series.values)
    if (series := table.get((place, "gpm.1"))) is not None:
        return list(series.times), [value // 10 for value in series.values]
    return None
