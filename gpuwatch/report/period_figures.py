"""Figures of a report as they are printed: rounded once, so that printed parts add up to the printed totals, in every block.

GPU-hours and kilowatt-hours have one decimal, under ten in all two and under one three; shares have one. Parts are rounded by
largest remainder; subtotals are sums of printed parts. A part that is there but rounds to nothing prints ``<0.1``; ``0.0`` is a
measured zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuwatch.dataclass import NamedTuple
from gpuwatch.format import NOTHING, number, shares
from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.report.ink import MARKS
from gpuwatch.view.period.types import Band, GpuRow, HostRow, Ledger, PeriodRow, Report, Use

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

    def __init__(self, report: Report) -> None:
        total = self.total = report.total
        self.boards = _boards(report)
        self._ms: dict[Bucket, int] = {mark.bucket: total.buckets_gpu_ms.get(mark.bucket, 0) for mark in MARKS}
        self.time = Scale.of(HOUR_MS, total.capacity_gpu_ms)
        self._measured = _measured(report.use) if self.boards else total.energy_mj
        self.power = Scale.of(KWH_MJ, max(self._measured or 0, total.energy_mj or 0))
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
        found = self.total.efficiency_ratio
        if Tier.P in self.total.busy_gpu_ms_by_tier and found is not None:
            return f"{number(found.low * 100, 1)} to {number(found.high * 100, 1)}{NBSP}%"
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

    def energy_column(self, rows: Sequence[GpuRow | HostRow | PeriodRow]) -> list[str]:
        """Kilowatt-hours of rows that are the whole total; they add up to what :attr:`energy` prints where all is known.

        What a sliced board used is no part of a ledger: where there is one, the rows have what was measured.
        """
        own = [_measured(row.use) if self.boards else row.ledger.energy_mj if row.ledger.observed_gpu_ms else None for row in rows]
        return self._energies(own, self._measured)

    def ledger_energy_column(self, rows: Sequence[Ledger]) -> list[str]:
        """Kilowatt-hours of owners, which only a ledger knows; they add up to what :attr:`ledger_energy` prints."""
        return self._energies([row.energy_mj if row.observed_gpu_ms else None for row in rows], self.total.energy_mj)

    def _energies(self, values: Sequence[int | None], whole: int | None) -> list[str]:
        known = [value for value in values if value is not None]
        if whole is None or sum(known) != whole:
            return [self.power.shown(value) for value in values]
        steps = iter(shares(known, self.power.steps(whole)))
        return [NOTHING if value is None else self.power.text(next(steps), value) for value in values]

    @property
    def energy(self) -> str:
        """Kilowatt-hours of observed time."""
        return self.power.shown(self._measured)

    @property
    def ledger_energy(self) -> str:
        """The part of it that is somebody's or nobody's: all but that of sliced boards."""
        return self.power.shown(self.total.energy_mj)

    def energy_words(self) -> str:
        """Energy in a sentence, what of it was idle, and what of it is in no owner's row; empty where none was measured."""
        if self._measured is None:
            return ""
        idle = "" if self.total.idle_energy_mj is None else f"{self.power.shown(self.total.idle_energy_mj)} of them idle"
        boards = sum(_measured(row.use) or 0 for row in self.boards)
        if not boards:
            return f"{self.energy} kWh" + (f", {idle}" if idle else "")
        if self.total.energy_mj is None:
            return f"{self.energy} kWh, all of sliced GPUs and in no user's row"
        parts = shares([boards, max(0, self._measured - boards)], self.power.steps(self._measured))
        sliced, whole = (self.power.text(steps, mj) for steps, mj in zip(parts, (boards, self._measured - boards), strict=True))
        return f"{self.energy} kWh: {sliced} of sliced GPUs, in no user's row, and {whole} of whole ones" + (
            f", {idle}" if idle else ""
        )


def _measured(use: Use) -> int | None:
    """Millijoules that energy counters or power readings told."""
    return None if use.energy_joules is None else round(use.energy_joules * 1000)


def _boards(report: Report) -> list[GpuRow]:
    """GPUs that are cut into instances."""
    parents = {row.parent_uuid for row in report.gpus if row.parent_uuid}
    return [row for row in report.gpus if row.gpu_uuid in parents]


ALL = tuple(mark.bucket for mark in MARKS)
