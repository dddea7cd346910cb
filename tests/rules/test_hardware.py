"""Heat, power, clocks, links and errors: when each rule fires, when not, and when it says that it cannot tell."""

from __future__ import annotations

import pytest

from gpuwatch.names import Basis, Severity
from gpuwatch.rules.hardware import (
    clocks_locked_low,
    memory_errors_pending,
    pcie_link_degraded,
    persistence_mode_off,
    power_cap_limited,
    thermal_throttle,
    xid_error,
)
from gpuwatch.rules.looks import GpuDay, LookEvent
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import START_MS, Stage

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


# ------------------------------------------------------------------------------------------------------------------- F2

CAPPED = {"utilization": 0.95, "power_cap": 0.8, "kappa": 0.75}


def test_a_lowered_power_limit_that_holds_the_clocks_is_told() -> None:
    stage = Stage(power_limit_watts=400.0)
    stage.run(900, CAPPED | {"power_limit": 400.0})
    found = stage.judge(power_cap_limited, gpu=1)
    assert isinstance(found, Finding)
    assert found.severity is Severity.WARNING and found.waste_gpus == pytest.approx(0.95 * 0.25)
    assert found.try_first[0] == "nvidia-smi -i 0 -pl 700" and "57% of its default" in found.title
    stage = Stage()
    stage.run(900, CAPPED | {"power_limit": 650.0})
    found = stage.judge(power_cap_limited, gpu=1)
    assert isinstance(found, Finding) and found.severity is Severity.INFO


def test_the_default_limit_is_as_it_should_be_and_less_than_half_the_time_is_fine() -> None:
    stage = Stage()
    stage.run(900, CAPPED | {"power_limit": 700.0, "kappa": 1.0})
    said = stage.judge(power_cap_limited, gpu=1)
    assert isinstance(said, Clear) and "as it should" in said.why
    stage = Stage(power_limit_watts=400.0)
    stage.run(900, CAPPED | {"power_limit": 400.0, "power_cap": 0.45})
    assert isinstance(stage.judge(power_cap_limited, gpu=1), Clear)


def test_a_power_cap_needs_reasons_and_a_default() -> None:
    stage = Stage()
    stage.run(900, {"utilization": 0.95})
    assert isinstance(stage.judge(power_cap_limited, gpu=1), NotEvaluated)
    stage = Stage(power_limit_default_watts=None)
    stage.run(900, CAPPED)
    assert isinstance(stage.judge(power_cap_limited, gpu=1), NotEvaluated)


# ------------------------------------------------------------------------------------------------------------------- F3


def _clock(mhz: float, spread: float = 0.0, **more: float) -> dict[str, float]:
    clock = {"sm_clock": mhz * 1e6, "sm_clock_min": (mhz - spread / 2) * 1e6, "sm_clock_max": (mhz + spread / 2) * 1e6}
    return {"utilization": 0.95, "thermal": 0.0, "slowdown": 0.0, "power_cap": 0.0, "clocks_set": 0.0} | clock | more


@pytest.mark.parametrize("how", [_clock(1200), _clock(1200, 300, clocks_set=0.9)])
def test_clocks_that_stand_still_or_are_set_are_told(how: dict[str, float]) -> None:
    stage = Stage()
    stage.run(900, how | {"sm": 0.9})
    found = stage.judge(clocks_locked_low, gpu=1)
    assert isinstance(found, Finding)
    assert found.waste_gpus == pytest.approx(0.9 * (1 - 1200 / 1980))
    assert found.try_first[0] == "nvidia-smi -i 0 -rgc" and found.gain == "up to 1.65 times the speed"


@pytest.mark.parametrize(
    "how",
    [
        _clock(1790),
        _clock(1200, 300),
        _clock(1200, power_cap=0.5),
        _clock(1200, thermal=0.2),
        _clock(1200, dram=0.7),
        _clock(1200) | {"utilization": 0.5},
    ],
)
def test_high_moving_and_explained_clocks_are_fine(how: dict[str, float]) -> None:
    stage = Stage()
    stage.run(900, how)
    assert isinstance(stage.judge(clocks_locked_low, gpu=1), Clear)


def test_low_clocks_without_reasons_are_not_judged() -> None:
    stage = Stage()
    stage.run(900, {"utilization": 0.95, "sm_clock": 1.2e9})
    assert isinstance(stage.judge(clocks_locked_low, gpu=1), NotEvaluated)


# --------------------------------------------------------------------------------------------------------------- F5, F6


def _event(kind: str, detail: str, severity: Severity = Severity.WARNING, ago: int = 60, gpu: int = 1) -> LookEvent:
    return LookEvent(START_MS - ago * 1000, kind, severity, detail, gpu)


def test_a_row_that_waits_for_a_reset_is_a_warning_until_the_driver_says_that_it_is_over() -> None:
    stage = Stage(ecc_enabled=True)
    stage.run(10, {"utilization": 0.5}, events=[_event("remap_pending", "GPU 0 has a memory row to remap: it needs a reset")])
    found = stage.judge(memory_errors_pending, gpu=1)
    assert isinstance(found, Finding) and found.severity is Severity.WARNING
    assert "needs a reset" in found.title and found.since_ms == START_MS - 60_000
    stage.run(10, {"utilization": 0.5}, events=[_event("remap_pending", "no row left to remap", Severity.INFO, ago=0)])
    assert isinstance(stage.judge(memory_errors_pending, gpu=1), Clear)


