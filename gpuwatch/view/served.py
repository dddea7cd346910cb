"""What is read of inference servers for one view: rows, buckets, requests of the last hour, energy of GPUs. Kept up at the live end.

A view needs the last five minutes of each server. At the live end only rows that are new are read, and again the last few seconds,
since a slow collector may add to ticks that were read. Where single rows of waiting times are no longer kept, the five minutes are
the whole minutes before the instant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.measure import measures
from gpuwatch.model import InferenceSample
from gpuwatch.store.window import Window
from gpuwatch.view.counts import NOTHING, Sum, Sums
from gpuwatch.view.energy import Energies
from gpuwatch.view.served_rows import CELL_MS, MINUTE_COLUMNS, Buckets, LatencyCells, ServerTrack, minute_sums

MINUTE_MS = 60_000
WINDOW_MS = 300_000
"""Latencies, hit ratios, means and requests a second are of so much time."""
FINISHED_MS = 3_600_000
RATE_CELLS, RATE_CELL_MS = 9, 20_000
FINISHED = ("finished_stop_total", "finished_length_total", "finished_aborted_total", "finished_error_total")
_FINISHED_COLUMNS = tuple(f"{measures(InferenceSample)[name].column}_sum" for name in FINISHED)
_CELLS = WINDOW_MS // CELL_MS
ROWS_MS = WINDOW_MS + CELL_MS


def _ended(row: Sequence[int | None]) -> Sums:
    """What minutes say of ended requests; for how long it was counted is not asked."""
    return Sums({name: Sum(value, 1) for name, value in zip(FINISHED, row, strict=True) if value is not None})


class Recent(NamedTuple):
    """What is known of one server's last minutes."""

    track: ServerTrack
    buckets: Mapping[int, Buckets]
    """Latency -> (lower, upper) -> observations of the window."""
    sums: Sums
    """Of the window."""
    start_ms: int
    end_ms: int | None
    """The window's; ``None``: the instant."""
    finished: Sums
    finished_start_ms: int
    rate_cells: tuple[float | None, ...]
    """Output tokens a second, oldest first."""


