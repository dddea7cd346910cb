"""A quiet run of a held GPU as the view follows it: it gets its name when it ends or reaches five minutes.

Rows of it in which another GPU of the job worked get another one when the run reaches 15 minutes.
"""

from __future__ import annotations

from gpuwatch.dataclass import dataclass, field
from gpuwatch.ledger.types import HOLD_MS, UNUSED_MS, LedgerRow
from gpuwatch.names import State


@dataclass(slots=True)
class QuietRun:
    """A quiet run of a held GPU: what stands before it, its last row so far, what ended it, and the cells it waits in."""

    before: LedgerRow | None
    first_ms: int
    last: LedgerRow
    after: LedgerRow | None = None
    ended: bool = False
    pending: dict[int, int] = field(default_factory=dict)
    beside: dict[int, int] = field(default_factory=dict)
    """Cells with time of it in which another GPU of the job worked."""
    beside_ms: int = -1
    """When that was last so; -1: never."""
    blocks: set[int] = field(default_factory=set)

    @property
    def open(self) -> bool:
        """Goes on and has no name yet."""
        return not self.ended and self.last.quiet_ms < HOLD_MS

    @property
    def sibling(self) -> bool:
        """Whether another GPU of the job worked at any time of it."""
        return self.beside_ms >= 0

    @property
    def undecided(self) -> bool:
        """Goes on, and some of its time may still be renamed."""
        return not self.ended and self.last.quiet_ms < (UNUSED_MS if self.sibling else HOLD_MS)

    @property
    def unused(self) -> bool:
        """Reached 15 minutes: the job does not use the GPU."""
        return self.last.quiet_ms >= UNUSED_MS

    def verdict(self, *, sibling: bool = False) -> State:
        """The state that its rows have as far as is known; ``sibling``: those in which another GPU of the job worked."""
        if sibling and self.unused:
            return State.UNUSED
        if self.open:
            return State.QUIET
        if self.last.context is None:
            sides = self.before is not None and self.before.quiet is False and self.after is not None and self.after.quiet is False
            return State.WAITING if sides and self.last.quiet_ms < HOLD_MS else State.IDLE_UNATTRIBUTED
        return State.HELD_IDLE if self.last.quiet_ms >= HOLD_MS else State.WAITING


def lead_in(run: QuietRun, first: LedgerRow) -> list[LedgerRow]:
    """What tells the ledger how the run of ``first`` began: the row before it, and its quiet time up to ``first`` in one row.

    Empty when ``first`` is not of that run. It matters where the holder is unknown, be it only in some of the rows that follow.
    """
    begin = first.ts_ms - first.dt_ms
    if first.quiet is not True or begin < run.first_ms:
        return []
    out = [] if run.before is None else [run.before]
    if begin > run.first_ms:
        out.append(LedgerRow(begin, begin - run.first_ms, True, first.quiet_ms - first.dt_ms, None, None))
    return out


def lead_out(run: QuietRun, last: LedgerRow) -> list[LedgerRow]:
    """What tells the ledger how the run of ``last`` goes on: its quiet time after ``last`` in one row, and the row that ended it."""
    if last.quiet is not True or run.last.ts_ms < last.ts_ms:
        return []
    out = []
    if run.last.ts_ms > last.ts_ms:
        out.append(LedgerRow(run.last.ts_ms, run.last.ts_ms - last.ts_ms, True, run.last.quiet_ms, run.last.context, None))
    if run.ended:
        out.append(run.after or LedgerRow(run.last.ts_ms + 2, 1, None, 0, None, None))
    return out
