"""A training below 100 columns: rate, MFU, phases, then ranks, cost and GPU time in one line each, parted by bands."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.tui.draw.ledgerbar import ledger_bar
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels import training_cost, training_ranks
from gpuwatch.tui.panels.ledger import fit
from gpuwatch.tui.panels.server_narrow import band
from gpuwatch.tui.panels.server_rates import span_text
from gpuwatch.tui.panels.training_mfu import draw_bar, why_none
from gpuwatch.tui.panels.training_mfu import title_of as mfu_title
from gpuwatch.tui.panels.training_rates import draw_chart, draw_values, total_of
from gpuwatch.tui.panels.training_step import draw_nothing, draw_table, note_of, places_for, title_of
from gpuwatch.tui.panels.training_words import scale_of, unit_of
from gpuwatch.tui.panels.workload_finding import draw_work_finding
from gpuwatch.tui.panels.workload_question import places_of
from gpuwatch.tui.panels.workload_time import draw_members, nothing_text
from gpuwatch.tui.parts import split
from gpuwatch.tui.phases import in_order
from gpuwatch.tui.phases import split as split_phases
from gpuwatch.tui.state import Context
from gpuwatch.view.training_types import TrainingView
from gpuwatch.view.types import DetailView, View, WorkloadView

Words = list[tuple[str, Style]]


@dataclass(slots=True)
class Rows:
    """Rows of the parts without their bands; ``mfu`` 0: it is left out."""

    chart: int
    mfu: int
    phases: int


def rows_for(room: int, phases: int) -> Rows:
    """Share ``room`` rows above the three lines; ``phases`` rows are wanted for the step's phases, its bar and their heads not counted."""
    rows = Rows(2, 0, min(2, phases))
    spare = room - (1 + rows.chart + 1) - 2 - rows.phases
    grow = min(spare, max(0, min(4, phases) - rows.phases))
    rows.phases, spare = rows.phases + grow, spare - grow
    if spare >= 2:
        rows.mfu, spare = 2, spare - 2
    grow = min(spare, phases - rows.phases)
    rows.phases, spare = rows.phases + grow, spare - grow
    rows.chart += max(0, min(spare, 4))
    return rows


def draw_narrow(sheet: Sheet, context: Context, view: View, work: WorkloadView, training: TrainingView, detail: DetailView | None) -> None:  # fmt: skip
    """Everything below the two title rows."""
    last = context.height - 2
    count = len(in_order(training.phases))
    rows = rows_for(last - 2 - 3, count + 1 if count else 0)
    y = _rates(sheet, context, training, detail, 3, rows.chart)
    if rows.mfu:
        y = _mfu(sheet, context, training, y)
    y = _step(sheet, context, view, work, training, detail, y, rows.phases)
    sheet.words(y, 0, fit(training_ranks.line_of(context, view, training), context.width))
    sheet.words(y + 1, 0, fit(training_cost.line_of(context, training), context.width))
    _time(sheet, context, view, work, detail, y + 2)
    y = draw_work_finding(sheet, context, view, work, y + 3, min(1, last - y - 2), 0, context.width - 1)
    draw_members(sheet, context, view, work, y, last + 1)


def _rates(sheet: Sheet, context: Context, training: TrainingView, detail: DetailView | None, top: int, rows: int) -> int:
    """Band, values beside the chart, the axis; returns the row after."""
    look, places, unit = context.look, places_of(context), unit_of(training)
    assumed = "assumed" in training.parallelism and unit.counted != "steps"
    said = ", assumed data parallel" if assumed and context.width >= 72 else ""
    band(sheet, top, unit.title, [(span_text(places), look.dim)])
    sheet.put(top, len(unit.title), said, look.dim)
    history = detail.training if detail is not None else None
    y = draw_values(sheet, context, training, unit, history, top + 1, top + 1 + rows, spaced=False)
    total = total_of(training)
    text = f"{total} in this run" if total else ""
    if text and y <= top + 1 + rows and len(text) < places.chart - 1:
        sheet.put(top + 1 + rows, 0, text, look.dim)
    draw_chart(sheet, context, detail, places, top + 1, rows, scale=False)
    return top + 2 + rows


def _mfu(sheet: Sheet, context: Context, training: TrainingView, top: int) -> int:
    """The bar, and the first line of the formula; returns the row after."""
    look, width = context.look, context.width
    known = training.mfu_ratio is not None
    text = (training.mfu_terms[0] if training.mfu_terms else "") if known else why_none(training)
    title = "MFU" if known else mfu_title(training)
    band(sheet, top, title)
    if not known:
        sheet.put(top + 1, 0, cut(text, width), look.dim)
        return top + 2
    room = width - 6
    if text and len(text) <= room:
        sheet.put(top, width - len(text), text, look.dim)
    draw_bar(sheet, context, training, top + 1, 0, width - 7, width - 1)
    return top + 2


def _step(sheet: Sheet, context: Context, view: View, work: WorkloadView, training: TrainingView, detail: DetailView | None, top: int, rows: int) -> int:  # fmt: skip
    """Band, bar, phases; returns the row after."""
    look = context.look
    places = places_for(context.width, narrow=True, gpus=bool(work.gpu_indices))
    note, title = note_of(training, short=True), title_of(training)
    end = len(title)
    band(sheet, top, title, [(note, look.dim)] if note and places.p95 + 3 + len(note) <= context.width else ())
    for at, head in ((places.share, "share"), (places.p95, f"p95 {scale_of(training).unit}")):
        if training.phases and at - len(head) > end:
            sheet.right(top, at, head, look.dim)
    if not training.phases:
        draw_nothing(sheet, context, view, work, training, top + 1, 0)
        return top + 2
    ledger_bar(sheet, top + 1, 0, context.width, split_phases(training.phases))
    return draw_table(
        sheet,
        context,
        training,
        detail,
        places,
        top + 2,
        top + 2 + rows,
        heads=False,
    )


def _time(sheet: Sheet, context: Context, view: View, work: WorkloadView, detail: DetailView | None, y: int) -> None:
    """The bar of its GPU time."""
    ledger = detail.workload_ledger if detail is not None else None
    if ledger is None:
        sheet.put(y, 0, nothing_text(view, work, detail), context.look.dim)
        return
    at = sheet.put(y, 0, "GPU time ", context.look.dim)
    ledger_bar(sheet, y, at, context.width - at, split(ledger))
