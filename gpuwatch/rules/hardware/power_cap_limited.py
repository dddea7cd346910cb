"""F2: clocks that a lowered power limit holds down."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.hardware.reasons import Slowed, never, power_cap, slowed
from gpuwatch.rules.observed import unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "power-cap-limited"
WINDOW = 900


@rule(
    ID,
    "F2",
    "gpu",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.THROTTLED,
    limits=(
        ("share", 0.50, "ratio", "pragmatic", "of the busy time with clocks held down by the power limit"),
        ("clear_share", 0.35, "ratio", "pragmatic", "it clears below"),
        ("lowered", 0.98, "ratio", "pragmatic", "the limit is below this share of the card's default"),
        ("warning", 0.85, "ratio", "pragmatic", "a warning below this share of it"),
        ("busy_seconds", 90, "seconds", "pragmatic", "so much of the window was busy"),
    ),
)
def power_cap_limited(gpu: GpuSubject, scene: Scene) -> Verdict:
    """A power limit below the card's default holds the clocks down.

    Fires when the software power cap is a reason in half of the busy time of 15 minutes and the limit was lowered: info, a warning below
    85 % of the default. At the default limit nothing is told but the rule's own line: dense matrix work runs into it on every card.

    Waste: busy time x (1 - clock / the highest clock), while the limit is lowered. Measured.
    Try: the default limit again; or, where energy counts for more than time, a sweep of the limit that keeps the knee (Zeus).
    Gain: the clocks that the default limit allows, less than the waste says where work waits for memory.
    May be wrong if the limit is deliberate: the room's power, its cooling, or cost per token.
    Source: S30 (Zeus).
    """
    if (gap := unseen(gpu.series, WINDOW)) is not None:
        return gap
    if never(gpu, WINDOW, ("power_cap",), "power_seconds"):
        return CLEAR
    capped = slowed(gpu, WINDOW, power_cap)
    if capped.busy_seconds < scene.limits.of(ID, "busy_seconds"):
        return Clear("not busy")
    if capped.share is None:
        return NotEvaluated("the driver tells no reasons for its clocks")
    if capped.share < scene.limits.of(ID, "clear_share" if scene.is_open(ID, gpu) else "share"):
        return CLEAR
    limit = gpu.series.last("power_limit") or gpu.gpu.power_limit_watts
    default = gpu.gpu.power_limit_default_watts
    if limit is None or not default:
        return NotEvaluated("the power limit or its default is not known")
    if limit >= scene.limits.of(ID, "lowered") * default:
        return Clear(f"the power limit holds it in {percent(capped.share)} of its busy time, at its default: as it should")
    return _finding(gpu, scene, capped, limit, default)


def _finding(gpu: GpuSubject, scene: Scene, capped: Slowed, limit: float, default: float) -> Finding:
    index, usual = gpu.gpu.index, f"{percent(limit / default)} of its default"
    lost = None if capped.lost is None else capped.lost * gpu.gpu.compute_fraction
    return Finding(
        name="power cap lowered",
        title=f"A power limit of {limit:.0f} W, {usual}, holds the clocks of {gpu.label} down in {percent(capped.share)} of its busy time.",
        severity=Severity.WARNING if limit < scene.limits.of(ID, "warning") * default else Severity.INFO,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence(
                "busy time at the power cap",
                percent(capped.share),
                percent(scene.limits.of(ID, "share")),
                "NVML clock reasons",
            ),
            Evidence("power limit", f"{limit:.0f} W", f"{default:.0f} W", "NVML"),
            Evidence("lost to lower clocks", percent(capped.lost), "–", "NVML clocks"),
        ),
        gpus=(gpu.id,),
        waste_gpus=lost,
        how="Busy time x (1 - clock / highest clock of the card), over the rows at the power cap; the ledger books the same.",
        try_first=(f"nvidia-smi -i {index} -pl {default:.0f}", f"nvidia-smi -i {index} -q -d POWER,PERFORMANCE"),
        then="or keep it on purpose: sweep the limit and keep the knee where energy a token is lowest",
        gain=f"{percent(capped.lost)} of this GPU's time where work is bound by the SMs"
        if capped.lost is not None
        else "higher clocks",
        gain_source="this GPU's own clocks; sweeps of the limit: Zeus (S30)",
        wrong_if=("it is deliberate: the power or the cooling of the room", "cost per token counts for more than time"),
        bucket=Bucket.THROTTLED,
        measured=capped.share,
        sql=of_gpus("power_throttled_seconds, power_limit_watts, sm_clock_hertz", [gpu], WINDOW),
    )
