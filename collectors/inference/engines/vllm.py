"""vLLM: V1 and V0 names, the page of NVIDIA NIM (the same names without a prefix), of Ray Serve (``ray_vllm_``) and of Aphrodite.

Names of V1 as in 0.32, read from a running server; those of V0 and NIM from captured pages. Counters move with each engine step.
"""

from __future__ import annotations

from functools import partial

from gpuwatch.collectors.inference.engine import Engine, Fact, Source
from gpuwatch.collectors.inference.engines.unseen import unseen
from gpuwatch.dataclass import replace
from gpuwatch.names import Latency, Quality

LIVE, CAPTURED, READ = partial(Source, evidence="live"), partial(Source, evidence="captured"), partial(Source, evidence="source")
_V0 = ("vllm:gpu_cache_usage_perc",)
"""V0 and NIM have this gauge and no counter of cached tokens: what they call prompt tokens is what they computed."""


def _finished(reason: str) -> tuple[Source, ...]:
    labels = {"finished_reason": reason}
    return CAPTURED("vllm:request_finish_total", labels=labels), LIVE("vllm:request_success_total", labels=labels)


FIELDS: dict[str, tuple[Source, ...]] = {
    "output_tokens_total": (LIVE("vllm:generation_tokens_total"),),
    "prompt_tokens_total": (LIVE("vllm:prompt_tokens_total"),),
    "prefill_tokens_total": (
        LIVE("vllm:prompt_tokens_by_source_total", labels={"source": "local_compute"}),
        READ("vllm:prompt_tokens_total", minus=(READ("vllm:prefix_cache_hits_total"),), quality=Quality.ESTIMATED),
        READ("vllm:prompt_tokens_total", minus=(READ("vllm:gpu_prefix_cache_hits_total"),), quality=Quality.ESTIMATED),
        CAPTURED("vllm:prompt_tokens_total", beside=_V0, quality=Quality.ESTIMATED),
    ),
    "cached_tokens_total": (
        LIVE("vllm:prompt_tokens_cached_total"),
        LIVE("vllm:prefix_cache_hits_total", quality=Quality.ESTIMATED),
        READ("vllm:gpu_prefix_cache_hits_total", quality=Quality.ESTIMATED),
    ),
    "prefix_query_tokens_total": (LIVE("vllm:prefix_cache_queries_total"), READ("vllm:gpu_prefix_cache_queries_total")),
    "prefix_hit_tokens_total": (LIVE("vllm:prefix_cache_hits_total"), READ("vllm:gpu_prefix_cache_hits_total")),
    "requests_total": (
        CAPTURED("vllm:request_success_total", plus=(CAPTURED("vllm:request_failure_total"),)),
        LIVE("vllm:request_success_total"),
    ),
    "finished_stop_total": _finished("stop"),
    "finished_length_total": _finished("length"),
    "finished_aborted_total": _finished("abort"),
    "finished_error_total": (*_finished("error"), CAPTURED("vllm:request_failure_total")),
    "preemptions_total": (LIVE("vllm:num_preemptions_total"),),
    "running_requests": (LIVE("vllm:num_requests_running"),),
    "waiting_requests": (
        CAPTURED("vllm:num_requests_waiting", plus=(CAPTURED("vllm:num_requests_swapped"),)),
        LIVE("vllm:num_requests_waiting"),
    ),
    "kv_cache_ratio": (LIVE("vllm:kv_cache_usage_perc", how="mean"), CAPTURED("vllm:gpu_cache_usage_perc", how="mean")),
    "kv_cache_fullest_ratio": (LIVE("vllm:kv_cache_usage_perc", how="max"), CAPTURED("vllm:gpu_cache_usage_perc", how="max")),
    "drafts_total": (LIVE("vllm:spec_decode_num_drafts_total"),),
    "draft_tokens_total": (LIVE("vllm:spec_decode_num_draft_tokens_total"),),
    "accepted_tokens_total": (LIVE("vllm:spec_decode_num_accepted_tokens_total"),),
    "flops_total": (LIVE("vllm:estimated_flops_per_gpu_total", how="mean", moves=True),),
}
LATENCIES: dict[Latency, tuple[Source, ...]] = {
    Latency.TTFT: (LIVE("vllm:time_to_first_token_seconds"),),
    Latency.ITL: (LIVE("vllm:inter_token_latency_seconds"), CAPTURED("vllm:time_per_output_token_seconds")),
    Latency.E2E: (LIVE("vllm:e2e_request_latency_seconds"),),
    Latency.QUEUE: (LIVE("vllm:request_queue_time_seconds"),),
}
FACTS: dict[str, tuple[Fact, ...]] = {
    "served_model": (
        Fact("vllm:num_requests_running", label="model_name", evidence="live"),
        Fact("vllm:prompt_tokens_total", label="model_name", evidence="live"),
    ),
    "max_running_requests": (Fact("vllm:num_request_max", evidence="captured"),),
    "kv_cache_tokens": (
        Fact("vllm:cache_config_info", label="kv_cache_size_tokens", how="sum", evidence="live"),
        Fact("vllm:cache_config_info", label="num_gpu_blocks", times=("block_size",), how="sum", evidence="live"),
    ),
}
MARKS = ("vllm:num_requests_running", "vllm:generation_tokens_total")
ONCE = {
    "/version": {"engine_version": "version"},
    "/v1/models": {"served_model": "data.0.id", "max_model_tokens": "data.0.max_model_len"},
}
READER = "gpuwatch.collectors.inference.engines.once:OnceReader"

