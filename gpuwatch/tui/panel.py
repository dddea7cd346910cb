"""The two widgets of every screen: a ``Canvas`` that takes a finished sheet, and the tiles that repaint only what changed.

Textual resends from a widget's left edge to the right edge of the dirty region. So a screen's lines are cut into tiles at the
columns its bands name: a number that moves costs its own tile, not the line it stands in.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.app import ComposeResult
from textual.geometry import Offset, Region, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.strip import Strip
from textual.widget import Widget

from gpuwatch.tui.draw.line import Band, Row, Sheet, width_of


class Tile(Widget):
    """A rectangle of stored lines."""

    DEFAULT_CSS = "Tile { width: 1; height: 1; }"

    def __init__(self) -> None:
        super().__init__()
        self.place = Region()
        self.lines: list[Strip] = []
        self.pieces: list[list[Segment]] = []

    def render_line(self, y: int) -> Strip:
        """The stored line; blank while the terminal is larger than what was drawn last."""
        return self.lines[y] if y < len(self.lines) else Strip.blank(self.size.width)

    def show(self, y: int, piece: list[Segment]) -> None:
        """Store line ``y``; ask for a repaint up to its last changed cell."""
        end = changed_until(self.pieces[y], piece, self.place.width)
        if end:
            self.pieces[y] = piece
            self.lines[y] = Strip(piece, self.place.width)
            self.refresh(Region(0, y, end, 1))


class _Placed(Layout):
    """Tiles stand where they say."""

    name = "placed"

    def arrange(self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True) -> ArrangeResult:
        """One placement for each tile that is in use."""
        return [
            WidgetPlacement(child.place, Offset(), Spacing(), child)
            for child in children
            if isinstance(child, Tile) and child.place.area
        ]


class Canvas(Widget):
    """All of a screen. ``show(sheet)`` compares with what stands there and sends the difference."""

    DEFAULT_CSS = "Canvas { width: 100%; height: 100%; overflow: hidden; }"

    def __init__(self) -> None:
        super().__init__()
        self._tile_layout = _Placed()
        self._drawn_bands: tuple[Band, ...] = ()
        self._drawn_size = (0, 0)
        self._drawn_rows: list[Row] = []
        self._drawn_tiles: list[list[Tile]] = []
        self._drawn_look: object = None
        self._to_mount: list[Tile] = []

    def compose(self) -> ComposeResult:
        """The tiles of what was shown before mounting: the first layout is then the final one, and is painted once."""
        yield from self._to_mount
        self._to_mount = []

    @property
    def layout(self) -> Layout:
        """Tiles stand where they say, not where CSS would flow them."""
        return self._tile_layout

    def show(self, sheet: Sheet) -> int:
        """Paint ``sheet``; returns how many of its lines differ from the last one."""
        if (
            (sheet.width, sheet.height) != self._drawn_size
            or tuple(sheet.bands) != self._drawn_bands
            or sheet.look is not self._drawn_look
        ):
            self._lay_out(sheet)
            return sheet.height
        changed = 0
        for y, row in enumerate(sheet.rows):
            before = self._drawn_rows[y]
            if row.puts == before.puts and row.grounds == before.grounds:
                continue
            changed += 1
            self._drawn_rows[y] = row
            tiles = self._drawn_tiles[y]
            for tile, part in zip(tiles, split(sheet.segments(y), [tile.place.right for tile in tiles])):
                tile.show(y - tile.place.y, part)
        return changed

    def _lay_out(self, sheet: Sheet) -> None:
        self._drawn_size, self._drawn_bands, self._drawn_look = (sheet.width, sheet.height), tuple(sheet.bands), sheet.look
        self._drawn_rows = list(sheet.rows)
        places = _places(self._drawn_bands, sheet.width)
        pool = [child for child in self.children if isinstance(child, Tile)]
        missing = [Tile() for _ in range(len(places) - len(pool) - len(self._to_mount))]
        tiles = [*pool, *self._to_mount, *missing]
        self._drawn_tiles = [[] for _ in range(sheet.height)]
        for tile, place in zip(tiles, places):
            tile.place = place
            tile.lines, tile.pieces = [], []
            for y in range(place.y, place.bottom):
                self._drawn_tiles[y].append(tile)
        for tile in tiles[len(places) :]:
            tile.place = Region()
        for y, row in enumerate(self._drawn_tiles):
            for tile, part in zip(row, split(sheet.segments(y), [tile.place.right for tile in row])):
                tile.pieces.append(part)
                tile.lines.append(Strip(part, tile.place.width))
        if not self.is_attached:
            self._to_mount += missing
            return
        if missing:
            self.mount_all(missing)
        for tile in tiles:
            # Asked from below: only the parents of who asks forget the arrangement that they keep.
            tile.refresh(layout=True)


def _places(bands: Sequence[Band], width: int) -> list[Region]:
    out = []
    for band in bands:
        left = 0
        for right in (*band.cuts, width):
            out.append(Region(left, band.top, right - left, band.bottom - band.top))
            left = right
    return out


def split(segments: list[Segment], edges: Sequence[int]) -> list[list[Segment]]:
    """A line cut at the columns ``edges`` (the last one is its end).

    Blanks that a cut left before a number take the number's style: a segment less to send.
    """
    out: list[list[Segment]] = []
    part: list[Segment] = []
    at, todo = 0, iter(edges)
    edge = next(todo)
    for segment in segments:
        end = at + width_of(segment.text)
        while end > edge:
            before, segment = segment.split_cells(edge - at)
            if edge > at:
                part.append(before)
            out.append(_joined(part))
            part, at, edge = [], edge, next(todo)
        part.append(segment)
        at = end
        if at == edge:
            out.append(_joined(part))
            part, edge = [], next(todo, edge)
    return out


def _joined(part: list[Segment]) -> list[Segment]:
    if len(part) < 2 or part[0].text.strip(" "):
        return part
    a, b = part[0].style, part[1].style
    if a is None or b is None or a.bgcolor != b.bgcolor or bool(a.reverse) != bool(b.reverse):
        return part
    return [Segment(part[0].text + part[1].text, b), *part[2:]]


def changed_until(old: list[Segment], new: list[Segment], width: int) -> int:
    """The column after the last cell in which two pieces of ``width`` cells differ; 0 when they are equal."""
    if old == new:
        return 0
    end, i, j = width, len(old) - 1, len(new) - 1
    while i >= 0 and j >= 0 and old[i] == new[j]:
        end -= width_of(new[j].text)
        i, j = i - 1, j - 1
    if i >= 0 and j >= 0 and old[i].style is new[j].style:
        end -= _common_tail(old[i].text, new[j].text)
    return max(1, end)


def _common_tail(before: str, after: str) -> int:
    """How many last cells of two texts are the same (plain ASCII only: one character is one cell there)."""
    if not (before.isascii() and after.isascii()):
        return 0
    count = 0
    for a, b in zip(reversed(before), reversed(after)):
        if a != b:
            break
        count += 1
    return count
