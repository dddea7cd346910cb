"""The rows that a :class:`gpuwatch.store.window.Window` hands out: the store's integers under the store's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuwatch.dataclass import NamedTuple, dataclass


class GpuFacts(NamedTuple):
    """What the strips and the ledger need of one hot GPU row (over the ``dt_ms`` before ``ts_ms``).

    From ``dt_ms`` on the columns of ``ledger.stored``, in its order.
    """

    tick_id: int
    ts_ms: int
    gpu_id: int
    dt_ms: int
    quiet: int | None
    context: int | None
    quiet_ms: int
    kappa_pm: int
    unavailable: int
    utilization_pm: int | None
    graphics_active_pm: int | None
    sm_active_pm: int | None
    power_mw: int | None
    energy_mj: int | None
    tensor_active_pm: int | None = None
    dram_active_pm: int | None = None
    fp32_active_pm: int | None = None
    fp64_active_pm: int | None = None
    mfu_pm: int | None = None
    power_fraction_pm: int | None = None
    overhead_pm: int | None = None
    input_pm: int | None = None
    host_pm: int | None = None
    peers_pm: int | None = None
    demand_pm: int | None = None
    redone_pm: int | None = None
    inferred_cause: int | None = None
    sibling: int | None = None


class ProcessFacts(NamedTuple):
    """One hot row of a process on one GPU (``gpu_id`` 0: on none)."""

    tick_id: int
    ts_ms: int
    proc_id: int
    gpu_id: int
    dt_ms: int
    gpu_memory_mib: int | None
    sm_pm: int | None
    memory_pm: int | None
    cpu_pm: int | None
    rss_mib: int | None
    read_kib: int | None
    write_kib: int | None


class Held(NamedTuple):
    """Who was on which GPU at one tick: by GPU, for each process (proc_id, SM utilization in per mille, GPU memory in MiB)."""

    tick_id: int
    ts_ms: int
    by_gpu: Mapping[int, Sequence[tuple[int, int | None, int | None]]]


class ProcessIdentity(NamedTuple):
    """Who a process is."""

    proc_id: int
    pid: int
    start_ms: int
    name: str
    start_known: int
    parent_pid: int
    parent_start_ms: int
    command: str
    container: str
    job: str
    role: str
    uid: int | None
    user: str
    workload_pid: int
    workload_start_ms: int


class BucketSum(NamedTuple):
    """A bucket's sum over a span of closed time."""

    bucket: int
    cause: int
    tier: int
    ms: int
    energy_mj: int


@dataclass(frozen=True, slots=True)
class Recording:
    """The life of the recorder that wrote last, and of the file."""

    host_id: int | None
    session_id: int
    pid: int
    started_ms: int
    last_ms: int
    ended_ms: int | None
    period_ms: int
    first_ms: int | None
    simulated: bool
    scenario: str
