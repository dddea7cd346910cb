"""Of which framework a file is, by the first lines that only one of them writes."""

from __future__ import annotations

from gpuwatch.collectors.training.logs.formats import FORMATS
from gpuwatch.collectors.training.logs.line import Format, Kind


def recognise(text: str, known: Format | None = None) -> Format | None:
    """The format that a line shows, if it tells more than the one ``known`` already; else ``known``. Never goes back."""
    for candidate in FORMATS:
        if candidate is known:
            break
        if any(all(mark in text for mark in group) for group in candidate.marks):
            line = candidate.parse(text)
            if line is not None and line.kind is Kind.TRAIN:
                return candidate
    return known
