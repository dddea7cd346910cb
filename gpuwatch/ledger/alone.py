"""The ledger of rows that nobody is known to hold, column by column: what :func:`gpuwatch.ledger.split` says, for millions of rows.

Without owners and at full weight every share is a whole number of nano-units, so that sums over a minute can be formed first and
divided once: time x (1000 - busy) for the wait, time x busy x kappa for the rest, and the same for energy. The property test
compares the two on any rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gpuwatch.dataclass import NamedTuple
from gpuwatch.ledger.runs import find_runs
from gpuwatch.ledger.split import (
    BUSY,
    HELD,
    IDLE,
    THROTTLED,
    UNALLOCATED,
    UNAVAILABLE,
    WAIT,
    nobodys,
    quiet_label,
)
from gpuwatch.ledger.types import HOLD_MS, BucketRow, LedgerRow
from gpuwatch.names import Context

ACTIVE, NOTHING, OPEN = -1, -2, -3
"""Labels of rows that are active, that say nothing, and that depend on how their quiet run goes on."""
_MICRO = 1_000_000


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

    def rows(self, places: Sequence[int]) -> list[LedgerRow]:
        """Those rows that speak for some time, of some places."""
        cells = (self.quiet, self.quiet_ms, self.context, self.busy_pm, self.kappa_pm, self.unavailable, self.energy_mj)
        return [LedgerRow(self.ts_ms[n], self.dt_ms[n], *(cell[n] for cell in cells)) for n in places if self.dt_ms[n] > 0]  # type: ignore[arg-type]


def label(quiet: bool | None, quiet_ms: int, context: Context | None, unavailable: bool) -> int:
    """The label of one row as far as it tells by itself."""
    if unavailable:
        return UNAVAILABLE
    if quiet is None:
        return UNALLOCATED if context is Context.NONE else NOTHING
    if not quiet:
        return ACTIVE
    if context is Context.NONE:
        return UNALLOCATED
    if quiet_ms < HOLD_MS:
        return OPEN
    return IDLE if context is None else HELD


class AloneMinutes:
    """Books the rows of one GPU into minutes, hour by hour; each is handed out once it is whole."""

    def __init__(self) -> None:
        self._minute: int | None = None
        self._sums: dict[int, tuple[int, int]] = {}
        self._last_ms = -(2**62)
        self._behind: Columns | None = None

    def add(self, own: Columns, ahead: Columns | None) -> Iterator[tuple[int, list[BucketRow]]]:
        """Book ``own``, which follows what was there before; ``ahead`` follows it (``None``: the last run has ended).

        Yields the number of each minute (unix minutes) that is whole, with its buckets.
        """
        labels = self._named(own, ahead)
        minute, start, end = self._minute, 0, -1
        if minute is not None:
            start, end = minute * 60_000, minute * 60_000 + 60_000
        last, sums = self._last_ms, self._sums
        time = work = energy = effort = 0
        plain, spent = [0] * (BUSY + 1), [0] * (BUSY + 1)
        for ts, dt, name, busy, kappa, joules in zip(own.ts_ms, own.dt_ms, labels, own.busy_pm, own.kappa_pm, own.energy_mj):
            if dt <= 0:
                continue
            begin = ts - dt
            if begin >= start and ts <= end and begin >= last:
                if name == ACTIVE and kappa == 1000:
                    busy = 1000 if busy is None else busy
                    time += dt
                    work += dt * busy
                    energy += joules
                    effort += joules * busy
                    last = ts
                    continue
                if name >= 0:
                    plain[name] += dt
                    spent[name] += joules
                    last = ts
                    continue
            row = (name, 1000 if busy is None else busy, kappa)
            first = max(begin, last)
            for number in range(first // 60_000, (ts - 1) // 60_000 + 1):
                if number != minute:
                    if minute is not None:
                        _active(sums, time, work, energy, effort)
                        _plain(sums, plain, spent)
                        time = work = energy = effort = 0
                        yield minute, nobodys(sums)
                    sums = {}
                    minute, start, end = number, number * 60_000, number * 60_000 + 60_000
                a, b = max(first, start), min(ts, end)
                _book(sums, row, b - a, joules * (b - begin) // dt - joules * (a - begin) // dt)
            last = max(last, ts)
        _active(sums, time, work, energy, effort)
        _plain(sums, plain, spent)
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
            places = sorted(place for place in near if own.dt_ms[place] > 0)
            behind = _before(self._behind, own) if unsure[0] == 0 else []
            known = [*behind, *own.rows(places), *(_after(own, ahead) if following[-1] == count else ())]
            runs = find_runs(known)
            for number, place in enumerate(places, len(behind)):
                run = runs[number]
                if labels[place] == OPEN and run is not None:
                    labels[place] = quiet_label(known[number].context, run)
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
    since = own.ts_ms[0] - HOLD_MS - 60_000
    count = len(behind.ts_ms)
    first = count - 1
    while first and behind.ts_ms[first - 1] > since:
        first -= 1
    return behind.rows(range(first, count))


def _after(own: Columns, ahead: Columns | None) -> list[LedgerRow]:
    """What follows the rows: as much as can name a run, or a row without time where the GPU falls silent."""
    if ahead is None:
        return [LedgerRow(own.ts_ms[-1] + 1, 0, None, 0, None, None)]
    until = own.ts_ms[-1] + HOLD_MS + 60_000
    count = 1
    while count < len(ahead.ts_ms) and ahead.ts_ms[count - 1] <= until:
        count += 1
    found = ahead.rows(range(count))
    if not found or (count == len(ahead.ts_ms) and ahead.ts_ms[-1] <= until):  # what is ahead falls silent before it tells
        found.append(LedgerRow(ahead.ts_ms[-1] + 1 if found else own.ts_ms[-1] + 1, 0, None, 0, None, None))
    return found


def _active(sums: dict[int, tuple[int, int]], time: int, work: int, energy: int, effort: int) -> None:
    """Add what active, unthrottled rows came to: sums of time, time x busy, energy and energy x busy."""
    if time:
        _add(sums, WAIT, 1000 * (1000 * time - work), 1000 * (1000 * energy - effort))
        _add(sums, BUSY, 1000 * work, 1000 * effort)


def _plain(sums: dict[int, tuple[int, int]], time: list[int], energy: list[int]) -> None:
    """Add what rows of one label each came to, and begin anew."""
    for name, amount in enumerate(time):
        if amount:
            _add(sums, name, amount * _MICRO, energy[name] * _MICRO)
            time[name] = energy[name] = 0


def _book(sums: dict[int, tuple[int, int]], row: tuple[int, int, int], time: int, energy: int) -> None:
    name, busy, kappa = row
    if name == ACTIVE:
        for part, share in ((WAIT, 1000 * (1000 - busy)), (THROTTLED, busy * (1000 - kappa)), (BUSY, busy * kappa)):
            _add(sums, part, time * share, energy * share)
    elif name != NOTHING:
        _add(sums, name, time * _MICRO, energy * _MICRO)


def _add(sums: dict[int, tuple[int, int]], name: int, time: int, energy: int) -> None:
    known = sums.get(name, (0, 0))
    sums[name] = known[0] + time, known[1] + energy


Booked = Mapping[int, tuple[int, int]]
"""Label -> nanoseconds, nanojoules."""
