"""Figures of a report as they are printed: rounded once, so that printed parts add up to the printed totals, in every block.

GPU-hours stand in tenths, shares in tenths of a percent, both by largest remainder; subtotals are sums of printed parts. A part that
is there but rounds to nothing prints ``<0.1``; ``0.0`` is a measured zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gpuwatch.format import NOTHING, number, shares
from gpuwatch.names import Bucket, Cause
from gpuwatch.report.ink import MARKS
from gpuwatch.view.period.types import Band, Ledger

TENTH_MS = 360_000
"""A tenth of a GPU-hour."""
TENTH_KWH_MJ = 360_000_000
"""A tenth of a kilowatt-hour in millijoules."""
NBSP = "\xa0"

Part = Callable[[Ledger], int]


def hours(tenths: int, ms: int) -> str:
    """``84.0`` from the printed tenths of so many milliseconds."""
    return "<0.1" if ms > 0 and not tenths else number(tenths / 10, 1)


def percent(ratio: float | None, decimals: int = 0) -> str:
    """``53 %``."""
    return NOTHING if ratio is None else f"{number(ratio * 100, decimals)}{NBSP}%"


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
        capacity = round(total.capacity_gpu_ms / TENTH_MS)
        self._tenths = dict(zip(self._ms, shares(list(self._ms.values()), capacity), strict=True))
        observed: list[Bucket] = [bucket for bucket in self._ms if bucket]
        self._shares: dict[Bucket, int] = dict(zip(observed, shares([self._ms[bucket] for bucket in observed], 1000), strict=True))
        causes = [cause for cause in Cause if cause]
        wait = [total.wait_gpu_ms.get(cause, 0) for cause in causes]
        self._cause_tenths = dict(zip(causes, shares(wait, self._tenths[Bucket.WAIT]), strict=True))
        self._cause_shares = dict(zip(causes, shares(wait, self._shares[Bucket.WAIT]), strict=True))

    def tenths(self, buckets: Iterable[Bucket]) -> int:
        """Printed tenths of GPU-hours of some buckets together."""
        return sum(self._tenths[bucket] for bucket in buckets)

    def hours(self, *buckets: Bucket) -> str:
        """Printed GPU-hours of some buckets together."""
        return hours(self.tenths(buckets), sum(self._ms[bucket] for bucket in buckets))

    def share(self, *buckets: Bucket) -> str:
        """Printed share of observed time; nothing where nothing was observed."""
        return number(sum(self._shares[bucket] for bucket in buckets) / 10, 1) if self.total.observed_gpu_ms else NOTHING

    def cause_hours(self, cause: Cause) -> str:
        """Printed GPU-hours of waiting for one cause."""
        return hours(self._cause_tenths[cause], self.total.wait_gpu_ms.get(cause, 0))

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
        """GPU-hours of some buckets of rows that are the whole total: their digits add up to what :meth:`hours` prints."""
        values = [sum(row.buckets_gpu_ms.get(bucket, 0) for bucket in buckets) for row in rows]
        if sum(values) != sum(self._ms[bucket] for bucket in buckets):
            return [hours(round(value / TENTH_MS), value) for value in values]
        return [hours(t, v) for t, v in zip(shares(values, self.tenths(buckets)), values, strict=True)]

    def energy_column(self, rows: Sequence[Ledger]) -> list[str]:
        """Kilowatt-hours of the rows; they add up to what :meth:`energy` prints where all is known."""
        values = [row.energy_mj for row in rows]
        known = [value for value in values if value is not None]
        if self.total.energy_mj is None or sum(known) != self.total.energy_mj:
            return [_kwh(value) for value in values]
        tenths = iter(shares(known, round(self.total.energy_mj / TENTH_KWH_MJ)))
        return [NOTHING if value is None else _tenth_kwh(next(tenths), value) for value in values]

    @property
    def energy(self) -> str:
        """Kilowatt-hours of observed time."""
        return _kwh(self.total.energy_mj)


ALL = tuple(mark.bucket for mark in MARKS)


def _kwh(mj: int | None) -> str:
    return NOTHING if mj is None else _tenth_kwh(round(mj / TENTH_KWH_MJ), mj)


def _tenth_kwh(tenths: int, mj: int) -> str:
    return "<0.1" if mj > 0 and not tenths else number(tenths / 10, 1)
