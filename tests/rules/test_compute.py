"""C2 to C4: tensor cores that are not used, room for a larger batch, few useful operations."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.compute import low_mfu, small_batch_headroom, tensor_cores_unused
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import GIB, START_MS, Stage

FP32 = {"utilization": 0.95, "sm": 0.8, "fp32": 0.5, "tensor": 0.005, "fp64": 0.0, "dram": 0.3}


def found(verdict: object) -> Finding:
    assert isinstance(verdict, Finding), verdict
    return verdict


def training(
    seconds: float,
    gpu: dict[str, Any],
    *,
    rank: dict[str, Any] | None = None,
    spent: dict[str, Any] | None = None,
    job: dict[str, Any] | None = None,
    command: str = "python train.py",
    **board: Any,
) -> Stage:
    stage = Stage(**board)
    stage.process(10, gpus=(1,), job=5, command=command)
    stage.job(5, **({"name": "gpt"} | (job or {})))
    if rank is not None or spent is not None:
        stage.ranks(5, [10], **(rank or {}))
    stage.run(
        seconds,
        gpu=gpu,
        training={10: {"attached": 10.0, "data": 0.1, "rank_steps": 5.0} | (spent or {})} if stage.jobs[5].ranks else None,
    )
    return stage


# ------------------------------------------------------------------------------------------------------- tensor-cores-unused


def test_fp32_beside_the_tensor_cores_is_told() -> None:
    one = found(training(900, FP32).judge(tensor_cores_unused, gpu=1))
    assert one.title == "GPU 0 computes in FP32 (50% active), and its tensor cores are active 0% of the time."
    assert one.waste_gpus == pytest.approx(0.4) and one.severity == Severity.WARNING and one.basis == Basis.INFERRED
    assert one.try_first[0] == 'torch.set_float32_matmul_precision("high")' and "float8" in one.then


@pytest.mark.parametrize("said", [{"tensor": 0.021}, {"sm": 0.48}, {"fp32": 0.19}, {"fp64": 0.25}, {"dram": 0.62}])
def test_near_its_limits_and_for_other_codes_it_is_clear(said: dict[str, Any]) -> None:
    assert isinstance(training(900, FP32 | said).judge(tensor_cores_unused, gpu=1), Clear)


def test_programs_and_boards_that_have_no_use_for_tensor_cores_are_guards() -> None:
    assert isinstance(training(900, FP32, compute_capability="6.1").judge(tensor_cores_unused, gpu=1), Clear)
    physics = training(900, FP32, job={"kind": "other"}, command="gmx mdrun")
    assert isinstance(physics.judge(tensor_cores_unused, gpu=1), Clear)
    volta = found(training(900, FP32, compute_capability="7.0").judge(tensor_cores_unused, gpu=1))
    assert "float16" in volta.try_first[0] and "float8" not in volta.then


def test_without_gpm_only_the_hook_speaks() -> None:
    blind = {"utilization": 0.9}
    verdict = training(900, blind).judge(tensor_cores_unused, gpu=1)
    assert isinstance(verdict, NotEvaluated) and verdict.enable.startswith("gpuwatch run --")
    one = found(training(900, blind, rank={"precision": "fp32"}).judge(tensor_cores_unused, gpu=1))
    assert one.confidence == Confidence.MEDIUM and one.waste_gpus == pytest.approx(0.45)
    assert isinstance(training(900, blind, rank={"precision": "tf32"}).judge(tensor_cores_unused, gpu=1), Clear)


# ------------------------------------------------------------------------------------------------------ small-batch-headroom

ROOM = {"utilization": 0.9, "sm": 0.4, "memory_used": 30 * GIB}


def test_memory_and_sms_to_spare_are_room_for_a_batch() -> None:
    one = found(training(1800, ROOM).judge(small_batch_headroom, job=5))
    assert one.severity == Severity.NOTICE and one.waste_gpus == pytest.approx(0.25)
    assert "needs 38% of the GPU memory and has 40% SM activity" in one.title


@pytest.mark.parametrize("said", [{"memory_used": 41 * GIB}, {"sm": 0.62}, {"dram": 0.65}])
def test_near_its_limits_there_is_no_room(said: dict[str, Any]) -> None:
    assert isinstance(training(1800, ROOM | said).judge(small_batch_headroom, job=5), Clear)


def test_without_gpm_utilization_and_power_tell_of_room() -> None:
    low = training(1800, {"utilization": 0.6, "memory_used": 30 * GIB})
    assert found(low.judge(small_batch_headroom, job=5)).basis == Basis.INFERRED
    power = {"utilization": 0.95, "memory_used": 30 * GIB, "power_fraction": 0.4}
    assert found(training(1800, power).judge(small_batch_headroom, job=5)).basis == Basis.PROXY
    assert isinstance(training(1800, power | {"power_fraction": 0.55}).judge(small_batch_headroom, job=5), Clear)
    assert isinstance(training(1800, power | {"power_fraction": None}).judge(small_batch_headroom, job=5), NotEvaluated)
    assert isinstance(training(1800, ROOM | {"memory_used": None}).judge(small_batch_headroom, job=5), NotEvaluated)


def test_the_allocator_tells_need_better_and_guards_hold() -> None:
    hooked = training(1800, ROOM | {"memory_used": 70 * GIB}, spent={"reserved": 20 * GIB})
    assert "needs 25%" in found(hooked.judge(small_batch_headroom, job=5)).title
    assert isinstance(training(1800, ROOM, spent={"data": 3.0}).judge(small_batch_headroom, job=5), Clear)
    assert isinstance(training(1800, ROOM, spent={"evaluation": 4.0}).judge(small_batch_headroom, job=5), Clear)
    assert isinstance(training(1800, ROOM, command="python train_jax.py").judge(small_batch_headroom, job=5), Clear)
    assert isinstance(training(1800, ROOM, job={"kind": "inference"}).judge(small_batch_headroom, job=5), Clear)


# ------------------------------------------------------------------------------------------------------------------- low-mfu

SLOW = {"utilization": 0.98, "mfu": 0.25, "tensor": 0.3, "sm_clock": 1_782_000_000.0}
LARGE = {"parameters": 8_000_000_000}


def test_few_useful_operations_are_told_with_what_the_tensor_cores_did() -> None:
    one = found(training(1800, SLOW, rank=LARGE).judge(low_mfu, job=5))
    assert one.title == "gpt reaches 25% of the achievable matrix rate (MFU 20% of peak; OFU 27%, which counts all tensor work)."
    assert one.severity == Severity.NOTICE and one.waste_gpus == pytest.approx(0.49)
    assert found(training(1800, SLOW | {"mfu": 0.14}, rank=LARGE).judge(low_mfu, job=5)).severity == Severity.WARNING
    assert "OFU" not in found(training(1800, SLOW | {"tensor": None}, rank=LARGE).judge(low_mfu, job=5)).title


def test_a_run_that_hangs_has_another_trouble() -> None:
    assert isinstance(training(1800, SLOW, rank=LARGE, spent={"rank_steps": 0.0}).judge(low_mfu, job=5), Clear)
    stage = training(1800, SLOW, rank=LARGE)
    stage.opened.add(("busy-but-no-progress", f"job:5:{START_MS - 3_600_000}:0"))
    assert isinstance(stage.judge(low_mfu, job=5), Clear)


def test_good_runs_small_models_and_unknown_ones() -> None:
    assert isinstance(training(1800, SLOW | {"mfu": 0.36}, rank=LARGE).judge(low_mfu, job=5), Clear)
    stage = training(1800, SLOW | {"mfu": 0.36}, rank=LARGE)
    stage.open(low_mfu, f"job:5:{START_MS - 3_600_000}:0")
    assert isinstance(stage.judge(low_mfu, job=5), Finding)
    assert isinstance(training(1800, SLOW, rank={"parameters": 124_000_000}).judge(low_mfu, job=5), Clear)
    assert isinstance(training(1800, SLOW | {"mfu": None}, rank=LARGE).judge(low_mfu, job=5), NotEvaluated)
    assert isinstance(training(1800, SLOW).judge(low_mfu, job=5), NotEvaluated)
    assert isinstance(training(900, SLOW, rank=LARGE).judge(low_mfu, job=5), NotEvaluated)
