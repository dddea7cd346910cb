"""F1: clocks that heat lowers."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.hardware.reasons import Slowed, heat, never, slowed
from gpuwatch.rules.observed import unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent, span

ID = "thermal-throttle"
WINDOW = 600


@rule(
    ID,
    "F1",
    "gpu",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.THROTTLED,
    limits=(
        ("share", 0.05, "ratio", "S21 vendor", "of busy time with clocks lowered by heat, hardware slowdown or power brake"),
        ("clear_share", 0.03, "ratio", "pragmatic", "it clears below"),
        ("slowdowns_per_minute", 0.6, "count", "S21 vendor", "or so many hardware slowdowns begin a minute"),
        ("critical_share", 0.20, "ratio", "pragmatic", "it is critical above"),
        ("busy_seconds", 60, "seconds", "pragmatic", "so much of the window was busy"),
    ),
)
def thermal_throttle(gpu: GpuSubject, scene: Scene) -> Verdict:
    """Heat lowers the clocks of a GPU.

    Fires when a reason of heat (software or hardware thermal slowdown), a hardware slowdown or the power brake is there in 5 % of the busy
    time of 10 minutes, or hardware slowdowns begin 0.6 times a minute. Critical above 20 %. Clears below 3 %. Fewer and shorter ones are
    told in the rule's own line ("clear: ..."), not as a finding: DCGM warns of any in a minute.

    Waste: busy time x (1 - clock / the highest clock of its model), over the rows that such a reason is in: what the ledger books. Measured.
    Try: fans, airflow, blanking panels, inlet temperature, dust; as a stop-gap a power limit 5 to 10 % lower, which swings less.
    Gain: the clocks that it had before.
    May be wrong if a limit of the memory's temperature or a laptop's design is behind it.
    Sources: S19 (DCGM), S21 (gpud).
    """
    if (gap := unseen(gpu.series, WINDOW)) is not None:
        return gap
    if never(gpu, WINDOW, ("thermal", "slowdown"), "thermal_seconds"):
        return CLEAR
    hot = slowed(gpu, WINDOW, heat)
    if hot.busy_seconds < scene.limits.of(ID, "busy_seconds"):
        return Clear("not busy")
    if hot.share is None:
        return NotEvaluated("the driver tells no reasons for its clocks")
    brakes = slowed(gpu, WINDOW, lambda look: look.slowdown).onsets / (WINDOW / 60)
    limit = scene.limits.of(ID, "clear_share" if scene.is_open(ID, gpu) else "share")
    often = scene.limits.of(ID, "slowdowns_per_minute")
    if hot.share < limit and brakes < often:
        return Clear(f"heat lowered the clocks in {percent(hot.share)} of the busy time: below the limit" if hot.share else "")
    return _finding(gpu, hot, brakes, limit, hot.share > scene.limits.of(ID, "critical_share"), often)


def _finding(gpu: GpuSubject, hot: Slowed, brakes: float, limit: float, critical: bool, often: float) -> Finding:
    celsius = gpu.series.highest("temperature", WINDOW)
    watts = gpu.gpu.power_limit_watts
    lower = f"nvidia-smi -i {gpu.gpu.index} -pl {watts * 0.92:.0f}" if watts else f"nvidia-smi -i {gpu.gpu.index} -pl WATTS"
    lost = None if hot.lost is None else hot.lost * gpu.gpu.compute_fraction
    return Finding(
        name="slowed by heat",
        title=f"Heat lowered the clocks of {gpu.label} in {percent(hot.share)} of its busy time in the last {span(WINDOW)}.",
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence("busy time slowed by heat", percent(hot.share), percent(limit), "NVML clock reasons"),
            Evidence("hardware slowdowns a minute", f"{brakes:.1f}", f"{often:.1f}", "NVML clock reasons"),
            Evidence(
                "highest temperature",
                "–" if celsius is None else f"{celsius:.0f} °C",
                f"{gpu.gpu.temperature_limit_celsius} °C" if gpu.gpu.temperature_limit_celsius else "–",
                "NVML",
            ),
        ),
        gpus=(gpu.id,),
        waste_gpus=lost,
        how="Busy time x (1 - clock / highest clock of the card), over the rows that a reason of heat is in; the ledger books the same.",
        try_first=(f"nvidia-smi -i {gpu.gpu.index} -q -d TEMPERATURE,PERFORMANCE", lower),
        then="look at fans, airflow, blanking panels, the inlet's temperature and dust; the lower limit is a stop-gap that swings less",
        gain=f"{percent(hot.lost)} of this GPU's time" if hot.lost is not None else "the clocks that it has when it is cool",
        gain_source="this GPU's own clocks",
        wrong_if=("the limit of the memory's temperature is what it runs into", "a laptop or a passively cooled card is built so"),
        bucket=Bucket.THROTTLED,
        measured=hot.share,
        sql=of_gpus("thermal_throttled_seconds, sm_clock_hertz, temperature_max_celsius", [gpu], WINDOW),
    )
