"""Whether enough was seen to judge, and what a rule says if not; means over the GPUs of a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.series import Series
from gpuwatch.rules.types import NotEvaluated
from gpuwatch.rules.words import span

ENOUGH = 0.9
"""The share of a window that must have been observed, and in which a needed signal must have been known."""


def unseen(series: Series[Any], seconds: float) -> NotEvaluated | None:
    """What to say if less than nine tenths of a window were observed."""
    if series.newest is None:
        return NotEvaluated("gap: no row in the last ten seconds", "gpuwatch doctor")
    observed = series.observed(seconds)
    if observed < ENOUGH:
        return NotEvaluated(f"gap: {span(observed * seconds)} of the last {span(seconds)} were observed")
    return None


def unknown(series: Series[Any], seconds: float, name: str, signal: str, enable: str = "") -> NotEvaluated | None:
    """What to say if a field of its looks is not known for nine tenths of what was observed of a window."""
    return None if series.known(name, seconds) >= ENOUGH * series.observed(seconds) else NotEvaluated(signal, enable)


def mean_of(gpus: Sequence[GpuSubject], name: str, seconds: float) -> float | None:
    """The mean of a field over GPUs and a window; ``None`` if one of them does not tell it for most of the time."""
    values = [gpu.series.mean(name, seconds) for gpu in gpus if gpu.series.known(name, seconds) >= 0.5]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(gpus) else None


def fractions(gpus: Sequence[GpuSubject]) -> float:
    """How many whole GPUs these are: a MIG instance is its share of one."""
    return sum(gpu.gpu.compute_fraction for gpu in gpus)


def alone(job: JobSubject, scene: Scene) -> tuple[GpuSubject, ...]:
    """The GPUs of a job that nobody else holds: only their time is the job's alone."""
    mine = job.facts.workload_id
    return tuple(gpu for gpu in job.gpus if all(p.facts.workload_id == mine for p in scene.holders(gpu)))
