"""Three clocks tell a stall, a suspend and a step apart."""

from __future__ import annotations

import pytest

from gpuwatch.clock import FakeClock
from gpuwatch.names import GapReason
from gpuwatch.recorder.timeline import Break, Timeline


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ({"seconds": 1.0}, None),
        ({"seconds": 3.0}, None),
        ({"seconds": 20.0}, Break(GapReason.STALL)),
        ({"seconds": 1.0, "suspended": 7200.0}, Break(GapReason.SUSPEND)),
        ({"seconds": 1.0, "step": 0.4}, None),
        ({"seconds": 1.0, "step": -3600.0}, Break(GapReason.CLOCK, -3600.0)),
        ({"seconds": 1.0, "step": 3600.0}, Break(GapReason.CLOCK, 3600.0)),
    ],
)
def test_breaks(moves: dict[str, float], expected: Break | None) -> None:
    clock = FakeClock()
    timeline = Timeline(clock, 1.0)
    assert timeline.observe() is None
    clock.advance(**moves)
    found = timeline.observe()
    assert (found.reason if found else None) == (expected.reason if expected else None)
    assert (found.step_seconds if found else 0) == pytest.approx(expected.step_seconds if expected else 0)
    clock.advance(1.0)
    assert timeline.observe() is None
