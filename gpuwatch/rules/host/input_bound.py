"""B1: a training that waits for its data."""

from __future__ import annotations

from gpuwatch.names import Bucket, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.holders import command_of, interactive, serves, settled
from gpuwatch.rules.host.input_finding import inferred_finding, measured_finding, wasted_share
from gpuwatch.rules.host.loaders import main_cpu, worker_cpu
from gpuwatch.rules.observed import mean_of, unseen
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.steps import ENABLE, Steps, attached, steps_of
from gpuwatch.rules.types import CLEAR, Clear, NotEvaluated, Verdict

ID = "input-bound"
_BUSY_ENOUGH = 0.80


@rule(
    ID,
    "B1",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=300,
    bucket=Bucket.WAIT,
    limits=(
        ("share", 0.05, "ratio", "S17 vendor", "data wait / step time: a notice from here"),
        ("warning_share", 0.20, "ratio", "S17 vendor", "a warning from here"),
        ("clear_share", 0.03, "ratio", "pragmatic", "it clears below"),
        ("least_waste", 0.02, "ratio", "pragmatic", "of the GPUs' time; a wait behind which the GPU works costs nothing"),
        ("seconds", 300, "seconds", "S17 vendor", "the window, longer where it has too few steps"),
        ("steps", 50, "count", "S17 vendor", "so many steps are judged at least"),
        ("inferred_seconds", 1800, "seconds", "S16 vendor", "the window without a hook"),
        ("inferred_wait", 0.20, "ratio", "pragmatic", "without a hook: not busy for this share"),
        ("high", 0.70, "ratio", "S16 vendor", "without a hook: the 95th percentile of utilization is at least"),
        ("low", 0.10, "ratio", "S16 vendor", "and the 5th percentile below"),
        ("worker_cpu", 0.85, "cores", "S16 vendor", "and each loader worker uses this much of a core"),
        ("main_cpu_low", 0.90, "cores", "pragmatic", "or, without workers, the main process from here"),
        ("main_cpu_high", 1.10, "cores", "pragmatic", "to here"),
    ),
)
def input_bound(job: JobSubject, scene: Scene) -> Verdict:
    """A training waits for its data.

    Measured, by the hook: the time that steps wait for data over the time of steps (without compiling, checkpoints, evaluation) is at least
    5 % (a notice) or 20 % (a warning) over 50 steps and 5 minutes, and the GPUs are not busy meanwhile. Clears below 3 %.

    Inferred, without the hook: over 30 minutes utilization swings between 70 % and 10 %, a fifth of the time is not busy, and either the
    loader workers use 85 % of a core each, or there are none and the main process uses one core, or slow-storage-or-swap holds.
    Without either it is not evaluated, unless the GPUs are busy for 80 % of the time.

    Waste: measured, time x min(data wait share x the share of the time with steps, 1 - busy); inferred, time x (1 - busy), "up to".
    Try: more loader workers that stay alive and read ahead, pinned memory and copies that do not block; then data that is tokenised or
    decoded before, in shards; then decoding on the GPU (DALI). More workers than cores make it worse.
    Gain: at most 1 / (1 - share); in a synthetic benchmark a step fell from 5.39 to 0.84 from 0 to 3 workers (S20).
    May be wrong if the workers wait for storage, or the job has no more cores.
    Sources: S1 (46 % of the issues found), S16, S17, S20.
    """
    if serves(job):
        return Clear("a server: its waits are for requests")
    if attached(job):
        seconds = scene.limits.of(ID, "seconds")
        found = steps_of(job, seconds, scene.limits.of(ID, "steps"))
        if found is not None:
            return unseen(attached(job)[0].series, seconds) or _measured(job, scene, found)
    return _inferred(job, scene)


def _measured(job: JobSubject, scene: Scene, steps: Steps) -> Verdict:
    least = scene.limits.of(ID, "steps")
    if steps.steps < least:
        return NotEvaluated(f"it has done {steps.steps:.0f} of the {least:.0f} steps that are judged")
    first = scene.limits.of(ID, "clear_share" if scene.is_open(ID, job) else "share")
    busy = mean_of(job.gpus, "busy", steps.seconds)
    wasted = wasted_share(steps, busy)
    if steps.data_share < first or wasted < scene.limits.of(ID, "least_waste"):
        return CLEAR
    warning = scene.limits.of(ID, "warning_share")
    severity = Severity.WARNING if steps.data_share >= warning and wasted >= 0.10 else Severity.NOTICE
    return measured_finding(job, scene, steps, busy, severity, warning if severity == Severity.WARNING else first)


def _inferred(job: JobSubject, scene: Scene) -> Verdict:
    if not job.gpus or interactive(job.on_gpus):
        return CLEAR
    bounds, seconds = Bounds(scene, ID, job), scene.limits.of(ID, "inferred_seconds")
    series = job.gpus[0].series
    usable = settled(series, scene, job.on_gpus, seconds)
    if isinstance(usable, NotEvaluated):
        return usable
    busy = mean_of(job.gpus, "busy", usable)
    if busy is not None and busy >= _BUSY_ENOUGH:
        return Clear("its GPUs are busy")
    unread: Verdict = NotEvaluated("the run is not attached: no step or data-wait times", ENABLE + command_of(job.on_gpus, job))
    if job.facts.kind != "training" and not any("python" in f"{p.facts.name} {p.facts.command}" for p in job.on_gpus):
        unread = Clear("no Python that could be asked")
    high, low = series.utilization_quantile(0.95, usable), series.utilization_quantile(0.05, usable)
    if busy is None or high is None or low is None:
        return unread
    if 1 - busy < bounds.least("inferred_wait") or high < bounds.least("high") or low >= bounds.most("low"):
        return unread
    workers, main = worker_cpu(job, usable), main_cpu(job, usable)
    by_workers = workers is not None and workers >= bounds.least("worker_cpu")
    alone = not job.workers and main is not None and bounds.least("main_cpu_low") <= main <= bounds.most("main_cpu_high")
    if not by_workers and not alone and not scene.is_open("slow-storage-or-swap", job):
        return unread
    return inferred_finding(job, scene, usable, busy, (low, high), bounds.plain("worker_cpu"))
