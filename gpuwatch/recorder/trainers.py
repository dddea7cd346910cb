"""Trainings on their way through the recorder: what is new of ranks and runs, two readings as one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Generic, Protocol, TypeVar

from gpuwatch.dataclass import replace
from gpuwatch.measure import measures
from gpuwatch.training import TrainingSample

_KEEP = 2000
Key = tuple[int, int]


class Keyed(Protocol):
    """A rank (``Trainer``) or a run (``Run``)."""

    @property
    def key(self) -> Key: ...


_T = TypeVar("_T", bound=Keyed)


class Told(Generic[_T]):
    """What the store was told of each rank, or of each run, and what it has not been told yet."""

    def __init__(self) -> None:
        self._known: dict[Key, _T] = {}
        self._new: dict[Key, _T] = {}

    def learn(self, said: Sequence[_T]) -> None:
        """Take in what a collector says."""
        for one in said:
            known = self._known.get(one.key)
            if known is not one and known != one:
                self._known[one.key] = self._new[one.key] = one
        if len(self._known) > _KEEP:  # one that goes on is only told once more
            for key in list(self._known)[: _KEEP // 2]:
                del self._known[key]

    def tell_again(self) -> None:
        """Rows belong to another host from now on: all is new there."""
        self._new = dict(self._known)

    def take(self) -> list[_T]:
        """What is new or changed since the last call."""
        new, self._new = list(self._new.values()), {}
        return new


def joined_trainings(first: Sequence[TrainingSample], second: Sequence[TrainingSample]) -> Sequence[TrainingSample]:
    """Two readings for one second: counts of the same rank add up, all else is that of the later one."""
    if not first or not second:
        return second or first
    out = {(sample.pid, sample.start_ms): sample for sample in first}
    for sample in second:
        key = sample.pid, sample.start_ms
        out[key] = _joined(out[key], sample) if key in out else sample
    return list(out.values())


@cache
def _counts() -> tuple[str, ...]:
    return tuple(name for name, measure in measures(TrainingSample).items() if measure.kind == "delta")


def _joined(first: TrainingSample, second: TrainingSample) -> TrainingSample:
    sums = {}
    for name in _counts():
        known = [value for value in (getattr(first, name), getattr(second, name)) if value is not None]
        if known:
            sums[name] = sum(known)
    return replace(second, interval_seconds=max(first.interval_seconds, second.interval_seconds), **sums)


def joined_told(first: Sequence[_T], second: Sequence[_T]) -> Sequence[_T]:
    """Of each rank, or run, what was said last."""
    if not first or not second:
        return second or first
    latest: dict[Key, _T] = {one.key: one for one in (*first, *second)}
    return [*latest.values()]
