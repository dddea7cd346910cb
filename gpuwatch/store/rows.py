"""What the recorder hands to the writer: one tick of merged, quantised rows, still under public identities (no row ids)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuwatch.dataclass import dataclass, field
from gpuwatch.model import Event, ExtraSample, Gpu, Host, LatencyCounts, MissingKey, Process, Server, Workload
from gpuwatch.names import Context, GapReason, Missing
from gpuwatch.training import Run, Trainer

Values = tuple[int | None, ...]
"""``measure.quantise(sample)``: the sample's measures as store integers, in declaration order."""


@dataclass(frozen=True, slots=True)
class GpuRow:
    """One GPU over the ``dt_ms`` before ``ts_ms`` (0: the first row, or the first after a gap; it speaks for no time).

    ``quiet`` is the fact of ``ledger.facts`` (``None``: no utilization known); ``quiet_ms`` the length of the unbroken quiet run
    that ends with this row (0 when active or unknown); ``kappa_pm`` the clock factor of the ledger in per mille (1000: not
    throttled).
    """

    gpu_uuid: str
    dt_ms: int
    quiet: bool | None
    context: Context | None
    quiet_ms: int
    kappa_pm: int
    unavailable: bool
    values: Values


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process on one GPU (``gpu_uuid`` empty: on no GPU); the host side stands on the row of the first GPU only."""

    pid: int
    start_ms: int
    gpu_uuid: str
    dt_ms: int
    values: Values


@dataclass(frozen=True, slots=True)
class WorkloadRow:
    """One inference server; ``kind`` says which sample type ``values`` come from."""

    root_pid: int
    root_start_ms: int
    port: int
    kind: str
    dt_ms: int
    values: Values


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One training process (a rank) of the workload whose root is ``root_pid, root_start_ms`` (port 0)."""

    pid: int
    start_ms: int
    root_pid: int
    root_start_ms: int
    dt_ms: int
    values: Values


@dataclass(frozen=True, slots=True)
class GapRow:
    """A span without rows. ``gpu_uuid`` empty: the whole host."""

    t0_ms: int
    t1_ms: int
    reason: GapReason
    gpu_uuid: str = ""


@dataclass(frozen=True, slots=True)
class GapEnergy:
    """What a GPU's energy counter gained over the gap that began at ``t0_ms`` (of this GPU or the whole host)."""

    gpu_uuid: str
    t0_ms: int
    energy_mj: int


@dataclass(frozen=True, slots=True)
class SourceState:
    """How one collector is doing: ``ok``, ``error``, ``stalled``, ``off``; ``detail`` is one clear line."""

    name: str
    state: str
    last_ok_ms: int | None
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Everything that one recorder tick adds to the store. Entities are listed when they are new or changed.

    ``missing`` holds changes only: a reason that begins, or ``None`` for one that ended.
    """

    ts_ms: int
    host: Host | None = None
    gpus: Sequence[Gpu] = ()
    processes: Sequence[Process] = ()
    workloads: Sequence[Workload] = ()
    servers: Sequence[Server] = ()
    trainers: Sequence[Trainer] = ()
    runs: Sequence[Run] = ()
    gpu_rows: Sequence[GpuRow] = ()
    process_rows: Sequence[ProcessRow] = ()
    workload_rows: Sequence[WorkloadRow] = ()
    training_rows: Sequence[TrainingRow] = ()
    latencies: Sequence[LatencyCounts] = ()
    """They count only where the workload has a row in this tick that speaks for time."""
    host_dt_ms: int = 0
    host_values: Values | None = None
    recorder_dt_ms: int = 0
    recorder_values: Values | None = None
    extras: Sequence[ExtraSample] = ()
    events: Sequence[Event] = ()
    gaps: Sequence[GapRow] = ()
    gap_energy: Sequence[GapEnergy] = ()
    missing: Mapping[MissingKey, Missing | None] = field(default_factory=dict)
    sources: Sequence[SourceState] = ()
    """States that changed."""
