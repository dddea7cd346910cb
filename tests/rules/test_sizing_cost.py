"""Right-sizing, and what tokens cost in GPU time and energy."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.names import Basis, Severity
from gpuwatch.rules.cost import joules_per_token_regression, token_cost_above_reference
from gpuwatch.rules.looks import GpuDay, JobDay
from gpuwatch.rules.sizing import share_or_mig_candidate, smaller_gpu_would_do
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import GIB, Stage

SMALL: dict[str, Any] = {
    "observed_hours": 24,
    "active_hours": 12,
    "utilization_active": 0.1,
    "memory_p99": 8 * GIB,
    "utilization_p99": 0.3,
}


def held(day: GpuDay | None, cpu: float = 0.5, **board: Any) -> Stage:
    """A GPU that one process has held for ten minutes, with the day that it had."""
    stage = Stage(1, **board)
    stage.process(5, gpus=(1,), job=5)
    stage.job(5, "other")
    if day is not None:
        stage.gpu_days[1] = day
    stage.run(600, {"utilization": 0.1}, process={"cpu": cpu})
    return stage


# ------------------------------------------------------------------------------------------------------------------- H1


def test_a_gpu_with_little_to_do_could_be_shared_by_its_smallest_slice() -> None:
    found = held(GpuDay(**SMALL)).judge(share_or_mig_candidate, gpu=1)
    assert isinstance(found, Finding)
    assert found.severity is Severity.NOTICE and found.waste_gpus == pytest.approx(6 / 7 / 2)
    assert found.try_first[0] == "nvidia-smi mig -i 0 -lgip" and found.gain == "up to 7 such runs at once on this GPU"
    found = held(GpuDay(**SMALL), name="NVIDIA L4").judge(share_or_mig_candidate, gpu=1)
    assert isinstance(found, Finding) and found.try_first[0] == "nvidia-cuda-mps-control -d", "no slices on this card"


@pytest.mark.parametrize(
    ("change", "cpu"),
    [
        ({"utilization_active": 0.16}, 0.5),
        ({"memory_p99": 21 * GIB}, 0.5),
        ({"active_hours": 2.9}, 0.5),
        ({"utilization_p99": 0.9}, 0.5),
        ({}, 2.5),
    ],
)
def test_more_to_do_bursts_and_many_cores_need_a_whole_gpu(change: dict[str, float], cpu: float) -> None:
    assert isinstance(held(GpuDay(**(SMALL | change)), cpu).judge(share_or_mig_candidate, gpu=1), Clear)


def test_servers_slices_and_unknown_days_are_not_judged_for_sharing() -> None:
    stage = held(GpuDay(**SMALL))
    stage.job(5, "inference", served=True)
    stage.run(10, {"utilization": 0.1}, process={"cpu": 0.5})
    assert isinstance(stage.judge(share_or_mig_candidate, gpu=1), Clear)
    assert isinstance(held(GpuDay(**SMALL), mig_enabled=True).judge(share_or_mig_candidate, gpu=1), Clear)
    assert isinstance(held(None).judge(share_or_mig_candidate, gpu=1), NotEvaluated)
    for unknown in ("memory_p99", "utilization_p99"):
        assert isinstance(held(GpuDay(**(SMALL | {unknown: None}))).judge(share_or_mig_candidate, gpu=1), NotEvaluated)


# ------------------------------------------------------------------------------------------------------------------- H2


def test_a_smaller_card_with_enough_memory_and_rate_is_named() -> None:
    found = held(GpuDay(24, 12, sm_active=0.08, memory_p99=12 * GIB)).judge(smaller_gpu_would_do, gpu=1)
    assert isinstance(found, Finding) and found.waste_gpus is None
    assert "one NVIDIA L4 would do" in found.title and found.evidence[2].measured == "65%"
    found = held(GpuDay(24, 12, sm_active=0.2, memory_p99=20 * GIB)).judge(smaller_gpu_would_do, gpu=1)
    assert isinstance(found, Finding) and "L40S" in found.title


@pytest.mark.parametrize(
    ("day", "board", "said"),
    [
        (GpuDay(24, 12, sm_active=0.5, memory_p99=12 * GIB), {}, Clear),
        (GpuDay(24, 12, sm_active=0.05, memory_p99=40 * GIB), {}, Clear),
        (GpuDay(24, 12, sm_active=0.05, memory_p99=2 * GIB), {"name": "Some GPU"}, Clear),
        (GpuDay(24, 1, sm_active=0.05, memory_p99=2 * GIB), {}, Clear),
        (GpuDay(24, 12, memory_p99=2 * GIB), {}, NotEvaluated),
        (GpuDay(10, 5, sm_active=0.05, memory_p99=2 * GIB), {}, NotEvaluated),
    ],
)
def test_work_that_needs_its_card_and_unknown_work(day: GpuDay, board: dict[str, str], said: type) -> None:
    assert isinstance(held(day, **board).judge(smaller_gpu_would_do, gpu=1), said)


# --------------------------------------------------------------------------------------------------------------- J1, J2


def server(day: JobDay | None, watts: float = 300.0, utilization: float = 0.5, seconds: int = 700) -> Stage:
    """A server on two GPUs with the day that it had."""
    stage = Stage(2)
    stage.job(7, "inference", served=True, model="llama-8b", engine="vllm")
    stage.process(7, gpus=(1, 2), job=7)
    if day is not None:
        stage.job_days[7] = day
    for number in (1, 2):
        stage.gpu(number, idle_power=70.0)
    stage.run(seconds, {"utilization": utilization, "power": watts})
    return stage


def test_tokens_that_cost_twice_the_best_hour_are_told() -> None:
    day = JobDay(24, hour_gpu_seconds_per_token=0.003, best_gpu_seconds_per_token=0.001)
    found = server(day).judge(token_cost_above_reference, job=7)
    assert isinstance(found, Finding) and found.basis is Basis.INFERRED and found.gain.startswith("up to")
    assert isinstance(found, Finding)
    assert found.waste_gpus == pytest.approx(2 * 2 / 3)
    assert "3,000 GPU-seconds" in found.title and found.evidence[2].measured == "0.83"


def test_a_reference_of_ones_own_goes_before_the_best_hour() -> None:
    stage = server(JobDay(24, hour_gpu_seconds_per_token=0.003, best_gpu_seconds_per_token=0.0029))
    assert isinstance(stage.judge(token_cost_above_reference, job=7), Clear)
    stage.overrides = {"token-cost-above-reference.reference": 1000}
    assert isinstance(stage.judge(token_cost_above_reference, job=7), Finding)


def test_tokens_of_unknown_cost_are_not_judged() -> None:
    assert isinstance(server(None).judge(token_cost_above_reference, job=7), NotEvaluated)
    assert isinstance(server(JobDay(24, hour_gpu_seconds_per_token=0.003)).judge(token_cost_above_reference, job=7), NotEvaluated)


def test_more_energy_a_token_is_told_from_a_third_more_on() -> None:
    found = server(JobDay(24, hour_joules_per_token=1.4, median_joules_per_token=1.0, tokens=9_000_000)).judge(
        joules_per_token_regression, job=7
    )
    assert isinstance(found, Finding)
    assert found.waste_gpus is None and found.evidence[2].measured == "1.0 kWh"
    near = server(JobDay(24, hour_joules_per_token=1.29, median_joules_per_token=1.0))
    assert isinstance(near.judge(joules_per_token_regression, job=7), Clear)
    near.open(joules_per_token_regression, near.scene.jobs[7].key)
    assert isinstance(near.judge(joules_per_token_regression, job=7), Finding)


def test_an_idle_context_that_draws_much_is_told_by_the_learned_idle_power() -> None:
    found = server(None, watts=120.0, utilization=0.0).judge(joules_per_token_regression, job=7)
    assert isinstance(found, Finding) and "draws 120 W; with nobody on it it draws 70 W" in found.title
    assert isinstance(server(None, watts=100.0, utilization=0.0).judge(joules_per_token_regression, job=7), NotEvaluated)


def test_energy_of_shared_gpus_is_not_attributed() -> None:
    stage = server(JobDay(24, hour_joules_per_token=1.4, median_joules_per_token=1.0))
    stage.process(8, gpus=(2,), job=9)
    stage.run(10, {"utilization": 0.5, "power": 300.0})
    assert isinstance(stage.judge(joules_per_token_regression, job=7), NotEvaluated)
