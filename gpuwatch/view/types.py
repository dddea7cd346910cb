"""The one read model: what any screen, text or JSON may show, frozen. Names are the public names of the public views in base units.

``None`` is never zero: look the reason up in ``missing`` of the same object (field name -> reason).
"""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass, field
from gpuwatch.names import Bucket, Cause, Context, Missing, Severity, State, Tier
from gpuwatch.view.finding_types import FindingHistory, FindingView, WasteView
from gpuwatch.view.inference_types import InferenceHistory, InferenceView
from gpuwatch.view.training_types import TrainingHistory, TrainingView

_NO_MISSING: Mapping[str, Missing] = {}


@dataclass(frozen=True, slots=True)
class SpanView:
    """A span of time, unix milliseconds, end exclusive; ``coverage_ratio`` = observed / capacity of its GPUs (None: no GPU)."""

    start_ms: int
    end_ms: int
    coverage_ratio: float | None


@dataclass(frozen=True, slots=True)
class LedgerPart:
    """One bucket of a span, summed over owners and GPUs."""

    bucket: Bucket
    cause: Cause
    tier: Tier
    ms: int
    energy_mj: int


@dataclass(frozen=True, slots=True)
class LedgerView:
    """Where the GPU time of ``span`` went. ``capacity_ms`` = sum of all parts, exactly.

    Ratios are ``None`` when their denominator is 0. ``fill_low``/``fill_high`` are equal when fill is measured; without a fill
    signal they are 0 and 1. ``efficiency_*`` = allocated x running x fill.
    """

    span: SpanView
    capacity_ms: int
    parts: tuple[LedgerPart, ...]
    allocated_ratio: float | None = None
    running_ratio: float | None = None
    fill_low: float | None = None
    fill_high: float | None = None
    efficiency_low: float | None = None
    efficiency_high: float | None = None
    tier: Tier = Tier.N
    waste_gpus: float = 0.0
    """Mean number of GPUs wasted over the span: (wait + lost + held idle + unused) / span."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a strip: the time-weighted mean height (0-1; None: not observed) and the state that took most of it."""

    height: float | None
    state: State


@dataclass(frozen=True, slots=True)
class GpuView:
    """One GPU at the view's instant. Values are those of its last row; ``age_seconds`` says how old that is."""

    gpu_uuid: str
    gpu_index: int
    name: str
    parent_uuid: str
    mig_profile: str
    mig_enabled: bool
    compute_fraction: float
    state: State
    state_since_ms: int | None
    quiet_seconds: float
    context: Context | None
    age_seconds: float | None
    utilization_ratio: float | None
    sm_active_ratio: float | None
    tensor_active_ratio: float | None
    dram_active_ratio: float | None
    memory_used_bytes: float | None
    memory_total_bytes: float | None
    power_watts: float | None
    power_limit_watts: float | None
    power_limit_default_watts: float | None
    temperature_celsius: float | None
    memory_temperature_celsius: float | None
    sm_clock_hertz: float | None
    sm_clock_max_hertz: float | None
    memory_clock_hertz: float | None
    clock_event_reasons: int | None
    performance_state: int | None
    process_count: int | None
    users: tuple[str, ...]
    """Holders' users, largest holder first; ``("?",)`` when the holder is not visible."""
    strip: tuple[Cell, ...]
    """45 or 75 cells of 20 s, oldest first; the last is the running one."""
    waste_gpus: float | None
    """Mean waste over the last 60 s, 0-1 (the ledger's); ``None`` when nothing of them was observed."""
    missing: Mapping[str, Missing] = field(default_factory=lambda: _NO_MISSING)
    details: Mapping[str, object] = field(default_factory=dict)
    """Static facts for the detail screen: pci_bus_id, architecture, compute_capability, serial, ecc_enabled, persistence_mode,
    pcie_generation_max, pcie_width_max, nvlink_count, gpm_supported."""


@dataclass(frozen=True, slots=True)
class GpuHold:
    """What one process has on one GPU."""

    gpu_uuid: str
    gpu_index: int
    gpu_memory_bytes: float | None
    sm_utilization_ratio: float | None
    waste_gpus: float | None


