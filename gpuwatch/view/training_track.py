"""One training process' recent rows with running sums of its counts, in the store's integers; and its steps."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

from gpuwatch.measure import measures
from gpuwatch.names import Phase
from gpuwatch.store.trained import TRAINING_ROW
from gpuwatch.training import TrainingSample
from gpuwatch.view.counts import Running, Sum, Sums
from gpuwatch.view.training_steps import Segments

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
assert TRAINING_ROW[1:] == tuple(m.column for m in _MEASURES.values())


class RankTrack:
    """The rows of one rank, oldest first. Rows that speak for no time count nowhere, as in minutes."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self._observed: list[int] = []
        self._rows: list[Sequence[Any]] = []
        self._columns: dict[str, Running] = {}
        self.segments = Segments()

    def add(self, ts_ms: int, row: Sequence[Any]) -> None:
        """Take the next row: ``TRAINING_ROW``."""
        dt = row[0]
        observed = (row[_ATTACHED] or dt) if dt else 0
        self.times.append(ts_ms)
        self._observed.append(observed)
        self._rows.append(row)
        self._step(ts_ms, row, observed)

    def _step(self, ts_ms: int, row: Sequence[Any], observed: int) -> None:
        self.segments.row(ts_ms, observed, (row[_STEPS], row[_TOKENS], row[_SAMPLES]), whole=row[_ATTACHED] is None)

    def cut(self, after_ms: int) -> None:
        """Drop what is newer than ``after_ms``."""
        keep = bisect_right(self.times, after_ms)
        if keep == len(self.times):
            return
        del self.times[keep:], self._observed[keep:], self._rows[keep:]
        for column in self._columns.values():
            del column.values[keep + 1 :], column.observed[keep + 1 :]
        for at in range(bisect_left(self.times, self.segments.cut(after_ms)), keep):
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
        self.segments.forget(before_ms)

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

    def _column(self, name: str) -> Running:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = Running()
        have = len(column.values) - 1
        if have < len(self._rows):
            at = _AT[name]
            column.extend([row[at] for row in self._rows[have:]], self._observed[have:])
        return column
