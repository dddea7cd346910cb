"""B6: a GPU that waits for copies from the host."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.holders import serves, settled, sliced
from gpuwatch.rules.looks import GpuLook
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "host-to-device-copy-bound"
WINDOW = 600
_USABLE = {1: 3e9, 2: 6e9, 3: 12e9, 4: 24e9, 5: 48e9, 6: 96e9}
"""Bytes a second that a link of 16 lanes carries, by generation."""
_STEADY = 1e9
_COHERENT = ("GH200", "GB200", "GB300", "GB10")


@rule(
    ID,
    "B6",
    "gpu",
    phase=2,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(
        ("link_share", 0.60, "ratio", "S14 vendor", "of the link's usable rate is received"),
        ("sm", 0.30, "ratio", "S14 vendor", "while SM activity is below"),
        ("busy", 0.50, "ratio", "pragmatic", "or, without GPM, it is busy less than"),
        ("steady_bytes", _STEADY, "bytes", "S14 vendor", "or this much a second is received all the time, with GPM"),
    ),
)
def host_to_device_copy_bound(gpu: GpuSubject, scene: Scene) -> Verdict:
    """A GPU waits for copies from the host.

    Fires when over 10 minutes it receives 60 % of what its PCIe link carries (12, 24, 48 GB/s for 16 lanes of generation 3, 4, 5), or 1 GB/s
    all the time, while SM activity is below 30 % (without GPM: busy less than 50 %, and only the first form).

    Waste: time x (1 - the larger of SM activity and busy share).
    Try: pinned memory and copies that do not block; send bytes and convert them on the GPU; keep what is used again; no CPU offload.
    Gain: up to the time that is not filled.
    May be wrong if the copies are the design: a KV cache or weights that are offloaded on purpose.
    Source: S14 (KempnerPulse's I/O class).
    """
    if sliced(gpu):
        return Clear("sliced by MIG: its instances are judged")
    if any(word in gpu.gpu.name for word in _COHERENT):
        return Clear("its link to the host is NVLink-C2C")
    seconds = settled(gpu.series, scene, scene.holders(gpu), WINDOW)
    if isinstance(seconds, NotEvaluated):
        return seconds
    series, bounds = gpu.series, Bounds(scene, ID, gpu)
    received, busy, sm = series.mean("pcie_rx", seconds), series.mean("busy", seconds), series.mean("sm", seconds)
    if received is None:
        return NotEvaluated("PCIe throughput (GPM, or driver 535 and newer)", "gpuwatch doctor")
    if sm is None and busy is None:
        return NotEvaluated("neither utilization nor GPM tells how busy it is", "gpuwatch doctor")
    if (sm >= bounds.most("sm")) if sm is not None else ((busy or 0.0) >= bounds.most("busy")):
        return CLEAR
    usable = _link(
        series.last("pcie_generation") or gpu.gpu.pcie_generation_max, series.last("pcie_width") or gpu.gpu.pcie_width_max
    )
    full = usable is not None and received >= bounds.least("link_share") * usable
    least = bounds.plain("steady_bytes")
    steady = sm is not None and received >= least and _steady(gpu, seconds, least) >= 0.9
    if full or steady:
        return _finding(gpu, scene, received, usable, (sm, busy))
    return (
        CLEAR
        if usable is not None or received < least
        else NotEvaluated("generation and lanes of its PCIe link", "gpuwatch doctor")
    )


def _steady(gpu: GpuSubject, seconds: float, least: float) -> float:
    if least == _STEADY:
        return gpu.series.share(_receives, seconds) or 0.0
    looks = [look for look in gpu.series.looks(seconds) if look.pcie_rx is not None]
    return sum((look.pcie_rx or 0.0) >= least for look in looks) / len(looks) if looks else 0.0


def _receives(look: GpuLook) -> bool | None:
    return None if look.pcie_rx is None else look.pcie_rx >= _STEADY


def _link(generation: int | None, width: int | None) -> float | None:
    return _USABLE[generation] * width / 16 if generation in _USABLE and width else None


def _finding(
    gpu: GpuSubject, scene: Scene, received: float, usable: float | None, shares: tuple[float | None, float | None]
) -> Finding:
    sm, busy = shares
    worked = max(value for value in (sm, busy) if value is not None)
    waste = (1 - worked) * gpu.gpu.compute_fraction
    share = received / usable if usable else None
    server = any(serves(job) for job in scene.jobs_on(gpu))
    of_link = f", {percent(share)} of what its link carries," if share is not None else ""
    return Finding(
        name="waits for copies",
        title=f"{gpu.label} receives {received / 1e9:.1f} GB/s from the host{of_link} and is busy {percent(worked)} of the time.",
        severity=Severity.NOTICE,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence(
                "received over PCIe, GB/s",
                f"{received / 1e9:.1f}",
                f"{(scene.limits.of(ID, 'link_share') * (usable or 0) or _STEADY) / 1e9:.1f}",
                "NVML PCIe",
            ),
            Evidence("SM activity", percent(sm), percent(scene.limits.of(ID, "sm")), "GPM"),
            Evidence("busy, mean", percent(busy), percent(scene.limits.of(ID, "busy")), "GPM or NVML utilization"),
        ),
        gpus=(gpu.id,),
        waste_gpus=waste,
        how=f"Time x (1 - the larger of SM activity and busy share) = 1 - {worked:.2f}.",
        try_first=("vllm serve … --cpu-offload-gb 0",)
        if server
        else ("DataLoader(…, pin_memory=True)", "batch = batch.to(device, non_blocking=True)"),
        then="send bytes (uint8) and convert on the GPU; keep on the GPU what is used again; no CPU offload (DeepSpeed, --cpu-offload-gb)",
        gain=f"up to {waste:.1f} GPU",
        gain_source="this GPU's own link and busy share",
        wrong_if=("weights or a KV cache are offloaded on purpose", "it loads its weights just now"),
        bucket=Bucket.WAIT,
        cause=Cause.TRANSFER,
        measured=share,
        sql=of_gpus("pcie_rx_bytes / observed_seconds AS received_per_second, sm_active_ratio, utilization_ratio", [gpu], WINDOW),
    )
