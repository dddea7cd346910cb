"""One GPU's recent past, kept up row by row: strip cells, the present state and since when, and the ledger in short blocks.

States of a row: *free* (nobody holds it), *unavailable*, *held idle* (held and quiet for five minutes, from the run's start),
*unused* (the same for 15 minutes while another GPU of the job works; a free GPU that the job was given from then on), *quiet* (held and quiet, not yet five minutes and still going on), *waiting* (a quiet run that ended earlier, or a row that is
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

from gpuwatch.dataclass import dataclass, field
from gpuwatch.ledger.runs import same_run
from gpuwatch.ledger.stored import row as stored_row
from gpuwatch.ledger.types import HOLD_MS, UNUSED_MS, LedgerRow, Share
from gpuwatch.names import Context, State
from gpuwatch.store.facts import GpuFacts
from gpuwatch.view.blocks import Blocks
from gpuwatch.view.quiet_run import QuietRun
from gpuwatch.view.strip import Strip
from gpuwatch.view.types import Cell

SMOOTH_MS = 10_000
BESIDE_MS = 60_000
THROTTLED_BELOW_PM = 980
_SILENT_MS, _SILENT_ROWS = 15_000, 3
"""As the recorder's closer sees it: no row for so long, and for so many rows' time."""
_STILL = (State.QUIET, State.HELD_IDLE, State.UNUSED, State.FREE, State.IDLE_UNATTRIBUTED)
_ACTIVE = (State.BUSY, State.WAITING, State.THROTTLED, State.QUIET)


def ledger_row(facts: GpuFacts, shares: tuple[Share, ...] = (), *, whole: bool = True) -> LedgerRow:
    """What the ledger needs of a hot row. Not ``whole``: see :func:`gpuwatch.ledger.stored.row`."""
    return stored_row(facts.ts_ms, facts[3:], shares, whole=whole)


@dataclass(slots=True)
class _Seeds:
    """Time of a quiet run in cells that were added up elsewhere, as a :class:`QuietRun` has it."""

    pending: dict[int, int] = field(default_factory=dict)
    beside: dict[int, int] = field(default_factory=dict)


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
        self._behind: LedgerRow | None = None
        self._run: QuietRun | None = None
        self._strip = Strip(cell_ms)
        self._seeded: dict[int, _Seeds] = {}
        self._recent: deque[tuple[int, int, int, int]] = deque()
        self._recent_ms = self._recent_busy = self._recent_kept = 0
        self.ledger = Blocks(weight)

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

    def seed(
        self, index: int, state: State, ms: int, height: int, height_ms: int, run_ms: int | None, *, sibling: bool = False
    ) -> None:
        """Put time that was added up elsewhere into cell ``index``: before the first row only.

        ``height`` is per mille x milliseconds over ``height_ms``; ``run_ms`` is the start of the quiet run that will name it, which
        another GPU of the job worked beside (``sibling``).
        """
        self._strip.put(index, state, ms, height, height_ms)
        if run_ms is not None:
            seeds = self._seeded.setdefault(run_ms, _Seeds())
            if state is State.QUIET:
                seeds.pending[index] = seeds.pending.get(index, 0) + ms
            if sibling:
                seeds.beside[index] = seeds.beside.get(index, 0) + ms

    def follow(self, facts: GpuFacts) -> None:
        """The quiet run of the first row began behind this one: whether somebody worked there may name it."""
        self._behind = ledger_row(facts, whole=self.weight == 1)

    def freeze(self) -> None:
        """From here on rows only tell how an open quiet run goes on: the view stands at the last row before."""
        self._frozen = True

    def silence(self, at_ms: int) -> None:
        """No row has come up to ``at_ms``: a quiet run that was open has ended by a gap, once that is long enough."""
        run = self._run
        if run is not None and run.undecided and at_ms - run.last.ts_ms > max(_SILENT_MS, _SILENT_ROWS * run.last.dt_ms):
            run.ended, self._run = True, None
            self._settle(run)

    @property
    def last_ms(self) -> int:
        """Time of the newest row that was taken; -1: none."""
        return -1 if self._last is None else self._last.ts_ms

    @property
    def settled(self) -> bool:
        """True when no label waits for rows to come."""
        return self._run is None or not self._run.undecided

    @property
    def ahead_ms(self) -> int:
        """How long the rows to come may still rename something: the 15 minutes of a run beside a working GPU, else five."""
        return UNUSED_MS if self._run is not None and self._run.sibling else HOLD_MS

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
                first_ms = row.ts_ms - row.dt_ms
                if self._behind is not None and self._behind.ts_ms == row.ts_ms - row.quiet_ms:
                    before, first_ms = self._behind, self._behind.ts_ms
                run = self._run = QuietRun(before, first_ms, row)
                seeded = self._seeded.pop(row.ts_ms - row.quiet_ms, _Seeds())
                run.pending.update(seeded.pending)
                run.beside.update(seeded.beside)
                if seeded.beside:
                    run.beside_ms = row.ts_ms - row.dt_ms
                if row.quiet_ms >= HOLD_MS:
                    self._settle(run)
            was_open, was_unused, run.last = run.open, run.unused, row
            if row.work.sibling:
                run.beside_ms = row.ts_ms
            if (was_open and not run.open) or (run.unused and not was_unused):
                self._settle(run)
            return run.verdict(sibling=row.work.sibling)
        if row.unavailable:
            return State.UNAVAILABLE
        if row.quiet is not False:
            if row.context is not Context.NONE:
                return State.NO_DATA
            return State.UNUSED if row.quiet and row.work.sibling and row.quiet_ms >= UNUSED_MS else State.FREE
        if row.busy_pm is not None and row.busy_pm < 500:
            return State.WAITING
        return State.THROTTLED if row.kappa_pm < THROTTLED_BELOW_PM else State.BUSY

    def _settle(self, run: QuietRun) -> None:
        """Give the cells and blocks of a run the name that is now known."""
        name = run.verdict()
        if not run.open:
            self._strip.rename(run.pending, name)
            run.pending.clear()
        if run.unused:
            self._strip.rename(run.beside, State.UNUSED, name)
        if run.unused or run.ended:
            run.beside.clear()
        self.ledger.renamed(run)
        if self._frozen and self.state in (State.QUIET, State.HELD_IDLE):
            self.state = run.verdict(sibling=self.facts is not None and self._beside(run, self.facts.ts_ms))

    @staticmethod
    def _beside(run: QuietRun, at_ms: int) -> bool:
        """Whether another GPU of the job worked in the last minute: a word that stands for a while, not for a second."""
        return run.sibling and at_ms - run.beside_ms < BESIDE_MS

    def _book(self, row: LedgerRow, label: State, height: int | None, shares: tuple[Share, ...]) -> None:
        """Put a row's time into its cells and its ledger blocks."""
        begin, end = row.ts_ms - row.dt_ms, row.ts_ms
        run = self._run if row.quiet is True else None
        for index in range(begin // self.cell_ms, (end - 1) // self.cell_ms + 1):
            ms = min(end, (index + 1) * self.cell_ms) - max(begin, index * self.cell_ms)
            self._strip.put(index, label, ms, 0 if height is None else height * ms, 0 if height is None else ms)
            if run is not None and label is State.QUIET:
                run.pending[index] = run.pending.get(index, 0) + ms
            if run is not None and row.work.sibling and run.undecided:
                run.beside[index] = run.beside.get(index, 0) + ms
        self.ledger.put(row, shares, run)

    def _smooth(self, row: LedgerRow, label: State, adjacent: bool) -> None:
        state = label
        if not adjacent or label not in _ACTIVE:
            self._recent.clear()
            self._recent_ms = self._recent_busy = self._recent_kept = 0
        run = self._run
        if label is State.HELD_IDLE and run is not None:
            state = run.verdict(sibling=self._beside(run, row.ts_ms))
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
        if row.quiet and row.quiet_ms and state in _STILL:
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
        return self._strip.cells(last, count)

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

    def forget(self, before_ms: int) -> None:
        """Drop what is older than ``before_ms``."""
        self._strip.forget(before_ms)
        self.ledger.forget(before_ms)
