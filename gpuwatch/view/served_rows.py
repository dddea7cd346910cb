"""One server's recent rows with running sums, so that any span of them is the difference of two lines; and its buckets by cells.

The counts of a row lie between two readings that are ``window_ms`` apart: a rate is the sum of counts over the sum of those times.
All sums are the store's integers: what is kept up row by row and what is read at once agree exactly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import dataclass
from gpuwatch.measure import measures
from gpuwatch.model import InferenceSample
from gpuwatch.names import ServerState
from gpuwatch.store.columns import rollup
from gpuwatch.store.served import INFERENCE_ROW

CELL_MS = 10_000
"""Buckets are kept in cells of so much time; a span of them begins at a cell's border."""
Key = tuple[int, int, int]
"""(latency, lower_us, upper_us)."""
_MEASURES = measures(InferenceSample)
WINDOW = "window_seconds"
COUNTS = tuple(name for name, m in _MEASURES.items() if m.kind == "delta" and name != WINDOW)
"""Names of the counts of a row, as the model has them."""
GAUGES = tuple(name for name, m in _MEASURES.items() if m.kind == "gauge")
_AT = {m.column: number for number, m in enumerate(_MEASURES.values(), 1)}
_COUNT_AT = tuple(_AT[_MEASURES[name].column] for name in COUNTS)
_GAUGE_AT = tuple((name, _AT[_MEASURES[name].column], _MEASURES[name].scale) for name in GAUGES)
_STATE_AT, _WINDOW_AT = _AT["server_state"], _AT[_MEASURES[WINDOW].column]
_SCALE = {name: _MEASURES[name].scale for name in COUNTS}
_NUMBER = {name: number for number, name in enumerate(COUNTS)}
assert INFERENCE_ROW[1:] == tuple(m.column for m in _MEASURES.values())


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts of a span, the store's integers, and for each the time in milliseconds in which it was counted."""

    values: Sequence[int]
    observed_ms: Sequence[int]

    def total(self, name: str) -> int | None:
        """The count of a field; ``None``: never counted in the span."""
        at = _NUMBER[name]
        return self.values[at] if self.observed_ms[at] else None

    def amount(self, name: str) -> float | None:
        """The same in base units."""
        found = self.total(name)
        return None if found is None else found / _SCALE[name]

    def rate(self, name: str) -> float | None:
        """The count a second, in base units."""
        at = _NUMBER[name]
        ms = self.observed_ms[at]
        return self.values[at] / _SCALE[name] / (ms / 1000) if ms else None

    def seconds(self, name: str) -> float:
        """The time in which a field was counted."""
        return self.observed_ms[_NUMBER[name]] / 1000

    def ratio(self, part: str, whole: str) -> float | None:
        """One count over another, between 0 and 1: a page is not read in one instant. ``None`` where one is unknown or nothing came."""
        above, below = self.total(part), self.total(whole)
        return None if above is None or not below else min(1.0, above / below)

    def plus(self, other: Sums) -> Sums:
        """Both spans."""
        return Sums(_added(self.values, other.values), _added(self.observed_ms, other.observed_ms))


def _added(some: Sequence[int], others: Sequence[int]) -> Sequence[int]:
    return [a + b for a, b in zip(some, others)]


NOTHING = Sums((0,) * len(COUNTS), (0,) * len(COUNTS))

# what a minute's row has of the same
_ROLLED = {column.source: column for column in rollup(InferenceSample) if column.how == "sum"}
_MINUTE = tuple((_ROLLED[_MEASURES[name].column].name, f"{_ROLLED[_MEASURES[name].column].group}_obs_ms") for name in COUNTS)
MINUTE_COLUMNS = (*dict.fromkeys(name for pair in _MINUTE for name in pair), "window_ms_sum", "window_obs_ms")
_MINUTE_AT = tuple((MINUTE_COLUMNS.index(value), MINUTE_COLUMNS.index(observed)) for value, observed in _MINUTE)
_MINUTE_WINDOW = len(MINUTE_COLUMNS) - 2


