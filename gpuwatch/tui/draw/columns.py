"""Tables as data: where each column of a layout stands and how a value is put there."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.tui.draw.line import Sheet, cut


@dataclass(frozen=True, slots=True)
class Column:
    """A column: right-aligned to ``right`` or left-aligned from ``left`` to ``limit`` (inclusive), which cuts foreign text."""

    name: str
    title: str
    right: int = -1
    left: int = -1
    limit: int = -1

    @property
    def end(self) -> int:
        """The column after the last cell that this column can use."""
        return (self.right if self.right >= 0 else self.limit) + 1


def put_value(sheet: Sheet, y: int, column: Column, text: str, style: Style) -> None:
    """A value in its column; only left-aligned (foreign) text is ever cut."""
    if column.right >= 0:
        sheet.right(y, column.right, text, style)
    else:
        sheet.put(y, column.left, cut(text, column.limit + 1 - column.left), style)


def put_heads(sheet: Sheet, y: int, columns: tuple[Column, ...], style: Style) -> None:
    """The titles of all columns."""
    for column in columns:
        put_value(sheet, y, column, column.title, style)
