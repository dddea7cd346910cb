"""The ledger minutes of one GPU of a past log: each row is booked once, in order, into the minutes that it reaches into."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from gpuwatch.ledger.runs import Run, find_runs
from gpuwatch.ledger.split import OpenSpan
from gpuwatch.ledger.types import HOLD_MS, LedgerRow
from gpuwatch.names import Bucket
from gpuwatch.recorder.minute import MINUTE_MS, MINUTE_S

LedgerMinute = tuple[int, int, int, int, int, int, int, int, int]
"""A row of ``ledger_minute``."""
_NOTHING = (0, int(Bucket.UNOBSERVED), 0, 0, 0, 0)


class MinuteBook:
    """Equal to :func:`gpuwatch.ledger.split` of every minute, but each row is looked at once.

    ``rows`` are the finished minutes, ``spans`` runs of minutes ``[t0, t1)`` without a hole.
    """

    def __init__(self, gpu_id: int, weight: Fraction) -> None:
        self.rows: list[LedgerMinute] = []
        self.spans: list[list[int]] = []
        self._gpu_id, self._weight = gpu_id, weight
        self._minute: int | None = None
        self._open = OpenSpan(0, weight)
        self._behind: list[LedgerRow] = []

    def add(self, rows: Sequence[LedgerRow], ahead: Sequence[LedgerRow]) -> None:
        """Book ``rows`` (ascending, after those before); ``ahead`` follow them and tell how a quiet run goes on.

        Without ``ahead`` the last run has ended.
        """
        if not rows:
            return
        end = [] if ahead else [LedgerRow(rows[-1].ts_ms + 1, 0, None, 0, None, None)]
        known = [*self._behind, *rows, *ahead, *end]
        runs = find_runs(known)
        first = len(self._behind)
        for at in range(first, first + len(rows)):
            self._book(known[at], runs[at])
        reach = rows[-1].ts_ms - HOLD_MS - MINUTE_MS
        self._behind = [row for row in known[: first + len(rows)] if row.ts_ms > reach]

    def _book(self, row: LedgerRow, run: Run | None) -> None:
        start = (row.ts_ms - row.dt_ms) // MINUTE_MS
        last = (row.ts_ms - 1) // MINUTE_MS
        minute = self._minute
        if minute == start == last:
            self._open.book(row, run, (minute + 1) * MINUTE_MS)
            return
        for number in range(start if minute is None else max(start, minute), last + 1):
            if number != self._minute:
                self.close()
                self._minute, self._open = number, OpenSpan(number * MINUTE_MS, self._weight)
            self._open.book(row, run, (number + 1) * MINUTE_MS)

    def close(self) -> None:
        """Finish the minute that is open."""
        if self._minute is None:
            return
        t = self._minute * MINUTE_S
        found = [(row.owner, int(row.bucket), int(row.cause), int(row.tier), row.ms, row.energy_mj) for row in self._open.rows()]
        self.rows.extend((t, self._gpu_id, *row, 1) for row in found or [_NOTHING])
        if self.spans and self.spans[-1][1] == t:
            self.spans[-1][1] = t + MINUTE_S
        else:
            self.spans.append([t, t + MINUTE_S])
        self._minute = None
