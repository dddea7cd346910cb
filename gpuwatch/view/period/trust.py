"""The part of a report's content model that says how far its figures can be trusted."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass
from gpuwatch.names import GapReason, Missing, Severity, Tier


@dataclass(frozen=True, slots=True)
class GapRow:
    """Time without rows; ``gpu_index`` ``None``: the whole host. ``energy_mj``: what counters gained meanwhile, used by nobody
    knows whom; of a gap that the span cuts as large a part as of its time, since no one knows when."""

    host: str
    gpu_uuid: str | None
    gpu_index: int | None
    start_ms: int
    end_ms: int
    reason: GapReason
    energy_mj: int | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened to a GPU or its driver: lost, XID, reset."""

    ts_ms: int
    host: str
    gpu_index: int | None
    kind: str
    severity: Severity
    detail: str


@dataclass(frozen=True, slots=True)
class TierUse:
    """From which rollup (``day``, ``hour``, ``minute``) ``what`` (``gpu``, ``ledger``, ``process``) of a host was summed.

    Where tiers alternate more than a few times there is one row for each, from its first to its last time.
    """

    host: str
    what: str
    tier: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """A quantity that a GPU or host does not give. ``subject`` is e.g. ``GPU 3`` or ``8 GPUs``; ``enable`` the command that helps, or empty."""

    host: str
    subject: str
    field: str
    reason: Missing
    enable: str


@dataclass(frozen=True, slots=True)
class Quality:
    """May these figures be trusted, and what is missing."""

    coverage_ratio: float | None
    unobserved_gpu_ms: Mapping[str, int]
    """Unobserved GPU time by word: a gap's reason (``off``, ``crash``, …) or ``unknown``; sums to the bucket."""
    gaps: tuple[GapRow, ...]
    """The longest, in time order."""
    gap_count: int
    """All of them."""
    gap_energy_mj: int | None
    """Over all gaps; ``None``: no counter told."""
    lost: tuple[EventRow, ...]
    lost_count: int
    fill_gpu_ms_by_tier: Mapping[Tier, int]
    energy_sources: Mapping[str, int]
    """``counter``, ``power``, ``mixed``, ``none`` -> number of GPUs."""
    tiers: tuple[TierUse, ...]
    provisional_gpu_ms: int
    """Observed time that is younger than 16 minutes: its buckets may still change."""
    estimates: tuple[str, ...]
    """Sentences: what was widened, regrouped or is only a bound."""
