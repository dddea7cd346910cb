"""D1 to D3: memory that runs out, lies in pieces, or grows."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.names import Basis, Severity
from gpuwatch.rules.looks import RunFacts
from gpuwatch.rules.memory import allocator_fragmentation, memory_leak_growth, near_oom
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import GIB, START_MS, Said, Stage

RUNS = {"attached": 10.0, "rank_steps": 20.0, "forward": 10.0, "alloc_retries": 0.0}


def found(verdict: object) -> Finding:
    assert isinstance(verdict, Finding), verdict
    return verdict


def training(
    seconds: float, used: Said | float, *, spent: Said | None = None, command: str = "python train.py", age: int = 7200, **job: Any
) -> Stage:
    stage = Stage()
    stage.process(10, gpus=(1,), job=5, command=command, start_ms=START_MS - 1000 * age)
    stage.job(5, **({"name": "gpt"} | job))
    if spent is not None:
        stage.ranks(5, [10])
    gpu = used if not isinstance(used, float | int) else {"memory_used": used}
    both = (lambda n: {"utilization": 0.9} | dict(gpu(n))) if callable(gpu) else {"utilization": 0.9} | dict(gpu)
    stage.run(
        seconds,
        gpu=both,
        process=(lambda n: {"memory": both(n)["memory_used"]}) if callable(both) else None,
        training={10: spent} if spent else None,
    )
    return stage


# ------------------------------------------------------------------------------------------------------------------ near-oom


def test_little_free_memory_is_told_with_what_is_at_risk() -> None:
    stage = training(300, 78 * GIB, run=RunFacts(START_MS - 7_200_000, last_checkpoint_ms=START_MS - 3_300_000), spent=RUNS)
    one = found(stage.judge(near_oom, gpu=1))
    assert one.title == "2.0 GiB of 80 GiB are free on GPU 0." and one.waste_gpus is None
    assert one.evidence[2].measured == "1 h"


def test_enough_memory_for_a_moment_and_caches_are_clear() -> None:
    assert isinstance(training(300, 77.5 * GIB).judge(near_oom, gpu=1), Clear)
    stage = training(300, 77.5 * GIB)
    stage.open(near_oom, "gpu:GPU-1")
    assert isinstance(stage.judge(near_oom, gpu=1), Finding)
    stage = training(280, 78 * GIB)
    stage.run(20, gpu={"utilization": 0.9, "memory_used": 60 * GIB})
    assert isinstance(stage.judge(near_oom, gpu=1), Clear | NotEvaluated)
    cached = RUNS | {"reserved": 76 * GIB, "allocated_peak": 50 * GIB}
    assert isinstance(training(300, 78 * GIB, spent=cached).judge(near_oom, gpu=1), Clear)


def test_a_steady_growth_tells_when_it_will_be_full() -> None:
    one = found(training(1800, lambda n: {"memory_used": (40 + 0.13 * n) * GIB}).judge(near_oom, gpu=1))
    assert one.basis == Basis.INFERRED and "out of memory in about 21 min" in one.title
    assert isinstance(training(1800, lambda n: {"memory_used": (40 + 0.08 * n) * GIB}).judge(near_oom, gpu=1), Clear)
    jump = training(1800, lambda n: {"memory_used": (20 if n < 170 else 60) * GIB})
    assert isinstance(jump.judge(near_oom, gpu=1), Clear)


def test_who_takes_all_memory_or_is_too_young_is_not_judged() -> None:
    for command in ("vllm serve m", "python train_jax.py"):
        assert isinstance(training(300, 79 * GIB, command=command).judge(near_oom, gpu=1), Clear)
    assert isinstance(training(300, 79 * GIB, kind="inference").judge(near_oom, gpu=1), Clear)
    assert isinstance(training(300, 79 * GIB, age=10).judge(near_oom, gpu=1), NotEvaluated)
    assert isinstance(training(300, {"utilization": 0.5}).judge(near_oom, gpu=1), NotEvaluated)


# --------------------------------------------------------------------------------------------------- allocator-fragmentation


def retrying(every: int, slow: float = 10.0) -> Stage:
    def said(n: int) -> dict[str, Any]:
        hit = n % every == 0
        return RUNS | {"alloc_retries": 1.0 if hit else 0.0, "rank_steps": 10.0 if hit else 20.0, "forward": slow if hit else 10.0}

    return training(600, 60 * GIB, spent=said)


def test_retries_of_the_allocator_cost_what_their_steps_took_longer() -> None:
    one = found(retrying(5).judge(allocator_fragmentation, job=5))
    assert one.severity == Severity.WARNING and one.title.startswith("PyTorch had to free its cache and try again 12 times")
    assert one.measured == pytest.approx(12 * 5 / 600) and one.waste_gpus == pytest.approx(0.1)
    assert isinstance(retrying(6).judge(allocator_fragmentation, job=5), Clear)


def test_memory_that_was_never_in_use_at_once_is_a_notice() -> None:
    wide = {"reserved": 60 * GIB, "allocated": 20 * GIB, "allocated_peak": 35 * GIB}
    one = found(training(600, 65 * GIB, spent=RUNS | wide).judge(allocator_fragmentation, job=5))
    assert one.severity == Severity.NOTICE and "25 GiB were never in use" in one.title and one.waste_gpus is None
    usual = wide | {"allocated_peak": 50 * GIB}
    assert isinstance(training(600, 65 * GIB, spent=RUNS | usual).judge(allocator_fragmentation, job=5), Clear)
    small = {"reserved": 6 * GIB, "allocated_peak": 3 * GIB}
    assert isinstance(training(600, 65 * GIB, spent=RUNS | small).judge(allocator_fragmentation, job=5), Clear)


def test_without_the_hook_the_allocator_is_not_judged() -> None:
    verdict = training(600, 65 * GIB).judge(allocator_fragmentation, job=5)
    assert isinstance(verdict, NotEvaluated) and verdict.enable.startswith("gpuwatch run --")
    silent = training(600, 65 * GIB, spent={"attached": 10.0, "rank_steps": 20.0})
    assert isinstance(silent.judge(allocator_fragmentation, job=5), NotEvaluated)
    assert isinstance(training(600, 65 * GIB, kind="other").judge(allocator_fragmentation, job=5), Clear)


# -------------------------------------------------------------------------------------------------------- memory-leak-growth


def growing(per_hour: float, seconds: float = 3600, hook: bool = True, steps: float = 20.0, **job: Any) -> Stage:
    def used(n: int) -> dict[str, Any]:
        return {"memory_used": (20 + per_hour * n / 360) * GIB}

    def spent(n: int) -> dict[str, Any]:
        return RUNS | {"allocated": used(n)["memory_used"] - GIB, "step_number": 100_000 + int(steps * n), "rank_steps": steps}

    return training(seconds, used, spent=spent if hook else None, **job)


def test_memory_that_grows_by_a_twentieth_an_hour_is_told() -> None:
    one = found(growing(4.2).judge(memory_leak_growth, job=5))
    assert "grows by 4.2 GiB an hour on GPU 0" in one.title and one.basis == Basis.MEASURED
    assert isinstance(growing(3.8).judge(memory_leak_growth, job=5), Clear)
    assert found(growing(4.2, hook=False).judge(memory_leak_growth, job=5)).basis == Basis.INFERRED


def test_slow_steps_count_by_a_thousand() -> None:
    assert isinstance(growing(1.5, steps=1.0).judge(memory_leak_growth, job=5), Finding)
    assert isinstance(growing(1.5, steps=2.0).judge(memory_leak_growth, job=5), Clear)


def test_one_jump_a_plateau_and_the_first_steps_are_no_leak() -> None:
    jump = training(3600, lambda n: {"memory_used": (20 if n < 100 else 40) * GIB})
    assert isinstance(jump.judge(memory_leak_growth, job=5), Clear)
    plateau = training(3600, lambda n: {"memory_used": (20 + min(n, 120) / 10) * GIB})
    assert isinstance(plateau.judge(memory_leak_growth, job=5), Clear)
    first = growing(8.0)
    first.ranks(5, [10])
    first.run(10, gpu={"utilization": 0.9}, training={10: RUNS | {"allocated": 29 * GIB, "step_number": 7300}})
    assert isinstance(first.judge(memory_leak_growth, job=5), Clear)


def test_growth_is_not_judged_of_servers_and_short_or_silent_runs() -> None:
    assert isinstance(growing(8.0, hook=False, kind="inference").judge(memory_leak_growth, job=5), Clear)
    assert isinstance(growing(8.0, hook=False, command="python train_jax.py").judge(memory_leak_growth, job=5), Clear)
    assert isinstance(growing(8.0, age=10).judge(memory_leak_growth, job=5), NotEvaluated)
    assert isinstance(growing(8.0, seconds=1800).judge(memory_leak_growth, job=5), NotEvaluated)
