"""A1 to A3: GPUs that nobody holds, that are held and not used, and memory without a living process."""

from __future__ import annotations

from gpuwatch.names import Basis, Context, ServerState, Severity
from gpuwatch.rules.idle import gpu_idle_unallocated, gpu_memory_held_idle, gpu_zombie_context
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import GIB, START_MS, Stage

QUIET = {"utilization": 0.0, "memory_used": 0.5 * GIB}
BUSY = {"utilization": 0.9, "memory_used": 20 * GIB}


def found(verdict: object) -> Finding:
    assert isinstance(verdict, Finding), verdict
    return verdict


# ----------------------------------------------------------------------------------------------------- gpu-idle-unallocated


def test_a_free_gpu_is_told_after_a_quarter_of_an_hour() -> None:
    stage = Stage()
    stage.run(890, gpu=QUIET)
    assert isinstance(stage.judge(gpu_idle_unallocated, gpu=1), Clear)
    stage.run(20, gpu=QUIET)
    one = found(stage.judge(gpu_idle_unallocated, gpu=1))
    assert one.severity == Severity.NOTICE and one.basis == Basis.MEASURED and one.waste_gpus == 1.0
    assert one.title == "No process holds GPU 0, and it has done nothing for 15 min."


def test_the_first_process_clears_it_and_its_end_starts_anew() -> None:
    stage = Stage()
    stage.run(1200, gpu=QUIET)
    stage.process(10, gpus=(1,))
    stage.run(20, gpu=QUIET)
    assert isinstance(stage.judge(gpu_idle_unallocated, gpu=1), Clear)
    stage.gone(10)
    stage.run(600, gpu=QUIET)
    assert isinstance(stage.judge(gpu_idle_unallocated, gpu=1), Clear)
    stage.run(300, gpu=QUIET)
    assert found(stage.judge(gpu_idle_unallocated, gpu=1)).since_ms == stage.t_ms - 900_000


def test_after_a_day_it_is_a_warning() -> None:
    stage = Stage()
    stage.run(900, gpu=QUIET | {"quiet_run_ms": 90_000_000})
    one = found(stage.judge(gpu_idle_unallocated, gpu=1))
    assert one.severity == Severity.WARNING and "25 h" in one.title


def test_memory_stands_for_the_process_list_that_cannot_be_read() -> None:
    stage = Stage()
    stage.run(900, gpu=QUIET | {"context": None})
    one = found(stage.judge(gpu_idle_unallocated, gpu=1))
    assert one.basis == Basis.INFERRED and one.gain.startswith("up to")
    assert one.title.endswith("who holds it cannot be seen.") and "No process" not in one.title
    stage.run(10, gpu=QUIET | {"context": None, "memory_used": 3 * GIB})
    assert isinstance(stage.judge(gpu_idle_unallocated, gpu=1), Clear)
    stage.run(10, gpu={"utilization": 0.0, "context": None})
    assert isinstance(stage.judge(gpu_idle_unallocated, gpu=1), NotEvaluated)


def test_reserved_sliced_and_lost_gpus_are_not_called_free() -> None:
    stage = Stage(gpus=3)
    stage.gpu(1, reserved=True)
    stage.gpu(2, mig_enabled=True)
    stage.run(900, gpu=QUIET, gpus={3: {"unavailable": True}})
    for gpu in (1, 2, 3):
        assert isinstance(stage.judge(gpu_idle_unallocated, gpu=gpu), Clear)


# ----------------------------------------------------------------------------------------------------- gpu-memory-held-idle


def held(command: str = "python train.py", **process: object) -> Stage:
    stage = Stage()
    stage.process(4711, gpus=(1,), job=5, command=command, user="ana")
    stage.job(5, kind="other")
    stage.run(60, gpu=BUSY)
    stage.run(1790, gpu=QUIET, process={"memory": 38 * GIB} | process)
    return stage


def test_held_memory_without_work_is_told_from_the_start_of_the_quiet_run() -> None:
    stage = held(cpu=0.02)
    assert isinstance(stage.judge(gpu_memory_held_idle, gpu=1), Clear)
    stage.run(10, gpu=QUIET, process={"memory": 38 * GIB})
    one = found(stage.judge(gpu_memory_held_idle, gpu=1))
    assert one.title == "PID 4711 (ana, python train.py) holds 38 GiB and has started no work for 30 min."
    assert one.since_ms == stage.t_ms - 1_800_000 and one.cost_gpu_seconds == 1800
    stage.run(10, gpu=BUSY)
    assert isinstance(stage.judge(gpu_memory_held_idle, gpu=1), Clear)


def test_who_was_forgotten_has_no_number_to_be_ended_by() -> None:
    stage = Stage()
    stage.process(-2, gpus=(1,), user="forgotten-1")
    stage.run(1800, gpu=QUIET, process={"memory": 38 * GIB})
    one = found(stage.judge(gpu_memory_held_idle, gpu=1))
    assert one.title.startswith("A process (forgotten-1) holds")
    assert not any("kill" in line for line in one.try_first)


