"""Whether the recorder's own time ran on: stalls, suspend and clock steps between two ticks (three clocks tell them apart)."""

from __future__ import annotations

from gpuwatch.clock import Clock
from gpuwatch.dataclass import dataclass
from gpuwatch.names import GapReason

_NS = 1e9
_STEP_SECONDS = 0.5
PERIODS = 3
"""A row bridges at most this many periods; a longer silence is a gap."""


@dataclass(frozen=True, slots=True)
class Break:
    """Time between two ticks that no row may bridge. ``step_seconds`` is how far the wall clock was set, 0 if it was not."""

    reason: GapReason
    step_seconds: float = 0.0


class Timeline:
    """Compares wall, monotonic and boot time from tick to tick."""

    def __init__(self, clock: Clock, period_seconds: float) -> None:
        self._clock = clock
        self._limit = PERIODS * period_seconds
        self._last: tuple[float, int, int] | None = None

    def observe(self) -> Break | None:
        """Call once a tick: what happened since the last one, ``None`` if time simply passed."""
        now = self._clock.time(), self._clock.monotonic_ns(), self._clock.boottime_ns()
        last, self._last = self._last, now
        if last is None:
            return None
        wall, awake, boot = now[0] - last[0], (now[1] - last[1]) / _NS, (now[2] - last[2]) / _NS
        if abs(wall - boot) > _STEP_SECONDS:
            return Break(GapReason.CLOCK, wall - boot)
        if boot <= self._limit:
            return None
        return Break(GapReason.SUSPEND if boot - awake > _STEP_SECONDS else GapReason.STALL)
