"""The scenario of the acceptance run and its answer sheet: what each of 8 GPUs did at any millisecond.

Values are step functions. A reading that speaks for a span must lie within the least and the greatest value of that span; where
the value stood still, that means it must be exact.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from scene import GIB, of_class

DUTY, PERIOD_MS = 0.37, 10_000
SQUARE, SHORT = 2, 4
"""The GPU with the square wave, and the one on which the short process lives."""
SHORT_SECONDS = 7
SAMPLE_MS = 140
"""The driver has a sample of utilization each 139 ms: the newest can be so old when it is read."""
START_MS = 10_000
"""A recorder has its first row after this at the latest."""
LAST_READ_MS = 2_000
"""Nothing tells when the last row of a recorder was read: within this."""
_HOLDS = {
    0: {"train-a": 51},
    1: {"train-b": 31},
    SQUARE: {"train-b": 22},
    3: {"notebook": 38},
    SHORT: {"short": 9},
    5: {"train-a": 12},
}
"""GPU -> slot -> GiB."""


class Steps:
    """A value over time: ``add(ms, value)`` in order; it holds until the next."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.values: list[int] = []

    def add(self, ms: int, value: int) -> None:
        self.times.append(ms)
        self.values.append(value)

    def at(self, ms: float) -> int:
        """The value at ``ms``."""
        return self.values[max(bisect_right(self.times, ms) - 1, 0)]

    def span(self, start_ms: float, end_ms: float) -> tuple[int, int]:
        """The least and the greatest value in [start, end]."""
        inside = self.values[bisect_left(self.times, start_ms) : bisect_right(self.times, end_ms)]
        found = [self.at(start_ms), *inside]
        return min(found), max(found)

    def mean(self, start_ms: float, end_ms: float) -> float:
        """The mean over [start, end)."""
        edges = [start_ms, *(t for t in self.times if start_ms < t < end_ms), end_ms]
        return sum(self.at(a) * (b - a) for a, b in pairwise(edges)) / (end_ms - start_ms)


@dataclass(slots=True)
class Gpu:
    """One GPU's truth: percent, bytes, milliwatts, number of processes (the short one is added when it is born)."""

    utilization: Steps = field(default_factory=Steps)
    memory: Steps = field(default_factory=Steps)
    power: Steps = field(default_factory=Steps)
    processes: Steps = field(default_factory=Steps)


@dataclass(slots=True)
class Lab:
    """The flat scenario and the truth of its GPUs."""

    lines: list[str]
    gpus: list[Gpu]

    def add_short(self, born_ms: float, died_ms: float) -> None:
        """Tell when the short process really lived."""
        steps = self.gpus[SHORT].processes
        steps.add(round(born_ms), 1)
        steps.add(round(died_ms), 0)


def lab(seconds: int, seed: int) -> Lab:
    """8 H100 for ``seconds``: two trainings, a square wave, a held and idle GPU, a short process, free GPUs."""
    dice = random.Random(seed)
    end_ms = seconds * 1000
    gpus = [Gpu() for _ in range(8)]
    for number, gpu in enumerate(gpus):
        for ms, percent in _utilization(number, end_ms, dice):
            gpu.utilization.add(ms, percent)
            gpu.power.add(ms, 70_000 + 6_000 * percent + dice.randrange(1000))
        held = sum(_HOLDS.get(number, {}).values())
        for ms in range(0, end_ms, 17_000):
            gpu.memory.add(
                ms + (dice.randrange(1000) if ms else 0), held * GIB + dice.randrange(1024) * 1024 * 1024 * (1 if held else 0)
            )
        gpu.processes.add(0, len(_HOLDS.get(number, {})) - (number == SHORT))
    lines = of_class("hopper-h100", 8).splitlines()
    lines += [f"proc {slot} kind=C name=python3" for slot in ("train-a", "train-b", "notebook", "short")]
    lines += [f"pv {slot} {gpu} mem 0 {size * GIB}" for gpu, slots in _HOLDS.items() for slot, size in slots.items()]
    for number, gpu in enumerate(gpus):
        for name, steps, factor in (
            ("util", gpu.utilization, 1),
            ("gpm.2", gpu.utilization, 10),
            ("memory_used", gpu.memory, 1),
            ("power_mw", gpu.power, 1),
        ):
            lines += [f"v {number} {name} {ms} {value * factor}" for ms, value in zip(steps.times, steps.values)]
    return Lab(lines, gpus)


