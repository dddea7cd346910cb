"""The help: every key of the screen behind it and of the program, generated from the bindings, so that none is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType

from gpuwatch.format import STATE_WORDS
from gpuwatch.tui.draw.bars import tick
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.ledgerbar import swatch
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.parts import PARTS
from gpuwatch.tui.phases import PHASES
from gpuwatch.tui.screens.base import PanelScreen, sign_of
from gpuwatch.tui.state import Context

WORDS_LEFT = 84


def lines_of(bindings: Iterable[BindingType], *, short: bool) -> list[tuple[str, str]]:
    """(keys, what they do) of each binding; its tooltip says more than its footer word."""
    out = []
    for binding in bindings:
        if isinstance(binding, Binding) and not binding.system:
            what = binding.description if short else binding.tooltip or binding.description
            out.append((sign_of(binding), what))
    return out


class HelpScreen(PanelScreen):
    """Keys left, words and colours right."""

    NAME, DIGIT = "help", "?"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark", "app.out", "close", key_display="Esc")]

    def body(self, sheet: Sheet, context: Context) -> None:
        """Two columns in one box; on narrow screens both are keys."""
        screen = self.gpuwatch.below_help
        box(sheet, 1, context.height - 2, f"Keys · {screen.NAME}")
        narrow = context.width < 120
        own = [("", "here"), *lines_of(screen.BINDINGS, short=narrow)]
        common = [("", "everywhere"), *lines_of(self.gpuwatch.BINDINGS, short=narrow)]
        last = context.height - 3
        lines = own + common if len(own) > 1 else common
        if not narrow:
            _keys(sheet, lines, 2, 2, WORDS_LEFT - 2, last)
            _words(sheet, WORDS_LEFT, last)
            return
        first, middle = last - 1, context.width // 2
        _keys(sheet, lines[:first], 2, 2, middle - 1, last)
        _keys(sheet, lines[first:], 2, middle, context.width - 2, last)


def _keys(sheet: Sheet, lines: list[tuple[str, str]], y: int, x: int, end: int, last: int) -> None:
    look = sheet.look
    for keys, what in lines:
        if y > last:
            return
        if keys:
            sheet.right(y, x + 7, keys, look.title)
        sheet.put(y, x + 10 if keys else x, cut(what, end - x - 10), look.fg if keys else look.dim)
        y += 1


def _words(sheet: Sheet, x: int, last: int) -> None:
    look = sheet.look
    y = 2
    sheet.put(y, x, "states", look.dim)
    for state, word in STATE_WORDS.items():
        y += 1
        if y <= last:
            tick(sheet, y, x, state)
            sheet.put(y, x + 2, word, look.state(state))
    y += 2
    if y <= last:
        sheet.put(y, x, "parts of the bar", look.dim)
    for part in PARTS:
        y += 1
        if y <= last:
            swatch(sheet, y, x, part)
            sheet.put(y, x + 2, part.name, look.fg)
    y += 2
    if y + 1 <= last:
        sheet.put(y, x, "parts of a training step", look.dim)
    for number, part in enumerate(PHASES.values()):
        row, column = y + 1 + number // 2, x + 17 * (number % 2)
        if row <= last:
            swatch(sheet, row, column, part)
            sheet.put(row, column + 2, part.name, look.fg)
