"""NVIDIA Triton: the families of any model, of the TensorRT-LLM backend, and of the vLLM backend. Its page has a port of its own."""

from __future__ import annotations

from functools import partial

from gpuwatch.collectors.inference.engine import Engine, Fact, Source
from gpuwatch.names import Latency, Quality

READ, CAPTURED = partial(Source, evidence="source"), partial(Source, evidence="captured")
_REQUESTS, _PENDING = "nv_trt_llm_request_metrics", CAPTURED("nv_inference_pending_request_count")
_KV = CAPTURED("nv_trt_llm_kv_cache_block_metrics", labels={"kv_cache_block_type": "fraction"}, how="max")

TRITON = Engine(
    name="triton",
    title="Triton",
    default_port=8000,
    paths=("/metrics",),
    prefixes=("nv_", "vllm:"),
    marks=(
        "nv_inference_request_success",
        "nv_inference_count",
        "nv_trt_llm_request_metrics",
        "nv_inference_pending_request_count",
        "vllm:generation_tokens_total",
        "vllm:prompt_tokens_total",
        "vllm:num_requests_running",
    ),
    fields={
        "output_tokens_total": (
            CAPTURED("vllm:generation_tokens_total"),
            READ("nv_llm_output_token_len", part="sum", quality=Quality.AT_END),
        ),
        "prompt_tokens_total": (
            CAPTURED("vllm:prompt_tokens_total"),
            READ("nv_llm_input_token_len", part="sum", quality=Quality.AT_END),
        ),
        "requests_total": (
            CAPTURED("nv_inference_request_success", plus=(CAPTURED("nv_inference_request_failure"),)),
            CAPTURED("nv_inference_request_success"),
            CAPTURED("vllm:e2e_request_latency_seconds", part="count"),
        ),
        "finished_error_total": (CAPTURED("nv_inference_request_failure"),),
        "running_requests": (CAPTURED(_REQUESTS, labels={"request_type": "scheduled"}),),
        "waiting_requests": (
            CAPTURED(_REQUESTS, labels={"request_type": "waiting"}, plus=(_PENDING,)),
            CAPTURED(_REQUESTS, labels={"request_type": "waiting"}),
            _PENDING,
        ),
        "kv_cache_ratio": (_KV,),
        "kv_cache_fullest_ratio": (_KV,),
        "queue_count_total": (CAPTURED("nv_inference_request_success", beside=("nv_inference_queue_duration_us",)),),
        "queue_sum_seconds": (CAPTURED("nv_inference_queue_duration_us", scale=1e-6),),
        "e2e_count_total": (CAPTURED("nv_inference_request_success", beside=("nv_inference_request_duration_us",)),),
        "e2e_sum_seconds": (CAPTURED("nv_inference_request_duration_us", scale=1e-6),),
    },
    latencies={
        Latency.TTFT: (
            CAPTURED("vllm:time_to_first_token_seconds"),
            READ("nv_inference_first_response_histogram_ms", scale=0.001, quality=Quality.ESTIMATED),
        ),
        Latency.ITL: (CAPTURED("vllm:time_per_output_token_seconds"),),
        Latency.E2E: (CAPTURED("vllm:e2e_request_latency_seconds"),),
    },
    facts={
        "served_model": (
            Fact("nv_trt_llm_request_metrics", label="model", evidence="captured"),
            Fact("vllm:prompt_tokens_total", label="model", evidence="captured"),
        )
    },
    metrics_port=8002,
    metrics_off="start tritonserver without --allow-metrics=false",
    verified=True,
    notes=(
        "Requests are those of all models behind the server, ensembles and their steps each by themselves. The TensorRT-LLM backend tells "
        "tokens only in newer versions (`nv_llm_*_token_len`), when a request ends; running is what it calls scheduled. The vLLM backend "
        "has token counters only with REPORT_CUSTOM_METRICS in the model's configuration. Computed prefill is unknown in both."
    ),
)
