"""Inference servers on their way through the recorder: at which pace they are asked, two readings as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Hashable, Sequence

from gpuwatch.dataclass import replace
from gpuwatch.model import InferenceSample, LatencyCounts
from gpuwatch.recorder.told import summed

Key = tuple[int, int, int]


class Paces:
    """How long it takes from one row of an entity to the next, where its rows say so: the present pace, or the one before it.

    A server that was asked every minute and is now asked every two seconds has a row of a minute in between.
    """

    def __init__(self) -> None:
        self._paces: dict[Hashable, int] = {}

    def take(self, entity: Hashable, pace_ms: int) -> int:
        """The period of a row that says this pace."""
        before = self._paces.get(entity, 0)
        self._paces[entity] = pace_ms
        return max(before, pace_ms)

    def of(self, entity: Hashable) -> int:
        """The period that the next row may have at least; 0 for an entity without a pace of its own."""
        return self._paces.get(entity, 0)

    def keep(self, entities: Container[Hashable]) -> None:
        """Forget all others."""
        self._paces = {entity: pace for entity, pace in self._paces.items() if entity in entities}


def joined_samples(first: Sequence[InferenceSample], second: Sequence[InferenceSample]) -> Sequence[InferenceSample]:
    """Two readings for one second: counts of the same server add up, all else is that of the later one."""
    if not first or not second:
        return second or first
    out = {_key(sample): sample for sample in first}
    for sample in second:
        known = out.get(_key(sample))
        out[_key(sample)] = sample if known is None else summed(known, sample)
    return list(out.values())


def _key(of: InferenceSample | LatencyCounts) -> Key:
    return of.root_pid, of.root_start_ms, of.port


def joined_counts(first: Sequence[LatencyCounts], second: Sequence[LatencyCounts]) -> Sequence[LatencyCounts]:
    """The same for histograms."""
    if not first or not second:
        return second or first
    sums: dict[tuple[int, ...], Counter[tuple[int, int]]] = {}
    latest = {}
    for counts in (*first, *second):
        key = (*_key(counts), int(counts.latency))
        latest[key] = counts
        sums.setdefault(key, Counter()).update({(lower, upper): n for lower, upper, n in counts.buckets})
    return [
        replace(counts, buckets=tuple((*bounds, n) for bounds, n in sorted(sums[key].items()))) for key, counts in latest.items()
    ]
