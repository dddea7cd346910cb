"""One training process' recent rows with running sums of its counts, in the store's integers; and its steps."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from gpuwatch.measure import measures
from gpuwatch.names import Phase
from gpuwatch.store.trained import TRAINING_ROW
from gpuwatch.training import TrainingSample
from gpuwatch.view.counts import NOTHING, Running, Sum, Sums
from gpuwatch.view.training_steps import Segments

_MEASURES = measures(TrainingSample)
_TIME, _DT = 0, 3
_AT = {name: number for number, name in enumerate(_MEASURES, _DT + 1)}
"""Where the fields stand in a row as a window has it: time, process and workload are before them."""
COUNTS = tuple(name for name, m in _MEASURES.items() if m.kind == "delta")
_ATTACHED, _STEPS, _TOKENS, _SAMPLES = (
    _AT[name] for name in ("attached_seconds", "rank_steps_total", "tokens_total", "samples_total")
)
_PHASE, _PHASE_AGE = _AT["phase"], _AT["phase_age_seconds"]
_SLACK = 32
"""Old rows are dropped so many at a time."""
assert TRAINING_ROW[1:] == tuple(m.column for m in _MEASURES.values())


class RankTrack:
    """The rows of one rank, oldest first. Rows that speak for no time count nowhere, as in minutes."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self._observed: list[int] = []
        self._rows: list[Sequence[Any]] = []
        self._columns: dict[str, tuple[int, Running]] = {}
        """The sums of what is asked for view after view, with its place in a row; all of the first ``_summed`` rows."""
        self._summed = 0
        self._asked: dict[str, int] = {}
        """What was asked for, and the newest row then: of an instant of the past each is asked for once or twice."""
        self.segments = Segments()

    def renew(self, after_ms: int, rows: Iterable[Sequence[Any]]) -> None:
        """Take all rows after an instant, most of which are known: from the first that is not as it was on they are taken anew."""
        at, rest = bisect_right(self.times, after_ms), iter(rows)
        for row in rest:
            if at == len(self.times) or self._rows[at] != row:
                self._cut(at)
                self.add(row)
                break
            at += 1
        else:
            self._cut(at)
        for row in rest:
            self.add(row)

    def add(self, row: Sequence[Any]) -> None:
        """Take the next row, as ``Window.training_rows`` has it."""
        dt = row[_DT]
        observed = (row[_ATTACHED] or dt) if dt else 0
        self.times.append(row[_TIME])
        self._observed.append(observed)
        self._rows.append(row)
        self._step(row, observed)

    def _step(self, row: Sequence[Any], observed: int) -> None:
        self.segments.row(row[_TIME], observed, (row[_STEPS], row[_TOKENS], row[_SAMPLES]), whole=row[_ATTACHED] is None)

    def _cut(self, keep: int) -> None:
        """Drop all rows but the first ``keep``."""
        if keep == len(self.times):
            return
        after_ms = self.times[keep] - 1
        del self.times[keep:], self._observed[keep:], self._rows[keep:]
        self._summed = min(self._summed, keep)
        for _, column in self._columns.values():
            del column.values[keep + 1 :], column.observed[keep + 1 :]
        for at in range(bisect_left(self.times, self.segments.cut(after_ms)), keep):
            self._step(self._rows[at], self._observed[at])

    def forget(self, before_ms: int, longest_ms: int) -> None:
        """Drop what is older than ``before_ms``, now or soon; of longer steps than that the newest whole one stays, up to ``longest_ms``."""
        needed_ms = self.segments.needed_ms
        if needed_ms is not None and needed_ms <= before_ms:
            before_ms = max(longest_ms, needed_ms - 1)
        gone = bisect_right(self.times, before_ms)
        if gone < _SLACK:
            return
        del self.times[:gone], self._observed[:gone], self._rows[:gone]
        if gone > self._summed:
            self._columns, gone = {}, self._summed
        for _, column in self._columns.values():
            del column.values[:gone], column.observed[:gone]
        self._summed -= gone
        self.segments.forget(before_ms)

    # ----------------------------------------------------------------------------------------------------------- asking

    @property
    def newest_ms(self) -> int | None:
        """Time of the newest row."""
        return self.times[-1] if self.times else None

    @property
    def newest_dt_ms(self) -> int:
        """The time that it speaks for."""
        return int(self._rows[-1][_DT]) if self._rows else 0

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
        if first >= last:
            return NOTHING
        self._sum(names)
        out = {}
        for name in names:
            found = self._columns.get(name)
            if found is None:
                value, ms = self._once(name, first, last)
            else:
                values, observed = found[1].values, found[1].observed
                value, ms = values[last] - values[first], observed[last] - observed[first]
            if ms:
                out[name] = Sum(value, ms)
        return Sums(out)

    def _once(self, name: str, first: int, last: int) -> tuple[int, int]:
        """What was counted in some rows, and the time in which."""
        at, windows = _AT[name], self._observed[first:last]
        counts = [row[at] for row in self._rows[first:last]]
        if None not in counts and 0 not in windows:
            return sum(counts), sum(windows)
        known = [(count, ms) for count, ms in zip(counts, windows, strict=True) if count is not None and ms]
        return sum(count for count, _ in known), sum(ms for _, ms in known)

    def _sum(self, names: Sequence[str]) -> None:
        """Bring the sums up to the newest row, and make those of what was asked for before that came."""
        new = len(self._rows) - self._summed
        if new == 1:  # the live end
            row, ms = self._rows[-1], self._observed[-1]
            for at, column in self._columns.values():
                values, observed, count = column.values, column.observed, row[at]
                known = count is not None and ms
                values.append(values[-1] + count if known else values[-1])
                observed.append(observed[-1] + ms if known else observed[-1])
        elif new:
            for at, column in self._columns.values():
                column.extend([row[at] for row in self._rows[self._summed :]], self._observed[self._summed :])
        self._summed, newest = len(self._rows), self.times[-1]
        for name in names:
            if name not in self._columns and self._asked.setdefault(name, newest) != newest:
                at, column = _AT[name], Running()
                column.extend([row[at] for row in self._rows], self._observed)
                self._columns[name] = at, column
