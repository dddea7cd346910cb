"""One file an engine, loaded when a server of it is there. ``engine`` gives the table by the name that the process collector uses."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from gpuwatch.collectors.inference.engine import Engine

_TABLES = {
    "vllm": "vllm:VLLM",
    "kserve": "vllm:KSERVE",
    "ray-serve": "vllm:RAY_SERVE",
    "aphrodite": "vllm:APHRODITE",
    "sglang": "sglang:SGLANG",
    "dynamo": "dynamo:DYNAMO",
    "llama.cpp": "llamacpp:LLAMACPP",
    "tgi": "tgi:TGI",
    "tei": "tei:TEI",
    "trt-llm": "trtllm:TRTLLM",
    "lmdeploy": "lmdeploy:LMDEPLOY",
    "triton": "triton:TRITON",
    "ollama": "ollama:OLLAMA",
    "infinity": "without:INFINITY",
    "mlc": "without:MLC",
    "transformers": "without:TRANSFORMERS",
}
NAMES = tuple(_TABLES)
"""Every engine, in the order in which the page of a process that nobody recognised is tried."""


@cache
def engine(name: str) -> Engine | None:
    """The table of the engine ``name``; ``None`` for a name that has none."""
    if name not in _TABLES:
        return None
    module, _, table = _TABLES[name].partition(":")
    found: Engine = getattr(import_module(f"{__name__}.{module}"), table)
    return found


def every() -> tuple[Engine, ...]:
    """All tables in the order of ``NAMES``."""
    return tuple(found for name in NAMES if (found := engine(name)) is not None)
