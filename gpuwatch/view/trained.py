"""What is read of trainings for one view: the ranks' rows and step times of the last five minutes. Kept up at the live end.

At the live end only rows that are new are read, and again the last few seconds, since a slow collector may add to ticks that were
read. Where a step takes so long that no whole one lies in the five minutes, rows are kept from the start of the newest whole one on. Where single rows of step times are no longer kept, the five minutes of percentiles are the whole minutes before the instant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from gpuwatch.names import Phase
from gpuwatch.store.training_window import step_cells
from gpuwatch.store.window import Window
from gpuwatch.view.counts import Sums
from gpuwatch.view.energy import Energies
from gpuwatch.view.training_steps import SLACK_MS, STALL_STEPS
from gpuwatch.view.training_track import RankTrack

CELL_MS = 10_000
WINDOW_MS = 300_000
"""Phases, ranks and percentiles are of so much time."""
ROWS_MS = WINDOW_MS + CELL_MS
LONGEST_MS = 1_800_000
"""So far back the two newest ends of steps are looked for: a whole one is known of steps of up to half of that."""
RATE_CELLS, RATE_CELL_MS = 9, 20_000
MINUTE_MS = 60_000
Buckets = dict[tuple[int, int], int]


class Trainings:
    """The recent rows of some trainings up to an instant: one of the past is loaded once, the live one advances."""

    def __init__(self, window: Window, *, live: bool) -> None:
        self._window = window
        self._live = live
        self.at_ms = 0
        self._ids: tuple[int, ...] = ()
        self.tracks: dict[int, dict[int, RankTrack]] = {}
        """Workload -> process -> its rows."""
        self._looked: set[int] = set()
        """Workloads of which it is known whether longer steps than the five minutes lie before them."""
        self._cells: dict[int, dict[int, dict[int, Buckets]]] = {}
        """Workload -> cell -> what was measured -> buckets."""
        self._settled: dict[int, tuple[object, dict[int, Buckets]]] = {}
        """Workload -> the sum of the cells that are read no more, with which these are."""
        self._first = 0
        """The oldest cell that rows may still come into."""
        self.energies = Energies(window)
        self.since: dict[int, tuple[object, Sums]] = {}
        """Sums since a run's start, as far as minutes are closed, with what they were made for."""

    def advance(self, workload_ids: Collection[int], at_ms: int, late_ms: int) -> None:
        """Read what is new up to ``at_ms``; rows of the last ``late_ms`` may still come."""
        ids = tuple(workload_ids)
        after_ms = max(self.at_ms - late_ms, at_ms - ROWS_MS)
        if at_ms < self.at_ms or not set(ids) <= set(self._ids):  # the clock was set back, or a training is new
            self.tracks, self._cells, self._settled, self.since, self._ids = {}, {}, {}, {}, ids
            self._looked.clear()
            after_ms = at_ms - ROWS_MS
        self.at_ms = at_ms
        rows: dict[tuple[int, int], list[Sequence[Any]]] = {}
        for row in self._window.training_rows(self._ids, after_ms, at_ms) if self._ids else ():
            rows.setdefault((row[2], row[1]), []).append(row)
        for workload_id, proc_id in rows:
            self.tracks.setdefault(workload_id, {}).setdefault(proc_id, RankTrack())
        for workload_id, ranks in self.tracks.items():
            for proc_id, track in ranks.items():
                track.renew(after_ms, rows.get((workload_id, proc_id), ()))
                track.forget(at_ms - ROWS_MS, at_ms - LONGEST_MS)
        for workload_id in self.tracks:
            self._look_back(workload_id)
        self._take_steps(after_ms)

    def _look_back(self, workload_id: int) -> None:
        """Where no whole step is known: the rows since the two newest ends of steps, if it takes its steps still."""
        ranks = self.tracks[workload_id].values()
        if workload_id in self._looked or all(track.now("phase") == Phase.STARTING for track in ranks):
            return
        self._looked.add(workload_id)
        if any(track.segments.ends for track in ranks):
            return
        ends: dict[int, list[int]] = {}
        for ts_ms, proc_id in self._window.step_ends(workload_id, self.at_ms - LONGEST_MS, self.at_ms):
            ends.setdefault(proc_id, []).append(ts_ms)
        steps = [times[-2:] for times in ends.values() if len(times) > 1]
        since = [start for start, end in steps if self.at_ms - end <= STALL_STEPS * (end - start) + SLACK_MS]
        if since:
            self.tracks[workload_id] = tracks_of(self._window.training_rows((workload_id,), min(since) - 1, self.at_ms))

    def _take_steps(self, after_ms: int) -> None:
        """Step times in cells; those that rows may still come into are read anew as a whole."""
        if not self._ids:
            return
        first = self._first = max(after_ms // CELL_MS, self.start_ms // CELL_MS)
        for cells in self._cells.values():
            for cell in [cell for cell in cells if cell >= first or cell < self.start_ms // CELL_MS]:
                del cells[cell]
        if self._single:
            found = step_cells(self._window, self._ids, first * CELL_MS, self.at_ms, CELL_MS)
        else:
            end_s = self.at_ms // MINUTE_MS * 60
            found = self._window.latency_minutes(self._ids, end_s - WINDOW_MS // 1000, end_s)
        for cell, workload_id, latency, lower, upper, count in found:
            buckets = self._cells.setdefault(workload_id, {}).setdefault(cell, {}).setdefault(latency, {})
            buckets[lower, upper] = buckets.get((lower, upper), 0) + count

    @property
    def _single(self) -> bool:
        """Whether the rows of step times of the whole window are kept."""
        if self._live or self._window.at_ms is None:
            return True
        since = self._window.hot_since_ms()
        return since is not None and since <= self.start_ms

    @property
    def start_ms(self) -> int:
        """Where the five minutes begin."""
        return ((self.at_ms - 1) // CELL_MS - WINDOW_MS // CELL_MS + 1) * CELL_MS

    def ranks(self, workload_id: int) -> Mapping[int, RankTrack]:
        """The rows of each process of a training."""
        return self.tracks.get(workload_id, {})

    def step_times(self, workload_id: int) -> Mapping[int, Buckets]:
        """What was measured of steps (``Latency``) -> buckets, all ranks together."""
        cells = self._cells.get(workload_id, {})
        settled = [cell for cell in cells if cell < self._first]
        kept = self._settled.get(workload_id)
        if kept is None or kept[0] != settled:
            kept = self._settled[workload_id] = settled, _summed({}, [cells[cell] for cell in settled])
        return _summed(kept[1], [buckets for cell, buckets in cells.items() if cell >= self._first])

    def cell_edges(self) -> Sequence[int]:
        """The borders of the cells of the overview, the last one running."""
        last = (self.at_ms - 1) // RATE_CELL_MS
        return [*(number * RATE_CELL_MS for number in range(last - RATE_CELLS + 1, last + 1)), self.at_ms]


def tracks_of(rows: Iterable[Sequence[Any]]) -> dict[int, RankTrack]:
    """The rows of one training (``Window.training_rows``) by process."""
    tracks: dict[int, RankTrack] = {}
    for row in rows:
        tracks.setdefault(row[1], RankTrack()).add(row)
    return tracks


def _summed(had: Mapping[int, Buckets], cells: Iterable[Mapping[int, Buckets]]) -> dict[int, Buckets]:
    out = {latency: dict(buckets) for latency, buckets in had.items()}
    for cell in cells:
        for latency, buckets in cell.items():
            total = out.setdefault(latency, {})
            for bucket, count in buckets.items():
                total[bucket] = total.get(bucket, 0) + count
    return out


def trainings_at(window: Window, workload_ids: Collection[int], at_ms: int, *, live: bool, late_ms: int) -> Trainings:
    """The recent rows of these trainings; the live ones are kept in the window's memo."""
    if not live:
        trainings = Trainings(window, live=False)
    else:
        trainings = window.memo.get("trainings") or window.memo.setdefault("trainings", Trainings(window, live=True))
    trainings.advance(workload_ids, at_ms, late_ms)
    return trainings
