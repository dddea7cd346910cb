"""A4 and A5: GPUs that work now and then, and jobs that leave some of their GPUs alone."""

from __future__ import annotations

from gpuwatch.names import Basis, Cause
from gpuwatch.rules.idle import allocated_gpu_unused, gpu_memory_held_idle, low_duty_cycle
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import GIB, START_MS, Stage

QUIET = {"utilization": 0.0}
BUSY = {"utilization": 0.9}


def found(verdict: object) -> Finding:
    assert isinstance(verdict, Finding), verdict
    return verdict


def gappy(busy_of_ten: int, level: float = 0.9, kind: str = "training", **job: object) -> Stage:
    stage = Stage()
    stage.process(10, gpus=(1,), job=5, command="python train.py")
    stage.job(5, kind=kind, **job)
    stage.run(1800, gpu=lambda n: {"utilization": level if n % 10 < busy_of_ten else 0.0, "power": 150.0})
    return stage


# ------------------------------------------------------------------------------------------------------------ low-duty-cycle


def test_a_gappy_job_waits_and_is_not_held_idle() -> None:
    stage = gappy(4)
    one = found(stage.judge(low_duty_cycle, gpu=1))
    assert one.title == "GPU 0 is busy 36% of the time and quiet 60% of it."
    assert one.waste_gpus is not None and abs(one.waste_gpus - 0.64) < 1e-9
    assert one.gain.startswith("up to") and one.try_first[0].startswith("nsys profile")
    assert isinstance(stage.judge(gpu_memory_held_idle, gpu=1), Clear)


def test_near_the_limits_it_is_silent() -> None:
    assert isinstance(gappy(6, 0.92).judge(low_duty_cycle, gpu=1), Clear)
    steady = Stage()
    steady.process(10, gpus=(1,))
    steady.run(1800, gpu={"utilization": 0.38})
    assert isinstance(steady.judge(low_duty_cycle, gpu=1), Clear)
    assert isinstance(found(gappy(5, 0.92).judge(low_duty_cycle, gpu=1)), Finding)


def test_an_open_one_clears_above_the_other_limit() -> None:
    stage = gappy(6, 0.75)
    stage.open(low_duty_cycle, "gpu:GPU-1")
    assert isinstance(stage.judge(low_duty_cycle, gpu=1), Finding)
    stage = gappy(7, 0.8)
    stage.open(low_duty_cycle, "gpu:GPU-1")
    assert isinstance(stage.judge(low_duty_cycle, gpu=1), Clear)


def test_it_never_speaks_of_the_time_of_a_held_idle_gpu() -> None:
    stage = gappy(4)
    for _ in range(6):
        stage.run(600, gpu=QUIET, process={"memory": 10 * GIB})
        spoken = [isinstance(stage.judge(r, gpu=1), Finding) for r in (low_duty_cycle, gpu_memory_held_idle)]
        assert spoken.count(True) <= 1


def test_the_hook_names_the_cause() -> None:
    stage = Stage()
    stage.process(10, gpus=(1,), job=5)
    stage.job(5)
    stage.ranks(5, [10])
    spent = {10: {"attached": 10.0, "data": 6.0, "other": 0.5}}
    stage.run(1800, gpu=lambda n: BUSY if n % 10 < 3 else QUIET, training=spent)
    one = found(stage.judge(low_duty_cycle, gpu=1))
    assert one.cause == Cause.INPUT and "it waits for data" in one.title and "input-bound" in one.try_first[0]
    other = gappy(3)
    other.opened.add(("rank-straggler", "job:5:" + str(START_MS - 3_600_000) + ":0"))
    assert found(other.judge(low_duty_cycle, gpu=1)).cause == Cause.PEERS


