"""F3: clocks that somebody has set low."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.looks import GpuLook
from gpuwatch.rules.observed import unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "clocks-locked-low"
WINDOW = 900


@rule(
    ID,
    "F3",
    "gpu",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.THROTTLED,
    limits=(
        ("busy", 0.8, "ratio", "pragmatic", "at this utilization or more"),
        ("clock", 0.90, "ratio", "pragmatic", "the SM clock is below this share of the card's highest"),
        ("clear_clock", 0.93, "ratio", "pragmatic", "it clears above"),
        ("set_share", 0.5, "ratio", "pragmatic", "with the reason 'clocks are set' in this share of the time"),
        ("spread_hertz", 15e6, "hertz", "pragmatic", "or a clock that moves no more than one step"),
        ("other_share", 0.05, "ratio", "pragmatic", "while heat and power are reasons in less than this share of the time"),
        ("dram", 0.6, "ratio", "S14 vendor", "work that uses this much of the memory bandwidth loses little"),
    ),
)
def clocks_locked_low(gpu: GpuSubject, scene: Scene) -> Verdict:
    """The SM clock is set low: a busy GPU runs below 90 % of its highest clock, and neither heat nor power is why.

    Fires when utilization is 80 % or more for 15 minutes, the clock below 90 % of the highest, no reason of heat or power is there, and
    either the reason "application clocks setting" is, or the clock does not move by more than one step of 15 MHz. Clears above 93 %.

    Waste: busy time x (1 - clock / highest clock) x SM activity where GPM tells it: "if it is bound by the SMs".
    Try: take the lock away: -rgc (locked), -rac (application clocks), -rmc (memory).
    Gain: up to highest clock / clock.
    May be wrong for benchmarks that lock clocks to be repeatable, and in groups whose clocks are synchronised.
    Source: the manual of nvidia-smi.
    """
    if (gap := unseen(gpu.series, WINDOW)) is not None:
        return gap
    clock, highest, busy = gpu.series.mean("sm_clock", WINDOW), gpu.gpu.sm_clock_max_hertz, gpu.series.mean("utilization", WINDOW)
    if busy is None or clock is None or not highest:
        return NotEvaluated("utilization, the SM clock or its highest is not known")
    if busy < scene.limits.of(ID, "busy"):
        return Clear("not busy")
    if clock >= scene.limits.of(ID, "clear_clock" if scene.is_open(ID, gpu) else "clock") * highest:
        return CLEAR
    hot, capped = _share(gpu, "heat"), _share(gpu, "power")
    if hot is None or capped is None:
        return NotEvaluated("the driver tells no reasons for its clocks")
    if max(hot, capped) >= scene.limits.of(ID, "other_share"):
        return Clear("heat or power is why")
    setting = gpu.series.mean("clocks_set", WINDOW) or 0.0
    spread = _spread(gpu)
    if setting < scene.limits.of(ID, "set_share") and (spread is None or spread > scene.limits.of(ID, "spread_hertz")):
        return CLEAR
    if (gpu.series.mean("dram", WINDOW) or 0.0) >= scene.limits.of(ID, "dram"):
        return Clear("its work waits for memory, which the clock does not slow down")
    return _finding(gpu, scene, clock, highest, busy, setting)


def _share(gpu: GpuSubject, which: str) -> float | None:
    """The share of the window in which heat or the power cap was a reason."""
    names, seconds = (("thermal", "slowdown"), "thermal_seconds") if which == "heat" else (("power_cap",), "power_seconds")
    known = [share for name in names if (share := gpu.series.mean(name, WINDOW)) is not None]
    if (lasted := gpu.series.total(seconds, WINDOW)) is not None:
        known.append(lasted / WINDOW)
    return max(known) if known else None


def _spread(gpu: GpuSubject) -> float | None:
    def of(look: GpuLook) -> bool:
        return look.sm_clock_min is not None and look.sm_clock_max is not None

    looks = [look for look in gpu.series.looks(WINDOW) if of(look)]
    if len(looks) * 10 < 0.9 * WINDOW * 0.9:
        return None
    return max(look.sm_clock_max or 0.0 for look in looks) - min(look.sm_clock_min or 0.0 for look in looks)


def _finding(gpu: GpuSubject, scene: Scene, clock: float, highest: float, busy: float, setting: float) -> Finding:
    index, ratio, sm = gpu.gpu.index, clock / highest, gpu.series.mean("sm", WINDOW)
    weight = busy if sm is None else min(busy, sm)
    return Finding(
        name="clocks set low",
        title=f"{gpu.label} runs at {clock / 1e6:.0f} MHz, {percent(ratio)} of its highest clock, and neither heat nor power is why.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("SM clock", f"{clock / 1e6:.0f} MHz", f"{scene.limits.of(ID, 'clock') * highest / 1e6:.0f} MHz", "NVML"),
            Evidence("time with clocks set", percent(setting), "–", "NVML clock reasons"),
            Evidence("utilization", percent(busy), percent(scene.limits.of(ID, "busy")), "NVML"),
        ),
        gpus=(gpu.id,),
        waste_gpus=weight * (1 - ratio) * gpu.gpu.compute_fraction,
        how="Busy time x (1 - clock / highest clock)"
        + (" x SM activity" if sm is not None else "")
        + ", if it is bound by the SMs.",
        try_first=(f"nvidia-smi -i {index} -rgc", f"nvidia-smi -i {index} -rac"),
        then="-rmc if the memory clock was set as well; nvidia-smi -q -d CLOCK,PERFORMANCE shows what is set",
        gain=f"up to {highest / clock:.2f} times the speed",
        gain_source="highest clock / clock of this GPU; the manual of nvidia-smi",
        wrong_if=("clocks were locked to make benchmarks repeatable", "a group of GPUs keeps its clocks together"),
        bucket=Bucket.THROTTLED,
        measured=1 - ratio,
        sql=of_gpus("sm_clock_hertz, sm_clock_min_hertz, utilization_ratio", [gpu], WINDOW),
    )
