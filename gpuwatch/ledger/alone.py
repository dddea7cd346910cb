"""The ledger of rows that nobody is known to hold, column by column: what :func:`gpuwatch.ledger.split` says, for millions of rows.

Without owners and at full weight every share is a whole number of units, so that sums over a minute can be formed first and
divided once: time x (1000 - busy) for the wait, time x busy for the rest, time x busy x power fraction for the part of it that power
vouches for, and the same for energy. The property test compares the two on any rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat

from gpuwatch.dataclass import NamedTuple, replace
from gpuwatch.ledger.labels import (
    BUSY,
    BUSY_P,
    EMPTY_P,
    HELD,
    IDLE,
    LABELS,
    UNALLOCATED,
    UNAVAILABLE,
    UNIT,
    UNUSED,
    WAIT,
    active,
    still,
)
from gpuwatch.ledger.runs import find_runs
from gpuwatch.ledger.split import nobodys, quiet_label
from gpuwatch.ledger.types import HOLD_MS, NO_WORK, UNUSED_MS, BucketRow, Fill, LedgerRow, Work
from gpuwatch.names import Context, Tier

ACTIVE, NOTHING, OPEN = -1, -2, -3
"""Labels of rows that are active, that say nothing, and that depend on how their quiet run goes on."""
_MINUTE_MS = 60_000
_Sums = dict[int, tuple[int, int]]
"""Label -> milliseconds, millijoules, in units of 1 / UNIT."""


class Columns(NamedTuple):
    """Rows of one GPU in order of time, as in :class:`LedgerRow`; rows of no length count as a gap, energy that is not known as 0.

    ``labels`` are what :func:`label` says of each.
    """

    ts_ms: Sequence[int]
    dt_ms: Sequence[int]
    quiet: Sequence[bool | None]
    quiet_ms: Sequence[int]
    context: Sequence[Context | None]
    busy_pm: Sequence[int | None]
    kappa_pm: Sequence[int]
    unavailable: Sequence[bool]
    energy_mj: Sequence[int]
    labels: Sequence[int]
    work: Sequence[Work] | None = None
    fill: Sequence[Fill | None] | None = None
    """``None``: none of the rows has any."""

    def rows(self, places: Sequence[int]) -> list[LedgerRow]:
        """Those rows that speak for some time, of some places."""
        cells = (self.quiet, self.quiet_ms, self.context, self.busy_pm, self.kappa_pm, self.unavailable, self.energy_mj)
        rows = [LedgerRow(self.ts_ms[n], self.dt_ms[n], *(cell[n] for cell in cells)) for n in places if self.dt_ms[n] > 0]  # type: ignore[arg-type]
        if self.work is None and self.fill is None:
            return rows
        works, fills = self.work or [NO_WORK] * len(self.ts_ms), self.fill or [None] * len(self.ts_ms)
        known = [n for n in places if self.dt_ms[n] > 0]
        return [replace(row, work=works[n], fill=fills[n]) for row, n in zip(rows, known, strict=True)]


def label(quiet: bool | None, quiet_ms: int, context: Context | None, unavailable: bool, sibling: bool = False) -> int:
    """The label of one row as far as it tells by itself; ``sibling``: another GPU of its job was active."""
    if unavailable:
        return UNAVAILABLE
    if quiet is None:
        return UNALLOCATED if context is Context.NONE else NOTHING
    if not quiet:
        return ACTIVE
    long = quiet_ms >= UNUSED_MS
    if context is Context.NONE:
        return UNUSED if sibling and long else UNALLOCATED
    if sibling:
        return UNUSED if long else OPEN
    if quiet_ms < HOLD_MS:
        return OPEN
    return IDLE if context is None else HELD


class AloneMinutes:
    """Books the rows of one GPU into minutes, hour by hour; each is handed out once it is whole."""

    def __init__(self) -> None:
        self._minute: int | None = None
        self._sums: _Sums = {}
        self._last_ms = -(2**62)
        self._behind: Columns | None = None

    def add(self, own: Columns, ahead: Columns | None) -> Iterator[tuple[int, list[BucketRow]]]:
        """Book ``own``, which follows what was there before; ``ahead`` follows it (``None``: the last run has ended).

        Yields the number of each minute (unix minutes) that is whole, with its buckets.
        """
        labels = self._named(own, ahead)
        minute, start, end = self._minute, 0, -1
        if minute is not None:
            start, end = minute * _MINUTE_MS, minute * _MINUTE_MS + _MINUTE_MS
        last, sums, plain = self._last_ms, self._sums, _Plain()
        time = work = energy = effort = 0
        works, fills = repeat(NO_WORK) if own.work is None else own.work, repeat(None) if own.fill is None else own.fill
        columns = zip(own.ts_ms, own.dt_ms, labels, own.busy_pm, own.kappa_pm, own.energy_mj, works, fills)
        for ts, dt, name, busy, kappa, joules, facts, fill in columns:
            if dt <= 0:
                continue
            begin = ts - dt
            if begin >= start and ts <= end and begin >= last and facts is NO_WORK:
                if name == ACTIVE and kappa == 1000 and (fill is None or fill[0] is Tier.P):
                    busy = 1000 if busy is None else busy
                    spent, used = dt * busy, joules * busy
                    time += dt
                    energy += joules
                    work += spent
                    effort += used
                    if fill is not None:
                        plain.power(spent, used, fill[1])
                    last = ts
                    continue
                if name >= 0:
                    plain.time[name] += dt
                    plain.energy[name] += joules
                    last = ts
                    continue
            first = max(begin, last)
            parts = _parts(name, busy, kappa, facts, fill)
            for number in range(first // _MINUTE_MS, (ts - 1) // _MINUTE_MS + 1):
                if number != minute:
                    if minute is not None:
                        plain.add(sums, time, work, energy, effort)
                        time = work = energy = effort = 0
                        yield minute, nobodys(sums)
                    sums = {}
                    minute, start, end = number, number * _MINUTE_MS, number * _MINUTE_MS + _MINUTE_MS
                a, b = max(first, start), min(ts, end)
                _book(sums, parts, b - a, joules * (b - begin) // dt - joules * (a - begin) // dt)
            last = max(last, ts)
        plain.add(sums, time, work, energy, effort)
        self._minute, self._last_ms, self._sums = minute, last, sums

    def close(self) -> Iterator[tuple[int, list[BucketRow]]]:
        """The minute that is still open, if there is one."""
        if self._minute is not None:
            yield self._minute, nobodys(self._sums)
            self._minute, self._sums = None, {}

    def _named(self, own: Columns, ahead: Columns | None) -> Sequence[int]:
        """The labels, those of short quiet runs by how these began and go on."""
        labels = list(own.labels)
        count = len(labels)
        unsure = [place for place, name in enumerate(labels) if name == OPEN]
        if unsure:
            following = [self._next(own, at) for at in unsure]
            near = {place for at, after in zip(unsure, following) for place in (at - 1, at, after) if 0 <= place < count}
            goes_on = following[-1] == count
            if own.work is not None:  # a run that is named at 15 minutes goes on in rows that are sure of theirs at five
                near, goes_on = set(range(count)), True
            places = sorted(place for place in near if own.dt_ms[place] > 0)
            behind = _before(self._behind, own) if unsure[0] == 0 else []
            known = [*behind, *own.rows(places), *(_after(own, ahead) if goes_on else ())]
            runs = find_runs(known)
            for number, place in enumerate(places, len(behind)):
                run = runs[number]
                if labels[place] == OPEN and run is not None:
                    row = known[number]
                    labels[place] = quiet_label(row.context, run, row.quiet_ms, row.work)
        self._behind = own
        return labels

    @staticmethod
    def _next(own: Columns, at: int) -> int:
        """The place of the next row that speaks for some time."""
        at += 1
        while at < len(own.dt_ms) and own.dt_ms[at] <= 0:
            at += 1
        return at


def _before(behind: Columns | None, own: Columns) -> list[LedgerRow]:
    """The rows before, as far back as a short run can have begun, and at least the last one."""
    if behind is None:
        return []
    since = own.ts_ms[0] - UNUSED_MS - _MINUTE_MS
    count = len(behind.ts_ms)
    first = count - 1
    while first and behind.ts_ms[first - 1] > since:
        first -= 1
    return behind.rows(range(first, count))


def _after(own: Columns, ahead: Columns | None) -> list[LedgerRow]:
    """What follows the rows: as much as can name a run, or a row without time where the GPU falls silent."""
    if ahead is None:
        return [LedgerRow(own.ts_ms[-1] + 1, 0, None, 0, None, None)]
    until = own.ts_ms[-1] + UNUSED_MS + _MINUTE_MS
    count = 1
    while count < len(ahead.ts_ms) and ahead.ts_ms[count - 1] <= until:
        count += 1
    found = ahead.rows(range(count))
    if not found or (count == len(ahead.ts_ms) and ahead.ts_ms[-1] <= until):  # what is ahead falls silent before it tells
        found.append(LedgerRow(ahead.ts_ms[-1] + 1 if found else own.ts_ms[-1] + 1, 0, None, 0, None, None))
    return found


class _Plain:
    """What rows of the usual kinds came to since it was last added: time and energy by label, and what power vouches for."""

    __slots__ = ("effort", "energy", "full", "time", "vouched", "work")

    def __init__(self) -> None:
        self.time, self.energy = [0] * len(LABELS), [0] * len(LABELS)
        self.work = self.effort = self.full = self.vouched = 0

    def power(self, work: int, effort: int, fraction_pm: int) -> None:
        """Busy time and energy (times 1000) of a row of which only the power says how full it was."""
        self.work += work
        self.effort += effort
        self.full += work * fraction_pm
        self.vouched += effort * fraction_pm

    def add(self, sums: _Sums, time: int, work: int, energy: int, effort: int) -> None:
        """Add all to ``sums`` and begin anew: also sums of time, time x busy, energy and energy x busy of active rows."""
        pm = UNIT // 1000
        if time:
            thousandth = pm // 1000
            full, vouched = self.full * thousandth, self.vouched * thousandth
            _add(sums, WAIT, (1000 * time - work) * pm, (1000 * energy - effort) * pm)
            _add(sums, BUSY, (work - self.work) * pm, (effort - self.effort) * pm)
            _add(sums, BUSY_P, full, vouched)
            _add(sums, EMPTY_P, self.work * pm - full, self.effort * pm - vouched)
            self.work = self.effort = self.full = self.vouched = 0
        for name, amount in enumerate(self.time):
            if amount:
                _add(sums, name, amount * UNIT, self.energy[name] * UNIT)
                self.time[name] = self.energy[name] = 0


def _parts(name: int, busy_pm: int | None, kappa_pm: int, work: Work, fill: Fill | None) -> list[tuple[int, int]]:
    if name == ACTIVE:
        return active(busy_pm, kappa_pm, work, fill)
    return [] if name == NOTHING else [(name, UNIT)] if name == UNAVAILABLE else still(name, work)


def _book(sums: _Sums, parts: list[tuple[int, int]], time: int, energy: int) -> None:
    for name, share in parts:
        _add(sums, name, time * share, energy * share)


def _add(sums: _Sums, name: int, time: int, energy: int) -> None:
    if time or energy:
        known = sums.get(name, (0, 0))
        sums[name] = known[0] + time, known[1] + energy
