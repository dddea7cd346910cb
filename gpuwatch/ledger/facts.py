"""The facts of one tick that the ledger is built on: quiet, context, clock factor, busy share.

They are computed once, when a sample is recorded, stored with the row and never relabelled. How full the busy time was follows from
stored columns alone. All are pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from gpuwatch.ledger.types import Fill
from gpuwatch.model import Gpu, GpuSample
from gpuwatch.names import Context, Tier

QUIET_UTILIZATION = 0.05
QUIET_SM_ACTIVE = 0.02
CONTEXT_MEMORY_RATIO = 0.02
CONTEXT_MEMORY_BYTES = 1024**3
IDLE_LIMIT_SHARE, IDLE_WATTS = 0.15, 75.0
"""The idle floor of a GPU that was never seen free: so much of its power limit, and no more than so many watts."""

TENSOR_PEAK_PM, DRAM_PEAK_PM, FP_PEAK_PM = 930, 800, 930
"""What each unit reaches in practice, in per mille of what its counter calls all (NVIDIA's and Meta's figures of large kernels)."""
IDLE_PERCENTILE = 5

HARDWARE_SLOWDOWN, SW_THERMAL, HW_THERMAL, POWER_BRAKE = 0x8, 0x20, 0x40, 0x80
SW_POWER_CAP = 0x4
SLOWED = HARDWARE_SLOWDOWN | SW_THERMAL | HW_THERMAL | POWER_BRAKE
"""Clock event reasons that always cost speed; a software power cap does so only under a lowered limit."""


def quiet(sample: GpuSample) -> bool | None:
    """Whether the GPU did nothing: utilization < 0.05 and, where measured, SM activity < 0.02 and no encoder or decoder.

    Where the driver gives no utilization (MIG instances) GPM's graphics activity takes its place. ``None``: neither is known.
    """
    activity = sample.utilization_ratio if sample.utilization_ratio is not None else sample.graphics_active_ratio
    sm = sample.sm_active_ratio
    if sample.unavailable or (activity is None and sm is None):
        return None
    if activity is not None and activity >= QUIET_UTILIZATION:
        return False
    if sm is not None and sm >= QUIET_SM_ACTIVE:
        return False
    return not (sample.encoder_utilization_ratio or sample.decoder_utilization_ratio)


def context(sample: GpuSample, gpu: Gpu, *, sliced: bool = False) -> Context | None:
    """Who holds the GPU; ``None`` when neither a process list nor a memory reading says so.

    ``sliced``: the GPU is cut into MIG instances that are listed as GPUs of their own; what is left of it is free.
    """
    if sliced:
        return Context.NONE
    if sample.process_count:
        return Context.PROCESS
    if gpu.mig_enabled and not gpu.parent_uuid:
        return None  # its instances, not this device, are what programs hold, and they are not visible
    used = sample.memory_used_bytes
    if used is not None and used > max(CONTEXT_MEMORY_RATIO * (gpu.memory_total_bytes or 0), CONTEXT_MEMORY_BYTES):
        return Context.MEMORY_ONLY
    return None if used is None and sample.process_count is None else Context.NONE


def kappa_pm(sample: GpuSample, gpu: Gpu) -> int:
    """The clock factor in per mille: SM clock over its maximum while something lowers the clocks, else 1000.

    A power cap at the default limit is how a busy GPU normally runs and costs nothing here; under a lowered limit it does.
    A clock of 0 under work is a reading that failed, not a GPU that stands still.
    """
    reasons = sample.clock_event_reasons or 0
    capped = bool(reasons & SW_POWER_CAP) and limit_lowered(sample, gpu)
    if not (reasons & SLOWED or capped) or not gpu.sm_clock_max_hertz or (sample.sm_clock_hertz or 0) <= 0:
        return 1000
    return min(1000, round(1000 * (sample.sm_clock_hertz or 0) / gpu.sm_clock_max_hertz))


def limit_lowered(sample: GpuSample, gpu: Gpu) -> bool:
    """Whether the power limit in force is below the board's default; False when either is unknown."""
    limit = sample.power_limit_watts if sample.power_limit_watts is not None else gpu.power_limit_watts
    default = gpu.power_limit_default_watts
    return limit is not None and default is not None and limit < default


