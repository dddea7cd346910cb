"""What the screen of a workload asks beside the View, and where its charts stand at each width."""

from __future__ import annotations

from gpuwatch.dataclass import dataclass
from gpuwatch.tui.state import Context
from gpuwatch.tui.workloads import find, in_order, key_of_work
from gpuwatch.view.types import DetailRequest, DetailView, View, WorkloadView

SPAN_SECONDS, CELL_SECONDS = 3_600, 60
"""What is asked for: an hour of minutes."""
COLUMNS = (120, 60, 40, 30, 24, 20, 15, 12)
"""Numbers of columns that divide the hour into lengths that can be read."""
CHART_AT = 23
"""Column of the charts' first cell in the boxed layout."""


@dataclass(frozen=True, slots=True)
class Places:
    """``split``: the right edge of the left panels. The charts have ``columns`` columns from ``chart`` on."""

    split: int
    chart: int
    columns: int

    @property
    def cell_seconds(self) -> int:
        """How much time one column stands for; from 60 columns on several show the same minute."""
        return max(CELL_SECONDS, SPAN_SECONDS // self.columns)


def is_narrow(context: Context) -> bool:
    """Whether there is no room for boxes."""
    return context.width < 100 or context.height < 28


def places_of(context: Context) -> Places:
    """Where things stand on a screen of that size."""
    return places_for(context.width, narrow=is_narrow(context))


def places_for(width: int, *, narrow: bool) -> Places:
    """The same; in the ``narrow`` layout the charts stand at the right edge and ``split`` means nothing."""
    if narrow:
        columns = _columns_in(width - CHART_AT - 17)
        return Places(width - 1, width - columns, columns)
    split = width - 55 if width >= 110 else 51
    return Places(split, CHART_AT, _columns_in(split - 2 - CHART_AT))


def _columns_in(room: int) -> int:
    return next((columns for columns in COLUMNS if columns <= room), COLUMNS[-1])


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


def request_for(work: WorkloadView) -> DetailRequest:
    """What this screen wants to know about ``work``."""
    return DetailRequest(cells=SPAN_SECONDS // CELL_SECONDS, cell_seconds=CELL_SECONDS, workload=key_of_work(work))


def answer(context: Context, work: WorkloadView) -> DetailView | None:
    """The detail that belongs to the present question; ``None`` until it is there."""
    detail = context.detail
    return detail if detail is not None and detail.request == request_for(work) else None
