"""Text Embeddings Inference of Hugging Face: tokens go in and none come out. Its page is on a port of its own."""

from __future__ import annotations

from functools import partial

from gpuwatch.collectors.inference.engine import Engine, Source
from gpuwatch.names import Latency, Quality

READ = partial(Source, evidence="source")
_LENGTHS = (READ("te_request_input_length", part="sum", quality=Quality.AT_END),)

TEI = Engine(
    name="tei",
    title="Text Embeddings Inference",
    default_port=3000,
    paths=("/metrics",),
    prefixes=("te_",),
    marks=("te_request_count", "te_queue_size", "te_request_success", "te_embed_count"),
    fields={
        "prefill_tokens_total": _LENGTHS,
        "prompt_tokens_total": _LENGTHS,
        "requests_total": (READ("te_request_success", plus=(READ("te_request_failure"),)), READ("te_request_success")),
        "finished_error_total": (READ("te_request_failure"),),
        "waiting_requests": (READ("te_queue_size"),),
    },
    latencies={
        Latency.E2E: (READ("te_request_duration"),),
        Latency.QUEUE: (READ("te_request_queue_duration"),),
    },
    metrics_port=9000,
    late=True,
    metrics_off="look at the port of --prometheus-port (9000 if it is not given)",
    notes=(
        "Families appear when they are first used. Embeddings have no decode, no KV cache and no tokens that come out. One request can "
        "hold many texts; the queue counts texts."
    ),
)
