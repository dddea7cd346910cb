"""What the waste screen lists, which finding is selected, and what it asks beside the View."""

from __future__ import annotations

from gpuwatch.dataclass import dataclass
from gpuwatch.tui.findings import key_of
from gpuwatch.tui.state import Context
from gpuwatch.view.finding_types import FindingHistory, FindingView, WasteView
from gpuwatch.view.types import DetailRequest, View

TABLE = "findings"
NARROW = 100
"""Below this width, or ``LOW`` rows, the list and the finding have a screen each."""
LOW = 28
MOST_LEFT = 80
COURSE_BESIDE = 10
"""Columns of the finding's panel that are not cells of its course."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of the list: ``rank`` counts the open ones from 1; 0 for a muted one."""

    rank: int
    finding: FindingView


def is_narrow(context: Context) -> bool:
    """Whether there is no room for the list and a finding side by side."""
    return context.width < NARROW or context.height < LOW


def left_width(width: int) -> int:
    """Columns of the panels at the left: 52 of 120."""
    return min(MOST_LEFT, width * 52 // 120)


def course_cells(context: Context) -> int:
    """Cells of the selected finding's course."""
    return max(20, context.width - COURSE_BESIDE - (0 if is_narrow(context) else left_width(context.width)))


def waste_of(context: Context) -> WasteView | None:
    """The latest answer of what rules say, of whichever finding it also tells the course."""
    detail = context.detail
    return detail.waste if detail is not None and detail.request.waste else None


def course_of(context: Context, finding: FindingView) -> FindingHistory | None:
    """The course of ``finding`` if it is what was answered last."""
    detail = context.detail
    course = detail.finding if detail is not None else None
    return course if course is not None and course.finding_id == finding.finding_id else None


def listed(context: Context, view: View) -> list[Listed]:
    """The open findings, and below them the muted ones if those are asked for."""
    out = [Listed(rank, finding) for rank, finding in enumerate(view.findings, 1)]
    waste = waste_of(context)
    if context.ui.show_muted and waste is not None:
        out += [Listed(0, finding) for finding in waste.muted]
    return out


def selected(context: Context, view: View) -> Listed | None:
    """The one whose rows are selected, or will be when the list is drawn next."""
    rows, state = listed(context, view), context.ui.table(TABLE)
    if not rows:
        return None
    at = next((i for i, row in enumerate(rows) if key_of(row.finding) == state.selected), state.index)
    return rows[max(0, min(len(rows) - 1, at + state.move))]


def request_for(context: Context, view: View) -> DetailRequest:
    """What rules say, and how the selected finding grew."""
    found = selected(context, view)
    return DetailRequest(cells=course_cells(context), waste=True, finding=found.finding.finding_id if found is not None else 0)
