"""Which numbers an engine tells, how they are counted and where they come from: as the tables of the real engines say."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass
from gpuwatch.model import FieldSource
from gpuwatch.names import WAITS, Latency, Quality


@dataclass(frozen=True, slots=True)
class Told:
    """One engine: its fields, the latencies it has histograms of, the flag that turns its page on, and what a look at it takes."""

    fields: tuple[FieldSource, ...]
    latencies: frozenset[Latency]
    metrics_off: str
    scrape_seconds: float
    page_bytes: int


def _fields(prefix: str, quality: Quality, families: Mapping[str, str]) -> tuple[FieldSource, ...]:
    return tuple(FieldSource(name, quality, prefix + family) for name, family in families.items())


_VLLM = _fields(
    "vllm:",
    Quality.EXACT,
    {
        "output_tokens_total": "generation_tokens_total",
        "prompt_tokens_total": "prompt_tokens_total",
        "prefill_tokens_total": 'prompt_tokens_by_source_total{source="local_compute"}',
        "cached_tokens_total": "prompt_tokens_cached_total",
        "prefix_query_tokens_total": "prefix_cache_queries_total",
        "prefix_hit_tokens_total": "prefix_cache_hits_total",
        "requests_total": "request_success_total",
        "finished_stop_total": 'request_success_total{finished_reason="stop"}',
        "finished_length_total": 'request_success_total{finished_reason="length"}',
        "finished_aborted_total": 'request_success_total{finished_reason="abort"}',
        "finished_error_total": 'request_success_total{finished_reason="error"}',
        "preemptions_total": "num_preemptions_total",
        "running_requests": "num_requests_running",
        "waiting_requests": "num_requests_waiting",
        "kv_cache_ratio": "kv_cache_usage_perc",
        "kv_cache_fullest_ratio": "kv_cache_usage_perc",
        "drafts_total": "spec_decode_num_drafts_total",
        "draft_tokens_total": "spec_decode_num_draft_tokens_total",
        "accepted_tokens_total": "spec_decode_num_accepted_tokens_total",
        "ttft": "time_to_first_token_seconds",
        "itl": "inter_token_latency_seconds",
        "e2e": "e2e_request_latency_seconds",
        "queue": "request_queue_time_seconds",
    },
)
_LLAMA_CPP = (
    *_fields(
        "",
        Quality.ESTIMATED,
        {
            "output_tokens_total": "/slots next_token.n_decoded, corrected by llamacpp:tokens_predicted_total",
            "prefill_tokens_total": "/slots n_prompt_tokens_processed, corrected by llamacpp:prompt_tokens_total",
            "cached_tokens_total": "/slots n_prompt_tokens_cache, corrected by llamacpp:prompt_tokens_cached_total",
            "prompt_tokens_total": "prompt tokens computed + taken from the cache",
            "prefix_query_tokens_total": "prompt tokens computed + taken from the cache",
            "prefix_hit_tokens_total": "as cached tokens",
            "itl_count_total": "llamacpp:tokens_predicted_total",
            "itl_sum_seconds": "llamacpp:tokens_predicted_seconds_total",
            "kv_cache_ratio": "/slots n_prompt_tokens of busy slots / n_ctx",
            "kv_cache_fullest_ratio": "/slots n_prompt_tokens of busy slots / n_ctx",
        },
    ),
    *_fields(
        "",
        Quality.EXACT,
        {"running_requests": "/slots is_processing", "waiting_requests": "llamacpp:requests_deferred, 0 while a slot is free"},
    ),
)
_SGLANG = (
    *_fields(
        "sglang:",
        Quality.ESTIMATED,
        {"output_tokens_total": 'realtime_tokens_total{mode="decode"} + sglang:time_to_first_token_seconds_count'},
    ),
    *_fields("sglang:", Quality.AT_END, {"prompt_tokens_total": "prompt_tokens_total"}),
    *_fields(
        "sglang:",
        Quality.EXACT,
        {
            "prefill_tokens_total": 'realtime_tokens_total{mode="prefill_compute"}',
            "cached_tokens_total": 'realtime_tokens_total{mode="prefill_cache"}',
            "prefix_query_tokens_total": "prefill_effective_tokens_total",
            "prefix_hit_tokens_total": 'prefill_effective_tokens_total{mode="device_hit|host_hit|storage_hit"}',
            "requests_total": "num_requests_total",
            "finished_aborted_total": "num_aborted_requests_total",
            "preemptions_total": "num_retracted_requests_total",
            "running_requests": 'num_running_reqs{priority=""}',
            "waiting_requests": 'num_queue_reqs{priority=""} + sglang:num_grammar_queue_reqs{priority=""}',
            "kv_cache_ratio": 'token_usage{priority=""}',
            "kv_cache_fullest_ratio": 'token_usage{priority=""}',
            "ttft": "time_to_first_token_seconds",
            "itl": "inter_token_latency_seconds",
            "e2e": "e2e_request_latency_seconds",
            "queue": "queue_time_seconds",
        },
    ),
)
TOLD = {
    "vllm": Told(_VLLM, frozenset(WAITS), "start vLLM without --disable-log-stats", 0.014, 53_120),
    "llama.cpp": Told(
        _LLAMA_CPP, frozenset(), "start llama-server with --metrics (or set LLAMA_ARG_ENDPOINT_METRICS=1)", 0.003, 1_940
    ),
    "sglang": Told(_SGLANG, frozenset(WAITS), "start SGLang with --enable-metrics", 0.011, 41_300),
}
"""The engines that a scenario can have, by the word that the process collector uses."""
