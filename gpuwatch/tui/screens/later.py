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


class WasteScreen(LaterScreen):
    """Screen 4, until rules exist."""

    NAME, DIGIT = "Waste", "4"
    SENTENCE = (
        "Findings with evidence and advice will stand here once rules exist. The ledger on screen 1 already counts the waste."
    )
    COMMAND = 'gpuwatch query "SELECT * FROM v_ledger_minute"'
    ANSWER = "gives the recorded waste today"


class HistoryScreen(LaterScreen):
    """Screen 5, until time travel exists."""

    NAME, DIGIT = "History", "5"
    SENTENCE = "The overview at any second of the recording will stand here. Everything is already being recorded for it."
    COMMAND = 'gpuwatch query "SELECT * FROM v_gpu_minute"'
    ANSWER = "gives the recorded minutes today"


class ReportScreen(LaterScreen):
    """Screen 6, until reports exist."""

    NAME, DIGIT = "Report", "6"
    SENTENCE = "GPU hours, waste and energy by user, job and GPU will stand here. Everything is already being recorded for it."
    COMMAND = 'gpuwatch query "SELECT * FROM v_ledger_minute"'
    ANSWER = "gives the ledger today"
