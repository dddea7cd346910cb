"""The question before a signal is sent: to whom exactly, which signal, and a second key that says yes."""

from __future__ import annotations

import signal

from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.process_facts import started
from gpuwatch.tui.state import Context, SignalDialog

SIGNALS = (
    (signal.SIGTERM, "asks it to end; it can save its work first"),
    (signal.SIGINT, "like ctrl-c in its terminal"),
    (signal.SIGKILL, "ends it at once; unsaved work is lost"),
)
"""What the dialog offers, gentlest first."""

ROWS = 10
"""Rows of the dialog with its border."""


def name_of(number: int) -> str:
    """``SIGTERM``."""
    return signal.Signals(number).name


def draw_signal(sheet: Sheet, context: Context, dialog: SignalDialog, top: int) -> None:
    """``ROWS`` rows from ``top``: the process, the signals with the chosen one marked, what the keys do."""
    look, width = context.look, context.width
    boxed = width >= 100
    bottom = top + ROWS - 1
    title = f"Send a signal to pid {dialog.pid}?"
    hot = look.style("held", "bg", True)
    if boxed:
        box(sheet, top, bottom, title, title_style=hot)
    else:
        sheet.ground(top, 0, width - 1, "bar")
        sheet.put(top, 0, title, hot)
    label, text, right = (2, 15, width - 3) if boxed else (0, 11, width - 1)
    at_ms = context.view.at_ms if context.view is not None else dialog.start_ms
    start = started(context, dialog.start_ms, at_ms) if dialog.start_known else "unknown"
    for y, (name, value) in enumerate(
        (("Started", start), ("User", dialog.user or "?"), ("Command", dialog.command or "?")), top + 1
    ):
        sheet.put(y, label, name, look.dim)
        sheet.put(y, text, cut(value, right + 1 - text), look.fg)
    for i, (number, what) in enumerate(SIGNALS):
        y = top + 5 + i
        chosen = i == dialog.choice
        sheet.put(y, text - 2, ">" if chosen else " ", look.amber)
        sheet.put(y, text, name_of(number).removeprefix("SIG"), look.amber if chosen else look.fg)
        sheet.put(y, text + 6, what, look.fg if chosen else look.dim)
        if chosen:
            sheet.ground(y, label, right, "sel")
    keys = [("↑↓", look.title), (" choose   ", look.dim), ("y", look.title), (" sends it   ", look.dim), ("Esc", look.title), (" sends nothing", look.dim)]  # fmt: skip
    sheet.words(top + 8, text, keys)
