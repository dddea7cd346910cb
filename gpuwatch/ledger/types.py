"""Rows that go into and come out of ``ledger.split``: integers, no clock, no SQL."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple, dataclass
from gpuwatch.names import Bucket, Cause, Context, Tier

HOLD_MS = 300_000
"""A quiet run with a context becomes held idle at five minutes, counted from its start."""

UNUSED_MS = 900_000
"""A quiet run of 15 minutes on a GPU of a job whose other GPU works is not held idle but unused by the job, from its start."""

NOBODY = 0
"""The owner id of time that belongs to no one."""


class Share(NamedTuple):
    """One owner's part in one row: SM utilization in per mille and GPU memory in MiB, either may be unknown."""

    owner: int
    sm_pm: int | None
    memory_mib: int | None


AnyShare = Share | tuple[int, int | None, int | None]
"""A busy host has thousands a minute, and a plain tuple takes a third of the time to make."""


class Work(NamedTuple):
    """What is known of a row beside what the GPU did, in per mille of its time; facts that are stored with the row.

    ``overhead_pm`` starting, compiling, checkpoints, evaluation; ``input_pm`` waiting for data; ``host_pm`` the loop's own code;
    ``peers_pm`` only other ranks of the job were in one of these; ``demand_pm`` its server had no request; ``redone_pm`` of the
    busy time, the share whose results were thrown away. ``inferred`` is the cause of waiting that a finding names from outside.
    ``sibling``: another GPU of the same job was active.
    """

    overhead_pm: int = 0
    input_pm: int = 0
    host_pm: int = 0
    peers_pm: int = 0
    demand_pm: int = 0
    redone_pm: int = 0
    inferred: Cause = Cause.NONE
    sibling: bool = False


NO_WORK = Work()


class Fill(NamedTuple):
    """How full the busy time of a row was, in per mille of it.

    Tier G: ``filled_pm`` is SM activity over busy time (s), ``effective_pm`` the part of it that got on (e, at most s; ``None``: only
    s is known). Tier H: ``effective_pm`` by MFU; what is left is stalled or empty. Tier P: ``filled_pm`` is the power fraction (q).
    """

    tier: Tier
    filled_pm: int
    effective_pm: int | None = None


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
    work: Work = NO_WORK
    fill: Fill | None = None


@dataclass(frozen=True, slots=True)
class BucketRow:
    """A part of a span: ``ms`` and ``energy_mj`` are exact integers; their sums over a split are exact."""

    owner: int
    bucket: Bucket
    cause: Cause
    tier: Tier
    ms: int
    energy_mj: int
