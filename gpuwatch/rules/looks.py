"""What rules look at: ten seconds of everything that is watched, as plain means and sums, and who everybody is.

A look is made from stored rows (live, at a start, over history) or by a scenario: the rules cannot tell them apart. ``None`` is "not
measured", never 0. Ratios are 0 to 1, times milliseconds unless the name says seconds, memory bytes, power watts.
"""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import NamedTuple, dataclass, field
from gpuwatch.model import Gpu
from gpuwatch.names import Context, Latency, RunOutcome, ServerState, Severity, TrainingSource

LOOK_MS = 10_000
BINS = 20
"""Utilization is kept in so many steps of 5 %."""


# ------------------------------------------------------------------------------------------------------------------ numbers


@dataclass(slots=True)
class GpuLook:
    """One GPU. ``ms`` is the time that its rows speak for; means are over that part of it in which the value was known."""

    ms: int
    known_ms: int = 0
    """Of it, in which it was known whether the GPU was quiet."""
    quiet_ms: int = 0
    quiet_run_ms: int = 0
    """The unbroken quiet run up to the end of the look."""
    context: Context | None = None
    unavailable: bool = False
    sibling: bool = False
    utilization: float | None = None
    utilization_bins: tuple[int, ...] = ()
    """Milliseconds per step of 5 % (the last one holds 100 %); empty: not known."""
    busy: float | None = None
    """GPM graphics activity, else utilization, else SM activity."""
    sm: float | None = None
    tensor: float | None = None
    dram: float | None = None
    fp64: float | None = None
    fp32: float | None = None
    occupancy: float | None = None
    memory_used: float | None = None
    power: float | None = None
    power_limit: float | None = None
    power_fraction: float | None = None
    energy_joules: float | None = None
    temperature: float | None = None
    sm_clock: float | None = None
    sm_clock_min: float | None = None
    sm_clock_max: float | None = None
    """Lowest and highest of the look, hertz (not the board's limits)."""
    kappa: float | None = None
    thermal: float | None = None
    """Shares of time in which a reason lowered the clocks: heat (software or hardware), hardware slowdown or power brake, the
    software power cap, a setting of application or locked clocks."""
    slowdown: float | None = None
    power_cap: float | None = None
    clocks_set: float | None = None
    thermal_seconds: float | None = None
    power_seconds: float | None = None
    pcie_rx: float | None = None
    """Bytes a second, as ``pcie_tx`` and ``nvlink`` (both ways)."""
    pcie_tx: float | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    nvlink: float | None = None
    nvlink_active: int | None = None
    ecc_uncorrected: int | None = None
    performance_state: int | None = None
    mfu: float | None = None


@dataclass(slots=True)
class ProcessLook:
    """One process; ``gpus``: gpu_id -> (memory in bytes, share of time on its SMs), each may be ``None``."""

    ms: int
    gpus: Mapping[int, tuple[float | None, float | None]] = field(default_factory=dict)
    cpu: float | None = None
    thread_cpu: float | None = None
    cpu_throttled: float | None = None
    rss: float | None = None
    read: float | None = None
    """Bytes a second, as ``write``."""
    write: float | None = None
    run_state: str = ""
    """R, S, D, T, Z; empty: not known."""


@dataclass(slots=True)
class TrainingLook:
    """One rank: sums over the look. ``attached`` is the time between readings that all seconds here are parts of."""

    ms: int
    attached: float | None = None
    steps: float | None = None
    """Of the job: counted on its first rank."""
    rank_steps: float | None = None
    tokens: float | None = None
    samples: float | None = None
    data: float | None = None
    forward: float | None = None
    backward: float | None = None
    optimizer: float | None = None
    checkpoint: float | None = None
    evaluation: float | None = None
    compiling: float | None = None
    other: float | None = None
    starting: float | None = None
    compilations: float | None = None
    checkpoints: float | None = None
    alloc_retries: float | None = None
    out_of_memory: float | None = None
    allocated: float | None = None
    reserved: float | None = None
    allocated_peak: float | None = None
    inactive_split: float | None = None
    phase: int | None = None
    phase_age: float | None = None
    """Seconds."""
    step_number: int | None = None


@dataclass(slots=True)
class ServerLook:
    """One inference server: sums over the look, means of what is a state. ``window`` is the time between readings, seconds."""

    ms: int
    state: ServerState | None = None
    window: float | None = None
    running: float | None = None
    waiting: float | None = None
    kv_cache: float | None = None
    kv_cache_fullest: float | None = None
    requests: float | None = None
    preemptions: float | None = None
    output_tokens: float | None = None
    prefill_tokens: float | None = None
    prompt_tokens: float | None = None
    cached_tokens: float | None = None
    prefix_queries: float | None = None
    prefix_hits: float | None = None
    drafts: float | None = None
    draft_tokens: float | None = None
    accepted_tokens: float | None = None
    failed: float | None = None
    itl_sum: float | None = None
    itl_count: float | None = None
    ttft_sum: float | None = None
    ttft_count: float | None = None
    queue_sum: float | None = None
    queue_count: float | None = None
    latency: Mapping[Latency, Mapping[tuple[float, float], int]] = field(default_factory=dict)
    """Waiting time -> (lower, upper bound in seconds; the last upper bound is infinite) -> count."""