def test_a_row_that_waits_for_a_reset_waits_for_days() -> None:
    stage = Stage(ecc_enabled=True)
    stage.run(
        10, {"utilization": 0.5}, events=[_event("remap_pending", "GPU 0 has a memory row to remap"), _event("xid", "XID 13")]
    )
    stage.t_ms += 3 * 86_400_000
    stage.run(10, {"utilization": 0.5})
    found = stage.judge(memory_errors_pending, gpu=1)
    assert isinstance(found, Finding) and found.title.endswith("3 d 0 h ago.")
    assert [event.kind for event in stage.scene.events] == ["remap_pending"], "other events are of a day"


def test_a_failed_remap_and_a_new_uncorrected_error_are_critical() -> None:
    stage = Stage(2, ecc_enabled=True)
    failed = _event("remap_failed", "GPU 0 could not remap a memory row: have it replaced", Severity.CRITICAL)
    stage.run(10, {"utilization": 0.5, "ecc_uncorrected": 3}, events=[failed])
    found = stage.judge(memory_errors_pending, gpu=1)
    assert isinstance(found, Finding) and found.severity is Severity.CRITICAL and found.try_first == ("dcgmi diag -r 3",)
    assert isinstance(stage.judge(memory_errors_pending, gpu=2), Clear), "old errors are no new ones, and GPU 1 is another"
    stage.run(10, {"utilization": 0.5, "ecc_uncorrected": 4})
    found = stage.judge(memory_errors_pending, gpu=2)
    assert isinstance(found, Finding) and "GPU 1 had 1 uncorrected memory error in the last" in found.title


def test_memory_errors_need_a_driver_that_answers() -> None:
    stage = Stage()
    stage.run(10, unseen=(1,))
    assert isinstance(stage.judge(memory_errors_pending, gpu=1), NotEvaluated)


@pytest.mark.parametrize(("number", "severity"), [(79, Severity.CRITICAL), (13, Severity.WARNING), (109, Severity.WARNING)])
def test_an_error_of_the_driver_is_told_by_its_number_for_an_hour(number: int, severity: Severity) -> None:
    stage = Stage(2)
    stage.run(10, {"utilization": 0.5}, events=[_event("xid", f"XID {number}: something")])
    found = stage.judge(xid_error, gpu=1)
    assert isinstance(found, Finding)
    assert (found.severity, found.name) == (severity, f"XID {number}")
    assert isinstance(stage.judge(xid_error, gpu=2), Clear)
    stage.run(3600, {"utilization": 0.5})
    assert isinstance(stage.judge(xid_error, gpu=1), Clear)


def test_advice_on_an_error_is_about_the_gpu_that_had_it_alone() -> None:
    stage = Stage(2)
    event = LookEvent(START_MS + 5000, "xid", Severity.CRITICAL, "XID 95: uncontained", gpu_id=2)
    stage.run(10, {"utilization": 0.5}, events=[event])
    found = stage.judge(xid_error, gpu=2)
    assert isinstance(found, Finding) and found.try_first == ("nvidia-smi -r -i 1",), "without -i all GPUs would be reset"


def test_the_worst_error_is_told_and_one_that_made_the_gpu_unusable_stays() -> None:
    stage = Stage()
    stage.run(10, {"utilization": 0.5}, events=[_event("xid", "XID 79: off the bus"), _event("xid", "XID 13: a fault", ago=5)])
    stage.run(3700, {"unavailable": True})
    found = stage.judge(xid_error, gpu=1)
    assert isinstance(found, Finding) and found.name == "XID 79" and found.waste_gpus == 1.0


def test_errors_are_not_judged_while_the_driver_is_silent() -> None:
    stage = Stage()
    stage.sources["nvml"] = "error"
    stage.run(10, {"utilization": 0.5})
    assert isinstance(stage.judge(xid_error, gpu=1), NotEvaluated)


# ------------------------------------------------------------------------------------------------------------------- F7


def test_a_driver_that_starts_anew_for_each_process_is_told() -> None:
    stage = Stage(persistence_mode=False)
    stage.gpu_days[1] = GpuDay(24, starts=5)
    stage.run(10, {"utilization": 0.5})
    found = stage.judge(persistence_mode_off, gpu=1)
    assert isinstance(found, Finding) and found.severity is Severity.INFO and found.gain == "up to 15 s a day"
    stage.gpu_days[1] = GpuDay(24, starts=4)
    stage.run(10, {"utilization": 0.5})
    assert isinstance(stage.judge(persistence_mode_off, gpu=1), Clear)
    stage.gpu(1, persistence_mode=True)
    stage.run(10, {"utilization": 0.5})
    assert isinstance(stage.judge(persistence_mode_off, gpu=1), Clear)
    stage.gpu(1, persistence_mode=None)
    stage.run(10, {"utilization": 0.5})
    assert isinstance(stage.judge(persistence_mode_off, gpu=1), NotEvaluated)
