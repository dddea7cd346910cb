"""C6: a training that is not compiled and might gain by it."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.observed import mean_of, unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.steps import Steps, attached, steps_of
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent, span

ID = "eager-where-compile-pays"
WINDOW = 900
_COMPILE_SECONDS = 168


@rule(
    ID,
    "C6",
    "job",
    phase=3,
    severity=Severity.INFO,
    confidence=Confidence.LOW,
    window=WINDOW,
    bucket=Bucket.EMPTY_SM,
    limits=(
        ("dram", 0.50, "ratio", "S20 study", "DRAM activity at least"),
        ("tensor", 0.15, "ratio", "S20 study", "and tensor activity below: heavy in element-wise work"),
        ("compile_times", 20, "times", "pragmatic", "the run goes on for so many times what compiling takes"),
        ("long_step", 0.30, "seconds", "S20 study", "silent where a step takes longer and SM activity is high"),
        ("sm", 0.60, "ratio", "S20 study", "that high"),
    ),
)
def eager_where_compile_pays(job: JobSubject, scene: Scene) -> Verdict:
    """A training runs without torch.compile where it might pay.

    Advice only. Fires when the hook saw no compilation, launch-bound-small-kernels holds on one of its GPUs or the work is heavy in
    element-wise operations (DRAM activity at least 50 %, tensor activity below 15 %), and the run goes on for 20 times what compiling takes.

    Waste: none is claimed.
    Try: torch.compile on one block first; regional compilation for layers that repeat.
    Gain: 1.41 times in training and 2.27 in inference over 180 models on an A100 (S28), 1.16 for a large dense training (S27), at most 1
    where large matrix products fill the GPU (S20).
    May be wrong where shapes change all the time, or graph breaks leave little to compile.
    Sources: S20, S27, S28.
    """
    if job.facts.kind != "training" or not job.gpus:
        return CLEAR
    ranks = attached(job)
    if not ranks or all(rank.series.total("compilations", 7200) is None for rank in ranks):
        return NotEvaluated("whether it is compiled: the run is not attached", "gpuwatch run -- python train.py")
    if any(rank.series.total("compilations", 7200) for rank in ranks):
        return Clear("it is compiled")
    if (gap := unseen(job.gpus[0].series, WINDOW)) is not None:
        return gap
    steps, sm = steps_of(job, WINDOW), mean_of(job.gpus, "sm", WINDOW)
    bounds = Bounds(scene, ID, job)
    each = steps.each(len(ranks)) if steps else None
    if (sm or 0.0) >= bounds.most("sm") and each is not None and each > bounds.most("long_step"):
        return Clear("long steps of large matrix products: compiling would not pay")
    launches = any(scene.is_open("launch-bound-small-kernels", gpu) for gpu in job.gpus)
    dram, tensor = mean_of(job.gpus, "dram", WINDOW), mean_of(job.gpus, "tensor", WINDOW)
    if not launches and (dram is None or tensor is None):
        return NotEvaluated("DRAM and tensor activity (GPM: Hopper or newer)", "gpuwatch doctor")
    heavy = dram is not None and tensor is not None and dram >= bounds.least("dram") and tensor < bounds.most("tensor")
    if not launches and not heavy:
        return CLEAR
    left = _left(job, scene, steps)
    if left < bounds.least("compile_times") * _COMPILE_SECONDS:
        return Clear(f"about {span(left)} are left: too little to pay for compiling")
    return _finding(job, scene, (dram, tensor), launches, left)


def _left(job: JobSubject, scene: Scene, steps: Steps | None) -> float:
    """How long it goes on: by its own count of steps, else as long as it has run."""
    run, wanted = job.facts.run, max((rank.facts.total_steps or 0 for rank in job.ranks), default=0)
    done = max((rank.series.last("step_number") or 0 for rank in job.ranks), default=0) or (run.steps if run and run.steps else 0)
    if wanted and done and steps is not None and steps.steps:
        return max(0.0, (wanted - done) * steps.seconds / steps.steps)
    return max((scene.age_seconds(process) for process in job.on_gpus), default=0.0)


def _finding(job: JobSubject, scene: Scene, shares: tuple[float | None, float | None], launches: bool, left: float) -> Finding:
    dram, tensor = shares
    why = "its kernels are small" if launches else f"DRAM is active {percent(dram)} and tensor cores {percent(tensor)} of the time"
    return Finding(
        name="not compiled",
        title=f"{job.label} has run without torch.compile, and {why}.",
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("compilations seen", "0", "–", "hook"),
            Evidence("DRAM activity", percent(dram), percent(scene.limits.of(ID, "dram")), "GPM"),
            Evidence("goes on for about", span(left), span(scene.limits.of(ID, "compile_times") * _COMPILE_SECONDS), "hook"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None,
        how="No amount: an opportunity.",
        try_first=("model.layers[0] = torch.compile(model.layers[0])", "model = torch.compile(model)"),
        then="regional compilation for layers that repeat; compiling takes 22 to 168 s at the first step",
        gain="up to 1.4 times in training (mean of 180 models), 1.16 for a large dense one, at most 1 where matrix products fill the GPU",
        gain_source="PyTorch 2 on an A100 (S28), torchtitan (S27), ml-engineering (S20)",
        wrong_if=("shapes change all the time (recompilation-churn)", "graph breaks leave little to compile"),
        bucket=Bucket.EMPTY_SM,
        measured=dram,
        sql=of_gpus("dram_active_ratio, tensor_active_ratio, sm_active_ratio", list(job.gpus), WINDOW),
    )
