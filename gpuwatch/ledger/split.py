"""Where one GPU's time went: rows in, buckets out, in exact integers: the one function of the ledger.

Time is cut on a fixed grid: the weighted milliseconds of ``[a, b)`` are ``floor(b * weight) - floor(a * weight)``, so that the
parts of any partition of a span sum to the span. Energy of a row that a span cuts is cut the same way. Inside a call amounts are
whole shares of a millisecond (and of a millijoule, see :data:`gpuwatch.ledger.labels.UNIT`); they become whole milliseconds (and
millijoules) once, by largest remainder over the call: the sum is exact, and a single bucket is off by less than one unit per call.
The minute closer calls it once per GPU and minute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction

from gpuwatch.ledger.labels import HELD, IDLE, LABELS, QUIET, UNALLOCATED, UNAVAILABLE, UNIT, UNUSED, WAIT, Shares, active, still
from gpuwatch.ledger.rounding import largest_remainder
from gpuwatch.ledger.runs import Run, find_runs
from gpuwatch.ledger.types import HOLD_MS, NOBODY, UNUSED_MS, AnyShare, BucketRow, LedgerRow, Work
from gpuwatch.names import Context

_ONE = Fraction(1)

_LONG = Run(UNUSED_MS, after_active=False, before_active=False, ended=False)
"""Stands for the run of a row whose label no longer depends on it."""

_Owners = tuple[tuple[int, int], ...]
"""(owner, weight) pairs, ascending; empty: nobody."""
_Booked = dict[_Owners, dict[int, tuple[int, int]]]
"""Owners -> label -> milliseconds and millijoules, in units of 1 / UNIT."""


def capacity(start_ms: int, end_ms: int, weight: Fraction = _ONE) -> int:
    """The weighted milliseconds of ``[start_ms, end_ms)``; additive over adjacent spans."""
    top, bottom = weight.numerator, weight.denominator
    return end_ms * top // bottom - start_ms * top // bottom


def split(
    rows: Sequence[LedgerRow],
    look_ahead: Sequence[LedgerRow] = (),
    *,
    start_ms: int,
    end_ms: int,
    weight: Fraction = _ONE,
) -> list[BucketRow]:
    """The buckets of one GPU over ``[start_ms, end_ms)``, ascending by owner and bucket, parts that are not zero only.

    Rows may come in any order and reach over the span on both sides; only their time inside it counts. ``look_ahead`` are the
    rows after the span: they tell how a quiet run goes on (five minutes are enough, 15 where another GPU of the job is active).
    Rows before the span tell how it began, which matters only where the context is unknown. What is missing to :func:`capacity`
    was not observed and is not listed.
    """
    ordered = _ascending([*rows, *look_ahead])
    span = OpenSpan(start_ms, weight)
    for row, run in zip(ordered, find_runs(ordered)):
        span.book(row, run, end_ms)
    return span.rows()


class OpenSpan:
    """A span whose rows come one by one, ascending; :func:`split` of the same rows gives the same buckets."""

    def __init__(self, start_ms: int, weight: Fraction = _ONE) -> None:
        self._top, self._bottom = weight.numerator, weight.denominator
        self._before = start_ms
        self._booked: _Booked = {}

    def add(self, row: LedgerRow) -> bool:
        """Book a whole row; False, and nothing is booked, where its label depends on how its quiet run begins or goes on."""
        quiet = row.quiet is True and not row.unavailable
        named_ms = UNUSED_MS if row.work.sibling else HOLD_MS
        if quiet and row.context is not Context.NONE and row.quiet_ms < named_ms:
            return False
        self.book(row, _LONG if quiet else None, row.ts_ms)
        return True

    def book(self, row: LedgerRow, run: Run | None, end_ms: int) -> None:
        """Book what of a row lies before ``end_ms`` and behind the rows that were there before."""
        begin = max(row.ts_ms - row.dt_ms, self._before)
        self._before = max(self._before, row.ts_ms)
        until = min(row.ts_ms, end_ms)
        top, bottom = self._top, self._bottom
        if begin >= until or not top:
            return
        owners, parts = _parts(row, run)
        if not parts:
            return
        amount = until * top // bottom - begin * top // bottom
        joules = _energy(row, begin, until)
        labels = self._booked.setdefault(owners, {})
        for label, share in parts:
            time, energy = labels.get(label, (0, 0))
            labels[label] = time + amount * share, energy + joules * share

    def rows(self) -> list[BucketRow]:
        """The buckets of what was booked so far."""
        return _rounded(self._booked)


def _ascending(rows: Iterable[LedgerRow]) -> list[LedgerRow]:
    """By time, one row for an instant (the longest, should the same one be given twice)."""
    ordered: list[LedgerRow] = []
    for row in sorted(rows, key=lambda row: (row.ts_ms, -row.dt_ms)):
        if not ordered or row.ts_ms > ordered[-1].ts_ms:
            ordered.append(row)
    return ordered


def _energy(row: LedgerRow, begin: int, until: int) -> int:
    """The row's millijoules in ``[begin, until)``, spread evenly; sums exactly over the parts of the row."""
    if not row.energy_mj or row.energy_mj < 0:
        return 0
    start = row.ts_ms - row.dt_ms
    return row.energy_mj * (until - start) // row.dt_ms - row.energy_mj * (begin - start) // row.dt_ms


