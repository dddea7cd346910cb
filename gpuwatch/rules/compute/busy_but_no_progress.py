"""A job whose GPUs look busy and get nothing done: the signature of a collective that hangs."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.looks import GpuLook
from gpuwatch.rules.observed import fractions
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.steps import attached
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent, span

ID = "busy-but-no-progress"
_WORKS = 0.10
"""Activity from which a pipe or the memory does work, whatever the power says."""


@rule(
    ID,
    "C7",
    "job",
    phase=1,
    severity=Severity.CRITICAL,
    confidence=Confidence.MEDIUM,
    window=60,
    bucket=Bucket.STALLED_SM,
    limits=(
        ("utilization", 0.95, "ratio", "pragmatic", "of each GPU of the job at least"),
        ("power", 0.10, "ratio", "pragmatic", "and the power fraction below"),
        ("tensor", 0.02, "ratio", "pragmatic", "or tensor activity below"),
        ("dram", 0.02, "ratio", "pragmatic", "and DRAM activity below"),
        ("seconds", 60, "seconds", "pragmatic", "for so long, without a step or a token where they are counted"),
        ("critical_seconds", 600, "seconds", "S8 study", "critical after so long"),
    ),
)
def busy_but_no_progress(job: JobSubject, scene: Scene) -> Verdict:
    """All GPUs of a job show full utilization, do next to nothing, and no step ends.

    A collective operation that waits for a rank that never comes spins on the GPU: utilization is 100 %, power stays near idle. Fires when
    for a minute every GPU of the job shows at least 95 %, and draws less than 10 % of the power above its idle floor (or tensor and DRAM
    activity are below 2 %), and no step ended and no token was made where these are counted. Critical after 10 minutes. Decoding that is
    bound by memory shows in DRAM activity and power; a short wait is over within the minute.

    Waste: the time x all GPUs of the job.
    Try: see where each rank stands (py-spy dump); restart with the flight recorder of NCCL.
    Gain: all of it: such a job does not come back by itself until its timeout (10 minutes by default in PyTorch).
    May be wrong if a tiny kernel polls on purpose.
    Sources: S8 (hangs among the interruptions of Llama 3), PyTorch's NCCL flight recorder.
    """
    if not job.gpus:
        return CLEAR
    seconds = scene.limits.of(ID, "seconds")
    if any(gpu.now is None for gpu in job.gpus):
        return NotEvaluated("gap: no row in the last ten seconds", "gpuwatch doctor")
    used = scene.limits.of(ID, "utilization")
    if any(gpu.now is not None and gpu.now.utilization is not None and gpu.now.utilization < used for gpu in job.gpus):
        return CLEAR
    spins = [[_spins(look, scene) for look in gpu.series.looks(seconds)] for gpu in job.gpus]
    if any(False in one for one in spins):
        return CLEAR
    if any(None in one for one in spins):
        return NotEvaluated("power and its limit, or tensor and DRAM activity", "gpuwatch doctor")
    lasted = min(gpu.series.run_seconds(lambda look: bool(_spins(look, scene))) for gpu in job.gpus)
    moved = _progress(job, seconds)
    if moved:
        return Clear("steps or tokens go on")
    if lasted < 0.95 * seconds:
        return CLEAR
    return _finding(job, scene, lasted, moved)


def _spins(look: GpuLook, scene: Scene) -> bool | None:
    """Whether a GPU shows work and does none; ``None``: it cannot be told."""
    limit = scene.limits.of
    if look.utilization is None:
        return None
    if look.utilization < limit(ID, "utilization"):
        return False
    power = None if look.power_fraction is None else look.power_fraction < limit(ID, "power")
    if look.tensor is None or look.dram is None:
        return power
    if max(look.tensor, look.dram) >= _WORKS:
        return False
    other = max(look.fp32 or 0.0, look.fp64 or 0.0) < _WORKS
    return bool(power) or (look.tensor < limit(ID, "tensor") and look.dram < limit(ID, "dram") and other)


def _progress(job: JobSubject, seconds: float) -> float | None:
    """Steps and tokens in a window; ``None``: nobody counts them."""
    counts = [rank.series.total(name, seconds) for rank in attached(job) for name in ("rank_steps", "tokens")]
    if job.server is not None:
        counts += [job.server.total(name, seconds) for name in ("output_tokens", "prefill_tokens")]
    known = [value for value in counts if value is not None]
    return sum(known) if known else None


def _finding(job: JobSubject, scene: Scene, lasted: float, moved: float | None) -> Finding:
    nows = [gpu.now for gpu in job.gpus if gpu.now is not None]
    power = max((now.power_fraction for now in nows if now.power_fraction is not None), default=None)
    dram = max((now.dram for now in nows if now.dram is not None), default=None)
    whole, limit = fractions(job.gpus), scene.limits.of
    draws = f"at {percent(power)} of their power" if power is not None else f"at {percent(dram)} DRAM activity"
    pids = " ".join(f"py-spy dump --pid {p.facts.pid};" for p in job.on_gpus[:2]).rstrip(";")
    count = len(job.gpus)
    subject = f"All {count} GPUs of {job.label} show" if count > 1 else f"The GPU of {job.label} shows"
    return Finding(
        name="busy, no progress",
        title=f"{subject} full utilization {draws} for {span(lasted)}"
        + (", and no step or token was counted." if moved is not None else "."),
        severity=Severity.CRITICAL if lasted >= limit(ID, "critical_seconds") else Severity.WARNING,
        confidence=Confidence.HIGH if moved is not None else Confidence.MEDIUM,
        basis=Basis.MEASURED if moved is not None else Basis.INFERRED,
        evidence=(
            Evidence(
                "utilization, lowest GPU",
                percent(min(now.utilization or 0.0 for now in nows)),
                percent(limit(ID, "utilization")),
                "NVML utilization",
            ),
            Evidence("power fraction, highest GPU", percent(power), percent(limit(ID, "power")), "NVML power"),
            Evidence("steps and tokens in a minute", "–" if moved is None else f"{moved:.0f}", "0", "hook, server"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=whole,
        how=f"The time since then x {whole:g} GPUs.",
        try_first=(
            pids or "py-spy dump --pid PID",
            "TORCH_NCCL_TRACE_BUFFER_SIZE=2000 TORCH_NCCL_DUMP_ON_TIMEOUT=1 NCCL_DEBUG=INFO torchrun …",
        ),
        then="find the rank that is not in the collective, end the job, start it again from its checkpoint",
        gain=("" if moved is not None else "up to ") + f"{whole:g} GPU for as long as it hangs",
        gain_source="the job's own GPUs",
        wrong_if=("a tiny kernel polls on purpose", "it waits for a rank that is slow and comes yet"),
        bucket=Bucket.STALLED_SM,
        cause=Cause.NONE,
        measured=power if power is not None else dram,
        since_ms=scene.t_ms - round(lasted * 1000),
        sql=of_gpus(
            "utilization_ratio, power_watts, power_limit_watts, tensor_active_ratio, dram_active_ratio", list(job.gpus), 3600
        ),
    )
