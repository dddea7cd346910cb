"""The looks of one thing over time, and windows over them in constant time: sums are kept for as long as the longest window asks for.

Old looks may wear off: of those that only the longest windows reach, what no rule asks so far back is forgotten.
"""

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
_SPANS = (60, 600, 900, 1800, 3600, 7200)
"""Sums are kept for the shortest of these, seconds, that a window fits in."""
_WRAP = 0xFFFFFFFF
"""Milliseconds and counts are summed in 32 bits: differences over a window are right where the sums have wrapped."""
Add = Callable[[Any, Any, "array[Any]", "array[int]"], None]


class _Sums:
    """Sums up to each of the newest looks: what a look adds, and of it how much was known."""

    __slots__ = ("add", "amounts", "get", "known", "seconds")

    def __init__(self, add: Add, get: Callable[[Any], Any], seconds: float) -> None:
        self.add, self.get = add, get
        self.seconds = next((span for span in _SPANS if span >= seconds), float("inf"))
        self.amounts: array[Any] = array("I" if add is _flag else "d")
        self.known: array[int] = array("I")

    def since(self, count: int, until: int = 0) -> tuple[float, int]:
        """The sums over the newest ``count`` looks, without the newest ``until`` of them."""
        if count <= until:
            return 0.0, 0
        end, first = len(self.known) - until - 1, len(self.known) - count - 1
        if first < 0:
            return self.amounts[end], self.known[end]
        amount = self.amounts[end] - self.amounts[first]
        return amount & _WRAP if self.add is _flag else amount, (self.known[end] - self.known[first]) & _WRAP

    def forget(self, count: int) -> None:
        """Keep the sums over the newest ``count`` looks."""
        over = len(self.known) - count - 1
        if over > 0:
            del self.amounts[:over], self.known[:over]


def _sum(get: Callable[[Any], Any], look: Any, amounts: array[Any], times: array[int]) -> None:
    value = get(look)
    amounts.append((amounts[-1] if amounts else 0.0) + (value * look.ms if value is not None else 0))
    times.append(((times[-1] if times else 0) + (look.ms if value is not None else 0)) & _WRAP)


def _total(get: Callable[[Any], Any], look: Any, amounts: array[Any], counts: array[int]) -> None:
    value = get(look)
    amounts.append((amounts[-1] if amounts else 0.0) + (value if value is not None else 0))
    counts.append(((counts[-1] if counts else 0) + (value is not None)) & _WRAP)


def _flag(test: Callable[[Any], bool | None], look: Any, held: array[Any], known: array[int]) -> None:
    found = test(look)
    held.append(((held[-1] if held else 0) + (look.ms if found else 0)) & _WRAP)
    known.append(((known[-1] if known else 0) + (look.ms if found is not None else 0)) & _WRAP)


class Series(Generic[L]):
    """Looks of one GPU, process, rank, server or the host, oldest first. A window of ``seconds`` ends with the newest look of all.

    ``None`` from a window means that the value was not known in any of its time. All windows are cut at whole looks. Looks that are
    older than ``fresh_ms`` become what ``worn`` makes of them, given what it made of the one before.
    """

    def __init__(self, keep_ms: int = _KEEP_MS, worn: Callable[[L, Any], Any] | None = None, fresh_ms: int = _KEEP_MS) -> None:
        self._keep_ms, self._fresh_ms = keep_ms, fresh_ms
        self._worn = worn
        self._last_worn: tuple[Any, Any] = (None, None)
        self._worn_count = 0
        self._ends: list[int] = []
        self._looks: list[L] = []
        self._now_ms = 0
        self._sums: dict[tuple[Add, object], _Sums] = {}

    # ------------------------------------------------------------------------------------------------------------ feeding

    def add(self, t_ms: int, look: L) -> None:
        """The next look, which ends at ``t_ms``."""
        self._now_ms = t_ms
        self._ends.append(t_ms)
        self._looks.append(look)
        for sums in self._sums.values():
            sums.add(sums.get, look, sums.amounts, sums.known)
        if self._worn is not None:
            self._wear(t_ms - self._fresh_ms)
        if len(self._ends) > _SLACK and self._ends[_SLACK] < t_ms - self._keep_ms:
            del self._ends[:_SLACK], self._looks[:_SLACK]
            self._worn_count = max(0, self._worn_count - _SLACK)
        if not len(self._ends) % _SLACK:
            for sums in self._sums.values():
                sums.forget(len(self._ends) - self._first(sums.seconds))

    def pass_time(self, t_ms: int) -> None:
        """Time goes on without a look: windows end there, and this thing was not observed."""
        self._now_ms = t_ms

    def _wear(self, before_ms: int) -> None:
        number = self._worn_count
        while self._ends[number] < before_ms:
            look = self._looks[number]
            if look is not self._last_worn[0]:  # the looks of a thing that rests are one object
                self._last_worn = look, self._worn(look, self._last_worn[1])  # type: ignore[misc]
            self._looks[number] = self._last_worn[1]
            number += 1
        self._worn_count = number

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
        sums, count = self._kept(_sum, name, seconds), len(self._ends)
        edges = [count - self._first(seconds * (parts - part) / parts) for part in range(parts)] + [0]
        found: list[float | None] = []
        for first, end in pairwise(edges):
            amount, known = sums.since(first, end)
            found.append(amount / known if known else None)
        return found

    def known(self, name: str, seconds: float) -> float:
        """The share of a window in which a field was known."""
        return self._known(name, seconds) / 1000 / seconds

    def total(self, name: str, seconds: float) -> float | None:
        """The sum of a look's field (an amount in the look, not a rate) over a window."""
        amount, count = self._kept(_total, name, seconds).since(len(self._ends) - self._first(seconds))
        return amount if count else None

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
        held, known = self._kept(_flag, test, seconds).since(len(self._ends) - self._first(seconds))
        return held / known if known else None

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
            for number, ms in enumerate(look.utilization_bins or ()):  # type: ignore[attr-defined]
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

    def _kept(self, add: Add, of: Any, seconds: float) -> _Sums:
        sums = self._sums.get((add, of))
        if sums is None or sums.seconds < seconds:
            sums = self._sums[add, of] = _Sums(add, attrgetter(of) if isinstance(of, str) else of, seconds)
            for look in self._looks[self._first(sums.seconds) :]:
                add(sums.get, look, sums.amounts, sums.known)
        return sums

    def _window(self, name: str, seconds: float) -> tuple[float, int]:
        return self._kept(_sum, name, seconds).since(len(self._ends) - self._first(seconds))

    def _known(self, name: str, seconds: float) -> int:
        return self._window(name, seconds)[1]
