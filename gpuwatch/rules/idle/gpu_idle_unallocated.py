"""A1: a GPU that nobody holds."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Context, Severity
from gpuwatch.rules.holders import sliced
from gpuwatch.rules.looks import GpuLook
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gib, percent, span

ID = "gpu-idle-unallocated"
_EMPTY = 0.02


@rule(
    ID,
    "A1",
    "gpu",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=900,
    bucket=Bucket.UNALLOCATED,
    limits=(
        ("free_seconds", 900, "seconds", "S12 study", "without a compute process, and quiet"),
        ("warning_seconds", 86400, "seconds", "pragmatic", "a warning after so long; a notice before"),
    ),
)
def gpu_idle_unallocated(gpu: GpuSubject, scene: Scene) -> Verdict:
    """Nobody holds this GPU.

    Fires when no compute process is there and the GPU is quiet for 15 minutes; a warning after 24 hours. Clears with the first process.
    Where no process list can be read, at most 2 % of the memory in use stands for "nobody", and the finding says that it was inferred.

    Waste: the time since the last process ended, times one GPU.
    Try: start what waits on it, or shrink the instance.
    Gain: all of the time that it stays free; NVIDIA's idle class fell from 5.5 to 1 % of its fleet (S5).
    May be wrong if the GPU is kept free on purpose: name it in the configuration, [rules] reserve.
    Sources: S5, S12, S15.
    """
    if gpu.facts.reserved:
        return Clear("kept free on purpose ([rules] reserve)")
    if sliced(gpu):
        return Clear("sliced by MIG: its instances are judged")
    now = gpu.now
    if now is None:
        return NotEvaluated("gap: no row in the last ten seconds", "gpuwatch doctor")
    if now.unavailable:
        return Clear("it cannot be used now")
    free = _nobody(now, gpu)
    if free is None or not now.known_ms:
        return NotEvaluated("neither processes nor memory in use tell whether somebody holds it", "gpuwatch doctor")
    if not free:
        return CLEAR
    limit = scene.limits.of(ID, "free_seconds")
    seconds = gpu.series.run_seconds(lambda look: bool(_nobody(look, gpu)) and look.quiet_ms >= look.known_ms > 0)
    if seconds < limit:
        return CLEAR
    return _finding(gpu, scene, now, seconds, limit)


def _nobody(look: GpuLook, gpu: GpuSubject) -> bool | None:
    if look.context is not None:
        return look.context == Context.NONE
    total = gpu.gpu.memory_total_bytes
    return None if look.memory_used is None or not total else look.memory_used <= _EMPTY * total


def _finding(gpu: GpuSubject, scene: Scene, now: GpuLook, seconds: float, limit: float) -> Finding:
    first = gpu.series.first_ms
    all_seen = first is not None and scene.t_ms - seconds * 1000 <= first + scene.look_ms
    quiet = max(seconds, now.quiet_run_ms / 1000) if all_seen else seconds
    inferred = now.context is None
    index = gpu.gpu.index
    return Finding(
        name="seems free" if inferred else "free",
        title=f"{gpu.label} has done nothing for {span(quiet)} with next to no memory in use; who holds it cannot be seen."
        if inferred
        else f"No process holds {gpu.label}, and it has done nothing for {span(quiet)}.",
        severity=Severity.WARNING if quiet >= scene.limits.of(ID, "warning_seconds") else Severity.NOTICE,
        confidence=Confidence.MEDIUM if inferred else Confidence.HIGH,
        basis=Basis.INFERRED if inferred else Basis.MEASURED,
        evidence=(
            Evidence("quiet without a holder", span(quiet), span(limit), "memory in use" if inferred else "NVML processes"),
            Evidence("GPU memory in use", gib(now.memory_used), gib(_EMPTY * (gpu.gpu.memory_total_bytes or 0)), "NVML memory"),
            Evidence("utilization", percent(now.utilization), percent(0.05), "NVML utilization"),
        ),
        gpus=(gpu.id,),
        waste_gpus=gpu.gpu.compute_fraction,
        how="The time since the last process ended, times one GPU.",
        try_first=(f"CUDA_VISIBLE_DEVICES={index} python train.py",),
        then="in a cloud stop the instance or take a smaller one; a GPU that is kept free on purpose goes into [rules] reserve",
        gain=("up to " if inferred else "") + "one GPU for as long as it stays free",
        gain_source="this GPU's own quiet run; NVIDIA's idle class fell from 5.5 to 1 % of its fleet (S5)",
        wrong_if=(
            "it is kept for bursts, for an on-call or by a reservation",
            "a scheduler has given it to a job that has not begun",
        ),
        bucket=Bucket.UNALLOCATED,
        measured=1.0,
        since_ms=None if all_seen else scene.t_ms - round(seconds * 1000),
        sql=of_gpus("quiet_seconds, context_seconds, observed_seconds", [gpu], 3600),
    )
