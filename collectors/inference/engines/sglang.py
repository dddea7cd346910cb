"""SGLang: its page of metrics, and ``/v1/loads`` where that page is off (see ``sglang_reader``).

Names as in 0.5, from its source, and the page without rank labels that its documentation showed in early 2025. The token counters of
the page move when a request ends; those of the moment are ``realtime_tokens_total``. (The count of the times between tokens is none:
of a request that is not streamed all tokens up to the first that is handed on, dozens of them or all, count as one.)
"""

from __future__ import annotations

from functools import partial

from gpuwatch.collectors.inference.engine import Engine, Fact, Source
from gpuwatch.names import Latency, Quality

METRICS, LOADS = "/metrics", "/v1/loads?include=core"
_RANKS = ("pp_rank", "tp_rank", "moe_ep_rank")
"""With --enable-metrics-for-all-schedulers each rank tells of the same tokens; data-parallel ranks (``dp_rank``) have their own."""
READ, CAPTURED = partial(Source, evidence="source"), partial(Source, evidence="captured")
RANKED = partial(Source, lowest=_RANKS, evidence="source")
GAUGE = partial(Source, lowest=_RANKS, labels={"priority": ""}, evidence="captured")
"""With priorities there is a series for each, and the total under an empty one."""
_FIRST_TOKENS = READ("sglang:time_to_first_token_seconds", part="count")
_PROMPT = CAPTURED("sglang:prompt_tokens_total", quality=Quality.AT_END)
_CACHED = READ("sglang:cached_tokens_total", quality=Quality.AT_END)
_LOOKED_UP = RANKED("sglang:prefill_effective_tokens_total")

FIELDS: dict[str, tuple[Source, ...]] = {
    "output_tokens_total": (
        RANKED("sglang:realtime_tokens_total", labels={"mode": "decode"}, plus=(_FIRST_TOKENS,), quality=Quality.ESTIMATED),
        CAPTURED("sglang:generation_tokens_total", quality=Quality.AT_END),
    ),
    "prompt_tokens_total": (_PROMPT,),
    "prefill_tokens_total": (
        RANKED("sglang:realtime_tokens_total", labels={"mode": "prefill_compute"}),
        READ("sglang:uncached_prompt_tokens_histogram", part="sum", quality=Quality.AT_END),
        READ("sglang:prompt_tokens_total", minus=(_CACHED,), quality=Quality.AT_END),
    ),
    "cached_tokens_total": (RANKED("sglang:realtime_tokens_total", labels={"mode": "prefill_cache"}), _CACHED),
    "prefix_query_tokens_total": (_LOOKED_UP, READ("sglang:prompt_tokens_total", beside=(_CACHED.family,), quality=Quality.AT_END)),
    "prefix_hit_tokens_total": (
        RANKED("sglang:prefill_effective_tokens_total", labels={"mode": "device_hit|host_hit|storage_hit"}),
        _CACHED,
    ),
    "requests_total": (READ("sglang:num_requests_total"),),
    "finished_aborted_total": (READ("sglang:num_aborted_requests_total"),),
    "preemptions_total": (RANKED("sglang:num_retracted_requests_total"),),
    "running_requests": (GAUGE("sglang:num_running_reqs"),),
    "waiting_requests": (
        GAUGE("sglang:num_queue_reqs", plus=(GAUGE("sglang:num_grammar_queue_reqs", evidence="source"),), evidence="source"),
        GAUGE("sglang:num_queue_reqs"),
    ),
    "kv_cache_ratio": (GAUGE("sglang:token_usage", how="mean"),),
    "kv_cache_fullest_ratio": (GAUGE("sglang:token_usage", how="max"),),
    "drafts_total": (READ("sglang:spec_verify_calls_total", quality=Quality.AT_END),),
    "flops_total": (RANKED("sglang:estimated_flops_per_gpu_total", how="mean", moves=True),),
}
LATENCIES: dict[Latency, tuple[Source, ...]] = {
    Latency.TTFT: (CAPTURED("sglang:time_to_first_token_seconds"),),
    Latency.ITL: (
        READ("sglang:inter_token_latency_seconds"),
        CAPTURED("sglang:time_per_output_token_seconds", quality=Quality.ESTIMATED),
    ),
    Latency.E2E: (CAPTURED("sglang:e2e_request_latency_seconds"),),
    Latency.QUEUE: (RANKED("sglang:queue_time_seconds"),),
}
MARKS = ("sglang:num_running_reqs", "sglang:generation_tokens_total")

SGLANG = Engine(
    name="sglang",
    title="SGLang",
    default_port=30000,
    paths=(METRICS, LOADS),
    prefixes=("sglang:",),
    marks=MARKS,
    fields=FIELDS,
    latencies=LATENCIES,
    facts={
        "served_model": (Fact("sglang:num_running_reqs", label="model_name", evidence="captured"),),
        "max_model_tokens": (Fact("sglang:context_len", how="max"),),
        "kv_cache_tokens": (Fact("sglang:max_total_num_tokens", how="max"),),
    },
    late=True,
    metrics_off="start SGLang with --enable-metrics",
    verified=True,
    reader="gpuwatch.collectors.inference.engines.sglang_reader:SglangReader",
    notes=(
        "Without --enable-metrics only `/v1/loads?include=core` answers (if no API key is set): requests, KV use, the computed prompt, and "
        "an output rate that is the server's own gauge. The prompt and output counters move when a request ends, so output is made of the "
        "tokens of decoding steps, told every few dozen steps, and one first token a request. `cache_hit_rate` is of the last batch only "
        "and not used. The page of early 2025 has no numbers of the prefix cache: prefill is unknown there, and its "
        "`time_per_output_token_seconds` is one mean a request. `/server_info` can hold keys and is never asked. The KV size of several "
        "data-parallel ranks is that of the largest. sglang_router has a page of its own, which is not read."
    ),
)
