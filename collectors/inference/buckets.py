"""What histograms have grown by between two looks: how many observations each bucket got, how many in all, and their sum."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gpuwatch.collectors.inference.counters import MAX_KNOWN, Growth
from gpuwatch.collectors.inference.reading import Buckets, Reading, SeriesKey
from gpuwatch.dataclass import dataclass
from gpuwatch.model import OPEN_US
from gpuwatch.names import Latency

MAX_BUCKETS = 20_000
"""Of one family: as many as the lines that are kept of a page."""
Exclusive = tuple[tuple[int, int, int], ...]
"""As in ``model.LatencyCounts.buckets``."""


@dataclass(frozen=True, slots=True)
class Waited:
    """One waiting time since the last look. ``buckets`` is ``None`` where they cannot be told (there are none, or they differ from
    series to series, or one went back); ``count`` and ``sum_seconds`` may be there all the same."""

    count: float | None
    sum_seconds: float | None
    buckets: Exclusive | None


class Histogram:
    """One waiting time of one server: ``next`` is told each look's series, in order."""

    def __init__(self) -> None:
        self._count, self._sum = Growth(), Growth()
        self._bounds: tuple[float, ...] = ()
        self._micros: tuple[int, ...] = ()
        self._known: dict[SeriesKey, list[float]] | None = None

    def next(
        self, series: Mapping[SeriesKey, Buckets] | None, sums: Mapping[SeriesKey, float] | None, *, from_zero: bool = False
    ) -> Waited:
        """What came since the last look."""
        count = self._count.next(None if series is None else {key: of[math.inf] for key, of in series.items()}, from_zero=from_zero)
        total = self._sum.next(sums, from_zero=from_zero)
        buckets = self._buckets(series or {}, count, from_zero=from_zero)
        return Waited(count, None if count is None else total, buckets)  # a mean needs both of the same time

    def _buckets(self, series: Mapping[SeriesKey, Buckets], count: float | None, *, from_zero: bool) -> Exclusive | None:
        known, bounds = self._known, _bounds(series)
        if bounds != self._bounds:
            known = None if self._bounds else known
            self._bounds, self._micros = bounds, tuple([_in_micros(bound) for bound in bounds])
        if len(set(self._micros)) != len(bounds) or not bounds or len(series) * len(bounds) > MAX_BUCKETS:
            self._known = None
            return None
        now = {key: [of[bound] for bound in bounds] for key, of in series.items()}
        self._known = {**known, **now} if known and not from_zero and len(known) < MAX_KNOWN else now
        if count is None:
            return None
        if from_zero or known is None and self._begins(count, now):
            known = {}
        if known is None:
            return None
        grown = [0.0] * len(bounds)
        for key, values in now.items():
            more = [value - before for value, before in zip(values, known[key], strict=True)] if key in known else values
            if min(more) < 0:
                return None
            grown = [value + one for value, one in zip(grown, more, strict=True)]
        return _exclusive(self._micros, [round(value) for value in grown])

    @staticmethod
    def _begins(count: float, now: Mapping[SeriesKey, list[float]]) -> bool:
        """Whether all that the buckets hold has come since the last look: the family was not there then."""
        return count == sum([values[-1] for values in now.values()])

    def forget(self) -> None:
        """Time is missing: nothing is told at the next look."""
        self._count.forget()
        self._sum.forget()
        self._known = None


def _bounds(series: Mapping[SeriesKey, Buckets]) -> tuple[float, ...]:
    """The bounds that all series have, in order; empty where they differ, or where there is none but infinity."""
    found = {tuple(sorted(of)) for of in series.values()}
    (bounds,) = found if len(found) == 1 else ((),)
    return bounds if len(bounds) > 1 else ()


def _in_micros(bound: float) -> int:
    return OPEN_US if bound == math.inf else min(OPEN_US - 1, round(bound * 1e6))


def _exclusive(bounds: tuple[int, ...], cumulative: list[int]) -> Exclusive | None:
    out = []
    lower = below = 0
    for upper, upto in zip(bounds, cumulative, strict=True):
        if upto < below:  # the page was written while it was counted, or is wrong
            return None
        if upto > below:
            out.append((lower, upper, upto - below))
        lower, below = upper, upto
    return tuple(out)


class Histograms:
    """All waiting times of one server."""

    def __init__(self) -> None:
        self._all: dict[Latency, Histogram] = {}
        self._started = False

    def next(self, reading: Reading, *, from_zero: bool = False) -> dict[Latency, Waited]:
        """Waiting time -> what came since the last look, of every one that was ever there."""
        for latency in reading.histograms:
            if latency not in self._all:
                self._all[latency] = histogram = Histogram()
                if self._started:
                    histogram.next(None, None)
        self._started = True
        return {
            latency: histogram.next(reading.histograms.get(latency), reading.histogram_sums.get(latency), from_zero=from_zero)
            for latency, histogram in self._all.items()
        }

    def forget(self) -> None:
        """Time is missing: nothing is told at the next look."""
        for histogram in self._all.values():
            histogram.forget()
