"""From two drawings of a screen to the bytes that turn one into the other on a terminal: only changed cells, only changed colours.

A terminal keeps its pen (colours, bold, dim, reverse) while the cursor moves, so a frame names a colour when it changes and not
with every piece of text. Frames begin and end with the pen at rest, as Textual's own do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rich.color import ColorSystem
from rich.style import Style

from gpuwatch.tui.draw.cells import Cells

COLOR_SYSTEMS: Mapping[str, ColorSystem | None] = {
    "truecolor": ColorSystem.TRUECOLOR,
    "256": ColorSystem.EIGHT_BIT,
    "16": ColorSystem.STANDARD,
    "standard": ColorSystem.STANDARD,
    "none": None,
}
"""By colour tier, and by Rich's names."""
BRIDGE = 3
"""Unchanged cells up to this many are written again rather than jumped over: a jump costs four bytes."""


class Pen(NamedTuple):
    """What a style sets on a terminal: codes of both colours and the attributes."""

    ink: str
    ground: str
    bold: bool
    dim: bool
    reverse: bool

    @property
    def blank(self) -> tuple[str, bool]:
        """What of it shows in an empty cell."""
        return (self.ink if self.reverse else self.ground, self.reverse)


UNKNOWN = "\0"
"""What stands in a cell of which nothing is known: no text is equal to it."""
REST = Pen("39", "49", False, False, False)
"""The pen after a reset."""


class Painter:
    """Knows the codes of every style it has seen, and of every step from one to another, in one colour system (``None``: no colours)."""

    def __init__(self, colors: ColorSystem | None) -> None:
        self.colors = colors
        self._pens: dict[int, tuple[Style, Pen]] = {}
        self._steps: dict[tuple[Pen, Pen], str] = {}

    def frame(self, changes: Iterable[tuple[int, Cells, Cells]]) -> str:
        """The bytes for ``changes``: (row, how it stands there, how it should); empty when nothing of them shows."""
        out: list[str] = []
        pen, cursor = REST, None
        for y, old, new in changes:
            columns = self._differing(old, new)
            if columns:
                out.append(jump(cursor, (y, columns[0])))
                pen, at = self._row(out, pen, columns, new)
                # Behind the last column, or where a terminal may count cells in its own way, the cursor is not known.
                cursor = (y, at) if at < len(new.texts) and new.texts[at - 1].isascii() and new.texts[at - 1] else None
        if not out:
            return ""
        if pen is not REST:
            out.append("\x1b[m")
        return "".join(out)

    def whole(self, lines: Iterable[Cells]) -> str:
        """The bytes for all ``lines`` of a page of which nothing is known."""
        return self.frame((y, Cells([UNKNOWN] * len(line.texts), line.styles), line) for y, line in enumerate(lines))

    def _differing(self, old: Cells, new: Cells) -> list[int]:
        texts = new.texts
        changed = [
            x
            for x, (before, after, worn, wanted) in enumerate(zip(old.texts, texts, old.styles, new.styles))
            if before != after or worn is not wanted
        ]
        out: list[int] = []
        for x in changed:
            if old.texts[x] == texts[x] and self._alike(texts[x], old.styles[x], new.styles[x]):
                continue
            # Only whole characters are written.
            while not texts[x] and x:
                x -= 1
            if not out or out[-1] < x:
                out.append(x)
        return out

    def _alike(self, text: str, a: Style, b: Style) -> bool:
        one, other = self._pen(a), self._pen(b)
        return one.blank == other.blank if text == " " else one == other

    def _row(self, out: list[str], pen: Pen, columns: list[int], new: Cells) -> tuple[Pen, int]:
        """Write the cells of ``columns`` from the first of them on; returns the pen and the column of the cursor after it."""
        texts, styles, width = new.texts, new.styles, len(new.texts)
        at = columns[0]
        for x in columns:
            if x > at:
                if x - at <= BRIDGE and self._bridges(new, at, x, pen):
                    out += texts[at:x]
                else:
                    out.append(f"\x1b[{x - at}C" if x - at > 1 else "\x1b[C")
            text, wanted = texts[x], self._pen(styles[x])
            if wanted is not pen and not (text == " " and wanted.blank == pen.blank):
                out.append(self._step(pen, wanted))
                pen = wanted
            out.append(text)
            at = x + 1
            while at < width and not texts[at]:
                at += 1
        return pen, at

    def _bridges(self, new: Cells, at: int, x: int, pen: Pen) -> bool:
        """Whether the cells from ``at`` to ``x`` can be written with the pen as it is, at a byte each."""
        for text, style in zip(new.texts[at:x], new.styles[at:x]):
            wanted = self._pen(style)
            if not (wanted is pen or (text == " " and wanted.blank == pen.blank)) or not (text and text.isascii()):
                return False
        return True

    def _pen(self, style: Style) -> Pen:
        found = self._pens.get(id(style))
        if found is None:
            # The style is kept beside its pen: an id is only unique while its object lives.
            found = self._pens[id(style)] = (style, self._make(style))
        return found[1]

    def _make(self, style: Style) -> Pen:
        ink, ground = REST.ink, REST.ground
        if self.colors is not None and style.color is not None:
            ink = ";".join(style.color.downgrade(self.colors).get_ansi_codes(foreground=True))
        if self.colors is not None and style.bgcolor is not None:
            ground = ";".join(style.bgcolor.downgrade(self.colors).get_ansi_codes(foreground=False))
        return Pen(ink, ground, bool(style.bold), bool(style.dim), bool(style.reverse))

    def _step(self, before: Pen, after: Pen) -> str:
        found = self._steps.get((before, after))
        if found is None:
            found = self._steps[before, after] = step(before, after)
        return found


def jump(cursor: tuple[int, int] | None, to: tuple[int, int]) -> str:
    """The shortest way to a cell (row, column) further down: from where the cursor is, or from anywhere."""
    y, x = to
    absolute = f"\x1b[{y + 1};{x + 1}H"
    if cursor is None or y <= cursor[0]:
        return absolute
    down, aside = y - cursor[0], x - cursor[1]
    relative = f"\x1b[{down}B" if down > 1 else "\x1b[B"
    relative += "\b" * -aside if aside <= 0 else f"\x1b[{aside}C"
    return relative if len(relative) < len(absolute) else absolute


def step(before: Pen, after: Pen) -> str:
    """The shortest sequence that turns one pen into the other."""
    codes = []
    if (before.bold and not after.bold) or (before.dim and not after.dim):
        codes.append("22")
        before = before._replace(bold=False, dim=False)
    if before.reverse and not after.reverse:
        codes.append("27")
    codes += [code for code, has, wants in (("1", before.bold, after.bold), ("2", before.dim, after.dim), ("7", before.reverse, after.reverse)) if wants and not has]  # fmt: skip
    codes += [after.ink] if after.ink != before.ink else []
    codes += [after.ground] if after.ground != before.ground else []
    return f"\x1b[{';'.join(codes)}m" if codes else ""
