"""What collectors tell again and again, on its way through the recorder: what of it is new, and two readings of one second as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from gpuwatch.dataclass import replace
from gpuwatch.measure import measures
from gpuwatch.model import InferenceSample
from gpuwatch.training import TrainingSample

_KEEP = 1000
Key = tuple[int, ...]


class Keyed(Protocol):
    """A server, a rank (``Trainer``) or a run."""

    @property
    def key(self) -> Key: ...


_T = TypeVar("_T", bound=Keyed)
_Sample = TypeVar("_Sample", InferenceSample, TrainingSample)


class Told(Generic[_T]):
    """What the store was told of each of them, and what it has not been told yet."""

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


def joined_told(first: Sequence[_T], second: Sequence[_T]) -> Sequence[_T]:
    """Of each what was said last."""
    if not first or not second:
        return second or first
    return list({one.key: one for one in (*first, *second)}.values())


def summed(first: _Sample, second: _Sample) -> _Sample:
    """Two readings of the same as one: counts add up, all else is that of the later one."""
    sums = {}
    kind: type = type(second)
    for name, measure in measures(kind).items():
        if measure.kind != "delta":
            continue
        known = [value for value in (getattr(first, name), getattr(second, name)) if value is not None]
        if known:
            sums[name] = sum(known)
    return replace(second, interval_seconds=max(first.interval_seconds, second.interval_seconds), **sums)
