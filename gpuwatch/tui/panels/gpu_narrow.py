"""One GPU below 100 columns: lanes of one row, holders and the eight-part bar, parted by bands."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.format import gpu_hours
from gpuwatch.tui.draw.frame import words_width
from gpuwatch.tui.draw.ledgerbar import ledger_bar
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels import gpu_ledger
from gpuwatch.tui.panels.gpu_question import NOTHING_YET, SPANS, place_for
from gpuwatch.tui.panels.gpu_title import COUNTED_APART, draw_title, instances_of
from gpuwatch.tui.panels.holders import draw_holders, draw_instances
from gpuwatch.tui.panels.lanes import LaneKind, Place, axis, draw_lane, kinds_for, narrow_kinds
from gpuwatch.tui.parts import split
from gpuwatch.tui.state import Context
from gpuwatch.view.types import DetailView, GpuView, View


def draw_narrow(sheet: Sheet, context: Context, view: View, gpu: GpuView, detail: DetailView) -> None:
    """One-row lanes, holders and the eight-part bar."""
    look, history = context.look, detail.gpu
    last, place = context.height - 1, place_for(context.width, SPANS[context.ui.zoom][0])[0]
    draw_title(sheet, context, view, gpu)
    small = context.height < 24
    kinds: Sequence[LaneKind] = kinds_for(history, context.ui.write) if history else ()
    ledger_rows = 2 if small else 6
    ledger_at = last - ledger_rows
    held = max(3, min(6, len(detail.holders)))
    shown = kinds if ledger_at - 5 - len(kinds) >= held else narrow_kinds(kinds)
    holders_at = 4 + max(len(shown), 1)
    _band_head(sheet, 3, f"Last {SPANS[context.ui.zoom][1]}", look)
    if history is not None:
        axis(sheet, 3, place.x, history, context.tz)
        for y, kind in enumerate(shown[: ledger_at - 4], 4):
            draw_lane(sheet, y, place, kind, history, gpu, 1)
    else:
        sheet.put(4, 0, NOTHING_YET, look.dim)
    if holders_at + 1 < ledger_at:
        _narrow_holders(sheet, context, view, gpu, detail, holders_at, ledger_at, place)
    _narrow_ledger(sheet, context, view, gpu, detail, ledger_at, ledger_rows)


def _band_head(sheet: Sheet, y: int, title: str, look: object) -> None:
    sheet.ground(y, 0, sheet.width - 1, "bar")
    sheet.put(y, 0, title, sheet.look.title)


def _narrow_holders(
    sheet: Sheet, context: Context, view: View, gpu: GpuView, detail: DetailView, top: int, bottom: int, place: Place
) -> None:
    sliced = bool(instances_of(gpu, view))
    _band_head(sheet, top, "Its instances" if sliced else "Who held it", context.look)
    hint = f"{len(detail.holders)} held it, ↑↓" if len(detail.holders) > bottom - top - 1 else ""
    if detail.holders and not sliced:
        sheet.right(top, context.width - 1, hint or "⏎ process", context.look.dim)
    if detail.gpu is None:
        return
    if sliced:
        draw_instances(sheet, view, detail, place, top + 1, bottom, -1)
    else:
        draw_holders(sheet, context, view, detail, gpu, place, top + 1, bottom, -1)


def _narrow_ledger(sheet: Sheet, context: Context, view: View, gpu: GpuView, detail: DetailView, top: int, rows: int) -> None:
    look, ledger, today = context.look, detail.ledger, detail.today
    _band_head(sheet, top, "Where its time went", look)
    if instances_of(gpu, view):
        sheet.put(top + 1, 0, COUNTED_APART, look.fg)
        return
    if ledger is None:
        sheet.put(top + 1, 0, NOTHING_YET, look.dim)
        return
    note = gpu_ledger.note_of(context, ledger)
    if words_width(note) + 22 <= context.width:
        sheet.words_right(top, context.width - 1, note)
    ledger_bar(sheet, top + 1, 0, context.width, split(ledger))
    if rows < 6:
        return
    sheet.put(top + 2, 0, "today", look.dim)
    if today is not None:
        ledger_bar(sheet, top + 3, 0, context.width, split(today))
        sheet.words(top + 2, 6, [(f"{gpu_hours(today.capacity_ms)} GPU·h", look.dim)])
    sheet.words(top + 4, 0, gpu_ledger.wait_words(context, ledger, context.width))
    sheet.words(top + 5, 0, gpu_ledger.sum_words(context, view, gpu, ledger, today, context.width))
