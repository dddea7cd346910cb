"""Screens whose contents come with later versions: one honest sentence, and the command that answers today."""

from __future__ import annotations

from typing import ClassVar

from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.state import Context


class LaterScreen(PanelScreen):
    """A panel with a sentence and a command."""

    SENTENCE: ClassVar[str] = ""
    COMMAND: ClassVar[str] = ""
    ANSWER: ClassVar[str] = ""

    def body(self, sheet: Sheet, context: Context) -> None:
        """The box over the whole screen."""
        look = context.look
        box(sheet, 1, context.height - 2, self.NAME)
        y = 3
        line = ""
        for word in self.SENTENCE.split():
            if len(line) + len(word) + 1 > context.width - 8:
                sheet.put(y, 4, line, look.fg)
                y, line = y + 1, ""
            line = f"{line} {word}" if line else word
        sheet.put(y, 4, line, look.fg)
        sheet.put(y + 2, 4, self.COMMAND, look.acc)
        sheet.put(y + 3, 4, self.ANSWER, look.dim)


class HistoryScreen(LaterScreen):
    """Screen 5, until days and weeks can be drawn."""

    NAME, DIGIT = "History", "5"
    SENTENCE = (
        "Days and weeks will be drawn here. Any second of the recording is on the other screens: the left arrow goes back to it."
    )
    COMMAND = "gpuwatch report --since 24h --by hour"
    ANSWER = "sums the hours; or: gpuwatch replay --at 14:00"


class ReportScreen(LaterScreen):
    """Screen 6, until reports are drawn on the screen."""

    NAME, DIGIT = "Report", "6"
    SENTENCE = "GPU hours, waste and energy by user, job and GPU will stand here. Everything is recorded for it, and printed by:"
    COMMAND = "gpuwatch report"
    ANSWER = "of the last 7 days; see --since, --by and --format"