@dataclass(slots=True)
class HostLook:
    """The host."""

    ms: int
    cpu: float | None = None
    iowait: float | None = None
    steal: float | None = None
    load: float | None = None
    cpu_pressure: float | None = None
    io_pressure: float | None = None
    memory_pressure: float | None = None
    memory_used: float | None = None
    swap_in: float | None = None
    """Bytes a second, as the disk's."""
    disk_read: float | None = None
    disk_write: float | None = None


class LookEvent(NamedTuple):
    """An event of the store: ``gpu_id`` and ``pid`` 0 where it is of none."""

    ts_ms: int
    kind: str
    severity: Severity
    detail: str
    gpu_id: int = 0
    pid: int = 0


@dataclass(slots=True)
class Look:
    """Ten seconds up to ``t_ms`` (unix milliseconds). What is not listed had no row: it was not observed."""

    t_ms: int
    gpus: Mapping[int, GpuLook] = field(default_factory=dict)
    processes: Mapping[int, ProcessLook] = field(default_factory=dict)
    trainings: Mapping[int, TrainingLook] = field(default_factory=dict)
    """By proc_id of the rank."""
    servers: Mapping[int, ServerLook] = field(default_factory=dict)
    """By workload_id."""
    host: HostLook | None = None
    events: tuple[LookEvent, ...] = ()
    ms: int = LOOK_MS


# -------------------------------------------------------------------------------------------------------------------- who


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """A GPU: the driver's description, the power that it draws when nobody holds it (watts; ``None``: not learned)."""

    gpu_id: int
    gpu: Gpu
    idle_power: float | None = None
    reserved: bool = False
    """The user keeps it free on purpose (``[rules] reserve``): it is never called unallocated."""


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """A process that was seen."""

    proc_id: int
    pid: int
    start_ms: int
    name: str = ""
    command: str = ""
    user: str = ""
    job: str = ""
    container: str = ""
    workload_id: int = 0
    role: str = "gpu"
    """gpu, ancestor, worker, ml: why it is watched."""
    visible_gpus: str = ""
    parent_pid: int = 0


@dataclass(frozen=True, slots=True)
class RankFacts:
    """A training process (one rank)."""

    proc_id: int
    source: TrainingSource
    rank: int | None = None
    world: int | None = None
    gpu_uuid: str = ""
    framework: str = ""
    model: str = ""
    parameters: int | None = None
    flops_per_token: float | None = None
    sequence_tokens: int | None = None
    precision: str = ""
    attached_ms: int = 0
    first_step_ms: int | None = None
    total_steps: int | None = None
    ended_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How a training run went, or goes."""

    started_ms: int
    first_step_ms: int | None = None
    last_step_ms: int | None = None
    last_checkpoint_ms: int | None = None
    ended_ms: int | None = None
    outcome: RunOutcome = RunOutcome.RUNNING
    exit_code: int | None = None
    command: str = ""
    detail: str = ""
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A workload: a process tree that does one job."""

    workload_id: int
    kind: str
    """training, inference, other."""
    name: str = ""
    model: str = ""
    engine: str = ""
    user: str = ""
    job: str = ""
    root_pid: int = 0
    root_start_ms: int = 0
    port: int = 0
    command: str = ""
    """The command line of its root, as far as it is kept."""
    served: bool = False
    """Its server was met and has a row of its own (whether its page tells anything is another question)."""
    max_model_tokens: int | None = None
    max_running_requests: int | None = None
    kv_cache_tokens: int | None = None
    hint: str = ""
    """What would make its server tell more."""
    ranks: tuple[RankFacts, ...] = ()
    run: RunFacts | None = None


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The host."""

    hostname: str = ""
    cpu_count: int | None = None
    memory_total: int | None = None


@dataclass(frozen=True, slots=True)
class GpuDay:
    """The last 24 hours of one GPU, from hours and their distributions."""

    observed_hours: float
    active_hours: float | None = None
    utilization_active: float | None = None
    """Mean over the time in which it was not quiet."""
    utilization_p99: float | None = None
    sm_active: float | None = None
    power_fraction_active: float | None = None
    memory_p99: float | None = None
    energy_joules: float | None = None
    starts: int | None = None
    """Processes that opened a context on it while no other had one."""


@dataclass(frozen=True, slots=True)
class JobDay:
    """The last 24 hours of one server or training, and what its own best hour and week were."""

    observed_hours: float
    kv_cache_peak: float | None = None
    waiting_peak: float | None = None
    tokens: float | None = None
    requests: float | None = None
    best_hour_tokens: float | None = None
    prompt_share: float | None = None
    """Prompt tokens over all."""
    hour_gpu_seconds_per_token: float | None = None
    best_gpu_seconds_per_token: float | None = None
    """GPU-seconds a token in the last full hour, and in the best hour of seven days with a like prompt share (+-25 %)."""
    hour_joules_per_token: float | None = None
    median_joules_per_token: float | None = None
    """Joules a token in the last full hour, and the median over the hours of seven days with like load (+-50 % tokens)."""
    failures: int | None = None
    """Runs of the same command line that failed or died in 24 hours."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Who is there at a look, by the store's ids, and what the last day was."""

    gpus: Mapping[int, GpuFacts] = field(default_factory=dict)
    processes: Mapping[int, ProcessFacts] = field(default_factory=dict)
    jobs: Mapping[int, JobFacts] = field(default_factory=dict)
    host: HostFacts = HostFacts()
    gpu_days: Mapping[int, GpuDay] = field(default_factory=dict)
    job_days: Mapping[int, JobDay] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    """Collector -> state (ok, error, stalled, off), for what a rule says of a missing signal."""
