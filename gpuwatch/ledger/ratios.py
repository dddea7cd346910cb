"""From buckets to the few figures people read: allocated, running, fill, efficiency, waste, and the parts of the bar.

Formulas: efficiency = allocated x running x fill = effective / observed. Where the hardware gives no fill signal, busy time is
"busy, quality unknown" and fill and efficiency are ranges; nothing here turns a range into a point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

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


class Part(Enum):
    """The parts of the ledger bar in their fixed order, left to right; the value is the word on the screen."""

    EFFECTIVE = "effective"
    UNDER_FILLED = "under-filled"
    BUSY_UNKNOWN = "busy, quality unknown"
    WAIT = "wait"
    LOST = "lost"
    HELD_IDLE = "held idle"
    UNUSED = "unused"
    QUIET = "quiet"
    FREE = "free"
    IDLE_UNATTRIBUTED = "idle ?"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"

    def __lt__(self, other: Part) -> bool:
        return _ORDER[self] < _ORDER[other]


_ORDER = {part: number for number, part in enumerate(Part)}

PART_OF: Mapping[Bucket, Part] = {
    Bucket.EFFECTIVE: Part.EFFECTIVE,
    Bucket.EMPTY_SM: Part.UNDER_FILLED,
    Bucket.STALLED_SM: Part.UNDER_FILLED,
    Bucket.BUSY_UNKNOWN: Part.BUSY_UNKNOWN,
    Bucket.WAIT: Part.WAIT,
    Bucket.THROTTLED: Part.LOST,
    Bucket.REDONE: Part.LOST,
    Bucket.OVERHEAD: Part.LOST,
    Bucket.HELD_IDLE: Part.HELD_IDLE,
    Bucket.ALLOCATED_UNUSED: Part.UNUSED,
    Bucket.QUIET: Part.QUIET,
    Bucket.UNALLOCATED: Part.FREE,
    Bucket.IDLE_UNATTRIBUTED: Part.IDLE_UNATTRIBUTED,
    Bucket.UNAVAILABLE: Part.UNAVAILABLE,
    Bucket.UNOBSERVED: Part.UNKNOWN,
}


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


def grouped(parts: Iterable[Amount]) -> dict[Part, int]:
    """Milliseconds per part of the bar, every part present, in the order of the bar."""
    out = dict.fromkeys(Part, 0)
    for part in parts:
        out[PART_OF[part.bucket]] += part.ms
    return out
