"""The newest events, on wide screens."""

from __future__ import annotations

from gpuwatch.format import clock_minute
from gpuwatch.names import Severity
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.state import Context
from gpuwatch.view.types import EventView, View

_SEVERITY_INKS = {Severity.INFO: "free", Severity.NOTICE: "neutral", Severity.WARNING: "waiting", Severity.CRITICAL: "held"}


def _told(view: View, event: EventView) -> str:
    """An event's text without the GPU's number and name, which stand before it or in the header."""
    text = event.detail
    names = {gpu.name for gpu in view.gpus if gpu.gpu_index == event.gpu_index}
    for word in (f"GPU {event.gpu_index}", *sorted(names, key=len, reverse=True)) if event.gpu_index is not None else ():
        text = text.removeprefix(word).lstrip(": ")
    return text or event.detail


def draw_events(sheet: Sheet, context: Context, view: View, top: int, rows: int, left: int) -> None:
    """The boxed list of events, newest first, from column ``left`` to the right edge."""
    look, right = context.look, context.width - 1
    box(sheet, top, top + rows - 1, "Events", left=left)
    events = sorted(view.events, key=lambda event: -event.ts_ms)[: rows - 2]
    if not events:
        sheet.put(top + 1, left + 2, "No event yet.", look.dim)
    for y, event in enumerate(events, top + 1):
        sheet.put(y, left + 2, clock_minute(event.ts_ms, context.tz), look.dim)
        sheet.put(y, left + 8, look.glyphs.tick, look.style(_SEVERITY_INKS[event.severity]))
        if event.gpu_index is not None:
            sheet.put(y, left + 10, f"GPU {event.gpu_index}", look.fg)
        x = left + (10 if event.gpu_index is None else 18)
        sheet.put(y, x, cut(_told(view, event), right - 1 - x), look.fg)
