"""The rows of a log in pieces of an hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from gpuwatch.collectors.importers.types import LogProcessRow, LogRow
from gpuwatch.store.hours import HOUR_S

HOUR_MS = HOUR_S * 1000
Rows = Iterable[LogRow | LogProcessRow]
HourOfRows = tuple[int, dict[str, list[LogRow]], list[LogProcessRow]]
"""Start (unix ms), the rows of each GPU, and those of processes."""


class Disordered(Exception):
    """A row lies before an hour that is closed already: the log must be sorted first."""


def by_gpu(rows: Rows) -> dict[str, list[LogRow]]:
    """The rows of each GPU."""
    out: dict[str, list[LogRow]] = defaultdict(list)
    for row in rows:
        if isinstance(row, LogRow):
            out[row.gpu].append(row)
    return out


def by_hour(rows: Rows, offset_ms: int) -> Iterator[HourOfRows]:
    """The log hour by hour. A row belongs to the hour in which it ends; hours begin ``offset_ms`` after whole ones. Raises :class:`Disordered`."""
    start = end = 0
    gpus: dict[str, list[LogRow]] = defaultdict(list)
    processes: list[LogProcessRow] = []
    for row in rows:
        ts = row[0]
        if not start < ts <= end:
            if gpus or processes:
                if ts <= start:
                    raise Disordered
                yield start, gpus, processes
                gpus, processes = defaultdict(list), []
            start = ts - 1 - (ts - 1 - offset_ms) % HOUR_MS
            end = start + HOUR_MS
        if isinstance(row, LogRow):
            gpus[row[1]].append(row)
        else:
            processes.append(row)
    if gpus or processes:
        yield start, gpus, processes
