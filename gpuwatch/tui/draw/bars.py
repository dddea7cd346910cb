"""Horizontal bars, state strips and ticks: the marks that stand in one row."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.names import State
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.palette import STATES, Look
from gpuwatch.view.types import Cell

_MOST_STRIPS = 256
"""Strips whose past is kept as it was drawn: for many seconds only the newest cell is another one."""


def bar(sheet: Sheet, y: int, x: int, cells: int, ratio: float | None, style: Style) -> None:
    """A bar of ``cells`` with half-cell steps; ``ratio`` 0 to 1. Without a value no bar stands there, not an empty one."""
    if ratio is None:
        return
    glyphs = sheet.look.glyphs
    halves = min(2 * cells, max(0, round(ratio * 2 * cells)))
    filled = glyphs.full * (halves // 2) + glyphs.half * (halves % 2)
    at = sheet.put(y, x, filled, style)
    if glyphs.track != " ":
        sheet.put(y, at, glyphs.track * (x + cells - at), sheet.look.faint)


def height_glyph(look: Look, ratio: float) -> str:
    """The block (or ASCII mark) whose height stands for ``ratio`` 0 to 1; the lowest one for a measured nothing."""
    heights = look.glyphs.heights
    return heights[min(len(heights) - 1, max(0, int(ratio * len(heights))))]


def _cell_mark(look: Look, cell: Cell) -> str:
    kind = STATES[cell.state]
    if cell.state is State.NO_DATA:
        return " "
    if look.ascii:
        return height_glyph(look, cell.height or 0.0) if cell.state is State.BUSY else kind.ascii_mark
    if look.plain and kind.plain_mark:
        return kind.plain_mark
    if cell.state is State.FREE:
        return look.glyphs.dot
    if kind.flat:
        return look.glyphs.heights[0]
    # A busy GPU whose height is not measured stands on the floor: its colour is known, its height is not.
    return look.glyphs.heights[0] if cell.height is None else height_glyph(look, cell.height)


def strip(sheet: Sheet, y: int, x: int, cells: Sequence[Cell]) -> None:
    """One cell a span of time: height = activity, colour = state, nothing where nothing was observed."""
    look = sheet.look
    past, kept = tuple(cells[:-1]), look.strips.get((y, x))
    if kept is None or kept[0] != past:
        if len(look.strips) > _MOST_STRIPS:
            look.strips.clear()
        kept = look.strips[y, x] = (past, _runs(look, past))
    runs = kept[1]
    if cells:
        newest = cells[-1]
        mark = _cell_mark(look, newest)
        if runs and runs[-1][0] is newest.state:
            runs = [*runs[:-1], (newest.state, runs[-1][1] + mark)]
        else:
            runs = [*runs, (newest.state, mark)]
    for state, run in runs:
        x = sheet.put(y, x, run, _strip_style(look, state))


def _runs(look: Look, cells: Sequence[Cell]) -> list[tuple[State, str]]:
    """The marks of neighbours of one state together."""
    out: list[tuple[State, str]] = []
    for cell in cells:
        mark = _cell_mark(look, cell)
        if out and out[-1][0] is cell.state:
            out[-1] = (cell.state, out[-1][1] + mark)
        else:
            out.append((cell.state, mark))
    return out


def _strip_style(look: Look, state: State | None) -> Style:
    if state is None or state is State.NO_DATA:
        return look.ground
    kind = STATES[state]
    if look.plain:
        return look.white if state is State.HELD_IDLE else look.dim if kind.flat else look.fg
    return look.style(kind.ink, kind.tint)


def tick(sheet: Sheet, y: int, x: int, state: State) -> None:
    """The state's mark at the left of a row: a half block in its colour, or its letter."""
    look = sheet.look
    if look.ascii or (look.plain and state not in (State.BUSY, State.QUIET, State.FREE, State.NO_DATA)):
        mark = STATES[state].ascii_mark.replace(".", " ") if look.ascii else STATES[state].plain_mark or look.glyphs.tick
        sheet.put(y, x, mark, look.fg)
    else:
        sheet.put(y, x, look.glyphs.tick, look.style("free") if state is State.QUIET else look.mark(state))


def state_at(sheet: Sheet, y: int, x: int, state: State, word: str) -> int:
    """A state's tick at ``x`` and its word behind it (one column further right in ASCII); returns the column after it."""
    tick(sheet, y, x, state)
    return sheet.put(y, x + (2 if sheet.look.ascii else 1), word, sheet.look.state(state))
