"""B2: GPUs that wait for one thread on the CPU."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.holders import serves, settled
from gpuwatch.rules.observed import fractions, mean_of
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, ProcessSubject, Scene
from gpuwatch.rules.steps import attached, steps_of
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent, who

ID = "single-thread-host-bound"
WINDOW = 600


@rule(
    ID,
    "B2",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(
        ("thread_cpu", 0.95, "cores", "S16 vendor", "its busiest thread uses at least"),
        ("process_cpu", 1.50, "cores", "S16 vendor", "and the whole process at most"),
        ("busy_low", 0.10, "ratio", "pragmatic", "its GPUs are busy from here"),
        ("busy_high", 0.75, "ratio", "pragmatic", "to here: a thread that waits for a full GPU spins as well"),
        ("host_cpu", 0.50, "ratio", "S16 vendor", "while the host as a whole uses less than"),
    ),
)
def single_thread_host_bound(job: JobSubject, scene: Scene) -> Verdict:
    """The GPUs of a process wait for one thread of it.

    Fires when over 10 minutes the busiest thread of a process on a GPU uses 95 % of a core, the process no more than 1.5 cores, its GPUs
    are busy between 10 % and 75 % of the time, and the host has CPU to spare (below 50 %). Where the times of threads cannot be read, a
    process that uses just about one core stands for it ("inferred", low confidence). Silent where the hook says that the time is data
    wait: then it is input-bound.

    Waste: time x (1 - busy), "up to".
    Try: see what the thread does; no .item(), .cpu() or print(loss) in every step; vectorise what prepares the data.
    Gain: to the next limit, often 1.2 to 3 times.
    May be wrong if the thread only spins while it waits for the GPU (CUDA does), or the work is the environment of reinforcement learning.
    Sources: S16 (CPUBottleneck), S24.
    """
    if not job.on_gpus:
        return CLEAR
    bounds = Bounds(scene, ID, job)
    host = scene.host.mean("cpu", WINDOW)
    for process in job.on_gpus:
        gpus = [scene.gpus[i] for i in process.gpu_ids if i in scene.gpus]
        seconds = settled(process.series, scene, (process,), WINDOW)
        if isinstance(seconds, NotEvaluated):
            return seconds
        cpu, busy = process.series.mean("cpu", seconds), mean_of(gpus, "busy", seconds)
        if cpu is None:
            return NotEvaluated("the CPU time of its processes cannot be read", "gpuwatch doctor")
        if busy is None:
            return NotEvaluated("neither utilization nor GPM tells how busy its GPUs are", "gpuwatch doctor")
        least = bounds.least("thread_cpu")
        if cpu < least or cpu > bounds.most("process_cpu"):
            continue
        if not bounds.least("busy_low") <= busy <= bounds.most("busy_high"):
            continue
        thread = process.series.mean("thread_cpu", seconds) if process.series.known("thread_cpu", seconds) >= 0.5 else None
        if thread is None and cpu > 1.10:
            return NotEvaluated("the CPU time of its threads cannot be read", "gpuwatch doctor")
        if thread is not None and thread < least:
            continue
        if host is None:
            return NotEvaluated("the CPU of the host", "gpuwatch doctor")
        if host >= bounds.most("host_cpu"):
            return Clear("the host as a whole is busy: host-cpu-starved judges it")
        if _waits_for_data(job, busy):
            return Clear("it waits for data: input-bound judges it")
        return _finding(job, scene, process, gpus, (cpu, thread, busy, host))
    return CLEAR


def _waits_for_data(job: JobSubject, busy: float) -> bool:
    steps = steps_of(job, WINDOW) if attached(job) else None
    return steps is not None and steps.data_share >= 0.5 * (1 - busy) and steps.data_share >= 0.05


def _finding(
    job: JobSubject, scene: Scene, process: ProcessSubject, gpus: list[GpuSubject], shares: tuple[float, float | None, float, float]
) -> Finding:
    cpu, thread, busy, host = shares
    waste, pid = (1 - busy) * fractions(gpus), process.facts.pid
    shown = thread if thread is not None else min(1.0, cpu)
    server = ("vllm serve … --api-server-count 4",) if serves(job) and job.facts.engine == "vllm" else ()
    return Finding(
        name="waits for one thread",
        title=f"One thread of {who(process)} uses {percent(shown)} of a core while its GPU is busy {percent(busy)} of the time.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM if thread is not None else Confidence.LOW,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("busiest thread, cores" if thread is not None else "process, cores", f"{shown:.2f}", "0.95", "/proc"),
            Evidence("GPU busy, mean", percent(busy), percent(scene.limits.of(ID, "busy_high")), "GPM or NVML utilization"),
            Evidence("CPU of the host", percent(host), percent(scene.limits.of(ID, "host_cpu")), "/proc/stat"),
        ),
        gpus=tuple(gpu.id for gpu in gpus),
        waste_gpus=waste,
        how=f"Time x (1 - busy share {busy:.2f}) x its GPUs, an upper bound.",
        try_first=(*server, f"py-spy top --pid {pid}", f"py-spy record --pid {pid} --duration 30 -o gpuwatch-flame.svg"),
        then="no .item(), .cpu() or print(loss) in every step; vectorise what prepares the data; step environments in other processes",
        gain=f"up to {waste:.1f} GPU; often 1.2 to 3 times, to the next limit",
        gain_source="this GPU's own busy share; the factor from experience, not measured here",
        wrong_if=("the thread only spins while it waits for the GPU", "it steps the environment of a reinforcement learning run"),
        bucket=Bucket.WAIT,
        cause=Cause.HOST,
        measured=1 - busy,
        sql=of_gpus("utilization_ratio, quiet_seconds, observed_seconds", gpus, WINDOW),
    )
