"""The one widget of every screen: a ``Canvas`` that takes a finished sheet and brings what changed to the terminal.

Textual resends from a widget's left edge to the right edge of what is dirty, one escape sequence a piece of text, after a walk
through its compositor. So while nothing lies over the canvas its changed cells are written to the terminal directly; whenever
that is not allowed (``guard.Link``) Textual paints the changed lines. Both take their cells from the same sheet.
"""

from __future__ import annotations

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from gpuwatch.tui.draw.cells import Cells
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.guard import Link
from gpuwatch.tui.painter import Painter


class Canvas(Widget):
    """All of a screen. ``show(sheet)`` compares with what stands there and sends the difference."""

    DEFAULT_CSS = "Canvas { width: 100%; height: 100%; overflow: hidden; }"

    def __init__(self) -> None:
        super().__init__()
        self._sheet: Sheet | None = None
        self._cells: list[Cells | None] = []
        self._strips: list[Strip | None] = []
        self._painter: Painter | None = None

    def show(self, sheet: Sheet, link: Link | None = None) -> int:
        """Paint ``sheet``, through ``link`` where it allows that; returns how many of its lines differ from the last one."""
        last, self._sheet = self._sheet, sheet
        if last is None or (sheet.width, sheet.height) != (last.width, last.height) or sheet.look is not last.look:
            self._cells, self._strips = [None] * sheet.height, [None] * sheet.height
            self._painter = None
            self.refresh()
            return sheet.height
        changed = [
            y
            for y, (row, before) in enumerate(zip(sheet.rows, last.rows))
            if row.puts != before.puts or row.grounds != before.grounds
        ]
        if not changed:
            return 0
        changes = []
        for y in changed:
            before = self._cells[y] or last.cells(y)
            after = sheet.cells_after(y, last, before)
            changes.append((y, before, after))
            self._cells[y], self._strips[y] = after, None
        if link is None or not link.free(self):
            self.refresh(*(Region(0, y, sheet.width, 1) for y in changed))
            return len(changed)
        if self._painter is None:
            self._painter = Painter(link.colors)
        link.write(self._painter.frame(changes))
        return len(changed)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of the sheet, past the cache of Textual, which does not know what was written directly."""
        filters = self.app.get_line_filters()
        background = self.background_colors[1]
        lines = []
        for y in crop.line_range:
            strip = self.render_line(y)
            for each in filters:
                strip = strip.apply_filter(each, background)
            lines.append(strip if crop.x == 0 and crop.width >= strip.cell_length else strip.crop(crop.x, crop.right))
        return lines

    def render_line(self, y: int) -> Strip:
        """Line ``y``; blank while the terminal is larger than what was drawn last."""
        width = self.size.width
        if self._sheet is None or y >= self._sheet.height:
            return Strip.blank(width, Style.null())
        strip = self._strips[y]
        if strip is None:
            strip = self._strips[y] = self._sheet.strip(y)
        return strip if strip.cell_length == width else strip.adjust_cell_length(width, Style.null())
