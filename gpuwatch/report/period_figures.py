"""Figures of a report as they are printed: rounded once, so that printed parts add up to the printed totals, in every block.

GPU-hours and kilowatt-hours have one decimal, under ten in all two and under one three; shares have one. Parts are rounded by
largest remainder; subtotals are sums of printed parts. A part that is there but rounds to nothing prints ``<0.1``; ``0.0`` is a
measured zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuwatch.dataclass import NamedTuple
from gpuwatch.format import NOTHING, number, shares
from gpuwatch.names import Bucket, Cause
from gpuwatch.report.ink import MARKS
from gpuwatch.view.period.types import Band, Ledger

HOUR_MS, KWH_MJ = 3_600_000, 3_600_000_000
NBSP = "\xa0"


class Scale(NamedTuple):
    """How amounts of one kind are printed: decimals of a unit of so many milliseconds or millijoules."""

    unit: int
    decimals: int

    @classmethod
    def of(cls, unit: int, whole: int) -> Scale:
        """The scale of a report in which there is so much in all."""
        return cls(unit, 1 if whole >= 10 * unit or not whole else 2 if whole >= unit else 3)

    def steps(self, amount: float) -> int:
        """The amount in steps of the last decimal."""
        return round(amount * float(10**self.decimals) / self.unit)

    def text(self, steps: int, amount: float) -> str:
        """What is printed for an amount that was rounded to so many steps."""
        if amount > 0 and not steps:
            return f"<{10**-self.decimals:.{self.decimals}f}"
        return number(steps / 10**self.decimals, self.decimals)

    def shown(self, amount: float | None) -> str:
        """One amount by itself."""
        return NOTHING if amount is None else self.text(self.steps(amount), amount)


def percent(ratio: float | None, decimals: int = 0) -> str:
    """``53 %``."""
    return NOTHING if ratio is None else f"{number(ratio * 100, decimals)}{NBSP}%"


def covered(ratio: float | None, decimals: int = 0) -> str:
    """A coverage: never all or nothing by rounding alone, but ``>99 %`` and ``<1 %``."""
    step = 10.0**-decimals / 100
    if ratio is not None and 0 < ratio < step:
        return f"<{percent(step, decimals)}"
    if ratio is not None and 1 - step < ratio < 1:
        return f">{percent(1 - step, decimals)}"
    return percent(ratio, decimals)


def band(of: Band | None, *, words: bool = False) -> str:
    """``50 %``, or where only bounds are known ``28–50 %`` (in sentences ``28 to 50 %``)."""
    if of is None:
        return NOTHING
    low, high = number(of.low * 100), number(of.high * 100)
    if low == high:
        return f"{high}{NBSP}%"
    return f"{low} to {high}{NBSP}%" if words else f"{low}–{high}{NBSP}%"


class Figures:
    """The printed figures of the report's total, and columns that add up to them."""

    def __init__(self, total: Ledger) -> None:
        self.total = total
        self._ms: dict[Bucket, int] = {mark.bucket: total.buckets_gpu_ms.get(mark.bucket, 0) for mark in MARKS}
        self.time = Scale.of(HOUR_MS, total.capacity_gpu_ms)
        self.power = Scale.of(KWH_MJ, total.energy_mj or 0)
        capacity = self.time.steps(total.capacity_gpu_ms)
        self._steps = dict(zip(self._ms, shares(list(self._ms.values()), capacity), strict=True))
        observed: list[Bucket] = [bucket for bucket in self._ms if bucket]
        self._shares: dict[Bucket, int] = dict(zip(observed, shares([self._ms[bucket] for bucket in observed], 1000), strict=True))
        causes = [cause for cause in Cause if cause]
        wait = [total.wait_gpu_ms.get(cause, 0) for cause in causes]
        self._cause_steps = dict(zip(causes, shares(wait, self._steps[Bucket.WAIT]), strict=True))
        self._cause_shares = dict(zip(causes, shares(wait, self._shares[Bucket.WAIT]), strict=True))

    def steps(self, buckets: Iterable[Bucket]) -> int:
        """Printed GPU-hours of some buckets together, in steps of the last decimal."""
        return sum(self._steps[bucket] for bucket in buckets)

    def hours(self, *buckets: Bucket) -> str:
        """Printed GPU-hours of some buckets together."""
        return self.time.text(self.steps(buckets), sum(self._ms[bucket] for bucket in buckets))

    def share(self, *buckets: Bucket) -> str:
        """Printed share of observed time; nothing where nothing was observed."""
        return number(sum(self._shares[bucket] for bucket in buckets) / 10, 1) if self.total.observed_gpu_ms else NOTHING

    def cause_hours(self, cause: Cause) -> str:
        """Printed GPU-hours of waiting for one cause."""
        return self.time.text(self._cause_steps[cause], self.total.wait_gpu_ms.get(cause, 0))

    def cause_share(self, cause: Cause) -> str:
        """Its printed share of observed time."""
        return number(self._cause_shares[cause] / 10, 1)

    @property
    def efficiency(self) -> str:
        """The headline: the share that the last rows of the ledger print; a range where busy time has no fill signal."""
        if not self.total.observed_gpu_ms:
            return NOTHING
        low, unknown = self._shares[Bucket.EFFECTIVE], self._shares[Bucket.BUSY_UNKNOWN]
        if not self._ms[Bucket.BUSY_UNKNOWN]:
            return f"{number(low / 10, 1)}{NBSP}%"
        return f"{number(low / 10, 1)} to {number((low + unknown) / 10, 1)}{NBSP}%"

    def column(self, rows: Sequence[Ledger], *buckets: Bucket) -> list[str]:
        """GPU-hours of some buckets of rows that are the whole total: their digits add up to what :meth:`hours` prints.

        Of a row in which nothing was observed nothing but its unobserved time is known.
        """
        values = [sum(row.buckets_gpu_ms.get(bucket, 0) for bucket in buckets) for row in rows]
        whole = sum(values) == sum(self._ms[bucket] for bucket in buckets)
        steps = shares(values, self.steps(buckets)) if whole else [self.time.steps(value) for value in values]
        known = [bool(row.observed_gpu_ms) or Bucket.UNOBSERVED in buckets for row in rows]
        return [self.time.text(n, value) if k else NOTHING for n, value, k in zip(steps, values, known, strict=True)]

    def energy_column(self, rows: Sequence[Ledger]) -> list[str]:
        """Kilowatt-hours of the rows; they add up to what :meth:`energy` prints where all is known."""
        values = [row.energy_mj if row.observed_gpu_ms else None for row in rows]
        known = [value for value in values if value is not None]
        if self.total.energy_mj is None or sum(known) != self.total.energy_mj:
            return [self.power.shown(value) for value in values]
        steps = iter(shares(known, self.power.steps(self.total.energy_mj)))
        return [NOTHING if value is None else self.power.text(next(steps), value) for value in values]

    @property
    def energy(self) -> str:
        """Kilowatt-hours of observed time."""
        return self.power.shown(self.total.energy_mj)


ALL = tuple(mark.bucket for mark in MARKS)
