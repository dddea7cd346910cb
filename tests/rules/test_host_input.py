"""B1: a training that waits for its data, by its hook and from outside."""

from __future__ import annotations

import pytest

from gpuwatch.names import Basis, Cause, Severity, TrainingSource
from gpuwatch.rules.host import input_bound
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import START_MS, Stage

SLOW, FAST = {"utilization": 0.9}, {"utilization": 0.0}


def found(verdict: object) -> Finding:
    assert isinstance(verdict, Finding), verdict
    return verdict


def hooked(data: float, busy: float | None = None, seconds: float = 300, steps: float = 5.0, **facts: object) -> Stage:
    """Two ranks, each of whose ten seconds have so many of data wait; the GPUs are busy the rest unless said."""
    stage = Stage(gpus=2)
    for proc_id, gpu in ((10, 1), (11, 2)):
        stage.process(proc_id, gpus=(gpu,), job=5, command="python train.py")
    stage.job(5, name="vit-l", **facts)
    stage.ranks(5, [10, 11])
    rest = (9.0 - data) / 2
    spent = {"attached": 10.0, "rank_steps": steps, "data": data, "forward": rest, "backward": rest, "other": 1.0}
    stage.run(seconds, gpu={"utilization": 1 - data / 10 if busy is None else busy}, training={10: spent, 11: spent})
    return stage


def test_the_share_of_steps_that_waits_is_told_as_measured() -> None:
    one = found(hooked(5.8).judge(input_bound, job=5))
    assert one.title == "58% of each training step of vit-l waits for data."
    assert one.measured == pytest.approx(0.58) and one.waste_gpus == pytest.approx(1.16)
    assert (one.basis, one.severity, one.cause) == (Basis.MEASURED, Severity.WARNING, Cause.INPUT)
    assert one.try_first[0] == "DataLoader(…, num_workers=8, persistent_workers=True, prefetch_factor=4, pin_memory=True)"
    assert one.evidence[0].what == "data wait, 1.16 of 2.00 s a step"


def test_time_without_steps_is_no_wait_for_data() -> None:
    stage = hooked(4.0)
    half = {"attached": 20.0, "rank_steps": 5.0, "data": 4.0, "forward": 2.5, "backward": 2.5, "other": 1.0, "checkpoint": 10.0}
    stage.run(7200, gpu={"utilization": 0.3}, training={10: half, 11: half})
    one = found(stage.judge(input_bound, job=5))
    assert "40% of each training step" in one.title and one.waste_gpus == pytest.approx(2 * 0.2)
    assert "x the 50% of the time with steps" in one.how


def test_a_small_share_is_a_notice_and_a_tuned_one_is_clear() -> None:
    assert found(hooked(0.8).judge(input_bound, job=5)).severity == Severity.NOTICE
    assert isinstance(hooked(0.45).judge(input_bound, job=5), Clear)
    stage = hooked(0.45)
    stage.open(input_bound, f"job:5:{START_MS - 3_600_000}:0")
    assert isinstance(stage.judge(input_bound, job=5), Finding)
    stage.run(300, gpu={"utilization": 0.98}, training={10: {"data": 0.2, "forward": 9.0, "rank_steps": 5.0}})
    assert isinstance(stage.judge(input_bound, job=5), Clear)


def test_a_wait_behind_which_the_gpu_works_costs_nothing() -> None:
    assert isinstance(hooked(3.0, busy=0.99).judge(input_bound, job=5), Clear)
    assert found(hooked(3.0, busy=0.93).judge(input_bound, job=5)).severity == Severity.NOTICE


def test_too_few_steps_and_too_little_time_are_not_judged() -> None:
    assert isinstance(hooked(5.0, seconds=200).judge(input_bound, job=5), NotEvaluated)
    slow = hooked(5.0, seconds=600, steps=0.5)
    assert "of the 50 steps" in getattr(slow.judge(input_bound, job=5), "signal", "")
    slow.overrides["input-bound.steps"] = 20
    assert isinstance(slow.judge(input_bound, job=5), Finding)


def unhooked(cpu: float, workers: int = 0, worker_cpu: float = 0.0, busy_of_ten: int = 6, kind: str = "training") -> Stage:
    stage = Stage()
    stage.process(10, gpus=(1,), job=5, command="torchrun train.py")
    for number in range(workers):
        stage.process(20 + number, job=5, role="worker")
    stage.job(5, kind=kind)
    said = {p: {"cpu": worker_cpu} for p in range(20, 20 + workers)}
    stage.run(1800, gpu=lambda n: SLOW if n % 10 < busy_of_ten else FAST, processes={10: {"cpu": cpu}, **said})
    return stage


def test_without_a_hook_it_is_inferred_from_workers_or_one_busy_process() -> None:
    one = found(unhooked(0.3, workers=4, worker_cpu=0.95).judge(input_bound, job=5))
    assert one.basis == Basis.INFERRED and one.gain.startswith("up to") and "4 loader workers" in one.evidence[2].what
    assert isinstance(unhooked(1.0).judge(input_bound, job=5), Finding)
    stage = unhooked(0.3)
    stage.opened.add(("slow-storage-or-swap", f"job:5:{START_MS - 3_600_000}:0"))
    assert isinstance(stage.judge(input_bound, job=5), Finding)


def test_without_a_hook_and_without_signs_it_says_how_to_attach() -> None:
    for stage in (unhooked(0.3, workers=4, worker_cpu=0.6), unhooked(1.4), unhooked(1.0, busy_of_ten=0)):
        verdict = stage.judge(input_bound, job=5)
        assert isinstance(verdict, NotEvaluated) and verdict.enable == "gpuwatch run -- torchrun train.py"
    assert isinstance(unhooked(1.0, busy_of_ten=9).judge(input_bound, job=5), Clear)
    assert isinstance(unhooked(1.0, kind="inference").judge(input_bound, job=5), Clear)
    logged = hooked(5.0)
    logged.ranks(5, [10, 11])
    facts = logged.jobs[5]
    logged.jobs[5] = type(facts)(5, "training", ranks=tuple(type(r)(r.proc_id, TrainingSource.LOG) for r in facts.ranks))
    logged.run(10, gpu={"utilization": 0.5}, training={10: {"steps": 3.0}, 11: {"steps": 3.0}})
    assert isinstance(logged.judge(input_bound, job=5), NotEvaluated)


def test_notebooks_and_programs_that_are_no_python_are_not_asked_to_attach() -> None:
    other = unhooked(0.3, kind="other")
    assert isinstance(other.judge(input_bound, job=5), NotEvaluated)
    other.process(10, gpus=(1,), job=5, command="gmx mdrun", name="gmx")
    other.run(10, gpu=SLOW)
    assert isinstance(other.judge(input_bound, job=5), Clear)
    other.process(10, gpus=(1,), job=5, command="python -m ipykernel_launcher")
    other.run(10, gpu=SLOW)
    assert isinstance(other.judge(input_bound, job=5), Clear)


def test_more_workers_than_cores_are_not_suggested() -> None:
    stage = hooked(5.0)
    stage.host_facts = type(stage.host_facts)("box", 8, None)
    for number in range(8):
        stage.process(20 + number, job=5, role="worker")
    stage.run(10, gpu={"utilization": 0.5}, training={10: {"data": 5.0, "forward": 5.0, "rank_steps": 5.0}})
    assert "num_workers" not in found(stage.judge(input_bound, job=5)).try_first[0]
