"""One server's recent rows with running sums, so that any span of them is the difference of two lines; and its buckets by cells.

The counts of a row lie between two readings that are ``window_ms`` apart: a rate is the sum of counts over the sum of those times.
All sums are the store's integers: what is kept up row by row and what is read at once agree exactly.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.measure import measures
from gpuwatch.model import InferenceSample
from gpuwatch.names import ServerState
from gpuwatch.store.columns import rollup
from gpuwatch.store.served import INFERENCE_ROW
from gpuwatch.view.counts import Running, Sum, Sums

CELL_MS = 10_000
"""Buckets are kept in cells of so much time; a span of them begins at a cell's border."""
Buckets = dict[tuple[int, int], int]
"""(lower_us, upper_us) -> observations."""
_MEASURES = measures(InferenceSample)
WINDOW = "window_seconds"
COUNTS = tuple(name for name, m in _MEASURES.items() if m.kind == "delta" and name != WINDOW)
"""Names of the counts of a row, as the model has them."""
_AT = {name: number for number, name in enumerate(_MEASURES, 1)}
_GAUGE_AT = tuple((name, _AT[name], m.scale) for name, m in _MEASURES.items() if m.kind == "gauge")
_STATE_AT, _WINDOW_AT = _AT["server_state"], _AT[WINDOW]
_SCALE = {name: _MEASURES[name].scale for name in COUNTS}
_SLACK = 32
"""Old rows are dropped so many at a time."""
assert INFERENCE_ROW[1:] == tuple(m.column for m in _MEASURES.values())


# what a minute's row has of the same
_ROLLED = {column.source: column for column in rollup(InferenceSample) if column.how == "sum"}
_MINUTE = tuple((name, _ROLLED[_MEASURES[name].column]) for name in COUNTS)
MINUTE_COLUMNS = (*dict.fromkeys(c for _, r in _MINUTE for c in (r.name, f"{r.group}_obs_ms")), "window_ms_sum", "window_obs_ms")
_MINUTE_AT = tuple((name, MINUTE_COLUMNS.index(r.name), MINUTE_COLUMNS.index(f"{r.group}_obs_ms")) for name, r in _MINUTE)
_MINUTE_WINDOW = len(MINUTE_COLUMNS) - 2