VLLM = Engine(
    name="vllm",
    title="vLLM",
    default_port=8000,
    paths=("/metrics", "/v1/metrics"),
    prefixes=("vllm:",),
    marks=MARKS,
    fields=FIELDS,
    latencies=LATENCIES,
    facts=FACTS,
    once=ONCE,
    aliases=("ray_vllm_", ""),
    metrics_off="start vLLM without --disable-log-stats",
    verified=True,
    reader=READER,
    notes=(
        "`prompt_tokens_total` counts cached tokens too, so prefill is what was computed here. Counters add up over the engines of a "
        "data-parallel server, KV use does not: mean and fullest are shown. Requests that wait for admission are looked up in the prefix "
        "cache again at each try, so the hit ratio of a full server is of lookups, not of prompts. FLOPs need --enable-mfu-metrics. With "
        "--api-key the page stays open; the version and the limit of the context are then unknown. NIM (`/v1/metrics`, names without "
        "prefix) and V0 do not tell cached tokens: their prefill is marked as estimated."
    ),
)
KSERVE = replace(
    unseen(VLLM),
    name="kserve",
    title="KServe (vLLM inside)",
    default_port=8080,
    paths=("/metrics",),
    aliases=(),
    notes="The Hugging Face runtime of KServe passes the page of its vLLM on; see vLLM.",
)
RAY_SERVE = replace(
    unseen(VLLM),
    name="ray-serve",
    title="Ray Serve LLM",
    default_port=0,
    paths=("/metrics",),
    aliases=("ray_vllm_",),
    once={},
    metrics_off=(
        "give the page of the node's Ray agent as a target in the configuration: start Ray with --metrics-export-port=8080, and the engine "
        "with log_engine_metrics on"
    ),
    reader="",
    notes=(
        "One page a node, on the port of --metrics-export-port; every character outside a-z, A-Z, 0-9 and _ of vLLM's names becomes _. "
        "The page holds all replicas of the node, so their sum is shown."
    ),
)
APHRODITE = replace(
    unseen(VLLM),
    name="aphrodite",
    title="Aphrodite",
    default_port=2242,
    paths=("/metrics",),
    aliases=("aphrodite:",),
    metrics_off="start Aphrodite without --disable-log-stats",
    notes="A fork of vLLM with the same families under `aphrodite:`; see vLLM.",
)
