"""Servers that have no numbers of their own that could be shown: they are listed with their processes and GPUs."""

from __future__ import annotations

from gpuwatch.collectors.inference.engine import Engine

TRANSFORMERS = Engine(
    name="transformers",
    title="transformers serve",
    default_port=8000,
    paths=(),
    prefixes=(),
    marks=(),
    fields={},
    metrics_off="transformers serve has no metrics; vllm serve and others serve the same models with them",
    notes="It has `/health` and `/v1/models` only.",
)
INFINITY = Engine(
    name="infinity",
    title="Infinity",
    default_port=7997,
    paths=(),
    prefixes=(),
    marks=(),
    fields={},
    metrics_off="Infinity counts HTTP requests only, no tokens",
    notes="Its `/metrics` holds `http_*` families of requests and nothing of tokens, queues or batches.",
)
MLC = Engine(
    name="mlc",
    title="MLC LLM",
    default_port=8000,
    paths=(),
    prefixes=(),
    marks=(),
    fields={},
    metrics_off="the page of MLC LLM is not read",
    notes="Its `/metrics` tells of its first engine only, under names that are not described here.",
)
