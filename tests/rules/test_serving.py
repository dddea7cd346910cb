"""Servers: a full KV cache, few requests at once, nobody who asks."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.names import Bucket, Cause, ServerState, Severity
from gpuwatch.rules.looks import JobDay
from gpuwatch.rules.serving import kv_cache_saturated, low_batch_occupancy, replica_no_traffic
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import GIB, START_MS, Stage

UP: dict[str, Any] = {"state": ServerState.UP, "window": 10.0}
ASKED = UP | {"running": 12.0, "waiting": 0.0, "kv_cache": 0.6, "requests": 5.0, "output_tokens": 2000.0, "prompt_tokens": 4000.0}
IDLE = UP | {"running": 0.0, "waiting": 0.0, "kv_cache": 0.0, "requests": 0.0, "output_tokens": 0.0, "prompt_tokens": 0.0}


def served(engine: str = "vllm", gpus: int = 1, **fields: Any) -> Stage:
    """A stage with one server on all its GPUs."""
    overrides = fields.pop("overrides", None)
    stage = Stage(gpus, overrides)
    stage.job(7, "inference", engine=engine, model="llama-8b", served=True, port=8000, **fields)
    stage.process(7, gpus=range(1, gpus + 1), job=7, command="vllm serve llama-8b")
    return stage


# ------------------------------------------------------------------------------------------------------------------- G1


def test_a_full_kv_cache_with_a_queue_is_told_with_the_engines_own_options() -> None:
    stage = served()
    stage.run(300, {"utilization": 0.9}, server={7: ASKED | {"kv_cache": 0.97, "waiting": 6.0}})
    found = stage.judge(kv_cache_saturated, job=7)
    assert isinstance(found, Finding)
    assert (found.severity, found.bucket, found.waste_gpus) == (Severity.WARNING, Bucket.REDONE, None)
    assert found.try_first[1] == "--kv-cache-dtype fp8"
    assert "97% full" in found.title and "6 requests wait" in found.title


def test_preemptions_cost_what_was_computed_twice() -> None:
    stage = served("sglang", gpus=2)
    stage.run(300, {"utilization": 0.8}, server={7: ASKED | {"kv_cache": 0.9, "preemptions": 1.0}})
    found = stage.judge(kv_cache_saturated, job=7)
    assert isinstance(found, Finding)
    # 30 preemptions x 1200 tokens a request of 180,000 tokens, on two GPUs that are 80 % busy
    assert found.waste_gpus == pytest.approx(30 * 1200 / 180_000 * 2 * 0.8)
    assert "--schedule-conservativeness 1.3" in found.try_first


def test_a_full_cache_without_a_queue_and_a_queue_with_room_are_fine() -> None:
    stage = served()
    stage.run(300, {"utilization": 0.9}, server={7: ASKED | {"kv_cache": 0.98}})
    assert isinstance(stage.judge(kv_cache_saturated, job=7), Clear)
    stage = served()
    stage.run(300, {"utilization": 0.9}, server={7: ASKED | {"kv_cache": 0.94, "waiting": 9.0}})
    assert isinstance(stage.judge(kv_cache_saturated, job=7), Clear)
    stage.open(kv_cache_saturated, stage.scene.jobs[7].key)
    assert isinstance(stage.judge(kv_cache_saturated, job=7), Finding), "an open one clears below 85 %"


def test_a_cache_that_the_page_does_not_tell_is_not_judged() -> None:
    stage = served(hint="start it with --metrics")
    stage.run(300, {"utilization": 0.9}, server={7: UP | {"running": 3.0}})
    said = stage.judge(kv_cache_saturated, job=7)
    assert said == NotEvaluated("its page tells neither the KV cache in use nor preemptions", "start it with --metrics")
    stage = served(hint="start it with --metrics")
    stage.run(300, server={7: {"state": ServerState.METRICS_OFF}})
    assert stage.judge(kv_cache_saturated, job=7) == NotEvaluated("its page of metrics is off", "start it with --metrics")


# ------------------------------------------------------------------------------------------------------------------- G4

FEW = ASKED | {"running": 1.5, "output_tokens": 500.0}


def test_few_requests_at_once_are_told_and_measured_by_the_best_hour() -> None:
    stage = served("triton", gpus=2)
    stage.job_days[7] = JobDay(24, best_hour_tokens=6_480_000)
    stage.run(3600, {"utilization": 0.6, "dram": 0.2}, server={7: FEW})
    found = stage.judge(low_batch_occupancy, job=7)
    assert isinstance(found, Finding)
    assert (found.severity, found.bucket, found.cause) == (Severity.NOTICE, Bucket.WAIT, Cause.DEMAND)
    assert found.waste_gpus == pytest.approx(2 * (1 - 1_620_000 / 6_480_000))
    assert found.try_first[0] == "dynamic_batching { }"


def test_without_a_best_hour_few_requests_have_no_amount() -> None:
    stage = served()
    stage.run(3600, {"utilization": 0.6, "power_fraction": 0.3}, server={7: FEW})
    found = stage.judge(low_batch_occupancy, job=7)
    assert isinstance(found, Finding) and found.waste_gpus is None and found.gain.startswith("up to")


@pytest.mark.parametrize(
    ("server", "gpu"),
    [
        (FEW | {"running": 4.1}, {"dram": 0.2}),
        (FEW | {"waiting": 2.0}, {"dram": 0.2}),
        (FEW, {"dram": 0.7, "power_fraction": 0.7}),
        (IDLE, {"dram": 0.0}),
    ],
)
def test_enough_requests_a_queue_a_full_gpu_and_no_demand_are_other_things(server: dict[str, Any], gpu: dict[str, Any]) -> None:
    stage = served()
    stage.run(3600, {"utilization": 0.6} | gpu, server={7: server})
    assert isinstance(stage.judge(low_batch_occupancy, job=7), Clear)


def test_a_careful_scheduler_is_told_by_its_queue() -> None:
    stage = served("sglang", max_running_requests=256)
    stage.run(3600, {"utilization": 0.9, "dram": 0.7}, server={7: ASKED | {"running": 60.0, "waiting": 150.0}})
    found = stage.judge(low_batch_occupancy, job=7)
    assert isinstance(found, Finding)
    assert found.try_first == ("--schedule-conservativeness 0.3",) and "of 256 places" in found.title


def test_few_requests_need_to_know_how_full_the_gpu_is() -> None:
    stage = served()
    stage.run(3600, {"utilization": 0.6}, server={7: FEW})
    assert isinstance(stage.judge(low_batch_occupancy, job=7), NotEvaluated)


# ------------------------------------------------------------------------------------------------------------------- G9


def test_a_server_that_nobody_asks_is_told_with_the_whole_time_since_the_last_request() -> None:
    stage = served(gpus=2)
    stage.run(600, {"utilization": 0.7}, server={7: ASKED})
    stage.run(2400, {"utilization": 0.0}, process={"memory": 70 * GIB}, server={7: IDLE})
    found = stage.judge(replica_no_traffic, job=7)
    assert isinstance(found, Finding)
    assert (found.severity, found.waste_gpus, found.bucket) == (Severity.NOTICE, 2.0, Bucket.HELD_IDLE)
    assert found.since_ms == START_MS + 600_000 and found.cost_gpu_seconds == 4800.0
    assert "no request for 40 min" in found.title and found.evidence[2].measured == "140 GiB"
    assert "localhost:8000/sleep?level=1" in found.try_first[0]


def test_after_two_hours_it_is_a_warning() -> None:
    stage = served()
    stage.run(7300, {"utilization": 0.0}, server={7: IDLE})
    found = stage.judge(replica_no_traffic, job=7)
    assert isinstance(found, Finding) and found.severity is Severity.WARNING
    assert "at least 2 h" in found.title


def test_one_request_in_half_an_hour_is_traffic() -> None:
    stage = served()
    stage.run(1750, {"utilization": 0.0}, server={7: IDLE})
    stage.run(10, {"utilization": 0.2}, server={7: ASKED})
    stage.run(40, {"utilization": 0.0}, server={7: IDLE})
    assert isinstance(stage.judge(replica_no_traffic, job=7), Clear)


def test_the_window_can_be_a_minute_and_a_server_on_the_cpu_has_no_amount() -> None:
    stage = served("llama.cpp", gpus=0, overrides={"replica-no-traffic.quiet_seconds": 60})
    stage.run(60, server={7: UP | {"running": 0.0, "output_tokens": 0.0}})
    found = stage.judge(replica_no_traffic, job=7)
    assert isinstance(found, Finding)
    assert found.waste_gpus is None and "loaded on the CPU" in found.title
    stage.run(10, server={7: UP | {"running": 1.0, "output_tokens": 12.0}})
    assert isinstance(stage.judge(replica_no_traffic, job=7), Clear)


def test_a_gpu_that_others_hold_too_is_not_wasted_by_it() -> None:
    stage = served(gpus=2)
    stage.process(8, gpus=(2,), job=9)
    stage.run(1800, {"utilization": 0.5}, server={7: IDLE})
    found = stage.judge(replica_no_traffic, job=7)
    assert isinstance(found, Finding) and found.waste_gpus == 1.0


def test_a_day_with_hardly_a_token_is_told_too() -> None:
    stage = served()
    stage.job_days[7] = JobDay(24, tokens=10_000, best_hour_tokens=1_000_000)
    stage.run(1800, {"utilization": 0.1}, server={7: ASKED})
    found = stage.judge(replica_no_traffic, job=7)
    assert isinstance(found, Finding) and found.severity is Severity.NOTICE
    stage.job_days[7] = JobDay(24, tokens=500_000, best_hour_tokens=1_000_000)
    assert isinstance(stage.judge(replica_no_traffic, job=7), Clear)


def test_a_server_that_tells_nothing_is_not_called_idle() -> None:
    stage = served()
    stage.run(1800, {"utilization": 0.0}, server={7: UP | {"kv_cache": 0.0}})
    assert isinstance(stage.judge(replica_no_traffic, job=7), NotEvaluated)
    stage = served()
    stage.run(1800, {"utilization": 0.0})
    assert isinstance(stage.judge(replica_no_traffic, job=7), NotEvaluated)
    stage = Stage()
    stage.job(5, "training")
    stage.process(5, gpus=(1,), job=5)
    stage.run(1800, {"utilization": 0.0})
    assert isinstance(stage.judge(replica_no_traffic, job=5), Clear)
