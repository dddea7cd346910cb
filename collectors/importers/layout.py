"""How a CSV log is laid out: what parts its cells, what stands before its lines, and which columns it has."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from gpuwatch.collectors.importers.fields import Column, column
from gpuwatch.dataclass import dataclass

SEPARATORS = (", ", ",", ";", "\t", "|")
_STAMP = (
    r"(?:[A-Z][a-z]{2}\s+\d{1,2} \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:\s?Z|\s?[+-]\d\d:?\d\d)?"
    r"|\d\d:\d\d:\d\d(?:\.\d+)?|\d{10}\.\d+)"
)
PREFIX = re.compile(
    rf"(?:\[({_STAMP})\]|({_STAMP}))(?: \S+ [\w./-]+(?:\[\d+\])?:)? +"
    r"(?=\S)(?![AaPp]\.?[Mm]\b|[A-Z]{2,5}\b|\d{4}\s*[,;\t])"
).match
"""What ``ts``, docker and the journal put before a line."""
Found = tuple[int, int, str, tuple[Column, ...], int]
"""Lines that fit, width, separator, columns, position of the header."""
_NAME = re.compile(r"[A-Za-z#\"'].*").match


@dataclass(frozen=True, slots=True)
class Layout:
    """``prefixed``: each line begins with a time that is not a column of it. ``joiner`` is what stood between two cells under one name:
    a date and a time of day, or a time and its fraction; lines then have one cell more than names. Without a separator cells are parted by blanks."""

    separator: str | None
    columns: tuple[Column, ...]
    prefixed: bool = False
    joiner: str = ""

    @property
    def width(self) -> int:
        """Cells of a line."""
        return len(self.columns)


def cells_of(line: str, separator: str | None) -> list[str]:
    """A line's cells, also if some are quoted."""
    if separator is not None and '"' in line:
        try:
            return next(csv.reader([line], delimiter=separator.strip(" ") or separator, skipinitialspace=True), [])
        except csv.Error:
            return []
    return line.split(separator)


def header_of(cells: Sequence[str]) -> tuple[Column, ...] | None:
    """The columns if these cells are a header: names only, of which one is measured and another known."""
    if not all(_NAME(cell.strip().lstrip("\ufeff")) or not cell.strip() for cell in cells):
        return None
    found = tuple([column(cell) for cell in cells])
    known = sum(each.kind != "unused" for each in found)
    measured = any(each.kind in ("sample", "reason", "counter") for each in found)
    alone = len(found) == 1 and any(sign in found[0].text for sign in ".[(")
    return found if measured and (known >= 2 or alone) else None


def split_head(lines: Sequence[str], given: str) -> tuple[Layout | None, int]:
    """The layout of a file's first lines and the position of its header among them (-1: none).

    ``given`` are the column names that the user says. ``None`` if no header is found and none is given.
    """
    named = tuple([column(name) for name in given.replace(";", ",").split(",")]) if given else None
    stripped = [strip_prefix(line) for line in lines if line.strip()]
    prefixed = sum(line is not None for line in stripped) > 0.8 * len(stripped)
    texts = [(strip_prefix(line) or "") if prefixed else line for line in lines]
    best: Found | None = None
    for separator in SEPARATORS:
        position, columns = _header(texts, separator)
        columns = named or columns
        if columns is None:
            continue
        rows = [cells_of(line, separator) for line in texts[position + 1 :] if line.strip()]
        fit = sum(len(row) == len(columns) for row in rows)
        if best is None or (fit, len(columns)) > best[:2]:
            best = (fit, len(columns), separator, columns, position)
    return (None, -1) if best is None else (_joined(texts, best, prefixed), best[4])


def _joined(texts: Sequence[str], best: Found, prefixed: bool) -> Layout:
    """Lines with one cell more than names, of which the first two are one time: they belong together."""
    fit, width, separator, columns, position = best
    if not fit and columns and columns[0].name == "time":
        rows = [cells_of(line, separator) for line in texts[position + 1 :] if line.strip()][:20]
        for joiner, first, second in ((" ", _DATE, _CLOCK), (",", _MOMENT, _FRACTION)):
            if rows and all(len(row) == width + 1 and first(row[0]) and second(row[1]) for row in rows):
                columns = (Column("date", "who", "date"), Column("time", "who", "clock"), *columns[1:])
                return Layout(separator, columns, prefixed, joiner)
    return Layout(separator, columns, prefixed)


_DATE = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\s*").fullmatch
_CLOCK = re.compile(r"\s*\d{1,2}:\d\d(:\d\d([.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?\s*").fullmatch
_MOMENT = re.compile(r"\s*\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d").fullmatch
_FRACTION = re.compile(r"\d{1,9}(Z|[+-]\d\d:?\d\d)?\s*").fullmatch
"""``date --iso-8601=ns`` writes ``…:50,123456789+08:00``."""


def _header(lines: Sequence[str], separator: str) -> tuple[int, tuple[Column, ...] | None]:
    for position, line in enumerate(lines):
        found = header_of(cells_of(line, separator))
        if found is not None and (len(found) > 1 or separator == ","):
            return position, found
    return -1, None


def strip_prefix(line: str) -> str | None:
    """What stands after the time before a line; ``None`` if there is none."""
    found = PREFIX(line)
    return line[found.end() :] if found else None


def prefix_time(line: str) -> str:
    """The time before a line."""
    found = PREFIX(line)
    return (found[1] or found[2]) if found else ""
