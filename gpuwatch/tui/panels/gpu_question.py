"""What the GPU screen asks: which GPU, which span, how many cells; and what stands there until that is answered."""

from __future__ import annotations

from gpuwatch.format import clock_minute, since
from gpuwatch.tui.panels.lanes import Place
from gpuwatch.tui.state import Context
from gpuwatch.view.types import DetailRequest, DetailView, GpuHistory, GpuView, View

SPANS = ((900, "15 min"), (3_600, "60 min"), (86_400, "24 h"), (604_800, "7 d"))
"""What ``z`` goes through: seconds and words."""
NOTHING_YET = "reading …"
"""What stands where an answer will; answers come even while the picture is paused."""
FINEST_SECONDS = 5
"""Slow values are read once in so many seconds: finer cells would have holes."""


def cells_in(room: int, seconds: int) -> int:
    """The most cells that fit into ``room`` and divide the span into whole seconds (from a day on, whole minutes)."""
    unit = 60 if seconds >= 86_400 else 1
    units = seconds // unit
    return next((n for n in range(min(room, seconds // FINEST_SECONDS), 0, -1) if units % n == 0), 1)


def place_for(width: int, seconds: int) -> tuple[Place, int]:
    """Where the lanes stand on a screen of that width, and the column of the last digit behind them (-1: no room)."""
    if width < 100:
        return Place(0, 18, 20, cells_in(width - 20, seconds)), -1
    cells = cells_in(width - 7 - (31 if width >= 160 else 23), seconds)
    x = width - 7 - cells
    return Place(2, x - 2, x, cells), width - 3


def chosen(context: Context, view: View) -> GpuView:
    """The GPU that the user looks at; the last one when there are fewer now."""
    return view.gpus[min(context.ui.gpu, len(view.gpus) - 1)]


def request_for(context: Context, gpu: GpuView) -> DetailRequest:
    """What this screen wants to know about ``gpu``."""
    seconds = SPANS[context.ui.zoom][0]
    cells = place_for(context.width, seconds)[0].cells
    return DetailRequest(gpu.gpu_uuid, cells, seconds // cells)


def answer(context: Context, gpu: GpuView) -> DetailView:
    """The detail that belongs to the present question, or an empty one until it is there."""
    request = request_for(context, gpu)
    detail = context.detail
    return detail if detail is not None and detail.request == request else DetailView(request)


def span_note(history: GpuHistory, context: Context) -> str:
    """``13:32 to 14:32 · 40 s a cell, its maximum``."""
    seconds = history.cell_seconds
    cell = f"{seconds // 60} min" if seconds % 60 == 0 and seconds >= 120 else f"{seconds} s"
    days = history.span.end_ms - history.span.start_ms > 86_400_000
    first = since(history.span.start_ms, history.span.end_ms, context.tz) if days else clock_minute(history.span.start_ms, context.tz)  # fmt: skip
    text = f"{first} to {clock_minute(history.span.end_ms, context.tz)} · {cell} a cell, its maximum"
    return f"{text} · in part minute values" if history.from_minutes and seconds < 60 else text
