"""Strip cells of older time in one pass, so that a first view does not walk through every second of the last quarter hour.

SQLite, or :mod:`gpuwatch.view.columnar` where rows lie in columns, adds up per GPU, cell and label; only quiet rows of a run that is not known to be long are told apart by their run, since
their name depends on how it went on. The labels are those of :mod:`gpuwatch.view.track`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpuwatch.dataclass import NamedTuple
from gpuwatch.ledger.types import HOLD_MS, UNUSED_MS
from gpuwatch.names import State
from gpuwatch.store.window import Window
from gpuwatch.view import columnar
from gpuwatch.view.track import THROTTLED_BELOW_PM, GpuTrack

_BUSY = "coalesce(s.graphics_active_pm, s.utilization_pm, s.sm_active_pm)"
_HEIGHT = "coalesce(s.sm_active_pm, s.utilization_pm)"
_STATE = f"""CASE
 WHEN s.unavailable THEN {int(State.UNAVAILABLE)}
 WHEN s.quiet=1 AND s.sibling=1 AND s.quiet_ms>={UNUSED_MS} THEN {int(State.UNUSED)}
 WHEN s.context=0 AND (s.quiet IS NULL OR s.quiet=1) THEN {int(State.FREE)}
 WHEN s.quiet IS NULL THEN {int(State.NO_DATA)}
 WHEN s.quiet=1 AND s.quiet_ms<{HOLD_MS} THEN {int(State.QUIET)}
 WHEN s.quiet=1 AND s.context IS NULL THEN {int(State.IDLE_UNATTRIBUTED)}
 WHEN s.quiet=1 THEN {int(State.HELD_IDLE)}
 WHEN {_BUSY}<500 THEN {int(State.WAITING)}
 WHEN s.kappa_pm<{THROTTLED_BELOW_PM} THEN {int(State.THROTTLED)}
 ELSE {int(State.BUSY)} END"""
_RUN = "CASE WHEN s.quiet=1 THEN k.ts_ms-s.quiet_ms END"
_BESIDE = "CASE WHEN s.quiet=1 AND s.sibling=1 AND coalesce(s.context,1)<>0 AND NOT s.unavailable THEN 1 ELSE 0 END"
_SUMS = (
    f"SELECT s.gpu_id, (k.ts_ms-1)/?1 AS cell, (k.ts_ms-1)/?1*?1 AS begin_ms, k.ts_ms AS end_ms, {_STATE} AS state, {_RUN} AS run, "
    f"max(s.context IS NULL), {_BESIDE} AS beside, sum(s.dt_ms), sum({_HEIGHT}*s.dt_ms), sum(CASE WHEN {_HEIGHT} IS NOT NULL THEN s.dt_ms END) "
    "FROM tick k CROSS JOIN gpu_sample s ON s.tick_id=k.tick_id WHERE k.tick_id BETWEEN ?2 AND ?3 AND s.dt_ms BETWEEN 1 AND 4999 "
    "GROUP BY 1, 2, 5, 6, 8"
)
_LONG = (
    f"SELECT s.gpu_id, 0, k.ts_ms-s.dt_ms, k.ts_ms, {_STATE}, {_RUN}, s.context IS NULL, {_BESIDE}, s.dt_ms, {_HEIGHT}*s.dt_ms, "
    f"CASE WHEN {_HEIGHT} IS NOT NULL THEN s.dt_ms END "
    "FROM tick k CROSS JOIN gpu_sample s ON s.tick_id=k.tick_id WHERE k.tick_id BETWEEN ? AND ? AND s.dt_ms>=5000"
)
_RUNS = (
    "SELECT s.gpu_id, k.ts_ms-s.quiet_ms, max(s.quiet_ms) FROM tick k CROSS JOIN gpu_sample s ON s.tick_id=k.tick_id "
    "WHERE k.tick_id BETWEEN ? AND ? AND s.quiet=1 AND s.quiet_ms>=? GROUP BY 1, 2"
)
"""Runs that reached five minutes, by where they began, and how long they became."""


class _Sum(NamedTuple):
    gpu_id: int
    cell: int
    begin_ms: int
    end_ms: int
    state: int
    run: int | None
    holder_unknown: int
    beside: int
    """Whether another GPU of the job worked in that time."""
    ms: int
    height: int | None
    height_ms: int | None


def load(window: Window, track_of: Callable[[int], GpuTrack], cell_ms: int, first: int, last: int, known_to: int) -> None:
    """Put the cells of the ticks ``first`` to ``last`` into the tracks; how runs went on is looked up to tick ``known_to``."""
    columns = window.columns(first, last)
    if columns is None:
        sums, slow = window.rows(_SUMS, (cell_ms, first, last)), window.rows(_LONG, (first, last))
        long = {(gpu_id, start): length for gpu_id, start, length in window.rows(_RUNS, (first, known_to, HOLD_MS))}
    else:
        sums, slow = columnar.sums(columns, cell_ms)
        long = columnar.long_runs(window.columns(first, known_to) or {})
    open_runs = _open_runs(window, last)
    for raw in sums:
        row = _Sum._make(raw)
        state, run = _settled(row, long, open_runs)
        track_of(row.gpu_id).seed(row.cell, state, row.ms, row.height or 0, row.height_ms or 0, run, sibling=bool(row.beside))
    for raw in slow:
        row = _Sum._make(raw)
        state, run = _settled(row, long, open_runs)
        for cell in range(row.begin_ms // cell_ms, (row.end_ms - 1) // cell_ms + 1):
            ms = min(row.end_ms, (cell + 1) * cell_ms) - max(row.begin_ms, cell * cell_ms)
            known = row.height_ms is not None
            height = round((row.height or 0) * ms / row.ms)
            track_of(row.gpu_id).seed(cell, state, ms, height, ms if known else 0, run, sibling=bool(row.beside))


def _open_runs(window: Window, last: int) -> set[tuple[int, int]]:
    """The quiet runs that go on at the last tick: what follows will name them."""
    return {(row.gpu_id, row.ts_ms - row.quiet_ms) for row in window.gpu_rows(last, last) if row.quiet == 1}


def _settled(row: _Sum, long: Mapping[tuple[int, int], int], open_runs: set[tuple[int, int]]) -> tuple[State, int | None]:
    """The state of a sum, and the run that may still rename it. Whether work surrounds a run of an unknown holder is not asked."""
    state = State(row.state)
    if row.run is None or not (state is State.QUIET or row.beside):
        return state, None
    run = (row.gpu_id, row.run)
    length, renamed = long.get(run, 0), row.run if run in open_runs else None
    if row.beside and length >= UNUSED_MS:
        return State.UNUSED, None
    if state is not State.QUIET:
        return state, renamed
    if length:
        return State.IDLE_UNATTRIBUTED if row.holder_unknown else State.HELD_IDLE, renamed if row.beside else None
    if renamed is not None:
        return State.QUIET, renamed
    return State.IDLE_UNATTRIBUTED if row.holder_unknown else State.WAITING, None
