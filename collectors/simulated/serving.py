"""A server of a compiled scenario: what it has counted up to any moment, in integers that add up over every span.

Counts of a loop are whole numbers, so that equal spans of different loops show the same. Within a step they grow evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from gpuwatch.collectors.simulated.compiled import Person, Scenario
from gpuwatch.collectors.simulated.patterns import Points, means, render, stream
from gpuwatch.collectors.simulated.plans import NO_LOOP_MS, ServerPlan
from gpuwatch.collectors.simulated.rates import AMOUNTS, MOST_LEVEL, At, Rates, edges_us
from gpuwatch.names import WAITS, Latency

Counts = Sequence[int]
ENDS = ("stop", "length", "aborted", "error")
"""How a request can end."""
_GOLDEN = 0.6180339887498949


class LatencyColumns(NamedTuple):
    """Where one latency stands in the counts: its sum, and (column, lower, upper) of each bucket that anything ever falls into."""

    sum_us: int
    buckets: tuple[tuple[int, int, int], ...]


class Serving:
    """One server. ``person`` is the process that it belongs to."""

    def __init__(self, scenario: Scenario, person: Person, plan: ServerPlan) -> None:
        self.person, self.plan = person, plan
        self.loop_ms, self.step_ms = scenario.plan.loop_ms, scenario.plan.step_ms
        self._length = self.loop_ms or NO_LOOP_MS
        self._grid = range(0, self._length, self.step_ms)
        self._rates = Rates(plan)
        self._levels = [round(load * MOST_LEVEL / 100) for load in self._loads(scenario)]
        self.latencies: dict[Latency, LatencyColumns] = {}
        self._edges: list[Counts] = list(zip(*self._columns(), strict=True))
        self._last: tuple[int, Counts] = 0, self._edges[0]

    def _loads(self, scenario: Scenario) -> list[float]:
        """Mean load of each step in percent: its own, or that of the GPUs of its workload together."""
        if self.plan.load:
            noise = stream(scenario.seed, scenario.plan.name, self.person.slot, "server")
            own = render(self.plan.load, self._length, self.step_ms, noise, top=100)
            return means(own, self._grid, self._length)
        workload = self.person.plan.workload
        places = {place for person in scenario.people.values() if person.plan.workload == workload and not person.past for place in person.plan.gpus}  # fmt: skip
        found = [points for place in sorted(places) if (points := _load(scenario, place)) is not None]
        rows = [means(points, self._grid, self._length) for points in found]
        return [sum(row) / len(rows) for row in zip(*rows, strict=True)]

    def _columns(self) -> list[list[int]]:
        """The counts at each step's edge, one column a quantity; buckets that stay empty are left out."""
        columns = zip(*[self._rates.at(level).counted for level in self._levels], strict=True)
        spans = [min(self.step_ms, self._length - start) / 1000 for start in self._grid]
        floats = ([rate * span for rate, span in zip(column, spans)] if any(column) else [0.0] for column in columns)
        out = [self._whole(next(floats)) for _ in AMOUNTS]
        requests = sum(out[AMOUNTS.index(name)][-1] for name in ENDS)
        for latency in WAITS:
            happened = max(out[AMOUNTS.index("output")][-1] - requests, 0) if latency is Latency.ITL else requests
            out.append(self._whole(next(floats)))
            place = len(out) - 1
            edges = edges_us(latency)
            filled = [(column, edge) for edge in edges if any(column := next(floats))]
            totals = _shared_out([sum(column) for column, _ in filled], happened)
            self.latencies[latency] = LatencyColumns(place, tuple((len(out) + i, *edge) for i, (_, edge) in enumerate(filled)))
            out += [self._whole(column, total) for (column, _), total in zip(filled, totals, strict=True)]
        return out

    def _whole(self, amounts: Sequence[float], total: int | None = None) -> list[int]:
        """The running sum at every edge in whole numbers, stretched so that it ends at ``total`` (without: at the nearest one)."""
        end = sum(amounts)
        total = round(end) if total is None else total
        if not total:
            return [0] * (len(self._grid) + 1)
        stretch = total / end
        return [0, *[min(int(amount * stretch), total) for amount in accumulate(amounts[:-1])], total]

    def now(self, t_ms: int) -> At:
        """What it does at a moment of scenario time."""
        inside = t_ms % self.loop_ms if self.loop_ms else min(max(t_ms, 0), self._length - 1)
        return self._rates.at(self._levels[inside // self.step_ms])

    def chance(self, t_ms: int) -> float:
        """A number in [0, 1) that is spread evenly over moments: whether the part of a request is there now."""
        inside = t_ms % self.loop_ms if self.loop_ms else t_ms
        return (inside / 1000 + len(self.person.slot) / 7) * _GOLDEN % 1.0

    def counts(self, t_ms: int) -> Counts:
        """All that it has counted since scenario time 0 (less than nothing before it), in the order of its columns."""
        if t_ms == self._last[0]:  # where the look before ended, this one begins
            return self._last[1]
        loops, inside = divmod(t_ms, self._length) if self.loop_ms else (0, t_ms)
        step = min(max(inside // self.step_ms, 0), len(self._edges) - 2)
        start = step * self.step_ms
        counts, after = self._edges[step], self._edges[step + 1]
        if part := inside - start:
            span = min(self.step_ms, self._length - start)
            counts = [a + (b - a) * part // span for a, b in zip(counts, after)]
        if loops:
            counts = [count + loops * whole for count, whole in zip(counts, self._edges[-1])]
        self._last = t_ms, counts
        return counts


def _load(scenario: Scenario, place: str) -> Points | None:
    """The load of a place in percent: its utilization, or the activity that an instance has instead."""
    table = scenario.table.gpu
    if (series := table.get((place, "util"))) is not None:
        return list(series.times), list(series.values)
    if (series := table.get((place, "gpm.1"))) is not None:
        return list(series.times), [value // 10 for value in series.values]
    return None


def _shared_out(amounts: Sequence[float], total: int) -> list[int]:
    """Whole numbers near ``amounts`` that sum to ``total``; the largest takes what rounding leaves."""
    out = [round(amount) for amount in amounts]
    if out:
        out[out.index(max(out))] += total - sum(out)
    return out
