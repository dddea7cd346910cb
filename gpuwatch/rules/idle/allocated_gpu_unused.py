"""A5: a job that does not use all of its GPUs."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.holders import command_of, quiet_share, settled
from gpuwatch.rules.observed import fractions
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gpus as numbers
from gpuwatch.rules.words import percent, span
from gpuwatch.visible import named_gpus

ID = "allocated-gpu-unused"


@rule(
    ID,
    "A5",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=900,
    bucket=Bucket.ALLOCATED_UNUSED,
    limits=(
        ("quiet_seconds", 900, "seconds", "S13 vendor", "a GPU of the job is quiet in one run of"),
        ("sibling_active", 0.25, "ratio", "S13 vendor", "while another one is active in this share of the time"),
        ("exempt_used_share", 1.0, "ratio", "S13 vendor", "silent if at least this share of the job's GPUs is used; 1 is never"),
    ),
)
def allocated_gpu_unused(job: JobSubject, scene: Scene) -> Verdict:
    """A job has several GPUs and leaves some of them alone.

    Fires when at least one GPU of a job with two or more stays quiet for 15 minutes while another one is active in a quarter of them. A
    job's GPUs are those that its processes hold and those that CUDA_VISIBLE_DEVICES names to them, if nobody else holds them (its numbers
    say which only on a host of equal GPUs, outside of containers and of schedulers). A whole job that is quiet is
    gpu-memory-held-idle's.

    Waste: the unused GPUs x the time.
    Try: start one process for each GPU, or ask for fewer GPUs; look whether the code is pinned to cuda:0.
    Gain: unused / all of the job's GPU-hours.
    May be wrong if the GPUs come into play later (a pipeline that warms up) or an evaluation runs on one of them.
    Sources: S12, S13; Princeton's "GPU not used" notes.
    """
    mine = job_gpus(job, scene)
    if len(mine) < 2:
        return CLEAR
    quiet = scene.limits.of(ID, "quiet_seconds")
    judged = settled(mine[0].series, scene, job.on_gpus, quiet)
    if isinstance(judged, NotEvaluated):
        return judged
    if any(gpu.now is None or not gpu.now.known_ms for gpu in mine):
        return NotEvaluated("of one of its GPUs it is not known whether it is quiet", "gpuwatch doctor")
    unused = [gpu for gpu in mine if gpu.now is not None and gpu.now.quiet_run_ms >= 1000 * quiet]
    active = max((1 - (quiet_share(gpu, quiet) or 0) for gpu in mine if gpu not in unused), default=0.0)
    if not unused or active < Bounds(scene, ID, job).least("sibling_active"):
        return CLEAR
    used = len(mine) - len(unused)
    exempt = scene.limits.of(ID, "exempt_used_share")
    if exempt < 1 and used / len(mine) >= exempt:
        return Clear(f"{used} of {len(mine)} GPUs are used: enough by the configuration")
    return _finding(job, scene, mine, unused, active)


def job_gpus(job: JobSubject, scene: Scene) -> list[GpuSubject]:
    """Those that its processes hold, and those that they were given and nobody holds."""
    found = {gpu.id: gpu for gpu in job.gpus}
    whole, named = [gpu.gpu for gpu in scene.gpus.values()], set[str]()
    for process in job.on_gpus if any(p.facts.visible_gpus for p in job.on_gpus) else ():
        facts, held = process.facts, [scene.gpus[i].gpu.uuid for i in process.gpu_ids if i in scene.gpus]
        named |= named_gpus(facts.visible_gpus, held, whole, container=facts.container, job=facts.job)
    for gpu in scene.gpus.values() if named else ():
        if gpu.gpu.uuid in named and not gpu.gpu.mig_enabled and gpu.id not in found and not scene.holders(gpu):
            found[gpu.id] = gpu
    return [found[i] for i in sorted(found)]


def _finding(job: JobSubject, scene: Scene, mine: list[GpuSubject], unused: list[GpuSubject], active: float) -> Finding:
    count, used = len(mine), len(mine) - len(unused)
    identity = job.facts.job or next((p.facts.visible_gpus for p in job.on_gpus if p.facts.visible_gpus), "")
    runs = [gpu.now.quiet_run_ms for gpu in unused if gpu.now is not None]
    ages = [scene.age_seconds(p) for p in job.on_gpus]
    since = min(min(runs) / 1000, max(ages, default=min(runs) / 1000))
    waste, command = fractions(unused), command_of(job.on_gpus, job)
    script = command.removeprefix("python3 ").removeprefix("python ")
    limit = scene.limits.of(ID, "quiet_seconds")
    return Finding(
        name="GPUs not used",
        title=f"This job uses {used} of its {count} GPUs: {numbers(unused)} did nothing for {span(since)}.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH if identity else Confidence.MEDIUM,
        basis=Basis.MEASURED if identity else Basis.INFERRED,
        evidence=(
            Evidence(f"quiet without a break, {numbers(unused)}", span(since), span(limit), "NVML utilization"),
            Evidence(
                "active, the busiest other GPU", percent(active), percent(scene.limits.of(ID, "sibling_active")), "NVML utilization"
            ),
            Evidence("GPUs of the job", str(count), "2", identity or "its process tree"),
        ),
        gpus=tuple(gpu.id for gpu in unused),
        waste_gpus=waste,
        how=f"{len(unused)} unused GPUs x the time that they have been quiet.",
        try_first=(f"torchrun --nproc_per_node={count} {script}", f"accelerate launch --num_processes {count} {script}"),
        then=f"or ask for fewer (--gres=gpu:{used}); look whether the code is pinned to cuda:0",
        gain=("" if identity else "up to ") + f"{len(unused)} of {count} of the job's GPU-hours",
        gain_source="the job's own GPUs",
        wrong_if=("the other GPUs come into play later (a pipeline that warms up)", "an evaluation runs on one GPU"),
        bucket=Bucket.ALLOCATED_UNUSED,
        measured=len(unused) / count,
        since_ms=scene.t_ms - round(since * 1000),
        cost_gpu_seconds=waste * since,
        sql=of_gpus("quiet_seconds, context_seconds, observed_seconds", mine, max(since, 3600)),
    )
