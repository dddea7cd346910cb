"""A scenario as its author means it: checked, typed, nothing computed yet. Times are in ms, other units as the author writes them."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.collectors.simulated.patterns import Phase as Stretch
from gpuwatch.collectors.simulated.spread import Spread
from gpuwatch.dataclass import dataclass, field
from gpuwatch.names import Phase, RunOutcome, ServerState, TrainingSource

NO_LOOP_MS = 3_600_000
"""How much of a pattern is laid out when a scenario does not loop."""
REASONS = {
    "gpu_idle": 0x1,
    "applications_clocks": 0x2,
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sw_thermal": 0x20,
    "hw_thermal": 0x40,
    "hw_power_brake": 0x80,
}
FAULT_KINDS = ("call", "slow", "hang", "lost", "reset", "mismatch", "driver_gone")
GPM_IDS = {"graphics": 1, "sm": 2, "occupancy": 3, "tensor": 5, "dram": 10, "fp64": 11, "fp32": 12, "fp16": 13}


@dataclass(frozen=True, slots=True)
class Work:
    """What a GPU or an instance does: its load and what follows from it."""

    load: tuple[Stretch, ...] = (Stretch(),)
    gpm: Mapping[int, float] = field(default_factory=dict)
    """GPM metric id -> share of the load."""
    gpm_noise: float = 0.01
    base_memory: float = 0.0


@dataclass(frozen=True, slots=True)
class InstancePlan:
    """One MIG device of a GPU."""

    profile: str
    gi: int
    ci: int
    memory: int
    work: Work


@dataclass(frozen=True, slots=True)
class GpuPlan:
    """One ``[[gpus]]`` block, for ``count`` devices. Pairs are (idle, full load)."""

    profile: str
    count: int
    work: Work
    power: tuple[float, float]
    power_noise: float
    temperature: tuple[float, float]
    memory_temperature: tuple[float, float]
    sm_clock: tuple[float, float]
    sm_clock_max: int
    memory_factor: float
    pcie: tuple[float, float]
    nvlink: tuple[float, float]
    pcie_link: tuple[int, int, int]
    """Generation at work and at rest, width."""
    nvlinks_up: int
    throttle_reasons: int
    throttle_clock: int
    throttle_when: tuple[Stretch, ...]
    power_limit: float
    codec: tuple[float, float]
    mig: tuple[InstancePlan, ...]


@dataclass(frozen=True, slots=True)
class OutagePlan:
    """A stretch of each loop in which a server tells nothing, and what it is then."""

    at_ms: int
    for_ms: int
    state: ServerState


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """The ``[processes.server]`` block of a process that serves. What it does is what it does at full load; times are in seconds."""

    load: tuple[Stretch, ...]
    """In percent; empty: it follows the GPUs of its workload."""
    requests: float
    """Ended a second."""
    prompt: float
    """Mean tokens."""
    cached: float
    """The share of the prompt that the prefix cache has."""
    output: Spread
    """Tokens."""
    ttft: Spread
    itl: Spread
    queue: Spread
    preemptions: float
    """A minute."""
    ended_length: float
    ended_aborted: float
    ended_error: float
    draft_tokens: float
    """Drafted at a time; 0: no speculation."""
    accepted: float
    max_running_requests: int
    """0, here and below: the server does not tell."""
    max_model_tokens: int
    kv_cache_tokens: int
    state: ServerState
    starts_ms: int
    """How long after its process it begins to answer."""
    outages: tuple[OutagePlan, ...]


@dataclass(frozen=True, slots=True)
class StuckPlan:
    """A rank that has made no step since so long before time 0, and what it does instead."""

    since_ms: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The ``[processes.training]`` block of a rank. 0 and empty texts: it does not tell."""

    step_ms: float
    """Of GPU work: a GPU that is busy half of the time makes half as many steps."""
    tokens: int
    """A step, of this rank; so are the samples."""
    samples: int
    padding: float
    split: tuple[float, float, float]
    """Shares of forward, backward and optimizer in a busy second."""
    rest: Phase
    """What the host does while a GPU that works has nothing to do for a moment; a fifth of that is other host time."""
    idle: Phase
    """What it does while the GPU has nothing to do for whole seconds."""
    starts_ms: int
    """From the start of the process to where its first step begins."""
    total_steps: int
    loss: float
    load: float
    """In percent, where no GPU tells: before time 0."""
    stuck: StuckPlan | None
    source: TrainingSource
    model: str
    parameters: int
    trainable: int
    layers: int
    heads: int
    head_width: int
    sequence: int
    precision: str
    parallel: str
    replicas: int
    allocated: int
    reserved: int
    outcome: RunOutcome
    """How it ended, if it has."""
    exit_code: int | None
    detail: str
    commit: str


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One ``[[processes]]`` block, for ``copies`` processes. ``gpus`` maps places to GiB held there."""

    slot: str
    copies: int
    kind: str
    user: str
    uid: int
    job: str
    name: str
    command: str
    gpus: Mapping[str, float]
    share: float
    age_ms: int
    """How long before time 0 it started."""
    ended_ms: int
    """How long before time 0 it ended; 0: it still runs."""
    born_ms: int
    """When in each loop it starts; with ``lives_ms`` 0 both mean that it runs all the time."""
    lives_ms: int
    cpu: float
    cpu_noise: float
    rss: float
    read: float
    write: float
    state: str
    thread_cpu: float | None
    """``None``, here and below: it is not told."""
    cpu_throttled: float | None
    visible_gpus: str
    parent: str
    role: str
    container: str
    workload: str
    workload_kind: str
    model: str
    engine: str
    engine_version: str
    port: int
    pid: int
    server: ServerPlan | None = None
    training: TrainingPlan | None = None


@dataclass(frozen=True, slots=True)
class PastPlan:
    """One ``[[past]]`` block: before time 0, ``gpus`` did what another place does now, or nothing (``like`` empty).

    ``from_ms`` and ``until_ms`` count back from time 0.
    """

    gpus: tuple[int, ...]
    from_ms: int
    until_ms: int
    like: str
    power_limit: float


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """One ``[[faults]]`` block."""

    at_ms: int
    for_ms: int
    gpu: int
    kind: str
    call: str
    arg: int


@dataclass(frozen=True, slots=True)
class HostPlan:
    """The simulated machine. ``values`` are flat host quantities at their middle; ``noise`` is their relative amplitude."""

    cpu_count: int
    memory_total: int
    kernel: str
    noise: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole scenario as its author wrote it."""

    name: str
    title: str
    driver: str
    cuda: int
    loop_ms: int
    step_ms: int
    host: HostPlan
    gpus: tuple[GpuPlan, ...]
    processes: tuple[ProcessPlan, ...]
    past: tuple[PastPlan, ...]
    faults: tuple[FaultPlan, ...]
    xids: tuple[tuple[int, int, int], ...]
