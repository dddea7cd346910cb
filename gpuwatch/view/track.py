"""One GPU's recent past, kept up row by row: strip cells, the present state and since when, and the ledger in short blocks.

States of a row: *free* (nobody holds it), *unavailable*, *held idle* (held and quiet for five minutes, from the run's start),
*quiet* (held and quiet, not yet five minutes and still going on), *waiting* (a quiet run that ended earlier, or a row that is
busy for less than half of its time), *throttled* (busy with clocks lowered by more than 2 %), else *busy*. A label that depends
on how a quiet run goes on is kept open and settled when the run ends or reaches five minutes, so that the past is relabelled.

The state on a GPU's row is smoothed: while somebody holds the GPU and it is not held idle, the busy share of the last 10 s decides
(0: quiet; below one half: waiting; else throttled or busy), so that a loop that computes and waits in turns does not flicker.

Ledger amounts come from ``ledger.split`` and nothing else, called once for every block of 10 s that is closed, and again for the
running one (without owners: who wastes is told of closed blocks).
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Any

from gpuwatch.ledger.ratios import WASTE
from gpuwatch.ledger.runs import same_run
from gpuwatch.ledger.split import split
from gpuwatch.ledger.types import HOLD_MS, BucketRow, LedgerRow, Share
from gpuwatch.names import Bucket, Cause, Context, State, Tier
from gpuwatch.record import dataclass, field, replace
from gpuwatch.store.window import GpuFacts
from gpuwatch.view.types import Cell

BLOCK_MS = 10_000
SMOOTH_MS = 10_000
THROTTLED_BELOW_PM = 980
_ACTIVE = (State.BUSY, State.WAITING, State.THROTTLED, State.QUIET)
_CONTEXT: dict[int | None, Context | None] = {None: None, **{int(context): context for context in Context}}
_QUIET: dict[int | None, bool | None] = {None: None, 0: False, 1: True}
NO_CELL = Cell(None, State.NO_DATA)

Key = tuple[Bucket, Cause, Tier]
Sums = dict[Key, tuple[int, int]]
"""Bucket, cause, tier -> milliseconds, millijoules."""


def ledger_row(facts: GpuFacts, shares: tuple[Share, ...] = (), *, whole: bool = True) -> LedgerRow:
    """What the ledger needs of a hot row; energy from the counter, else from the power reading.

    Not ``whole``: a MIG instance or a sliced board, whose energy belongs to none of them alone.
    """
    busy = facts.graphics_active_pm
    if busy is None:
        busy = facts.utilization_pm if facts.utilization_pm is not None else facts.sm_active_pm
    energy = facts.energy_mj
    if not whole:
        energy = None
    elif energy is None and facts.power_mw is not None:
        energy = facts.power_mw * facts.dt_ms // 1000
    return LedgerRow(
        facts.ts_ms,
        facts.dt_ms,
        _QUIET[facts.quiet],
        facts.quiet_ms,
        _CONTEXT[facts.context],
        None if busy is None else min(1000, max(0, busy)),
        facts.kappa_pm,
        bool(facts.unavailable),
        energy,
        shares,
    )


@dataclass(slots=True)
class _Run:
    """A quiet run of a held GPU: what stands before it, its last row so far, what ended it, and the cells it waits in."""

    before: LedgerRow | None
    first_ms: int
    last: LedgerRow
    after: LedgerRow | None = None
    ended: bool = False
    pending: dict[int, int] = field(default_factory=dict)
    blocks: set[int] = field(default_factory=set)

    @property
    def open(self) -> bool:
        return not self.ended and self.last.quiet_ms < HOLD_MS

    def verdict(self) -> State:
        """The state that its rows have as far as is known."""
        if self.open:
            return State.QUIET
        if self.last.context is None:
            sides = self.before is not None and self.before.quiet is False and self.after is not None and self.after.quiet is False
            return State.WAITING if sides and self.last.quiet_ms < HOLD_MS else State.IDLE_UNATTRIBUTED
        return State.HELD_IDLE if self.last.quiet_ms >= HOLD_MS else State.WAITING


class _CellSum:
    """What a cell is made of: height x time, time with a height, time per state."""

    __slots__ = ("height", "height_ms", "states")

    def __init__(self) -> None:
        self.height = 0
        self.height_ms = 0
        self.states: dict[State, int] = {}

    def move(self, ms: int, to: State) -> None:
        self.states[State.QUIET] = self.states.get(State.QUIET, 0) - ms
        self.states[to] = self.states.get(to, 0) + ms

    def cell(self) -> Cell:
        state = max(self.states, key=lambda s: (self.states[s], s))
        return Cell(self.height / self.height_ms / 1000 if self.height_ms else None, state)


class GpuTrack:
    """Feed it hot rows in order with :meth:`add`; ask for cells, state and sums at any time in between."""

    def __init__(self, weight: Fraction, cell_ms: int) -> None:
        self.weight = weight
        self.cell_ms = cell_ms
        self.state = State.NO_DATA
        self.since_ms: int | None = None
        self.facts: GpuFacts | None = None
        self.first_ms: int | None = None
        """Start of the first row that speaks for any time."""
        self._frozen = False
        self._last: LedgerRow | None = None
        self._run: _Run | None = None
        self._sums: dict[int, _CellSum] = {}
        self._cells: dict[int, Cell] = {}
        self._seeded: dict[int, dict[int, int]] = {}
        self._recent: deque[tuple[int, int, int, int]] = deque()
        self._recent_ms = self._recent_busy = self._recent_kept = 0
        self._rows: dict[int, list[tuple[LedgerRow, tuple[Share, ...]]]] = {}
        self._runs: dict[int, list[_Run]] = {}
        self._blocks: dict[int, list[BucketRow]] = {}
        self._closed: dict[tuple[int, int], Sums] = {}
        self._wasted: dict[int, dict[int, int]] = {}
        self._wasted_sum: tuple[int, int, dict[int, int]] | None = None
        self._running: tuple[int, int, list[BucketRow]] | None = None

    # ---------------------------------------------------------------------------------------------------------- feeding

    def add(self, facts: GpuFacts, shares: tuple[Share, ...] = ()) -> None:
        """Take the next row; one that is not newer than the last is ignored."""
        last = self._last
        if last is not None and facts.ts_ms <= last.ts_ms:
            return
        row = ledger_row(facts, whole=self.weight == 1)
        adjacent = last is not None and row.dt_ms > 0 and row.ts_ms - row.dt_ms <= last.ts_ms
        label = self._label(row, last if adjacent else None)
        self._last = row
        if self._frozen:
            return
        self.facts = facts
        if row.dt_ms > 0:
            if self.first_ms is None:
                self.first_ms = row.ts_ms - row.dt_ms
            height = facts.sm_active_pm if facts.sm_active_pm is not None else facts.utilization_pm
            self._book(row, label, height, shares)
        self._smooth(row, label, adjacent)

    def seed(self, index: int, state: State, ms: int, height: int, height_ms: int, run_ms: int | None) -> None:
        """Put time that was added up elsewhere into cell ``index``: before the first row only.

        ``height`` is per mille x milliseconds over ``height_ms``; ``run_ms`` is the start of the quiet run that will name it.
        """
        sums = self._sums.get(index)
        if sums is None:
            sums = self._sums[index] = _CellSum()
        sums.states[state] = sums.states.get(state, 0) + ms
        sums.height += height
        sums.height_ms += height_ms
        self._cells.pop(index, None)
        if run_ms is not None:
            waiting = self._seeded.setdefault(run_ms, {})
            waiting[index] = waiting.get(index, 0) + ms

    def freeze(self) -> None:
        """From here on rows only tell how an open quiet run goes on: the view stands at the last row before."""
        self._frozen = True

    @property
    def settled(self) -> bool:
        """True when no label waits for rows to come."""
        return self._run is None or not self._run.open

    def _label(self, row: LedgerRow, before: LedgerRow | None) -> State:
        quiet = row.quiet is True and not row.unavailable and row.context is not Context.NONE
        run = self._run
        goes_on = (
            run is not None
            and before is run.last
            and quiet
            and same_run(before.context, row.context)
            and row.quiet_ms > before.quiet_ms
        )
        if run is not None and not goes_on:
            run.ended, run.after = True, row if before is not None else None
            self._settle(run)
            self._run = None
        if quiet:
            if run is None or not goes_on:
                run = self._run = _Run(before, row.ts_ms - row.dt_ms, row)
                run.pending.update(self._seeded.pop(row.ts_ms - row.quiet_ms, {}))
                if row.quiet_ms >= HOLD_MS:
                    self._settle(run)
            was_open, run.last = run.open, row
            if was_open and not run.open:
                self._settle(run)
            return run.verdict()
        if row.unavailable:
            return State.UNAVAILABLE
        if row.quiet is not False:
            return State.FREE if row.context is Context.NONE else State.NO_DATA
        if row.busy_pm is not None and row.busy_pm < 500:
            return State.WAITING
        return State.THROTTLED if row.kappa_pm < THROTTLED_BELOW_PM else State.BUSY

    def _settle(self, run: _Run) -> None:
        """Give the cells and blocks of a run the name that is now known."""
        name = run.verdict()
        for index, ms in run.pending.items():
            sums = self._sums.get(index)
            if sums is not None:
                sums.move(ms, name)
                self._cells.pop(index, None)
        run.pending.clear()
        for block in run.blocks:
            self._blocks.pop(block, None)
            self._wasted.pop(block, None)
        self._wasted_sum = self._running = None
        if run.blocks:
            self._closed.clear()
        if self._frozen and self.state is State.QUIET:
            self.state = name

    def _book(self, row: LedgerRow, label: State, height: int | None, shares: tuple[Share, ...]) -> None:
        """Put a row's time into its cells and its ledger blocks."""
        begin, end = row.ts_ms - row.dt_ms, row.ts_ms
        run = self._run if row.quiet is True else None
        for index in range(begin // self.cell_ms, (end - 1) // self.cell_ms + 1):
            ms = min(end, (index + 1) * self.cell_ms) - max(begin, index * self.cell_ms)
            sums = self._sums.get(index)
            if sums is None:
                sums = self._sums[index] = _CellSum()
            sums.states[label] = sums.states.get(label, 0) + ms
            if height is not None:
                sums.height += height * ms
                sums.height_ms += ms
            if label is State.QUIET and run is not None:
                run.pending[index] = run.pending.get(index, 0) + ms
            self._cells.pop(index, None)
        for block in range(begin // BLOCK_MS, (end - 1) // BLOCK_MS + 1):
            self._rows.setdefault(block, []).append((row, shares))
            self._running = None
            if self._blocks.pop(block, None) is not None:
                self._closed.clear()
                self._wasted.pop(block, None)
                self._wasted_sum = None
            if run is not None:
                runs = self._runs.setdefault(block, [])
                if not runs or runs[-1] is not run:
                    runs.append(run)
                if run.open:
                    run.blocks.add(block)

    def _smooth(self, row: LedgerRow, label: State, adjacent: bool) -> None:
        state = label
        if not adjacent or label not in _ACTIVE:
            self._recent.clear()
            self._recent_ms = self._recent_busy = self._recent_kept = 0
        if label in _ACTIVE:
            dt = max(row.dt_ms, 1)
            busy = 0 if row.quiet else dt * (1000 if row.busy_pm is None else row.busy_pm)
            kept = busy * row.kappa_pm
            self._recent.append((row.ts_ms, dt, busy, kept))
            self._recent_ms += dt
            self._recent_busy += busy
            self._recent_kept += kept
            while self._recent[0][0] <= row.ts_ms - SMOOTH_MS:
                _, dt, busy, kept = self._recent.popleft()
                self._recent_ms -= dt
                self._recent_busy -= busy
                self._recent_kept -= kept
            state = self._smoothed()
        if row.quiet and row.quiet_ms and state in (State.QUIET, State.HELD_IDLE, State.FREE, State.IDLE_UNATTRIBUTED):
            self.since_ms = row.ts_ms - row.quiet_ms
        elif state is not self.state or not adjacent:
            self.since_ms = row.ts_ms - row.dt_ms if adjacent or row.dt_ms == 0 else None
        self.state = state

    def _smoothed(self) -> State:
        if self._recent_busy == 0:
            return State.QUIET
        if self._recent_busy < 500 * self._recent_ms:
            return State.WAITING
        return State.THROTTLED if self._recent_kept < THROTTLED_BELOW_PM * self._recent_busy else State.BUSY

    # ---------------------------------------------------------------------------------------------------------- asking

    def cells(self, last: int, count: int) -> tuple[Cell, ...]:
        """``count`` cells up to number ``last`` (unix time / cell length), oldest first."""
        done, sums = self._cells, self._sums
        out = []
        for index in range(last - count + 1, last + 1):
            cell = done.get(index)
            if cell is None:
                found = sums.get(index)
                cell = done[index] = NO_CELL if found is None else found.cell()
            out.append(cell)
        return tuple(out)

    def state_since(self, last: int, count: int) -> int | None:
        """Since when the state is what it is; where its first row was not seen, as far back as whole cells show it."""
        if self.since_ms is not None or self.facts is None:
            return self.since_ms
        known = None
        for number, cell in zip(range(last, last - count, -1), reversed(self.cells(last, count)), strict=True):
            if cell.state is not self.state:
                return known
            known = number * self.cell_ms
        return None  # it began before what is shown

    def total(self, start_ms: int, end_ms: int) -> Sums:
        """Bucket sums of ``[start_ms, end_ms)``; ``start_ms`` is the start of a block. Unobserved time is not in them."""
        first, running = start_ms // BLOCK_MS, end_ms // BLOCK_MS
        closed = self._closed.get((first, running))
        if closed is None:
            if len(self._closed) > 4:
                self._closed.clear()
            closed = self._closed[first, running] = self._add_up(range(first, running))
        if end_ms == running * BLOCK_MS or running not in self._rows:
            return closed
        out = dict(closed)
        _add(out, self.running(end_ms))
        return out

    def _add_up(self, blocks: range) -> Sums:
        out: Sums = {}
        for block in blocks:
            if block in self._rows:
                _add(out, self.block(block))
        return out

    def block(self, number: int) -> list[BucketRow]:
        """The ledger of one closed block, with owners."""
        found = self._blocks.get(number)
        if found is None:
            found = self._blocks[number] = self._split(number, (number + 1) * BLOCK_MS, with_shares=True)
        return found

    def running(self, end_ms: int) -> list[BucketRow]:
        """The ledger of the block that is not full at ``end_ms``, without owners (they cost most and come when it is closed)."""
        number = end_ms // BLOCK_MS
        if self._running is None or self._running[:2] != (number, end_ms):
            self._running = (number, end_ms, self._split(number, end_ms, with_shares=False))
        return self._running[2]

    def _split(self, number: int, end_ms: int, *, with_shares: bool) -> list[BucketRow]:
        held = self._rows.get(number)
        if not held:
            return []
        rows = [replace(row, shares=shares) if shares and with_shares else row for row, shares in held]
        runs = self._runs.get(number, ())
        before = _lead_in(runs[0], rows[0]) if runs else []
        after = _lead_out(runs[-1], rows[-1]) if runs else []
        return split([*before, *rows], after, start_ms=number * BLOCK_MS, end_ms=end_ms, weight=self.weight)

    def waste_by_owner(self, first: int, last: int) -> dict[int, int]:
        """Wasted milliseconds per owner in the closed blocks ``first`` to ``last``."""
        kept = self._wasted_sum
        if kept is not None and kept[:2] == (first, last):
            return kept[2]
        out: dict[int, int] = {}
        for number in range(first, last + 1):
            wasted = self._wasted.get(number)
            if wasted is None:
                wasted = self._wasted[number] = {}
                for row in self.block(number):
                    if row.bucket in WASTE:
                        wasted[row.owner] = wasted.get(row.owner, 0) + row.ms
            for owner, ms in wasted.items():
                out[owner] = out.get(owner, 0) + ms
        self._wasted_sum = (first, last, out)
        return out

    def waste_running(self, end_ms: int) -> int:
        """Wasted milliseconds of the running block."""
        return sum(row.ms for row in self.running(end_ms) if row.bucket in WASTE)

    def forget(self, before_ms: int) -> None:
        """Drop what is older than ``before_ms``."""
        by_cell: tuple[dict[int, Any], ...] = (self._sums, self._cells)
        by_block: tuple[dict[int, Any], ...] = (self._rows, self._runs, self._blocks, self._wasted)
        for tables, unit in ((by_cell, self.cell_ms), (by_block, BLOCK_MS)):
            for table in tables:
                for index in [i for i in table if (i + 1) * unit <= before_ms]:
                    del table[index]


def _add(out: Sums, rows: list[BucketRow]) -> None:
    for row in rows:
        key = (row.bucket, row.cause, row.tier)
        ms, energy = out.get(key, (0, 0))
        out[key] = (ms + row.ms, energy + row.energy_mj)


def _lead_in(run: _Run, first: LedgerRow) -> list[LedgerRow]:
    """What tells the ledger how the run of ``first`` began: the row before it, and its quiet time up to ``first`` in one row.

    Empty when ``first`` is not of that run, or when its holder is known: then the beginning does not matter.
    """
    begin = first.ts_ms - first.dt_ms
    if first.quiet is not True or first.context is not None or begin < run.first_ms:
        return []
    out = [] if run.before is None else [run.before]
    if begin > run.first_ms:
        out.append(LedgerRow(begin, begin - run.first_ms, True, first.quiet_ms - first.dt_ms, None, None))
    return out


def _lead_out(run: _Run, last: LedgerRow) -> list[LedgerRow]:
    """What tells the ledger how the run of ``last`` goes on: its quiet time after ``last`` in one row, and the row that ended it."""
    if last.quiet is not True or run.last.ts_ms < last.ts_ms:
        return []
    out = []
    if run.last.ts_ms > last.ts_ms:
        out.append(LedgerRow(run.last.ts_ms, run.last.ts_ms - last.ts_ms, True, run.last.quiet_ms, run.last.context, None))
    if run.ended:
        out.append(run.after or LedgerRow(run.last.ts_ms + 2, 1, None, 0, None, None))
    return out
