"""Buckets grouped into the parts of a ledger bar: their order, words, letters and whole percents."""

from __future__ import annotations

from collections.abc import Iterable

from gpuwatch.dataclass import dataclass
from gpuwatch.format import shares
from gpuwatch.ledger.ratios import WASTE, quality_unknown
from gpuwatch.names import Bucket
from gpuwatch.view.types import LedgerPart, LedgerView


@dataclass(frozen=True, slots=True)
class Part:
    """A named part of a bar; ``always`` parts stand in the legend also when they are 0."""

    key: str
    word: str
    short: str
    letter: str
    buckets: tuple[Bucket, ...]
    always: bool = True


PARTS = (
    Part("effective", "effective", "eff", "#", (Bucket.EFFECTIVE,)),
    Part("under_filled", "under-filled", "under", "=", (Bucket.STALLED_SM, Bucket.EMPTY_SM)),
    Part("busy_unknown", "busy, quality unknown", "busy", "%", (Bucket.BUSY_UNKNOWN,), always=False),
    Part("wait", "wait", "wait", "~", (Bucket.WAIT,)),
    Part("lost", "lost", "lost", "!", (Bucket.THROTTLED, Bucket.REDONE, Bucket.OVERHEAD)),
    Part("held_idle", "held idle", "held", "x", (Bucket.HELD_IDLE,)),
    Part("unused", "unused", "unus", "u", (Bucket.ALLOCATED_UNUSED,)),
    Part("quiet", "quiet", "quiet", "q", (Bucket.QUIET,), always=False),
    Part("free", "free", "free", ".", (Bucket.UNALLOCATED,)),
    Part("idle_unattributed", "idle ?", "idle?", "i", (Bucket.IDLE_UNATTRIBUTED,), always=False),
    Part("unavailable", "unavailable", "unav", "X", (Bucket.UNAVAILABLE,), always=False),
    Part("unknown", "unknown", "unkn", "?", (Bucket.UNOBSERVED,)),
)
"""From left to right on every screen. The first two give way to ``busy_unknown`` where there is no fill signal."""

_SAME = {part.key: part for part in PARTS}

BUCKETS = (
    _SAME["effective"],
    Part("stalled_sm", "stalled SM", "stall", "=", (Bucket.STALLED_SM,)),
    Part("empty_sm", "empty SM", "empty", "-", (Bucket.EMPTY_SM,)),
    _SAME["busy_unknown"],
    _SAME["wait"],
    Part("throttled", "throttled", "thr", "!", (Bucket.THROTTLED,)),
    Part("redone", "redone", "redo", "r", (Bucket.REDONE,)),
    Part("overhead", "overhead", "over", "o", (Bucket.OVERHEAD,)),
    _SAME["held_idle"],
    _SAME["unused"],
    _SAME["quiet"],
    _SAME["free"],
    _SAME["idle_unattributed"],
    Part("unobserved", "unobserved", "unob", "?", (Bucket.UNOBSERVED,)),
    _SAME["unavailable"],
)
"""The bar of the GPU screen: the parts with their buckets apart."""


@dataclass(frozen=True, slots=True)
class Amount:
    """What a part has in a span: exact milliseconds and its whole percent (all percents of a bar sum to 100)."""

    part: Part
    ms: int
    percent: int


def amounts(ledger: LedgerView, parts: tuple[Part, ...] = PARTS) -> tuple[Amount, ...]:
    """Every part of the bar in order, those of zero too; whole percents by largest remainder, once."""
    by_bucket = bucket_ms(ledger.parts)
    ms = [sum(by_bucket.get(bucket, 0) for bucket in part.buckets) for part in parts]
    return tuple(Amount(*item) for item in zip(parts, ms, shares(ms), strict=True))


def bucket_ms(parts: Iterable[LedgerPart]) -> dict[Bucket, int]:
    """Milliseconds per bucket, over causes and tiers; what only the power tells of busy time stays of unknown quality."""
    out: dict[Bucket, int] = {}
    for part in parts:
        bucket = shown_bucket(part)
        out[bucket] = out.get(bucket, 0) + part.ms
    return out


def shown_bucket(part: LedgerPart) -> Bucket:
    """The bucket under which a part is shown: by the power alone busy time is of unknown quality."""
    return Bucket.BUSY_UNKNOWN if quality_unknown(part.bucket, part.tier) else part.bucket


def waste_ms(ledger: LedgerView) -> int:
    """The ledger's waste of the span in milliseconds."""
    return sum(part.ms for part in ledger.parts if part.bucket in WASTE)
