"""TensorRT-LLM's ``trtllm-serve``. Its ``/metrics`` is JSON that a reader drains, so only ``/prometheus/metrics`` is ever asked."""

from __future__ import annotations

from functools import partial

from gpuwatch.collectors.inference.engine import Engine, Fact, Source
from gpuwatch.names import Latency, Quality

READ = partial(Source, evidence="source")
AT_END = partial(Source, quality=Quality.AT_END, evidence="source")
_PROMPT, _CACHED = AT_END("trtllm_prompt_tokens_total"), AT_END("trtllm_prompt_cached_tokens_total")


def _finished(reason: str) -> tuple[Source, ...]:
    return (READ("trtllm_request_success_total", labels={"finished_reason": reason}),)


FIELDS: dict[str, tuple[Source, ...]] = {
    "output_tokens_total": (AT_END("trtllm_generation_tokens_total"),),
    "prompt_tokens_total": (_PROMPT,),
    "prefill_tokens_total": (AT_END("trtllm_prompt_tokens_total", minus=(_CACHED,)),),
    "cached_tokens_total": (_CACHED,),
    "prefix_query_tokens_total": (AT_END("trtllm_prompt_tokens_total", beside=(_CACHED.family,)),),
    "prefix_hit_tokens_total": (_CACHED,),
    "requests_total": (
        READ("trtllm_request_success_total", plus=(READ("trtllm_request_error_total"),)),
        READ("trtllm_request_success_total"),
    ),
    "finished_stop_total": _finished("stop"),
    "finished_length_total": _finished("length"),
    "finished_aborted_total": _finished("cancelled"),
    "finished_error_total": (READ("trtllm_request_error_total"),),
    "running_requests": (READ("trtllm_num_requests_running"),),
    "waiting_requests": (READ("trtllm_num_requests_waiting"),),
    "kv_cache_ratio": (READ("trtllm_kv_cache_utilization", how="mean"),),
    "kv_cache_fullest_ratio": (READ("trtllm_kv_cache_utilization", how="max"),),
    "draft_tokens_total": (AT_END("trtllm_spec_decode_num_draft_tokens_total"),),
    "accepted_tokens_total": (AT_END("trtllm_spec_decode_num_accepted_tokens_total"),),
}
LATENCIES: dict[Latency, tuple[Source, ...]] = {
    Latency.TTFT: (READ("trtllm_time_to_first_token_seconds"),),
    Latency.ITL: (READ("trtllm_time_per_output_token_seconds", quality=Quality.ESTIMATED),),
    Latency.E2E: (READ("trtllm_e2e_request_latency_seconds"),),
    Latency.QUEUE: (READ("trtllm_request_queue_time_seconds"),),
}
MARKS = ("trtllm_request_success_total", "trtllm_num_requests_running", "trtllm_e2e_request_latency_seconds")

TRTLLM = Engine(
    name="trt-llm",
    title="TensorRT-LLM",
    default_port=8000,
    paths=("/prometheus/metrics",),
    prefixes=("trtllm_", "process_start_time_seconds"),
    marks=MARKS,
    fields=FIELDS,
    latencies=LATENCIES,
    facts={
        "served_model": (
            Fact("trtllm_generation_tokens_total", label="model_name"),
            Fact("trtllm_model_config_info", label="model"),
        ),
        "max_running_requests": (Fact("trtllm_max_num_active_requests"),),
        "kv_cache_tokens": (Fact("trtllm_kv_cache_max_blocks", times=("trtllm_kv_cache_tokens_per_block",)),),
    },
    once={"/version": {"engine_version": "version"}},
    late=True,
    metrics_off=(
        "put return_perf_metrics: true and enable_iter_perf_stats: true into the YAML file of trtllm-serve's --config "
        "(--extra_llm_api_options)"
    ),
    reader="gpuwatch.collectors.inference.engines.once:OnceReader",
    notes=(
        "Only `/prometheus/metrics` is asked: `/metrics` and `/perf_metrics` are emptied by whoever reads them. Tokens are counted when a "
        "request ends, and the gauges of requests and KV (with enable_iter_perf_stats) are those of the last request's end; with attention "
        "data parallelism, of the rank that told last. Time between tokens is one mean a request. Versions before 2026 had names without "
        "the prefix and are not read."
    ),
)
