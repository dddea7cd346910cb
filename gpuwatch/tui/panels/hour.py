"""An hour of minutes in as many columns as a screen has: means for rates, the worst for waiting times."""

from __future__ import annotations

from collections.abc import Sequence

Cells = Sequence[float | None]


def mean_of(cells: Cells, columns: int) -> tuple[float | None, ...]:
    """Each column is the mean of the cells that it covers, by how much it covers of each; what was not observed does not count."""
    out: list[float | None] = []
    step = len(cells) / columns if columns else 0.0
    for column in range(columns if cells else 0):
        start, end = column * step, (column + 1) * step
        total = weight = 0.0
        for number in range(int(start), min(len(cells), int(end - 1e-9) + 1)):
            value, part = cells[number], min(end, number + 1) - max(start, number)
            if value is not None and part > 1e-9:
                total, weight = total + value * part, weight + part
        out.append(total / weight if weight else None)
    return tuple(out)


def worst_of(cells: Cells, columns: int) -> tuple[float | None, ...]:
    """Each column is the largest of its cells; every cell belongs to one column."""
    columns = min(columns, len(cells))
    out: list[float | None] = [None] * columns
    for number, value in enumerate(cells):
        at = number * columns // len(cells)
        if value is not None:
            out[at] = max(value, out[at] or 0.0)
    return tuple(out)
