"""From buckets to the few figures people read: allocated, running, fill, efficiency, waste.

Formulas: efficiency = allocated x running x fill = effective / observed. Where the hardware gives no fill signal, busy time is
"busy, quality unknown" and fill and efficiency are ranges; nothing here turns a range into a point.
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
    """
    ms: dict[Bucket, int] = dict.fromkeys(Bucket, 0)
    tiers: set[Tier] = set()
    for part in parts:
        ms[part.bucket] += part.ms
        if part.ms and (part.bucket in FILL or part.bucket is Bucket.BUSY_UNKNOWN):
            tiers.add(Tier.N if part.bucket is Bucket.BUSY_UNKNOWN else part.tier)
    observed = sum(ms.values()) - ms[Bucket.UNOBSERVED]
    allocated = sum(amount for bucket, amount in ms.items() if bucket not in NOT_ALLOCATED)
    kept = sum(ms[bucket] for bucket in BUSY) - ms[Bucket.REDONE]
    low = ms[Bucket.EFFECTIVE]
    high = low + ms[Bucket.BUSY_UNKNOWN]
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


def _over(part: int, whole: int) -> float | None:
    return part / whole if whole else None
