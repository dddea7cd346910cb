"""C1: a GPU that is busy, with work on few of its SMs."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.compute.empty_by_power import by_power
from gpuwatch.rules.holders import hangs, serves, settled, sliced
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "busy-but-empty-sm"
_MOST_BUSY = 1.02
"""Rounded shares add up to a little more than all of the time; more is a driver that lies."""
WINDOW = 900


@rule(
    ID,
    "C1",
    "gpu",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.EMPTY_SM,
    limits=(
        ("busy", 0.80, "ratio", "S14 vendor", "utilization at least"),
        ("warning_filled", 0.50, "ratio", "S14 vendor", "SM activity / busy share: a warning below"),
        ("filled", 0.80, "ratio", "S14 vendor", "a notice below"),
        ("clear_filled", 0.85, "ratio", "pragmatic", "it clears above"),
        ("memory_bound", 0.60, "ratio", "S14 vendor", "silent where DRAM activity is at least"),
        ("proxy", 0, "flag", "pragmatic", "1: without GPM judge by power, at low confidence; 0: do not"),
        ("proxy_busy", 0.90, "ratio", "pragmatic", "by power: utilization at least"),
        ("proxy_fraction", 0.35, "ratio", "pragmatic", "by power: power fraction below"),
        ("proxy_full", 0.75, "ratio", "pragmatic", "by power: the fraction that stands for full"),
    ),
)
def busy_but_empty_sm(gpu: GpuSubject, scene: Scene) -> Verdict:
    """A GPU is busy all the time, and a large part of its SMs has nothing to do.

    "Utilization" says that some kernel was there, not how much of the GPU it used. Fires when utilization is at least 80 % over 15 minutes
    and SM activity over the busy share is below 80 % (a notice) or 50 % (a warning), in the mean and in most of the time. Clears above 85 %.
    Silent where DRAM activity is 60 %: such work is bound by memory.

    Without GPM it is not evaluated. The limit "proxy" = 1 lets it judge by power: utilization at least 90 %, power fraction below 35 %, no
    clock limited and the SM clock near its maximum. Power differs with the kind of work: it ranks and does not measure, so a band is told.

    Waste: time x busy share x (1 - SM activity / busy share).
    Try: a larger batch, more requests at a time, or several jobs on one GPU.
    Gain: up to 1 / SM activity.
    May be wrong if latency matters more than throughput. GPM counts cycles: swings of the clock distort it (S26), hence the long mean.
    Sources: S7 (41 % SM activity at 66 % utilization), S14, S26.
    """
    if sliced(gpu):
        return Clear("sliced by MIG: its instances are judged")
    seconds = settled(gpu.series, scene, scene.holders(gpu), WINDOW)
    if isinstance(seconds, NotEvaluated):
        return seconds
    series, limits = gpu.series, scene.limits
    busy, used = series.mean("busy", seconds), series.mean("utilization", seconds)
    used = busy if used is None else used
    if busy is None or used is None:
        return NotEvaluated("neither utilization nor GPM tells how busy it is", "gpuwatch doctor")
    if max(busy, used) > _MOST_BUSY:
        return NotEvaluated(f"a utilization of {percent(max(busy, used))} cannot be", "gpuwatch doctor")
    if used < Bounds(scene, ID, gpu).least("busy"):
        return CLEAR
    if series.known("sm", seconds) < 0.8:
        if limits.of(ID, "proxy"):
            return by_power(gpu, scene, ID, seconds, used, busy)
        return NotEvaluated("SM activity (GPM: Hopper or newer)", "gpuwatch doctor")
    sm, dram = series.mean("sm", seconds) or 0.0, series.mean("dram", seconds)
    filled = min(1.0, sm / busy) if busy else 1.0
    limit = limits.of(ID, "clear_filled" if scene.is_open(ID, gpu) else "filled")
    if hangs(scene, scene.jobs_on(gpu)):
        return Clear("no step ends: busy-but-no-progress judges it")
    if filled >= limit or _median(gpu, seconds) >= limit:
        return CLEAR
    if dram is not None and dram >= limits.of(ID, "memory_bound"):
        return Clear(f"bound by memory: DRAM activity {percent(dram)}")
    return _finding(gpu, scene, seconds, (used, busy, sm, filled), dram)


def _median(gpu: GpuSubject, seconds: float) -> float:
    """The fill of the middle look: a few minutes without work in a window that is full do not make it empty."""
    looks = gpu.series.looks(seconds)
    filled = sorted(min(1.0, look.sm / look.busy) for look in looks if look.sm is not None and look.busy)
    return filled[len(filled) // 2] if filled else 1.0


def _finding(
    gpu: GpuSubject, scene: Scene, seconds: float, shares: tuple[float, float, float, float], dram: float | None
) -> Finding:
    used, busy, sm, filled = shares
    warning = scene.limits.of(ID, "warning_filled")
    severe = filled < warning
    waste = busy * (1 - filled) * gpu.gpu.compute_fraction
    return Finding(
        name="busy, SMs empty",
        title=f"nvidia-smi says {percent(used)}; on average {percent(sm)} of the SMs of {gpu.label} had work.",
        severity=Severity.WARNING if severe else Severity.NOTICE,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence(
                "SM activity over busy time", percent(filled), percent(warning if severe else scene.limits.of(ID, "filled")), "GPM"
            ),
            Evidence("utilization", percent(used), percent(scene.limits.of(ID, "busy")), "NVML utilization"),
            Evidence("DRAM activity", percent(dram), percent(scene.limits.of(ID, "memory_bound")), "GPM"),
        ),
        gpus=(gpu.id,),
        waste_gpus=waste,
        how=f"Time x busy share x (1 - SM activity / busy share) = {busy:.2f} x (1 - {filled:.2f}).",
        try_first=(_try(gpu, scene),),
        then="or several jobs on this GPU (share-or-mig-candidate): nvidia-cuda-mps-control -d; nvidia-smi mig -lgip",
        gain=f"{waste:.1f} GPU at best: throughput x {1 / filled:.1f}" if filled > 0 else f"{waste:.1f} GPU at best",
        gain_source="this GPU's own SM activity; Acme's Seren: 41 % at 66 % utilization (S7)",
        wrong_if=("latency matters more than throughput here", "clocks swing: GPM counts cycles, not time (S26)"),
        bucket=Bucket.EMPTY_SM,
        measured=1 - filled,
        sql=of_gpus("utilization_ratio, graphics_active_ratio, sm_active_ratio, dram_active_ratio", [gpu], seconds),
    )


_MORE_AT_ONCE = {
    "vllm": "vllm serve … --max-num-seqs HIGHER",
    "sglang": "python -m sglang.launch_server … --max-running-requests HIGHER",
}


def _try(gpu: GpuSubject, scene: Scene) -> str:
    server = next((job for job in scene.jobs_on(gpu) if serves(job)), None)
    if server is not None:
        return _MORE_AT_ONCE.get(server.facts.engine, "more requests at a time from its clients")
    used, total = gpu.series.last("memory_used"), gpu.gpu.memory_total_bytes
    now = f", {percent(used / total)} now" if used is not None and total else ""
    return f"batch_size = 2 * batch_size  # until 85% of the memory is in use{now}"
