"""Counts of a span and running sums of rows, in the store's integers: shared by what is kept of servers and of trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, islice
from typing import cast

from gpuwatch.dataclass import NamedTuple, dataclass
from gpuwatch.measure import measures
from gpuwatch.model import InferenceSample
from gpuwatch.training import TrainingSample

_SCALE = {
    name: m.scale for sample in (InferenceSample, TrainingSample) for name, m in measures(sample).items() if m.kind == "delta"
}
"""The counts of both have different names, or the same scale."""


class Sum(NamedTuple):
    """A count of a span, the store's integer, and the time in milliseconds in which it was counted."""

    value: int
    observed_ms: int


@dataclass(frozen=True, slots=True)
class Sums:
    """The counts of a span that were counted in it, by name."""

    of: Mapping[str, Sum]

    def total(self, name: str) -> int | None:
        """The count of a field; ``None``: never counted in the span."""
        found = self.of.get(name)
        return None if found is None else found.value

    def amount(self, name: str) -> float | None:
        """The same in base units."""
        found = self.of.get(name)
        return None if found is None else found.value / _SCALE[name]

    def rate(self, name: str) -> float | None:
        """The count a second, in base units."""
        found = self.of.get(name)
        return None if found is None else found.value / _SCALE[name] / (found.observed_ms / 1000)

    def seconds(self, name: str) -> float:
        """The time in which a field was counted."""
        found = self.of.get(name)
        return 0.0 if found is None else found.observed_ms / 1000

    def ratio(self, part: str, whole: str) -> float | None:
        """One count over another, between 0 and 1: a page is not read in one instant. ``None`` where one is unknown or nothing came."""
        above, below = self.total(part), self.total(whole)
        return None if above is None or not below else min(1.0, above / below)

    def plus(self, other: Sums) -> Sums:
        """Both spans."""
        return together((self, other))


def together(parts: Iterable[Sums]) -> Sums:
    """All of these spans."""
    out: dict[str, Sum] = {}
    for part in parts:
        for name, found in part.of.items():
            had = out.get(name)
            out[name] = found if had is None else Sum(had.value + found.value, had.observed_ms + found.observed_ms)
    return Sums(out)


NOTHING = Sums({})


class Running:
    """Running sums of one count: line n is what the first n rows have."""

    __slots__ = ("observed", "values")

    def __init__(self) -> None:
        self.values = [0]
        self.observed = [0]

    def extend(self, counts: Sequence[int | None], windows: Sequence[int]) -> None:
        """Further rows: what was counted, and the time in which, 0 for rows that speak for none."""
        value, observed = self.values[-1], self.observed[-1]
        if len(counts) == 1:  # the live end
            known = counts[0] is not None and windows[0]
            self.values.append(value + (counts[0] or 0) if known else value)
            self.observed.append(observed + windows[0] if known else observed)
            return
        if counts.count(None) == len(counts):
            self.values += [value] * len(counts)
            self.observed += [observed] * len(counts)
            return
        if None not in counts and 0 not in windows:
            self.values += islice(accumulate(cast(Sequence[int], counts), initial=value), 1, None)
            self.observed += islice(accumulate(windows, initial=observed), 1, None)
            return
        for count, window in zip(counts, windows, strict=True):
            if count is not None and window:
                value += count
                observed += window
            self.values.append(value)
            self.observed.append(observed)


def median(values: Iterable[float]) -> float:
    """The middle one, between two the mean of both; at least one is there. (``statistics`` takes longer to load than a view to build.)"""
    found = sorted(values)
    middle = len(found) // 2
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2
