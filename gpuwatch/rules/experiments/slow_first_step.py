"""I1: a run that takes long until its first step."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.experiments.runs import held
from gpuwatch.rules.looks import GpuLook
from gpuwatch.rules.queries import is_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gpu_hours, percent, span

ID = "slow-first-step"
ACTIVE = 0.3
SUSTAINED = 60
LONGEST = 7200


@rule(
    ID,
    "I1",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=1200,
    bucket=Bucket.OVERHEAD,
    limits=(
        ("notice_seconds", 600, "seconds", "pragmatic", "from start to first step"),
        ("warning_seconds", 1200, "seconds", "S16 vendor", "a warning from here on"),
        ("told_seconds", 1800, "seconds", "pragmatic", "it is told for so long after its first step"),
    ),
)
def slow_first_step(job: JobSubject, scene: Scene) -> Verdict:
    """A training takes more than ten minutes from its start to its first step, and its GPUs wait.

    Measured (hook): first step - start of the process; while there is none, the time since the start. Inferred: the time until one of its GPUs
    is 30 % busy for a minute. A notice from 10 minutes on, a warning from 20; told for half an hour after the first step.

    Waste: that time times its GPUs.
    Try: models and data on a local disk, faster loaders (safetensors), a compile cache that stays, indices built before on the CPU.
    Gain: up to that time, in each start.
    May be wrong where a checkpoint is huge, or where data is prepared on purpose before the first step.
    Sources: S9 (Google's badput), S16 (SageMaker: 20 minutes).
    """
    if job.facts.kind != "training":
        return Clear("no training")
    run = job.facts.run
    first_ms, started_ms = _first_step(job), _started(job)
    if started_ms is not None and (first_ms is not None or job.facts.ranks):
        if run is not None and run.ended_ms is not None and first_ms is None:
            return Clear("it ended before its first step")
        until = first_ms if first_ms is not None else scene.t_ms
        seconds, waiting, basis = (until - started_ms) / 1000, first_ms is None, Basis.MEASURED
        since_ms = started_ms
    else:
        if not job.gpus or not job.on_gpus:
            return Clear("it holds no GPU")
        if any(_worked(gpu.series.looks(LONGEST)) for gpu in job.gpus):
            return CLEAR
        if any(gpu.series.known("busy", SUSTAINED) < 0.5 for gpu in job.gpus):
            return NotEvaluated("neither utilization nor GPM tells how busy its GPUs are", "gpuwatch doctor")
        since_ms = min(process.facts.start_ms for process in job.on_gpus)
        first = [gpu.series.first_ms for gpu in job.gpus]
        if any(start is None or start > since_ms + 60_000 for start in first):
            return NotEvaluated("its start was not seen, and it has no hook", "gpuwatch run COMMAND")
        age = (scene.t_ms - since_ms) / 1000
        seconds, waiting, basis = age, True, Basis.INFERRED
        until = scene.t_ms
    if seconds < scene.limits.of(ID, "notice_seconds"):
        return CLEAR
    if not waiting and scene.t_ms - until > 1000 * scene.limits.of(ID, "told_seconds"):
        return Clear("it was told")
    return _finding(job, scene, seconds, since_ms, waiting, basis)


def _first_step(job: JobSubject) -> int | None:
    """When its first rank made its first step."""
    run, ranks = job.facts.run, [rank.first_step_ms for rank in job.facts.ranks if rank.first_step_ms is not None]
    return run.first_step_ms if run is not None and run.first_step_ms is not None else min(ranks, default=None)


def _started(job: JobSubject) -> int | None:
    """When it was started: by its run, else by the oldest of its ranks that are there."""
    if job.facts.run is not None:
        return job.facts.run.started_ms
    return min((rank.process.facts.start_ms for rank in job.ranks if rank.process is not None), default=None)


def _worked(looks: list[GpuLook]) -> bool:
    """Whether it was active for a minute without a break."""
    active = 0
    for look in looks:
        active = active + look.ms if (look.busy or 0.0) >= ACTIVE else 0
        if active >= SUSTAINED * 1000:
            return True
    return False


def _finding(job: JobSubject, scene: Scene, seconds: float, since_ms: int, waiting: bool, basis: Basis) -> Finding:
    amount = held(job, scene)
    warned = seconds >= scene.limits.of(ID, "warning_seconds")
    limit = scene.limits.of(ID, "warning_seconds" if warned else "notice_seconds")
    cost = None if amount is None else amount * seconds
    starting = sum(total for rank in job.ranks if (total := rank.series.total("starting", LONGEST)) is not None) / max(
        1, len(job.ranks)
    )
    measured = basis is Basis.MEASURED
    title = (
        f"{job.label} started {span(seconds)} ago, and its GPUs have not been {percent(ACTIVE)} busy for a minute yet."
        if not measured
        else f"{job.label} has run for {span(seconds)} without a first step."
        if waiting
        else f"{job.label} took {span(seconds)} to its first step."
    )
    return Finding(
        name="slow start",
        title=title,
        severity=Severity.WARNING if warned else Severity.NOTICE,
        confidence=Confidence.HIGH if measured else Confidence.MEDIUM,
        basis=basis,
        evidence=(
            Evidence(
                "from start to first step" if measured else "from its start, without a busy minute",
                span(seconds),
                span(limit),
                "hook" if measured else "NVML utilization",
            ),
            Evidence("of it, before the loop began", span(starting) if starting else "–", "–", "hook"),
            Evidence("GPUs that waited", "–" if amount is None else f"{amount:g}", "–", "NVML processes"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=amount if waiting else None,
        how="The time from its start to its first step times its GPUs" + (f": {gpu_hours(cost)}." if cost is not None else "."),
        try_first=("TORCHINDUCTOR_CACHE_DIR=A_DIRECTORY_THAT_STAYS", "HF_HOME=ON_A_LOCAL_DISK"),
        then="safetensors in place of pickled weights; indices of the data built before, on the CPU; containers pulled before",
        gain=("" if measured else "up to ") + f"{span(seconds)} times its GPUs in each start",
        gain_source="this run's own start; SageMaker warns from 20 minutes on (S16)",
        wrong_if=("its checkpoint is huge", "it prepares its data on purpose before the first step"),
        bucket=Bucket.OVERHEAD,
        measured=None,
        since_ms=since_ms,
        cost_gpu_seconds=cost,
        sql=f"SELECT started_ms, first_step_ms, first_step_seconds FROM v_run WHERE {is_job(job)}",
    )