@dataclass(frozen=True, slots=True)
class ProcessView:
    """One watched process; the GPUs it holds are in ``holds`` (largest memory first). ``cpu_ratio`` 1 = one core."""

    pid: int
    start_ms: int
    start_known: bool
    parent_pid: int
    parent_start_ms: int
    name: str
    command: str
    uid: int | None
    user: str
    container: str
    job: str
    role: str
    age_seconds: float
    sample_age_seconds: float | None
    cpu_ratio: float | None
    rss_bytes: float | None
    read_bytes_per_second: float | None
    write_bytes_per_second: float | None
    holds: tuple[GpuHold, ...]
    state: State
    missing: Mapping[str, Missing] = field(default_factory=lambda: _NO_MISSING)


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """A process tree that does a job. ``tokens_per_second`` are output tokens of a server, or those that a training eats."""

    root_pid: int
    root_start_ms: int
    port: int
    kind: str
    name: str
    model: str
    engine: str
    user: str
    gpu_indices: tuple[int, ...]
    attached: bool
    tokens_per_second: float | None = None
    inference: InferenceView | None = None
    """``None``: not a server, or nothing was ever asked of it."""
    training: TrainingView | None = None
    """``None``: not a training."""


@dataclass(frozen=True, slots=True)
class HostView:
    """The host at the view's instant."""

    hostname: str
    machine_id: str
    driver_version: str
    cuda_version: str
    kernel: str
    cpu_count: int | None
    memory_total_bytes: float | None
    cpu_ratio: float | None
    iowait_ratio: float | None
    memory_used_bytes: float | None
    swap_used_bytes: float | None
    load_average: float | None
    disk_read_bytes_per_second: float | None
    disk_write_bytes_per_second: float | None
    network_receive_bytes_per_second: float | None
    network_transmit_bytes_per_second: float | None
    process_count: int | None
    missing: Mapping[str, Missing] = field(default_factory=lambda: _NO_MISSING)


@dataclass(frozen=True, slots=True)
class SourceView:
    """A collector as of now: ``ok | error | stalled | off``; ``detail`` and ``hint`` are one clear line each."""

    name: str
    state: str
    age_seconds: float | None
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class EventView:
    """An event of the store."""

    ts_ms: int
    kind: str
    severity: Severity
    detail: str
    gpu_index: int | None
    pid: int | None


@dataclass(frozen=True, slots=True)
class RecordingView:
    """Who writes the store. ``live`` = a recorder holds the lease and its last tick is younger than 3 periods (at least 3 s)."""

    live: bool
    pid: int | None
    last_tick_ms: int | None
    first_ms: int | None
    """Start of everything that is kept (None: nothing recorded)."""
    interval_seconds: float
    simulated: bool
    scenario: str
    read_only_reason: str = ""
    """Why nothing is recorded, in one line (store on tmpfs, disk full, newer file), or empty."""
    imported: bool = False
    """Nobody ever recorded here: all comes from past logs, and ``last_tick_ms`` is the end of the last one."""

    @property
    def begun(self) -> bool:
        """Whether something was ever recorded here."""
        return self.last_tick_ms is not None and not self.imported


@dataclass(frozen=True, slots=True)
class View:
    """Everything that is known at ``at_ms``. The same code builds it for now and for last Tuesday."""

    at_ms: int
    now_ms: int
    host: HostView | None
    recording: RecordingView
    span: SpanView
    gpus: tuple[GpuView, ...]
    processes: tuple[ProcessView, ...]
    workloads: tuple[WorkloadView, ...]
    ledger: LedgerView | None
    """The last 15 minutes (or as much as there is); None without a GPU."""
    today: LedgerView | None
    """Since local midnight; None without a GPU."""
    waste_now_gpus: float | None
    """Mean waste of the last 60 s in GPUs, the ledger's."""
    findings: tuple[FindingView, ...]
    """Open and not muted, the costliest first."""
    events: tuple[EventView, ...]
    sources: tuple[SourceView, ...]
    notices: tuple[str, ...] = ()
    """Sentences for the user, most important first (no GPU and why, recorder lost, store moved, slow link)."""
    past: bool = False
    """An instant that was asked for, not the end of the recording; ages are those of that instant."""


