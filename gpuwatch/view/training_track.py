"""One training process' recent rows: running sums of its counts, and its steps as segments of time, so that rates are even.

Counts move when a step ends. A segment reaches from one row in which steps ended to the next: what is told over a span is told
over whole segments or even parts of them, however long steps are. All sums are the store's integers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.measure import measures
from gpuwatch.names import Phase
from gpuwatch.store.trained import TRAINING_ROW
from gpuwatch.training import TrainingSample
from gpuwatch.view.counts import Running, Sum, Sums

_MEASURES = measures(TrainingSample)
_AT = {name: number for number, name in enumerate(_MEASURES, 1)}
COUNTS = tuple(name for name, m in _MEASURES.items() if m.kind == "delta")
PHASE_SECONDS = {
    Phase.DATA: "data_wait_seconds",
    Phase.FORWARD: "forward_seconds",
    Phase.BACKWARD: "backward_seconds",
    Phase.OPTIMIZER: "optimizer_seconds",
    Phase.CHECKPOINT: "checkpoint_seconds",
    Phase.EVAL: "eval_seconds",
    Phase.COMPILE: "compile_seconds",
    Phase.OTHER: "other_seconds",
}
"""The parts of a step in its order, and the fields that tell them."""
_ATTACHED, _STEPS, _TOKENS, _SAMPLES = (
    _AT[name] for name in ("attached_seconds", "rank_steps_total", "tokens_total", "samples_total")
)
_PHASE, _PHASE_AGE = _AT["phase"], _AT["phase_age_seconds"]
_SLACK = 32
"""Old rows are dropped so many at a time."""
STALL_STEPS = 3
"""A rank in which no step has ended for so many of its usual ones is slower than it was: its rate falls."""
assert TRAINING_ROW[1:] == tuple(m.column for m in _MEASURES.values())


class Segment(NamedTuple):
    """Steps that ended at ``end_ms``, begun where the ones before had ended. ``None`` is not counted."""

    start_ms: int
    end_ms: int
    observed_ms: int
    steps: int | None
    tokens: int | None
    samples: int | None


class Rates(NamedTuple):
    """What a rank does a second, over so many seconds."""

    seconds: float
    steps: float | None
    tokens: float | None
    samples: float | None


class RankTrack:
    """The rows of one rank, oldest first. Rows that speak for no time count nowhere, as in minutes."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self._observed: list[int] = []
        self._rows: list[Sequence[Any]] = []
        self._columns: dict[str, Running] = {}
        self._segments: list[Segment] = []
        self._open: list[int | None] | None = None
        """What came after the last segment: start, observed, tokens, samples; ``None``: no step has ended yet."""

    def add(self, ts_ms: int, row: Sequence[Any]) -> None:
        """Take the next row: ``TRAINING_ROW``."""
        dt = row[0]
        observed = (row[_ATTACHED] or dt) if dt else 0
        self.times.append(ts_ms)
        self._observed.append(observed)
        self._rows.append(row)
        self._step(ts_ms, row, observed)

    def _step(self, ts_ms: int, row: Sequence[Any], observed: int) -> None:
        counted = [row[at] for at in (_STEPS, _TOKENS, _SAMPLES)]
        if not observed or counted == [None, None, None]:  # a break: what was going on then is not known
            self._open = None
            return
        ended = bool(counted[0] if counted[0] is not None else counted[1] or counted[2])
        if self._open is None:
            if ended:
                self._open = [ts_ms, 0, None, None]
            return
        start, before, tokens, samples = self._open
        assert start is not None and before is not None
        tokens, samples = _plus(tokens, counted[1]), _plus(samples, counted[2])
        if ended:
            self._segments.append(Segment(start, ts_ms, before + observed, counted[0], tokens, samples))
            self._open = [ts_ms, 0, None, None]
        else:
            self._open = [start, before + observed, tokens, samples]

    def cut(self, after_ms: int) -> None:
        """Drop what is newer than ``after_ms``."""
        keep = bisect_right(self.times, after_ms)
        if keep == len(self.times):
            return
        while self._segments and self._segments[-1].end_ms > after_ms:
            self._segments.pop()
        del self.times[keep:], self._observed[keep:], self._rows[keep:]
        for column in self._columns.values():
            del column.values[keep + 1 :], column.observed[keep + 1 :]
        self._open = None
        since = self._segments[-1].end_ms if self._segments else 0
        for at in range(bisect_left(self.times, since), keep):
            self._step(self.times[at], self._rows[at], self._observed[at])

    def forget(self, before_ms: int) -> None:
        """Drop what is older than ``before_ms``, now or soon."""
        gone = bisect_right(self.times, before_ms)
        if gone < _SLACK:
            return
        del self.times[:gone], self._observed[:gone], self._rows[:gone]
        self._columns = {name: column for name, column in self._columns.items() if len(column.values) > gone}
        for column in self._columns.values():
            del column.values[:gone], column.observed[:gone]
        kept = next((n for n, segment in enumerate(self._segments) if segment.start_ms >= before_ms), len(self._segments))
        del self._segments[:kept]

    # ----------------------------------------------------------------------------------------------------------- asking

    @property
    def newest_ms(self) -> int | None:
        """Time of the newest row."""
        return self.times[-1] if self.times else None

    @property
    def newest_dt_ms(self) -> int:
        """The time that it speaks for."""
        return int(self._rows[-1][0]) if self._rows else 0

    def now(self, name: str) -> float | None:
        """A gauge or state of the newest row, in base units."""
        value = self._rows[-1][_AT[name]] if self._rows else None
        return None if value is None else value / _MEASURES[name].scale

    def last(self, name: str, after_ms: int) -> float | None:
        """The same of the newest row after an instant that knows it."""
        at = _AT[name]
        for number in range(len(self.times) - 1, bisect_right(self.times, after_ms) - 1, -1):
            if (value := self._rows[number][at]) is not None:
                return value / _MEASURES[name].scale  # type: ignore[no-any-return]
        return None

    def phase(self, at_ms: int) -> tuple[Phase, float] | None:
        """What it does at an instant by its newest row, and since how many seconds."""
        newest, phase = self.newest_ms, self._rows[-1][_PHASE] if self._rows else None
        if newest is None or phase is None:
            return None
        return Phase(phase), (self._rows[-1][_PHASE_AGE] or 0) / 1000 + max(0, at_ms - newest) / 1000

    def between(self, after_ms: int, to_ms: int, names: Sequence[str] = COUNTS) -> Sums:
        """The sums of the rows of ``(after_ms, to_ms]``."""
        first, last = bisect_right(self.times, after_ms), bisect_right(self.times, to_ms)
        out = {}
        for name in names if first < last else ():
            column = self._column(name)
            ms = column.observed[last] - column.observed[first]
            if ms:
                out[name] = Sum(column.values[last] - column.values[first], ms)
        return Sums(out)

    def whole_steps(self, after_ms: int, to_ms: int) -> tuple[int, int] | None:
        """From the end of one step to that of another: the longest such span within ``(after_ms, to_ms]``."""
        there = [segment for segment in self._segments if segment.start_ms > after_ms and segment.end_ms <= to_ms]
        return (there[0].start_ms, there[-1].end_ms) if there else None

    def _column(self, name: str) -> Running:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = Running()
        have = len(column.values) - 1
        if have < len(self._rows):
            at = _AT[name]
            column.extend([row[at] for row in self._rows[have:]], self._observed[have:])
        return column

    # ------------------------------------------------------------------------------------------------------------ rates

    def segments(self, after_ms: int) -> list[Segment]:
        """The segments that end after an instant; the last one is of a step that takes far longer than those before, if it does."""
        there = self._segments[bisect_right(self._segments, after_ms, key=_end) :]
        if self._open is not None and self.times and self._open[1]:
            start, observed, tokens, samples = self._open
            assert start is not None and observed is not None
            lengths = sorted(s.observed_ms / max(1, s.steps or 1) for s in self._segments[-9:])
            usual = lengths[len(lengths) // 2] if lengths else None
            if usual is not None and observed > STALL_STEPS * usual + self.newest_dt_ms:
                there = [*there, Segment(start, self.times[-1], observed, 0, tokens, samples)]
        return there

    def rates(self, least_ms: int, after_ms: int) -> Rates | None:
        """Means over the newest ``least_ms`` of segments, or over the newest one if that is longer; none before ``after_ms`` count."""
        steps = tokens = samples = _Amount(0.0, 0.0)
        length, end_ms = 0.0, 0
        for segment in reversed(self.segments(after_ms)):
            if end_ms and segment.end_ms != end_ms:  # not known what was in between
                break
            part = min(1.0, (least_ms - length) / segment.observed_ms) if length else 1.0
            steps, tokens, samples = (
                _part(had, count, segment.observed_ms, part)
                for had, count in ((steps, segment.steps), (tokens, segment.tokens), (samples, segment.samples))
            )
            length, end_ms = length + segment.observed_ms * part, segment.start_ms
            if length >= least_ms:
                break
        return Rates(length / 1000, *(_rate(each) for each in (steps, tokens, samples))) if length else None

    def span(self, seconds: float, after_ms: int) -> tuple[int, int] | None:
        """From when to when :meth:`rates` reaches that said so many seconds."""
        there = self.segments(after_ms)
        return (there[-1].end_ms - round(seconds * 1000), there[-1].end_ms) if there else None


def _end(segment: Segment) -> int:
    return segment.end_ms


def _plus(had: int | None, more: int | None) -> int | None:
    return had if more is None else (had or 0) + more


class _Amount(NamedTuple):
    value: float
    ms: float


def _part(had: _Amount, count: int | None, observed_ms: int, part: float) -> _Amount:
    return had if count is None else _Amount(had.value + count * part, had.ms + observed_ms * part)


def _rate(counted: _Amount) -> float | None:
    return counted.value / (counted.ms / 1000) if counted.ms else None


def cell_rates(segments: Mapping[int, Sequence[Segment]], edges_ms: Sequence[int], unit: str) -> tuple[float | None, ...]:
    """What all ranks (``proc_id`` -> segments) do a second between each two of these instants; ``unit`` is a field of a segment."""
    cells: list[float | None] = [None] * (len(edges_ms) - 1)
    for each in segments.values():
        for number in range(len(cells)):
            amount = seen = 0.0
            for segment in each:
                ms = min(edges_ms[number + 1], segment.end_ms) - max(edges_ms[number], segment.start_ms)
                count = getattr(segment, unit)
                if ms > 0 and count is not None:
                    share = ms / (segment.end_ms - segment.start_ms)
                    amount, seen = amount + count * share, seen + segment.observed_ms * share
            if seen:
                cells[number] = (cells[number] or 0.0) + amount / (seen / 1000)
    return tuple(cells)
