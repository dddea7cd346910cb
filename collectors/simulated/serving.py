"""A server of a compiled scenario: what it has counted up to any moment, and what it does then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpuwatch.collectors.simulated.compiled import Person, Scenario
from gpuwatch.collectors.simulated.counting import Counted, Counts, load_of, running
from gpuwatch.collectors.simulated.patterns import means, render, stream
from gpuwatch.collectors.simulated.plans import NO_LOOP_MS, ServerPlan
from gpuwatch.collectors.simulated.rates import AMOUNTS, MOST_LEVEL, At, Rates, edges_us
from gpuwatch.names import WAITS, Latency

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
        self._counted = Counted(self.loop_ms, self.step_ms, self._columns())

    def _loads(self, scenario: Scenario) -> list[float]:
        """Mean load of each step in percent: its own, or that of the GPUs of its workload together."""
        if self.plan.load:
            noise = stream(scenario.seed, scenario.plan.name, self.person.slot, "server")
            own = render(self.plan.load, self._length, self.step_ms, noise, top=100)
            return means(own, self._grid, self._length)
        workload = self.person.plan.workload
        places = {place for person in scenario.people.values() if person.plan.workload == workload and not person.past for place in person.plan.gpus}  # fmt: skip
        found = [points for place in sorted(places) if (points := load_of(scenario, place)) is not None]
        rows = [means(points, self._grid, self._length) for points in found]
        return [sum(row) / len(rows) for row in zip(*rows, strict=True)]

    def _columns(self) -> list[list[int]]:
        """The counts at each step's edge, one column a quantity; buckets that stay empty are left out."""
        columns = zip(*[self._rates.at(level).counted for level in self._levels], strict=True)
        spans = [min(self.step_ms, self._length - start) / 1000 for start in self._grid]
        nothing = [0.0] * len(spans)
        floats = ([rate * span for rate, span in zip(column, spans)] if any(column) else nothing for column in columns)
        out = [running(next(floats)) for _ in AMOUNTS]
        requests = sum(out[AMOUNTS.index(name)][-1] for name in ENDS)
        for latency in WAITS:
            happened = max(out[AMOUNTS.index("output")][-1] - requests, 0) if latency is Latency.ITL else requests
            out.append(running(next(floats)))
            place = len(out) - 1
            edges = edges_us(latency)
            filled = [(column, edge) for edge in edges if any(column := next(floats))]
            totals = _shared_out([sum(column) for column, _ in filled], happened)
            self.latencies[latency] = LatencyColumns(place, tuple((len(out) + i, *edge) for i, (_, edge) in enumerate(filled)))
            out += [running(column, total) for (column, _), total in zip(filled, totals, strict=True)]
        return out

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
        return self._counted.at(t_ms)


def _shared_out(amounts: Sequence[float], total: int) -> list[int]:
    """Whole numbers near ``amounts`` that sum to ``total``; the largest takes what rounding leaves."""
    out = [round(amount) for amount in amounts]
    if out:
        out[out.index(max(out))] += total - sum(out)
    return out
