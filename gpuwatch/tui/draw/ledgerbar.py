"""The stacked bar of the ledger and its legend, with the rules of design 1.3 for cells and labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gpuwatch.format import shares
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.parts import UNKNOWN, Part, Share

PATTERNS = {"under": "▒", "stalled": "▓", "empty": "▒", "redone": "▓", "overhead": "▒"}
"""Where sixteen colours do not tell a part from its neighbour of the same colour."""


def cells_of(parts: Sequence[Share], width: int) -> list[int]:
    """Cells a part: by largest remainder, at least one for whatever is there (taken from the widest)."""
    out = shares([part.ms for part in parts], width)
    for i in range(len(out)):
        if out[i] == 0 and max(out) > 1:
            out[out.index(max(out))] -= 1
            out[i] = 1
    return out


def label(share: Share, cells: int) -> str:
    """The first that fits: name and share, short name and share (a space on both sides), the bare share, nothing."""
    percent = f"{share.percent}%"
    for text in (f"{share.part.name} {percent}", f"{share.part.short} {percent}"):
        if len(text) + 2 <= cells:
            return text
    return percent if len(percent) < cells else ""


def ledger_bar(sheet: Sheet, y: int, x: int, width: int, parts: Sequence[Share]) -> None:
    """The bar in ``width`` cells; dotted when there is nothing to show yet."""
    look = sheet.look
    if not parts:
        sheet.put(y, x, look.glyphs.dot * width, look.style("free_text"))
        return
    for share, cells in zip(parts, cells_of(parts, width)):
        if cells:
            x = _part(sheet, y, x, cells, share)


def _part(sheet: Sheet, y: int, x: int, cells: int, share: Share) -> int:
    look = sheet.look
    text = label(share, cells)
    before = (cells - len(text)) // 2
    after = cells - before - len(text)
    if look.plain or look.ascii or (look.tier == "16" and share.part.fill in PATTERNS):
        if not (look.plain or look.ascii):
            text = label(share, cells - 2)  # a pattern must be seen beside its name: it is all the colour that it has
        return _lettered(sheet, y, x, cells, share.part, text if len(text) + 2 <= cells else "")
    if share.part.fill == UNKNOWN.fill:
        at = sheet.put(y, x, look.glyphs.unknown * before, look.style("free"))
        at = sheet.put(y, at, text, look.fg)
        return sheet.put(y, at, look.glyphs.unknown * after, look.style("free"))
    # White on the sixteen colours' cyan cannot be read.
    ink = "ink" if look.tier == "16" and share.part.fill == "busy_unknown" else share.part.label
    return sheet.put(y, x, " " * before + text + " " * after, look.fill(ink, share.part.fill))


def _lettered(sheet: Sheet, y: int, x: int, cells: int, part: Part, text: str) -> int:
    """A part filled with its letter (or, where sixteen colours do not tell it from its neighbour, with a pattern)."""
    look = sheet.look
    mark = part.letter if look.plain or look.ascii else PATTERNS[part.fill]
    style = look.white if look.plain else look.style(ink_of(part), "bg", look.ascii)
    framed = f" {text} " if text else ""
    before = (cells - len(framed)) // 2
    at = sheet.put(y, x, mark * before, style)
    at = sheet.put(y, at, framed, look.white)
    return sheet.put(y, at, mark * (cells - before - len(framed)), style)


def ink_of(part: Part) -> str:
    """The ink of a part's name in text."""
    return {"unused": "unused_text", "free": "free_text", "quiet_fill": "quiet", "bg": "free_text"}.get(part.fill, part.fill)


def legend_row(sheet: Sheet, y: int, x: int, width: int, parts: Sequence[Part], present: Collection[Part] = ()) -> None:
    """A swatch and the name of each part, spread so that the row keeps its columns while the same parts are named.

    What is too wide loses the parts that are not ``present``, from the right, and then the longest name.
    """
    named = {part: part.name for part in parts}

    def spare() -> int:
        return width + 1 - sum(3 + len(name) for name in named.values())

    while spare() < 0:
        absent = [part for part in named if part not in present]
        longest = max(named, key=lambda part: len(named[part]))
        if absent:
            del named[absent[-1]]
        elif named[longest] != longest.short:
            named[longest] = longest.short
        else:
            return
    gap = min(3, 1 + spare() // max(1, len(named) - 1))
    for part, name in named.items():
        at = swatch(sheet, y, x, part)
        x = sheet.put(y, at + 1, name, sheet.look.dim) + gap


def swatch(sheet: Sheet, y: int, x: int, part: Part) -> int:
    """A part's mark: its colour, or its letter; returns the column after it."""
    look = sheet.look
    if look.plain or look.ascii:
        return sheet.put(y, x, part.letter, look.white if look.plain else look.style(ink_of(part), "bg", True))
    if part is UNKNOWN:
        return sheet.put(y, x, look.glyphs.unknown, look.style("free"))
    return sheet.put(y, x, look.glyphs.swatch, look.style(part.fill))
