"""I3: what a run that failed had computed and not saved."""

from __future__ import annotations

import re

from gpuwatch.names import Basis, Bucket, Confidence, RunOutcome, Severity
from gpuwatch.rules.experiments.runs import gpus_of, held
from gpuwatch.rules.looks import RunFacts
from gpuwatch.rules.queries import is_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gpu_hours, span

ID = "failed-run-waste"
_CAUSES = (
    (
        r"outofmemory|out of memory|\boom\b",
        "PYTORCH_ALLOC_CONF=expandable_segments:True",
        "it ran out of memory: a smaller micro-batch",
    ),
    (
        r"nccl|distbackend|distnetwork|collective",
        "NCCL_DEBUG=INFO",
        "ranks lost each other: look at the one that failed first",
    ),
    (r"\bnan\b|\binf loss", "torch.autograd.set_detect_anomaly(True)", "a value was no number: look at the step before"),
)


@rule(
    ID,
    "I3",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.MEDIUM,
    window=3600,
    bucket=Bucket.REDONE,
    limits=(
        ("least_seconds", 600, "seconds", "pragmatic", "a run that lasted at least so long"),
        ("alike", 3, "count", "pragmatic", "so many of one command line in a day are a warning"),
        ("told_seconds", 3600, "seconds", "pragmatic", "it is told for so long after its end"),
    ),
    confirms_at_once=True,
)
def failed_run_waste(job: JobSubject, scene: Scene) -> Verdict:
    """A training run failed or died, and what it had computed since its last checkpoint is lost.

    Fires when a run of ten minutes or more ends with an error or without an orderly end, and is told for an hour; a warning where three of
    the same command line failed in a day ("failing the same way"). A run that its user stopped is none: to stop early is good practice.

    Waste: the time since its last checkpoint (all of it where there was none) times its GPUs. It is a figure of the run, and not booked again.
    Try: a dry run of 20 steps on one GPU, checkpoints more often, and what its error says.
    Gain: up to the share of GPU time of failed runs, 8 to 39 % in public traces.
    May be wrong if the script saves what gpuwatch does not see as a checkpoint.
    Sources: S2 (Philly), S7 (Acme).
    """
    run = job.facts.run
    if run is None:
        return (
            Clear("no training run") if job.facts.kind != "training" else NotEvaluated("how its runs end", "gpuwatch run COMMAND")
        )
    if run.outcome is RunOutcome.RUNNING or run.ended_ms is None:
        return CLEAR
    if run.outcome is RunOutcome.UNKNOWN:
        return NotEvaluated("nobody saw how it ended", "gpuwatch run COMMAND")
    if run.outcome is RunOutcome.STOPPED:
        return Clear("its user stopped it")
    if run.outcome is RunOutcome.FINISHED or run.ended_ms - run.started_ms < 1000 * scene.limits.of(ID, "least_seconds"):
        return CLEAR
    if scene.t_ms - run.ended_ms > 1000 * scene.limits.of(ID, "told_seconds"):
        return Clear("it was told")
    return _finding(job, scene, run, run.ended_ms)


def _finding(job: JobSubject, scene: Scene, run: RunFacts, ended_ms: int) -> Finding:
    saved_ms = max(run.last_checkpoint_ms or run.started_ms, run.started_ms)
    lost = max(0, ended_ms - saved_ms) / 1000
    amount = held(job, scene)
    cost = lost * amount if amount is not None else None
    day = scene.job_day(job)
    failures = (day.failures if day is not None else None) or 1
    alike = failures >= scene.limits.of(ID, "alike")
    first, then = _advice(run.detail)
    ended = "failed" if run.outcome is RunOutcome.FAILED else "died"
    when = f"{span(lost)} after its last checkpoint" if run.last_checkpoint_ms else f"after {span(lost)} without a checkpoint"
    again = f" It is the {_nth(failures)} time in a day." if failures > 1 else ""
    why = f" ({run.detail[:60]})" if run.detail else ""
    return Finding(
        name="failed run" if not alike else "failing the same way",
        title=f"{job.label} {ended}{why} {when}.{again}",
        severity=Severity.WARNING if alike else Severity.NOTICE,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence(
                "it ran for", span((ended_ms - run.started_ms) / 1000), span(scene.limits.of(ID, "least_seconds")), "its process"
            ),
            Evidence(
                "lost since its checkpoint" if run.last_checkpoint_ms else "lost, without a checkpoint",
                span(lost),
                "–",
                "hook",
            ),
            Evidence(
                "failures like it in a day",
                str(failures),
                f"{scene.limits.of(ID, 'alike'):.0f}",
                "ends of runs",
            ),
        ),
        gpus=tuple(gpu.id for gpu in gpus_of(job, scene)),
        waste_gpus=failures * cost / 86_400 if cost is not None else None,
        how=(
            "The time since the last checkpoint times its GPUs"
            + (f": {gpu_hours(cost)}." if cost is not None else "; how many it held is not known.")
            + " As a rate: that much for each failure of the last 24 hours."
        ),
        try_first=(first, "a dry run on one GPU with 20 steps") if first else ("a dry run on one GPU with 20 steps",),
        then=f"{then}; a checkpoint every √(2 x its cost x the time between failures)",
        gain="up to what failed runs take: 8 to 39 % of GPU time",
        gain_source="public traces of Acme and Philly (S7)",
        wrong_if=("it saves in a way that is not seen as a checkpoint", "it had done its work and failed only while it ended"),
        bucket=Bucket.REDONE,
        measured=None,
        since_ms=saved_ms,
        cost_gpu_seconds=cost,
        sql=f"SELECT outcome, detail, last_checkpoint_ms, ended_ms, lost_gpu_seconds FROM v_run WHERE {is_job(job)}",
    )


def _advice(detail: str) -> tuple[str, str]:
    low = detail.lower()
    return next(((first, then) for words, first, then in _CAUSES if re.search(words, low)), ("", "save a checkpoint sooner"))


def _nth(number: int) -> str:
    return {2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(number, f"{number}th")