def busy_pm(sample: GpuSample) -> int | None:
    """The busy share of the tick in per mille: GPM graphics activity, else utilization, else SM activity; ``None`` if unknown."""
    for ratio in (sample.graphics_active_ratio, sample.utilization_ratio, sample.sm_active_ratio):
        if ratio is not None:
            return min(1000, max(0, round(1000 * ratio)))
    return None


def power_fraction(power_watts: float | None, limit_watts: float | None, idle_watts: float | None = None) -> float | None:
    """How much of the power above its idle floor a GPU draws, 0 to 1: (p - p0) / (L - p0); ``None`` unless power and limit are known.

    p0 is ``idle_watts``, what it was seen to draw while nobody held it, else min(0.15 L, 75 W).
    """
    if power_watts is None or not limit_watts:
        return None
    floor = min(IDLE_LIMIT_SHARE * limit_watts, IDLE_WATTS) if idle_watts is None else idle_watts
    if floor >= limit_watts:
        return None
    return min(1.0, max(0.0, (power_watts - floor) / (limit_watts - floor)))


def idle_floor(powers: Sequence[float]) -> float | None:
    """What a GPU draws when nobody holds it, from readings of such time: their 5th percentile (nearest rank); ``None`` without any."""
    if not powers:
        return None
    return sorted(powers)[max(0, -(-len(powers) * IDLE_PERCENTILE // 100) - 1)]


def fill(
    busy_pm: int | None,
    kappa_pm: int,
    *,
    sm_pm: int | None = None,
    tensor_pm: int | None = None,
    dram_pm: int | None = None,
    fp32_pm: int | None = None,
    fp64_pm: int | None = None,
    mfu_pm: int | None = None,
    power_pm: int | None = None,
) -> Fill | None:
    """How full the busy time of a row was, by the best evidence that its stored columns hold; ``None``: nothing says it.

    G: s = min(1, S / b); e = min(s, r / b) with r the largest of T / .93, D / .80, FP32 / .93, FP64 / .93 and MFU / kappa (model FLOPs
    are counted against the full clock, GPM shares against the running one). Without both tensor and memory activity, and without MFU,
    what is above s is all that is known. H: MFU / kappa / b alone, which cannot tell empty SMs from stalled ones. P: the power fraction.
    """
    busy = 1000 if busy_pm is None or busy_pm > 1000 else busy_pm
    if busy <= 0:
        return None
    hook = None if mfu_pm is None or kappa_pm <= 0 else max(0, mfu_pm) * 1_000_000 // (kappa_pm * busy)
    if sm_pm is not None:
        filled = min(1000, max(0, sm_pm) * 1000 // busy)
        if hook is None and (tensor_pm is None or dram_pm is None):
            return Fill(Tier.G, filled)
        reached = max(
            (tensor_pm or 0) * 1000 // TENSOR_PEAK_PM,
            (dram_pm or 0) * 1000 // DRAM_PEAK_PM,
            (fp32_pm or 0) * 1000 // FP_PEAK_PM,
            (fp64_pm or 0) * 1000 // FP_PEAK_PM,
        )
        return Fill(Tier.G, filled, max(0, min(filled, max(reached * 1000 // busy, hook or 0))))
    if hook is not None:
        return Fill(Tier.H, 1000, min(1000, hook))
    return None if power_pm is None else Fill(Tier.P, min(1000, max(0, power_pm)))


def weight(gpu: Gpu, gpus: Iterable[Gpu]) -> Fraction:
    """What one GPU counts for in the ledger: 1; a MIG instance its share of the SMs; a sliced GPU what its instances leave."""
    if gpu.parent_uuid:
        return _fraction(gpu.compute_fraction)
    taken = sum((_fraction(other.compute_fraction) for other in gpus if other.parent_uuid == gpu.uuid), Fraction(0))
    return max(Fraction(0), 1 - taken)


def _fraction(ratio: float) -> Fraction:
    return Fraction(ratio).limit_denominator(1000)
