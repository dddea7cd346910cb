"""D3: a job whose GPU memory grows and grows."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.holders import preallocates, serves
from gpuwatch.rules.memory.trend import parts
from gpuwatch.rules.observed import ENOUGH, unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.steps import attached
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gib, percent, span

ID = "memory-leak-growth"
WINDOW = 3600
_PARTS = 4


class _Grown(NamedTuple):
    """Memory over the hour: the means of its four quarters, by whom, steps in it (``None``: not counted), and the GPU."""

    quarters: list[float]
    source: str
    steps: float | None
    gpu: GpuSubject

    @property
    def growth(self) -> float:
        """Bytes an hour, from the first to the last quarter."""
        return (self.quarters[-1] - self.quarters[0]) * _PARTS / (_PARTS - 1)


@rule(
    ID,
    "D3",
    "job",
    phase=2,
    severity=Severity.WARNING,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    limits=(
        ("growth", 0.05, "ratio", "S16 vendor", "of the GPU's memory in an hour, or in 1,000 steps"),
        ("least", 0.01, "ratio", "pragmatic", "and of it in the hour itself"),
        ("after_steps", 500, "count", "S16 vendor", "what happens before this step is not judged"),
    ),
)
def memory_leak_growth(job: JobSubject, scene: Scene) -> Verdict:
    """The GPU memory of a job grows and grows.

    Fires when allocated memory (by the hook; else what the driver says of the process) rises from quarter to quarter of an hour, three times
    in a row, by 5 % of the GPU's memory in an hour or in 1,000 steps, after step 500. Servers and frameworks that take all memory at their
    start are not judged.

    Waste: none now; a run that fails later is what it would cost.
    Try: keep loss.item(), not loss; detach hidden states; empty lists of metrics; record the allocations.
    Gain: the run does not run out of memory.
    May be wrong for a replay buffer that grows on purpose, or sequences that get longer by a curriculum.
    Source: S16.
    """
    if not job.gpus or serves(job):
        return CLEAR
    if preallocates(job.on_gpus, (job,)):
        return Clear("its framework takes memory without needing it: memory says nothing")
    if max((scene.age_seconds(p) for p in job.on_gpus), default=0.0) < WINDOW + scene.patience:
        return NotEvaluated(f"it has run for less than {span(WINDOW + scene.patience)}")
    if (gap := unseen(job.gpus[0].series, WINDOW)) is not None:
        return gap
    found = [grown for gpu in job.gpus if (grown := _by_hook(job, gpu, scene) or _by_driver(job, gpu)) is not None]
    if not found:
        return NotEvaluated("memory of its processes", "gpuwatch run -- python train.py")
    for grown in sorted(found, key=lambda one: -one.growth if one.quarters else 0.0):
        if _leaks(grown, Bounds(scene, ID, job)):
            return _finding(job, scene, grown)
    return CLEAR


def _by_hook(job: JobSubject, gpu: GpuSubject, scene: Scene) -> _Grown | None:
    for rank in attached(job):
        if rank.facts.gpu_uuid != gpu.gpu.uuid or rank.series.known("allocated", WINDOW) < ENOUGH:
            continue
        steps = rank.series.total("rank_steps", WINDOW) or 0.0
        before = (rank.series.last("step_number") or rank.series.total("rank_steps", 7200) or 0) - steps
        if before < scene.limits.of(ID, "after_steps"):
            return _Grown([0.0], "hook", steps, gpu)
        return _Grown(_quarters(rank.series.means("allocated", WINDOW, _PARTS)), "hook", steps, gpu)
    return None


def _by_driver(job: JobSubject, gpu: GpuSubject) -> _Grown | None:
    """What the driver says of the job's processes on this GPU; all its memory tells cheaply whether to look."""
    if gpu.series.known("memory_used", WINDOW) >= ENOUGH:
        whole = _quarters(gpu.series.means("memory_used", WINDOW, _PARTS))
        if not whole or whole[-1] <= whole[0]:
            return _Grown(whole, "NVML memory", None, gpu)
    for process in job.on_gpus:
        looks = [look.gpus[gpu.id][0] for look in process.series.looks(WINDOW) if gpu.id in look.gpus]
        values = [value for value in looks if value is not None]
        if len(values) >= ENOUGH * WINDOW / 10:
            return _Grown(parts(values, _PARTS), "NVML processes", None, gpu)
    return None


def _quarters(means: list[float | None]) -> list[float]:
    """All of them, or none where one is not known."""
    known = [mean for mean in means if mean is not None]
    return known if len(known) == len(means) else []


def _leaks(grown: _Grown, bounds: Bounds) -> bool:
    total = grown.gpu.gpu.memory_total_bytes
    if not total or len(grown.quarters) < _PARTS:
        return False
    if any(later <= earlier for earlier, later in zip(grown.quarters, grown.quarters[1:])):
        return False
    smallest = min(later - earlier for earlier, later in zip(grown.quarters, grown.quarters[1:]))
    if smallest * (_PARTS - 1) < 0.3 * (grown.quarters[-1] - grown.quarters[0]):  # one jump is no growth
        return False
    by_steps = grown.steps is not None and grown.steps >= 1 and grown.growth * 1000 / grown.steps >= bounds.least("growth") * total
    return grown.growth >= (bounds.least("least") if by_steps else bounds.least("growth")) * total


def _finding(job: JobSubject, scene: Scene, grown: _Grown) -> Finding:
    total = grown.gpu.gpu.memory_total_bytes or 1
    left = max(0.0, total - grown.quarters[-1]) / grown.growth * 3600
    steps = "" if grown.steps is None else f", {gib(grown.growth * 1000 / grown.steps)} in 1,000 steps"
    return Finding(
        name="memory grows",
        title=f"The GPU memory of {job.label} grows by {gib(grown.growth)} an hour on {grown.gpu.label}{steps}.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        basis=Basis.MEASURED if grown.source == "hook" else Basis.INFERRED,
        evidence=(
            Evidence(
                "growth in an hour, of the GPU's memory",
                percent(grown.growth / total),
                percent(scene.limits.of(ID, "growth")),
                grown.source,
            ),
            Evidence(
                "first and last quarter of an hour", f"{gib(grown.quarters[0])} → {gib(grown.quarters[-1])}", "–", grown.source
            ),
            Evidence("full in about, if it goes on", span(left), "–", "this growth"),
        ),
        gpus=(grown.gpu.id,),
        waste_gpus=None,
        how="No waste now: a run that runs out of memory would be.",
        try_first=("total_loss += loss.item()  # not loss", "torch.cuda.memory._record_memory_history()"),
        then="detach hidden states, empty lists of metrics, then torch.cuda.memory._dump_snapshot() and pytorch.org/memory_viz",
        gain=("" if grown.source == "hook" else "up to ") + "the run goes on",
        gain_source="this run's own growth",
        wrong_if=("a replay buffer grows on purpose", "sequences get longer by a curriculum", "a cache that will stop growing"),
        measured=grown.growth / total,
        sql=of_gpus("memory_used_bytes, memory_used_max_bytes", [grown.gpu], WINDOW),
    )
