"""Ranks that wait for each other, links between GPUs, rollout and learner."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.names import Basis, Bucket, Cause, Severity
from gpuwatch.rules.balance import (
    communication_exposed,
    nvlink_unused_or_down,
    rank_imbalance,
    rank_straggler,
    rollout_learner_idle,
    tensor_parallel_over_pcie,
)
from gpuwatch.rules.balance.roles import is_reinforcement, takes_turns
from gpuwatch.rules.idle import low_duty_cycle
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import GIB, Stage

BUSY = {"utilization": 0.98, "sm_clock": 1.7e9, "power_fraction": 0.6, "temperature": 60.0}


def training(gpus: int, command: str = "torchrun train.py", hooked: bool = True, **board: Any) -> Stage:
    """A training with one rank on each GPU."""
    stage = Stage(gpus, **board)
    stage.job(5, name="train.py", command=command)
    for number in range(1, gpus + 1):
        stage.process(50 + number, gpus=(number,), job=5, command=command)
    if hooked:
        stage.ranks(5, range(51, 51 + gpus))
    return stage


def steps(forward: float, step: float = 1.0, data: float = 0.05, other: float = 0.05) -> dict[str, float]:
    """Ten seconds of a rank: the rest of a step is backward, in which it waits."""
    count = 10 / step
    return {"attached": 10.0, "rank_steps": count, "forward": forward * count, "data": data * count, "other": other * count}


# ------------------------------------------------------------------------------------------------------------------- E1


def test_a_rank_that_is_slower_in_its_own_parts_is_measured() -> None:
    stage = training(4)
    stage.run(900, BUSY, training={51: steps(0.3), 52: steps(0.3), 53: steps(0.5), 54: steps(0.3)})
    found = stage.judge(rank_straggler, job=5)
    assert isinstance(found, Finding)
    assert (found.basis, found.bucket, found.cause) == (Basis.MEASURED, Bucket.WAIT, Cause.PEERS)
    # rank 0's own code between steps does not count: it logs for all
    assert found.waste_gpus == pytest.approx((0.6 - 0.35) + 2 * (0.6 - 0.4))
    assert found.title.startswith("rank 2 of train.py takes 0.6 s of its own a step, in forward above all")


def test_a_rank_that_waits_for_its_own_data_is_named_by_that() -> None:
    stage = training(2)
    stage.run(900, BUSY, training={51: steps(0.2), 52: steps(0.2, data=0.4)})
    found = stage.judge(rank_straggler, job=5)
    assert isinstance(found, Finding) and "waiting for data above all" in found.title


@pytest.mark.parametrize(
    "other",
    [steps(0.38), steps(0.3), {"attached": 10.0, "rank_steps": 0.1, "forward": 9.0, "data": 0.0, "other": 0.0}],
)
def test_ranks_that_are_about_as_fast_and_too_few_steps_are_fine(other: dict[str, float]) -> None:
    stage = training(3)
    stage.run(900, BUSY, training={51: steps(0.3), 52: steps(0.3), 53: other})
    assert isinstance(stage.judge(rank_straggler, job=5), Clear)


def test_extra_work_of_rank_0_between_steps_is_no_straggler() -> None:
    stage = training(2)
    stage.run(900, BUSY, training={51: steps(0.3, other=0.5), 52: steps(0.3)})
    assert isinstance(stage.judge(rank_straggler, job=5), Clear)


def test_without_hooks_a_clock_that_stands_out_is_inferred() -> None:
    stage = training(8, hooked=False)
    stage.run(900, BUSY, gpus={3: BUSY | {"sm_clock": 1.45e9, "temperature": 88.0}})
    found = stage.judge(rank_straggler, job=5)
    assert isinstance(found, Finding)
    assert found.basis is Basis.INFERRED and found.gain.startswith("up to")
    assert found.waste_gpus == pytest.approx(7 * (1 - 1.45 / 1.7))
    assert "GPU 2 of train.py runs at 1450 MHz, the others 1700 MHz" in found.title


@pytest.mark.parametrize(
    "odd",
    [BUSY | {"sm_clock": 1.56e9}, BUSY | {"sm_clock": 1.4e9, "utilization": 0.5}, BUSY | {"power_fraction": 0.64}],
)
def test_a_small_difference_and_idle_siblings_are_none(odd: dict[str, float]) -> None:
    stage = training(8, hooked=False)
    stage.run(900, BUSY, gpus={3: odd})
    assert isinstance(stage.judge(rank_straggler, job=5), Clear)


def test_with_two_gpus_and_no_hook_nobody_can_tell() -> None:
    stage = training(2, hooked=False)
    stage.run(900, BUSY)
    said = stage.judge(rank_straggler, job=5)
    assert isinstance(said, NotEvaluated) and said.enable == "gpuwatch run COMMAND"


# ------------------------------------------------------------------------------------------------------------------- E2


def test_uneven_loads_waste_what_each_lacks_of_the_busiest() -> None:
    stage = training(4)
    stage.run(1800, {"utilization": 0.9}, gpus={4: {"utilization": 0.3}})
    found = stage.judge(rank_imbalance, job=5)
    assert isinstance(found, Finding)
    assert found.waste_gpus == pytest.approx(0.6) and found.severity is Severity.NOTICE


def test_sm_activity_goes_before_utilization_and_memory_counts_for_trainings() -> None:
    stage = training(2)
    stage.run(1800, {"utilization": 0.99, "sm": 0.8}, gpus={2: {"sm": 0.3}})
    found = stage.judge(rank_imbalance, job=5)
    assert isinstance(found, Finding) and "SM activity" in found.evidence[0].what
    stage = training(2)
    stage.run(1800, {"utilization": 0.9, "memory_used": 30.0 * GIB}, gpus={2: {"memory_used": 60.0 * GIB}})
    found = stage.judge(rank_imbalance, job=5)
    assert isinstance(found, Finding) and found.waste_gpus is None and "60 GiB" in found.title


@pytest.mark.parametrize("other", [{"utilization": 0.6}, {"utilization": 0.01}])
def test_nearly_even_loads_and_a_gpu_that_is_not_used_are_other_things(other: dict[str, float]) -> None:
    stage = training(2)
    stage.run(1800, {"utilization": 0.9}, gpus={2: other})
    assert isinstance(stage.judge(rank_imbalance, job=5), Clear)


def test_imbalance_is_silent_where_one_rank_is_why_or_roles_differ_and_says_what_is_missing() -> None:
    stage = training(2)
    stage.run(1800, {"utilization": 0.9}, gpus={2: {"utilization": 0.3}})
    stage.opened.add(("rank-straggler", stage.scene.jobs[5].key))
    assert isinstance(stage.judge(rank_imbalance, job=5), Clear)
    stage = training(2, command="python -m verl.main --algo grpo")
    stage.run(1800, {"utilization": 0.9}, gpus={2: {"utilization": 0.3}})
    assert isinstance(stage.judge(rank_imbalance, job=5), Clear)
    stage = training(2)
    stage.run(1800, {"power": 300.0})
    assert isinstance(stage.judge(rank_imbalance, job=5), NotEvaluated)


# ------------------------------------------------------------------------------------------------------------------- E3

MOVES = {"utilization": 0.98, "tensor": 0.1, "nvlink": 18 * 50e9 * 0.25}


def test_busy_links_and_idle_tensor_cores_are_a_weak_sign_of_exposed_collectives() -> None:
    stage = training(4, nvlink_count=18)
    stage.run(900, MOVES)
    found = stage.judge(communication_exposed, job=5)
    assert isinstance(found, Finding)
    assert found.basis is Basis.PROXY and found.waste_gpus == pytest.approx(1.0) and found.gain.startswith("up to")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nvlink": 18 * 50e9 * 0.1}, Clear),
        ({"tensor": 0.3}, Clear),
        ({"utilization": 0.7}, Clear),
        ({"tensor": None}, NotEvaluated),
        ({"nvlink": None}, NotEvaluated),
    ],
)
def test_communication_near_its_limits(change: dict[str, Any], said: type) -> None:
    stage = training(4, nvlink_count=18)
    stage.run(900, MOVES | change)
    assert isinstance(stage.judge(communication_exposed, job=5), said)


# --------------------------------------------------------------------------------------------------------------- E4, E5


def test_a_link_that_is_down_where_others_have_it_up_is_critical() -> None:
    stage = training(2, nvlink_count=18)
    stage.run(10, BUSY | {"nvlink_active": 18}, gpus={2: {"nvlink_active": 17}})
    assert isinstance(stage.judge(nvlink_unused_or_down, gpu=2), NotEvaluated | Clear), "one look is not enough"
    stage.run(10, BUSY | {"nvlink_active": 18}, gpus={2: {"nvlink_active": 17}})
    found = stage.judge(nvlink_unused_or_down, gpu=2)
    assert isinstance(found, Finding) and found.severity is Severity.CRITICAL
    assert found.title == "GPU 1 has 17 NVLinks up; others of its kind have 18."
    assert not isinstance(stage.judge(nvlink_unused_or_down, gpu=1), Finding)


OVER_PCIE = {"utilization": 0.9, "nvlink_active": 18, "nvlink": 0.0, "pcie_rx": 3e9, "pcie_tx": 3e9}


def test_a_job_that_leaves_its_nvlinks_unused_is_told_once() -> None:
    stage = training(2, nvlink_count=18)
    stage.run(600, OVER_PCIE)
    found = stage.judge(nvlink_unused_or_down, gpu=1)
    assert isinstance(found, Finding) and found.severity is Severity.NOTICE and found.gpus == (1, 2)
    assert isinstance(stage.judge(nvlink_unused_or_down, gpu=2), Clear)


@pytest.mark.parametrize("change", [{"nvlink": 1e6}, {"pcie_tx": 1.5e9}, {"utilization": 0.2}])
def test_links_that_are_used_and_little_traffic_are_fine(change: dict[str, float]) -> None:
    stage = training(2, nvlink_count=18)
    stage.run(600, OVER_PCIE | change)
    assert isinstance(stage.judge(nvlink_unused_or_down, gpu=1), Clear)


@pytest.mark.parametrize("count", [0, None])
def test_without_nvlinks_there_is_nothing_to_judge(count: int | None) -> None:
    stage = training(2, nvlink_count=count)
    stage.run(600, BUSY)
    assert stage.judge(nvlink_unused_or_down, gpu=1) == Clear("no NVLink that the driver tells of")


def test_a_card_that_never_had_a_bridge_has_no_link_that_is_down() -> None:
    stage = training(2, nvlink_count=0)
    stage.run(20, BUSY | {"nvlink_active": 4}, gpus={2: {"nvlink_active": 0}})
    assert isinstance(stage.judge(nvlink_unused_or_down, gpu=2), Clear)
    stage.gpu(2, nvlink_count=4)
    stage.run(20, BUSY | {"nvlink_active": 4}, gpus={2: {"nvlink_active": 0}})
    assert isinstance(stage.judge(nvlink_unused_or_down, gpu=2), Finding)


def test_links_that_carry_who_knows_what_are_not_judged() -> None:
    stage = training(2, nvlink_count=18)
    stage.run(600, BUSY)
    assert isinstance(stage.judge(nvlink_unused_or_down, gpu=1), NotEvaluated)


def _split(command: str = "vllm serve m --tensor-parallel-size 2", **board: Any) -> Stage:
    stage = Stage(2, **({"nvlink_count": 0, "pcie_generation_max": 4, "pcie_width_max": 16} | board))
    stage.job(5, "inference", engine="vllm", command=command)
    stage.process(51, gpus=(1, 2), job=5, command=command)
    return stage


@pytest.mark.parametrize(
    ("stage", "gpu", "said"),
    [
        (_split(), {"pcie_rx": 8e9, "pcie_tx": 8e9}, Finding),
        (_split(), {"pcie_rx": 7e9, "pcie_tx": 7e9}, Clear),
        (_split("vllm serve m"), {"pcie_rx": 8e9, "pcie_tx": 8e9}, Clear),
        (_split(nvlink_count=4), {"pcie_rx": 8e9, "pcie_tx": 8e9}, Clear),
        (_split(nvlink_count=None), {"pcie_rx": 8e9, "pcie_tx": 8e9}, Finding),
        (_split(), {}, NotEvaluated),
    ],
)
def test_a_split_over_pcie_is_info(stage: Stage, gpu: dict[str, float], said: type) -> None:
    stage.run(600, {"utilization": 0.9} | gpu)
    found = stage.judge(tensor_parallel_over_pcie, job=5)
    assert isinstance(found, said)
    assert not isinstance(found, Finding) or found.severity is Severity.INFO


# --------------------------------------------------------------------------------------------------- rollout and learner


def _turns(on: bool):
    return lambda n: {"utilization": 0.9 if (n // 6 % 2 == 0) is on else 0.0}


def test_two_groups_that_work_in_turns_are_told_by_their_loads() -> None:
    stage = training(4)
    stage.run(1800, gpus={1: _turns(True), 2: _turns(True), 3: _turns(False), 4: _turns(False)})
    found = stage.judge(rollout_learner_idle, job=5)
    assert isinstance(found, Finding)
    assert found.severity is Severity.NOTICE and found.waste_gpus == pytest.approx(4 * 0.55)
    assert "GPUs 2, 3 of train.py are idle 55% of the time" in found.title
    assert not takes_turns(stage.scene, stage.scene.gpus[1])
    stage.open(rollout_learner_idle, stage.scene.jobs[5].key)
    assert isinstance(stage.judge(low_duty_cycle, gpu=1), Clear) and takes_turns(stage.scene, stage.scene.gpus[1])


def test_command_lines_say_which_group_learns() -> None:
    stage = Stage(2)
    stage.job(5, name="rl", command="python main.py")
    stage.process(51, gpus=(1,), job=5, command="ray::RolloutWorker")
    stage.process(52, gpus=(2,), job=5, command="python learner.py")
    stage.run(1800, gpus={1: {"utilization": 0.95}, 2: {"utilization": 0.8}})
    found = stage.judge(rollout_learner_idle, job=5)
    assert isinstance(found, Finding)
    assert (
        found.severity is Severity.INFO
        and found.title == "The learner of rl is idle 20% of the time, and rollouts 5%: they work in turns."
    )
    assert is_reinforcement(stage.scene.jobs[5]) and takes_turns(stage.scene, stage.scene.gpus[1])
    assert isinstance(stage.judge(rank_imbalance, job=5), Clear)


def test_loads_that_rise_together_and_steady_ones_are_no_turns() -> None:
    stage = training(2)
    stage.run(1800, gpus={1: _turns(True), 2: _turns(True)})
    assert isinstance(stage.judge(rollout_learner_idle, job=5), Clear)
    stage = training(2)
    stage.run(1800, {"utilization": 0.9})
    assert isinstance(stage.judge(rollout_learner_idle, job=5), Clear)
    stage = training(2, command="python -m verl.main --algo grpo")
    stage.run(1800, {"utilization": 0.7})
    assert isinstance(stage.judge(rollout_learner_idle, job=5), NotEvaluated)
    stage = training(2)
    stage.run(1800, gpus={1: _turns(True)}, unseen=(2,))
    assert isinstance(stage.judge(rollout_learner_idle, job=5), NotEvaluated)


def test_a_gpu_that_did_nothing_for_a_while_is_no_imbalance() -> None:
    stage = training(2)
    stage.run(1800, {"utilization": 0.9}, gpus={2: lambda n: {"utilization": 0.0 if n < 40 else 0.3}})
    assert isinstance(stage.judge(rank_imbalance, job=5), Clear)
