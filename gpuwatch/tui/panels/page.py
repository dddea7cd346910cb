"""A whole page: header, a screen's body, footer; and what stands there when there is no room or nothing to show.

Like all drawing it needs no Textual, so that the first picture can be there before Textual is.
"""

from __future__ import annotations

from collections.abc import Callable

from gpuwatch.dataclass import replace
from gpuwatch.format import counted, number
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels.footer import draw_footer
from gpuwatch.tui.panels.header import draw_header
from gpuwatch.tui.state import Context

SMALLEST = (60, 15)


def draw_page(context: Context, body: Callable[[Sheet, Context], None]) -> Sheet:
    """The page for ``context``; ``body`` fills rows 1 to height - 2 where there is a View."""
    if context.view is not None and context.view.past:
        context = replace(context, look=context.look.past)
    sheet = Sheet(context.width, context.height, context.look)
    if context.width < SMALLEST[0] or context.height < SMALLEST[1]:
        return too_small(sheet, context)
    draw_header(sheet, context)
    if context.view is None:
        waiting(sheet, context)
    else:
        body(sheet, context)
    draw_footer(sheet, context)
    return sheet


def too_small(sheet: Sheet, context: Context) -> Sheet:
    """Below 60x15: one line that says so, and the sentence that matters most."""
    look, view = context.look, context.view
    sheet.put(0, 0, "terminal too small"[: context.width], look.amber)
    if view is not None and context.height > 1:
        waste = view.waste_now_gpus
        gpus = counted(sum(1 for gpu in view.gpus if not gpu.parent_uuid), "GPU")
        text = f"waste {number(waste, 1)} of {gpus}" if waste is not None else gpus
        sheet.put(1, 0, text[: context.width], look.fg)
    return sheet


def waiting(sheet: Sheet, context: Context) -> None:
    """No View yet, or none to be had: why, and what to do."""
    look = context.look
    text = context.problem or "Waiting for the first sample …"
    style = look.amber if context.problem else look.dim
    room = context.width - 4
    for y, start in zip(range(2, context.height - 1), range(0, len(text), room)):
        sheet.put(y, 2, text[start : start + room], style)
