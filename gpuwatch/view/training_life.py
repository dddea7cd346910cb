"""What is told of a training over the time since its run's start, or since it was attached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.names import Phase
from gpuwatch.training import PHASE_SECONDS
from gpuwatch.view import training_run
from gpuwatch.view.counts import Sums
from gpuwatch.view.training_ranks import Rank, hangs
from gpuwatch.view.training_types import RunView

_PRODUCTIVE = (Phase.FORWARD, Phase.BACKWARD, Phase.OPTIMIZER)


def life(
    found: Mapping[str, Any], ranks: Sequence[Rank], lead: Rank, run: RunView | None, since: Sums, started_ms: int, at_ms: int
) -> dict[str, Any]:
    """What is told of the time since the start, or since attaching."""
    attached = since.amount("attached_seconds")
    first_ms = run.first_step_ms if run else lead.row["first_step_ms"]
    padding, tokens = found["padding_ratio"], found["tokens_per_second"]
    out: dict[str, Any] = {
        "first_step_seconds": (first_ms - started_ms) / 1000 if first_ms is not None and started_ms <= first_ms <= at_ms else None,
        "nonpad_tokens_per_second": tokens * (1 - padding) if tokens is not None and padding is not None else None,
        **{name: since.total(name) for name in ("compilations_total", "alloc_retries_total", "out_of_memory_total")},
    }
    if attached:
        checkpoint, evaluation = since.amount("checkpoint_seconds"), since.amount("eval_seconds")
        out["checkpoint_ratio"] = None if checkpoint is None else checkpoint / attached
        out["eval_ratio"] = None if evaluation is None else evaluation / attached
        usual = found["step_p50_seconds"] or found["step_seconds"]
        out["goodput_ratio"] = _goodput(ranks, since, attached, usual, (started_ms, at_ms))
    return out


def _goodput(
    ranks: Sequence[Rank], since: Sums, attached: float, step_seconds: float | None, span_ms: tuple[int, int]
) -> float | None:
    """Productive time of all ranks over their time since the run's start; ``None`` where too little of it was watched.

    A phase in which a rank hangs is not productive: those that wait for one that hangs do so in backward.
    """
    started_ms, at_ms = span_ms
    productive = [since.amount(PHASE_SECONDS[phase]) for phase in _PRODUCTIVE]
    ends = [at_ms if rank.running else rank.row["ended_ms"] for rank in ranks]
    whole = sum(max(0, end - started_ms) for end in ends) / 1000
    watchable = sum(max(0, end - max(started_ms, rank.row["attached_ms"])) for rank, end in zip(ranks, ends, strict=True)) / 1000
    if whole <= 0 or attached < training_run.WATCHED * watchable or any(value is None for value in productive):
        return None
    hung = sum(rank.phase_age or 0.0 for rank in ranks if rank.phase in _PRODUCTIVE and hangs(rank, step_seconds))
    return min(1.0, max(0.0, sum(value for value in productive if value is not None) - hung) / whole)
