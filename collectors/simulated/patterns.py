"""Shapes over time: phases of an author's pattern become sorted (time, value) steps, noise included, from a seed.

A pattern is a list of phases ``{for = "40s", kind = "flat|square|sine|ramp", …}``; the list repeats until the loop is full, and a
phase without ``for`` lasts to the end. Levels are in the unit of the quantity (percent for a load).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gpuwatch.dataclass import dataclass

Noise = Callable[[], float]
"""Uniform in [-1, 1)."""


def stream(*what: object) -> Noise:
    """The noise of one quantity: a stream of its own, so that one more quantity changes no other."""
    import random

    uniform = random.Random("/".join(map(str, what))).random
    return lambda: 2.0 * uniform() - 1.0


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of a pattern. ``for_ms`` 0: to the end of the loop. ``noise`` is the amplitude in the unit of the level."""

    kind: str = "flat"
    for_ms: int = 0
    level: float = 0.0
    noise: float = 0.0
    low: float = 0.0
    high: float = 100.0
    period_ms: int = 0
    duty: float = 0.5
    to: float = 0.0
    peak_ms: int = 0


Points = tuple[list[int], list[int]]
"""Sorted times in ms, beginning at 0, and integer values."""


def render(
    phases: Sequence[Phase], length_ms: int, every_ms: int, noise: Noise, *, scale: float = 1.0, top: float = math.inf
) -> Points:
    """The pattern over [0, length), values ``round(level * scale)`` kept in [0, top]; smooth shapes step every ``every_ms``."""
    times: list[int] = []
    values: list[int] = []
    start = 0
    while start < length_ms:
        for phase in phases:
            end = min(start + phase.for_ms, length_ms) if phase.for_ms else length_ms
            for t, level in _phase(phase, start, end, every_ms):
                value = round(min(max(level + phase.noise * noise(), 0.0), top) * scale)
                if not values or value != values[-1]:
                    times.append(t)
                    values.append(value)
            start = end
            if start >= length_ms:
                break
    return times, values


def _phase(phase: Phase, start: int, end: int, every_ms: int) -> list[tuple[int, float]]:
    if phase.kind == "square":
        return _square(phase, start, end)
    if phase.kind == "flat" and not phase.noise:
        return [(start, phase.level)] if start < end else []
    return [(t, _level(phase, t, start, end)) for t in range(start, end, every_ms)]


def _square(phase: Phase, start: int, end: int) -> list[tuple[int, float]]:
    """High for ``duty`` of each period, then low; edges at exact milliseconds."""
    up = round(phase.period_ms * phase.duty)
    out: list[tuple[int, float]] = []
    for t in range(start, end, phase.period_ms):
        out.append((t, phase.high))
        if t + up < end:
            out.append((t + up, phase.low))
    return out


def _level(phase: Phase, t: int, start: int, end: int) -> float:
    if phase.kind == "sine":
        angle = 2 * math.pi * (t - phase.peak_ms) / phase.period_ms
        return (phase.high + phase.low) / 2 + (phase.high - phase.low) / 2 * math.cos(angle)
    if phase.kind == "ramp":
        return phase.level + (phase.to - phase.level) * (t - start) / max(end - start, 1)
    return phase.level


def means(points: Points, grid: Sequence[int], length_ms: int) -> list[float]:
    """The mean of a step function over each cell of ``grid`` (the last one ends at ``length_ms``)."""
    times, values = points
    out: list[float] = []
    i, last = 0, len(times) - 1
    for cell, start in enumerate(grid):
        end = grid[cell + 1] if cell + 1 < len(grid) else length_ms
        area, t = 0, start
        while t < end:
            while i < last and times[i + 1] <= t:
                i += 1
            stop = min(times[i + 1], end) if i < last else end
            area += values[i] * (stop - t)
            t = stop
        out.append(area / (end - start))
    return out


def squeeze(times: Sequence[int], values: Sequence[int]) -> Points:
    """The same function without records that change nothing."""
    keep = [i for i in range(len(values)) if i == 0 or values[i] != values[i - 1]]
    if len(keep) == len(values):
        return list(times), list(values)
    return [times[i] for i in keep], [values[i] for i in keep]
