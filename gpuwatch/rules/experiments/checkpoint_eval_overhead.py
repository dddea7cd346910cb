"""I2: time that checkpoints and evaluation take."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple, replace
from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.experiments.dips import FEWEST, dips
from gpuwatch.rules.experiments.runs import held
from gpuwatch.rules.observed import unseen
from gpuwatch.rules.queries import of_gpus, of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent, span

ID = "checkpoint-eval-overhead"
WINDOW = 7200


class _Parts(NamedTuple):
    checkpoint: float
    evaluation: float
    attached: float
    checkpoints: float

    @property
    def share(self) -> float:
        return min(1.0, (self.checkpoint + self.evaluation) / self.attached)


@rule(
    ID,
    "I2",
    "job",
    phase=2,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.OVERHEAD,
    limits=(
        ("notice", 0.05, "ratio", "S9 study", "of two hours in checkpoints and evaluation"),
        ("clear_notice", 0.03, "ratio", "pragmatic", "it clears below"),
        ("warning", 0.15, "ratio", "S9 study", "a warning from here on"),
    ),
)
def checkpoint_eval_overhead(job: JobSubject, scene: Scene) -> Verdict:
    """A training spends 5 % or more of its time writing checkpoints and evaluating.

    Fires by its hook over two hours: a notice from 5 % on, a warning from 15 %. Inferred without one: three pauses or more in which the host
    writes 200 MB a second, that take as much.

    Waste: that time times its GPUs. Evaluation is work: below 15 % together only the checkpoints count.
    Try: checkpoints in the background, less often (Young and Daly: every sqrt(2 x its cost x the time between failures)); fewer evaluation
    batches, or on another GPU.
    Gain: up to the checkpoints' share.
    May be wrong where evaluation is what the run is for.
    Source: S9 (Google's badput).
    """
    if job.facts.kind != "training":
        return Clear("no training")
    if not job.ranks:
        return _by_dips(job, scene)
    if (gap := unseen(job.ranks[0].series, WINDOW)) is not None:
        return gap
    parts = _parts(job)
    if parts is None:
        return NotEvaluated("seconds in checkpoints and evaluation", "gpuwatch run COMMAND")
    if parts.share < scene.limits.of(ID, "clear_notice" if scene.is_open(ID, job) else "notice"):
        return CLEAR
    return _finding(job, scene, parts)


def _by_dips(job: JobSubject, scene: Scene) -> Verdict:
    """Without a hook: pauses of its GPU, again and again, in which the host writes much."""
    if job.gpus and (gap := unseen(job.gpus[0].series, WINDOW)) is not None:
        return gap
    found = dips(job, scene, WINDOW)
    if found is None:
        return NotEvaluated("seconds in checkpoints and evaluation", "gpuwatch run COMMAND")
    if found.times < FEWEST or found.share < scene.limits.of(ID, "clear_notice" if scene.is_open(ID, job) else "notice"):
        return NotEvaluated(
            "seconds in checkpoints and evaluation; its pauses with much writing take less than the limit", "gpuwatch run COMMAND"
        )
    parts = _Parts(found.share, 0.0, 1.0, 0.0)
    made = _finding(job, scene, parts)
    each = span(found.share * WINDOW / found.times)
    evidence = (
        Evidence("pauses while the host writes", percent(found.share), percent(scene.limits.of(ID, "notice")), "NVML and /proc"),
        Evidence("of them in two hours", f"{found.times}, {each} each", str(FEWEST), "NVML and /proc"),
        Evidence("written meanwhile, a second", "200 MB or more", "200 MB", "/proc/diskstats"),
    )
    title = (
        f"The GPUs of {job.label} pause {found.times} times in two hours while much is written: {percent(found.share)} of the time."
    )
    return replace(
        made,
        title=title,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=evidence,
        how="The time in which its GPU is quiet and the host writes 200 MB a second or more, times its GPUs.",
        gain=f"up to {percent(found.share)} of its time if checkpoints are written in the background",
        wrong_if=(*made.wrong_if, "another program writes"),
        sql=of_gpus("quiet_seconds", job.gpus, WINDOW),
    )


def _parts(job: JobSubject) -> _Parts | None:
    """Sums over all ranks: rank-seconds of rank-seconds."""
    sums = dict.fromkeys(("checkpoint", "evaluation", "attached", "checkpoints"), 0.0)
    known = False
    for rank in job.ranks:
        for name in sums:
            value = rank.series.total(name, WINDOW)
            sums[name] += value or 0.0
            known = known or (value is not None and name in ("checkpoint", "evaluation"))
    return (
        _Parts(sums["checkpoint"], sums["evaluation"], sums["attached"], sums["checkpoints"])
        if known and sums["attached"]
        else None
    )


def _finding(job: JobSubject, scene: Scene, parts: _Parts) -> Finding:
    amount, warned = held(job, scene), parts.share >= scene.limits.of(ID, "warning")
    counted = parts.share if warned else parts.checkpoint / parts.attached
    ranks = max(1, len(job.ranks))
    saving = parts.checkpoint >= parts.evaluation
    each = parts.checkpoint / parts.checkpoints if parts.checkpoints else None
    count = f"{parts.checkpoints:.0f}, {span(each)} each" if each is not None else "–"
    rarer = "torch.distributed.checkpoint.async_save(state, checkpoint_id=PATH)", "write checkpoints less often"
    fewer = "evaluate on fewer batches, or on another GPU", "model.eval(); torch.inference_mode()"
    return Finding(
        name="checkpoints and evaluation",
        title=(
            f"{job.label} spends {percent(parts.share)} of its time on "
            f"checkpoints ({percent(parts.checkpoint / parts.attached)}) and evaluation ({percent(parts.evaluation / parts.attached)})."
        ),
        severity=Severity.WARNING if warned else Severity.NOTICE,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence("of two hours, both together", percent(parts.share), percent(scene.limits.of(ID, "notice")), "hook"),
            Evidence("checkpoints", count, "–", "hook"),
            Evidence("evaluation, each rank", span(parts.evaluation / ranks), "–", "hook"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None if amount is None or not counted else counted * amount,
        how="(seconds in checkpoints + in evaluation) over all its seconds, times its GPUs."
        if warned
        else "Seconds in checkpoints over all its seconds, times its GPUs; evaluation is work.",
        try_first=rarer if saving else fewer,
        then="a checkpoint every √(2 x its cost x the time between failures), after Young and Daly",
        gain=f"{percent(parts.checkpoint / parts.attached)} of its time if checkpoints are written in the background",
        gain_source="its own seconds (hook); asynchronous checkpoints: Google's goodput (S9)",
        wrong_if=("evaluation is what the run is for",),
        bucket=Bucket.OVERHEAD,
        measured=parts.share,
        sql=of_job("checkpoint_seconds, eval_seconds, attached_seconds, checkpoints_total", job, WINDOW),
    )
