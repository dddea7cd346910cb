"""C5: a training that compiles again and again."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.observed import fractions
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, RankSubject, Scene
from gpuwatch.rules.steps import attached
from gpuwatch.rules.types import CLEAR, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent, span

ID = "recompilation-churn"
_LONG = 1800
_SHORT = 600


@rule(
    ID,
    "C5",
    "job",
    phase=2,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=_LONG,
    bucket=Bucket.OVERHEAD,
    limits=(
        ("recompiles", 3, "count", "S20 study", "so many in 10 minutes"),
        ("share", 0.05, "ratio", "S17 vendor", "or compiling takes this share of 30 minutes"),
        ("after_steps", 100, "count", "S20 study", "what happens before this step is the first compilation"),
    ),
)
def recompilation_churn(job: JobSubject, scene: Scene) -> Verdict:
    """A training compiles again and again.

    Fires when after step 100 it compiles 3 times within 10 minutes, or compiling takes 5 % of the last 30 minutes.

    Waste: the measured seconds of compiling, times its GPUs.
    Try: see why (TORCH_LOGS=recompiles); pad or bucket the lengths; dynamic shapes.
    Gain: the share of compiling.
    May be wrong in a first epoch, or where an evaluation has shapes of its own.
    Source: S20.
    """
    if job.facts.kind == "inference":
        return CLEAR
    ranks = [
        rank
        for rank in attached(job)
        if rank.series.known("compilations", _SHORT) > 0 or rank.series.known("compiling", _SHORT) > 0
    ]
    if not ranks:
        return NotEvaluated("compilations: the run is not attached", "gpuwatch run -- python train.py") if _trains(job) else CLEAR
    if not any(rank.series.total(name, _LONG) for rank in ranks for name in ("compilations", "compiling")):
        return CLEAR
    after = scene.limits.of(ID, "after_steps")
    counts = [_after(rank, _SHORT, after) for rank in ranks]
    times = [_after(rank, _LONG, after) for rank in ranks]
    count, seconds = max(one[0] for one in counts), max(one[1] for one in times)
    share = min(1.0, seconds / max(_LONG * 0.5, max(one[2] for one in times))) if seconds else 0.0
    bounds = Bounds(scene, ID, job)
    if count < bounds.least("recompiles") and share < bounds.least("share"):
        return CLEAR
    return _finding(job, scene, count, seconds, share)


def _trains(job: JobSubject) -> bool:
    return job.facts.kind == "training" and bool(job.gpus)


def _after(rank: RankSubject, window: float, least: float) -> tuple[float, float, float]:
    """Compilations, their seconds and the attached seconds of a window, without the looks before step ``least``."""
    done = max(rank.series.total("rank_steps", 7200) or 0.0, float(rank.series.last("step_number") or 0))
    count = seconds = attached_seconds = 0.0
    for look in reversed(rank.series.looks(window)):
        done -= look.rank_steps or 0.0
        if done < least:
            break
        count += look.compilations or 0.0
        seconds += look.compiling or 0.0
        attached_seconds += look.attached or look.ms / 1000
    return count, seconds, attached_seconds


def _finding(job: JobSubject, scene: Scene, count: float, seconds: float, share: float) -> Finding:
    whole = fractions(job.gpus)
    waste = share * whole if job.gpus else None
    return Finding(
        name="compiles again",
        title=f"{job.label} compiled {count:.0f} times in the last {span(_SHORT)}, {span(seconds)} of the last {span(_LONG)}.",
        severity=Severity.WARNING if share >= 0.02 else Severity.NOTICE,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence(f"compilations in {span(_SHORT)}", f"{count:.0f}", f"{scene.limits.of(ID, 'recompiles'):.0f}", "hook"),
            Evidence("compiling, share of the time", percent(share), percent(scene.limits.of(ID, "share")), "hook"),
            Evidence("counted after step", f"{scene.limits.of(ID, 'after_steps'):.0f}", "–", "hook"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=waste,
        how="Measured seconds of compiling over the time, times its GPUs.",
        try_first=(
            "TORCH_LOGS=recompiles gpuwatch run -- " + (job.facts.command or "python train.py"),
            "model = torch.compile(model, dynamic=True)",
        ),
        then="pad or bucket the lengths; torch._dynamo.mark_dynamic(x, 0); XLA: fixed shapes",
        gain=f"{percent(share)} of the time" + (f" of {len(job.gpus)} GPUs" if len(job.gpus) > 1 else ""),
        gain_source="this run's own seconds of compiling",
        wrong_if=("it is in its first epoch", "an evaluation has shapes of its own"),
        bucket=Bucket.OVERHEAD,
        measured=share,
        sql=of_job("compilations_total, compile_seconds, attached_seconds", job, _LONG),
    )
