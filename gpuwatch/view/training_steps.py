"""The steps of one training process as segments of time, so that what is told over a span is even, however long steps are.

Counts move when a step ends. A segment reaches from one row in which steps ended to the next; within it counts are taken to lie
evenly. Sums are the store's integers, kept as running ones: any span of them is the difference of two lines.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice, pairwise

from gpuwatch.dataclass import NamedTuple
from gpuwatch.view.counts import Running, median

UNITS = ("steps", "tokens", "samples")
STALL_STEPS = 3
"""A rank in which no step has ended for so many of its usual ones is slower than it was: its rate falls."""
SLACK_MS = 1000
"""One may have ended since the newest row was made."""
_USUAL, _TYPICAL = 9, 99
"""The usual length of a step is the median of so many segments."""
Counted = tuple[int | None, int | None, int | None]
"""Steps, tokens, samples; ``None``: not counted."""
NOTHING: Counted = (None, None, None)


class Rates(NamedTuple):
    """What a rank does a second, over so many seconds; ``start_ms`` to ``end_ms`` are about those."""

    seconds: float
    start_ms: int
    end_ms: int
    steps: float | None
    tokens: float | None
    samples: float | None


class Segments:
    """One after the other, with gaps where it is not known what happened. Sums are made when they are asked for."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self._times: list[int] = []
        """Milliseconds that were observed of each."""
        self._counts: list[Counted] = []
        self._gaps: list[int] = []
        """Starts of those before which it is not known what happened."""
        self._sums = tuple(Running() for _ in UNITS)
        self._whole = [0]
        """Running sum of the times."""
        self._open: tuple[int, int, Counted, int] | None = None
        """What goes on after the last one, if that is known: start, time, counts, time of its newest row."""

    # ---------------------------------------------------------------------------------------------------------- feeding

    def row(self, ts_ms: int, observed_ms: int, counts: Counted, *, whole: bool = False) -> None:
        """What came in the time up to an instant; nothing observed or nothing counted is a gap.

        ``whole``: all of what it counts began and ended in that time, as between two lines of a log.
        """
        steps, tokens, samples = counts
        if not observed_ms or (steps is None and tokens is None and samples is None):
            self._open = None
            return
        ended = steps if steps is not None else tokens or samples
        if self._open is None and ended and whole:
            self._open = (ts_ms - observed_ms, 0, NOTHING, ts_ms)
        if self._open is None:
            self._open = (ts_ms, 0, NOTHING, ts_ms) if ended else None
            return
        start_ms, before, had, _ = self._open
        if before:
            counts = steps, _plus(had[1], tokens), _plus(had[2], samples)
        if not ended:
            self._open = (start_ms, before + observed_ms, counts, ts_ms)
            return
        if not self.ends or self.ends[-1] != start_ms:
            self._gaps.append(start_ms)
        self.starts.append(start_ms)
        self.ends.append(ts_ms)
        self._times.append(before + observed_ms)
        self._counts.append(counts)
        self._open = (ts_ms, 0, NOTHING, ts_ms)

    def cut(self, after_ms: int) -> int:
        """Drop what is newer than an instant; rows from the returned one on are to be given again."""
        keep = bisect_right(self.ends, after_ms)
        for each in (self.starts, self.ends, self._times, self._counts):
            del each[keep:]
        for lines in (self._whole, *(lines for sums in self._sums for lines in (sums.values, sums.observed))):
            del lines[keep + 1 :]
        while self._gaps and (not self.starts or self._gaps[-1] > self.starts[-1]):
            self._gaps.pop()
        self._open = None
        return self.ends[-1] if self.ends else 0

    def forget(self, before_ms: int) -> None:
        """Drop what began before an instant, and what goes on if it takes far longer than all that is left."""
        gone = bisect_left(self.starts, before_ms)
        if not gone:
            return
        if gone == len(self.starts) and self._trailing is not None:
            self._open = None
        for each in (self.starts, self.ends, self._times, self._counts):
            del each[:gone]
        self._sums = tuple(Running() for _ in UNITS)
        self._whole = [0]

    def _made(self) -> None:
        """Bring the sums up to the newest segment."""
        have = len(self._whole) - 1
        if have == len(self._times):
            return
        times = self._times[have:]
        self._whole += islice(accumulate(times, initial=self._whole[-1]), 1, None)
        for number, sums in enumerate(self._sums):
            sums.extend([counts[number] for counts in self._counts[have:]], times)

    # ----------------------------------------------------------------------------------------------------------- asking

    def whole(self, after_ms: int, to_ms: int) -> tuple[int, int] | None:
        """From the end of one step to that of another: the longest such span that begins after and ends up to these instants."""
        first, last = bisect_right(self.starts, after_ms), bisect_right(self.ends, to_ms)
        return (self.starts[first], self.ends[last - 1]) if first < last else None

    @property
    def needed_ms(self) -> int | None:
        """Since when rows say of the newest whole step and of what goes on after it; ``None`` where that takes far longer than usual."""
        if self._trailing is not None:
            return None
        return self.starts[-1] if self.starts else self._open[0] if self._open is not None else None

    @property
    def _trailing(self) -> tuple[int, int, Counted, int] | None:
        """What goes on, where it takes far longer than usual: no step has ended in it."""
        if self._open is None or not self._times or not self._open[1]:
            return None
        recent = [ms / max(1, counts[0] or 1) for ms, counts in zip(self._times[-_USUAL:], self._counts[-_USUAL:], strict=True)]
        return self._open if self._open[1] > STALL_STEPS * median(recent) + SLACK_MS else None

    def rates(self, least_ms: int, after_ms: int) -> Rates | None:
        """Means over the newest ``least_ms`` of segments, or over the newest one if that is longer; none that ended up to ``after_ms``
        counts, and none before a gap."""
        trailing, count = self._trailing, len(self.ends)
        if trailing is None and (not count or self.ends[-1] <= after_ms):
            return None
        self._made()
        whole = self._whole
        end_ms = trailing[3] if trailing else self.ends[-1]
        first = bisect_right(self.ends, after_ms)
        if self._gaps:
            first = max(first, bisect_left(self.starts, self._gaps[-1]))
        total = whole[-1] + (trailing[1] if trailing else 0)
        wanted = total - max(least_ms, trailing[1] if trailing else self._times[-1])
        at, part = bisect_right(whole, wanted, first, count + 1) - 1, 0.0
        if at < first:
            at = first
        elif at < count:
            part = (wanted - whole[at]) / self._times[at]
        seconds = (total - whole[at] - (part * self._times[at] if part else 0.0)) / 1000
        found = [self._rate(number, at, part, trailing) for number in range(len(UNITS))]
        return Rates(seconds, end_ms - round(seconds * 1000), end_ms, *found) if seconds else None

    def _rate(self, unit: int, at: int, part: float, trailing: tuple[int, int, Counted, int] | None) -> float | None:
        values, known = self._sums[unit].values, self._sums[unit].observed
        value, ms = float(values[-1] - values[at]), float(known[-1] - known[at])
        if part:
            value, ms = value - part * (values[at + 1] - values[at]), ms - part * (known[at + 1] - known[at])
        if trailing is not None and (count := 0 if unit == 0 else trailing[2][unit]) is not None:
            value, ms = value + count, ms + trailing[1]
        return value / (ms / 1000) if ms else None

    def tokens_a_step(self) -> float | None:
        """The median of the newest segments: between two readings the tokens of a step that has only begun may be counted, or not."""
        found = [tokens / steps for steps, tokens, _ in self._counts[-_TYPICAL:] if steps and tokens is not None]
        return median(found) if found else None

    def cells(self, edges_ms: Sequence[int], unit: str) -> list[float | None]:
        """What it does a second between each two of these instants."""
        self._made()
        number, trailing = UNITS.index(unit), self._trailing
        return [one.rate_to(other) for one, other in pairwise([self._line(edge, number, trailing) for edge in edges_ms])]

    def _line(self, ms: int, unit: int, trailing: tuple[int, int, Counted, int] | None) -> _Line:
        """The sums up to an instant."""
        at = bisect_left(self.ends, ms)
        values, known = self._sums[unit].values, self._sums[unit].observed
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
