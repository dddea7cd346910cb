"""B5 and B6: kernels that are too small, and copies from the host."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.names import Basis, Cause, Confidence
from gpuwatch.rules.host import host_to_device_copy_bound, launch_bound_small_kernels
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import START_MS, Stage

SMALL = {"utilization": 0.8, "sm": 0.2, "dram": 0.1, "power_fraction": 0.3}
THREAD = {"cpu": 1.0, "thread_cpu": 0.97}


def found(verdict: object) -> Finding:
    assert isinstance(verdict, Finding), verdict
    return verdict


def launches(step: float | None = 0.05, process: dict[str, Any] | None = None, kind: str = "training", **gpu: Any) -> Stage:
    stage = Stage()
    stage.process(10, gpus=(1,), job=5)
    stage.job(5, kind=kind)
    if step is not None:
        stage.ranks(5, [10])
    spent = {10: {"attached": 10.0, "data": 0.1, "forward": 9.9, "rank_steps": 10 / step}} if step else None
    stage.run(900, gpu=SMALL | gpu, process=process or THREAD, training=spent)
    return stage


def test_small_kernels_behind_a_busy_thread_are_told() -> None:
    one = found(launches().judge(launch_bound_small_kernels, gpu=1))
    assert one.waste_gpus == pytest.approx(0.8 * 0.8) and one.cause == Cause.HOST
    assert "torch.compile" in one.try_first[0] and "50 ms" in one.evidence[2].measured
    assert "enforce-eager" in found(launches(None, kind="inference").judge(launch_bound_small_kernels, gpu=1)).try_first[0]


@pytest.mark.parametrize("said", [{"sm": 0.36}, {"dram": 0.31}, {"utilization": 0.58}, {"power_fraction": 0.46}])
def test_near_its_limits_kernels_are_large_enough(said: dict[str, Any]) -> None:
    assert isinstance(launches(**said).judge(launch_bound_small_kernels, gpu=1), Clear)


def test_an_open_one_does_not_come_and_go_at_its_limits() -> None:
    near = {"sm": 0.38, "dram": 0.33, "utilization": 0.55, "power_fraction": 0.49}
    stage = launches(process={"cpu": 0.85, "thread_cpu": 0.85}, **near)
    stage.open(launch_bound_small_kernels, "gpu:GPU-1")
    assert isinstance(stage.judge(launch_bound_small_kernels, gpu=1), Finding)
    stage.run(900, gpu=SMALL | {"sm": 0.41}, process=THREAD)
    assert isinstance(stage.judge(launch_bound_small_kernels, gpu=1), Clear)


def test_long_steps_and_idle_threads_are_guards() -> None:
    assert isinstance(launches(0.35).judge(launch_bound_small_kernels, gpu=1), Clear)
    assert isinstance(launches(process={"cpu": 0.8, "thread_cpu": 0.8}).judge(launch_bound_small_kernels, gpu=1), Clear)
    assert isinstance(launches(process={"memory": 1.0}).judge(launch_bound_small_kernels, gpu=1), NotEvaluated)


def test_without_gpm_only_short_steps_and_little_power_speak() -> None:
    one = found(launches(sm=None, dram=None).judge(launch_bound_small_kernels, gpu=1))
    assert (one.basis, one.confidence) == (Basis.PROXY, Confidence.LOW)
    assert isinstance(launches(0.15, sm=None, dram=None).judge(launch_bound_small_kernels, gpu=1), Clear)
    verdict = launches(None, sm=None, dram=None).judge(launch_bound_small_kernels, gpu=1)
    assert isinstance(verdict, NotEvaluated) and verdict.enable == "gpuwatch run -- python train.py"


# ------------------------------------------------------------------------------------------------- host-to-device-copy-bound

LINK = {"pcie_generation": 4, "pcie_width": 16}


def copies(received: float | None, seconds: float = 600, name: str = "NVIDIA A100-SXM4-80GB", **gpu: Any) -> Stage:
    stage = Stage(name=name)
    stage.process(10, gpus=(1,), job=5)
    stage.job(5)
    stage.run(seconds, gpu=LINK | {"utilization": 0.3, "pcie_rx": received} | gpu)
    return stage


def test_a_full_link_before_an_idle_gpu_is_told() -> None:
    one = found(copies(15e9).judge(host_to_device_copy_bound, gpu=1))
    assert one.title == "GPU 0 receives 15.0 GB/s from the host, 62% of what its link carries, and is busy 30% of the time."
    assert one.cause == Cause.TRANSFER and one.waste_gpus == pytest.approx(0.7)
    assert isinstance(copies(7.5e9, pcie_width=8).judge(host_to_device_copy_bound, gpu=1), Finding)


def test_a_steady_stream_counts_where_gpm_tells_that_sms_are_idle() -> None:
    assert isinstance(copies(1.2e9, sm=0.2).judge(host_to_device_copy_bound, gpu=1), Finding)
    assert isinstance(copies(0.9e9, sm=0.2).judge(host_to_device_copy_bound, gpu=1), Clear)
    assert isinstance(copies(1.2e9).judge(host_to_device_copy_bound, gpu=1), Clear)


def test_guards_and_missing_signals_of_copies() -> None:
    assert isinstance(copies(13e9).judge(host_to_device_copy_bound, gpu=1), Clear)
    assert isinstance(copies(15e9, sm=0.35).judge(host_to_device_copy_bound, gpu=1), Clear)
    assert isinstance(copies(15e9, utilization=0.55).judge(host_to_device_copy_bound, gpu=1), Clear)
    assert isinstance(copies(15e9, name="NVIDIA GH200 480GB").judge(host_to_device_copy_bound, gpu=1), Clear)
    assert isinstance(copies(None).judge(host_to_device_copy_bound, gpu=1), NotEvaluated)
    loading = Stage()
    loading.process(10, gpus=(1,), start_ms=START_MS)
    loading.run(600, gpu=LINK | {"utilization": 0.0, "pcie_rx": 20e9})
    assert isinstance(loading.judge(host_to_device_copy_bound, gpu=1), NotEvaluated)