def test_a_quiet_run_that_began_anew_while_it_is_told_does_not_pass_for_the_whole() -> None:
    stage = held()
    stage.run(10, gpu=QUIET, process={"memory": 38 * GIB})
    found(stage.judge(gpu_memory_held_idle, gpu=1))
    stage.open(gpu_memory_held_idle, "gpu:GPU-1")
    stage.run(10, gpu=BUSY)
    stage.run(120, gpu=QUIET, process={"memory": 38 * GIB})
    one = found(stage.judge(gpu_memory_held_idle, gpu=1))
    assert "began anew 2 min ago" in one.how and "whole" not in one.how


def test_a_notebook_has_an_hour_and_a_busy_holder_is_said_to_work_on_the_cpu() -> None:
    stage = held("python -m ipykernel_launcher", cpu=0.9)
    stage.run(1790, gpu=QUIET, process={"cpu": 0.9})
    assert isinstance(stage.judge(gpu_memory_held_idle, gpu=1), Clear)
    stage.run(20, gpu=QUIET, process={"cpu": 0.9})
    one = found(stage.judge(gpu_memory_held_idle, gpu=1))
    assert "working on the CPU" in one.title and "notebook" in one.try_first[0]


def test_little_memory_servers_and_siblings_at_work_are_others_business() -> None:
    small = held()
    small.run(60, gpu=QUIET, process={"memory": 0.4 * GIB})
    assert isinstance(small.judge(gpu_memory_held_idle, gpu=1), Clear)
    server = held()
    server.job(5, kind="inference", served=True)
    server.run(60, gpu=QUIET, server={5: {"state": ServerState.UP, "running": 0.0}})
    assert isinstance(server.judge(gpu_memory_held_idle, gpu=1), Clear)
    server.run(120, gpu=QUIET, server={5: {"state": ServerState.METRICS_OFF}})
    assert isinstance(server.judge(gpu_memory_held_idle, gpu=1), Finding), "nobody else can tell that no request comes"
    sibling = held()
    sibling.run(900, gpu=QUIET | {"sibling": True})
    assert isinstance(sibling.judge(gpu_memory_held_idle, gpu=1), Clear)


def test_an_unknown_holder_is_called_unknown_and_a_gap_is_not_judged() -> None:
    stage = Stage()
    stage.run(1800, gpu={"utilization": 0.0, "memory_used": 20 * GIB, "context": Context.MEMORY_ONLY})
    one = found(stage.judge(gpu_memory_held_idle, gpu=1))
    assert one.basis == Basis.INFERRED and "not visible" in one.title
    stage.run(10, gpu={"memory_used": 20 * GIB})
    assert isinstance(stage.judge(gpu_memory_held_idle, gpu=1), NotEvaluated)
    stage.run(10, unseen=(1,))
    assert isinstance(stage.judge(gpu_memory_held_idle, gpu=1), NotEvaluated)


# ------------------------------------------------------------------------------------------------------- gpu-zombie-context


def orphaned(seconds: float, memory: float = 5 * GIB) -> Stage:
    stage = Stage(gpus=2)
    stage.process(10, gpus=(2,))
    stage.run(seconds, gpus={1: {"utilization": 0.0, "memory_used": memory, "context": Context.MEMORY_ONLY}, 2: BUSY})
    return stage


def test_memory_of_no_process_is_told_after_ten_minutes() -> None:
    stage = orphaned(590)
    assert not isinstance(stage.judge(gpu_zombie_context, gpu=1), Finding)
    one = found(orphaned(600).judge(gpu_zombie_context, gpu=1))
    assert one.title.startswith("5.0 GiB of GPU 0 are in use, and no visible process")
    assert isinstance(orphaned(600, 2.3 * GIB).judge(gpu_zombie_context, gpu=1), Clear)
    assert isinstance(stage.judge(gpu_zombie_context, gpu=2), Clear | NotEvaluated)


def test_a_stopped_or_hanging_holder_is_told_and_one_at_work_is_not() -> None:
    for state, words in (("T", "is stopped"), ("D", "hangs in the kernel"), ("Z", "has ended")):
        stage = Stage()
        stage.process(10, gpus=(1,), start_ms=START_MS - 900_000)
        stage.run(600, gpu=QUIET, process={"run_state": state})
        assert words in found(stage.judge(gpu_zombie_context, gpu=1)).title
        stage.run(10, gpu=QUIET, process={"run_state": "S"})
        assert isinstance(stage.judge(gpu_zombie_context, gpu=1), Clear)


def test_invisible_processes_and_mps_are_guards() -> None:
    stage = Stage()
    stage.run(600, gpu={"utilization": 0.0, "memory_used": 5 * GIB, "context": Context.MEMORY_ONLY})
    verdict = stage.judge(gpu_zombie_context, gpu=1)
    assert isinstance(verdict, NotEvaluated) and "--pid=host" in verdict.enable
    mps = orphaned(600)
    mps.process(11, command="nvidia-cuda-mps-server")
    mps.run(10, gpus={1: {"utilization": 0.0, "memory_used": 5 * GIB, "context": Context.MEMORY_ONLY}})
    assert isinstance(mps.judge(gpu_zombie_context, gpu=1), Clear)
