"""A training's last hour in cells of a minute: what it does a second, and which parts its steps are made of.

Closed minutes are read once; those that are still open come from single rows. Where fewer than two steps end in a minute, a cell is
the mean of up to five: counts move when steps end.
"""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.names import Phase
from gpuwatch.store.training_window import knows_trainings
from gpuwatch.store.window import Window
from gpuwatch.training import PHASE_SECONDS
from gpuwatch.view.counts import NOTHING, Sums
from gpuwatch.view.trained import tracks_of
from gpuwatch.view.training_run import COLUMNS, minute_counts
from gpuwatch.view.training_steps import added
from gpuwatch.view.training_track import RankTrack
from gpuwatch.view.training_types import TrainingHistory

CELLS, CELL_S, CELL_MS = 60, 60, 60_000
BEFORE_MS = 120_000
"""Single rows are read from so long before the first open minute: a step that ends in it began there."""
UNITS = ("tokens", "samples", "steps")
FEWEST_STEPS, REACH = 2, 2


def training_history(window: Window, workload_id: int, end_ms: int) -> TrainingHistory | None:
    """The hour up to an instant; ``None`` for a workload that is not a training, or of which there is no row in it."""
    if not knows_trainings(window):
        return None
    last = (end_ms - 1) // CELL_MS
    first = last - CELLS + 1
    closed_ms = max(first * CELL_MS, min(window.watermark("minute") * 1000, end_ms // CELL_MS * CELL_MS))
    closed = _closed(window, workload_id, first * CELL_MS, closed_ms)
    tracks = tracks_of(window.training_rows((workload_id,), closed_ms - BEFORE_MS, end_ms))
    opened = {cell: _sums(tracks, cell, end_ms) for cell in range(closed_ms // CELL_MS, last + 1)}
    cells = {**closed, **{cell: sums for cell, sums in opened.items() if sums.of}}
    if not cells:
        return None
    unit = next((each for each in UNITS if any(sums.total(f"{each}_total") is not None for sums in cells.values())), UNITS[-1])
    numbers = range(first, last + 1)
    per_second = [_rate(closed, number, unit) for number in numbers]
    edges = [*(cell * CELL_MS for cell in opened), end_ms]
    live = added([track.segments.cells(edges, unit) for track in _counting(tracks, unit)], len(opened)) if opened else ()
    for cell, rate in zip(opened, live, strict=True):
        per_second[cell - first] = rate
    whole = [rate for rate in per_second[:-1] if rate is not None]
    return TrainingHistory(
        cell_seconds=CELL_S,
        start_ms=first * CELL_MS,
        unit=unit,
        per_second=tuple(per_second),
        phase_shares=_shares(cells, numbers),
        mean_per_second=sum(whole) / len(whole) if whole else per_second[-1],
        best_minute_per_second=max(whole, default=None),
    )


def _closed(window: Window, workload_id: int, start_ms: int, closed_ms: int) -> Mapping[int, Sums]:
    """Closed minutes; kept until another one is closed."""
    name, span = f"training {workload_id}", (start_ms // 1000, closed_ms // 1000)
    kept = window.memo.get(name)
    if kept is None or kept[0] != span:
        minutes = window.workload_minutes((workload_id,), COLUMNS, *span)
        found = {t // CELL_S: had for t, _, *row in minutes if t is not None and (had := minute_counts(row)).of}
        kept = window.memo[name] = (span, found)
    sums: Mapping[int, Sums] = kept[1]
    return sums


def _sums(tracks: Mapping[int, RankTrack], cell: int, end_ms: int) -> Sums:
    sums = NOTHING
    for track in tracks.values():
        sums = sums.plus(track.between(cell * CELL_MS, min(end_ms, (cell + 1) * CELL_MS)))
    return sums


def _counting(tracks: Mapping[int, RankTrack], unit: str) -> list[RankTrack]:
    """All ranks; steps are counted once, by the process that has most of them."""
    every = list(tracks.values())
    return every if unit != "steps" or not every else [max(every, key=lambda track: len(track.segments.ends))]


def _rate(closed: Mapping[int, Sums], number: int, unit: str) -> float | None:
    """What the job does a second in a closed minute: its count over the time of its ranks, by how many of them step together."""
    if number not in closed:
        return None
    for reach in range(REACH + 1):
        sums = NOTHING
        for cell in range(number - reach, number + reach + 1):
            sums = sums.plus(closed.get(cell, NOTHING))
        steps = sums.total("steps_total")
        if steps is None or steps >= FEWEST_STEPS:
            break
    count, seconds = sums.total(f"{unit}_total"), sums.amount("attached_seconds") or sums.seconds(f"{unit}_total")
    if count is None or not seconds:
        return None
    ranks = (sums.total("rank_steps_total") or 0) / steps if steps else 1.0
    return count / (seconds / max(1.0, ranks))


def _shares(cells: Mapping[int, Sums], numbers: range) -> Mapping[Phase, tuple[float | None, ...]]:
    """The parts of steps in each cell; parts that never took time are left out."""
    wholes: dict[int, float] = {}
    for number, sums in cells.items():
        wholes[number] = sum(sums.amount(name) or 0.0 for name in PHASE_SECONDS.values())
    out = {}
    for phase, name in PHASE_SECONDS.items():
        parts = {number: sums.amount(name) for number, sums in cells.items()}
        if any(parts.values()):
            out[phase] = tuple(
                parts[number] / wholes[number] if wholes.get(number) and parts[number] is not None else None  # type: ignore[operator]
                for number in numbers
            )
    return out
