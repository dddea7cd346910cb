"""A sheet of lines with absolute columns: text is put at a column, gaps are filled, and every mistake is written down.

``Sheet.faults`` lists each character that would be written over another one or outside the sheet; tests demand that it is empty
for every screen at every size. Segments of one style are merged and every cell has a style, which keeps a refresh small and
Textual's monochrome filter alive. Widths are terminal cells, never ``len``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from gpuwatch.dataclass import dataclass, field
from gpuwatch.tui.draw.cells import Cells, narrow, spread
from gpuwatch.tui.palette import Look

if TYPE_CHECKING:
    from textual.strip import Strip

Put = tuple[int, int, str, Style]
"""First column, column after the last, text, style."""
_COLUMN = itemgetter(0)


def width_of(text: str) -> int:
    """Cells that ``text`` takes on a terminal."""
    return len(text) if text.isascii() or narrow(text) else cell_len(text)


@lru_cache(maxsize=256)
def cut(text: str, cells: int) -> str:
    """``text`` in at most ``cells`` cells, with ``…`` as the last one where something is missing (foreign text only)."""
    if width_of(text) <= cells:
        return text
    if cells <= 0:
        return ""
    return set_cell_size(text, cells - 1).rstrip(" ") + "…"


@dataclass(slots=True)
class Row:
    """What stands on one line."""

    puts: list[Put] = field(default_factory=list)
    grounds: tuple[tuple[int, int, str], ...] = ()


class Sheet:
    """``height`` lines of ``width`` cells. Columns and rows count from 0; a right edge ``x`` is the column of the last character."""

    def __init__(self, width: int, height: int, look: Look) -> None:
        self.width = width
        self.height = height
        self.look = look
        self._ascii = look.ascii
        self.rows = [Row() for _ in range(height)]
        self.faults: list[str] = []
        self.hits: dict[int, object] = {}
        """Row -> what a click or Enter there means; screens fill it for their selectable rows."""
        self.sides: dict[int, tuple[int, object]] = {}
        """Row -> (first column, the same for what stands from there on to the right)."""

    def hit(self, y: int, x: int) -> object:
        """What a click there means, or ``None``."""
        side = self.sides.get(y)
        return side[1] if side is not None and x >= side[0] else self.hits.get(y)

    def put(self, y: int, x: int, text: str, style: Style) -> int:
        """Write ``text`` from column ``x``; returns the column after it."""
        if not text:
            return x
        if self._ascii:
            text = self.look.text(text)
        return self._place(y, x, x + (len(text) if text.isascii() else width_of(text)), text, style)

    def _place(self, y: int, x: int, end: int, text: str, style: Style) -> int:
        if 0 <= y < self.height and x >= 0 and end <= self.width:
            self.rows[y].puts.append((x, end, text, style))
        else:
            self.faults.append(f"row {y}: {text!r} at column {x} leaves the sheet of {self.width}x{self.height}")
        return end

    def column(self, x: int, top: int, bottom: int, mark: str, style: Style) -> None:
        """Write ``mark`` into column ``x`` of the rows from ``top`` to the one above ``bottom``."""
        if 0 <= top <= bottom <= self.height and 0 <= x < self.width:
            put = (x, x + 1, mark, style)
            for row in self.rows[top:bottom]:
                row.puts.append(put)
        else:
            self.faults.append(f"rows {top} to {bottom}: {mark!r} at column {x} leaves the sheet of {self.width}x{self.height}")

    def right(self, y: int, x: int, text: str, style: Style) -> int:
        """Write ``text`` so that its last character stands in column ``x``; returns the column after it."""
        if not text:
            return x + 1
        if self._ascii:
            text = self.look.text(text)
        return self._place(y, x + 1 - (len(text) if text.isascii() else width_of(text)), x + 1, text, style)

    def words(self, y: int, x: int, parts: Sequence[tuple[str, Style]]) -> int:
        """Write parts one after the other; returns the column after the last."""
        for text, style in parts:
            x = self.put(y, x, text, style)
        return x

    def words_right(self, y: int, x: int, parts: Sequence[tuple[str, Style]]) -> int:
        """Write parts so that the last character stands in column ``x``; returns the first column."""
        start = x + 1 - sum(width_of(text) for text, _ in parts)
        self.words(y, start, parts)
        return start

    def ground(self, y: int, x0: int, x1: int, name: str) -> None:
        """Lay a ground (``sel``, ``bar``) under columns ``x0`` to ``x1`` inclusive."""
        if 0 <= y < self.height:
            row = self.rows[y]
            row.grounds = (*row.grounds, (x0, x1 + 1, name))

    def strip(self, y: int) -> Strip:
        """The finished line ``y`` for Textual."""
        from textual.strip import Strip

        return Strip(self.segments(y), self.width)

    def cells(self, y: int) -> Cells:
        """The finished line ``y`` cell by cell."""
        look, row, width = self.look, self.rows[y], self.width
        texts, styles = [" "] * width, [look.ground] * width
        for left, right, name in reversed(row.grounds):
            left, right = max(0, left), min(width, right)
            styles[left:right] = [look.on(look.ground, name)] * (right - left)
        at = 0
        for x, end, text, style in sorted(row.puts, key=_COLUMN):
            if x < at:
                self.faults.append(f"row {y}: {text!r} at column {x} is written over what ends at column {at - 1}")
                continue
            if row.grounds and (style.bgcolor is look.ground.bgcolor or look.plain):
                style = _grounded(look, row, x, style)
            texts[x:end] = spread(text, end - x)
            styles[x:end] = [style] * (end - x)
            at = end
        return Cells(texts, styles)

    def cells_after(self, y: int, last: Sheet, before: Cells) -> Cells:
        """``cells(y)`` from the cells of the same line of ``last``: only what was put in another way is written again."""
        row, old = self.rows[y], last.rows[y]
        if row.grounds or old.grounds or len(row.puts) != len(old.puts) or self.look is not last.look:
            return self.cells(y)
        changed = [(a, b) for a, b in zip(old.puts, row.puts) if a is not b and a != b]
        texts, styles = before.texts.copy(), before.styles.copy()
        for (x, end, _, _), _ in changed:
            texts[x:end] = [" "] * (end - x)
            styles[x:end] = [self.look.ground] * (end - x)
        for _, (x, end, text, style) in changed:
            texts[x:end] = spread(text, end - x)
            styles[x:end] = [style] * (end - x)
        return Cells(texts, styles)

    def segments(self, y: int) -> list[Segment]:
        """The finished line ``y`` as styled pieces; neighbours of one style are merged, and blanks of one ground with them."""
        pieces: list[list[str]] = []
        styles: list[Style] = []
        last: Style | None = None
        for text, style in zip(*self.cells(y)):
            if last is style or (last is not None and text == " " and _same_ground(last, style)):
                pieces[-1].append(text)
            else:
                last = style
                styles.append(style)
                pieces.append([text])
        return [Segment("".join(texts), style) for texts, style in zip(pieces, styles)]

    def text(self) -> str:
        """The whole sheet as plain text, for tests and for copying."""
        return "\n".join(self.strip(y).text.rstrip() for y in range(self.height))


def _same_ground(a: Style, b: Style) -> bool:
    return a.bgcolor == b.bgcolor and bool(a.reverse) == bool(b.reverse) and (not a.reverse or a.color == b.color)


def _grounded(look: Look, row: Row, x: int, style: Style) -> Style:
    for left, right, name in row.grounds:
        if left <= x < right:
            return look.on(style, name)
    return style
