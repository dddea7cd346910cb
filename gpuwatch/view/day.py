"""A day of every GPU: cells of some minutes from local midnight, and the GPU time that was held idle, unused or free.

Final minutes come from ``gpu_minute`` (heights) and ``ledger_minute`` (states, sums) and are read once; the youngest cells come from
the View's own strips and the youngest sums from its rows. The answer is made anew once in ten seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import dataclass, field
from gpuwatch.names import Bucket, State
from gpuwatch.store.window import Window
from gpuwatch.view.blocks import BLOCK_MS
from gpuwatch.view.live import FINAL_MS, MINUTE_MS, Rows, kept_rows
from gpuwatch.view.sliced import board_cell
from gpuwatch.view.strip import NO_CELL, state_of_buckets
from gpuwatch.view.types import Cell, DayView, DetailRequest, GpuView, View

STRIP_CELL_MS = 20_000
SHOWN = (Bucket.HELD_IDLE, Bucket.ALLOCATED_UNUSED, Bucket.UNALLOCATED)
_HEIGHTS = (
    "SELECT gpu_id, (t*1000-?1)/?2, sum(obs_ms), coalesce(sum(sm_active_pm_ms)*1.0/nullif(sum(gpm_obs_ms),0), "
    "sum(utilization_pm_ms)*1.0/nullif(sum(utilization_obs_ms),0))/1000 FROM gpu_minute WHERE t>=?3 AND t<?4 GROUP BY 1, 2"
)
_BUCKETS = "SELECT gpu_id, (t*1000-?1)/?2, bucket, sum(ms) FROM ledger_minute WHERE t>=?3 AND t<?4 AND bucket>0 GROUP BY 1, 2, 3"
Place = tuple[int, int]
"""gpu_id and number of the cell since midnight."""


@dataclass(slots=True)
class _Minutes:
    """What closed minutes say: cells, and milliseconds by GPU and bucket, from midnight up to ``to_ms``."""

    to_ms: int
    cells: dict[Place, Cell] = field(default_factory=dict)
    sums: dict[Place, int] = field(default_factory=dict)

    def read(self, window: Window, start_ms: int, cell_ms: int, to_ms: int) -> None:
        """Add the minutes up to ``to_ms``; both ends are starts of cells, or the last one is cut."""
        span = (start_ms, cell_ms, self.to_ms // 1000, to_ms // 1000)
        buckets: dict[Place, dict[int, int]] = {}
        for gpu_id, number, bucket, ms in window.rows(_BUCKETS, span):
            self.sums[gpu_id, bucket] = self.sums.get((gpu_id, bucket), 0) + ms
            buckets.setdefault((gpu_id, number), {})[bucket] = ms
        for gpu_id, number, observed_ms, height in window.rows(_HEIGHTS, span):
            whole_ms = min(cell_ms, to_ms - start_ms - number * cell_ms)
            if (gpu_id, number) in buckets and 2 * observed_ms >= whole_ms:
                self.cells[gpu_id, number] = Cell(height, state_of_buckets(buckets[gpu_id, number]))
        self.to_ms = to_ms


def day_views(window: Window, request: DetailRequest, view: View) -> tuple[DayView, ...]:
    """One day for each GPU of ``view``, from ``request.day_start_ms`` to its instant, in cells of ``request.cell_seconds``."""
    key = (request.day_start_ms, request.cell_seconds, view.at_ms // BLOCK_MS, tuple(gpu.gpu_uuid for gpu in view.gpus))
    made: tuple[object, tuple[DayView, ...]] | None = window.memo.get("day")
    if made is None or made[0] != key:
        made = window.memo["day"] = (key, _made(window, request.day_start_ms, request.cell_seconds * 1000, view))
    return made[1]


def _made(window: Window, start_ms: int, cell_ms: int, view: View) -> tuple[DayView, ...]:
    rows, end_ms = kept_rows(window, view.at_ms), view.at_ms
    hot_ms = rows.hot_ms(end_ms) if rows else end_ms // MINUTE_MS * MINUTE_MS
    final_ms = start_ms + max(0, end_ms - FINAL_MS - start_ms) // cell_ms * cell_ms
    final = _final(window, start_ms, cell_ms, min(final_ms, hot_ms))
    young = _Minutes(final.to_ms)
    if young.to_ms < hot_ms:
        young.read(window, start_ms, cell_ms, hot_ms)
    ids = {row["uuid"]: gpu_id for gpu_id, row in window.gpus().items()}
    days = {}
    for gpu in view.gpus:
        gpu_id = ids.get(gpu.gpu_uuid, 0)
        own = _own_cells(gpu, gpu_id, (young.cells, final.cells), start_ms, cell_ms, end_ms)
        sums = _sums(gpu_id, rows, (young.sums, final.sums), max(start_ms, hot_ms), end_ms)
        days[gpu.gpu_uuid] = DayView(gpu.gpu_uuid, own, *sums)
    return tuple(_with_instances(gpu, days, view.gpus) for gpu in view.gpus)


def _final(window: Window, start_ms: int, cell_ms: int, to_ms: int) -> _Minutes:
    """What never changes any more; it grows by a cell at a time."""
    kept: tuple[tuple[int, int], _Minutes] | None = window.memo.get("day minutes")
    if kept is None or kept[0] != (start_ms, cell_ms) or kept[1].to_ms > to_ms:
        kept = window.memo["day minutes"] = ((start_ms, cell_ms), _Minutes(start_ms))
    if kept[1].to_ms < to_ms:
        kept[1].read(window, start_ms, cell_ms, to_ms)
    return kept[1]


def _own_cells(
    gpu: GpuView, gpu_id: int, minutes: Sequence[Mapping[Place, Cell]], start_ms: int, cell_ms: int, end_ms: int
) -> tuple[Cell, ...]:
    """Cells that the strip of the View covers come from it; it knows more than closed minutes."""
    first_ms = ((end_ms - 1) // STRIP_CELL_MS + 1 - len(gpu.strip)) * STRIP_CELL_MS
    out = []
    for number in range(-(-(end_ms - start_ms) // cell_ms)):
        begin = start_ms + number * cell_ms
        if begin >= first_ms:
            at = (begin - first_ms) // STRIP_CELL_MS
            out.append(_merged(gpu.strip[at : at + cell_ms // STRIP_CELL_MS]))
        else:
            out.append(next((cells[gpu_id, number] for cells in minutes if (gpu_id, number) in cells), NO_CELL))
    return tuple(out)


def _merged(cells: Sequence[Cell]) -> Cell:
    """The mean height and the most frequent state of cells of one length; the earlier bucket of two equally frequent ones."""
    states = [cell.state for cell in cells]
    heights = [cell.height for cell in cells if cell.height is not None]
    state = max(states, key=lambda each: (states.count(each), each), default=State.NO_DATA)
    return NO_CELL if state is State.NO_DATA else Cell(sum(heights) / len(heights) if heights else None, state)


def _sums(
    gpu_id: int, rows: Rows | None, minutes: Sequence[Mapping[Place, int]], hot_ms: int, end_ms: int
) -> tuple[int | None, ...]:
    """Milliseconds of the shown buckets; ``None`` for a GPU of which nothing is known that day."""
    track = rows.tracks.get(gpu_id) if rows else None
    hot: dict[int, int] = {}
    for (bucket, _, _), (ms, _) in (track.ledger.total(hot_ms // BLOCK_MS * BLOCK_MS, end_ms) if track else {}).items():
        hot[bucket] = hot.get(bucket, 0) + ms
    if not hot and not any(place[0] == gpu_id for sums in minutes for place in sums):
        return (None,) * len(SHOWN)
    return tuple(hot.get(bucket, 0) + sum(sums.get((gpu_id, bucket), 0) for sums in minutes) for bucket in SHOWN)


def _with_instances(gpu: GpuView, days: Mapping[str, DayView], gpus: Sequence[GpuView]) -> DayView:
    """A sliced board shows its instances' work, as its state does."""
    own, below = days[gpu.gpu_uuid], [other for other in gpus if other.parent_uuid == gpu.gpu_uuid]
    if not below:
        return own
    blind = any(other.state is State.NO_DATA for other in below)
    cells: Any = zip(own.cells, *(days[other.gpu_uuid].cells for other in below), strict=True)
    return DayView(own.gpu_uuid, tuple(board_cell(each, blind) for each in cells), own.held_ms, own.unused_ms, own.free_ms)
