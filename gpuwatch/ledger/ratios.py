"""From buckets to the few figures people read: allocated, running, fill, efficiency, waste.

Formulas: efficiency = allocated x running x fill = effective / observed. Where the hardware gives no fill signal, busy time is
"busy, quality unknown" and fill and efficiency are ranges; nothing here turns a range into a point. Where only the power tells
(tier P), busy time was filled to q +- 0.25, by power: stalled time is not separated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gpuwatch.dataclass import dataclass
from gpuwatch.names import Bucket, Tier


class Amount(Protocol):
    """Anything that books time to a bucket: a ``BucketRow`` or a view's part."""

    @property
    def bucket(self) -> Bucket: ...
    @property
    def tier(self) -> Tier: ...
    @property
    def ms(self) -> int: ...


WASTE = frozenset({Bucket.WAIT, Bucket.THROTTLED, Bucket.REDONE, Bucket.OVERHEAD, Bucket.HELD_IDLE, Bucket.ALLOCATED_UNUSED})
"""Waste = wait + lost + held idle + unused. What is unknown, free or provisional is never waste."""

POWER_BAND = 0.25
"""How far the power fraction may be from the share of SMs that worked: it ranks, it does not measure."""

FILL = frozenset({Bucket.EMPTY_SM, Bucket.STALLED_SM, Bucket.EFFECTIVE})
BUSY = FILL | {Bucket.THROTTLED, Bucket.REDONE, Bucket.BUSY_UNKNOWN}
NOT_ALLOCATED = frozenset({Bucket.UNOBSERVED, Bucket.UNAVAILABLE, Bucket.UNALLOCATED, Bucket.IDLE_UNATTRIBUTED})


@dataclass(frozen=True, slots=True)
class Ratios:
    """The figures of one span; a ratio is ``None`` when its denominator is 0. ``*_ms`` are GPU milliseconds."""

    observed_ms: int
    waste_ms: int
    allocated: float | None
    running: float | None
    fill_low: float | None
    fill_high: float | None
    efficiency_low: float | None
    efficiency_high: float | None
    tier: Tier


def ratios(parts: Iterable[Amount]) -> Ratios:
    """Allocated, running, fill, efficiency and waste of a span from its buckets (unobserved time may be listed or not).

    ``tier`` is the weakest evidence behind any busy time: ``N`` as soon as some of it has no fill signal, and when there is none.
    Busy time of tier G without a bound from below (SM activity alone) makes a range, too.
    """
    ms: dict[Bucket, int] = dict.fromkeys(Bucket, 0)
    tiers: set[Tier] = set()
    vouched = drawn = 0  # busy time of which only the power tells, and the part of it by its power fraction
    for part in parts:
        ms[part.bucket] += part.ms
        if part.ms and (part.bucket in FILL or part.bucket is Bucket.BUSY_UNKNOWN):
            tiers.add(part.tier)
            if part.tier is Tier.P:
                vouched += part.ms
                drawn += part.ms if part.bucket is Bucket.BUSY_UNKNOWN else 0
    observed = sum(ms.values()) - ms[Bucket.UNOBSERVED]
    allocated = sum(amount for bucket, amount in ms.items() if bucket not in NOT_ALLOCATED)
    kept = sum(ms[bucket] for bucket in BUSY) - ms[Bucket.REDONE]
    low = ms[Bucket.EFFECTIVE] + max(0.0, drawn - POWER_BAND * vouched)
    high = ms[Bucket.EFFECTIVE] + ms[Bucket.BUSY_UNKNOWN] - drawn + min(float(vouched), drawn + POWER_BAND * vouched)
    return Ratios(
        observed_ms=observed,
        waste_ms=sum(ms[bucket] for bucket in WASTE),
        allocated=_over(allocated, observed),
        running=_over(kept, allocated),
        fill_low=_over(low, kept),
        fill_high=_over(high, kept),
        efficiency_low=_over(low, observed),
        efficiency_high=_over(high, observed),
        tier=min(tiers, default=Tier.N),
    )


def _over(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def quality_unknown(bucket: Bucket, tier: Tier) -> bool:
    """Whether a part is busy time of which no reader prints how full it was as a point: without a signal, or by the power alone."""
    return bucket is Bucket.BUSY_UNKNOWN or (tier is Tier.P and bucket in FILL)