def minute_sums(row: Sequence[int | None]) -> Sums:
    """The sums of a minute's ``MINUTE_COLUMNS``: a group that was known for a part of it was counted in that part of the windows."""
    windows, known = row[_MINUTE_WINDOW] or 0, row[_MINUTE_WINDOW + 1] or 0
    values, observed = [], []
    for at, obs in _MINUTE_AT:
        value, ms = row[at], row[obs] or 0
        values.append(value or 0)
        if value is None:
            observed.append(0)
        else:
            observed.append(windows * ms // known if known and ms < known else windows or ms)
    return Sums(values, observed)


class ServerTrack:
    """The rows of one server, oldest first. Rows that speak for no time count nowhere, as in minutes."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.starts: list[int] = []
        self._sums: list[Sums] = [NOTHING]
        self._rows: list[Sequence[Any]] = []
        self.states: list[tuple[int, int]] = []
        """(time, state) of every row, also of those without numbers."""

    def add(self, ts_ms: int, row: Sequence[Any]) -> None:
        """Take the next row: ``INFERENCE_ROW``."""
        state = row[_STATE_AT]
        self.states.append((ts_ms, state if state is not None else ServerState.UP))
        if state is not None and state != ServerState.UP:
            return
        window = row[_WINDOW_AT] or row[0] if row[0] else 0
        before = self._sums[-1]
        found = [row[at] for at in _COUNT_AT]
        if window:
            values = [a + b if b is not None else a for a, b in zip(before.values, found)]
            observed = [a + window if b is not None else a for a, b in zip(before.observed_ms, found)]
            before = Sums(values, observed)
        self.times.append(ts_ms)
        self.starts.append(ts_ms - window)
        self._sums.append(before)
        self._rows.append(row)

    def cut(self, after_ms: int) -> None:
        """Drop what is newer than ``after_ms``: it is about to be read again."""
        keep = bisect_right(self.times, after_ms)
        del self.times[keep:], self.starts[keep:], self._rows[keep:], self._sums[keep + 1 :]
        while self.states and self.states[-1][0] > after_ms:
            self.states.pop()

    def forget(self, before_ms: int) -> None:
        """Drop what is older than ``before_ms``."""
        gone = bisect_right(self.times, before_ms)
        del self.times[:gone], self.starts[:gone], self._rows[:gone], self._sums[:gone]
        if self.states and self.states[0][0] <= before_ms:
            self.states = [state for state in self.states if state[0] > before_ms]

    def between(self, after_ms: int, to_ms: int) -> Sums:
        """The sums of the rows of ``(after_ms, to_ms]``."""
        first, last = bisect_right(self.times, after_ms), bisect_right(self.times, to_ms)
        if first >= last:
            return NOTHING
        old, new = self._sums[first], self._sums[last]
        return Sums([b - a for a, b in zip(old.values, new.values)], [b - a for a, b in zip(old.observed_ms, new.observed_ms)])

    def span(self, after_ms: int, to_ms: int) -> tuple[int, int] | None:
        """From when to when the readings of the rows of ``(after_ms, to_ms]`` reach."""
        first, last = bisect_right(self.times, after_ms), bisect_right(self.times, to_ms)
        return (self.starts[first], self.times[last - 1]) if first < last else None

    @property
    def newest_ms(self) -> int | None:
        """Time of the newest good reading."""
        return self.times[-1] if self.times else None

    @property
    def state(self) -> ServerState | None:
        """What the newest row says."""
        return ServerState(self.states[-1][1]) if self.states else None

    def gauges(self) -> Mapping[str, float | None]:
        """The gauges of the newest good reading, in base units."""
        row = self._rows[-1] if self._rows else None
        return {name: None if row is None or row[at] is None else row[at] / scale for name, at, scale in _GAUGE_AT}


class LatencyCells:
    """The buckets of one server, added up in cells of ``CELL_MS``, with the sum of all that are kept."""

    def __init__(self) -> None:
        self._cells: dict[int, dict[Key, int]] = {}
        self.total: dict[Key, int] = {}

    def add(self, cell: int, key: Key, count: int) -> None:
        """More observations."""
        there = self._cells.setdefault(cell, {})
        there[key] = there.get(key, 0) + count
        self.total[key] = self.total.get(key, 0) + count

    def forget(self, before_cell: int) -> None:
        """Drop the cells before this one."""
        for cell in [cell for cell in self._cells if cell < before_cell]:
            for key, count in self._cells.pop(cell).items():
                left = self.total[key] - count
                if left:
                    self.total[key] = left
                else:
                    del self.total[key]


def by_latency(counts: Iterable[Mapping[Key, int]]) -> dict[int, dict[tuple[int, int], int]]:
    """Latency -> (lower, upper) -> observations, of all of these together."""
    out: dict[int, dict[tuple[int, int], int]] = {}
    for some in counts:
        for (latency, lower, upper), count in some.items():
            buckets = out.setdefault(latency, {})
            buckets[lower, upper] = buckets.get((lower, upper), 0) + count
    return out
