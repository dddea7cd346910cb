"""Quiet runs: how long a GPU has been quiet without a break, and what the rows around a run say about it.

A run ends at a row that is active or unknown, at a gap, when the GPU becomes unavailable, and when it changes between free
(``Context.NONE``) and held or unknown: a GPU that was free for an hour and gets a process has been *held* idle for no time yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.dataclass import dataclass
from gpuwatch.ledger.types import HOLD_MS, LedgerRow
from gpuwatch.names import Context


def same_run(before: Context | None, after: Context | None) -> bool:
    """Whether a quiet run goes on over this change of context."""
    return (before is Context.NONE) == (after is Context.NONE)


def next_quiet_ms(
    quiet_ms: int, before: tuple[bool | None, Context | None], quiet: bool | None, context: Context | None, dt_ms: int
) -> int:
    """The quiet run that ends with a new row of ``dt_ms`` (0: the first row after a gap), given the run and facts before it."""
    if not quiet or dt_ms == 0:
        return 0
    was_quiet, was_context = before
    goes_on = was_quiet is True and same_run(was_context, context)
    return quiet_ms + dt_ms if goes_on else dt_ms


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of the quiet run that a row belongs to: its length so far, and what stands before and after it."""

    total_ms: int
    after_active: bool
    before_active: bool
    ended: bool

    @property
    def long(self) -> bool:
        """Reached five minutes."""
        return self.total_ms >= HOLD_MS

    @property
    def open(self) -> bool:
        """Unfinished and younger than five minutes: its name is not known yet."""
        return not self.ended and not self.long


def _is_quiet(row: LedgerRow) -> bool:
    return row.quiet is True and not row.unavailable


def _adjoins(before: LedgerRow, after: LedgerRow) -> bool:
    return after.ts_ms - after.dt_ms <= before.ts_ms


def _goes_on(before: LedgerRow, after: LedgerRow) -> bool:
    return (
        after.quiet is True
        and after.quiet_ms > before.quiet_ms
        and (after.context is before.context or same_run(before.context, after.context))
        and not after.unavailable
        and _adjoins(before, after)
    )


def find_runs(rows: Sequence[LedgerRow]) -> list[Run | None]:
    """For each of ``rows`` (ascending time) the quiet run it is part of, or ``None`` when it is not quiet."""
    found: list[Run | None] = [None] * len(rows)
    first = 0
    while first < len(rows):
        if not _is_quiet(rows[first]):
            first += 1
            continue
        end = first + 1
        while end < len(rows) and _goes_on(rows[end - 1], rows[end]):
            end += 1
        run = Run(
            total_ms=rows[end - 1].quiet_ms,
            after_active=first > 0 and rows[first - 1].quiet is False and _adjoins(rows[first - 1], rows[first]),
            before_active=end < len(rows) and rows[end].quiet is False and _adjoins(rows[end - 1], rows[end]),
            ended=end < len(rows),
        )
        found[first:end] = [run] * (end - first)
        first = end
    return found
