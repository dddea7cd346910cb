"""The help: every key of the screen behind it and of the program, generated from the bindings, so that none is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType

from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.palette import STATES
from gpuwatch.tui.parts import PARTS
from gpuwatch.tui.screens.base import PanelScreen, sign_of
from gpuwatch.tui.state import Context


def lines_of(bindings: Iterable[BindingType]) -> list[tuple[str, str]]:
    """(keys, what they do) of each binding; its tooltip says more than its footer word."""
    out = []
    for binding in bindings:
        if isinstance(binding, Binding) and (binding.tooltip or binding.description):
            out.append((sign_of(binding), binding.tooltip or binding.description))
    return out


class HelpScreen(PanelScreen):
    """Keys left, words and colours right."""

    NAME, DIGIT = "help", "?"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark", "app.out", "close", key_display="Esc")]

    def body(self, sheet: Sheet, context: Context) -> None:
        """Two columns in one box; what does not fit is dropped from the end."""
        look = context.look
        last = context.height - 3
        box(sheet, 1, context.height - 2, f"Keys · {self.gpuwatch.below_help.NAME}")
        sheet.band(1, context.height - 1)
        y = 2
        for title, bindings in (("here", self.gpuwatch.below_help.BINDINGS), ("everywhere", self.gpuwatch.BINDINGS)):
            if y <= last and bindings:
                sheet.put(y, 2, title, look.dim)
                y += 1
            for keys, what in lines_of(bindings):
                if y <= last:
                    sheet.right(y, 14, keys, look.title)
                    sheet.put(y, 17, what, look.fg)
                    y += 1
        if context.width >= 100:
            _words(sheet, context, 66, last)


def _words(sheet: Sheet, context: Context, x: int, last: int) -> None:
    look = context.look
    y = sheet_lines(sheet, 2, x, last, "states", [(kind.word, look.style(kind.text_ink, "bg", True)) for kind in STATES.values()])
    sheet_lines(sheet, y + 1, x, last, "parts of the bar", [(part.name, look.fg) for part in PARTS])


def sheet_lines(sheet: Sheet, y: int, x: int, last: int, title: str, words: list[tuple[str, object]]) -> int:
    """A title and one word a row; returns the row after them."""
    sheet.put(y, x, title, sheet.look.dim)
    for word, style in words:
        y += 1
        if y <= last:
            sheet.put(y, x + 2, word, style)  # type: ignore[arg-type]
    return y + 1
