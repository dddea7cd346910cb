"""The overview's panels and how they share a screen's rows and columns."""

from __future__ import annotations

from gpuwatch.dataclass import dataclass
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.events import draw_events
from gpuwatch.tui.panels.first_steps import draw_first_steps
from gpuwatch.tui.panels.gpus import draw_gpus, draw_gpus_narrow
from gpuwatch.tui.panels.ledger import draw_ledger, draw_ledger_narrow, is_young
from gpuwatch.tui.panels.no_gpu import draw_no_gpu, shows_servers
from gpuwatch.tui.panels.processes import draw_processes, draw_processes_narrow
from gpuwatch.tui.panels.starting import draw_starting
from gpuwatch.tui.panels.throughput import draw_throughput
from gpuwatch.tui.panels.today import draw_today
from gpuwatch.tui.panels.waste import draw_waste, draw_waste_narrow, rows_needed
from gpuwatch.tui.state import WIDE, Context
from gpuwatch.tui.workloads import first_notice, telling
from gpuwatch.view.types import View

THROUGHPUT_FROM = 110
"""From this width on throughput stands beside waste."""
LEAST_EVENTS = 5
"""Rows that the panel of events keeps, with its border."""


@dataclass(frozen=True, slots=True)
class Heights:
    """Rows of each panel; they sum to the screen's height without header and footer."""

    ledger: int
    gpus: int
    gpu_columns: int
    middle: int
    processes: int
    today: int = 0


def heights(height: int, gpu_count: int, *, wide: bool = False) -> Heights:
    """Share ``height`` rows: all panels if the table keeps five rows, else smaller ones; many GPUs in two columns.

    ``wide``: with a panel of the day, if there is room for each GPU.
    """
    if wide and (found := _with_today(height, gpu_count)) is not None:
        return found
    for columns in (1, 2) if gpu_count > 8 else (1,):
        per_column = -(-gpu_count // columns)
        for ledger, middle in ((6, 8), (6, 5), (4, 5), (4, 0)) if columns == 2 or gpu_count <= 8 else ((6, 8),):
            rest = height - ledger - per_column - 3 - middle
            if rest >= 8:
                return Heights(ledger, per_column + 3, columns, middle, rest)
    columns = 2 if gpu_count > 8 else 1
    shown = max(4, min(-(-gpu_count // columns) + 3, height - 4 - 6))
    return Heights(4, shown, columns, 0, height - 4 - shown)


def _with_today(height: int, gpu_count: int) -> Heights | None:
    for columns in (1, 2) if gpu_count > 8 else (1,):
        gpus, today = -(-gpu_count // columns) + 3, gpu_count + 4
        for middle in (9, 8, 5):
            rest = height - 6 - gpus - middle - today
            if rest >= 8:
                return Heights(6, gpus, columns, middle, rest, today)
    return None


def shows_today(context: Context, view: View) -> bool:
    """Whether the overview of this size has a panel of the day."""
    if context.width < WIDE or not view.gpus or view.ledger is None:
        return False
    return heights(context.height - 2, len(view.gpus), wide=True).today > 0


def steps_shown(context: Context, view: View) -> bool:
    """Whether the first steps stand where waste and throughput will: until something is found, enough is recorded, or Esc."""
    young = context.ui.first_steps and bool(view.gpus) and is_young(view) and not view.findings
    return young and context.width >= 100 and heights(context.height - 2, len(view.gpus), wide=context.width >= WIDE).middle > 0


def shows_throughput(context: Context, view: View) -> bool:
    """Whether the overview of this size has rows of workloads to select."""
    if not view.gpus or view.ledger is None:
        return shows_servers(context, view) and bool(telling(view))
    if not telling(view) or context.width < THROUGHPUT_FROM:
        return False
    wide = context.width >= WIDE
    return wide or (heights(context.height - 2, len(view.gpus)).middle > 0 and not steps_shown(context, view))


def draw_overview(sheet: Sheet, context: Context) -> None:
    """By width: no borders below 100, a right column from 200 on."""
    view = context.view
    assert view is not None
    if not (view.past or view.recording.begun):
        draw_starting(sheet, context, view)
        return
    if not view.gpus or view.ledger is None:
        draw_no_gpu(sheet, context, view)
    elif context.width < 100:
        _narrow(sheet, context, view)
    else:
        _boxed(sheet, context, view)


def _narrow(sheet: Sheet, context: Context, view: View) -> None:
    height = context.height - 2
    ledger = view.ledger
    assert ledger is not None
    waste = rows_needed(view) if height >= 20 else 1
    said = context.ui.notice or first_notice(view)
    notice = 1 if said and height >= 18 else 0
    gpu_rows = max(2, height - 2 - waste - notice - 4)
    if len(view.gpus) < gpu_rows:
        gpu_rows = len(view.gpus) + 1
    else:
        gpu_rows = min(gpu_rows, -(-len(view.gpus) // 2) + 1)
    draw_ledger_narrow(sheet, context, view, ledger, 1)
    draw_gpus_narrow(sheet, context, view, 3, gpu_rows)
    draw_waste_narrow(sheet, context, view, 3 + gpu_rows, waste)
    top = 3 + gpu_rows + waste
    if notice:
        sheet.put(top, 0, cut(said, context.width), context.look.style("waiting"))
        top += 1
    draw_processes_narrow(sheet, context, view, top, context.height - 1 - top)


def _boxed(sheet: Sheet, context: Context, view: View) -> None:
    ledger = view.ledger
    assert ledger is not None
    wide = context.width >= WIDE
    rows = heights(context.height - 2, len(view.gpus), wide=wide)
    right = context.width - 51 if wide else context.width - 1
    cells = 75 if wide else 45
    y = 1
    draw_ledger(sheet, context, view, ledger, y, rows.ledger)
    y += rows.ledger
    draw_gpus(sheet, context, view, y, rows.gpus, right, rows.gpu_columns, cells)
    if wide:
        _right_column(sheet, context, view, y, rows, right + 1)
    y += rows.gpus
    if rows.middle:
        _middle(sheet, context, view, y, rows.middle, right, wide)
        y += rows.middle
    if rows.today:
        draw_today(sheet, context, view, y, rows.today)
        y += rows.today
    draw_processes(sheet, context, view, y, rows.processes)


def _middle(sheet: Sheet, context: Context, view: View, y: int, rows: int, right: int, wide: bool) -> None:
    if steps_shown(context, view):
        draw_first_steps(sheet, context, view, y, rows, right)
    elif wide:
        draw_waste(sheet, context, view, y, rows, right)
    elif context.width >= THROUGHPUT_FROM:
        draw_waste(sheet, context, view, y, rows, context.width - 44)
        draw_throughput(sheet, context, view, y, rows, context.width - 43)
    else:
        draw_waste(sheet, context, view, y, rows, right)


def _right_column(sheet: Sheet, context: Context, view: View, top: int, rows: Heights, left: int) -> None:
    """Throughput and events beside GPUs and waste; many workloads take rows of the events, but not their last three."""
    if not rows.middle:
        draw_throughput(sheet, context, view, top, rows.gpus, left)
        return
    whole = rows.gpus + rows.middle
    wanted = 2 + 2 * len(telling(view))
    upper = min(max(rows.gpus, wanted), max(rows.gpus, whole - LEAST_EVENTS))
    draw_throughput(sheet, context, view, top, upper, left)
    draw_events(sheet, context, view, top + upper, whole - upper, left)
