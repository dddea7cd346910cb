"""What is known of who holds a GPU: since when, whether a server or a notebook, and whether its memory says what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gpuwatch.rules.observed import ENOUGH, unseen
from gpuwatch.rules.scene import GpuSubject, JobSubject, ProcessSubject, Scene
from gpuwatch.rules.series import Series
from gpuwatch.rules.types import NotEvaluated
from gpuwatch.rules.words import span

NOTEBOOKS = ("ipykernel", "jupyter")
_TAKE_ALL = (
    "vllm",
    "sglang",
    "text-generation",
    "tritonserver",
    "trtllm",
    "tensorrt_llm",
    "tensorrt-llm",
    "jax",
    "tensorflow",
    "tgi",
)
"""Servers and frameworks that take most of the memory at their start."""
_SCRIPTS = ("torchrun", "accelerate", "deepspeed", "python")


def settled(series: Series[Any], scene: Scene, processes: Iterable[ProcessSubject], seconds: float) -> float | NotEvaluated:
    """How many of the last ``seconds`` can be judged: those after the first minutes of the process that is there for longest.

    Without a visible process all of them. What to say instead where that is too little, or too little of it was observed.
    """
    ages = [scene.age_seconds(process) for process in processes]
    usable = min(seconds, max(ages) - scene.patience) if ages else seconds
    if usable < ENOUGH * seconds:
        return NotEvaluated(
            f"its process has run for {span(max(ages))}: {span(seconds)} after its first {span(scene.patience)} are judged"
        )
    return unseen(series, usable) or usable


def preallocates(processes: Iterable[ProcessSubject], jobs: Iterable[JobSubject] = ()) -> bool:
    """Whether one of them takes memory without needing it: then memory in use says nothing about need."""
    words = [process.facts.command.lower() for process in processes]
    for job in jobs:
        words += [job.facts.engine.lower(), job.facts.command.lower(), *(rank.facts.framework.lower() for rank in job.ranks)]
    return any(word in text for text in words for word in _TAKE_ALL)


def serves(job: JobSubject) -> bool:
    """Whether it is an inference server: its waits are requests that do not come."""
    return job.facts.served or job.facts.kind == "inference"


def interactive(processes: Iterable[ProcessSubject]) -> bool:
    """Whether a person sits in front of one of them: a notebook's kernel."""
    return any(word in process.facts.command for process in processes for word in NOTEBOOKS)


def hangs(scene: Scene, jobs: Iterable[JobSubject]) -> bool:
    """Whether one of them looks busy without getting on: then how well it uses its GPUs is not the question."""
    return any(scene.is_open("busy-but-no-progress", job) for job in jobs)


def sliced(gpu: GpuSubject) -> bool:
    """Whether it is a GPU cut into MIG instances: each of them is judged, and of the whole nothing is defined."""
    return gpu.gpu.mig_enabled and not gpu.gpu.parent_uuid


def quiet_share(gpu: GpuSubject, seconds: float) -> float | None:
    """The share of the known time of a window in which it was quiet."""
    known = gpu.series.mean("known_ms", seconds)
    quiet = gpu.series.mean("quiet_ms", seconds)
    return quiet / known if known and quiet is not None else None


def command_of(processes: Sequence[ProcessSubject], job: JobSubject | None = None) -> str:
    """The command that started it, for advice that shows it again; ``python train.py`` where none is known."""
    known = (job.facts.command if job else "") or (processes[0].facts.command if processes else "")
    words = known.split()
    shown = " ".join(words[:6]) + (" …" if len(words) > 6 else "")
    return shown if any(word in shown for word in _SCRIPTS) else "python train.py"
