"""What is read of inference servers for one view: rows, buckets, requests of the last hour, energy of GPUs. Kept up at the live end.

A view needs the last five minutes of each server. At the live end only rows that are new are read, and again the last few seconds,
since a slow collector may add to ticks that were read. Where single rows of waiting times are no longer kept, the five minutes are
the whole minutes before the instant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gpuwatch.dataclass import NamedTuple
from gpuwatch.store.facts import GpuFacts
from gpuwatch.store.window import Window
from gpuwatch.view.served_rows import (
    CELL_MS,
    MINUTE_COLUMNS,
    NOTHING,
    Key,
    LatencyCells,
    ServerTrack,
    Sums,
    by_latency,
    minute_sums,
)

MINUTE_MS = 60_000
WINDOW_MS = 300_000
"""Latencies, hit ratios, means and requests a second are of so much time."""
FINISHED_MS = 3_600_000
ENERGY_MS = 75_000
"""So long the energy of GPUs is kept: as far back as the longest time between a reading and its rate's start."""
_CELLS = WINDOW_MS // CELL_MS
_ROWS_MS = WINDOW_MS + CELL_MS


class Recent(NamedTuple):
    """What is known of one server's last minutes."""

    track: ServerTrack
    buckets: Mapping[int, Mapping[tuple[int, int], int]]
    """Latency -> (lower, upper) -> observations of the window."""
    sums: Sums
    """Of the window."""
    start_ms: int
    end_ms: int
    """The window's."""
    finished: Sums
    finished_start_ms: int


