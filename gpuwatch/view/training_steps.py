"""The steps of one training process as segments of time, so that what is told over a span is even, however long steps are.

Counts move when a step ends. A segment reaches from one row in which steps ended to the next; within it counts are taken to lie
evenly. Sums are the store's integers, kept as running ones: any span of them is the difference of two lines.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

from gpuwatch.dataclass import NamedTuple

UNITS = ("steps", "tokens", "samples")
STALL_STEPS = 3
"""A rank in which no step has ended for so many of its usual ones is slower than it was: its rate falls."""
_USUAL = 9
"""The usual length of a step is the median of so many segments."""
Counted = tuple[int | None, int | None, int | None]
"""Steps, tokens, samples; ``None``: not counted."""


class Rates(NamedTuple):
    """What a rank does a second, over so many seconds; ``start_ms`` to ``end_ms`` are about those."""

    seconds: float
    start_ms: int
    end_ms: int
    steps: float | None
    tokens: float | None
    samples: float | None


class Segments:
    """One after the other, with gaps where it is not known what happened. Line n of the sums is what the first n segments have."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self._begun: list[int] = []
        """How many segments were ever made before the one after the last gap, for each."""
        self._dropped = 0
        self._observed = [0]
        self._lengths: list[float] = []
        """Milliseconds of a step."""
        self._values: tuple[list[int], ...] = ([0], [0], [0])
        self._known: tuple[list[int], ...] = ([0], [0], [0])
        """The time in which each was counted."""
        self._open: tuple[int, int, Counted, int] | None = None
        """What goes on after the last one, if that is known: start, time, counts, time of its newest row."""

    # ---------------------------------------------------------------------------------------------------------- feeding

    def row(self, ts_ms: int, observed_ms: int, counts: Counted) -> None:
        """What came in the time up to an instant; nothing observed or nothing counted is a gap."""
        if not observed_ms or counts == (None, None, None):
            self._open = None
            return
        ended = bool(counts[0] if counts[0] is not None else counts[1] or counts[2])
        if self._open is None:
            self._open = (ts_ms, 0, (None, None, None), ts_ms) if ended else None
            return
        start_ms, before, had, _ = self._open
        both = counts[0], _plus(had[1], counts[1]), _plus(had[2], counts[2])
        if ended:
            self._append(start_ms, ts_ms, before + observed_ms, both)
            self._open = (ts_ms, 0, (None, None, None), ts_ms)
        else:
            self._open = (start_ms, before + observed_ms, both, ts_ms)

    def _append(self, start_ms: int, end_ms: int, observed_ms: int, counts: Counted) -> None:
        joined = bool(self.ends) and self.ends[-1] == start_ms
        self._begun.append(self._begun[-1] if joined else self._dropped + len(self.ends))
        self.starts.append(start_ms)
        self.ends.append(end_ms)
        self._observed.append(self._observed[-1] + observed_ms)
        self._lengths.append(observed_ms / max(1, counts[0] or 1))
        for values, known, count in zip(self._values, self._known, counts, strict=True):
            values.append(values[-1] + (count or 0))
            known.append(known[-1] + (observed_ms if count is not None else 0))

    def cut(self, after_ms: int) -> int:
        """Drop what is newer than an instant; rows from the returned one on are to be given again."""
        keep = bisect_right(self.ends, after_ms)
        for each in (self.starts, self.ends, self._begun, self._lengths):
            del each[keep:]
        for lines in (self._observed, *self._values, *self._known):
            del lines[keep + 1 :]
        self._open = None
        return self.ends[-1] if self.ends else 0

    def forget(self, before_ms: int) -> None:
        """Drop what began before an instant."""
        gone = bisect_left(self.starts, before_ms)
        self._dropped += gone
        for each in (self.starts, self.ends, self._begun, self._lengths):
            del each[:gone]
        for lines in (self._observed, *self._values, *self._known):
            del lines[:gone]

    # ----------------------------------------------------------------------------------------------------------- asking

    def whole(self, after_ms: int, to_ms: int) -> tuple[int, int] | None:
        """From the end of one step to that of another: the longest such span that begins after and ends up to these instants."""
        first, last = bisect_right(self.starts, after_ms), bisect_right(self.ends, to_ms)
        return (self.starts[first], self.ends[last - 1]) if first < last else None

    @property
    def _trailing(self) -> tuple[int, int, Counted, int] | None:
        """What goes on, where it takes far longer than usual: no step has ended in it."""
        if self._open is None or not self._lengths or not self._open[1]:
            return None
        recent = sorted(self._lengths[-_USUAL:])
        start_ms, observed, _, newest_ms = self._open
        row_ms = observed * 1.0 / max(1, newest_ms - start_ms) * 1000  # about a second of rows: it may have ended unseen
        return self._open if observed > STALL_STEPS * recent[len(recent) // 2] + row_ms else None

    def rates(self, least_ms: int, after_ms: int) -> Rates | None:
        """Means over the newest ``least_ms`` of segments, or over the newest one if that is longer; none that ended up to ``after_ms``
        counts, and none before a gap."""
        trailing, count = self._trailing, len(self.ends)
        if trailing is None and (not count or self.ends[-1] <= after_ms):
            return None
        end_ms = trailing[3] if trailing else self.ends[-1]
        first = max(bisect_right(self.ends, after_ms), self._begun[-1] - self._dropped if count else 0, 0)
        total = self._observed[-1] + (trailing[1] if trailing else 0)
        newest = trailing[1] if trailing else self._observed[-1] - self._observed[-2]
        wanted = total - max(least_ms, newest)
        at = bisect_right(self._observed, wanted, first, count + 1) - 1
        part = 0.0
        if at < first:
            at = first
        elif at < count:
            part = (wanted - self._observed[at]) / (self._observed[at + 1] - self._observed[at])
        seconds = (total - self._observed[at] - part * (self._observed[at + 1] - self._observed[at] if at < count else 0)) / 1000
        found = [self._rate(number, at, part, trailing) for number in range(len(UNITS))]
        return Rates(seconds, end_ms - round(seconds * 1000), end_ms, *found) if seconds else None

    def _rate(self, unit: int, at: int, part: float, trailing: tuple[int, int, Counted, int] | None) -> float | None:
        values, known = self._values[unit], self._known[unit]
        value, ms = float(values[-1] - values[at]), float(known[-1] - known[at])
        if part:
            value, ms = value - part * (values[at + 1] - values[at]), ms - part * (known[at + 1] - known[at])
        if trailing is not None and (count := 0 if unit == 0 else trailing[2][unit]) is not None:
            value, ms = value + count, ms + trailing[1]
        return value / (ms / 1000) if ms else None

    def cells(self, edges_ms: Sequence[int], unit: str) -> list[float | None]:
        """What it does a second between each two of these instants."""
        number, trailing = UNITS.index(unit), self._trailing
        return [one.rate_to(other) for one, other in pairwise([self._line(edge, number, trailing) for edge in edges_ms])]

    def _line(self, ms: int, unit: int, trailing: tuple[int, int, Counted, int] | None) -> _Line:
        """The sums up to an instant."""
        at = bisect_left(self.ends, ms)
        values, known = self._values[unit], self._known[unit]
        if at < len(self.ends):
            part = max(0.0, (ms - self.starts[at]) / (self.ends[at] - self.starts[at]))
            return _Line(values[at], known[at], part * (values[at + 1] - values[at]), part * (known[at + 1] - known[at]))
        count = 0 if unit == 0 else trailing[2][unit] if trailing is not None else None
        if trailing is None or ms <= trailing[0] or count is None:
            return _Line(values[-1], known[-1], 0.0, 0.0)
        part = min(1.0, (ms - trailing[0]) / (trailing[3] - trailing[0]))
        return _Line(values[-1], known[-1], part * count, part * trailing[1])


class _Line(NamedTuple):
    """Sums of whole segments and of a part of one, apart: differences do not depend on where sums began."""

    value: int
    known_ms: int
    more: float
    more_ms: float

    def rate_to(self, other: _Line) -> float | None:
        ms = other.known_ms - self.known_ms + (other.more_ms - self.more_ms)
        return (other.value - self.value + (other.more - self.more)) / (ms / 1000) if ms > 0 else None


def _plus(had: int | None, more: int | None) -> int | None:
    return had if more is None else (had or 0) + more


def added(cells: Iterable[Sequence[float | None]], count: int) -> tuple[float | None, ...]:
    """Cell by cell the sum of what is known."""
    out: list[float | None] = [None] * count
    for each in cells:
        for number, value in enumerate(each):
            if value is not None:
                out[number] = (out[number] or 0.0) + value
    return tuple(out)
