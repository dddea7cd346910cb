"""The processes that prepare data for a job, and how many of them a host has room for."""

from __future__ import annotations

from gpuwatch.rules.scene import JobSubject, Scene


def worker_cpu(job: JobSubject, seconds: float) -> float | None:
    """The mean CPU of its loader workers, in cores each; ``None``: it has none, or it is not known."""
    means = [value for worker in job.workers if (value := worker.series.mean("cpu", seconds)) is not None]
    return sum(means) / len(means) if means else None


def main_cpu(job: JobSubject, seconds: float) -> float | None:
    """The mean CPU of its processes on GPUs, in cores each."""
    means = [value for process in job.on_gpus if (value := process.series.mean("cpu", seconds)) is not None]
    return sum(means) / len(means) if means else None


def room(scene: Scene) -> int | None:
    """Loader workers that fit a rank: the cores of the host over its GPUs."""
    cores = scene.host_facts.cpu_count
    whole = sum(1 for gpu in scene.gpus.values() if not gpu.gpu.parent_uuid)
    return max(1, cores // max(1, whole)) if cores else None


def loader_line(job: JobSubject, scene: Scene) -> str:
    """The line of code to try first: as many workers as fit, at most eight; more only where eight are there and work hard."""
    ranks = max(1, len(job.on_gpus))
    now, fit = len(job.workers) // ranks, room(scene)
    wanted = min(8, fit) if fit else 8
    if now >= wanted:
        wanted = min(fit, 2 * now) if fit else now
    return f"DataLoader(…, num_workers={max(wanted, 1)}, persistent_workers=True, prefetch_factor=4, pin_memory=True)"


def crowded(job: JobSubject, scene: Scene) -> bool:
    """Whether it has as many workers as there are cores for: more would make it slower."""
    fit = room(scene)
    return fit is not None and len(job.workers) >= fit * max(1, len(job.on_gpus))
