"""Throughput of attached workloads, and the newest events on wide screens."""

from __future__ import annotations

from gpuwatch.format import clock_minute, rate
from gpuwatch.names import Severity
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.state import Context
from gpuwatch.view.types import EventView, View

_SEVERITY_INKS = {Severity.INFO: "free", Severity.NOTICE: "neutral", Severity.WARNING: "waiting", Severity.CRITICAL: "held"}


def draw_throughput(sheet: Sheet, context: Context, view: View, top: int, rows: int, left: int) -> None:
    """The boxed panel from column ``left`` to the right edge."""
    look, right = context.look, context.width - 1
    measured = [work for work in view.workloads if work.tokens_per_second is not None]
    silent = [work.name for work in view.workloads if work.tokens_per_second is None]
    foot = cut(f"{len(silent)} not attached: {', '.join(silent)}", right - left - 8) if silent else ""
    box(sheet, top, top + rows - 1, "Throughput", left=left, foot=[(foot, look.dim)] if foot else ())
    room = right - left - 3
    if not measured:
        for y, text in zip(
            range(top + 1, top + rows - 1), ("Not measured yet: tokens and steps", "need the agent of a later version.")
        ):
            sheet.put(y, left + 2, cut(text, room), look.dim)
        return
    for y, work in zip(range(top + 1, top + rows - 1), measured):
        sheet.put(y, left + 2, cut(work.name, 9), look.white)
        sheet.put(y, left + 11, cut({"training": "train"}.get(work.kind, work.engine or work.kind), 6), look.dim)
        sheet.right(y, left + 22, rate(work.tokens_per_second), look.style("busy", "bg", True))
        sheet.put(y, left + 24, "tok/s", look.fg)


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
        sheet.put(y, left + 18, cut(_told(view, event), right - 1 - left - 18), look.fg)
