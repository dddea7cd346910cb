"""CSV that a spreadsheet reads as data: RFC 4180 quoting, and no text that it would take for a formula. Standard library only."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from gpuwatch.text import sheet_safe


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
                made = known[cell] = sheet_safe(cell)
            if made is not cell:
                changed = changed or list(row)
                changed[number] = made
        yield changed or row
