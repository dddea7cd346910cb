"""Where one GPU's time went: rows in, buckets out, in exact integers: the one function of the ledger.

Time is cut on a fixed grid: the weighted milliseconds of ``[a, b)`` are ``floor(b * weight) - floor(a * weight)``, so that the
parts of any partition of a span sum to the span. Energy of a row that a span cuts is cut the same way. Inside a call amounts are
whole nanoseconds (and nanojoules); they become whole milliseconds (and millijoules) once, by largest remainder over the call:
the sum is exact, and a single bucket is off by less than one unit per call. The minute closer calls it once per GPU and minute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction

from gpuwatch.ledger.rounding import divide, largest_remainder
from gpuwatch.ledger.runs import Run, find_runs
from gpuwatch.ledger.types import HOLD_MS, NOBODY, AnyShare, BucketRow, LedgerRow
from gpuwatch.names import Bucket, Cause, Context, Tier

_NANO = 1_000_000
_ONE = Fraction(1)

_LONG = Run(HOLD_MS, after_active=False, before_active=False, ended=False)
"""Stands for the run of a row whose label no longer depends on it."""

_Owners = tuple[tuple[int, int], ...]
"""(owner, weight) pairs, ascending; empty: nobody."""
_Booked = dict[_Owners, dict[int, tuple[int, int]]]
"""Owners -> label -> nanoseconds, nanojoules."""

UNAVAILABLE, UNALLOCATED, IDLE, HELD, QUIET, WAIT, THROTTLED, BUSY = range(8)
_LABELS = (
    (Bucket.UNAVAILABLE, Cause.NONE, Tier.N),
    (Bucket.UNALLOCATED, Cause.NONE, Tier.N),
    (Bucket.IDLE_UNATTRIBUTED, Cause.NONE, Tier.N),
    (Bucket.HELD_IDLE, Cause.NONE, Tier.N),
    (Bucket.QUIET, Cause.NONE, Tier.N),
    (Bucket.WAIT, Cause.UNEXPLAINED, Tier.N),
    (Bucket.THROTTLED, Cause.NONE, Tier.N),
    (Bucket.BUSY_UNKNOWN, Cause.NONE, Tier.N),
)
"""Labels are numbers inside a call: hashing an enumeration costs as much as booking a row."""


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
    rows after the span (five minutes are enough): they tell how a quiet run goes on. Rows before the span tell how it began,
    which matters only where the context is unknown. What is missing to :func:`capacity` was not observed and is not listed.
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
        if row.quiet is True and not row.unavailable and row.context is not Context.NONE and row.quiet_ms < HOLD_MS:
            return False
        self.book(row, _LONG if row.quiet is True and not row.unavailable else None, row.ts_ms)
        return True

    def book(self, row: LedgerRow, run: Run | None, end_ms: int) -> None:
        """Book what of a row lies before ``end_ms`` and behind the rows that were there before."""
        begin = max(row.ts_ms - row.dt_ms, self._before)
        self._before = max(self._before, row.ts_ms)
        until = min(row.ts_ms, end_ms)
        top, bottom = self._top, self._bottom
        if begin >= until or not top:
            return
        amount = (until * top // bottom - begin * top // bottom) * _NANO
        owners, parts = _parts(row, run, amount)
        if not parts:
            return
        joules = _energy(row, begin, until) * _NANO
        shares = [joules] if len(parts) == 1 else divide(joules, [part for _, part in parts])
        labels = self._booked.setdefault(owners, {})
        for (label, part), share in zip(parts, shares):
            time, energy = labels.get(label, (0, 0))
            labels[label] = time + part, energy + share

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


def _parts(row: LedgerRow, run: Run | None, amount: int) -> tuple[_Owners, list[tuple[int, int]]]:
    """Whom one row's time belongs to, and its labels; no label when the row does not say what the GPU did."""
    if row.unavailable:
        return (), [(UNAVAILABLE, amount)]
    if row.quiet is None:
        return (), [(UNALLOCATED, amount)] if row.context is Context.NONE else []
    if run is None:
        return _by_sm(row.shares), _running(row, amount)
    label = quiet_label(row.context, run)
    return () if label == UNALLOCATED else _by_memory(row.shares), [(label, amount)]


def quiet_label(context: Context | None, run: Run) -> int:
    """The label of a quiet row, by who holds the GPU and by how its run began and goes on."""
    if context is Context.NONE:
        return UNALLOCATED
    if run.open:
        return QUIET
    if context is None:
        return WAIT if not run.long and run.after_active and run.before_active else IDLE
    return HELD if run.long else WAIT


def _running(row: LedgerRow, amount: int) -> list[tuple[int, int]]:
    """An active row from the top down: each line takes its share of what the line above left."""
    busy = 1000 if row.busy_pm is None else row.busy_pm
    wait, left = _take(amount, 1000 - busy)
    throttled, left = _take(left, 1000 - row.kappa_pm)
    return [(label, part) for label, part in ((WAIT, wait), (THROTTLED, throttled), (BUSY, left)) if part] or [(BUSY, 0)]


def _take(amount: int, share_pm: int) -> tuple[int, int]:
    if share_pm <= 0:
        return 0, amount
    part = amount * share_pm // 1000
    return part, amount - part


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
    """The buckets of time that nobody holds: label -> nanoseconds, nanojoules."""
    return _rounded({(): labels})


def _rounded(booked: _Booked) -> list[BucketRow]:
    time: dict[tuple[int, int], int] = defaultdict(int)
    energy: dict[tuple[int, int], int] = defaultdict(int)
    for owners, labels in booked.items():
        whole = sum(weight for _, weight in owners)
        for label, (ns, nj) in labels.items():
            reached = ns_given = nj_given = 0  # each owner gets what brings the sum so far to its exact share
            for owner, weight in owners or ((NOBODY, 1),):
                reached += weight
                ns_due, nj_due = (ns * reached // whole, nj * reached // whole) if whole else (ns, nj)
                time[owner, label] += ns_due - ns_given
                energy[owner, label] += nj_due - nj_given
                ns_given, nj_given = ns_due, nj_due
    ms = largest_remainder(time, _NANO)
    mj = largest_remainder(energy, _NANO)
    return [BucketRow(key[0], *_LABELS[key[1]], ms[key], mj[key]) for key in sorted(ms) if ms[key] or mj[key]]
