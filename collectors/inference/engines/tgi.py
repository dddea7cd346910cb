"""Text Generation Inference of Hugging Face (in maintenance). Token counts are sums of histograms that move when a request ends."""

from __future__ import annotations

from functools import partial

from gpuwatch.collectors.inference.engine import Engine, Fact, Source
from gpuwatch.names import Latency, Quality

READ, CAPTURED = partial(Source, evidence="source"), partial(Source, evidence="captured")
_KV = (
    CAPTURED(
        "tgi_batch_current_max_tokens", over=(READ("tgi_batch_max_total_tokens"),), quality=Quality.ESTIMATED, evidence="source"
    ),
)

TGI = Engine(
    name="tgi",
    title="Text Generation Inference",
    default_port=3000,
    paths=("/metrics",),
    prefixes=("tgi_",),
    marks=("tgi_request_count", "tgi_request_success", "tgi_batch_current_size", "tgi_queue_size", "tgi_batch_max_total_tokens"),
    fields={
        "output_tokens_total": (READ("tgi_request_generated_tokens", part="sum", quality=Quality.AT_END),),
        "prompt_tokens_total": (CAPTURED("tgi_request_input_length", part="sum", quality=Quality.AT_END),),
        "requests_total": (
            CAPTURED("tgi_request_success", plus=(CAPTURED("tgi_request_failure"),)),
            CAPTURED("tgi_request_success"),
        ),
        "finished_error_total": (CAPTURED("tgi_request_failure"),),
        "running_requests": (CAPTURED("tgi_batch_current_size"),),
        "waiting_requests": (CAPTURED("tgi_queue_size"),),
        "kv_cache_ratio": _KV,
        "kv_cache_fullest_ratio": _KV,
    },
    latencies={
        Latency.ITL: (READ("tgi_request_mean_time_per_token_duration", quality=Quality.ESTIMATED),),
        Latency.E2E: (READ("tgi_request_duration"),),
        Latency.QUEUE: (READ("tgi_request_queue_duration"),),
    },
    facts={"kv_cache_tokens": (Fact("tgi_batch_max_total_tokens"),)},
    once={
        "/info": {
            "served_model": "model_id",
            "engine_version": "version",
            "max_model_tokens": "max_total_tokens",
        }
    },
    late=True,
    metrics_off="look at the port of text-generation-router: its /metrics cannot be switched off",
    verified=True,
    reader="gpuwatch.collectors.inference.engines.once:OnceReader",
    notes=(
        "Families appear when they are first used, so an idle server shows few. The prompt's length is counted when a request begins and "
        "includes what the prefix cache of version 3 holds, so computed prefill is unknown. Time between tokens is one mean a request; "
        "there is no time to first token. KV use is the budget of the running batch over that of the server. The families of the captured "
        "page are marked so, the others are known from the source."
    ),
)
