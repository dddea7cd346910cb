"""Today: one row a GPU from local midnight to now, and its GPU·h held idle, unused and free."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo

from rich.style import Style

from gpuwatch.format import NOTHING, clock_minute, gpu_hours
from gpuwatch.tui.draw.bars import strip
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels.gpus import has_activity, label_of, mark_row
from gpuwatch.tui.state import Context
from gpuwatch.view.build import midnight_ms
from gpuwatch.view.types import DayView, DetailRequest, View

HOUR_MS = 3_600_000
LEFT, BESIDE = 6, 26
"""First column of the cells, and columns that are not cells."""
CELL_MINUTES = (5, 6, 8, 10, 12, 15, 20, 30, 60)


def day_request(context: Context, view: View) -> DetailRequest:
    """What the panel asks: cells of five minutes, longer ones when the day so far does not fit."""
    start_ms, room = midnight_ms(view.at_ms, context.tz), context.width - BESIDE
    minutes = next((m for m in CELL_MINUTES if view.at_ms - start_ms <= m * 60_000 * room), CELL_MINUTES[-1])
    return DetailRequest(cells=0, cell_seconds=minutes * 60, day_start_ms=start_ms)


def draw_today(sheet: Sheet, context: Context, view: View, top: int, rows: int) -> None:
    """The boxed panel of ``rows`` rows over the whole width."""
    look, width, request = context.look, context.width, day_request(context, view)
    cell_ms = request.cell_seconds * 1000
    height = "SM active" if has_activity(view) else "GPU util"
    box(
        sheet,
        top,
        top + rows - 1,
        "Today",
        note=[(f"right: GPU·h since {clock_minute(request.day_start_ms, context.tz)}", look.dim)],
        foot=[(f"height = {height} · {request.cell_seconds // 60} min a cell", look.dim)],
    )
    y = top + 1
    sheet.right(y, 3, "#", look.dim)
    for x, text in _hours(request.day_start_ms, view.at_ms, cell_ms, context.tz):
        if LEFT + x + len(text) <= width - 20:
            sheet.put(y, LEFT + x, text, look.dim)
    for right, head in ((16, "held"), (9, "unused"), (3, "free")):
        sheet.right(y, width - right, head, look.dim)
    detail = context.detail
    if detail is None or detail.request != request:
        sheet.put(y + 1, LEFT, "reading …", look.dim)
        return
    days = {day.gpu_uuid: day for day in detail.days}
    first = min(context.ui.table("gpus").top, max(0, len(view.gpus) - (rows - 4)))
    for y, position in zip(range(top + 2, top + rows - 1), range(first, len(view.gpus))):
        gpu = view.gpus[position]
        sheet.right(y, 3, label_of(gpu), look.white)
        mark_row(sheet, context, y, position, 1, width - 2, alone=True)
        day = days.get(gpu.gpu_uuid)
        if day is not None:
            strip(sheet, y, LEFT, day.cells[: width - BESIDE])
            _hours_of(sheet, y, day)


def _hours(start_ms: int, end_ms: int, cell_ms: int, tz: tzinfo | None) -> Iterator[tuple[int, str]]:
    """(cell, clock) of every second full hour, by the local clock."""
    for at in range(start_ms, end_ms, HOUR_MS):
        if datetime.fromtimestamp(at / 1000, tz).hour % 2 == 0:
            yield (at - start_ms) // cell_ms, clock_minute(at, tz)


def _hours_of(sheet: Sheet, y: int, day: DayView) -> None:
    look = sheet.look
    inks = ((16, day.held_ms, look.style("held")), (9, day.unused_ms, look.style("unused_text")), (3, day.free_ms, look.fg))
    for right, ms, style in inks:
        text, style = _gpu_hours(ms, style, look.style("free_text"))
        sheet.right(y, sheet.width - right, text, style)


def _gpu_hours(ms: int | None, style: Style, faint: Style) -> tuple[str, Style]:
    if not ms:
        return (NOTHING if ms is None else "0"), faint
    return ("<0.1" if ms < HOUR_MS / 20 else gpu_hours(ms)), style
