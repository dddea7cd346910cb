"""A rank of a compiled scenario: the time that each of its phases has taken and the steps that it has made, up to any moment."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from gpuwatch.collectors.simulated.compiled import Person, Scenario
from gpuwatch.collectors.simulated.counting import Counted, load_of, running
from gpuwatch.collectors.simulated.patterns import means
from gpuwatch.collectors.simulated.plans import NO_LOOP_MS, TrainingPlan
from gpuwatch.names import Phase

TIMED = (Phase.DATA, Phase.FORWARD, Phase.BACKWARD, Phase.OPTIMIZER, Phase.CHECKPOINT, Phase.EVAL, Phase.COMPILE, Phase.OTHER)
"""The first columns of the counts, in milliseconds; then steps, those that took longer, and stretches without load."""
STEPS, SLOW, STRETCHES = range(len(TIMED), len(TIMED) + 3)
_WORKS_FROM = 5.0
"""Percent of load below which a GPU has nothing to do for the whole step of the scenario."""
_OTHER = 0.2
"""The share of other host time in what a working GPU has no work for."""
_SLOW = 0.06
"""The share of steps that take longer than the others."""
_GOLDEN = 0.6180339887498949


class Stepping:
    """One rank. ``person`` is the process that it is."""

    def __init__(self, scenario: Scenario, person: Person, plan: TrainingPlan) -> None:
        self.person, self.plan = person, plan
        self._loop_ms, self._step_ms = scenario.plan.loop_ms, scenario.plan.step_ms
        self._length = self._loop_ms or NO_LOOP_MS
        grid = range(0, self._length, self._step_ms)
        place = next(iter(person.plan.gpus), None)
        points = load_of(scenario, place) if place is not None and not person.past else None
        self._loads = means(points, grid, self._length) if points is not None else [plan.load] * len(grid)
        self._counted = Counted(self._loop_ms, self._step_ms, self._columns(grid))

    def _columns(self, grid: Sequence[int]) -> list[list[int]]:
        plan = self.plan
        amounts = {phase: [0.0] * len(grid) for phase in TIMED}
        steps, stretches = [], []
        for cell, (start, load) in enumerate(zip(grid, self._loads)):
            span = min(self._step_ms, self._length - start)
            busy = span * load / 100 if load >= _WORKS_FROM else 0.0
            for phase, share in zip((Phase.FORWARD, Phase.BACKWARD, Phase.OPTIMIZER), plan.split):
                amounts[phase][cell] += busy * share
            if busy:
                rest = span - busy
                amounts[plan.rest][cell] += rest * (1 - _OTHER)
                amounts[Phase.OTHER][cell] += rest * _OTHER
            else:
                amounts[plan.idle][cell] += span
            steps.append(busy / plan.step_ms)
            stretches.append(float(not busy and (cell == 0 or self._loads[cell - 1] >= _WORKS_FROM)))
        slow = running([amount * _SLOW for amount in steps])
        return [*(running(amounts[phase]) for phase in TIMED), running(steps), slow, running(stretches)]

    def begins_ms(self, start_ms: int) -> int:
        """Scenario time of its first step, of a process that started at ``start_ms``."""
        return start_ms + self.plan.starts_ms

    def stuck_ms(self) -> int | None:
        """Scenario time since which it makes no step."""
        return -self.plan.stuck.since_ms if self.plan.stuck is not None else None

    def between(self, start_ms: int, end_ms: int, born_ms: int) -> tuple[list[int], int]:
        """What it has counted in a span of the life that began at ``born_ms``, and the milliseconds of it before its first step."""
        begins, stuck = self.begins_ms(born_ms), self.stuck_ms()
        first, last = max(start_ms, begins), max(end_ms, begins)
        counts = [after - before for before, after in zip(self._until(first, stuck), self._until(last, stuck))]
        if stuck is not None and last > stuck and self.plan.stuck is not None:
            counts[TIMED.index(self.plan.stuck.phase)] += last - max(first, stuck)
        return counts, max(min(end_ms, begins) - start_ms, 0)

    def _until(self, t_ms: int, stuck: int | None) -> Sequence[int]:
        return self._counted.at(t_ms if stuck is None else min(t_ms, stuck))

    def now(self, t_ms: int, born_ms: int) -> tuple[Phase, int]:
        """What it does at a moment of that life, and for how many milliseconds already."""
        begins, stuck = self.begins_ms(born_ms), self.stuck_ms()
        if t_ms < begins:
            return Phase.STARTING, t_ms - born_ms
        if stuck is not None and t_ms > stuck and self.plan.stuck is not None:
            return self.plan.stuck.phase, t_ms - stuck
        inside = t_ms % self._loop_ms if self._loop_ms else min(max(t_ms, 0), self._length - 1)
        cell = inside // self._step_ms
        if self._loads[cell] < _WORKS_FROM:
            first = cell
            while first > 0 and self._loads[first - 1] < _WORKS_FROM:
                first -= 1
            return self.plan.idle, min(inside - first * self._step_ms, t_ms - begins)
        return self._in_step(inside, self._loads[cell] / 100)

    def step_seconds(self, t_ms: int) -> dict[Phase, float]:
        """How long each part of one step takes around a moment; where there is no load then, as long as in the mean of all others."""
        inside = t_ms % self._loop_ms if self._loop_ms else min(max(t_ms, 0), self._length - 1)
        load = self._loads[inside // self._step_ms]
        if load < _WORKS_FROM:
            working = [each for each in self._loads if each >= _WORKS_FROM] or [100.0]
            load = sum(working) / len(working)
        whole, rest = self.plan.step_ms / 10 / load, self.plan.step_ms / 1000 * (100 / load - 1)
        out = dict(zip((Phase.FORWARD, Phase.BACKWARD, Phase.OPTIMIZER), (whole * load / 100 * share for share in self.plan.split)))
        out[Phase.OTHER] = rest * _OTHER
        out[self.plan.rest] = out.get(self.plan.rest, 0.0) + rest * (1 - _OTHER)
        return out

    def _in_step(self, inside: int, load: float) -> tuple[Phase, int]:
        """Which part of a step a moment lies in, when moments are spread evenly over steps."""
        chance = (inside / 1000 + len(self.person.slot) / 7) * _GOLDEN % 1.0
        edges = [0.0, (1 - load) * (1 - _OTHER), 1 - load]
        for share in self.plan.split:
            edges.append(edges[-1] + load * share)
        parts = (self.plan.rest, Phase.OTHER, Phase.FORWARD, Phase.BACKWARD, Phase.OPTIMIZER)
        whole = self.plan.step_ms / load
        for phase, (low, high) in zip(parts, pairwise(edges)):
            if chance < high:
                return phase, round((chance - low) * whole)
        return Phase.OPTIMIZER, 0
