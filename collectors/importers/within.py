"""Rows of a GPU that a log dates to the same second: the time between them, which the user says, tells where in it they are."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.errors import UsageError

SECOND = 1000
CROWDED = 0.25
"""A log with so many repetitions was written faster than its times tell; fewer are rows that were written twice."""
HINT = "say the time between two rows of a GPU with --interval, for example --interval 250ms"


def ask_interval(rows: Sequence[tuple[str, int, object]], interval_ms: int | None, where: str) -> None:
    """:class:`UsageError` if rows of one GPU share their second and nothing says how far they are apart.

    ``rows``: GPU, ms and content. Rows that are the same throughout were written twice; one of them is enough.
    """
    if interval_ms is not None or any(ms % SECOND for _, ms, _ in rows):
        return
    last: dict[str, tuple[int, object]] = {}
    again = differ = 0
    for gpu, ms, content in rows:
        known = last.get(gpu)
        if known is not None and known[0] == ms:
            again += 1
            differ += known[1] != content
        last[gpu] = ms, content
    if differ > 1 and again >= CROWDED * len(rows):
        raise UsageError(f"{where}: several rows of a GPU have the same time, which tells seconds only", HINT)


def placed(before_ms: int, second_ms: int, interval_ms: int | None) -> int | None:
    """The time of a row dated ``second_ms`` whose GPU has a row at ``before_ms``, no earlier; ``None`` if it has no place there."""
    if interval_ms is None or interval_ms >= SECOND or second_ms % SECOND:
        return None if before_ms == second_ms else second_ms
    if before_ms >= second_ms + SECOND:
        return second_ms
    found = before_ms + interval_ms
    return found if found < second_ms + SECOND else None