# ------------------------------------------------------------------------------------------------ details, on request


@dataclass(frozen=True, slots=True)
class Lane:
    """One quantity over time: each cell is the maximum of its samples (``None``: not observed), ``now`` the newest value.

    ``scale_max`` is the top of the scale in the same unit; ``missing`` says why the whole lane has no values.
    """

    name: str
    cells: tuple[float | None, ...]
    now: float | None
    scale_max: float | None
    missing: Missing | None = None


@dataclass(frozen=True, slots=True)
class GpuHistory:
    """What one GPU did in ``span``: lanes named by their quantity, and per cell its state and whether clocks were lowered.

    ``from_minutes``: part of it is older than single rows and shows minute values.
    """

    gpu_uuid: str
    span: SpanView
    cell_seconds: int
    lanes: tuple[Lane, ...]
    states: tuple[State, ...]
    throttled: tuple[bool, ...]
    from_minutes: bool


@dataclass(frozen=True, slots=True)
class Holder:
    """One process that held a GPU: per cell the state of the GPU while it did (``None``: it was not there)."""

    pid: int
    start_ms: int
    user: str
    command: str
    cells: tuple[State | None, ...]
    peak_bytes: float | None


@dataclass(frozen=True, slots=True)
class ProcessHistory:
    """What one process did: SM utilization (of its busiest GPU) and CPU per cell, and the state of its GPU."""

    pid: int
    start_ms: int
    span: SpanView
    cell_seconds: int
    lanes: tuple[Lane, ...]
    states: tuple[State | None, ...]
    ledger: LedgerView | None
    """Its own share of the ledger's closed minutes in the last 15 min; ``None`` when there is none yet."""


@dataclass(frozen=True, slots=True)
class DayView:
    """One GPU's cells since midnight, the last one running, and what the ledger booked as held idle, unused and free.

    Milliseconds of this GPU (a MIG instance counts as its share of the board); ``None``: nothing was recorded.
    """

    gpu_uuid: str
    cells: tuple[Cell, ...]
    held_ms: int | None
    unused_ms: int | None
    free_ms: int | None


@dataclass(frozen=True, slots=True)
class DetailRequest:
    """What a detail screen wants to know beside the View: one GPU's past (``gpu_uuid``), one process' past, or both."""

    gpu_uuid: str = ""
    cells: int = 90
    cell_seconds: int = 40
    process: tuple[int, int] | None = None
    """pid and start time in unix milliseconds."""
    workload: tuple[int, int, int] | None = None
    """Root pid, root start and port: the past of one workload."""
    day_start_ms: int = 0
    """Local midnight: every GPU's day since then, in cells of ``cell_seconds``; 0: not asked for."""
    waste: bool = False
    """What the rules say beyond the View's findings: muted and resolved ones, and what was not judged."""
    finding: int = 0
    """``finding_id`` of the one whose course is asked for, in ``cells`` cells since it began; 0: none."""


@dataclass(frozen=True, slots=True)
class DetailView:
    """The answer to one request at the View's instant; a part that was not asked for, or is not known, is ``None`` or empty."""

    request: DetailRequest
    gpu: GpuHistory | None = None
    instances: tuple[GpuHistory, ...] = ()
    """The MIG instances of the GPU, in their order."""
    holders: tuple[Holder, ...] = ()
    ledger: LedgerView | None = None
    """The cells' span."""
    today: LedgerView | None = None
    process: ProcessHistory | None = None
    days: tuple[DayView, ...] = ()
    """One for each GPU of the View, in its order."""
    inference: InferenceHistory | None = None
    training: TrainingHistory | None = None
    workload_ledger: LedgerView | None = None
    """Where the GPU time of the workload went in the last 15 minutes: its processes' share of closed minutes."""
    waste: WasteView | None = None
    finding: FindingHistory | None = None