class Servers:
    """The recent rows of some servers up to an instant: one of the past is loaded once, the live one advances."""

    def __init__(self, window: Window, *, live: bool) -> None:
        self._window = window
        self._live = live
        self.at_ms = 0
        self._ids: tuple[int, ...] = ()
        self._tracks: dict[int, ServerTrack] = {}
        self._taken: set[tuple[int, int]] = set()
        """(time, workload) of the young rows that were taken."""
        self._once: dict[int, dict[int, Buckets]] | None = None
        """Buckets that were added up for this instant alone; ``None`` once cells are kept."""
        self._cells: dict[int, LatencyCells] = {}
        self._closed_ms = 0
        """Minutes up to here are closed."""
        self._recent: dict[int, tuple[object, Recent]] = {}
        self._minutes: tuple[object, Mapping[int, Sums]] = (None, {})
        self._energies = Energies(window)
        self.made: dict[int, tuple[Any, ...]] = {}
        """What the view keeps of a server while nothing of it changes."""

    def advance(self, workload_ids: Collection[int], at_ms: int, late_ms: int) -> None:
        """Read what is new up to ``at_ms``; rows of the last ``late_ms`` may still come."""
        ids = tuple(workload_ids)
        since_ms = self.at_ms - late_ms
        if at_ms < self.at_ms or not set(ids) <= set(self._ids):  # the clock was set back, or a server is new
            self._tracks, self._cells, self._recent, self.made, self._once, self._ids = {}, {}, {}, {}, None, ids
            self._taken.clear()
        self.at_ms = at_ms
        if not self._ids:
            return
        self._closed_ms = min(self._window.watermark("minute") * 1000, at_ms // MINUTE_MS * MINUTE_MS)
        if not self._tracks:
            self._take(at_ms - ROWS_MS)
            self._once = self._buckets_at_once()
            return
        for track in self._tracks.values():
            track.forget(at_ms - ROWS_MS)
        since_ms = max(since_ms, at_ms - ROWS_MS)
        fresh = self._take(since_ms)
        if self._once is not None:  # somebody looks on: from now on cells come and go
            self._once, self._cells = None, {}
            for cell, workload_id, *counted in self._window.latency_cells(self._ids, self._start_ms, at_ms, CELL_MS):
                self._put(workload_id, cell, counted)
            return
        for cells in self._cells.values():
            cells.forget(self._start_ms // CELL_MS)
        if fresh:
            first_ms, last_ms = min(fresh)[0], max(fresh)[0]
            for ts_ms, workload_id, *counted in self._window.latency_rows(self._ids, first_ms - 1, last_ms):
                if (ts_ms, workload_id) in fresh and ts_ms > self._start_ms:
                    self._put(workload_id, (ts_ms - 1) // CELL_MS, counted)

    def _take(self, after_ms: int) -> set[tuple[int, int]]:
        """Rows after an instant that were not taken yet. One that comes late, before others, lets those be added again."""
        fresh = set()
        for _, ts_ms, workload_id, *row in self._window.inference_rows(self._ids, after_ms, self.at_ms):
            track = self._track(workload_id)
            if track.newest_seen_ms >= ts_ms:
                if track.has(ts_ms):
                    continue
                track.cut(ts_ms)
            track.add(ts_ms, row)
            if (ts_ms, workload_id) not in self._taken:
                fresh.add((ts_ms, workload_id))
        self._taken = {row for row in self._taken if row[0] > after_ms} | fresh
        return fresh

    def _track(self, workload_id: int) -> ServerTrack:
        found = self._tracks.get(workload_id)
        if found is None:
            found = self._tracks[workload_id] = ServerTrack()
        return found

    @property
    def _single(self) -> bool:
        """Whether the rows of waiting times of the whole window are kept."""
        if self._live or self._window.at_ms is None:
            return True
        since = self._window.hot_since_ms()
        return since is not None and since <= self._start_ms

    @property
    def _start_ms(self) -> int:
        return ((self.at_ms - 1) // CELL_MS - _CELLS + 1) * CELL_MS

    def _put(self, workload_id: int, cell: int, counted: Sequence[int]) -> None:
        cells = self._cells.get(workload_id)
        if cells is None:
            cells = self._cells[workload_id] = LatencyCells()
        cells.add(cell, counted[0], counted[1], counted[2], counted[3])

    def _buckets_at_once(self) -> dict[int, dict[int, Buckets]]:
        """The window's buckets: closed minutes, which are few rows, and single rows before and after them."""
        window, ids, at_ms, closed_ms = self._window, self._ids, self.at_ms, self._closed_ms
        start_ms = -(-self._start_ms // MINUTE_MS) * MINUTE_MS
        if not self._single:
            closed_ms = at_ms // MINUTE_MS * MINUTE_MS
            found = window.latency_minutes(ids, (closed_ms - WINDOW_MS) // 1000, closed_ms // 1000)
        elif start_ms < closed_ms:
            found = window.latency_minutes(ids, start_ms // 1000, closed_ms // 1000)
            found += window.latency_cells(ids, self._start_ms, start_ms, ROWS_MS)
            found += window.latency_cells(ids, closed_ms, at_ms, ROWS_MS)
        else:
            found = window.latency_cells(ids, self._start_ms, at_ms, ROWS_MS)
        out: dict[int, dict[int, Buckets]] = {}
        for _, workload_id, latency, lower, upper, count in found:
            buckets = out.setdefault(workload_id, {}).setdefault(latency, {})
            buckets[lower, upper] = buckets.get((lower, upper), 0) + count
        return out

    # ----------------------------------------------------------------------------------------------------------- asking

    def recent(self, workload_id: int) -> Recent:
        """The last minutes of one server; the same object while nothing of it changes."""
        track = self._track(workload_id)
        key = (track.mark, self._start_ms, self._closed_ms, self._once is None)
        kept = self._recent.get(workload_id)
        if kept is None or kept[0] != key:
            kept = self._recent[workload_id] = (key, self._made(workload_id, track))
        return kept[1]

    def _made(self, workload_id: int, track: ServerTrack) -> Recent:
        start_ms, end_ms = self._start_ms, None
        if self._single:
            sums = track.between(start_ms, self.at_ms)
        else:
            end_ms = self.at_ms // MINUTE_MS * MINUTE_MS
            start_ms = end_ms - WINDOW_MS
            sums = self._closed_minutes(start_ms, end_ms).get(workload_id, NOTHING)
        if self._once is not None:
            buckets: Mapping[int, Buckets] = self._once.get(workload_id, {})
        else:
            cells = self._cells.get(workload_id)
            buckets = cells.total if cells else {}
        finished, since_ms = self._finished(workload_id, track)
        return Recent(track, buckets, sums, start_ms, end_ms, finished, since_ms, self._rates(track))

    def _rates(self, track: ServerTrack) -> tuple[float | None, ...]:
        last = (self.at_ms - 1) // RATE_CELL_MS
        edges = [number * RATE_CELL_MS for number in range(last - RATE_CELLS + 1, last + 1)]
        return track.rates("output_tokens_total", [*edges, self.at_ms])

    def _finished(self, workload_id: int, track: ServerTrack) -> tuple[Sums, int]:
        """Requests of the last hour: closed minutes, and the rows after them."""
        start_ms = -(-(self.at_ms - FINISHED_MS) // MINUTE_MS) * MINUTE_MS
        closed_ms = max(start_ms, self._closed_ms)
        key = (start_ms, closed_ms, self._ids)
        if self._minutes[0] != key:
            found = self._window.workload_sums(self._ids, _FINISHED_COLUMNS, start_ms // 1000, closed_ms // 1000)
            self._minutes = (key, {row[0]: _ended(row[1:]) for row in found})
        sums = self._minutes[1].get(workload_id, NOTHING)
        kept_ms = self.at_ms - ROWS_MS
        if closed_ms < kept_ms:  # nobody has closed minutes for a while
            older = ServerTrack()
            for _, ts_ms, _, *row in self._window.inference_rows((workload_id,), closed_ms, kept_ms):
                older.add(ts_ms, row)
            sums = sums.plus(older.between(closed_ms, kept_ms, FINISHED))
        return sums.plus(track.between(max(closed_ms, kept_ms), self.at_ms, FINISHED)), start_ms

    def _closed_minutes(self, start_ms: int, end_ms: int) -> Mapping[int, Sums]:
        out: dict[int, Sums] = {}
        if start_ms < end_ms and self._ids:
            for _, workload_id, *row in self._window.workload_minutes(self._ids, MINUTE_COLUMNS, start_ms // 1000, end_ms // 1000):
                assert workload_id is not None
                out[workload_id] = out.get(workload_id, NOTHING).plus(minute_sums(row))
        return out

    def power(self, gpu_id: int, start_ms: int, end_ms: int) -> float | None:
        """The mean power of a GPU in ``[start_ms, end_ms]``, watts; ``None`` where less than half of the time was observed."""
        return self._energies.power(gpu_id, start_ms, end_ms, self.at_ms)


def servers_at(window: Window, workload_ids: Collection[int], at_ms: int, *, live: bool, late_ms: int) -> Servers:
    """The recent rows of these servers; the live ones are kept in the window's memo."""
    if not live:
        servers = Servers(window, live=False)
    else:
        servers = window.memo.get("servers") or window.memo.setdefault("servers", Servers(window, live=True))
    servers.advance(workload_ids, at_ms, late_ms)
    return servers
