"""The process screen's list: the filter above it, the table, and what its edges say."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.tui.draw.frame import box, words_width
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.process_table import Table, columns_for, draw_rows
from gpuwatch.tui.panels.processes import draw_head, empty_text
from gpuwatch.tui.rows import SORTS
from gpuwatch.tui.state import Context
from gpuwatch.view.types import View

Words = list[tuple[str, Style]]


def draw_list(sheet: Sheet, context: Context, view: View, table: Table, top: int, bottom: int) -> None:
    """Filter, heads and rows between ``top`` and ``bottom`` (inclusive)."""
    look, ui = context.look, context.ui
    boxed = context.width >= 100
    filtered = bool(ui.filter_open or ui.filter)
    if boxed and filtered and bottom - top >= 12:
        note = f"{table.matching} of {len(view.processes)} match · with their workers; grey rows are parents"
        box(sheet, top, top + 2, "Filter", note=[(note if ui.filter else "type words", look.dim)])
        _filter(sheet, context, top + 1, 2)
        top, filtered = top + 3, False
    columns = columns_for(context.width)
    if boxed:
        box(sheet, top, bottom, _title(context), note=_note(context, view), foot=[(_foot(context), look.dim)])
    y, left = (top + 1, 2) if boxed else (top, 0)
    if filtered:
        _filter(sheet, context, y, left)
        y += 1
    draw_head(sheet, y, columns, context)
    if not boxed:
        sheet.ground(y, 0, context.width - 1, "bar")
    end = bottom if boxed else bottom + 1
    if not draw_rows(sheet, context, table, columns, y + 1, end):
        sheet.put(y + 1, left, cut(_nothing(context, view), context.width - 2 * left), look.fg)


def _filter(sheet: Sheet, context: Context, y: int, x: int) -> None:
    look, ui = context.look, context.ui
    hint = "user, command, pid, job or gpu2; all words · Enter keeps · Esc clears" if ui.filter_open else "Esc clears"
    room = context.width - 2 * x - 2
    at = sheet.words(y, x, [("/ ", look.title), (cut(ui.filter, room - 4), look.white)])
    if ui.filter_open:
        at = sheet.put(y, at, " ", look.fill("ink", "acc"))
    if at + 3 + len(hint) <= context.width - x:
        sheet.put(y, at + 3, hint, look.dim)


def _title(context: Context) -> str:
    ui = context.ui
    words = ["Processes", *([] if ui.flat else ["tree"]), *([cut(ui.user, 20)] if ui.user else [])]
    return " · ".join(words)


def _note(context: Context, view: View) -> Words:
    look = context.look
    if view.recording.simulated:
        return [("SIMULATED", look.amber)]
    return [(f"only {cut(context.ui.user, 20)}, u shows all", look.dim)] if context.ui.user else []


def _foot(context: Context) -> str:
    ui, look = context.ui, context.look
    arrow = look.glyphs.down if SORTS[ui.sort][2] != ui.reverse else look.glyphs.up
    parts = [f"sort {SORTS[ui.sort][0]} {arrow}"]
    if not ui.flat:
        parts.append("a row includes the rows below it")
    parts += [f"t {'tree' if ui.flat else 'flat'}", "a GPU only" if ui.show_all else "a all"]
    text = " · ".join(parts)
    return text if words_width([(text, look.dim)]) < context.width - 10 else parts[0]


def _nothing(context: Context, view: View) -> str:
    if context.ui.user and not context.ui.filter:
        return f"No process of {cut(context.ui.user, 20)} works with a GPU. u shows all users."
    return empty_text(context, view)
