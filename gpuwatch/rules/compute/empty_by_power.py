"""Busy but empty, by power: one signal that stands in for another. Off unless the limit ``proxy`` turns it on."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

_BAND = 0.25


def by_power(gpu: GpuSubject, scene: Scene, rule: str, seconds: float, used: float, busy: float) -> Verdict:
    """The verdict of ``busy-but-empty-sm`` where there is no GPM and the power limit is known."""
    series, limits = gpu.series, scene.limits
    fraction = series.mean("power_fraction", seconds)
    if fraction is None or series.known("power_fraction", seconds) < 0.8:
        return NotEvaluated("neither SM activity (GPM: Hopper or newer) nor power and its limit", "gpuwatch doctor")
    if used < limits.of(rule, "proxy_busy") or fraction >= limits.of(rule, "proxy_fraction"):
        return CLEAR
    lowered = [series.mean(name, seconds) for name in ("thermal", "slowdown", "power_cap", "clocks_set")]
    clock, top = series.mean("sm_clock", seconds), gpu.gpu.sm_clock_max_hertz
    if any(value is not None and value > 0.05 for value in lowered) or (clock and top and clock < 0.9 * top):
        return Clear("its clocks are lowered: power says nothing about fill")
    if clock is None or not top:
        return NotEvaluated("the SM clock, without which power says nothing about fill", "gpuwatch doctor")
    filled = min(1.0, fraction / limits.of(rule, "proxy_full"))
    low, high = (max(0.0, min(1.0, 1 - filled + by)) for by in (-_BAND, _BAND))
    whole = busy * gpu.gpu.compute_fraction
    return Finding(
        name="busy, SMs empty",
        title=f"{gpu.label} shows {percent(used)} utilization and draws {percent(fraction)} of the power that it could.",
        severity=Severity.NOTICE,
        confidence=Confidence.LOW,
        basis=Basis.PROXY,
        evidence=(
            Evidence(
                "power fraction above its idle floor", percent(fraction), percent(limits.of(rule, "proxy_fraction")), "NVML power"
            ),
            Evidence("utilization", percent(used), percent(limits.of(rule, "proxy_busy")), "NVML utilization"),
            Evidence("SM clock of its maximum", percent(clock / top), percent(0.9), "NVML clocks"),
        ),
        gpus=(gpu.id,),
        waste_gpus=whole * (1 - filled),
        how=f"Time x busy share x (1 - power fraction / {limits.of(rule, 'proxy_full'):g}), a band of ± 0.25: {whole * low:.2f} to {whole * high:.2f}.",
        try_first=("batch_size = 2 * batch_size  # until 85% of the memory is in use",),
        then="a GPU of Hopper or newer measures SM activity; dcgmi dmon -e 1002 does on older data-centre GPUs",
        gain=f"up to {whole * high:.1f} GPU",
        gain_source="power stands in for fill; it ranks, it does not measure",
        wrong_if=("the work is bound by memory: it draws less power", "the board cannot reach its power limit in this host"),
        bucket=Bucket.EMPTY_SM,
        measured=1 - filled,
        sql=of_gpus("utilization_ratio, power_watts, power_limit_watts", [gpu], seconds),
    )
