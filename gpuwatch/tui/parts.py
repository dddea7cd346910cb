"""The ledger's buckets as the parts that people see (design 1.3): order, words, letters, inks and whole shares that sum to 100."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gpuwatch.format import shares
from gpuwatch.names import Bucket
from gpuwatch.view.types import LedgerView


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the bar. ``always``: named in the legend even when it is absent."""

    name: str
    short: str
    letter: str
    fill: str
    label: str
    buckets: tuple[Bucket, ...]
    always: bool = True


EFFECTIVE = Part("effective", "eff", "#", "busy", "ink", (Bucket.EFFECTIVE,))
UNDER = Part("under-filled", "under", "=", "under", "white", (Bucket.STALLED_SM, Bucket.EMPTY_SM))
BUSY = Part("busy, quality unknown", "busy", "#", "busy_unknown", "white", (Bucket.BUSY_UNKNOWN,), False)
WAIT = Part("wait", "wait", "~", "waiting", "ink", (Bucket.WAIT,))
LOST = Part("lost", "lost", "!", "throttled", "ink", (Bucket.THROTTLED, Bucket.REDONE, Bucket.OVERHEAD))
HELD = Part("held idle", "held", "x", "held", "ink", (Bucket.HELD_IDLE,))
UNUSED = Part("unused", "unus", "u", "unused", "white", (Bucket.ALLOCATED_UNUSED,))
QUIET = Part("quiet", "quie", "q", "quiet_fill", "white", (Bucket.QUIET,), False)
FREE = Part("free", "free", ".", "free", "white", (Bucket.UNALLOCATED,))
IDLE = Part("idle ?", "idle", "i", "quiet_fill", "white", (Bucket.IDLE_UNATTRIBUTED,), False)
UNAVAILABLE = Part("unavailable", "down", "X", "held", "ink", (Bucket.UNAVAILABLE,), False)
UNKNOWN = Part("unknown", "unkn", "?", "bg", "fg", (Bucket.UNOBSERVED,))

PARTS = (EFFECTIVE, UNDER, BUSY, WAIT, LOST, HELD, UNUSED, QUIET, FREE, IDLE, UNAVAILABLE, UNKNOWN)
"""Left to right on every screen."""

WASTE = frozenset({WAIT, LOST, HELD, UNUSED})


@dataclass(frozen=True, slots=True)
class Share:
    """A part with its time and its whole percentage."""

    part: Part
    ms: int
    percent: int


def split(ledger: LedgerView) -> tuple[Share, ...]:
    """The parts of ``ledger`` that are not zero, in their fixed order; the percentages sum to 100."""
    by_bucket = milliseconds(ledger)
    amounts = [sum(by_bucket.get(bucket, 0) for bucket in part.buckets) for part in PARTS]
    return tuple(Share(part, ms, percent) for part, ms, percent in zip(PARTS, amounts, shares(amounts)) if ms > 0)


def milliseconds(ledger: LedgerView) -> Mapping[Bucket, int]:
    """Time by bucket, causes and tiers added up."""
    out: dict[Bucket, int] = {}
    for row in ledger.parts:
        out[row.bucket] = out.get(row.bucket, 0) + row.ms
    return out


def waste_ms(ledger: LedgerView) -> int:
    """Wait + lost + held idle + unused, the ledger's own figure."""
    return sum(share.ms for share in split(ledger) if share.part in WASTE)


def legend(*ledgers: LedgerView | None) -> tuple[Part, ...]:
    """The parts to name: the eight, or with no fill signal one part for both busy ones; rare parts only when present."""
    present = {share.part for ledger in ledgers if ledger is not None for share in split(ledger)}
    without_fill = BUSY in present and not present & {EFFECTIVE, UNDER}
    return tuple(part for part in PARTS if part in present or (part.always and not (without_fill and part in (EFFECTIVE, UNDER))))
