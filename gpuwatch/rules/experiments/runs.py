"""The GPUs of a run, also after its processes have gone, and what its ranks have counted."""

from __future__ import annotations

from gpuwatch.rules.observed import fractions
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene


def gpus_of(job: JobSubject, scene: Scene) -> tuple[GpuSubject, ...]:
    """The GPUs that it holds; after its end those that its ranks named."""
    if job.gpus:
        return job.gpus
    named = {rank.gpu_uuid for rank in job.facts.ranks if rank.gpu_uuid}
    return tuple(gpu for gpu in scene.gpus.values() if gpu.gpu.uuid in named)


def held(job: JobSubject, scene: Scene) -> float | None:
    """How many GPUs it holds or held; by its ranks where none of them said which, ``None`` if nothing is known."""
    found = gpus_of(job, scene)
    if found:
        return fractions(found)
    return float(len(job.facts.ranks)) if job.facts.ranks else None
