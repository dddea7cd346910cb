"""A sliced board says what its instances do: it has no work of its own, and is not free while one of them is held."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.dataclass import replace
from gpuwatch.names import State
from gpuwatch.view.strip import NO_CELL
from gpuwatch.view.types import Cell, GpuView

BUSIEST = (
    State.BUSY,
    State.THROTTLED,
    State.WAITING,
    State.HELD_IDLE,
    State.UNUSED,
    State.QUIET,
    State.IDLE_UNATTRIBUTED,
    State.FREE,
)
"""What counts first when instances differ; a state that is not here says nothing about work."""
_RANK = {state: rank for rank, state in enumerate(BUSIEST)}
_LAST = len(BUSIEST)


def with_instances(gpus: Sequence[GpuView]) -> tuple[GpuView, ...]:
    """``gpus`` with the state and strip of each sliced board taken from its busiest instance; the ledger is not touched.

    A board that is itself unavailable or unobserved stays so.
    """
    below: dict[str, list[GpuView]] = {}
    for gpu in gpus:
        if gpu.parent_uuid:
            below.setdefault(gpu.parent_uuid, []).append(gpu)
    if not below:
        return tuple(gpus)
    return tuple(_board(gpu, below[gpu.gpu_uuid]) if gpu.gpu_uuid in below else gpu for gpu in gpus)


def _board(board: GpuView, instances: Sequence[GpuView]) -> GpuView:
    blind = any(gpu.state not in _RANK for gpu in instances)
    strip = tuple(board_cell(cells, blind) for cells in zip(board.strip, *(gpu.strip for gpu in instances)))
    lead = min(instances, key=lambda gpu: _RANK.get(gpu.state, _LAST))
    if blind and lead.state is State.FREE:
        lead = next(gpu for gpu in instances if gpu.state not in _RANK)
    if board.state not in _RANK or lead.state is State.FREE:
        return replace(board, strip=strip)
    return replace(board, state=lead.state, state_since_ms=lead.state_since_ms, quiet_seconds=lead.quiet_seconds, strip=strip)


def board_cell(cells: Sequence[Cell], blind: bool) -> Cell:
    """The busiest of a board's own cell and its instances' (own first); nothing, where an unseen one may have been held."""
    lead = min(cells, key=lambda cell: (_RANK.get(cell.state, _LAST), -(cell.height or 0.0)))
    return NO_CELL if blind and lead.state is State.FREE and any(cell.state not in _RANK for cell in cells[1:]) else lead
