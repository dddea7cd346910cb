"""The manual page of a rule over the whole screen: it scrolls, and Esc closes it."""

from __future__ import annotations

import textwrap

from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.state import Context, ManualPage

MOST_WIDTH = 110


def lines_of(page: ManualPage, width: int) -> list[str]:
    """The page's text in lines of ``width`` cells; its own line breaks are kept."""
    out: list[str] = []
    for line in page.text.rstrip().splitlines():
        lead = line[: len(line) - len(line.lstrip())]
        out += textwrap.wrap(line, width, subsequent_indent=lead, break_on_hyphens=False) or [""]
    return out


def draw_manual(sheet: Sheet, context: Context, page: ManualPage) -> None:
    """Everything between header and footer."""
    look, width, bottom = context.look, context.width, context.height - 2
    lines = lines_of(page, min(MOST_WIDTH, width - 6))
    rows = bottom - 2
    page.top = max(0, min(page.top, len(lines) - rows))
    last = min(len(lines), page.top + rows)
    foot = [(f"line {page.top + 1} to {last} of {len(lines)}, ↑↓", look.dim)] if len(lines) > rows else []
    box(sheet, 1, bottom, f"Rule {page.rule}", note=[("Esc closes", look.dim)], foot=foot)
    for y, line in enumerate(lines[page.top : last], 2):
        head = bool(line) and not line.startswith(" ") and (y + page.top == 2 or line.endswith(":"))
        sheet.put(y, 3, cut(line, width - 6), look.white if head else look.fg)
