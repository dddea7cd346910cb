"""The parts of the ledger as the screen draws them: the view's words, letters and buckets with the palette's inks."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.format import shares
from gpuwatch.names import Bucket
from gpuwatch.record import dataclass
from gpuwatch.view import parts as view_parts
from gpuwatch.view.types import LedgerView


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the bar. ``always``: named in the legend even when it is absent. ``fill`` and ``label`` are inks."""

    name: str
    short: str
    letter: str
    fill: str
    label: str
    buckets: tuple[Bucket, ...]
    always: bool = True


_INKS = {
    "effective": ("busy", "ink"),
    "under_filled": ("under", "white"),
    "busy_unknown": ("busy_unknown", "white"),
    "wait": ("waiting", "ink"),
    "lost": ("throttled", "ink"),
    "held_idle": ("held", "ink"),
    "unused": ("unused", "white"),
    "quiet": ("quiet_fill", "white"),
    "free": ("free", "white"),
    "idle_unattributed": ("quiet_fill", "white"),
    "unavailable": ("held", "ink"),
    "unknown": ("bg", "fg"),
}

PARTS = tuple(Part(p.word, p.short, p.letter, *_INKS[p.key], p.buckets, p.always) for p in view_parts.PARTS)
"""Left to right on every screen."""

EFFECTIVE, UNDER, BUSY, WAIT, LOST, HELD, UNUSED, QUIET, FREE, IDLE, UNAVAILABLE, UNKNOWN = PARTS

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
    return view_parts.bucket_ms(ledger.parts)


def waste_ms(ledger: LedgerView) -> int:
    """Wait + lost + held idle + unused, the ledger's own figure."""
    return view_parts.waste_ms(ledger)


def legend(*ledgers: LedgerView | None) -> tuple[Part, ...]:
    """The parts to name: the eight, or with no fill signal one part for both busy ones; rare parts only when present."""
    present = {share.part for ledger in ledgers if ledger is not None for share in split(ledger)}
    without_fill = BUSY in present and not present & {EFFECTIVE, UNDER}
    return tuple(part for part in PARTS if part in present or (part.always and not (without_fill and part in (EFFECTIVE, UNDER))))