def _utilization(number: int, end_ms: int, dice: random.Random) -> list[tuple[int, int]]:
    """(ms, percent) of one GPU."""
    if number == SQUARE:
        phase, on = dice.randrange(PERIOD_MS // 2), round(PERIOD_MS * DUTY)
        waves = range(phase, end_ms, PERIOD_MS)
        return [(0, 0), *(edge for begin in waves for edge in ((begin, 100), (begin + on, 0)))]
    if number in (3, SHORT, 6, 7):
        return [(0, 0)]
    out, ms = [], 0
    while ms < end_ms:
        out.append((ms, dice.choice([0, *range(20, 100)]) if number == 1 else dice.randint(40, 99)))
        ms += dice.randrange(5_000, 15_000)
    return out


class Recorded:
    """When the values of each recorded row were read, as its neighbours tell: a second that is overslept has no row.

    A row of the time t is read at t or later, and its reading ends before the next row's time: else that slot would have passed
    unseen. Means speak for the time since the reading before, which was no earlier than the row before.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows: dict[int, dict[int, int]] = {}
        for row in sorted(rows, key=lambda row: row["ts_ms"]):
            self._rows.setdefault(row["gpu_index"], {})[row["ts_ms"]] = round(row["duration_seconds"] * 1000)
        self._until: dict[int, dict[int, int]] = {}
        for gpu, durations in self._rows.items():
            until = self._until[gpu] = {ts: ts + LAST_READ_MS for ts in durations}
            until.update((ts, after) for ts, after in pairwise(durations) if durations[after])

    def times(self, gpu: int, start_ms: float, end_ms: float) -> list[int]:
        """Times of the GPU's rows in [start, end] (unix ms)."""
        return [ts for ts in self._rows.get(gpu, ()) if start_ms <= ts <= end_ms]

    def starting(self, gpu: int, at_ms: float) -> bool:
        """Whether a recorder that had just started may not have had a readable row of the GPU yet."""
        firsts = [ts for ts, duration in self._rows.get(gpu, {}).items() if not duration]
        return any(ts - START_MS <= at_ms <= self._until[gpu][ts] for ts in firsts)

    def read(self, gpu: int, ts_ms: int) -> tuple[int, int]:
        """Between when the values of a row were read that tell of one moment."""
        return ts_ms, self._until[gpu][ts_ms]

    def covered(self, gpu: int, ts_ms: int) -> tuple[int, int]:
        """The same for means; those of the driver's samples reach back as far again as the newest sample can be old."""
        return ts_ms - max(self._rows[gpu][ts_ms], 1000) - SAMPLE_MS, self._until[gpu][ts_ms]


@dataclass(slots=True)
class Tally:
    """How far readings of one quantity from one source are off, in units of the last digit that is shown."""

    unit: float
    worst: float = 0.0
    still: int = 0
    """Readings of a span in which the truth stood still: these must be exact."""
    moving: int = 0
    outside: int = 0
    """Readings of a span with an edge that lie outside of what the truth had in it."""
    missing: int = 0
    example: str = ""

    def add(self, shown: float | None, span: tuple[float, float], where: str, *others: tuple[float, float]) -> None:
        """Compare one reading with the least and greatest true value of its span, or of the one of several that fits best."""
        if shown is None:
            self.missing += 1
            self.example = self.example or f"{where}: missing"
            return
        off, low, high = min((max(low - shown, shown - high, 0.0) / self.unit, low, high) for low, high in (span, *others))
        if low == high:
            self.still += 1
            if off > self.worst:
                self.worst, self.example = off, f"{where}: shown {shown:g}, true {low:g}"
        else:
            self.moving += 1
            if off > 1 + 1e-9:
                self.outside += 1
                self.example = self.example or f"{where}: shown {shown:g}, true {low:g} to {high:g}"

    @property
    def met(self) -> bool:
        """At most 1 in the last digit, nothing missing, something compared."""
        return self.still > 0 and self.worst <= 1 + 1e-9 and not self.outside and not self.missing
