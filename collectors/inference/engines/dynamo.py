"""NVIDIA Dynamo: the page of its frontend, or that of a worker, which passes on the families of its engine.

Frontend and workers tell of the same tokens, so of one workload one page is taken and none is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from gpuwatch.collectors.inference.engine import Engine, Fact, Source
from gpuwatch.collectors.inference.engines import sglang, trtllm, vllm
from gpuwatch.collectors.inference.engines.unseen import as_source
from gpuwatch.dataclass import replace
from gpuwatch.names import WAITS, Latency, Quality

READ = partial(Source, evidence="source")
AT_END = partial(Source, quality=Quality.AT_END, evidence="source")
_PROMPT = AT_END("dynamo_frontend_input_sequence_tokens", part="sum")
_CACHED = AT_END("dynamo_frontend_cached_tokens", part="sum")
_FAILED = "validation|not_found|overload|internal|not_implemented"
_WAITING = READ("dynamo_frontend_queued_requests", quality=Quality.ESTIMATED)

_FIELDS: dict[str, tuple[Source, ...]] = {
    "output_tokens_total": (
        READ("dynamo_frontend_output_tokens_total"),
        AT_END("dynamo_frontend_output_sequence_tokens", part="sum"),
    ),
    "prompt_tokens_total": (_PROMPT,),
    "prefill_tokens_total": (AT_END("dynamo_frontend_input_sequence_tokens", part="sum", minus=(_CACHED,)),),
    "cached_tokens_total": (_CACHED,),
    "prefix_query_tokens_total": (AT_END("dynamo_frontend_input_sequence_tokens", part="sum", beside=(_CACHED.family,)),),
    "prefix_hit_tokens_total": (_CACHED,),
    "requests_total": (READ("dynamo_frontend_requests_total"),),
    "finished_aborted_total": (READ("dynamo_frontend_requests_total", labels={"error_type": "cancelled"}),),
    "finished_error_total": (
        READ("dynamo_frontend_requests_total", labels={"status": "error", "error_type": _FAILED}),
        READ("dynamo_frontend_requests_total", labels={"status": "error", "error_type": ""}),
    ),
    "running_requests": (READ("dynamo_frontend_inflight_requests", minus=(_WAITING,), quality=Quality.ESTIMATED),),
    "waiting_requests": (_WAITING,),
}
_LATENCIES: dict[Latency, tuple[Source, ...]] = {
    Latency.TTFT: (READ("dynamo_frontend_time_to_first_token_seconds"),),
    Latency.ITL: (READ("dynamo_frontend_inter_token_latency_seconds"),),
    Latency.E2E: (READ("dynamo_frontend_request_duration_seconds"),),
}
_WORKERS = (vllm, sglang, trtllm)


def _all(name: str | Latency, own: Mapping[Any, tuple[Source, ...]], workers: str) -> tuple[Source, ...]:
    passed_on = [source for worker in _WORKERS for source in getattr(worker, workers).get(name, ())]
    return (*own.get(name, ()), *as_source(passed_on))


_NAMES = {name: None for fields in (_FIELDS, *(worker.FIELDS for worker in _WORKERS)) for name in fields}

DYNAMO = Engine(
    name="dynamo",
    title="Dynamo",
    default_port=8000,
    paths=("/metrics",),
    prefixes=("dynamo_frontend_", "dynamo_component_", "vllm:", "sglang:", "trtllm_"),
    marks=(
        "dynamo_frontend_requests_total",
        "dynamo_frontend_inflight_requests",
        "dynamo_frontend_model_context_length",
        "dynamo_component_requests_total",
        "dynamo_component_uptime_seconds",
        *(mark for worker in _WORKERS for mark in worker.MARKS),
    ),
    fields={name: _all(name, _FIELDS, "FIELDS") for name in _NAMES},
    latencies={latency: _all(latency, _LATENCIES, "LATENCIES") for latency in WAITS},
    facts={
        "served_model": (
            Fact("dynamo_frontend_model_context_length", label="model"),
            Fact("dynamo_frontend_requests_total", label="model"),
            Fact("vllm:num_requests_running", label="model_name"),
            Fact("sglang:num_running_reqs", label="model_name"),
        ),
        "max_model_tokens": (Fact("dynamo_frontend_model_context_length"), Fact("sglang:context_len")),
        "kv_cache_tokens": tuple(replace(fact, evidence="source") for fact in vllm.FACTS["kv_cache_tokens"]),
    },
    aliases=("nv_llm_http_service_",),
    late=True,
    repeats=True,
    metrics_off="set DYN_SYSTEM_PORT to a free port for the worker; the frontend's page is always on",
    notes=(
        "A frontend counts what it hands to its workers, and each worker passes on the families of its engine: of one workload only one "
        "page is shown, never their sum. Families appear with the first request. Waiting is what has no first token yet, so it holds "
        "requests in their prefill too, and running is the rest. The frontend's limits are those of one worker, of which there may be many: "
        "they are not shown. The table shows the frontend's families; a worker's are those of vLLM, SGLang or TensorRT-LLM. A worker "
        "listens only with DYN_SYSTEM_PORT. A prefix set by DYN_METRICS_PREFIX other than that of NIM is not recognised."
    ),
)
