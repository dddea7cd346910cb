"""Ollama: which models it holds and where they lie. It has no counts; its child ``llama-server`` has, as a server of its own."""

from __future__ import annotations

from gpuwatch.collectors.inference.engine import Engine

PS = "/api/ps"

OLLAMA = Engine(
    name="ollama",
    title="Ollama",
    default_port=11434,
    paths=(PS,),
    prefixes=(),
    marks=(),
    fields={},
    metrics_off="set LLAMA_ARG_ENDPOINT_METRICS=1 in the environment of ollama: its llama-server children inherit it",
    reader="gpuwatch.collectors.inference.engines.ollama_reader:OllamaReader",
    notes=(
        "`/api/ps` gives the names of the loaded models, their context and how much of them lies in GPU memory; a share in host memory is "
        "told. Tokens come from `/slots` of the child llama-server (Ollama of 2026 and later), see llama.cpp. Older versions, whose child "
        "is `ollama runner`, show no tokens."
    ),
)
