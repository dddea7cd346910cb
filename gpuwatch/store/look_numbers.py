"""Columns of rows become the numbers of a look: means weighted by time, sums, rates, last values. Lying values are dealt with here alone.

A ratio outside 0 to 1 is clipped row by row; an amount below 0 was not measured, nor was a clock that stands still. Everything is
worked out from the store's integers, so that the same rows give the same look, wherever they lie. Means of ratios are rounded to the
per mille that their rows have: thousands of looks share few numbers then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from operator import mul
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.rules.looks import BINS

Values = Sequence[int | None]
FULL = 1000
"""A ratio of 1 in the store's per mille."""
_KEPT, _KEPT_BINS = 2048, 256
"""So many numbers and distributions are looked up again; what looks keep of them lasts as long as they do."""
_numbers: dict[float, float] = {}
_wholes: dict[int, int] = {}
_bins: dict[tuple[int, ...], tuple[int, ...]] = {}


class Rows(NamedTuple):
    """The rows of one entity in one look, each of which speaks for some time, in the order of time."""

    ms: int
    dt: Sequence[int]
    columns: Mapping[str, Values]


class Part(NamedTuple):
    """One field of a look: how it is made of a column. ``scale`` is what the store's integers are divided by."""

    field: str
    column: str
    how: Callable[[Rows, Values, float], float | int | None]
    scale: float = 1


def numbers(rows: Rows, parts: Sequence[Part]) -> dict[str, Any]:
    """The fields of a look by name."""
    columns = rows.columns
    return {field: how(rows, columns[column], scale) for field, column, how, scale in parts}


# ------------------------------------------------------------------------------------------------------------ one column


def ratio(rows: Rows, values: Values, scale: float) -> float | None:
    """The mean of a ratio."""
    first = values[0]
    if values.count(first) == len(values):
        return None if first is None else same(min(FULL, max(0, first)) / scale)
    known, dt = _known(rows, values)
    if not known:
        return None
    if max(known) > FULL or min(known) < 0:
        known = [min(FULL, max(0, value)) for value in known]
    return same(round(sum(map(mul, known, dt)) / sum(dt)) / scale)


def mean(rows: Rows, values: Values, scale: float) -> float | None:
    """The mean of an amount."""
    first = values[0]
    if values.count(first) == len(values):
        return None if first is None or first < 0 else same(first / scale)
    known, dt = _amounts(rows, values)
    return sum(map(mul, known, dt)) / sum(dt) / scale if known else None


def rounded(rows: Rows, values: Values, scale: float) -> float | None:
    """The same to the store's own integers."""
    first = values[0]
    if values.count(first) == len(values):
        return None if first is None or first < 0 else same(first / scale)
    known, dt = _amounts(rows, values)
    return same(round(sum(map(mul, known, dt)) / sum(dt)) / scale) if known else None


def hundredths(rows: Rows, values: Values, scale: float) -> float | None:
    """The same to a hundredth."""
    first = values[0]
    if values.count(first) == len(values):
        return None if first is None or first < 0 else same(round(first / scale, 2))
    known, dt = _amounts(rows, values)
    return same(round(sum(map(mul, known, dt)) / sum(dt) / scale, 2)) if known else None


def clock(rows: Rows, values: Values, scale: float) -> float | None:
    """The mean of a clock."""
    return rounded(rows, _running(values), scale)


def lowest_clock(rows: Rows, values: Values, scale: float) -> float | None:
    """The lowest that a clock was read at."""
    known = [value for value in values if value is not None and value > 0]
    return same(min(known) / scale) if known else None


def highest(rows: Rows, values: Values, scale: float) -> float | None:
    """The highest value that was read."""
    known, _ = _amounts(rows, values)
    return same(max(known) / scale) if known else None


def highest_clock(rows: Rows, values: Values, scale: float) -> float | None:
    """The highest that a clock was read at."""
    return highest(rows, _running(values), scale)


def total(rows: Rows, values: Values, scale: float) -> float | None:
    """The sum of amounts."""
    known, _ = _amounts(rows, values)
    return sum(known) / scale if known else None


def rate(rows: Rows, values: Values, scale: float) -> float | None:
    """The sum of amounts, a second of the time in which they were measured."""
    known, dt = _amounts(rows, values)
    return same(round(sum(known) * 1000 / sum(dt)) / scale) if known else None


def last(rows: Rows, values: Values, scale: float) -> int | None:
    """The newest known value."""
    for value in reversed(values):
        if value is not None:
            return value
    return None


def last_amount(rows: Rows, values: Values, scale: float) -> float | None:
    """The same of an amount that is scaled."""
    value = last(rows, values, scale)
    return None if value is None or value < 0 else same(value / scale)


def share(mask: int) -> Callable[[Rows, Values, float], float | None]:
    """The share of time in which any of the bits of a mask is set."""

    def found(rows: Rows, values: Values, scale: float) -> float | None:
        known, dt = _known(rows, values)
        return same(round(FULL * sum(compress(dt, [value & mask for value in known])) / sum(dt)) / FULL) if known else None

    return found


# ------------------------------------------------------------------------------------------------------- several columns


def first_known(*columns: Values) -> Values:
    """Row by row the first column that has a value."""
    best = columns[0]
    for values in columns[1:]:
        if None not in best:
            return best
        best = [one if one is not None else other for one, other in zip(best, values)]
    return best


def added(one: Values, other: Values) -> Values:
    """Row by row the sum of two amounts; not known where either is not."""
    return [None if a is None or b is None or a < 0 or b < 0 else a + b for a, b in zip(one, other)]


def energy(rows: Rows) -> float | None:
    """Joules: row by row what the counter gained, else the power over the row's time."""
    counted, power = rows.columns["energy_mj"], rows.columns["power_mw"]
    by_power = [None if watts is None else watts * ms // 1000 for watts, ms in zip(power, rows.dt)] if None in counted else power
    return total(rows, first_known(counted, by_power), 1000)


def spread(rows: Rows, values: Values) -> tuple[int, ...]:
    """Milliseconds in each step of utilization; empty where it was not known."""
    known, dt = _known(rows, values)
    if not known:
        return ()
    bins = [0] * BINS
    for value, ms in zip(known, dt):
        bins[min(BINS - 1, max(0, value * BINS // FULL))] += ms
    if len(_bins) > _KEPT_BINS:
        _bins.clear()
    return _bins.setdefault(found := tuple(map(whole, bins)), found)


def same(value: float) -> float:
    """The one object for a number: thousands of looks that say the same do not keep it thousands of times."""
    if len(_numbers) > _KEPT:
        _numbers.clear()
    return _numbers.setdefault(value, value)


def whole(value: int) -> int:
    """The same of a whole number."""
    if len(_wholes) > _KEPT:
        _wholes.clear()
    return _wholes.setdefault(value, value)


def _known(rows: Rows, values: Values) -> tuple[Sequence[int], Sequence[int]]:
    """What was measured, and for how long each."""
    unknown = values.count(None)
    if not unknown:
        return values, rows.dt  # type: ignore[return-value]
    if unknown == len(values):
        return (), ()
    there = [value is not None for value in values]
    return list(compress(values, there)), list(compress(rows.dt, there))  # type: ignore[arg-type]


def _amounts(rows: Rows, values: Values) -> tuple[Sequence[int], Sequence[int]]:
    """The same of amounts, which are never below 0."""
    known, dt = _known(rows, values)
    if not known or min(known) >= 0:
        return known, dt
    there = [value >= 0 for value in known]
    return list(compress(known, there)), list(compress(dt, there))


def _running(values: Values) -> Values:
    return [value or None for value in values]
