"""Two groups of GPUs of one job that work in turns."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.rules.balance.roles import LEARNER, ROLLOUT, roles
from gpuwatch.rules.scene import GpuSubject, JobSubject
from gpuwatch.rules.statistics import correlation

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
    said = roles(job)
    rolls = tuple(gpu for gpu in job.gpus if said.get(gpu.id) == ROLLOUT)
    learns = tuple(gpu for gpu in job.gpus if said.get(gpu.id) == LEARNER)
    if rolls and learns:
        return Groups(rolls, learns, True, _together(rolls, learns, seconds))
    return _by_loads(job, seconds, apart)


def _by_loads(job: JobSubject, seconds: float, apart: float) -> Groups | None:
    if len(job.gpus) < 2:
        return None
    pivot, *others = job.gpus
    first, second = [pivot], list[GpuSubject]()
    for gpu in others:
        r = _together((pivot,), (gpu,), seconds)
        if r is None or apart < r < ALIKE:
            return None
        (second if r <= apart else first).append(gpu)
    if not second:
        return None
    return Groups(tuple(first), tuple(second), False, _together(tuple(first), tuple(second), seconds))


def _together(first: tuple[GpuSubject, ...], second: tuple[GpuSubject, ...], seconds: float) -> float | None:
    one, other = _loads(first, seconds), _loads(second, seconds)
    if one is None or other is None or len(one) != len(other):
        return None
    return correlation(list(zip(one, other, strict=True)))


def _loads(gpus: tuple[GpuSubject, ...], seconds: float) -> list[float] | None:
    """The mean load of a group, look by look; ``None`` where one of them misses a look."""
    columns = [[look.busy for look in gpu.series.looks(seconds)] for gpu in gpus]
    if len({len(column) for column in columns}) != 1 or any(value is None for column in columns for value in column):
        return None
    return [sum(value or 0.0 for value in row) / len(row) for row in zip(*columns, strict=True)]
