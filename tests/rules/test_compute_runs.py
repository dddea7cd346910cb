"""C5, C6 and busy-but-no-progress: compiling again, not compiling, and a job that hangs while it looks busy."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.names import Basis, Severity
from gpuwatch.rules.compute import busy_but_no_progress, eager_where_compile_pays, recompilation_churn
from gpuwatch.rules.looks import ServerLook
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import Stage

RUNS = {"attached": 10.0, "rank_steps": 5.0, "data": 0.1, "forward": 9.0}


def found(verdict: object) -> Finding:
    assert isinstance(verdict, Finding), verdict
    return verdict


def job(gpus: int = 1, **facts: Any) -> Stage:
    stage = Stage(gpus=gpus)
    for gpu in range(1, gpus + 1):
        stage.process(9 + gpu, gpus=(gpu,), job=5, command="python train.py")
    stage.job(5, **({"name": "gpt"} | facts))
    return stage


# ------------------------------------------------------------------------------------------------------- recompilation-churn


def compiling(every: int, seconds: float = 2.0, steps: float = 5.0, start: int | None = None) -> Stage:
    stage = job()
    stage.ranks(5, [10])

    def said(n: int) -> dict[str, Any]:
        hit = n % every == 0 if start is None else n == start
        return RUNS | {"rank_steps": steps, "compilations": 1.0 if hit else 0.0, "compiling": seconds if hit else 0.0}

    stage.run(1800, gpu={"utilization": 0.8}, training={10: said})
    return stage


def test_compiling_again_and_again_is_told_by_count_or_by_time() -> None:
    one = found(compiling(20).judge(recompilation_churn, job=5))
    assert one.basis == Basis.MEASURED and one.title.startswith("gpt compiled 3 times in the last 10 min")
    assert isinstance(compiling(45, seconds=1.0).judge(recompilation_churn, job=5), Clear)
    long = found(compiling(31, seconds=30.0).judge(recompilation_churn, job=5))
    assert long.measured == pytest.approx(150 / 1600) and long.severity == Severity.WARNING


def test_the_first_compilation_and_unattached_runs() -> None:
    assert isinstance(compiling(1, seconds=150.0, start=2).judge(recompilation_churn, job=5), Clear)
    assert isinstance(compiling(10, steps=0.5).judge(recompilation_churn, job=5), Clear)
    stage = job()
    stage.run(60, gpu={"utilization": 0.8})
    assert isinstance(stage.judge(recompilation_churn, job=5), NotEvaluated)
    stage.job(5, kind="other")
    stage.run(10, gpu={"utilization": 0.8})
    assert isinstance(stage.judge(recompilation_churn, job=5), Clear)


# -------------------------------------------------------------------------------------------------- eager-where-compile-pays


def eager(steps: float = 50.0, rank: dict[str, Any] | None = None, **gpu: Any) -> Stage:
    stage = job()
    stage.ranks(5, [10], **(rank or {}))
    spent = RUNS | {"rank_steps": steps, "compilations": 0.0, "compiling": 0.0, "step_number": 1000}
    stage.run(900, gpu={"utilization": 0.9, "sm": 0.5, "dram": 0.6, "tensor": 0.1} | gpu, training={10: spent})
    return stage


def test_element_wise_work_without_compiling_is_an_opportunity() -> None:
    one = found(eager().judge(eager_where_compile_pays, job=5))
    assert one.severity == Severity.INFO and one.waste_gpus is None and one.gain.startswith("up to 1.4")


def test_what_would_not_pay_is_not_told() -> None:
    assert isinstance(eager(dram=0.45).judge(eager_where_compile_pays, job=5), Clear)
    assert isinstance(eager(tensor=0.2).judge(eager_where_compile_pays, job=5), Clear)
    assert isinstance(eager(steps=10.0, sm=0.7).judge(eager_where_compile_pays, job=5), Clear)
    assert isinstance(eager(rank={"total_steps": 2000}).judge(eager_where_compile_pays, job=5), Clear)
    assert isinstance(eager(rank={"total_steps": 200_000}).judge(eager_where_compile_pays, job=5), Finding)
    compiled = eager()
    compiled.run(10, gpu={"utilization": 0.9}, training={10: RUNS | {"compilations": 1.0}})
    assert isinstance(compiled.judge(eager_where_compile_pays, job=5), Clear)


def test_small_kernels_speak_without_gpm_and_nothing_does_without_both() -> None:
    blind = {"sm": None, "dram": None, "tensor": None}
    assert isinstance(eager(**blind).judge(eager_where_compile_pays, job=5), NotEvaluated)
    stage = eager(**blind)
    stage.opened.add(("launch-bound-small-kernels", "gpu:GPU-1"))
    assert "its kernels are small" in found(stage.judge(eager_where_compile_pays, job=5)).title
    unattached = job()
    unattached.run(900, gpu={"utilization": 0.9})
    assert isinstance(unattached.judge(eager_where_compile_pays, job=5), NotEvaluated)


# ------------------------------------------------------------------------------------------------------ busy-but-no-progress

SPINS = {"utilization": 1.0, "power_fraction": 0.06}


def hung(seconds: float = 60, gpus: int = 2, steps: float | None = 0.0, **said: Any) -> Stage:
    stage = job(gpus)
    ranks = [10 + n for n in range(gpus)]
    if steps is not None:
        stage.ranks(5, ranks)
    spent = {rank: RUNS | {"rank_steps": steps} for rank in ranks} if steps is not None else None
    stage.run(120, gpu={"utilization": 0.97, "power_fraction": 0.8}, training=dict.fromkeys(ranks, RUNS) if spent else None)
    stage.run(seconds, gpu=SPINS | said, training=spent)
    return stage


def test_a_job_that_spins_without_a_step_is_told_and_critical_after_ten_minutes() -> None:
    one = found(hung(70).judge(busy_but_no_progress, job=5))
    assert one.title == "All 2 GPUs of gpt show full utilization at 6% of their power for 70 s, and no step or token was counted."
    assert (one.severity, one.basis, one.waste_gpus) == (Severity.WARNING, Basis.MEASURED, 2.0)
    assert one.try_first[0].startswith("py-spy dump --pid 10")
    assert found(hung(600).judge(busy_but_no_progress, job=5)).severity == Severity.CRITICAL
    assert found(hung(70, steps=None).judge(busy_but_no_progress, job=5)).basis == Basis.INFERRED
    gpm = {"tensor": 0.001, "dram": 0.01, "power_fraction": 0.15, "fp32": 0.01}
    assert isinstance(hung(70, **gpm).judge(busy_but_no_progress, job=5), Finding)


def test_short_waits_steps_and_work_are_no_hang() -> None:
    assert isinstance(hung(50).judge(busy_but_no_progress, job=5), Clear)
    assert isinstance(hung(70, steps=1.0).judge(busy_but_no_progress, job=5), Clear)
    assert isinstance(hung(70, power_fraction=0.12).judge(busy_but_no_progress, job=5), Clear)
    assert isinstance(hung(70, utilization=0.94).judge(busy_but_no_progress, job=5), Clear)
    decode = {"tensor": 0.01, "dram": 0.7, "power_fraction": 0.4}
    assert isinstance(hung(70, **decode).judge(busy_but_no_progress, job=5), Clear)
    fp32 = {"tensor": 0.0, "dram": 0.01, "fp32": 0.8, "power_fraction": 0.6}
    assert isinstance(hung(70, **fp32).judge(busy_but_no_progress, job=5), Clear)


def test_one_gpu_at_work_and_a_server_with_tokens_are_no_hang() -> None:
    stage = job(2)
    stage.run(120, gpus={1: SPINS, 2: {"utilization": 0.97, "power_fraction": 0.5}})
    assert isinstance(stage.judge(busy_but_no_progress, job=5), Clear)
    server = job(1, kind="inference", served=True)
    server.run(120, gpu=SPINS, server={5: {"output_tokens": 40.0}})
    assert server.scene.jobs[5].server is not None and isinstance(server.scene.jobs[5].server.newest, ServerLook)
    assert isinstance(server.judge(busy_but_no_progress, job=5), Clear)


def test_without_power_and_gpm_a_hang_cannot_be_told() -> None:
    assert isinstance(hung(70, power_fraction=None).judge(busy_but_no_progress, job=5), NotEvaluated)
    stage = hung(70)
    stage.run(10, gpu=SPINS, unseen=(2,))
    assert isinstance(stage.judge(busy_but_no_progress, job=5), NotEvaluated)