def test_guards_and_missing_signals_of_gaps() -> None:
    assert isinstance(gappy(3, kind="inference", served=True).judge(low_duty_cycle, gpu=1), Clear)
    notebook = gappy(3)
    notebook.process(10, gpus=(1,), job=5, command="python -m ipykernel_launcher")
    notebook.run(10, gpu=QUIET)
    assert isinstance(notebook.judge(low_duty_cycle, gpu=1), Clear)
    fresh = Stage()
    fresh.process(10, gpus=(1,), start_ms=START_MS)
    fresh.run(1800, gpu=lambda n: BUSY if n % 10 < 3 else QUIET)
    assert isinstance(fresh.judge(low_duty_cycle, gpu=1), NotEvaluated)
    fresh.run(300, gpu=lambda n: BUSY if n % 10 < 3 else QUIET)
    assert isinstance(fresh.judge(low_duty_cycle, gpu=1), Finding)
    blind = Stage()
    blind.process(10, gpus=(1,))
    blind.run(1800, gpu={"memory_used": GIB})
    assert isinstance(blind.judge(low_duty_cycle, gpu=1), NotEvaluated)
    coarse = gappy(3)
    coarse.run(10, gpu=BUSY | {"ms": 60_000})
    assert isinstance(coarse.judge(low_duty_cycle, gpu=1), NotEvaluated)


# ------------------------------------------------------------------------------------------------------ allocated-gpu-unused


def pair(visible: str = "0,1", gpus: tuple[int, ...] = (1, 2), seconds: float = 900, active: float = 0.9) -> Stage:
    stage = Stage(gpus=2)
    stage.process(10, gpus=gpus, job=5, command="python train.py", visible_gpus=visible)
    stage.job(5)
    stage.run(seconds, gpus={1: lambda n: {"utilization": 0.9 if n % 10 < 10 * active else 0.0}, 2: QUIET})
    return stage


def test_a_gpu_of_two_that_does_nothing_is_told_and_never_the_other() -> None:
    one = found(pair().judge(allocated_gpu_unused, job=5))
    assert one.title.startswith("This job uses 1 of its 2 GPUs: GPU 1 did nothing for 15 min")
    assert one.gpus == (2,) and one.waste_gpus == 1.0 and one.basis == Basis.MEASURED
    assert one.try_first[0] == "torchrun --nproc_per_node=2 train.py"


def test_a_gpu_that_was_only_named_to_the_job_counts_too() -> None:
    assert found(pair(gpus=(1,)).judge(allocated_gpu_unused, job=5)).gpus == (2,)
    assert isinstance(pair(gpus=(1,), visible="0").judge(allocated_gpu_unused, job=5), Clear)
    taken = pair(gpus=(1,))
    taken.process(11, gpus=(2,))
    taken.run(10, gpus={1: BUSY, 2: QUIET})
    assert isinstance(taken.judge(allocated_gpu_unused, job=5), Clear)


def test_numbers_that_mean_other_gpus_inside_name_none_outside() -> None:
    stage = pair(gpus=(1,))
    stage.process(10, gpus=(1,), job=5, command="python train.py", visible_gpus="0,1", container="docker:1f")
    stage.run(10, gpus={1: BUSY, 2: QUIET})
    assert isinstance(stage.judge(allocated_gpu_unused, job=5), Clear)
    other = pair(gpus=(2,), visible="0")
    other.run(10, gpus={1: QUIET, 2: BUSY})
    assert isinstance(other.judge(allocated_gpu_unused, job=5), Clear), "CUDA counts in its own order here"


def test_without_an_identity_it_is_inferred() -> None:
    one = found(pair(visible="").judge(allocated_gpu_unused, job=5))
    assert one.basis == Basis.INFERRED and one.gain.startswith("up to")


def test_too_short_too_quiet_and_exempt_jobs_are_clear() -> None:
    short = pair(seconds=900)
    short.run(10, gpus={1: BUSY, 2: BUSY})
    assert isinstance(short.judge(allocated_gpu_unused, job=5), Clear)
    assert isinstance(pair(active=0.2).judge(allocated_gpu_unused, job=5), Clear)
    exempt = pair()
    exempt.overrides["allocated-gpu-unused.exempt_used_share"] = 0.5
    assert isinstance(exempt.judge(allocated_gpu_unused, job=5), Clear)
    young = Stage(gpus=2)
    young.process(10, gpus=(1, 2), job=5, start_ms=START_MS)
    young.job(5)
    young.run(900, gpus={1: BUSY, 2: QUIET})
    assert isinstance(young.judge(allocated_gpu_unused, job=5), NotEvaluated)
