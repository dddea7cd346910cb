"""The ledger minutes of one GPU of a past log: each row is booked once, in order, into the minutes that it reaches into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from gpuwatch.ledger.alone import AloneMinutes, Columns
from gpuwatch.ledger.runs import Run, find_runs
from gpuwatch.ledger.split import OpenSpan
from gpuwatch.ledger.types import HOLD_MS, BucketRow, LedgerRow
from gpuwatch.names import Bucket
from gpuwatch.recorder.minute import MINUTE_MS, MINUTE_S

LedgerMinute = tuple[int, int, int, int, int, int, int, int, int]
"""A row of ``ledger_minute``."""
_NOTHING = BucketRow(0, Bucket.UNOBSERVED, 0, 0, 0, 0)  # type: ignore[arg-type]


class Book:
    """The minutes of one GPU. ``rows`` are the finished ones, ``spans`` runs of minutes ``[t0, t1)`` without a hole."""

    def __init__(self, gpu_id: int) -> None:
        self.rows: list[LedgerMinute] = []
        self.spans: list[list[int]] = []
        self._gpu_id = gpu_id

    def _keep(self, number: int, buckets: Iterable[BucketRow]) -> None:
        t = number * MINUTE_S
        self.rows.extend(
            (t, self._gpu_id, row.owner, int(row.bucket), int(row.cause), int(row.tier), row.ms, row.energy_mj, 1)
            for row in list(buckets) or [_NOTHING]
        )
        if self.spans and self.spans[-1][1] == t:
            self.spans[-1][1] = t + MINUTE_S
        else:
            self.spans.append([t, t + MINUTE_S])


class AloneBook(Book):
    """Of rows that nobody is known to hold, of a whole GPU."""

    def __init__(self, gpu_id: int) -> None:
        super().__init__(gpu_id)
        self._minutes = AloneMinutes()

    def add(self, rows: Columns, ahead: Columns | None) -> None:
        """Book rows that follow those before; ``ahead`` follow them and tell how a quiet run goes on (``None``: it has ended)."""
        for number, buckets in self._minutes.add(rows, ahead):
            self._keep(number, buckets)

    def close(self) -> None:
        """Finish the minute that is open."""
        for number, buckets in self._minutes.close():
            self._keep(number, buckets)


class SharedBook(Book):
    """Of rows with their holders, of a GPU of any weight."""

    def __init__(self, gpu_id: int, weight: Fraction) -> None:
        super().__init__(gpu_id)
        self._weight = weight
        self._minute: int | None = None
        self._open = OpenSpan(0, weight)
        self._behind: list[LedgerRow] = []

    def add(self, rows: Sequence[LedgerRow], ahead: Sequence[LedgerRow]) -> None:
        """Book rows that follow those before; ``ahead`` are all of the hour that follows: a run that goes on through them and is
        still short ends with them."""
        if not rows:
            return
        end = LedgerRow((ahead or rows)[-1].ts_ms + 1, 0, None, 0, None, None)
        known = [*self._behind, *rows, *ahead, end]
        runs = find_runs(known)
        first = len(self._behind)
        for at in range(first, first + len(rows)):
            self._book(known[at], runs[at])
        reach = rows[-1].ts_ms - HOLD_MS - MINUTE_MS
        self._behind = [row for row in known[: first + len(rows)] if row.ts_ms > reach]

    def _book(self, row: LedgerRow, run: Run | None) -> None:
        start = (row.ts_ms - row.dt_ms) // MINUTE_MS
        last = (row.ts_ms - 1) // MINUTE_MS
        for number in range(start if self._minute is None else max(start, self._minute), last + 1):
            if number != self._minute:
                self.close()
                self._minute, self._open = number, OpenSpan(number * MINUTE_MS, self._weight)
            self._open.book(row, run, (number + 1) * MINUTE_MS)

    def close(self) -> None:
        """Finish the minute that is open."""
        if self._minute is not None:
            self._keep(self._minute, self._open.rows())
            self._minute = None
