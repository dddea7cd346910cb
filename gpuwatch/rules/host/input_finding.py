"""What input-bound says: measured by the hook, or inferred from outside."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.holders import command_of
from gpuwatch.rules.host.loaders import crowded, loader_line, main_cpu, worker_cpu
from gpuwatch.rules.observed import fractions
from gpuwatch.rules.queries import of_gpus, of_job
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.steps import ENABLE, Steps, attached
from gpuwatch.rules.types import Evidence, Finding
from gpuwatch.rules.words import gpus as numbers
from gpuwatch.rules.words import percent, span

_BENCHMARK = "a loader benchmark, 0 to 3 workers: 5.39 to 0.84 a step (synthetic data, S20)"


def wasted_share(steps: Steps, busy: float | None) -> float:
    """The share of the GPUs' time that waiting for data takes: no more than that in which they were not busy."""
    share = steps.data_share * steps.stepping
    return share if busy is None else min(share, 1 - busy)


def measured_finding(job: JobSubject, scene: Scene, steps: Steps, busy: float | None, severity: Severity, limit: float) -> Finding:
    """The share of each step that waits for data, by the hook in every rank."""
    share, ranks = steps.data_share, len(attached(job))
    wasted, each = wasted_share(steps, busy), steps.each(ranks)
    whole = fractions(job.gpus)
    times = f", {each * share:.2f} of {each:.2f} s a step" if each is not None else ""
    better = f", step {each:.2f} → {each * (1 - share):.2f} s at best" if each is not None else ""
    amount = wasted * whole if job.gpus else None
    while_stepping = f" x the {percent(steps.stepping)} of the time with steps" if steps.stepping < 0.995 else ""
    return Finding(
        name="waits for input",
        title=f"{percent(share)} of each training step of {job.label} waits for data.",
        severity=severity,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence(f"data wait{times}", percent(share), percent(limit), "hook"),
            _loaders(job, scene, steps.seconds),
            Evidence(
                f"GPU busy, mean of {numbers(job.gpus)}" if job.gpus else "GPU busy", percent(busy), "–", "GPM or NVML utilization"
            ),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=amount,
        how=f"Sum of data wait ÷ sum of step time{while_stepping}, capped by the share of time the GPUs were not busy"
        + (f": {whole:g} GPU × {percent(wasted)} = {amount:.2f} GPU." if amount is not None else "."),
        try_first=_try(job, scene),
        then=_then(job, scene),
        gain=(f"{amount:.1f} GPU" if amount is not None else f"{percent(share)} of each step")
        + f"{better} = 1 ÷ (1 - {share:.2f})",
        gain_source=f"this run's own wait share; {_BENCHMARK}",
        wrong_if=_wrong_if(scene, steps.seconds),
        bucket=Bucket.WAIT,
        cause=Cause.INPUT,
        measured=share,
        since_ms=scene.t_ms - round(steps.seconds * 1000),
        sql=of_job("data_wait_seconds, forward_seconds, backward_seconds, optimizer_seconds, other_seconds", job, steps.seconds),
    )


def inferred_finding(
    job: JobSubject, scene: Scene, seconds: float, busy: float, swing: tuple[float, float], worker_limit: float
) -> Finding:
    """The GPUs come and go while the processes that prepare the data are at their limit."""
    whole, workers = fractions(job.gpus), job.workers
    main = main_cpu(job, seconds)
    who = (
        Evidence(
            f"CPU of the {len(workers)} loader workers, mean", percent(worker_cpu(job, seconds)), percent(worker_limit), "/proc"
        )
        if workers
        else Evidence("CPU of the main process, no workers", percent(main), "90% to 110%", "/proc")
    )
    return Finding(
        name="waits for input",
        title=f"{job.label} leaves {numbers(job.gpus)} without work up to {percent(1 - busy)} of the time, while its loading is at its limit.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("GPU busy, mean", percent(busy), percent(0.8), "GPM or NVML utilization"),
            Evidence(
                "utilization, 5th to 95th percentile",
                f"{percent(swing[0])} to {percent(swing[1])}",
                "10% to 70%",
                "NVML utilization",
            ),
            who,
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=(1 - busy) * whole,
        how=f"{whole:g} GPU × (1 - busy share {busy:.2f}), an upper bound: the hook would tell the wait itself.",
        try_first=(*_try(job, scene), ENABLE + command_of(job.on_gpus, job)),
        then=_then(job, scene),
        gain=f"up to {(1 - busy) * whole:.1f} GPU",
        gain_source=_BENCHMARK,
        wrong_if=(*_wrong_if(scene, seconds), "the pauses are checkpoints, evaluation, or other ranks"),
        bucket=Bucket.WAIT,
        cause=Cause.INPUT,
        measured=1 - busy,
        since_ms=scene.t_ms - round(seconds * 1000),
        sql=of_gpus("utilization_ratio, quiet_seconds, observed_seconds", list(job.gpus), seconds),
    )


def _loaders(job: JobSubject, scene: Scene, seconds: float) -> Evidence:
    if job.workers:
        return Evidence(f"CPU of the {len(job.workers)} loader workers, mean", percent(worker_cpu(job, seconds)), "85%", "/proc")
    return Evidence("CPU of the main process, no workers seen", percent(main_cpu(job, seconds)), "–", "/proc")


def _try(job: JobSubject, scene: Scene) -> tuple[str, ...]:
    copies = "batch = batch.to(device, non_blocking=True)"
    if crowded(job, scene):
        return (f'dataset.map(prepare, num_proc={scene.host_facts.cpu_count}).save_to_disk("prepared")', copies)
    return (loader_line(job, scene), copies)


def _then(job: JobSubject, scene: Scene) -> str:
    if crowded(job, scene):
        return "it has as many workers as cores: pre-decode, pre-tokenise or shard the data, or decode on the GPU (DALI)"
    return "pre-decode, pre-tokenise or shard the data; decode on the GPU (DALI)"


def _wrong_if(scene: Scene, seconds: float) -> tuple[str, ...]:
    disk, cpu, cores = scene.host.mean("disk_read", seconds), scene.host.mean("cpu", seconds), scene.host_facts.cpu_count
    read = f" (disk read {disk / 1e6:.0f} MB/s over {span(seconds)})" if disk is not None else ""
    idle = f" ({(1 - cpu) * cores:.0f} of {cores} host cores idle)" if cpu is not None and cores else ""
    return (f"the workers wait for storage, not for CPU{read}", f"the job has no spare cores{idle}")
