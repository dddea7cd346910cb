"""E2: GPUs of one job with different amounts of work."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.balance.roles import is_reinforcement, mixed
from gpuwatch.rules.observed import unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.statistics import variation
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import GIB, gib, gpus, percent

ID = "rank-imbalance"
WINDOW = 1800
_SERVER = {
    "vllm": ("--enable-expert-parallel --enable-eplb   # mixture of experts",),
    "sglang": ("--enable-eplb   # mixture of experts, with --ep-size",),
}
_TRAINING = ("sampler = DistributedSampler(dataset, drop_last=True)", "batches of sequences of like length (bucketing)")


@rule(
    ID,
    "E2",
    "job",
    phase=2,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(
        ("variation", 0.25, "ratio", "S16 vendor", "standard deviation over mean of busy time (SM activity where GPM tells it)"),
        ("clear_variation", 0.18, "ratio", "pragmatic", "it clears below"),
        ("memory", 1.5, "ratio", "pragmatic", "or most over least memory in use"),
        ("clear_memory", 1.35, "ratio", "pragmatic", "it clears below"),
        ("least_busy", 0.05, "ratio", "pragmatic", "a GPU that does less than this is not used at all"),
        ("quiet_seconds", 300, "seconds", "pragmatic", "nor is one that is quiet for so long at a stretch"),
    ),
)
def rank_imbalance(job: JobSubject, scene: Scene) -> Verdict:
    """The GPUs of a job have different amounts of work, and those with less wait.

    Fires when busy time (SM activity where it is known) varies by more than 25 % over the job's GPUs for 30 minutes and no single rank is why,
    or when one GPU of a training has 1.5 times the memory of another.

    Waste: the sum of what each GPU lacks of the busiest; none for memory.
    Try: a pipeline's stages split anew, more micro-batches; experts balanced (a balancer, a capacity factor); batches by length.
    Gain: up to that sum.
    May be wrong where GPUs are meant to differ; rollout and learner, prefill and decode are left out by their command lines.
    Sources: S6 (ByteDance), S16.
    """
    if len(job.gpus) < 2:
        return Clear("one GPU")
    if is_reinforcement(job) or mixed(job) or scene.is_open("rollout-learner-idle", job):
        return Clear("its GPUs have different roles")
    if scene.is_open("rank-straggler", job):
        return Clear("one rank is why: rank-straggler tells it")
    for gpu in job.gpus:
        if (gap := unseen(gpu.series, WINDOW)) is not None:
            return gap
    name = "sm" if all(gpu.series.known("sm", WINDOW) >= 0.5 for gpu in job.gpus) else "busy"
    loads = [gpu.series.mean(name, WINDOW) for gpu in job.gpus]
    busy = [load for load in loads if load is not None]
    if len(busy) < len(loads):
        return NotEvaluated("utilization of its GPUs")
    if min(busy) < scene.limits.of(ID, "least_busy"):
        return Clear("a GPU of it is not used: allocated-gpu-unused judges it")
    longest = max(gpu.series.highest("quiet_run_ms", WINDOW) or 0 for gpu in job.gpus)
    if longest >= 1000 * scene.limits.of(ID, "quiet_seconds"):
        return Clear("a GPU of it did nothing for a while: allocated-gpu-unused judges it")
    opened = scene.is_open(ID, job)
    varies = variation(busy)
    if varies > scene.limits.of(ID, "clear_variation" if opened else "variation"):
        return _finding(job, scene, busy, varies, name)
    memory = [gpu.series.mean("memory_used", WINDOW) for gpu in job.gpus]
    known = [amount for amount in memory if amount is not None and amount > GIB]
    if job.facts.kind == "training" and len(known) == len(memory):
        ratio = max(known) / min(known)
        if ratio > scene.limits.of(ID, "clear_memory" if opened else "memory"):
            return _finding(job, scene, busy, varies, name, known)
    return CLEAR


def _finding(
    job: JobSubject, scene: Scene, busy: list[float], varies: float, name: str, memory: list[float] | None = None
) -> Finding:
    most, least = max(busy), min(busy)
    fullest = job.gpus[busy.index(most)]
    waste = sum((most - load) * gpu.gpu.compute_fraction for load, gpu in zip(busy, job.gpus, strict=True))
    title = (
        f"One GPU of {job.label} holds {gib(max(memory))}, another {gib(min(memory))}."
        if memory
        else f"{gpus([fullest])} of {job.label} is {percent(most)} busy, another {percent(least)}: those with less work wait."
    )
    what = "SM activity" if name == "sm" else "busy time"
    advice = _SERVER.get(job.facts.engine, ("fewer GPUs, or another split",)) if job.facts.kind == "inference" else _TRAINING
    return Finding(
        name="uneven ranks",
        title=title,
        severity=Severity.NOTICE,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence(
                f"variation of {what}",
                percent(varies),
                percent(scene.limits.of(ID, "variation")),
                "GPM" if name == "sm" else "NVML",
            ),
            Evidence(f"{what}, most and least", f"{percent(most)}, {percent(least)}", "–", "GPM" if name == "sm" else "NVML"),
            Evidence(
                "memory, most over least",
                f"{max(memory) / min(memory):.1f}" if memory else "–",
                f"{scene.limits.of(ID, 'memory'):.1f}",
                "NVML",
            ),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None if memory else waste,
        how="No amount for memory." if memory else f"The sum of what each GPU's {what} lacks of the busiest one's.",
        try_first=advice,
        then="a pipeline's stages split anew, more micro-batches; for experts a capacity factor",
        gain="up to a larger batch on all" if memory else f"up to {waste:.2f} GPUs",
        gain_source="the busiest GPU of this job; imbalance is why most jobs straggle (S6)",
        wrong_if=("its GPUs are meant to do different things",),
        bucket=Bucket.WAIT,
        cause=Cause.PEERS,
        measured=min(1.0, varies),
        sql=of_gpus("utilization_ratio, sm_active_ratio, memory_used_bytes", job.gpus, WINDOW),
    )
