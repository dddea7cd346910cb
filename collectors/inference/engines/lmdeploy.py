"""LMDeploy's ``api_server``."""

from __future__ import annotations

from functools import partial

from gpuwatch.collectors.inference.engine import Engine, Fact, Source
from gpuwatch.names import Latency, Quality

READ = partial(Source, evidence="source")
_ONCE_COUNTED = ("lmdeploy:request_success_total",)
"""Versions without this counter add each output token to their counter twice."""
_CACHED = READ("lmdeploy:cached_tokens_total")

LMDEPLOY = Engine(
    name="lmdeploy",
    title="LMDeploy",
    default_port=23333,
    paths=("/metrics",),
    prefixes=("lmdeploy:", "process_start_time_seconds"),
    marks=("lmdeploy:num_requests_running", "lmdeploy:generation_tokens_total"),
    fields={
        "output_tokens_total": (
            READ("lmdeploy:generation_tokens_total", beside=_ONCE_COUNTED),
            READ("lmdeploy:request_generation_tokens", part="sum", quality=Quality.AT_END),
        ),
        "prompt_tokens_total": (READ("lmdeploy:prompt_tokens_total"),),
        "prefill_tokens_total": (READ("lmdeploy:prompt_tokens_total", minus=(_CACHED,)),),
        "cached_tokens_total": (_CACHED,),
        "prefix_query_tokens_total": (READ("lmdeploy:prompt_tokens_total", beside=(_CACHED.family,)),),
        "prefix_hit_tokens_total": (_CACHED,),
        "requests_total": (READ("lmdeploy:request_success_total"),),
        "finished_error_total": (READ("lmdeploy:num_requests_failed"),),
        "running_requests": (READ("lmdeploy:num_requests_running"),),
        "waiting_requests": (READ("lmdeploy:num_requests_waiting"),),
        "kv_cache_ratio": (READ("lmdeploy:gpu_cache_usage_perc", how="mean"),),
        "kv_cache_fullest_ratio": (READ("lmdeploy:gpu_cache_usage_perc", how="max"),),
        "drafts_total": (READ("lmdeploy:spec_decode_num_drafts_total"),),
        "draft_tokens_total": (READ("lmdeploy:spec_decode_num_draft_tokens_total"),),
        "accepted_tokens_total": (READ("lmdeploy:spec_decode_num_accepted_tokens_total"),),
    },
    latencies={
        Latency.TTFT: (READ("lmdeploy:time_to_first_token_seconds"),),
        Latency.ITL: (
            READ("lmdeploy:iter_token_latency"),
            READ("lmdeploy:time_per_output_token_seconds", quality=Quality.ESTIMATED),
        ),
        Latency.E2E: (READ("lmdeploy:e2e_request_latency_seconds"),),
        Latency.QUEUE: (READ("lmdeploy:request_queue_time_seconds"),),
    },
    facts={"served_model": (Fact("lmdeploy:num_requests_running", label="model_name"),)},
    metrics_off="start lmdeploy without --disable-metrics",
    notes=(
        "Early versions count each output token twice; their tokens are taken from the lengths of ended requests instead. The words for "
        "how requests end are not known well enough to be shown. With --proxy-url the proxy's page is another one, which is not read."
    ),
)
