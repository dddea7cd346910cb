"""What is wrong with a drawn sheet: characters over others, beyond the edge, of the wrong set, or without a style."""

from __future__ import annotations

from gpuwatch.text import clean
from gpuwatch.tui.draw.line import Sheet, width_of


def faults(sheet: Sheet) -> list[str]:
    """One line a mistake; empty for a good sheet. Finishing the strips is what finds text written over other text."""
    out: list[str] = []
    for y in range(sheet.height):
        strip = sheet.strip(y)
        text = strip.text
        if width_of(text) != sheet.width:
            out.append(f"row {y}: {width_of(text)} cells instead of {sheet.width}")
        if any(segment.style is None for segment in strip):
            out.append(f"row {y}: a segment without a style")
        if clean(text, len(text) + 1) != text:
            out.append(f"row {y}: a control character in {text!r}")
        if sheet.look.ascii and not text.isascii():
            out.append(f"row {y}: not ASCII: {text!r}")
    return sheet.faults + out
