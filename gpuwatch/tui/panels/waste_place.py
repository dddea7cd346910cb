"""Where a finding is drawn, and what all its sections write alike: heads and wrapped lines."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.tui.draw.frame import words_width
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels.process_facts import wrap
from gpuwatch.tui.state import Context
from gpuwatch.tui.waste import Listed
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import View

Words = list[tuple[str, Style]]


@dataclass(slots=True)
class Place:
    """Where a finding is drawn: from column ``left`` to ``right`` (inclusive), with what belongs to it."""

    sheet: Sheet
    context: Context
    view: View
    listed: Listed
    left: int
    right: int

    @property
    def finding(self) -> FindingView:
        """The one that is drawn."""
        return self.listed.finding

    @property
    def width(self) -> int:
        """Cells of a line."""
        return self.right + 1 - self.left

    def head(self, y: int, title: str, note: Words | None = None) -> None:
        """The name of a section, and what stands at the right of it."""
        look = self.sheet.look
        at = self.sheet.put(y, self.left, title, look.title)
        if note and at + 2 + words_width(note) <= self.right + 1:
            self.sheet.words_right(y, self.right, note)

    def lines(self, y: int, text: str, rows: int, style: Style) -> int:
        """``text`` in up to ``rows`` rows; returns the row after it."""
        for line in wrap(text, self.width, rows) if rows > 0 else ():
            self.sheet.put(y, self.left, line, style)
            y += 1
        return y
