"""First steps: what a new user can do next, until Esc hides it for good, something is found, or 15 minutes are recorded.

Only commands that exist are named.
"""

from __future__ import annotations

from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.state import Context
from gpuwatch.view.types import View

STEPS = (
    ("Keep a history", "gpuwatch record", "now: only while this window is open"),
    ("See what a step waits for", "gpuwatch run -- python train.py", "its phases and waits, script unchanged"),
    ("Ask it anything", 'gpuwatch query "SELECT * FROM v_gpu_now"', "every number here is a column of a view"),
    ("See what is missing", "gpuwatch doctor", "what this host can give, and what not"),
)
COMMAND, WHY = 32, 75
"""Columns where commands begin, and what they are for where that stands in the same row."""


def draw_first_steps(sheet: Sheet, context: Context, view: View, top: int, rows: int, right: int) -> None:
    """The boxed panel in columns 0 to ``right``; without room for two rows a step, one row each."""
    look = context.look
    box(sheet, top, top + rows - 1, "First steps", right=right, foot=[("Esc hides this for good", look.dim)])
    step = 2 if rows - 2 >= 2 * len(STEPS) else 1
    y = top + 1
    for number, (what, command, why) in enumerate(STEPS, 1):
        if y + step > top + rows - 1:
            return
        sheet.put(y, 2, str(number), look.dim)
        sheet.put(y, 4, what, look.white)
        sheet.put(y, COMMAND, command, look.acc)
        if step == 2 and COMMAND + len(why) < right - 1:
            sheet.put(y + 1, COMMAND, why, look.dim)
        elif step == 1 and WHY + len(why) < right - 1:
            sheet.put(y, WHY, why, look.dim)
        y += step
    if view.recording.simulated and y < top + rows - 1:
        sheet.put(y, 2, "All values are simulated.", look.amber)
