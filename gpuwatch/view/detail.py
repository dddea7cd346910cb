"""What the detail screens ask beyond the View: one GPU's lanes, its holders and its ledger, one process' past.

Cells lie on a fixed grid (unix time divided by their length), so that closed ones are computed once and kept in the window.
Older than single rows, or in cells of ten minutes and more, minute rows are read instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from gpuwatch.names import Missing, State
from gpuwatch.store.window import Window
from gpuwatch.view.blocks import BLOCK_MS, Blocks, Sums
from gpuwatch.view.day import day_views
from gpuwatch.view.finding_types import FindingHistory, WasteView
from gpuwatch.view.ledger import closed_sums, ledger_view
from gpuwatch.view.live import gpu_weight, kept_rows, rows_at
from gpuwatch.view.own_ledger import process_ledger, workload_ledger
from gpuwatch.view.strip import state_of_buckets
from gpuwatch.view.track import GpuTrack
from gpuwatch.view.types import DetailRequest, DetailView, GpuHistory, Holder, Lane, LedgerView, ProcessHistory, SpanView, View

MINUTE_MS = 60_000
LONG_CELL_MS = 600_000
_SINGLE_ROWS_MS = 3_600_000
"""So much of an older time is read row by row, and minutes before that."""
PCIE_LANE_BYTES = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
"""Bytes per second and lane of the PCIe generations, after encoding."""

LANES = (
    # name, maximum of its samples in hot rows, the same from minute rows, factor to base units
    ("sm_active_ratio", "max(s.sm_active_pm)", "max(m.sm_active_pm_ms/nullif(m.gpm_obs_ms,0))", 1e-3),
    ("utilization_ratio", "max(s.utilization_pm)", "max(m.utilization_pm_max)", 1e-3),
    ("tensor_active_ratio", "max(s.tensor_active_pm)", "max(m.tensor_active_pm_ms/nullif(m.gpm_obs_ms,0))", 1e-3),
    ("memory_used_bytes", "max(s.memory_used_mib)", "max(m.memory_used_mib_max)", 1024.0**2),
    ("dram_active_ratio", "max(s.dram_active_pm)", "max(m.dram_active_pm_ms/nullif(m.gpm_obs_ms,0))", 1e-3),
    ("power_watts", "max(s.power_mw)", "max(m.power_mw_max)", 1e-3),
    ("sm_clock_hertz", "max(s.sm_clock_mhz)", "max(m.sm_clock_mhz_ms/nullif(m.clock_obs_ms,0))", 1e6),
    ("pcie_rx_bytes_per_second", "max(s.pcie_rx_kib*1000.0/nullif(s.dt_ms,0))", "max(m.pcie_rx_kib_sum*1000.0/nullif(m.pcie_obs_ms,0))", 1024.0),
    ("pcie_tx_bytes_per_second", "max(s.pcie_tx_kib*1000.0/nullif(s.dt_ms,0))", "max(m.pcie_tx_kib_sum*1000.0/nullif(m.pcie_obs_ms,0))", 1024.0),
    ("nvlink_rx_bytes_per_second", "max(s.nvlink_rx_kib*1000.0/nullif(s.dt_ms,0))", "max(m.nvlink_rx_kib_sum*1000.0/nullif(m.nvlink_obs_ms,0))", 1024.0),
    ("nvlink_tx_bytes_per_second", "max(s.nvlink_tx_kib*1000.0/nullif(s.dt_ms,0))", "max(m.nvlink_tx_kib_sum*1000.0/nullif(m.nvlink_obs_ms,0))", 1024.0),
)  # fmt: skip
_MISSING_NAMES = {"pcie_rx_bytes_per_second": "pcie_rx_bytes", "pcie_tx_bytes_per_second": "pcie_tx_bytes", "nvlink_rx_bytes_per_second": "nvlink_rx_bytes", "nvlink_tx_bytes_per_second": "nvlink_tx_bytes"}  # fmt: skip

_HOT = (
    f"SELECT (k.ts_ms-1)/?, min(k.ts_ms-s.dt_ms), max(s.kappa_pm<980), {', '.join(lane[1] for lane in LANES)} FROM tick k "
    "JOIN gpu_sample s ON s.tick_id=k.tick_id AND s.gpu_id=? WHERE k.ts_ms>? AND k.ts_ms<=? GROUP BY 1"
)
_MINUTES = (
    f"SELECT m.t*1000/?, max(m.throttled_ms*2>m.obs_ms), {', '.join(lane[2] for lane in LANES)} FROM gpu_minute m "
    "WHERE m.gpu_id=? AND m.t*1000>=? AND m.t*1000<? GROUP BY 1"
)
Row = tuple[Any, ...]


class _Grid:
    """So many cells of one length, the last of which holds the instant ``end_ms``; and where single rows begin."""

    def __init__(self, window: Window, end_ms: int, cells: int, cell_seconds: int) -> None:
        self.cell_ms = cell_seconds * 1000
        self.last = (end_ms - 1) // self.cell_ms
        self.first = self.last - cells + 1
        self.numbers = range(self.first, self.last + 1)
        self.start_ms, self.end_ms = self.first * self.cell_ms, end_ms
        closed_ms = window.watermark("minute") * 1000
        oldest = window.first_tick_ms()
        if oldest is None or self.cell_ms >= LONG_CELL_MS:
            boundary = closed_ms
        else:  # a closed minute whose rows are perhaps no longer all there is taken from its minute row
            boundary = min(closed_ms, -(-oldest // MINUTE_MS) * MINUTE_MS)
        self.hot_ms = min(max(self.start_ms, boundary), end_ms)
        self.span = SpanView(self.start_ms, end_ms, None)

    @property
    def from_minutes(self) -> bool:
        """Whether its oldest cells are older than single rows."""
        return self.hot_ms > self.start_ms

    @property
    def minute_cell_ms(self) -> int:
        """The length in which minute rows are asked for: whole minutes at least."""
        return max(self.cell_ms, MINUTE_MS)

    def spread(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Rows that begin with the number of a minute cell, once for each cell that begins in it."""
        for row in rows:
            start = row[0] * self.minute_cell_ms
            for number in range(-(-start // self.cell_ms), -(-(start + self.minute_cell_ms) // self.cell_ms)):
                if number >= self.first:
                    yield (number, *row[1:])

    def reach(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Rows that begin with a cell number and the start of their time, once for each cell that this time touches."""
        for row in rows:
            for number in range(max(self.first, row[1] // self.cell_ms), row[0] + 1):
                yield (number, *row[2:])


def build_detail(window: Window, request: DetailRequest, view: View) -> DetailView:
    """Everything that ``request`` asks, at the instant of ``view``."""
    end_ms, uuid = view.at_ms, request.gpu_uuid
    window = window.standing(end_ms)  # whose rows the view was made from
    rows = _single_rows(window, request, view)
    size = {"cells": request.cells, "cell_seconds": request.cell_seconds}
    process = process_history(rows, *request.process, end_ms, **size) if request.process else None
    gpu = gpu_history(rows, uuid, end_ms, **size) if uuid else None
    workload_id = window.workload_id(*request.workload) if request.workload else None
    inference = training = own = None
    if workload_id is not None:
        from gpuwatch.view.inference_history import inference_history
        from gpuwatch.view.training_history import training_history

        training = training_history(window, workload_id, end_ms)
        inference = inference_history(window, workload_id, end_ms) if training is None else None
        own = workload_ledger(window, workload_id, end_ms)
    waste, finding = _of_rules(window, request, view)
    if gpu is None:
        days = day_views(window, request, view) if request.day_start_ms else ()
        return DetailView(
            request,
            process=process,
            days=days,
            inference=inference,
            training=training,
            workload_ledger=own,
            waste=waste,
            finding=finding,
        )
    below = [gpu_history(rows, other.gpu_uuid, end_ms, **size) for other in view.gpus if other.parent_uuid == uuid]
    return DetailView(
        request,
        gpu=gpu,
        instances=tuple(history for history in below if history is not None),
        holders=gpu_holders(rows, uuid, end_ms, **size),
        ledger=gpu_ledger(window, uuid, gpu.span.start_ms, end_ms),
        today=gpu_ledger(window, uuid, view.today.span.start_ms, end_ms) if view.today else None,
        process=process,
        inference=inference,
        training=training,
        workload_ledger=own,
        waste=waste,
        finding=finding,
    )


def _of_rules(window: Window, request: DetailRequest, view: View) -> tuple[WasteView | None, FindingHistory | None]:
    """What rules say, and the course of one finding."""
    if not request.waste and not request.finding:
        return None, None
    from gpuwatch.view.waste import finding_history, waste_view

    waste = waste_view(window, view) if request.waste else None
    return waste, finding_history(window, request.finding, request.cells, at_ms=view.at_ms) if request.finding else None


def _single_rows(window: Window, request: DetailRequest, view: View) -> Window:
    """The window to ask for all columns of single rows: of an older instant only those of the GPUs in question."""
    if not (request.gpu_uuid or request.process) or (window.at_ms is None and _is_end(window, view.at_ms)):
        return window  # what grows with the recording is kept there
    shown = [gpu.gpu_uuid for gpu in view.gpus if request.gpu_uuid and request.gpu_uuid in (gpu.gpu_uuid, gpu.parent_uuid)]
    held = [hold.gpu_uuid for p in view.processes if (p.pid, p.start_ms) == request.process for hold in p.holds]
    ids = [gpu_id for gpu_id, row in window.gpus().items() if row["uuid"] in (request.gpu_uuid, *shown, *held)]
    return window.over(view.at_ms, min(request.cells * request.cell_seconds * 1000, _SINGLE_ROWS_MS), ids)


def gpu_history(window: Window, gpu_uuid: str, end_ms: int, *, cells: int = 90, cell_seconds: int = 40) -> GpuHistory | None:
    """The lanes of one GPU in the ``cells`` up to ``end_ms``; ``None`` for a GPU that the store does not know."""
    gpu_id = _gpu_id(window, gpu_uuid)
    if gpu_id is None:
        return None
    grid = _Grid(window, end_ms, cells, cell_seconds)
    found = _cells(window, ("lanes", gpu_id), grid, _MINUTES, _HOT, gpu_id, _larger)
    who = window.gpus()[gpu_id]
    reasons = window.missing(end_ms).get(("gpu", gpu_uuid), {})
    tops = _tops(who)
    rows = [found.get(number) for number in grid.numbers]
    newest = window.newest_gpu(gpu_id, end_ms)
    lanes = []
    for at, (name, _, _, factor) in enumerate(LANES, 2):
        values = tuple(None if row is None or row[at] is None else row[at] * factor for row in rows)
        reason = reasons.get(_MISSING_NAMES.get(name, name))
        now = newest.get(name)
        lanes.append(
            Lane(name, values, now, tops.get(name), Missing(reason) if reason and not any(v is not None for v in values) else None)
        )
    return GpuHistory(
        gpu_uuid=gpu_uuid,
        span=grid.span,
        cell_seconds=cell_seconds,
        lanes=tuple(lanes),
        states=_states(window, gpu_id, grid),
        throttled=tuple(bool(row and row[1]) for row in rows),
        from_minutes=grid.from_minutes,
    )


def _tops(who: Mapping[str, Any]) -> dict[str, float | None]:
    """The top of each scale, from what the GPU says it can do."""
    width, generation = who["pcie_width_max"], who["pcie_generation_max"]
    pcie = width * PCIE_LANE_BYTES[generation] if width and generation in PCIE_LANE_BYTES else None
    ratios = dict.fromkeys((lane[0] for lane in LANES if lane[0].endswith("_ratio")), 1.0)
    return ratios | {
        "memory_used_bytes": who["memory_total_bytes"],
        "power_watts": who["power_limit_default_watts"] or who["power_limit_watts"],
        "sm_clock_hertz": who["sm_clock_max_hertz"],
        "pcie_rx_bytes_per_second": pcie,
        "pcie_tx_bytes_per_second": pcie,
    }


def gpu_holders(window: Window, gpu_uuid: str, end_ms: int, *, cells: int = 90, cell_seconds: int = 40) -> tuple[Holder, ...]:
    """Who held one GPU in the ``cells`` up to ``end_ms``, the longest holder first."""
    gpu_id = _gpu_id(window, gpu_uuid)
    if gpu_id is None:
        return ()
    grid = _Grid(window, end_ms, cells, cell_seconds)
    states = dict(zip(grid.numbers, _states(window, gpu_id, grid), strict=True))
    minutes = "SELECT m.t*1000/? AS c, m.proc_id, max(m.gpu_memory_mib_max) FROM process_minute m WHERE m.gpu_id=? AND m.t*1000>=? AND m.t*1000<? GROUP BY 1, 2"  # fmt: skip
    hot = "SELECT (k.ts_ms-1)/? AS c, min(k.ts_ms-s.dt_ms), s.proc_id, max(s.gpu_memory_mib) FROM tick k JOIN process_sample s ON s.tick_id=k.tick_id AND s.gpu_id=? WHERE k.ts_ms>? AND k.ts_ms<=? GROUP BY 1, 3"  # fmt: skip
    found = _cells(window, ("holders", gpu_id), grid, minutes, hot, gpu_id, _per_process)
    held: dict[int, dict[int, int | None]] = {}
    for number in grid.numbers:
        for proc_id, memory in (found.get(number) or {}).items():
            held.setdefault(proc_id, {})[number] = memory
    who = window.identities(held)
    out = []
    for proc_id, at in held.items():
        if proc_id not in who:
            continue
        peak = max((memory for memory in at.values() if memory is not None), default=None)
        out.append(
            Holder(
                pid=who[proc_id].pid,
                start_ms=who[proc_id].start_ms,
                user=who[proc_id].user,
                command=who[proc_id].command or who[proc_id].name,
                cells=tuple(states[number] if number in at else None for number in grid.numbers),
                peak_bytes=None if peak is None else peak * 1024.0**2,
            )
        )
    return tuple(sorted(out, key=lambda h: (-sum(cell is not None for cell in h.cells), -(h.peak_bytes or 0), h.pid)))


def gpu_ledger(window: Window, gpu_uuid: str, start_ms: int, end_ms: int) -> LedgerView | None:
    """Where one GPU's time went in ``[start_ms, end_ms)``: closed minutes, and the younger part from single rows."""
    gpu_id = _gpu_id(window, gpu_uuid)
    if gpu_id is None:
        return None
    rows = kept_rows(window, end_ms) or rows_at(window, end_ms, live=_is_end(window, end_ms), cell_ms=20_000, cells=45)
    track = rows.tracks.get(gpu_id)
    seen_ms = window.gpus()[gpu_id]["first_ms"]  # later than the end if the clock was set back
    start = (max(start_ms, seen_ms) if seen_ms <= end_ms else start_ms) // BLOCK_MS * BLOCK_MS
    hot_ms = rows.hot_ms(end_ms)
    parts: Sums = dict(closed_sums(window, start // MINUTE_MS * 60, hot_ms // 1000, (gpu_id,))) if start < hot_ms else {}
    if track is not None:
        for key, (ms, energy) in track.ledger.total(max(start, hot_ms), end_ms).items():
            had = parts.get(key, (0, 0))
            parts[key] = (had[0] + ms, had[1] + energy)
    blocks = track.ledger if track else Blocks(gpu_weight(window.gpus(), gpu_id))
    return ledger_view(parts, start, end_ms, blocks.capacity(start, end_ms, _cut_minutes(window, gpu_uuid, start, hot_ms)))


def _cut_minutes(window: Window, gpu_uuid: str, start_ms: int, end_ms: int) -> dict[int, Fraction]:
    """Closed minutes (unix minutes) in which instances took a part of a board -> what they left of it."""
    gpus = window.gpus()
    instances = [i for i, row in gpus.items() if row["parent_uuid"] == gpu_uuid]
    marks = ",".join("?" * len(instances))
    sql = f"SELECT t/60, gpu_id FROM gpu_minute WHERE t>=? AND t<? AND gpu_id IN ({marks})"
    left: dict[int, Fraction] = {}
    for minute, i in window.rows(sql, (start_ms // MINUTE_MS * 60, end_ms // 1000, *instances)) if instances else ():
        left[minute] = left.get(minute, Fraction(1)) - gpu_weight(gpus, i)
    return left


def process_history(
    window: Window, pid: int, start_ms: int, end_ms: int, *, cells: int = 90, cell_seconds: int = 20
) -> ProcessHistory | None:
    """One process in the ``cells`` up to ``end_ms``; ``None`` for a process that the store does not know."""
    proc_id = window.process_id(pid, start_ms)
    if proc_id is None:
        return None
    grid = _Grid(window, end_ms, cells, cell_seconds)
    minutes = "SELECT m.t*1000/?, max(m.gpu_id), max(m.sm_pm_ms/nullif(m.sm_obs_ms,0)), max(m.cpu_pm_ms/nullif(m.cpu_obs_ms,0)), max(m.gpu_memory_mib_max) FROM process_minute m WHERE m.proc_id=? AND m.t*1000>=? AND m.t*1000<? GROUP BY 1"  # fmt: skip
    hot = "SELECT (k.ts_ms-1)/?, min(k.ts_ms-s.dt_ms), max(s.gpu_id), max(s.sm_pm), max(s.cpu_pm), max(s.gpu_memory_mib) FROM tick k JOIN process_sample s ON s.tick_id=k.tick_id AND s.proc_id=? WHERE k.ts_ms>? AND k.ts_ms<=? GROUP BY 1"  # fmt: skip
    found = _cells(window, ("process", proc_id), grid, minutes, hot, proc_id, _larger)
    rows = [found.get(number) for number in grid.numbers]
    gpu_id = next((row[1] for row in reversed(rows) if row and row[1]), 0)
    states = _states(window, gpu_id, grid) if gpu_id else (None,) * cells
    last = next((row for row in reversed(rows) if row), None)
    total = window.gpus()[gpu_id]["memory_total_bytes"] if gpu_id in window.gpus() else None
    kinds = ((2, "sm_utilization_ratio", 1e-3, 1.0), (3, "cpu_ratio", 1e-3, None), (4, "gpu_memory_bytes", 1024.0**2, total))
    lanes = tuple(
        Lane(name, tuple(_times(row, at, factor) for row in rows), _times(last, at, factor), top) for at, name, factor, top in kinds
    )
    return ProcessHistory(
        pid=pid,
        start_ms=start_ms,
        span=grid.span,
        cell_seconds=cell_seconds,
        lanes=lanes,
        states=tuple(state if row else None for state, row in zip(states, rows, strict=True)),
        ledger=process_ledger(window, proc_id, end_ms),
    )


def _times(row: Row | None, at: int, factor: float) -> float | None:
    return None if row is None or row[at] is None else row[at] * factor


# --------------------------------------------------------------------------------------------------------------- cells


def _cells(
    window: Window, key: tuple[object, ...], grid: _Grid, minutes: str, hot: str, subject: int, merge: Any
) -> Mapping[int, Any]:
    """Cell number -> what the two statements say about it. Cells that are closed are read once."""
    name = f"cells {key} {grid.cell_ms}"
    kept: dict[int, Any]
    first, read_to, kept = window.memo.get(name, (grid.first, grid.start_ms, {}))
    if first > grid.first or read_to < grid.start_ms or read_to > grid.end_ms:
        first, read_to, kept = grid.first, grid.start_ms, {}
    fresh: dict[int, Any] = {}
    if read_to < grid.hot_ms:
        merge(
            fresh, grid.spread(window.rows(minutes, (grid.minute_cell_ms, subject, read_to // MINUTE_MS * MINUTE_MS, grid.hot_ms)))
        )
    merge(fresh, grid.reach(window.rows(hot, (grid.cell_ms, subject, max(read_to, grid.hot_ms), grid.end_ms))))
    closed_to = max(read_to, grid.last * grid.cell_ms)
    kept = {number: cell for number, cell in kept.items() if number >= grid.first}
    closed = kept | {number: cell for number, cell in fresh.items() if number < grid.last}
    window.memo[name] = (grid.first, closed_to, closed)
    return kept | fresh


def _larger(into: dict[int, Any], rows: Iterable[Row]) -> None:
    for row in rows:
        had = into.get(row[0])
        into[row[0]] = (
            row if had is None else tuple(b if a is None else a if b is None else max(a, b) for a, b in zip(had, row, strict=True))
        )


def _per_process(into: dict[int, Any], rows: Iterable[Row]) -> None:
    for number, proc_id, memory in rows:
        cell = into.setdefault(number, {})
        cell[proc_id] = memory if cell.get(proc_id) is None else max(cell[proc_id], memory or 0)


def _states(window: Window, gpu_id: int, grid: _Grid) -> tuple[State, ...]:
    """The state of each cell: from single rows by a track of its own, from ledger minutes before them."""
    name = f"track {gpu_id} {grid.cell_ms}"
    track: GpuTrack
    track, next_tick, from_ms = window.memo.get(name, (None, 0, None))
    first, last = window.tick_range(grid.hot_ms, grid.end_ms)
    if track is None or from_ms > grid.hot_ms or next_tick > last + 1:
        track, next_tick, from_ms = GpuTrack(gpu_weight(window.gpus(), gpu_id), grid.cell_ms), first, grid.hot_ms
    for row in window.gpu_rows(next_tick, last, gpu_id):
        track.add(row)
    track.forget(grid.start_ms)
    window.memo[name] = (track, max(next_tick, last + 1), from_ms)
    states = [cell.state for cell in track.cells(grid.last, len(grid.numbers))]
    if grid.from_minutes:
        found = window.bucket_cells(gpu_id, grid.minute_cell_ms, grid.start_ms // MINUTE_MS * 60, grid.hot_ms // 1000)
        for number, ms in grid.spread(found.items()):
            at = number - grid.first
            if at < len(states) and states[at] is State.NO_DATA:
                states[at] = state_of_buckets(ms)
    return tuple(states)


def _gpu_id(window: Window, gpu_uuid: str) -> int | None:
    return next((gpu_id for gpu_id, row in window.gpus().items() if row["uuid"] == gpu_uuid), None)


def _is_end(window: Window, end_ms: int) -> bool:
    newest = window.last_tick()
    return newest is None or end_ms >= newest[1]
