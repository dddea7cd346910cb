"""Heat, power, clocks, links and errors: when each rule fires, when not, and when it says that it cannot tell."""

from __future__ import annotations

import pytest
from tests.support.rule_scene import Stage

from gpuwatch.names import Basis, Severity
from gpuwatch.rules.hardware import pcie_link_degraded, thermal_throttle
from gpuwatch.rules.types import Clear, Finding, NotEvaluated

BUSY = {"utilization": 0.97, "temperature": 86.0, "kappa": 1.0, "thermal": 0.0, "slowdown": 0.0}


def _hot(every: int, kappa: float = 0.8):
    return lambda n: BUSY | ({"thermal": 1.0, "kappa": kappa} if n % every == 0 else {})


# ------------------------------------------------------------------------------------------------------------------- F1


def test_heat_is_told_from_a_twentieth_of_the_busy_time_on_with_what_it_costs() -> None:
    stage = Stage()
    stage.run(600, _hot(10))
    found = stage.judge(thermal_throttle, gpu=1)
    assert isinstance(found, Finding)
    assert (found.severity, found.basis) == (Severity.WARNING, Basis.MEASURED)
    assert found.measured == pytest.approx(0.1)
    assert found.waste_gpus == pytest.approx(0.1 * 0.97 * 0.2)
    assert "GPU 0 in 10% of its busy time" in found.title


def test_heat_in_a_fifth_of_the_time_and_more_is_critical() -> None:
    stage = Stage()
    stage.run(600, _hot(3))
    found = stage.judge(thermal_throttle, gpu=1)
    assert isinstance(found, Finding) and found.severity is Severity.CRITICAL


def test_a_little_heat_is_told_in_the_rules_own_line_only_unless_it_is_open() -> None:
    stage = Stage()
    stage.run(600, _hot(30))
    quiet = stage.judge(thermal_throttle, gpu=1)
    assert isinstance(quiet, Clear) and "3%" in quiet.why
    stage.open(thermal_throttle, "gpu:GPU-1")
    assert isinstance(stage.judge(thermal_throttle, gpu=1), Finding)


def test_hardware_slowdowns_count_by_how_often_they_come() -> None:
    stage = Stage()
    stage.run(600, lambda n: BUSY | ({"slowdown": 0.1} if n % 6 == 0 else {}))
    found = stage.judge(thermal_throttle, gpu=1)
    assert isinstance(found, Finding)
    assert found.evidence[1].measured == "1.0"


def test_heat_needs_reasons_a_busy_gpu_and_a_whole_window() -> None:
    stage = Stage()
    stage.run(600, {"utilization": 0.9})
    assert isinstance(stage.judge(thermal_throttle, gpu=1), NotEvaluated)
    stage = Stage()
    stage.run(600, {"utilization": 0.0, "thermal": 1.0, "slowdown": 0.0})
    assert isinstance(stage.judge(thermal_throttle, gpu=1), Clear)
    stage = Stage()
    stage.run(400, _hot(2))
    gap = stage.judge(thermal_throttle, gpu=1)
    assert isinstance(gap, NotEvaluated) and gap.signal.startswith("gap")


# ------------------------------------------------------------------------------------------------------------------- F4

LINK = {"pcie_generation_max": 5, "pcie_width_max": 16, "pci_bus_id": "00000000:3B:00.0"}


def _link(utilization: float, generation: int, width: int) -> dict[str, float]:
    return {"utilization": utilization, "pcie_generation": generation, "pcie_width": width}


def test_a_narrow_link_is_told_while_the_gpu_is_busy() -> None:
    stage = Stage(**LINK)
    stage.run(60, _link(0.9, 5, 8))
    found = stage.judge(pcie_link_degraded, gpu=1)
    assert isinstance(found, Finding)
    assert found.waste_gpus is None
    assert "x8" in found.title and found.evidence[2].measured == "50%"
    assert found.try_first[0] == "lspci -vv -s 0000:3b:00.0 | grep LnkSta"


def test_a_link_that_is_slow_at_rest_and_fast_at_work_is_fine() -> None:
    stage = Stage(**LINK)
    stage.run(600, _link(0.0, 1, 16))
    assert isinstance(stage.judge(pcie_link_degraded, gpu=1), Clear)
    stage.run(40, _link(0.9, 1, 16))
    assert isinstance(stage.judge(pcie_link_degraded, gpu=1), Clear), "four busy looks are too few"
    stage.run(20, _link(0.9, 5, 16))
    assert isinstance(stage.judge(pcie_link_degraded, gpu=1), Clear), "one good look is enough"


def test_a_look_that_is_partly_quiet_says_nothing_of_the_link() -> None:
    stage = Stage(**LINK)
    stage.run(60, _link(0.9, 1, 16) | {"quiet_ms": 1000})
    assert isinstance(stage.judge(pcie_link_degraded, gpu=1), Clear)


def test_a_link_needs_to_be_told_and_a_slice_has_none() -> None:
    stage = Stage()
    stage.run(60, _link(0.9, 1, 8))
    assert isinstance(stage.judge(pcie_link_degraded, gpu=1), NotEvaluated)
    stage = Stage(**LINK)
    stage.run(60, {"utilization": 0.9})
    assert isinstance(stage.judge(pcie_link_degraded, gpu=1), NotEvaluated)
    stage = Stage(**LINK, parent_uuid="GPU-0")
    stage.run(60, _link(0.9, 1, 8))
    assert isinstance(stage.judge(pcie_link_degraded, gpu=1), Clear)