class Servers:
    """The recent rows of some servers up to an instant: one of the past is loaded once, the live one advances."""

    def __init__(self, window: Window, *, live: bool) -> None:
        self._window = window
        self._live = live
        self.at_ms = 0
        self._ids: tuple[int, ...] = ()
        self._tracks: dict[int, ServerTrack] = {}
        self._cells: dict[int, LatencyCells] = {}
        self._fresh: dict[int, dict[Key, int]] = {}
        self._closed_ms = 0
        """Rows up to here are read and will not change."""
        self._minutes: tuple[object, Mapping[int, Sums]] = (None, {})
        self._gpu_rows: dict[int, list[GpuFacts]] = {}
        self._gpus_ms = 0

    def advance(self, workload_ids: Collection[int], at_ms: int, late_ms: int) -> None:
        """Read what is new up to ``at_ms``; rows of the last ``late_ms`` may still come."""
        ids = tuple(workload_ids)
        if at_ms < self.at_ms or not set(ids) <= set(self._ids):  # the clock was set back, or a server is new
            self._tracks, self._cells, self._closed_ms, self._ids = {}, {}, 0, ids
        self.at_ms = at_ms
        if not self._ids:
            return
        first = max(self._closed_ms, at_ms - _ROWS_MS)
        closed_ms = max(first, at_ms - late_ms if self._live else at_ms)
        for track in self._tracks.values():
            track.cut(first)
            track.forget(at_ms - _ROWS_MS)
        for _, ts_ms, workload_id, *row in self._window.inference_rows(self._ids, first, at_ms):
            self._track(workload_id).add(ts_ms, row)
        if self._single:
            self._take_latencies(first, closed_ms)
        self._closed_ms = closed_ms

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

    def _take_latencies(self, first_ms: int, closed_ms: int) -> None:
        window, first_ms = self._window, max(first_ms, self._start_ms)
        old = self._start_ms // CELL_MS
        for cells in self._cells.values():
            cells.forget(old)
        self._fresh = {}
        if first_ms < closed_ms - 2 * CELL_MS:  # much at once: added up by SQLite
            for cell, workload_id, *key, count in window.latency_cells(self._ids, first_ms, closed_ms, CELL_MS):
                self._put(cell, workload_id, key, count)
            first_ms = closed_ms
        for ts_ms, workload_id, *key, count in window.latency_rows(self._ids, first_ms, self.at_ms):
            if ts_ms <= closed_ms:
                self._put((ts_ms - 1) // CELL_MS, workload_id, key, count)
            else:
                there, at = self._fresh.setdefault(workload_id, {}), (key[0], key[1], key[2])
                there[at] = there.get(at, 0) + count

    def _put(self, cell: int, workload_id: int, key: Sequence[int], count: int) -> None:
        self._cells.setdefault(workload_id, LatencyCells()).add(cell, (key[0], key[1], key[2]), count)

    # ----------------------------------------------------------------------------------------------------------- asking

    def recent(self, workload_id: int) -> Recent:
        """The last minutes of one server."""
        track = self._track(workload_id)
        start_ms, end_ms = self._start_ms, self.at_ms
        cells = self._cells.get(workload_id)
        counted = [self._fresh.get(workload_id, {}), cells.total if cells else {}]
        sums = track.between(start_ms, end_ms)
        if not self._single:
            end_ms = end_ms // MINUTE_MS * MINUTE_MS
            start_ms = end_ms - WINDOW_MS
            sums = self._closed_minutes(start_ms, end_ms).get(workload_id, NOTHING)
            minutes = self._window.latency_minutes((workload_id,), start_ms // 1000, end_ms // 1000)
            counted = [{(latency, lower, upper): n} for _, _, latency, lower, upper, n in minutes]
        finished, since_ms = self._finished(workload_id, track)
        return Recent(track, by_latency(counted), sums, start_ms, end_ms, finished, since_ms)

    def _finished(self, workload_id: int, track: ServerTrack) -> tuple[Sums, int]:
        """Requests of the last hour: closed minutes, and the rows after them."""
        start_ms = -(-(self.at_ms - FINISHED_MS) // MINUTE_MS) * MINUTE_MS
        closed_ms = min(self._window.watermark("minute") * 1000, self.at_ms // MINUTE_MS * MINUTE_MS)
        closed_ms = max(start_ms, closed_ms)
        key = (start_ms, closed_ms, self._ids)
        if self._minutes[0] != key:
            self._minutes = (key, self._closed_minutes(start_ms, closed_ms))
        sums = self._minutes[1].get(workload_id, NOTHING)
        kept_ms = self.at_ms - _ROWS_MS
        if closed_ms < kept_ms:  # nobody has closed minutes for a while
            older = ServerTrack()
            for _, ts_ms, _, *row in self._window.inference_rows((workload_id,), closed_ms, kept_ms):
                older.add(ts_ms, row)
            sums = sums.plus(older.between(closed_ms, kept_ms))
        return sums.plus(track.between(max(closed_ms, kept_ms), self.at_ms)), start_ms

    def _closed_minutes(self, start_ms: int, end_ms: int) -> Mapping[int, Sums]:
        out: dict[int, Sums] = {}
        if start_ms < end_ms and self._ids:
            for _, workload_id, *row in self._window.workload_minutes(self._ids, MINUTE_COLUMNS, start_ms // 1000, end_ms // 1000):
                assert workload_id is not None
                out[workload_id] = out.get(workload_id, NOTHING).plus(minute_sums(row))
        return out

    # ----------------------------------------------------------------------------------------------------------- energy

    def power(self, gpu_id: int, start_ms: int, end_ms: int) -> float | None:
        """The mean power of a GPU in ``[start_ms, end_ms]``, watts: from its energy counter, else its power readings.

        ``None`` where less than half of the time was observed.
        """
        self._take_energy()
        energy = seen = 0.0
        for row in self._gpu_rows.get(gpu_id, ()):
            ms = min(end_ms, row.ts_ms) - max(start_ms, row.ts_ms - row.dt_ms)
            if ms <= 0:
                continue
            used = (
                row.energy_mj
                if row.energy_mj is not None
                else row.power_mw * row.dt_ms / 1000
                if row.power_mw is not None
                else None
            )
            if used is not None:
                energy, seen = energy + used * ms / row.dt_ms, seen + ms
        return energy / seen if seen and seen * 2 >= end_ms - start_ms else None

    def _take_energy(self) -> None:
        """Rows of all GPUs, read when somebody asks for the first time at this instant."""
        if self._gpus_ms == self.at_ms:
            return
        since = max(self._gpus_ms, self.at_ms - ENERGY_MS) if self._gpus_ms <= self.at_ms else self.at_ms - ENERGY_MS
        if since == self.at_ms - ENERGY_MS:
            self._gpu_rows = {}
        self._gpus_ms = self.at_ms
        first, last = self._window.tick_range(since + 1, self.at_ms)
        for row in self._window.gpu_rows(first, last) if first <= last else ():
            self._gpu_rows.setdefault(row.gpu_id, []).append(row)
        for rows in self._gpu_rows.values():
            while rows and rows[0].ts_ms <= self.at_ms - ENERGY_MS:
                rows.pop(0)


def servers_at(window: Window, workload_ids: Collection[int], at_ms: int, *, live: bool, late_ms: int) -> Servers:
    """The recent rows of these servers; the live ones are kept in the window's memo."""
    if not live:
        servers = Servers(window, live=False)
    else:
        servers = window.memo.get("servers") or window.memo.setdefault("servers", Servers(window, live=True))
    servers.advance(workload_ids, at_ms, late_ms)
    return servers
