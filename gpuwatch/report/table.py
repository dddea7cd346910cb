"""Plain tables for text output: columns as wide as their content, dropped whole when the line is too short, only the last is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuwatch.dataclass import dataclass, field
from gpuwatch.format import cells, cut, left, right

GAP = "  "
MIN_LAST = 16

Paint = Callable[[str, str], str]
"""(text, style name) -> text, with or without terminal codes."""


def plain(text: str, style: str) -> str:
    """No colours."""
    return text


@dataclass(slots=True)
class Column:
    """``drop``: 0 is never dropped, else the largest goes first when the line is too short. ``styles`` match ``texts``."""

    head: str
    texts: Sequence[str]
    align: str = "right"
    drop: int = 0
    styles: Sequence[str] = field(default_factory=tuple)

    @property
    def width(self) -> int:
        """Cells of the widest text."""
        return max((cells(text) for text in (self.head, *self.texts)), default=0)


def table(columns: Sequence[Column], width: int, paint: Paint = plain, indent: str = "") -> list[str]:
    """The lines of a table, heads first, each at most ``width`` cells while the undropped columns fit."""
    kept = list(columns)
    while _total(kept, indent) > width and any(column.drop for column in kept):
        kept.remove(max(kept, key=lambda column: column.drop))
    room = width - cells(indent) - sum(column.width + len(GAP) for column in kept[:-1])
    widths = [column.width for column in kept[:-1]] + [max(1, min(kept[-1].width, max(room, 1)))]
    lines = [_line([c.head for c in kept], ["head"] * len(kept), kept, widths, paint, indent)]
    for row in range(len(kept[0].texts)):
        styles = [c.styles[row] if c.styles else "" for c in kept]
        lines.append(_line([c.texts[row] for c in kept], styles, kept, widths, paint, indent))
    return lines


def _total(columns: Sequence[Column], indent: str) -> int:
    last = columns[-1]
    needed = min(last.width, MIN_LAST) if last.align == "left" else last.width
    return cells(indent) + sum(column.width + len(GAP) for column in columns[:-1]) + needed


def _line(
    texts: Sequence[str], styles: Sequence[str], columns: Sequence[Column], widths: Sequence[int], paint: Paint, indent: str
) -> str:
    out = []
    last = len(columns) - 1
    for number, (text, style, column, width) in enumerate(zip(texts, styles, columns, widths, strict=True)):
        if column.align == "right":
            padded = right(text, width)
        else:
            padded = cut(text, width) if number == last else left(text, width)
        out.append(paint(padded, style) if style else padded)
    return (indent + GAP.join(out)).rstrip()
