"""The parts of the ledger as the screen draws them: the view's words, letters and buckets with the palette's inks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from gpuwatch.dataclass import dataclass
from gpuwatch.format import shares
from gpuwatch.names import Bucket
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

    def __hash__(self) -> int:
        return hash(self.name)  # parts are keys all over a picture


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
    "stalled_sm": ("stalled", "white"),
    "empty_sm": ("empty", "white"),
    "throttled": ("throttled", "ink"),
    "redone": ("redone", "white"),
    "overhead": ("overhead", "white"),
    "unobserved": ("bg", "fg"),
}


def _inked(parts: Iterable[view_parts.Part]) -> tuple[Part, ...]:
    return tuple(Part(p.word, p.short, p.letter, *_INKS[p.key], p.buckets, p.always) for p in parts)


PARTS = _inked(view_parts.PARTS)
"""Left to right on every screen."""

BUCKETS = _inked(view_parts.BUCKETS)
"""The same with their buckets apart, as the GPU screen has them."""

EFFECTIVE, UNDER, BUSY, WAIT, LOST, HELD, UNUSED, QUIET, FREE, IDLE, UNAVAILABLE, UNKNOWN = PARTS

STALLED, EMPTY = BUCKETS[1:3]

WASTE = frozenset({WAIT, LOST, HELD, UNUSED})


@dataclass(frozen=True, slots=True)
class Share:
    """A part with its time and its whole percentage."""

    part: Part
    ms: int
    percent: int


def amounts(ledger: LedgerView, parts: tuple[Part, ...] = PARTS) -> dict[Part, int]:
    """Milliseconds of each of ``parts`` in their order, those of zero too."""
    by_bucket = view_parts.bucket_ms(ledger.parts)
    return {part: sum(by_bucket.get(bucket, 0) for bucket in part.buckets) for part in parts}


_splits: deque[tuple[LedgerView, tuple[Part, ...], tuple[Share, ...]]] = deque(maxlen=4)
"""One picture asks for the shares of the same few ledgers again and again."""


def split(ledger: LedgerView, parts: tuple[Part, ...] = PARTS) -> tuple[Share, ...]:
    """The parts of ``ledger`` that are not zero, in their fixed order; the percentages sum to 100."""
    for known, divided, kept in tuple(_splits):
        if known is ledger and divided is parts:
            return kept
    found = _split(ledger, parts)
    _splits.append((ledger, parts, found))
    return found


def _split(ledger: LedgerView, parts: tuple[Part, ...]) -> tuple[Share, ...]:
    found = amounts(ledger, parts)
    return tuple(Share(part, ms, percent) for (part, ms), percent in zip(found.items(), shares(list(found.values()))) if ms > 0)


def legend(*ledgers: LedgerView | None) -> tuple[Part, ...]:
    """The parts to name: the eight, or with no fill signal one part for both busy ones; rare parts only when present."""
    present = {share.part for ledger in ledgers if ledger is not None for share in split(ledger)}
    without_fill = BUSY in present and not present & {EFFECTIVE, UNDER}
    return tuple(part for part in PARTS if part in present or (part.always and not (without_fill and part in (EFFECTIVE, UNDER))))
