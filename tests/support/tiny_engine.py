"""A small engine that uses every word of the tables of inference engines."""

from __future__ import annotations

from gpuwatch.collectors.inference.engine import Engine, Fact, Source
from gpuwatch.names import Latency, Quality

TINY = Engine(
    name="tiny",
    title="Tiny",
    default_port=8000,
    paths=("/metrics", "/v1/metrics"),
    prefixes=("tiny:",),
    aliases=("ray_tiny_", ""),
    marks=("tiny:running",),
    fields={
        "output_tokens_total": (Source("tiny:made_total"),),
        "prompt_tokens_total": (Source("tiny:prompt_total"),),
        "prefill_tokens_total": (
            Source("tiny:by_source_total", labels={"source": "compute|other"}),
            Source("tiny:prompt_total", minus=(Source("tiny:hits_total"),), quality=Quality.ESTIMATED),
        ),
        "cached_tokens_total": (Source("tiny:hits_total"),),
        "requests_total": (Source("tiny:ended_total", plus=(Source("tiny:failed_total"),)), Source("tiny:ended_total")),
        "flops_total": (Source("tiny:flops_total", how="max", scale=1e12),),
        "preemptions_total": (Source("tiny:old_total", beside=("tiny:is_old",)),),
        "running_requests": (Source("tiny:running", labels={"priority": ""}),),
        "waiting_requests": (Source("tiny:waiting"),),
        "kv_cache_ratio": (Source("tiny:blocks_used", over=(Source("tiny:blocks"),)), Source("tiny:kv", how="mean")),
        "kv_cache_fullest_ratio": (Source("tiny:kv", how="max"),),
        "drafts_total": (Source("tiny:steps_total", part="sum"),),
    },
    latencies={
        Latency.TTFT: (Source("tiny:first_seconds"),),
        Latency.ITL: (Source("tiny:gap_ms", scale=0.001), Source("tiny:gap_seconds")),
        Latency.E2E: (Source("tiny:whole_seconds", quality=Quality.AT_END),),
    },
    facts={
        "served_model": (Fact("tiny:running", label="model_name"),),
        "kv_cache_tokens": (Fact("tiny:config", label="blocks", times=("size",), how="sum"),),
        "max_running_requests": (Fact("tiny:seats"),),
        "max_model_tokens": (Fact("tiny:config", label="context"),),
    },
    metrics_off="start tiny with --metrics",
    verified=True,
)
