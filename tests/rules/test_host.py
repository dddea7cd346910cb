"""B2 to B4: GPUs that wait for one thread, for CPU time, and for storage."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.names import Basis, Cause, Confidence
from gpuwatch.rules.host import host_cpu_starved, single_thread_host_bound, slow_storage_or_swap
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import START_MS, Stage

IDLE_HOST = {"cpu": 0.1, "iowait": 0.0, "io_pressure": 0.0, "steal": 0.0, "load": 6.0, "swap_in": 0.0, "memory_pressure": 0.0}
ONE_THREAD = {"cpu": 1.02, "thread_cpu": 0.99, "read": 1e6, "cpu_throttled": 0.0, "run_state": "R"}


def found(verdict: object) -> Finding:
    assert isinstance(verdict, Finding), verdict
    return verdict


def at(
    busy: float = 0.42, *, host: dict[str, Any] | None = None, age: int = 3600, job: dict[str, Any] | None = None, **process: Any
) -> Stage:
    """One process on one GPU for ten minutes."""
    stage = Stage()
    stage.process(
        4711, gpus=(1,), job=5, command="python train.py", start_ms=START_MS - 1000 * age, container=process.pop("container", "")
    )
    stage.job(5, **({"name": "train"} | (job or {})))
    stage.run(600, gpu={"utilization": busy}, process=ONE_THREAD | process, host=IDLE_HOST | (host or {}))
    return stage


# -------------------------------------------------------------------------------------------------- single-thread-host-bound


def test_one_busy_thread_behind_a_half_busy_gpu_is_told() -> None:
    one = found(at().judge(single_thread_host_bound, job=5))
    assert one.title == "One thread of PID 4711 (python train.py) uses 99% of a core while its GPU is busy 42% of the time."
    assert one.waste_gpus == pytest.approx(0.58) and one.cause == Cause.HOST and one.confidence == Confidence.MEDIUM


@pytest.mark.parametrize(
    ("busy", "said"),
    [
        (0.76, {}),
        (0.09, {}),
        (0.42, {"thread_cpu": 0.93}),
        (0.42, {"cpu": 1.6}),
        (0.42, {"cpu": 0.9, "thread_cpu": None}),
    ],
)
def test_near_its_limits_one_thread_is_nothing_to_tell(busy: float, said: dict[str, Any]) -> None:
    assert isinstance(at(busy, **said).judge(single_thread_host_bound, job=5), Clear)


def test_a_busy_host_and_data_wait_are_others_business() -> None:
    assert isinstance(at(host={"cpu": 0.6}).judge(single_thread_host_bound, job=5), Clear)
    stage = at()
    stage.ranks(5, [4711])
    waits = {4711: {"attached": 10.0, "data": 5.0, "forward": 4.0, "rank_steps": 9.0}}
    stage.run(600, gpu={"utilization": 0.42}, process=ONE_THREAD, host=IDLE_HOST, training=waits)
    assert isinstance(stage.judge(single_thread_host_bound, job=5), Clear)


def test_without_threads_it_is_guessed_or_not_judged() -> None:
    assert found(at(thread_cpu=None).judge(single_thread_host_bound, job=5)).confidence == Confidence.LOW
    assert isinstance(at(thread_cpu=None, cpu=1.3).judge(single_thread_host_bound, job=5), NotEvaluated)
    assert isinstance(at(cpu=None).judge(single_thread_host_bound, job=5), NotEvaluated)
    assert isinstance(at(age=100).judge(single_thread_host_bound, job=5), NotEvaluated)
    assert isinstance(at(host={"cpu": None}).judge(single_thread_host_bound, job=5), NotEvaluated)


# ---------------------------------------------------------------------------------------------------------- host-cpu-starved


@pytest.mark.parametrize(
    ("process", "host", "words"),
    [
        ({"cpu_throttled": 0.3}, {}, "was kept from the CPU by its limit in 30% of the periods"),
        ({}, {"steal": 0.08}, "8% went to other virtual machines"),
        ({}, {"load": 110.0}, "1.7 tasks want each core"),
    ],
)
def test_each_sign_of_too_little_cpu_is_told(process: dict[str, Any], host: dict[str, Any], words: str) -> None:
    one = found(at(host=host, **process).judge(host_cpu_starved, job=5))
    assert words in one.title and one.waste_gpus == pytest.approx(0.58)


def test_a_process_that_wants_no_cpu_does_not_starve_on_a_busy_host() -> None:
    for host in ({"steal": 0.08}, {"load": 110.0}):
        assert isinstance(at(0.0, host=host, cpu=0.01, thread_cpu=0.01).judge(host_cpu_starved, job=5), Clear)


def test_near_the_limits_or_with_busy_gpus_the_cpu_is_enough() -> None:
    assert isinstance(at(cpu_throttled=0.09).judge(host_cpu_starved, job=5), Clear)
    assert isinstance(at(host={"steal": 0.04}).judge(host_cpu_starved, job=5), Clear)
    assert isinstance(at(0.8, host={"load": 110.0}).judge(host_cpu_starved, job=5), Clear)
    assert isinstance(at(0.97, cpu_throttled=0.5).judge(host_cpu_starved, job=5), Clear)


def test_a_vllm_server_with_too_few_cores_is_told_at_once() -> None:
    stage = at(0.5, age=10, job={"kind": "inference", "engine": "vllm"})
    stage.host_facts = type(stage.host_facts)("box", 2, None)
    stage.run(10, gpu={"utilization": 0.5}, process=ONE_THREAD, host=IDLE_HOST)
    one = found(stage.judge(host_cpu_starved, job=5))
    assert "vLLM server on 1 GPU of a host with 2 cores" in one.title
    assert one.waste_gpus is None, "its GPU may wait for requests alone"
    stage.host_facts = type(stage.host_facts)("box", 3, None)
    stage.run(10, gpu={"utilization": 0.5}, process=ONE_THREAD, host=IDLE_HOST)
    assert isinstance(stage.judge(host_cpu_starved, job=5), NotEvaluated)


def test_limits_of_a_container_that_are_not_visible_are_said_to_be() -> None:
    verdict = at(cpu_throttled=None, container="c1").judge(host_cpu_starved, job=5)
    assert isinstance(verdict, NotEvaluated) and verdict.enable == "mount /sys/fs/cgroup read-only"
    assert isinstance(at(cpu_throttled=None).judge(host_cpu_starved, job=5), Clear)
    assert isinstance(at(cpu_throttled=0.3, age=200).judge(host_cpu_starved, job=5), NotEvaluated)


# ------------------------------------------------------------------------------------------------------ slow-storage-or-swap


def test_io_wait_with_reads_of_the_job_is_told() -> None:
    one = found(at(host={"iowait": 0.25}, read=80e6).judge(slow_storage_or_swap, job=5))
    assert (
        one.title == "The GPUs of train are busy 42% of the time while it reads 80 MB/s and the host waits for I/O 25% of the time."
    )
    assert one.cause == Cause.INPUT and one.basis == Basis.INFERRED
    stuck = at(host={"io_pressure": 0.3}, run_state="D")
    assert isinstance(stuck.judge(slow_storage_or_swap, job=5), Finding)
    strict = at(0.05, host={"iowait": 0.55}, read=80e6)
    assert found(strict.judge(slow_storage_or_swap, job=5)).confidence == Confidence.HIGH


def test_io_wait_of_others_small_ones_and_busy_gpus_are_clear() -> None:
    assert isinstance(at(host={"iowait": 0.25}).judge(slow_storage_or_swap, job=5), Clear)
    assert isinstance(at(host={"iowait": 0.18}, read=80e6).judge(slow_storage_or_swap, job=5), Clear)
    assert isinstance(at(0.72, host={"iowait": 0.3}, read=80e6).judge(slow_storage_or_swap, job=5), Clear)


def test_swapping_is_told_without_reads() -> None:
    assert "the host swaps" in found(at(host={"swap_in": 6e6}).judge(slow_storage_or_swap, job=5)).title
    assert isinstance(at(host={"memory_pressure": 0.06}).judge(slow_storage_or_swap, job=5), Finding)
    assert isinstance(at(host={"swap_in": 4e6}).judge(slow_storage_or_swap, job=5), Clear)
    nothing = dict.fromkeys(("iowait", "io_pressure", "swap_in", "memory_pressure"))
    assert isinstance(at(host=nothing).judge(slow_storage_or_swap, job=5), NotEvaluated)