def _parts(row: LedgerRow, run: Run | None) -> tuple[_Owners, Shares]:
    """Whom one row's time belongs to, and its labels; no label when the row does not say what the GPU did."""
    if row.unavailable:
        return (), [(UNAVAILABLE, UNIT)]
    if row.quiet is None:
        return (), [(UNALLOCATED, UNIT)] if row.context is Context.NONE else []
    if run is None:
        return _by_sm(row.shares), active(row.busy_pm, row.kappa_pm, row.work, row.fill)
    label = quiet_label(row.context, run, row.quiet_ms, row.work)
    return () if row.context is Context.NONE else _by_memory(row.shares), still(label, row.work)


def quiet_label(context: Context | None, run: Run, quiet_ms: int, work: Work) -> int:
    """The label of a quiet row, by who holds the GPU, by how its run began and goes on, and by what the job's other GPUs do.

    A free GPU that a working job was given, and that was quiet for 15 minutes, is unused from then on, not from the run's start.
    """
    if context is Context.NONE:
        return UNUSED if work.sibling and quiet_ms >= UNUSED_MS else UNALLOCATED
    if run.open:
        return QUIET
    if work.sibling and run.total_ms >= UNUSED_MS:
        return UNUSED
    if context is None:
        return WAIT if not run.long and run.after_active and run.before_active else IDLE
    return HELD if run.long else WAIT


def _by_sm(shares: Sequence[AnyShare]) -> _Owners:
    return _weighted(shares, [(owner, sm_pm) for owner, sm_pm, _ in shares if sm_pm])


def _by_memory(shares: Sequence[AnyShare]) -> _Owners:
    return _weighted(shares, [(owner, memory_mib) for owner, _, memory_mib in shares if memory_mib])


def _weighted(shares: Sequence[AnyShare], known: list[tuple[int, int]]) -> _Owners:
    """Owners by what is known of their use; equally when nothing is. One owner needs no weight."""
    if not known:
        known = [(owner, 1) for owner, _, _ in shares]
    if len(known) == 1:
        return ((known[0][0], 1),)
    known.sort()
    return tuple(known)


def nobodys(labels: dict[int, tuple[int, int]]) -> list[BucketRow]:
    """The buckets of time that nobody holds: label -> milliseconds, millijoules in units of 1 / UNIT."""
    return _rounded({(): labels})


def _rounded(booked: _Booked) -> list[BucketRow]:
    time: dict[tuple[int, int], int] = defaultdict(int)
    energy: dict[tuple[int, int], int] = defaultdict(int)
    for owners, labels in booked.items():
        whole = sum(weight for _, weight in owners)
        for label, (amount, joules) in labels.items():
            reached = given = spent = 0  # each owner gets what brings the sum so far to its exact share
            for owner, weight in owners or ((NOBODY, 1),):
                reached += weight
                due, used = (amount * reached // whole, joules * reached // whole) if whole else (amount, joules)
                time[owner, label] += due - given
                energy[owner, label] += used - spent
                given, spent = due, used
    ms = largest_remainder(time, UNIT)
    mj = largest_remainder(energy, UNIT)
    return [BucketRow(key[0], *LABELS[key[1]], ms[key], mj[key]) for key in sorted(ms) if ms[key] or mj[key]]