def minute_sums(row: Sequence[int | None]) -> Sums:
    """The sums of a minute's ``MINUTE_COLUMNS``: a group that was known for a part of it was counted in that part of the windows."""
    windows, known = row[_MINUTE_WINDOW] or 0, row[_MINUTE_WINDOW + 1] or 0
    out = {}
    for name, at, obs in _MINUTE_AT:
        value, ms = row[at], row[obs] or 0
        if value is not None and ms:
            out[name] = Sum(value, windows * ms // known if ms < known else windows or ms)
    return Sums(out)


class ServerTrack:
    """The rows of one server, oldest first. Rows that speak for no time count nowhere, as in minutes.

    A count is added up when it is asked for: of an instant of the past few are, and only once.
    """

    def __init__(self) -> None:
        self.times: list[int] = []
        """Of the good readings."""
        self._windows: list[int] = []
        self._columns: dict[str, Running] = {}
        self._rows: list[Sequence[Any]] = []
        self._seen: list[int] = []
        self._states: list[int] = []

    def add(self, ts_ms: int, row: Sequence[Any]) -> None:
        """Take the next row: ``INFERENCE_ROW``."""
        state = row[_STATE_AT]
        self._seen.append(ts_ms)
        self._states.append(state if state is not None else ServerState.UP)
        if state is not None and state != ServerState.UP:
            return
        self.times.append(ts_ms)
        self._windows.append((row[_WINDOW_AT] or row[0]) if row[0] else 0)
        self._rows.append(row)

    def _column(self, name: str) -> Running:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = Running()
        have = len(column.values) - 1
        if have < len(self._rows):
            at = _AT[name]
            column.extend([row[at] for row in self._rows[have:]], self._windows[have:])
        return column

    def has(self, ts_ms: int) -> bool:
        """Whether the row of this time was taken."""
        at = bisect_left(self._seen, ts_ms)
        return at < len(self._seen) and self._seen[at] == ts_ms

    def cut(self, after_ms: int) -> None:
        """Drop what is newer than ``after_ms``."""
        keep = bisect_right(self.times, after_ms)
        del self.times[keep:], self._windows[keep:], self._rows[keep:]
        for column in self._columns.values():
            del column.values[keep + 1 :], column.observed[keep + 1 :]
        keep = bisect_right(self._seen, after_ms)
        del self._seen[keep:], self._states[keep:]

    def forget(self, before_ms: int) -> None:
        """Drop what is older than ``before_ms``, now or soon."""
        gone = bisect_right(self._seen, before_ms)
        if gone < _SLACK:
            return
        del self._seen[:gone], self._states[:gone]
        gone = bisect_right(self.times, before_ms)
        del self.times[:gone], self._windows[:gone], self._rows[:gone]
        self._columns = {name: column for name, column in self._columns.items() if len(column.values) > gone}
        for column in self._columns.values():
            del column.values[:gone], column.observed[:gone]

    @property
    def newest_seen_ms(self) -> int:
        """Time of the newest row, good or not; 0: none."""
        return self._seen[-1] if self._seen else 0

    @property
    def mark(self) -> tuple[int, int]:
        """Changes with every row that is taken."""
        return self.newest_seen_ms, len(self._seen) - bisect_right(self._seen, self.newest_seen_ms - _MARK_MS)

    def _lines(self, after_ms: int, to_ms: int) -> tuple[int, int]:
        return bisect_right(self.times, after_ms), bisect_right(self.times, to_ms)

    def between(self, after_ms: int, to_ms: int, names: Sequence[str] = COUNTS) -> Sums:
        """The sums of the rows of ``(after_ms, to_ms]``."""
        first, last = self._lines(after_ms, to_ms)
        out = {}
        for name in names if first < last else ():
            column = self._column(name)
            ms = column.observed[last] - column.observed[first]
            if ms:
                out[name] = Sum(column.values[last] - column.values[first], ms)
        return Sums(out)

    def rates(self, name: str, edges_ms: Sequence[int]) -> tuple[float | None, ...]:
        """The count a second between each two of these instants, in base units."""
        column, times, scale = self._column(name), self.times, _SCALE[name] / 1000
        lines = [bisect_right(times, edge) for edge in edges_ms]
        values, observed = [column.values[line] for line in lines], [column.observed[line] for line in lines]
        return tuple(
            (values[n + 1] - values[n]) / scale / ms if (ms := observed[n + 1] - observed[n]) else None
            for n in range(len(lines) - 1)
        )

    def one(self, name: str, after_ms: int, to_ms: int) -> Sums:
        """The same of one count."""
        return self.between(after_ms, to_ms, (name,))

    def span(self, after_ms: int, to_ms: int) -> tuple[int, int] | None:
        """From when to when the readings of the rows of ``(after_ms, to_ms]`` reach."""
        first, last = self._lines(after_ms, to_ms)
        return (self.times[first] - self._windows[first], self.times[last - 1]) if first < last else None

    @property
    def newest_ms(self) -> int | None:
        """Time of the newest good reading."""
        return self.times[-1] if self.times else None

    @property
    def newest_dt_ms(self) -> int:
        """The time that it speaks for: about so much later the next one is due."""
        return int(self._rows[-1][0]) if self._rows else 0

    @property
    def state(self) -> ServerState | None:
        """What the newest row says."""
        return ServerState(self._states[-1]) if self._states else None

    def gauges(self) -> Mapping[str, float | None]:
        """The gauges of the newest good reading, in base units."""
        row = self._rows[-1] if self._rows else None
        return {name: None if row is None or row[at] is None else row[at] / scale for name, at, scale in _GAUGE_AT}


_MARK_MS = 60_000


class LatencyCells:
    """The buckets of one server, added up in cells of ``CELL_MS``, with the sum of all that are kept."""

    def __init__(self) -> None:
        self._cells: dict[int, dict[tuple[int, int, int], int]] = {}
        self.total: dict[int, Buckets] = {}
        """By latency."""

    def add(self, cell: int, latency: int, lower: int, upper: int, count: int) -> None:
        """More observations."""
        there, key = self._cells.setdefault(cell, {}), (latency, lower, upper)
        there[key] = there.get(key, 0) + count
        total, bucket = self.total.setdefault(latency, {}), (lower, upper)
        total[bucket] = total.get(bucket, 0) + count

    def forget(self, before_cell: int) -> None:
        """Drop the cells before this one."""
        for cell in [cell for cell in self._cells if cell < before_cell]:
            for (latency, lower, upper), count in self._cells.pop(cell).items():
                total, bucket = self.total[latency], (lower, upper)
                left = total[bucket] - count
                if left:
                    total[bucket] = left
                else:
                    del total[bucket]
