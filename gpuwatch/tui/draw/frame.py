"""Panels: a round border with a title at the left and notes at the right of its top and bottom edge."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.tui.draw.line import Sheet, width_of

Words = Sequence[tuple[str, Style]]


def words_width(words: Words) -> int:
    """Cells that parts of text take side by side."""
    return sum(width_of(text) for text, _ in words)


def box(
    sheet: Sheet,
    top: int,
    bottom: int,
    title: str,
    *,
    left: int = 0,
    right: int | None = None,
    note: Words = (),
    foot: Words = (),
    title_style: Style | None = None,
) -> None:
    """A border from row ``top`` to ``bottom`` and column ``left`` to ``right`` (inclusive; default the whole width).

    ``note`` stands right in the top edge, ``foot`` right in the bottom edge; a text that does not fit is dropped as a whole.
    """
    look = sheet.look
    right = sheet.width - 1 if right is None else right
    if bottom <= top or right - left < 4:
        return
    corners = look.glyphs.corners
    _edge(sheet, top, left, right, corners[0], corners[1], [(title, title_style or look.title)] if title else (), note)
    sheet.column(left, top + 1, bottom, look.glyphs.vertical, look.faint)
    sheet.column(right, top + 1, bottom, look.glyphs.vertical, look.faint)
    _edge(sheet, bottom, left, right, corners[2], corners[3], (), foot)


def _edge(sheet: Sheet, y: int, left: int, right: int, first: str, last: str, title: Words, note: Words) -> None:
    look = sheet.look
    line = look.glyphs.horizontal
    room = right - left - 5 - (words_width(title) + 3 if title else 0)
    if words_width(note) + 2 > room:
        note = ()
    at = sheet.put(y, left, first + line if title else first, look.faint)
    if title:
        at = sheet.put(y, at, " ", look.faint)
        at = sheet.words(y, at, title)
        at = sheet.put(y, at, " ", look.faint)
    if note:
        start = right - 3 - words_width(note)
        at = sheet.put(y, at, line * (start - at) + " ", look.faint)
        at = sheet.words(y, at, note)
        at = sheet.put(y, at, " ", look.faint)
    sheet.put(y, at, line * (right - at) + last, look.faint)
