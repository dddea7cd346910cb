"""What a training spends its time on: the place where it sleeps is the largest, and by as much as it slept."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.names import Phase

LOOP = (Phase.DATA, Phase.FORWARD, Phase.BACKWARD, Phase.OPTIMIZER, Phase.CHECKPOINT, Phase.EVAL, Phase.COMPILE, Phase.OTHER)


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("slow_data", Phase.DATA),
        ("slow_other", Phase.OTHER),
        ("slow_eval", Phase.EVAL),
        ("slow_checkpoint", Phase.CHECKPOINT),
    ],
)
def test_the_cause_is_the_largest_phase_and_as_large_as_it_was(attached: Any, name: str, phase: Phase) -> None:
    own = attached.results[name]
    phases = own["agent"]["phases"]
    assert max(LOOP, key=lambda each: phases[each]) == phase
    # a first batch that is awaited before the first step is data as well: this many seconds of it the script did not sleep after that
    early = own["early"] if phase == Phase.DATA else 0.0
    share = (phases[phase] / 1e9 - early) / own["took"]
    assert share == pytest.approx(own["slept"] / own["took"], abs=0.15)


def test_a_process_that_hangs_says_in_which_phase_and_since_when(attached: Any) -> None:
    assert attached.results["slow_data"]["seen"] == ["DATA for 10 ms"]
