"""LLaMA-Factory's ``trainer_log.jsonl``: ``{"current_steps": 10, "total_steps": 100, "loss": 1.2, …, "total_tokens": 81920}``.

``throughput`` is a mean since the start and is left aside: tokens are the difference of ``total_tokens``, which the whole job has seen.
(src/llamafactory/train/callbacks.py, ``LogCallback.on_log``)
"""

from __future__ import annotations

from gpuwatch.collectors.training.logs.line import Format, Kind, LogLine, number, whole

NAME = "llama-factory"


def parse(text: str) -> LogLine | None:
    """What a line says."""
    if not text.startswith("{") or '"current_steps"' not in text:
        return None
    import json

    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or (step := whole(_text(told, "current_steps"))) is None:
        return None
    evaluates = "loss" not in told and ("eval_loss" in told or "predict_loss" in told)
    return LogLine(
        NAME,
        Kind.EVAL if evaluates else Kind.TRAIN,
        step=step,
        total_steps=whole(_text(told, "total_steps")) or None,
        tokens_total=number(_text(told, "total_tokens")),
        tokens_name="total_tokens" if "total_tokens" in told else "",
        loss=number(_text(told, "eval_loss" if evaluates else "loss")),
    )


def _text(told: dict[str, object], key: str) -> str | None:
    value = told.get(key)
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


FORMAT = Format(NAME, "LLaMA-Factory", (('"current_steps"', '"total_steps"'),), parse)
