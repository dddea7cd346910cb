"""C4: a training that gets few useful operations out of its GPUs."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.peaks import achievable_share
from gpuwatch.rules.holders import hangs
from gpuwatch.rules.looks import GpuLook
from gpuwatch.rules.observed import fractions, mean_of, unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.steps import attached
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "low-mfu"
WINDOW = 1800


@rule(
    ID,
    "C4",
    "job",
    phase=2,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.STALLED_SM,
    limits=(
        ("mfu", 0.35, "ratio", "S20 study", "of what matrix products achieve: a notice below"),
        ("clear_mfu", 0.38, "ratio", "pragmatic", "it clears above"),
        ("warning_mfu", 0.15, "ratio", "S8 study", "a warning below"),
        ("target", 0.40, "ratio", "S8 study", "of the peak: what the waste is counted against (Llama 3: 38 to 43 %)"),
        ("stepping", 0.50, "ratio", "pragmatic", "of the time has steps; less is another matter"),
        ("parameters", 1e9, "count", "pragmatic", "smaller models are not judged"),
    ),
)
def low_mfu(job: JobSubject, scene: Scene) -> Verdict:
    """A training gets few useful operations out of its GPUs.

    Model FLOPs utilization (MFU) is the operations that the model needs for its tokens over what the GPU could do. Fires when over 30
    minutes it is below 35 % of what large matrix products achieve (80 % of the peak on an H100, 87 % on an A100, 78 % on a B200), for dense
    models of 1B parameters or more; a warning below 15 %. Clears above 38 %.

    Beside it stands OFU, tensor activity x SM clock share: what the tensor cores did. It counts recomputed operations, padding and other
    numbers as well, so it lies above MFU; much above means work that is not the model's. It is no MFU.

    Waste: time x busy share x (1 - MFU / 40 %). The target is Llama 3's, printed with it.
    Try: flash attention, torch.compile, float8, selective recomputation, overlapped communication, async tensor parallel.
    Gain: compile +16 %, float8 +28 % more, at 8B on 8 H100; async tensor parallel +4 to 16 % (S27).
    May be wrong by 10 % through the formula; experts and long attention need terms of their own; adapters (LoRA) count differently.
    Sources: S8, S20, S27.
    """
    if job.facts.kind != "training" or not job.gpus:
        return CLEAR
    ranks = attached(job)
    if not ranks:
        return NotEvaluated("the run is not attached: no tokens and no size of the model", "gpuwatch run -- python train.py")
    size = max((rank.facts.parameters or 0 for rank in ranks), default=0)
    if size and size < scene.limits.of(ID, "parameters"):
        return Clear(f"a model of {size / 1e9:.2f}B parameters: too small for a judgement")
    if (gap := unseen(job.gpus[0].series, WINDOW) or unseen(ranks[0].series, WINDOW)) is not None:
        return gap
    if hangs(scene, (job,)) or not any(rank.series.total("rank_steps", WINDOW) for rank in ranks):
        return Clear("no step ends: busy-but-no-progress judges it")
    mfu, busy = _of_steps(job, scene), mean_of(job.gpus, "busy", WINDOW)
    if isinstance(mfu, Clear):
        return mfu
    achievable = achievable_share(job.gpus[0].gpu.name)
    if mfu is None or not size or achievable is None:
        return NotEvaluated(
            "MFU: size of the model, tokens, precision, or the GPU's peak is not known", "gpuwatch_track.track(model=model)"
        )
    if busy is None:
        return NotEvaluated("utilization", "gpuwatch doctor")
    if mfu >= scene.limits.of(ID, "clear_mfu" if scene.is_open(ID, job) else "mfu"):
        return CLEAR
    return _finding(job, scene, (mfu, mfu * achievable, busy), size)


def _steps(look: GpuLook) -> bool | None:
    return None if look.mfu is None else look.mfu > 0


def _of_steps(job: JobSubject, scene: Scene) -> float | Clear | None:
    """MFU over the time in which steps ended within a minute: checkpoints and evaluation are another matter."""
    whole, shares = mean_of(job.gpus, "mfu", WINDOW), [gpu.series.share(_steps, WINDOW) for gpu in job.gpus]
    least = min((share for share in shares if share is not None), default=None)
    if whole is None or least is None:
        return None
    if least < scene.limits.of(ID, "stepping"):
        return Clear(f"it steps only {percent(least)} of the time")
    return whole / least


def activity(gpus: tuple[GpuSubject, ...], seconds: float) -> float | None:
    """OFU: tensor activity x SM clock over its maximum; ``None`` where a GPU does not tell both."""
    found = []
    for gpu in gpus:
        tensor, clock, top = gpu.series.mean("tensor", seconds), gpu.series.mean("sm_clock", seconds), gpu.gpu.sm_clock_max_hertz
        if tensor is None or clock is None or not top:
            return None
        found.append(tensor * min(1.0, clock / top))
    return sum(found) / len(found) if found else None


def _finding(job: JobSubject, scene: Scene, shares: tuple[float, float, float], size: int) -> Finding:
    mfu, of_peak, busy = shares
    limit = scene.limits.of
    target, used = limit(ID, "target"), activity(job.gpus, WINDOW)
    waste = busy * max(0.0, 1 - of_peak / target) * fractions(job.gpus)
    beside = f"; OFU {percent(used)}, which counts all tensor work" if used is not None else ""
    severe = mfu < limit(ID, "warning_mfu")
    return Finding(
        name="low MFU",
        title=f"{job.label} reaches {percent(mfu)} of the achievable matrix rate (MFU {percent(of_peak)} of peak{beside}).",
        severity=Severity.WARNING if severe else Severity.NOTICE,
        confidence=Confidence.HIGH,
        basis=Basis.INFERRED,
        evidence=(
            Evidence(
                "MFU of what is achievable",
                percent(mfu),
                percent(limit(ID, "warning_mfu" if severe else "mfu")),
                "hook, peak table",
            ),
            Evidence("OFU: tensor activity x SM clock share", percent(used), "–", "GPM, NVML clocks"),
            Evidence("GPU busy, mean", percent(busy), "–", "GPM or NVML utilization"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=waste,
        how=f"Time x busy share x (1 - MFU / target {percent(target)} of the peak) = {busy:.2f} x (1 - {of_peak:.2f} / {target:.2f}).",
        try_first=("model = torch.compile(model)", 'attn_implementation="flash_attention_2"'),
        then="float8 (torchao), selective recomputation (--recompute-granularity selective), Megatron: --overlap-grad-reduce "
        "--overlap-param-gather --tp-comm-overlap",
        gain=f"up to {waste:.1f} GPU; compile +16 %, float8 +28 % more, async tensor parallel +4 to 16 %",
        gain_source="torchtitan, 8B on 8 H100 (S27); the target is Llama 3's 38 to 43 % (S8)",
        wrong_if=(
            f"the formula for a model of {size / 1e9:.1f}B parameters is off by more than 10 %",
            "experts, long attention, adapters (LoRA) or a vision model: they need terms of their own",
        ),
        bucket=Bucket.STALLED_SM,
        measured=mfu,
        sql=of_gpus("tensor_active_ratio, sm_clock_hertz, sm_active_ratio, utilization_ratio", list(job.gpus), WINDOW),
    )
