"""Servers: waiting times, drafts, caches that are too large or not used, precision, splits; and the options that advice names."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gpuwatch.names import Basis, Bucket, Latency, ServerState, Severity
from gpuwatch.rules import serving
from gpuwatch.rules.looks import JobDay, JobFacts
from gpuwatch.rules.serving import (
    kv_cache_over_provisioned,
    latency_slo_miss,
    low_prefix_cache_hit,
    prefill_decode_interference,
    quantisation_opportunity,
    spec_decode_unprofitable,
    speculation_opportunity,
    tensor_parallel_too_wide,
)
from gpuwatch.rules.serving.flags import FLAGS
from gpuwatch.rules.serving.models import parameters, tensor_parallel, weight_bytes
from gpuwatch.rules.serving.waiting import percentile
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import Stage

UP: dict[str, Any] = {"state": ServerState.UP, "window": 10.0}
ASKED = UP | {"running": 12.0, "waiting": 0.0, "kv_cache": 0.6, "requests": 5.0, "output_tokens": 2000.0, "prompt_tokens": 4000.0}


def served(engine: str = "vllm", gpus: int = 1, command: str = "vllm serve llama-8b", **fields: Any) -> Stage:
    """A stage with one server on all its GPUs."""
    stage = Stage(gpus)
    known = {"model": "llama-8b", "served": True, "port": 8000, "command": command} | fields
    stage.job(7, "inference", engine=engine, **known)
    stage.process(7, gpus=range(1, gpus + 1), job=7, command=command)
    return stage


# ------------------------------------------------------------------------------------------------------------------- G7


def test_drafts_that_are_mostly_rejected_cost_what_was_verified_for_nothing() -> None:
    stage = served(gpus=2)
    stage.run(900, {"utilization": 0.9}, server={7: ASKED | {"drafts": 200.0, "draft_tokens": 600.0, "accepted_tokens": 240.0}})
    found = stage.judge(spec_decode_unprofitable, job=7)
    assert isinstance(found, Finding)
    assert (found.severity, found.basis, found.bucket) == (Severity.WARNING, Basis.MEASURED, Bucket.REDONE)
    assert found.measured == pytest.approx(0.6)
    assert found.waste_gpus == pytest.approx(0.6 * 600 / 800 * 0.9 * 2)


@pytest.mark.parametrize(
    ("server", "fires"),
    [
        ({"drafts": 200.0, "draft_tokens": 600.0, "accepted_tokens": 312.0}, False),
        ({"drafts": 100.0, "draft_tokens": 300.0, "accepted_tokens": 90.0}, False),
        ({"drafts": 100.0, "draft_tokens": 100.0, "accepted_tokens": 75.0, "running": 70.0}, True),
        ({"drafts": 100.0, "draft_tokens": 100.0, "accepted_tokens": 85.0, "running": 200.0}, False),
        ({"drafts": 0.0, "draft_tokens": 0.0, "accepted_tokens": 0.0}, False),
        ({}, False),
    ],
)
def test_drafts_near_the_limits(server: dict[str, float], fires: bool) -> None:
    stage = served()
    stage.run(900, {"utilization": 0.9}, server={7: ASKED | server})
    assert isinstance(stage.judge(spec_decode_unprofitable, job=7), Finding if fires else Clear)


# ------------------------------------------------------------------------------------------------------------------- G5

FAST = {Latency.TTFT: {(0.0, 0.5): 90, (0.5, 1.0): 10}, Latency.ITL: {(0.0, 0.05): 500}}
SLOW = {Latency.TTFT: {(0.0, 0.5): 50, (2.5, 5.0): 50}, Latency.ITL: {(0.0, 0.05): 500}}


def test_answers_that_come_late_in_three_windows_of_five_are_told_with_the_bounds_of_the_bucket() -> None:
    stage = served()
    for latency in (SLOW, FAST, SLOW, FAST, SLOW):
        stage.run(
            300,
            server={
                7: ASKED | {"latency": latency, "queue_sum": 4.0, "queue_count": 100.0, "ttft_sum": 100.0, "ttft_count": 100.0}
            },
        )
    found = stage.judge(latency_slo_miss, job=7)
    assert isinstance(found, Finding)
    assert found.waste_gpus is None and found.severity is Severity.WARNING
    assert "(2.5 to 5 s)" in found.evidence[0].measured and found.evidence[1].measured == "3 of 5"
    assert found.try_first[0] == "--max-num-batched-tokens 8192", "prefill takes the time, not the queue"


def test_two_late_windows_are_not_enough_and_few_requests_are_not_judged() -> None:
    stage = served()
    for latency in (SLOW, FAST, SLOW, FAST, FAST):
        stage.run(300, server={7: ASKED | {"latency": latency}})
    assert isinstance(stage.judge(latency_slo_miss, job=7), Clear)
    stage = served()
    stage.run(1500, server={7: ASKED | {"latency": {Latency.TTFT: {(2.5, 5.0): 1}}}})
    assert isinstance(stage.judge(latency_slo_miss, job=7), NotEvaluated)


def test_a_percentile_is_linear_in_its_bucket() -> None:
    found = percentile({(0.0, 1.0): 50, (1.0, 2.0): 50}, 0.75)
    assert found is not None and (found.value, found.lower, found.upper) == (1.5, 1.0, 2.0)
    above = percentile({(2.0, float("inf")): 3}, 0.95)
    assert above is not None and above.words == "2 s (2 to more)"
    assert percentile({}, 0.5) is None


# ------------------------------------------------------------------------------------------------------------------- G6


def _stutter(n: int) -> dict[str, Any]:
    heavy = n % 4 == 0
    latency = {Latency.ITL: {(0.0, 0.05): 90, (0.25, 0.5): 10 if heavy else 0}}
    return ASKED | {
        "prefill_tokens": 20_000.0 if heavy else 500.0,
        "itl_sum": 8.0 if heavy else 2.5,
        "itl_count": 100.0,
        "latency": latency,
    }


def test_prompts_that_hold_up_answers_are_told_by_their_correlation() -> None:
    stage = served()
    stage.run(1800, server={7: _stutter})
    found = stage.judge(prefill_decode_interference, job=7)
    assert isinstance(found, Finding)
    assert found.evidence[2].measured == "1.00" and found.try_first == ("--max-num-batched-tokens 2048",)


def test_stutter_without_prompts_and_steady_answers_are_fine() -> None:
    stage = served()
    stage.run(1800, server={7: lambda n: _stutter(n) | {"prefill_tokens": float(n % 7)}})
    assert isinstance(stage.judge(prefill_decode_interference, job=7), Clear)
    stage = served()
    stage.run(1800, server={7: ASKED | {"latency": {Latency.ITL: {(0.0, 0.05): 100}}}})
    assert isinstance(stage.judge(prefill_decode_interference, job=7), Clear)
    stage = served()
    stage.run(1800, server={7: ASKED})
    assert isinstance(stage.judge(prefill_decode_interference, job=7), NotEvaluated)


# --------------------------------------------------------------------------------------------------------------- G2, G3


def test_a_cache_that_was_never_a_third_full_in_a_day_is_told() -> None:
    stage = served(kv_cache_tokens=100_000)
    stage.job_days[7] = JobDay(24, kv_cache_peak=0.2, waiting_peak=0, requests=5000)
    stage.run(60, server={7: ASKED})
    found = stage.judge(kv_cache_over_provisioned, job=7)
    assert isinstance(found, Finding) and "room for 60,000 tokens more" in found.title


@pytest.mark.parametrize(
    ("day", "said"),
    [
        (JobDay(24, kv_cache_peak=0.31, waiting_peak=0, requests=5000), Clear),
        (JobDay(24, kv_cache_peak=0.2, waiting_peak=3, requests=5000), Clear),
        (JobDay(24, kv_cache_peak=0.0, waiting_peak=0, requests=0), Clear),
        (JobDay(10, kv_cache_peak=0.2, waiting_peak=0, requests=5000), NotEvaluated),
        (JobDay(24, requests=5000), NotEvaluated),
        (JobDay(24, kv_cache_peak=0.2, requests=5000), NotEvaluated),
    ],
)
def test_a_cache_that_is_used_or_not_known_is_not(day: JobDay, said: type) -> None:
    stage = served()
    stage.job_days[7] = day
    stage.run(60, server={7: ASKED})
    assert isinstance(stage.judge(kv_cache_over_provisioned, job=7), said)


PROMPTS = ASKED | {"requests": 4.0, "prompt_tokens": 4000.0, "prefix_queries": 4000.0}


def test_few_hits_are_info_only_and_a_cache_that_is_off_is_a_notice() -> None:
    stage = served()
    stage.run(3600, server={7: PROMPTS | {"prefix_hits": 400.0}})
    found = stage.judge(low_prefix_cache_hit, job=7)
    assert isinstance(found, Finding) and found.severity is Severity.INFO and "10%" in found.title
    stage = served(command="vllm serve llama-8b --no-enable-prefix-caching")
    stage.run(3600, server={7: PROMPTS | {"prefix_queries": None}})
    found = stage.judge(low_prefix_cache_hit, job=7)
    assert isinstance(found, Finding) and found.severity is Severity.NOTICE and found.try_first[0] == "--enable-prefix-caching"


def test_hits_short_prompts_and_few_requests_are_fine_and_silence_is_said() -> None:
    for server in (
        {"prefix_hits": 900.0},
        {"prefix_hits": 100.0, "prompt_tokens": 1000.0},
        {"prefix_hits": 100.0, "requests": 2.0},
    ):
        stage = served()
        stage.run(3600, server={7: PROMPTS | server})
        assert isinstance(stage.judge(low_prefix_cache_hit, job=7), Clear)
    stage = served()
    stage.run(3600, server={7: PROMPTS | {"prefix_queries": None}})
    assert isinstance(stage.judge(low_prefix_cache_hit, job=7), NotEvaluated)


# ---------------------------------------------------------------------------------------------------------- G8, G10, G11


def test_sixteen_bit_weights_that_wait_for_memory_are_an_opportunity() -> None:
    stage = served()
    stage.run(3600, {"utilization": 0.9, "dram": 0.6, "tensor": 0.1}, server={7: ASKED})
    found = stage.judge(quantisation_opportunity, job=7)
    assert isinstance(found, Finding) and found.severity is Severity.INFO and found.waste_gpus is None
    stage = served()
    stage.run(3600, {"utilization": 0.9}, server={7: ASKED | {"prefill_tokens": 500.0}})
    assert isinstance(stage.judge(quantisation_opportunity, job=7), Finding), "by tokens where GPM is not there"


@pytest.mark.parametrize(
    ("change", "gpu", "said"),
    [
        ({"command": "vllm serve llama-8b --quantization fp8"}, {"dram": 0.6, "tensor": 0.1}, Clear),
        ({"model": "llama-8b-awq"}, {"dram": 0.6, "tensor": 0.1}, Clear),
        ({"engine": "llama.cpp"}, {"dram": 0.6, "tensor": 0.1}, Clear),
        ({}, {"dram": 0.45, "tensor": 0.1}, Clear),
        ({}, {"dram": 0.6, "tensor": 0.35}, Clear),
        ({}, {}, NotEvaluated),
    ],
)
def test_fewer_bits_other_engines_and_full_tensor_cores_are_none(change: dict[str, str], gpu: dict[str, float], said: type) -> None:
    stage = served(**change)
    stage.run(3600, {"utilization": 0.9} | gpu, server={7: ASKED})
    assert isinstance(stage.judge(quantisation_opportunity, job=7), said)


def test_a_split_of_a_model_that_fits_on_one_gpu_is_told() -> None:
    stage = served(gpus=4, command="vllm serve llama-8b --tensor-parallel-size 4")
    stage.job_days[7] = JobDay(24, kv_cache_peak=0.3)
    stage.run(3600, {"utilization": 0.9}, server={7: ASKED})
    found = stage.judge(tensor_parallel_too_wide, job=7)
    assert isinstance(found, Finding)
    assert found.try_first[0] == "--tensor-parallel-size 1 --data-parallel-size 4" and "15 GiB" in found.title


@pytest.mark.parametrize(
    ("change", "server", "peak", "said"),
    [
        ({"command": "vllm serve llama-8b"}, {}, 0.3, Clear),
        ({"model": "llama-70b"}, {}, 0.3, Clear),
        ({}, {"running": 7.0}, 0.3, Clear),
        ({}, {}, 0.8, Clear),
        ({"model": "my-model", "command": "vllm serve mine --tensor-parallel-size 4"}, {}, 0.3, NotEvaluated),
        ({}, {}, None, NotEvaluated),
    ],
)
def test_splits_that_are_needed_or_not_known(
    change: dict[str, str], server: dict[str, float], peak: float | None, said: type
) -> None:
    stage = served(gpus=4, **({"command": "vllm serve llama-8b --tensor-parallel-size 4"} | change))
    stage.job_days[7] = JobDay(24, kv_cache_peak=peak)
    stage.run(3600, {"utilization": 0.9}, server={7: ASKED | server})
    assert isinstance(stage.judge(tensor_parallel_too_wide, job=7), said)


SINGLE = ASKED | {"running": 1.5, "itl_sum": 6.0, "itl_count": 100.0}


@pytest.mark.parametrize(
    ("server", "gpu", "said"),
    [
        (SINGLE, {"dram": 0.6, "tensor": 0.05}, Finding),
        (SINGLE | {"running": 5.0}, {"dram": 0.6, "tensor": 0.05}, Clear),
        (SINGLE | {"itl_sum": 3.0}, {"dram": 0.6, "tensor": 0.05}, Clear),
        (SINGLE | {"draft_tokens": 5.0}, {"dram": 0.6, "tensor": 0.05}, Clear),
        (SINGLE, {"dram": 0.4, "tensor": 0.05}, Clear),
        (SINGLE, {}, NotEvaluated),
    ],
)
def test_single_answers_that_could_be_drafted_ahead(server: dict[str, float], gpu: dict[str, float], said: type) -> None:
    stage = served()
    stage.run(3600, {"utilization": 0.9} | gpu, server={7: server})
    assert isinstance(stage.judge(speculation_opportunity, job=7), said)


def test_drafts_that_a_page_does_not_count_are_seen_on_the_command_line() -> None:
    for command, said in (("text-generation-launcher --speculate 2", Clear), ("text-generation-launcher", Finding)):
        stage = served(command=command)
        stage.run(3600, {"utilization": 0.9, "dram": 0.6, "tensor": 0.05}, server={7: SINGLE | {"draft_tokens": None}})
        found = stage.judge(speculation_opportunity, job=7)
        assert isinstance(found, said)
        assert not isinstance(found, Finding) or "no option of it asks for drafts" in found.title


# ----------------------------------------------------------------------------------------------------------- names, options


@pytest.mark.parametrize(
    ("model", "billions", "width"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8, 2),
        ("mixtral-8x7B-v0.1", 56, 2),
        ("Qwen3-30B-A3B-FP8", 30, 1),
        ("TheBloke/llama-2-13b-AWQ", 13, 0.5),
        ("qwen2.5:0.5b-q4_K_M", 0.5, 0.5),
        ("gpt-j", None, 2),
        ("openai/gpt-oss-20b", 20, 0.5),
        ("deepseek-ai/DeepSeek-V3.1", None, 1),
        ("unsloth/DeepSeek-V3-bf16", None, 2),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", 8, 2),
    ],
)
def test_what_a_models_name_tells(model: str, billions: float | None, width: float) -> None:
    facts = JobFacts(1, "inference", model=model)
    assert parameters(facts) == (None if billions is None else billions * 1e9)
    assert weight_bytes(facts) == width


def test_how_wide_a_command_line_splits() -> None:
    assert tensor_parallel("vllm serve m -tp 4") == 4
    assert tensor_parallel("python -m sglang.launch_server --tp=8") == 8
    assert tensor_parallel("vllm serve m --tensor-parallel-size auto") == 1


def test_every_option_that_advice_names_was_checked() -> None:
    known = {flag.name for flag in FLAGS}
    tables = [value for rule in serving.RULES for name, value in rule.check.__globals__.items() if re.fullmatch("_[A-Z]+", name)]
    lines = [
        line
        for table in tables
        if isinstance(table, dict)
        for advice in table.values()
        if isinstance(advice, tuple)
        for line in advice
    ]
    lines += [line for table in tables if isinstance(table, tuple) for line in table if isinstance(line, str)]
    named = {word for line in lines for word in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+|OLLAMA_[A-Z_]+|VLLM_[A-Z_]+", line)}
    assert len(named) > 25
    assert named - known <= {"--speculative"}, "a prefix of several options"
