"""C3: room for a larger batch."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.holders import hangs, preallocates, settled
from gpuwatch.rules.observed import fractions, mean_of
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.steps import attached
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.wait_causes import part_of_time
from gpuwatch.rules.words import percent

ID = "small-batch-headroom"
WINDOW = 1800


class _Filled(NamedTuple):
    """How full the GPUs are by the best signal: what it is, its mean, the limit, its source, and the part of the time that is not used."""

    what: str
    value: float
    limit: float
    source: str
    unused: float
    basis: Basis


@rule(
    ID,
    "C3",
    "job",
    phase=1,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    bucket=Bucket.EMPTY_SM,
    limits=(
        ("memory", 0.50, "ratio", "S16 vendor", "95th percentile of memory below"),
        ("sm", 0.60, "ratio", "S14 vendor", "SM activity below"),
        ("utilization", 0.70, "ratio", "S16 vendor", "or the 95th percentile of utilization below"),
        ("power", 0.50, "ratio", "pragmatic", "or, without GPM, power fraction below"),
        ("dram", 0.60, "ratio", "S14 vendor", "silent where DRAM activity is at least"),
        ("recoverable", 0.5, "ratio", "pragmatic", "the part of the unused SM time that a larger batch is assumed to fill"),
        ("evaluation", 0.30, "ratio", "pragmatic", "silent where evaluation takes at least"),
    ),
)
def small_batch_headroom(job: JobSubject, scene: Scene) -> Verdict:
    """A training leaves memory and SMs unused: a larger batch may fit.

    Fires for trainings when over 30 minutes the 95th percentile of memory is below 50 % of each GPU, and SM activity is below 60 % (or the
    95th percentile of utilization below 70 %, or, without GPM, the power fraction below 50 %), and the training does not wait for input.
    Frameworks that take all memory at their start (JAX, TensorFlow) are not judged.

    Waste: time x busy share x (1 - SM activity / busy share) x 1/2: half of it is assumed to be recoverable.
    Try: twice the batch of a GPU; keep the whole batch by half the accumulation, and tune the learning rate again.
    Gain: 20 to 30 % are reported for fuller batches and less accumulation (S20); dropping gradient checkpointing gives 20 to 25 %.
    May be wrong because the batch is a choice of modelling: contrastive losses, reinforcement learning, evaluation loops.
    Sources: S1, S16, S20.
    """
    if job.facts.kind != "training" or not job.gpus:
        return CLEAR
    if preallocates(job.on_gpus, (job,)):
        return Clear("its framework takes memory without needing it: memory says nothing")
    if hangs(scene, (job,)):
        return Clear("no step ends: busy-but-no-progress judges it")
    seconds = settled(job.gpus[0].series, scene, job.on_gpus, WINDOW)
    if isinstance(seconds, NotEvaluated):
        return seconds
    memory = [_memory(gpu, job, seconds) for gpu in job.gpus]
    if any(value is None for value in memory):
        return NotEvaluated("GPU memory in use", "gpuwatch doctor")
    most = max(value for value in memory if value is not None)
    bounds = Bounds(scene, ID, job)
    if most >= bounds.most("memory"):
        return CLEAR
    if (part_of_time(job, "evaluation", seconds) or 0.0) >= bounds.most("evaluation"):
        return Clear("it evaluates for a large part of the time")
    waits = part_of_time(job, "data", 300)
    if scene.is_open("input-bound", job) or (waits is not None and waits >= 0.20):
        return Clear("it waits for input: input-bound judges it")
    if (mean_of(job.gpus, "dram", seconds) or 0.0) >= bounds.most("dram"):
        return Clear("bound by memory")
    busy = mean_of(job.gpus, "busy", seconds)
    if busy is None:
        return NotEvaluated("neither utilization nor GPM tells how busy its GPUs are", "gpuwatch doctor")
    filled = _filled(job, bounds, seconds, busy)
    if isinstance(filled, NotEvaluated):
        return filled
    return CLEAR if filled is None else _finding(job, scene, filled, most)


def _memory(gpu: GpuSubject, job: JobSubject, seconds: float) -> float | None:
    """The 95th percentile of the memory that it needs, of the whole: by the allocator where the hook tells it."""
    total = gpu.gpu.memory_total_bytes
    reserved = [r.series.highest("reserved", seconds) for r in attached(job) if r.facts.gpu_uuid == gpu.gpu.uuid]
    known = [value for value in reserved if value is not None]
    if known and total:
        return max(known) / total
    used = sorted(look.memory_used for look in gpu.series.looks(seconds) if look.memory_used is not None)
    return used[min(len(used) - 1, int(0.95 * len(used)))] / total if used and total else None


def _filled(job: JobSubject, bounds: Bounds, seconds: float, busy: float) -> _Filled | NotEvaluated | None:
    limit = bounds.plain
    sm = mean_of(job.gpus, "sm", seconds)
    if sm is not None:
        if sm >= bounds.most("sm"):
            return None
        return _Filled("SM activity", sm, limit("sm"), "GPM", max(0.0, busy - sm), Basis.INFERRED)
    tops = [gpu.series.utilization_quantile(0.95, seconds) for gpu in job.gpus]
    top = max((value for value in tops if value is not None), default=None)
    if top is not None and top < bounds.most("utilization"):
        return _Filled("utilization, 95th percentile", top, limit("utilization"), "NVML utilization", 1 - busy, Basis.INFERRED)
    power = mean_of(job.gpus, "power_fraction", seconds)
    if power is None:
        return NotEvaluated("SM activity (GPM: Hopper or newer), or power and its limit", "gpuwatch doctor")
    if power >= bounds.most("power"):
        return None
    return _Filled("power fraction above the idle floor", power, limit("power"), "NVML power", busy * (1 - power), Basis.PROXY)


def _finding(job: JobSubject, scene: Scene, filled: _Filled, memory: float) -> Finding:
    half = scene.limits.of(ID, "recoverable")
    waste = filled.unused * half * fractions(job.gpus)
    return Finding(
        name="room for a larger batch",
        title=f"{job.label} needs {percent(memory)} of the GPU memory and has {percent(filled.value)} {filled.what}: a larger batch may fit.",
        severity=Severity.NOTICE,
        confidence=Confidence.MEDIUM if filled.basis == Basis.INFERRED else Confidence.LOW,
        basis=filled.basis,
        evidence=(
            Evidence("GPU memory, 95th percentile", percent(memory), percent(scene.limits.of(ID, "memory")), "NVML memory, hook"),
            Evidence(filled.what, percent(filled.value), percent(filled.limit), filled.source),
            Evidence("data wait", percent(part_of_time(job, "data", 300)), percent(0.20), "hook"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=waste,
        how=f"Unused part of the time x {half:g}: half of it is assumed to be recoverable.",
        try_first=("per_device_train_batch_size *= 2; gradient_accumulation_steps //= 2",),
        then="drop gradient checkpointing where memory allows (20 to 25 %); tune the learning rate again; or pack several runs on one GPU",
        gain=f"up to {waste:.1f} GPU; 20 to 30 % more throughput are reported",
        gain_source="fuller batches and less accumulation, ml-engineering (S20)",
        wrong_if=("the batch is a choice of modelling", "a contrastive loss, reinforcement learning, or an evaluation"),
        bucket=Bucket.EMPTY_SM,
        measured=1 - filled.value,
        sql=of_gpus("memory_used_max_bytes, sm_active_ratio, utilization_ratio, power_watts", list(job.gpus), WINDOW),
    )
