"""Rows that go into and come out of ``ledger.split``: integers, no clock, no SQL."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple, dataclass
from gpuwatch.names import Bucket, Cause, Context, Tier

HOLD_MS = 300_000
"""A quiet run with a context becomes held idle at five minutes, counted from its start."""

NOBODY = 0
"""The owner id of time that belongs to no one."""


class Share(NamedTuple):
    """One owner's part in one row: SM utilization in per mille and GPU memory in MiB, either may be unknown."""

    owner: int
    sm_pm: int | None
    memory_mib: int | None


AnyShare = Share | tuple[int, int | None, int | None]
"""A busy host has thousands a minute, and a plain tuple takes a third of the time to make."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One GPU over the ``dt_ms`` before ``ts_ms``.

    ``quiet_ms`` is the quiet run up to the end of this row. ``busy_pm`` is the busy share of the row (GPM graphics activity, else
    utilization); ``None`` if the driver gives none. ``energy_mj`` is ``None`` when not measured. ``shares`` lists who holds it.
    """

    ts_ms: int
    dt_ms: int
    quiet: bool | None
    quiet_ms: int
    context: Context | None
    busy_pm: int | None
    kappa_pm: int = 1000
    unavailable: bool = False
    energy_mj: int | None = None
    shares: tuple[AnyShare, ...] = ()


@dataclass(frozen=True, slots=True)
class BucketRow:
    """A part of a span: ``ms`` and ``energy_mj`` are exact integers; their sums over a split are exact."""

    owner: int
    bucket: Bucket
    cause: Cause
    tier: Tier
    ms: int
    energy_mj: int
