"""Why clocks are low, over the busy time of a window."""

from __future__ import annotations

from collections.abc import Callable

from gpuwatch.dataclass import NamedTuple
from gpuwatch.rules.looks import GpuLook
from gpuwatch.rules.observed import ENOUGH
from gpuwatch.rules.scene import GpuSubject

BUSY = 0.05
"""Below that utilization a look is not busy."""


class Slowed(NamedTuple):
    """What a reason did to the busy looks of a window.

    ``share`` of their time it was there (``None``: it is not known whether), ``lost`` of their work, by the clocks at which they ran
    (``None``: not known). ``onsets`` counts how often it came.
    """

    share: float | None
    lost: float | None
    onsets: int
    busy_seconds: float


def slowed(gpu: GpuSubject, seconds: float, reason: Callable[[GpuLook], float | None]) -> Slowed:
    """Sum over the busy looks of a window; ``reason`` gives the share of a look in which the reason was there."""
    busy_ms = known_ms = with_ms = lost_ms = kappa_ms = 0.0
    onsets, before = 0, False
    for look in gpu.series.looks(seconds):
        found = reason(look)
        now = bool(found)
        onsets += now and not before
        before = now
        busy = look.busy if look.busy is not None else look.utilization
        if busy is None or busy < BUSY:
            continue
        busy_ms += look.ms
        if found is None:
            continue
        known_ms += look.ms
        with_ms += found * look.ms
        if now and look.kappa is not None:
            kappa_ms += look.ms
            lost_ms += busy * (1 - look.kappa) * look.ms
    share = with_ms / known_ms if known_ms >= 0.5 * busy_ms and known_ms else None
    lost = lost_ms / (seconds * 1000) if kappa_ms or not with_ms else None
    return Slowed(share, lost, onsets, busy_ms / 1000)


def never(gpu: GpuSubject, seconds: float, names: tuple[str, ...], lasted: str) -> bool:
    """Whether reasons are known for the whole window and none of these was ever there: most GPUs, at once."""
    return not gpu.series.total(lasted, seconds) and all(
        gpu.series.mean(name, seconds) == 0 and gpu.series.known(name, seconds) >= ENOUGH for name in names
    )


def heat(look: GpuLook) -> float | None:
    """The share of a look in which heat, a hardware slowdown or the power brake lowered the clocks: by reasons or by the driver's own time."""
    known = [value for value in (look.thermal, look.slowdown) if value is not None]
    if look.thermal_seconds is not None and look.ms:
        known.append(min(1.0, look.thermal_seconds * 1000 / look.ms))
    return max(known) if known else None


def power_cap(look: GpuLook) -> float | None:
    """The share of a look in which the software power cap lowered the clocks."""
    known = [] if look.power_cap is None else [look.power_cap]
    if look.power_seconds is not None and look.ms:
        known.append(min(1.0, look.power_seconds * 1000 / look.ms))
    return max(known) if known else None
