"""The last row: the screens and the keys that do something here."""

from __future__ import annotations

from gpuwatch.tui.draw.frame import words_width
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.state import Context

SCREENS = (("1", "Overview"), ("2", "GPUs"), ("3", "Procs"), ("4", "Waste"), ("5", "History"), ("6", "Report"))
PAST = (("←→", "20 s"), ("L", "live"))
ALWAYS = (("?", "help"), ("q", "quit"))


def draw_footer(sheet: Sheet, context: Context) -> None:
    """Six screens, a line, keys; keys that do not fit are dropped from the left, ``? help q quit`` last of all."""
    look, y, width = context.look, context.height - 1, context.width
    sheet.ground(y, 0, width - 1, "bar")
    named = width >= 100
    at = 0
    ends = []
    for digit, name in SCREENS:
        if digit == context.active:
            text = f" {digit} {name} "
            if at + len(text) <= width:
                at = sheet.put(y, at, text, look.badge)
        elif named and at + 3 + len(name) <= width:
            at = sheet.words(y, at + 1, [(digit, look.title), (f" {name} ", look.fg)])
        elif at + 3 <= width:
            at = sheet.put(y, at + 1, digit, look.title) + 1
        ends.append((at, digit))
    sheet.hits[y] = ("screens", tuple(ends), y)
    if context.ui.filter_open:
        words = [("Enter", look.title), (" keep ", look.dim), ("Esc", look.title), (" clear ", look.dim)]
        if at + 2 + words_width(words) <= width:
            sheet.words_right(y, width - 1, [(look.glyphs.vertical, look.faint), (" ", look.dim), *words])
        return
    past = context.view is not None and context.view.past
    keys = [*context.keys, *(PAST if past else ()), *ALWAYS]
    while keys:
        words = [part for key, word in keys for part in ((f" {key}", look.title), (f" {word}", look.dim))]
        if at + 3 + words_width(words) <= width:
            sheet.words_right(y, width - 2, [(look.glyphs.vertical, look.faint), *words])
            return
        keys.pop(0)
