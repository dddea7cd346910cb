"""CSV that a spreadsheet reads as data: RFC 4180 quoting, and no text that it would take for a formula. Standard library only."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

_FORMULA = re.compile("'*[=+\\-@\t\r]")
"""What a spreadsheet calculates instead of showing it, with any number of the marks that we put before such a text."""


def safe(text: str) -> str:
    """The text with ``'`` before it if a spreadsheet would take it for a formula; :func:`unsafe` takes it away again."""
    return f"'{text}" if _FORMULA.match(text) else text


def unsafe(text: str) -> str:
    """The text that :func:`safe` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def write(out: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write a head and the rows; returns how many. ``None`` is an empty cell. Numbers stay numbers: only text is made safe."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    count = 0
    for row in _safe_rows(rows):
        writer.writerow(row)
        count += 1
    return count


def _safe_rows(rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    known: dict[str, str] = {}
    for row in rows:
        texts = [(number, cell) for number, cell in enumerate(row) if type(cell) is str]
        changed: list[Any] | None = None
        for number, cell in texts:
            made = known.get(cell)
            if made is None:
                if len(known) > 10_000:
                    known.clear()
                made = known[cell] = safe(cell)
            if made is not cell:
                changed = changed or list(row)
                changed[number] = made
        yield changed or row
