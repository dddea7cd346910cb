"""Two groups of GPUs of one job that work in turns."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.rules.balance.roles import LEARNER, ROLLOUT, roles
from gpuwatch.rules.scene import GpuSubject, JobSubject
from gpuwatch.rules.statistics import correlation

Loads = dict[int, list[float]]
ALIKE = 0.5
"""GPUs of one group rise and fall together: r of at least this."""


class Groups(NamedTuple):
    """The two groups; ``named`` if command lines tell which is which, else ``first`` is only the one with the lowest GPU. ``together`` is r of their loads."""

    first: tuple[GpuSubject, ...]
    second: tuple[GpuSubject, ...]
    named: bool
    together: float | None


def groups_of(job: JobSubject, seconds: float, apart: float) -> Groups | None:
    """By roles on the command lines, else by loads that go against each other (r of at most ``apart``)."""
    said, loads = roles(job), _loads(job.gpus, seconds)
    rolls = tuple(gpu for gpu in job.gpus if said.get(gpu.id) == ROLLOUT)
    learns = tuple(gpu for gpu in job.gpus if said.get(gpu.id) == LEARNER)
    if rolls and learns:
        return Groups(rolls, learns, True, _together(rolls, learns, loads))
    return _by_loads(job.gpus, loads, apart)


def _by_loads(gpus: tuple[GpuSubject, ...], loads: Loads, apart: float) -> Groups | None:
    if len(gpus) < 2:
        return None
    pivot, *others = gpus
    first, second = [pivot], list[GpuSubject]()
    for gpu in others:
        r = _together((pivot,), (gpu,), loads)
        if r is None or apart < r < ALIKE:
            return None
        (second if r <= apart else first).append(gpu)
    return Groups(tuple(first), tuple(second), False, _together(tuple(first), tuple(second), loads)) if second else None


def _together(first: tuple[GpuSubject, ...], second: tuple[GpuSubject, ...], loads: Loads) -> float | None:
    one, other = _mean(first, loads), _mean(second, loads)
    return correlation(list(zip(one, other, strict=True))) if one and other else None


def _mean(gpus: tuple[GpuSubject, ...], loads: Loads) -> list[float]:
    columns = [loads[gpu.id] for gpu in gpus if gpu.id in loads]
    return [sum(row) / len(row) for row in zip(*columns, strict=True)] if len(columns) > 1 else columns[0] if columns else []


def _loads(gpus: tuple[GpuSubject, ...], seconds: float) -> Loads:
    """The load of each GPU, look by look; nothing where one of them misses a look."""
    columns = {gpu.id: [look.busy for look in gpu.series.looks(seconds)] for gpu in gpus}
    if len({len(column) for column in columns.values()}) != 1 or any(None in column for column in columns.values()):
        return {}
    return {gpu_id: [value or 0.0 for value in column] for gpu_id, column in columns.items()}
