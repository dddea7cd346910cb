"""Reinforcement learning: rollout and learner wait for each other in turns."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.balance.alternating import Groups, groups_of
from gpuwatch.rules.balance.roles import is_reinforcement
from gpuwatch.rules.observed import fractions, mean_of, unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gpus, percent

ID = "rollout-learner-idle"
WINDOW = 1800


@rule(
    ID,
    "E6",
    "job",
    phase=2,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(
        ("idle", 0.15, "ratio", "pragmatic", "one of the two groups is idle for this share of the time"),
        ("clear_idle", 0.10, "ratio", "pragmatic", "it clears below"),
        ("notice_idle", 0.30, "ratio", "pragmatic", "a notice from here on, else info"),
        ("together", -0.6, "ratio", "pragmatic", "without roles on the command lines: their loads go against each other (r)"),
    ),
)
def rollout_learner_idle(job: JobSubject, scene: Scene) -> Verdict:
    """In a reinforcement learning job one group of GPUs makes rollouts and another learns from them, and they wait for each other.

    Fires when a job's GPUs fall into two groups, by the words of their command lines (rollout, actor, sampler, an inference engine in a training
    against learner, trainer) or by loads that go against each other (r of -0.6 or less over 30 minutes), and one of them is idle for 15 %
    of the time. Info below 30 %. Waits of such jobs are told here, and not by low-duty-cycle or rank-imbalance.

    Waste: the idle share of each group times its GPUs.
    Try: rollouts one step behind the learner (asynchronous), GPUs moved from the idle group to the other, or both on the same GPUs.
    Gain: up to the smaller of the two idle shares by overlapping, the rest by moving GPUs.
    May be wrong where an algorithm needs the newest weights for each rollout.
    Source: the study's section 6: rollout share, learner idle share.
    """
    if job.facts.kind == "inference" or job.facts.served:
        return Clear("an inference server")
    if len(job.gpus) < 2:
        return Clear("one GPU")
    for gpu in job.gpus:
        if (gap := unseen(gpu.series, WINDOW)) is not None:
            return gap
    least = scene.limits.of(ID, "clear_idle" if scene.is_open(ID, job) else "idle")
    loads = [gpu.series.mean("busy", WINDOW) for gpu in job.gpus]
    if all(load is not None and 1 - load < least for load in loads):
        return Clear("none of its GPUs is idle for long")
    groups = groups_of(job, WINDOW, scene.limits.of(ID, "together"))
    if groups is None:
        if is_reinforcement(job):
            return NotEvaluated("which of its GPUs make rollouts and which learn")
        return Clear("its GPUs do not work in turns")
    first, second = mean_of(groups.first, "busy", WINDOW), mean_of(groups.second, "busy", WINDOW)
    if first is None or second is None:
        return NotEvaluated("utilization of its GPUs")
    if max(1 - first, 1 - second) < least:
        return CLEAR
    return _finding(job, scene, groups, first, second)


def _finding(job: JobSubject, scene: Scene, groups: Groups, first: float, second: float) -> Finding:
    names = ("rollout", "learner") if groups.named else (gpus(groups.first), gpus(groups.second))
    waste = (1 - first) * fractions(groups.first) + (1 - second) * fractions(groups.second)
    idle = max(1 - first, 1 - second)
    overlap = min(1 - first, 1 - second)
    who = f"The learner of {job.label}" if groups.named else f"{gpus(groups.second)} of {job.label}"
    verb = "is" if groups.named or len(groups.second) == 1 else "are"
    other = "rollouts" if groups.named else gpus(groups.first)
    return Finding(
        name="rollout and learner wait",
        title=f"{who} {verb} idle {percent(1 - second)} of the time, and {other} {percent(1 - first)}: they work in turns.",
        severity=Severity.NOTICE if idle >= scene.limits.of(ID, "notice_idle") else Severity.INFO,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence(f"{names[0]}, busy", percent(first), "–", "NVML utilization"),
            Evidence(f"{names[1]}, idle", percent(1 - second), percent(scene.limits.of(ID, "idle")), "NVML utilization"),
            Evidence(
                "correlation of their loads",
                "–" if groups.together is None else f"{groups.together:.2f}",
                f"{scene.limits.of(ID, 'together'):.1f}",
                "command lines" if groups.named else "NVML utilization",
            ),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=waste,
        how="The idle share of each group times its GPUs.",
        try_first=(
            "make rollouts one step behind the learner, so that both work at once",
            "move GPUs from the idle group to the other",
        ),
        then="both on the same GPUs in turns: the engine sleeps while the learner works (vLLM: --enable-sleep-mode)",
        gain=f"up to {waste:.2f} GPUs, {percent(overlap)} of the time by overlapping alone",
        gain_source="this job's own idle shares",
        wrong_if=("the algorithm needs the newest weights for each rollout",),
        bucket=Bucket.WAIT,
        cause=Cause.PEERS,
        measured=idle,
        sql=of_gpus("utilization_ratio, quiet_seconds", job.gpus, WINDOW),
    )
