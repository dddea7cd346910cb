"""What the screen of a workload asks beside the View, and where its charts stand at each width."""

from __future__ import annotations

from gpuwatch.dataclass import dataclass
from gpuwatch.tui.state import Context
from gpuwatch.tui.workloads import find, in_order, key_of_work
from gpuwatch.view.types import DetailRequest, DetailView, View, WorkloadView

SPAN_SECONDS = 3_600
CELLS = (60, 40, 30, 24, 20, 15, 12)
"""Numbers of cells that divide the hour into lengths that can be read."""
CHART_AT = 23
"""Column of the charts' first cell in the boxed layout."""


@dataclass(frozen=True, slots=True)
class Places:
    """``split``: the right edge of the left panels. ``cells`` of ``cell_seconds`` from ``chart`` on, each ``wide`` columns wide."""

    split: int
    chart: int
    cells: int
    wide: int

    @property
    def cell_seconds(self) -> int:
        """How long one cell is."""
        return SPAN_SECONDS // self.cells


def is_narrow(context: Context) -> bool:
    """Whether there is no room for boxes."""
    return context.width < 100 or context.height < 28


def places_of(context: Context) -> Places:
    """Where things stand on a screen of that size."""
    return places_for(context.width, narrow=is_narrow(context))


def places_for(width: int, *, narrow: bool) -> Places:
    """The same; in the ``narrow`` layout the charts stand at the right edge and ``split`` means nothing."""
    if narrow:
        cells = _cells_in(width - CHART_AT - 17)
        return Places(width - 1, width - cells, cells, 1)
    split = width - 55 if width >= 110 else 51
    room = split - 2 - CHART_AT
    cells = _cells_in(room)
    return Places(split, CHART_AT, cells, 2 if 2 * cells <= room else 1)


def _cells_in(room: int) -> int:
    return next((cells for cells in CELLS if cells <= room), CELLS[-1])


def chosen(context: Context, view: View) -> WorkloadView | None:
    """The workload that the user looks at; ``None`` when it is not there any more."""
    return find(view, context.ui.workload)


def other(view: View, work: WorkloadView | None, step: int) -> WorkloadView | None:
    """The next workload, around the end; the first one instead of one that has ended."""
    order = in_order(view)
    if not order:
        return None
    if work is None:
        return order[0]
    keys = [key_of_work(each) for each in order]
    return order[(keys.index(key_of_work(work)) + step) % len(order)]


def request_for(context: Context, work: WorkloadView) -> DetailRequest:
    """What this screen wants to know about ``work``."""
    places = places_of(context)
    return DetailRequest(cells=places.cells, cell_seconds=places.cell_seconds, workload=key_of_work(work))


def answer(context: Context, work: WorkloadView) -> DetailView | None:
    """The detail that belongs to the present question; ``None`` until it is there."""
    detail = context.detail
    return detail if detail is not None and detail.request == request_for(context, work) else None
