"""What ``/api/ps`` of Ollama says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.engines.ollama import PS
from gpuwatch.collectors.inference.engines.once import document, number
from gpuwatch.collectors.inference.reading import Answer, Reading
from gpuwatch.text import clean

SHOWN, LONGEST = 3, 80
"""Names of models in one line, and characters of each."""


class OllamaReader:
    """See the module's docstring."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def paths(self, now_ns: int) -> Sequence[str]:
        """Always the same."""
        return (PS,)

    def read(self, answers: Sequence[Answer], now_ns: int) -> Reading:
        """Names and limits of the loaded models, and a detail for those that lie partly in host memory; no counts."""
        models = _models(next(answer.body for answer in answers if answer.status == 200))
        names = [clean(str(model.get("name") or model.get("model") or ""))[:LONGEST] for model in models]
        reading = Reading(
            detail="; ".join(filter(None, map(_in_host_memory, models, names))) or ("" if models else "no model is loaded")
        )
        if any(names):
            more = f" +{len(names) - SHOWN}" if len(names) > SHOWN else ""
            reading.facts["served_model"] = ", ".join(names[:SHOWN]) + more
        if len(models) == 1 and (tokens := number(models[0].get("context_length"))):
            reading.facts["max_model_tokens"] = tokens
        return reading


def _models(body: bytes) -> list[dict[str, Any]]:
    try:
        found = document(body)
    except ValueError:
        found = None
    models = found.get("models") if isinstance(found, dict) else None
    if models is None and isinstance(found, dict) and "models" in found:
        return []
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
        raise ValueError("/api/ps is not what Ollama gives")
    return models


def _in_host_memory(model: dict[str, Any], name: str) -> str:
    """One clause for a model of which a part is in host memory, which makes it much slower; else nothing."""
    size, on_gpu = number(model.get("size")), number(model.get("size_vram"))
    if not size or on_gpu is None or on_gpu >= size:
        return ""
    return f"{max(1, round(100 * (size - on_gpu) / size))} % of the model {name} lies in host memory"
