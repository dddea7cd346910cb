"""D2: memory that PyTorch has and cannot use."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.observed import fractions, unseen
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, RankSubject, Scene
from gpuwatch.rules.steps import attached
from gpuwatch.rules.types import CLEAR, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gib, percent, span

ID = "allocator-fragmentation"
WINDOW = 600


class _Rank(NamedTuple):
    """One rank over the window: ``lost`` is the share of the time by which the steps with retries were longer; memory in bytes."""

    retries: float
    steps: float
    lost: float | None
    allocated: float | None
    reserved: float | None
    split: float | None

    @property
    def ratio(self) -> float:
        return self.reserved / self.allocated if self.reserved and self.allocated else 1.0

    @property
    def gap(self) -> float:
        return max(0.0, (self.reserved or 0.0) - self.allocated) if self.allocated is not None else 0.0


@rule(
    ID,
    "D2",
    "job",
    phase=2,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.OVERHEAD,
    limits=(
        ("retries", 1, "count", "S29 vendor", "retries of the allocator in 100 steps"),
        ("ratio", 1.5, "ratio", "pragmatic", "or reserved over allocated memory above"),
        ("gap_bytes", 4 * (1 << 30), "bytes", "pragmatic", "with this much between them"),
    ),
)
def allocator_fragmentation(job: JobSubject, scene: Scene) -> Verdict:
    """PyTorch has memory that it cannot use, because it lies in pieces.

    Fires when over 10 minutes the allocator had to free its cache and try again once in 100 steps, or it keeps 1.5 times what was ever
    allocated and more than 4 GiB of that are unused.

    Waste: the time by which steps with retries were longer than the median step.
    Try: expandable segments; fixed or bucketed lengths; empty_cache() only where a phase ends.
    Gain: the stalls go away; sometimes a larger batch fits.
    May be wrong where pools of captured graphs hold the memory.
    Source: S29 (PyTorch's allocator).
    """
    ranks = attached(job)
    if not ranks:
        wanted = job.facts.kind == "training" and bool(job.gpus)
        return (
            NotEvaluated("the allocator's counts: the run is not attached", "gpuwatch run -- python train.py") if wanted else CLEAR
        )
    if (gap := unseen(ranks[0].series, WINDOW)) is not None:
        return gap
    bounds = Bounds(scene, ID, job)
    if all(r.series.known("reserved", WINDOW) == 0 and r.series.known("alloc_retries", WINDOW) == 0 for r in ranks):
        return NotEvaluated("the allocator's counts: this framework does not tell them")
    found = [_of(rank) for rank in ranks if _worth_a_look(rank, bounds.least("gap_bytes"))]
    if not found:
        return CLEAR
    worst = max(found, key=lambda one: (one.retries, one.gap))
    often = worst.retries >= 1 and 100 * worst.retries >= bounds.least("retries") * max(worst.steps, 1)
    wide = [one for one in found if one.ratio > bounds.least("ratio") and one.gap > bounds.least("gap_bytes")]
    if not often and not wide:
        return CLEAR
    return _finding(job, scene, worst if often else max(wide, key=lambda one: one.gap), often)


def _worth_a_look(rank: RankSubject, gap: float) -> bool:
    """Whether it had retries, or keeps so much more than it allocates in the mean: the most that it allocated is never less."""
    reserved, allocated = rank.series.mean("reserved", WINDOW), rank.series.mean("allocated", WINDOW)
    peak = rank.series.mean("allocated_peak", WINDOW)
    return bool(rank.series.total("alloc_retries", WINDOW)) or (reserved or 0.0) - max(allocated or 0.0, peak or 0.0) > gap


def _of(rank: RankSubject) -> _Rank:
    series = rank.series
    peaks = [series.highest(name, WINDOW) for name in ("allocated_peak", "allocated")]
    known = [value for value in peaks if value is not None]
    return _Rank(
        series.total("alloc_retries", WINDOW) or 0.0,
        series.total("rank_steps", WINDOW) or 0.0,
        _lost(rank),
        max(known) if known else None,
        series.lowest("reserved", WINDOW),
        series.mean("inactive_split", WINDOW),
    )


def _lost(rank: RankSubject) -> float | None:
    """The share of the window by which the looks with retries took longer for their steps than the median of those without."""
    with_retries: list[tuple[float, float]] = []
    usual: list[float] = []
    for look in rank.series.looks(WINDOW):
        seconds = sum(value or 0.0 for value in (look.data, look.forward, look.backward, look.optimizer, look.other))
        if not look.rank_steps or not seconds:
            continue
        if look.alloc_retries:
            with_retries.append((look.rank_steps, seconds))
        else:
            usual.append(seconds / look.rank_steps)
    if not with_retries or not usual:
        return None
    median = sorted(usual)[len(usual) // 2]
    return sum(max(0.0, seconds - steps * median) for steps, seconds in with_retries) / WINDOW


def _finding(job: JobSubject, scene: Scene, rank: _Rank, often: bool) -> Finding:
    limit, lost = scene.limits.of, rank.lost if often else None
    each = 100 * rank.retries / max(rank.steps, 1)
    retried = f"PyTorch had to free its cache and try again {rank.retries:.0f} times in {rank.steps:.0f} steps of {job.label}."
    kept = f"PyTorch keeps {gib(rank.reserved)} for {job.label}, of which {gib(rank.gap)} were never in use at once."
    waste = min(1.0, lost) * fractions(job.gpus) if lost is not None else None
    return Finding(
        name="memory in pieces",
        title=retried if often else kept,
        severity=Severity.WARNING if often else Severity.NOTICE,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence("retries in 100 steps", f"{each:.1f}", f"{limit(ID, 'retries'):g}", "hook"),
            Evidence("reserved over allocated", f"{rank.ratio:.2f}", f"{limit(ID, 'ratio'):g}", "hook"),
            Evidence("reserved in pieces too small to give back", gib(rank.split), "–", "hook"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=waste,
        how="The time by which steps with retries were longer than the median step"
        + (f": {percent(lost)} of the last {span(WINDOW)}." if lost is not None else "; not known here."),
        try_first=("export PYTORCH_ALLOC_CONF=expandable_segments:True",),
        then="fixed or bucketed lengths; empty_cache() only where a phase ends; before PyTorch 2.9: PYTORCH_CUDA_ALLOC_CONF",
        gain="the stalls of the retries"
        + (f": {percent(lost)} of the time" if lost is not None else "; sometimes a larger batch fits"),
        gain_source="this run's own steps; PyTorch's notes on its allocator (S29)",
        wrong_if=("pools of captured graphs hold the memory", "a longer sequence is still to come"),
        bucket=Bucket.OVERHEAD,
        measured=lost,
        sql=of_job(
            "alloc_retries_total, rank_steps_total, allocated_peak_bytes, reserved_bytes, inactive_split_bytes", job, WINDOW
        ),
    )
