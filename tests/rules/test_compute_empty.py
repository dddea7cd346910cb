"""C1: a busy GPU with work on few of its SMs, by GPM and, if asked for, by power."""

from __future__ import annotations

import pytest

from gpuwatch.names import Basis, Severity
from gpuwatch.rules.compute import busy_but_empty_sm
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import START_MS, Stage

FULL = {"utilization": 0.99, "busy": 0.98, "sm": 0.41, "dram": 0.2}


def found(verdict: object) -> Finding:
    assert isinstance(verdict, Finding), verdict
    return verdict


def busy(seconds: float = 900, **said: object) -> Stage:
    stage = Stage()
    stage.process(10, gpus=(1,), job=5)
    stage.job(5)
    stage.run(seconds, gpu=FULL | said)
    return stage


def test_empty_sms_behind_a_full_utilization_are_told() -> None:
    one = found(busy().judge(busy_but_empty_sm, gpu=1))
    assert one.title == "nvidia-smi says 99%; on average 41% of the SMs of GPU 0 had work."
    assert (one.severity, one.basis) == (Severity.WARNING, Basis.MEASURED)
    assert one.waste_gpus == pytest.approx(0.98 - 0.41)


def test_limits_of_notice_warning_and_clear() -> None:
    assert found(busy(sm=0.50).judge(busy_but_empty_sm, gpu=1)).severity == Severity.NOTICE
    assert isinstance(busy(sm=0.80).judge(busy_but_empty_sm, gpu=1), Clear)
    stage = busy(sm=0.80)
    stage.open(busy_but_empty_sm, "gpu:GPU-1")
    assert isinstance(stage.judge(busy_but_empty_sm, gpu=1), Finding)
    assert isinstance(busy(utilization=0.79).judge(busy_but_empty_sm, gpu=1), Clear)


def test_a_few_empty_minutes_in_a_full_window_are_not_told() -> None:
    stage = Stage()
    stage.process(10, gpus=(1,))
    stage.run(900, gpu=lambda n: FULL | {"sm": 0.06 if n < 20 else 0.9})
    assert isinstance(stage.judge(busy_but_empty_sm, gpu=1), Clear)


def test_memory_bound_work_and_sliced_gpus_are_guards() -> None:
    assert isinstance(busy(dram=0.65).judge(busy_but_empty_sm, gpu=1), Clear)
    sliced = Stage(mig_enabled=True)
    sliced.run(900, gpu=FULL)
    assert isinstance(sliced.judge(busy_but_empty_sm, gpu=1), Clear)


def test_without_gpm_or_enough_time_it_is_not_judged() -> None:
    assert isinstance(busy(sm=None).judge(busy_but_empty_sm, gpu=1), NotEvaluated)
    assert isinstance(busy(600).judge(busy_but_empty_sm, gpu=1), NotEvaluated)
    fresh = Stage()
    fresh.process(10, gpus=(1,), start_ms=START_MS)
    fresh.run(900, gpu=FULL)
    assert isinstance(fresh.judge(busy_but_empty_sm, gpu=1), NotEvaluated)


POWER = {
    "sm": None,
    "power_fraction": 0.30,
    "sm_clock": 1.9e9,
    "power_cap": 0.0,
    "thermal": 0.0,
    "slowdown": 0.0,
    "clocks_set": 0.0,
}


def by_power(**said: object) -> Stage:
    stage = busy(**(POWER | said))
    stage.overrides["busy-but-empty-sm.proxy"] = 1
    return stage


def test_power_stands_in_only_where_it_is_asked_for_and_as_a_band() -> None:
    assert isinstance(busy(**POWER).judge(busy_but_empty_sm, gpu=1), NotEvaluated)
    one = found(by_power().judge(busy_but_empty_sm, gpu=1))
    assert one.basis == Basis.PROXY and "± 0.25" in one.how and one.gain.startswith("up to")
    assert isinstance(by_power(power_fraction=0.36).judge(busy_but_empty_sm, gpu=1), Clear)
    assert isinstance(by_power(power_cap=0.5).judge(busy_but_empty_sm, gpu=1), Clear)
    assert isinstance(by_power(sm_clock=1.2e9).judge(busy_but_empty_sm, gpu=1), Clear)
    assert isinstance(by_power(power_fraction=None).judge(busy_but_empty_sm, gpu=1), NotEvaluated)


def test_a_utilization_that_cannot_be_is_not_judged() -> None:
    assert isinstance(busy(utilization=40.0, busy=40.0).judge(busy_but_empty_sm, gpu=1), NotEvaluated)
