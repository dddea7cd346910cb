"""The screen before the first sample: nothing is known yet, so nothing is claimed, least of all that there is no GPU."""

from __future__ import annotations

from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.state import Context
from gpuwatch.view.types import View


def draw_starting(sheet: Sheet, context: Context, view: View) -> None:
    """The whole screen between header and footer."""
    last = context.height - 2
    box(sheet, 1, last, "Starting")
    if view.recording.pid is not None:
        lines = ["The recorder takes its first sample."]
    else:
        lines = [
            "Nothing is recorded yet; waiting for a recorder.",
            "gpuwatch record starts one, gpuwatch doctor says what may be in its way.",
        ]
    for row, line in enumerate([*lines, *view.notices][: max(0, last - 3)]):
        sheet.put(3 + row, 4, cut(line, context.width - 7), context.look.fg if row < len(lines) else context.look.style("waiting"))
