"""From bucket sums to a report's :class:`Ledger`: the rest of the capacity is unobserved, and the ratios are the ledger module's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from gpuwatch.ledger.ratios import FILL, NOT_ALLOCATED, quality_unknown, ratios
from gpuwatch.names import Bucket, Cause, Missing, Tier
from gpuwatch.store.period_sums import KEYS
from gpuwatch.view.period.ledger_types import Band, Ledger
from gpuwatch.view.types import LedgerPart

_KEY_BITS, _KEY_MASK = 10, 1023
Sums = dict[tuple[int, int, int], tuple[int, int]]
"""(bucket, cause, tier) -> (GPU milliseconds, millijoules)."""

IDLE = frozenset(
    {Bucket.HELD_IDLE, Bucket.ALLOCATED_UNUSED, Bucket.UNALLOCATED, Bucket.IDLE_UNATTRIBUTED, Bucket.QUIET},
)
NOT_BUSY = frozenset({Bucket.ALLOCATED_UNUSED, Bucket.HELD_IDLE, Bucket.QUIET, Bucket.OVERHEAD, Bucket.WAIT})
"""What of allocated time is no work."""


def add(into: Sums, more: Mapping[tuple[int, int, int], tuple[int, int]]) -> None:
    """Add sums to sums."""
    for key, (ms, energy) in more.items():
        had = into.get(key)
        into[key] = (ms, energy) if had is None else (had[0] + ms, had[1] + energy)


def summed(rows: Iterable[tuple[int, int, int, int]]) -> dict[int, Sums]:
    """(number of anything, key of a ledger row, milliseconds, millijoules) -> the sums of each thing."""
    time: dict[int, int] = {}
    energy: dict[int, int] = {}
    for what, key, ms, mj in rows:  # tens of thousands for a fleet: one whole number is a key that costs little
        at = what << _KEY_BITS | key
        if at in time:
            time[at] += ms
            energy[at] += mj
        else:
            time[at], energy[at] = ms, mj
    out: defaultdict[int, Sums] = defaultdict(dict)
    for at, ms in time.items():
        out[at >> _KEY_BITS][KEYS[at & _KEY_MASK]] = (ms, energy[at])
    return out


def total(parts: Iterable[Mapping[tuple[int, int, int], tuple[int, int]]]) -> Sums:
    """The sum of sums."""
    out: Sums = {}
    for part in parts:
        add(out, part)
    return out


def ledger(sums: Mapping[tuple[int, int, int], tuple[int, int]], *, energy: Missing | None = None) -> Ledger:
    """A ledger of sums that hold the unobserved time as well. ``energy``: why it has none, if it has none.

    Where nothing was observed no energy is known either: that is no zero.
    """
    parts = [LedgerPart(Bucket(b), Cause(c), Tier(t), ms, mj) for (b, c, t), (ms, mj) in sums.items() if ms or mj]
    figures = ratios(parts)
    buckets, wait, tiers = dict.fromkeys(Bucket, 0), {cause: 0 for cause in Cause if cause}, dict[Tier, int]()
    energy_mj = idle_mj = 0
    for part in parts:
        unknown = quality_unknown(part.bucket, part.tier)
        buckets[Bucket.BUSY_UNKNOWN if unknown else part.bucket] += part.ms
        energy_mj += part.energy_mj
        if part.bucket is Bucket.WAIT:
            wait[part.cause or Cause.UNEXPLAINED] += part.ms
        elif part.bucket in IDLE:
            idle_mj += part.energy_mj
        if part.ms and (unknown or part.bucket in FILL):
            tiers[part.tier] = tiers.get(part.tier, 0) + part.ms
    capacity = sum(buckets.values())
    if capacity and not figures.observed_ms and not energy_mj:
        energy = Missing.STALE
    allocated = capacity - sum(buckets[bucket] for bucket in NOT_ALLOCATED)
    return Ledger(
        capacity_gpu_ms=capacity,
        buckets_gpu_ms=buckets,
        wait_gpu_ms=wait,
        observed_gpu_ms=figures.observed_ms,
        allocated_gpu_ms=allocated,
        first_time_gpu_ms=allocated - sum(buckets[bucket] for bucket in NOT_BUSY) - buckets[Bucket.REDONE],
        idle_gpu_ms=sum(buckets[bucket] for bucket in IDLE),
        waste_gpu_ms=figures.waste_ms,
        allocation_ratio=figures.allocated,
        running_ratio=figures.running,
        fill_ratio=_band(figures.fill_low, figures.fill_high),
        efficiency_ratio=_band(figures.efficiency_low, figures.efficiency_high),
        tier=figures.tier,
        busy_gpu_ms_by_tier={tier: tiers[tier] for tier in sorted(tiers, reverse=True)},
        coverage_ratio=figures.observed_ms / capacity if capacity else None,
        energy_mj=None if energy else energy_mj,
        idle_energy_mj=None if energy else idle_mj,
        energy_reason=energy,
    )


def _band(low: float | None, high: float | None) -> Band | None:
    return None if low is None or high is None else Band(low, high)
