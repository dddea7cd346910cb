"""A finished line as cells: what stands in each column and in which style.

A text that is one character a cell is spread over its cells. Of a wide character the first cell holds it and the second is
empty; a text whose characters do not add up to its width stands whole in its first cell, so that it is only ever written whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style

narrow = re.compile(
    "[ -~\u00a0-\u00ff\u2010-\u2027\u2030-\u205e\u2190-\u21ff\u2200-\u22ff\u23ce\u2500-\u25a1\u25b2\u25bc\u25cf]*"
).fullmatch
"""Characters that every terminal gives one cell; all marks of the screen are among them."""


class Cells(NamedTuple):
    """Two lists as long as the line is wide. An empty text belongs to the cell before it."""

    texts: list[str]
    styles: list[Style]


def spread(text: str, width: int) -> Sequence[str]:
    """``text`` as ``width`` cells."""
    if len(text) == width and (text.isascii() or narrow(text)):
        return text
    return _spread_wide(text, width)


@lru_cache(maxsize=512)
def _spread_wide(text: str, width: int) -> Sequence[str]:
    cells: list[str] = []
    for character in text:
        taken = cell_len(character)
        if taken:
            cells += [character, *[""] * (taken - 1)]
        elif cells:
            # A mark without a width joins the character that it stands on.
            cells[next(at for at in range(len(cells) - 1, -1, -1) if cells[at])] += character
    return tuple(cells) if len(cells) == width else (text, *[""] * (width - 1))
