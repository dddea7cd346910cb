"""One GPU from 100 columns on: three boxed panels, the lanes as high as the others allow."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.dataclass import dataclass, replace
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels import gpu_ledger
from gpuwatch.tui.panels.gpu_question import NOTHING_YET, SPANS, place_for, span_note
from gpuwatch.tui.panels.gpu_title import COUNTED_APART, draw_title, instances_of, reason_of
from gpuwatch.tui.panels.holders import draw_heads, draw_holders, draw_instances
from gpuwatch.tui.panels.lanes import Place, axis, draw_lane, kinds_for
from gpuwatch.tui.state import Context
from gpuwatch.view.types import DetailView, GpuView, View

Words = list[tuple[str, Style]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Heights of the three boxed panels and of a lane; ``spaced``: a blank row between pairs of lanes."""

    lanes: int
    lane: int
    spaced: bool
    holders: int
    ledger: int


def rows_for(height: int, holders: int) -> Rows:
    """Share ``height`` rows (without header, footer and the two title rows), the lanes as high as the others allow."""
    for ledger, least in ((8, 6), (8, 5), (8, 4), (6, 4), (3, 4)):
        for lane, spaced in ((4, True), (3, True), (2, True), (2, False), (1, True), (1, False)):
            lanes = 8 * lane + 3 * spaced + 3
            rest = height - ledger - lanes
            if rest >= least and (lane <= 2 or rest >= min(holders + 3, 12)):
                return Rows(lanes, lane, spaced, rest, ledger)
    return Rows(max(3, height - 7), 1, False, 4, 3)


def draw_boxed(sheet: Sheet, context: Context, view: View, gpu: GpuView, detail: DetailView) -> None:
    """Title, lanes, holders and the ledger of its time, one below the other."""
    instances = len(instances_of(gpu, view))
    rows = rows_for(context.height - 4, max(len(detail.holders), instances))
    if instances > rows.holders - 3:  # the ledger of a sliced board is one sentence
        rows = replace(rows, holders=rows.holders + rows.ledger - 3, ledger=3)
    place, gib_at = place_for(context.width, SPANS[context.ui.zoom][0])
    draw_title(sheet, context, view, gpu)
    y = 3
    _lanes(sheet, context, gpu, detail, y, rows, place)
    y += rows.lanes
    _holders(sheet, context, view, gpu, detail, y, rows.holders, place, gib_at)
    y += rows.holders
    box(sheet, y, y + rows.ledger - 1, "Where this GPU's time went", note=gpu_ledger.note_of(context, detail.ledger))
    if instances:
        sheet.put(y + 1, 2, COUNTED_APART, context.look.fg)
    elif detail.ledger is not None and rows.ledger >= 3:
        gpu_ledger.draw_gpu_ledger(sheet, context, view, gpu, detail.ledger, detail.today, y + 1, rows.ledger - 2)
    elif rows.ledger >= 3:
        sheet.put(y + 1, 2, NOTHING_YET, context.look.dim)


def _lanes(sheet: Sheet, context: Context, gpu: GpuView, detail: DetailView, top: int, rows: Rows, place: Place) -> None:
    look, history = context.look, detail.gpu
    word = SPANS[context.ui.zoom][1]
    bottom = top + rows.lanes - 1
    note = [(span_note(history, context), look.dim)] if history else []
    foot: Words = []
    if history and any(history.throttled):
        reason = reason_of(gpu)
        foot = [("! = " if look.plain or look.ascii else "violet = ", look.dim), (f"clocks lowered{f' by {reason}' if reason else ''}", look.dim)]  # fmt: skip
    box(sheet, top, bottom, f"Last {word}", note=note, foot=foot)
    if history is None:
        sheet.put(top + 1, 2, NOTHING_YET, look.dim)
        return
    y = top + 1
    for number, kind in enumerate(kinds_for(history, context.ui.write)):
        if y + rows.lane > bottom - 1:
            break
        draw_lane(sheet, y, place, kind, history, gpu, rows.lane)
        y += rows.lane + (rows.spaced and number % 2 == 1 and number < 7)
    axis(sheet, bottom - 1, place.x, history, context.tz)


def _holders(
    sheet: Sheet, context: Context, view: View, gpu: GpuView, detail: DetailView, top: int, rows: int, place: Place, gib_at: int
) -> None:
    look, history = context.look, detail.gpu
    bottom = top + rows - 1
    sliced = bool(instances_of(gpu, view))
    foot = "colour = state while the process held the GPU"
    if look.plain or look.ascii:
        foot = "mark = state while the process held the GPU"
    more = len(detail.holders) - (rows - 3)
    if more > 0 and not sliced:
        foot = f"{len(detail.holders)} held it, ↑↓ · {foot}"
    title = "Its instances" if sliced else "Who held it"
    box(sheet, top, bottom, title, foot=[(foot, look.dim)] if detail.holders and not sliced else [])
    if history is not None:
        axis(sheet, top + 1, place.x, history, context.tz, now=False)
        if sliced:
            sheet.put(top + 1, 2, "Instance", look.dim)
            sheet.right(top + 1, gib_at, "GiB", look.dim)
            draw_instances(sheet, view, detail, place, top + 2, bottom, gib_at)
        else:
            draw_heads(sheet, top + 1, place, detail.holders, gib_at)
            draw_holders(sheet, context, view, detail, gpu, place, top + 2, bottom, gib_at)
