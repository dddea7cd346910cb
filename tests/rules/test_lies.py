"""Signals that lie: whatever a driver, a page or a hook says, every rule answers, and what it finds is whole."""

from __future__ import annotations

import math
import random
from dataclasses import fields
from typing import Any

import pytest

from gpuwatch.names import Context, Latency, RunOutcome, ServerState, Severity
from gpuwatch.rules.catalogue import RULES
from gpuwatch.rules.looks import GpuDay, GpuLook, HostLook, JobDay, LookEvent, RunFacts, ServerLook, TrainingLook
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import START_MS, Stage

AMOUNTS = (None, 0.0, 0.0, 0.5, 12.0, 1e-9, 3e9, 1e18)
RATIOS = (None, 0.0, 0.04, 0.5, 0.97, 1.0)
COUNTS = (None, 0, 1, 5, 16, -1, 10**9)
CLOCKS = (None, 1e6, 1.2e9, 1.98e9, 1e18)
_RATIOS = {
    *(
        "utilization",
        "busy",
        "sm",
        "tensor",
        "dram",
        "fp64",
        "fp32",
        "occupancy",
        "power_fraction",
        "kappa",
        "thermal",
        "slowdown",
        "power_cap",
    ),
    *("clocks_set", "mfu", "kv_cache", "kv_cache_fullest", "iowait", "steal", "cpu_pressure", "io_pressure", "memory_pressure"),
}
_COUNTS = {"pcie_generation", "pcie_width", "nvlink_active", "ecc_uncorrected", "performance_state", "phase", "step_number"}


def _lie(dice: random.Random, name: str) -> float | None:
    """Whatever a look may say: its maker has clipped ratios, and left out what is below 0 and clocks that stand still."""
    values = RATIOS if name in _RATIOS else COUNTS if name in _COUNTS else CLOCKS if name.startswith("sm_clock") else AMOUNTS
    return dice.choice(values)


def _look(dice: random.Random, kind: type, own: tuple[str, ...]) -> dict[str, Any]:
    """Each field a lie, the same one for a while, so that windows are full of it."""
    names = [field.name for field in fields(kind) if field.name not in ("ms", *own)]
    return {name: _lie(dice, name) for name in names if dice.random() < 0.8}


_GPU_OWN = ("known_ms", "quiet_ms", "quiet_run_ms", "context", "unavailable", "sibling", "utilization_bins")


def _stage(dice: random.Random) -> Stage:
    stage = Stage(
        3,
        nvlink_count=dice.choice((None, 0, 18)),
        pcie_generation_max=dice.choice((None, 0, 5)),
        pcie_width_max=dice.choice((None, 0, 16)),
    )
    run = RunFacts(START_MS - 700_000, ended_ms=dice.choice((None, START_MS)), outcome=dice.choice(tuple(RunOutcome)))
    stage.job(5, name="train.py", command=dice.choice(("", "torchrun train.py", "x --tp 2", "verl.main grpo")), run=run)
    stage.process(51, gpus=(1,), job=5, command="python train.py")
    stage.process(52, gpus=(2,), job=5, command=dice.choice(("", "rollout worker", "learner")))
    stage.ranks(5, (51, 52))
    stage.job(
        7,
        "inference",
        engine=dice.choice(("vllm", "", "odd")),
        model=dice.choice(("", "llama-8b", "0b")),
        served=True,
        max_running_requests=0,
    )
    stage.process(53, gpus=(2, 3), job=7, command=dice.choice(("vllm serve m -tp 2", "")))
    days = [dice.choice((None, 0.0, 0.2, 1.0, 24.0)) for _ in range(8)]
    stage.gpu_days = {number: GpuDay(dice.choice((0.0, 24.0)), *days[:7], starts=dice.choice((None, 0, 9))) for number in (1, 2, 3)}
    stage.job_days = {
        number: JobDay(dice.choice((0.0, 24.0)), *days, *days[:2], failures=dice.choice((None, 0, 5))) for number in (5, 7)
    }
    stage.gpu(1, idle_power=dice.choice((None, 0.0, 70.0)))
    return stage


@pytest.mark.parametrize("seed", range(6))
def test_every_rule_answers(seed: int) -> None:
    dice = random.Random(seed)
    stage = _stage(dice)
    for _ in range(4):
        gpus = {number: _look(dice, GpuLook, _GPU_OWN) | {"context": dice.choice((None, *Context))} for number in (1, 2, 3)}
        waits = {dice.choice(tuple(Latency)): {(0.0, 0.1): dice.choice((0, 90)), (0.1, math.inf): dice.choice((0, 60))}}
        server = _look(dice, ServerLook, ("state", "latency")) | {"state": dice.choice((None, ServerState.UP)), "latency": waits}
        stage.run(
            dice.choice((300, 1800)),
            gpus=gpus,
            process={name: _lie(dice, name) for name in ("cpu", "thread_cpu", "memory", "read", "write")} | {"run_state": "D"},
            training={proc_id: _look(dice, TrainingLook, ()) for proc_id in (51, 52)},
            server={7: server},
            host=_look(dice, HostLook, ()),
            events=[LookEvent(stage.t_ms + 1, "xid", Severity.WARNING, dice.choice(("", "XID 79: gone", "XID x")), gpu_id=1)],
            unseen=dice.choice(((), (3,))),
        )
        for rule in RULES.values():
            for number in {"gpu": (1, 2, 3), "job": (5, 7), "host": (0,)}[rule.about]:
                subject = {} if rule.about == "host" else {rule.about: number}
                said = stage.judge(rule, **subject)
                assert isinstance(said, Finding | Clear | NotEvaluated)
                assert not isinstance(said, Finding) or (said.waste_gpus or 0) <= 3, f"{rule.id} wastes more than there is"
