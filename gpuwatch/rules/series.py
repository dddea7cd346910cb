"""The looks of one thing over time, and windows over them in constant time: sums are kept from the first moment a rule asks for one."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

from gpuwatch.rules.looks import BINS


class _Timed(Protocol):
    ms: int


L = TypeVar("L", bound=_Timed)
_KEEP_MS = 125 * 60_000
"""The longest window is two hours."""
_SLACK = 64
_JITTER_MS = 5_000
"""Rows do not lie on the looks' borders: two looks with less than this between them follow each other without a break."""


class Series(Generic[L]):
    """Looks of one GPU, process, rank, server or the host, oldest first. A window of ``seconds`` ends with the newest look of all.

    ``None`` from a window means that the value was not known in any of its time. All windows are cut at whole looks.
    """

    def __init__(self, keep_ms: int = _KEEP_MS) -> None:
        self._keep_ms = keep_ms
        self._ends: list[int] = []
        self._looks: list[L] = []
        self._now_ms = 0
        self._sums: dict[str, tuple[Callable[[L], Any], array[float], array[int]]] = {}
        self._totals: dict[str, tuple[Callable[[L], Any], array[float], array[int]]] = {}
        self._flags: dict[object, tuple[Callable[[L], bool | None], array[int], array[int]]] = {}

    # ------------------------------------------------------------------------------------------------------------ feeding

    def add(self, t_ms: int, look: L) -> None:
        """The next look, which ends at ``t_ms``."""
        self._now_ms = t_ms
        self._ends.append(t_ms)
        self._looks.append(look)
        for get, amounts, times in self._sums.values():
            self._sum(get, look, amounts, times)
        for get, amounts, counts in self._totals.values():
            self._total(get, look, amounts, counts)
        for test, held, known in self._flags.values():
            self._flag(test, look, held, known)
        if len(self._ends) > _SLACK and self._ends[_SLACK] < t_ms - self._keep_ms:
            self._forget(_SLACK)

    def pass_time(self, t_ms: int) -> None:
        """Time goes on without a look: windows end there, and this thing was not observed."""
        self._now_ms = t_ms

    def _forget(self, count: int) -> None:
        del self._ends[:count], self._looks[:count]
        for _, amounts, times in self._sums.values():
            del amounts[:count], times[:count]
        for _, amounts, counts in self._totals.values():
            del amounts[:count], counts[:count]
        for _, held, known in self._flags.values():
            del held[:count], known[:count]

    @staticmethod
    def _sum(get: Callable[[Any], Any], look: Any, amounts: array[float], times: array[int]) -> None:
        value = get(look)
        amounts.append((amounts[-1] if amounts else 0.0) + (value * look.ms if value is not None else 0))
        times.append((times[-1] if times else 0) + (look.ms if value is not None else 0))

    @staticmethod
    def _total(get: Callable[[Any], Any], look: Any, amounts: array[float], counts: array[int]) -> None:
        value = get(look)
        amounts.append((amounts[-1] if amounts else 0.0) + (value if value is not None else 0))
        counts.append((counts[-1] if counts else 0) + (value is not None))

    @staticmethod
    def _flag(test: Callable[[Any], bool | None], look: Any, held: array[int], known: array[int]) -> None:
        found = test(look)
        held.append((held[-1] if held else 0) + (look.ms if found else 0))
        known.append((known[-1] if known else 0) + (look.ms if found is not None else 0))

    # ------------------------------------------------------------------------------------------------------------- asking

    @property
    def newest(self) -> L | None:
        """The look that ends now; None if this thing had no row in it."""
        return self._looks[-1] if self._ends and self._ends[-1] == self._now_ms else None

    @property
    def first_ms(self) -> int | None:
        """Start of the first look that is still known."""
        return self._ends[0] - self._looks[0].ms if self._ends else None

    def looks(self, seconds: float) -> list[L]:
        """The looks of a window, oldest first."""
        return self._looks[self._first(seconds) :]

    def observed(self, seconds: float) -> float:
        """The share of a window that its looks speak for."""
        return self.seconds(seconds) / seconds if seconds > 0 else 0.0

    def seconds(self, seconds: float) -> float:
        """How many seconds of a window its looks speak for."""
        return sum(look.ms for look in self.looks(seconds)) / 1000 if seconds <= 60 else self._known("ms", seconds) / 1000

    def mean(self, name: str, seconds: float) -> float | None:
        """The mean of a look's field over a window, weighted by time."""
        amounts, times = self._window(name, seconds)
        return amounts / times if times else None

    def means(self, name: str, seconds: float, parts: int) -> list[float | None]:
        """The means of a field over equal parts of a window, the oldest part first."""
        self._window(name, seconds)
        _, amounts, times = self._sums[name]
        edges = [self._first(seconds * (parts - part) / parts) for part in range(parts)] + [len(self._ends)]
        found: list[float | None] = []
        for first, end in pairwise(edges):
            known = times[end - 1] - (times[first - 1] if first else 0) if end > first else 0
            found.append((amounts[end - 1] - (amounts[first - 1] if first else 0.0)) / known if known else None)
        return found

    def known(self, name: str, seconds: float) -> float:
        """The share of a window in which a field was known."""
        return self._known(name, seconds) / 1000 / seconds

    def total(self, name: str, seconds: float) -> float | None:
        """The sum of a look's field (an amount in the look, not a rate) over a window."""
        found = self._totals.get(name)
        if found is None:
            found = self._totals[name] = (attrgetter(name), array("d"), array("q"))
            for look in self._looks:
                self._total(found[0], look, found[1], found[2])
        first = self._first(seconds)
        if first == len(self._ends):
            return None
        _, amounts, counts = found
        if counts[-1] == (counts[first - 1] if first else 0):
            return None
        return amounts[-1] - (amounts[first - 1] if first else 0.0)

    def highest(self, name: str, seconds: float) -> float | None:
        """The highest value of a field in a window."""
        return max((value for look in self.looks(seconds) if (value := getattr(look, name)) is not None), default=None)

    def lowest(self, name: str, seconds: float) -> float | None:
        """The lowest value of a field in a window."""
        return min((value for look in self.looks(seconds) if (value := getattr(look, name)) is not None), default=None)

    def last(self, name: str) -> Any:
        """The newest known value of a field within the last minute."""
        for look in reversed(self.looks(60)):
            value = getattr(look, name)
            if value is not None:
                return value
        return None

    def share(self, test: Callable[[L], bool | None], seconds: float) -> float | None:
        """The share of a window's known time in which ``test`` holds; it says None where it cannot tell.

        Pass the same function object each time (a function of the module, not a lambda made anew): its answers are kept.
        """
        found = self._flags.get(test)
        if found is None:
            found = self._flags[test] = (test, array("q"), array("q"))
            for look in self._looks:
                self._flag(test, look, found[1], found[2])
        first = self._first(seconds)
        if first == len(self._ends):
            return None
        _, held, known = found
        whole = known[-1] - (known[first - 1] if first else 0)
        return (held[-1] - (held[first - 1] if first else 0)) / whole if whole else None

    def run_seconds(self, test: Callable[[L], bool | None]) -> float:
        """How long ``test`` has held without a break up to now (0 where the newest look is missing)."""
        if self.newest is None:
            return 0.0
        total, end = 0, self._now_ms
        for t_ms, look in zip(reversed(self._ends), reversed(self._looks)):
            if t_ms < end - _JITTER_MS or not test(look):
                break
            total += look.ms
            end = t_ms - look.ms
        return total / 1000

    def utilization_quantile(self, q: float, seconds: float) -> float | None:
        """A quantile of a GPU's utilization by steps of 5 %: the middle of the step that holds it."""
        bins = [0] * BINS
        for look in self.looks(seconds):
            for number, ms in enumerate(look.utilization_bins):  # type: ignore[attr-defined]
                bins[number] += ms
        whole = sum(bins)
        if not whole:
            return None
        reached = 0
        for number, ms in enumerate(bins):
            reached += ms
            if reached >= q * whole:
                return (number + 0.5) / BINS
        return 1.0

    # ------------------------------------------------------------------------------------------------------------ windows

    def _first(self, seconds: float) -> int:
        return bisect_right(self._ends, self._now_ms - seconds * 1000)

    def _window(self, name: str, seconds: float) -> tuple[float, int]:
        found = self._sums.get(name)
        if found is None:
            found = self._sums[name] = (attrgetter(name), array("d"), array("q"))
            for look in self._looks:
                self._sum(found[0], look, found[1], found[2])
        first = self._first(seconds)
        if first == len(self._ends):
            return 0.0, 0
        _, amounts, times = found
        return amounts[-1] - (amounts[first - 1] if first else 0.0), times[-1] - (times[first - 1] if first else 0)

    def _known(self, name: str, seconds: float) -> int:
        return self._window(name, seconds)[1]
