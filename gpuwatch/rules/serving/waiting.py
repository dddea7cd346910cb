"""Percentiles of waiting times over a window, from the buckets of a server's histograms, with how far off they can be."""

from __future__ import annotations

from itertools import pairwise

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Latency
from gpuwatch.rules.looks import ServerLook
from gpuwatch.rules.series import Series


class Percentile(NamedTuple):
    """A percentile in seconds, interpolated in the bucket (``lower``, ``upper``] that holds it; ``value`` is ``lower`` where that has no end."""

    value: float
    lower: float
    upper: float
    observations: int

    @property
    def words(self) -> str:
        """``0.62 s (0.5 to 1 s)``."""
        top = "more" if self.upper == float("inf") else f"{self.upper:g} s"
        return f"{self.value:.2g} s ({self.lower:g} to {top})"


Buckets = dict[tuple[float, float], int]


def buckets(looks: list[ServerLook], latency: Latency) -> Buckets:
    """All observations of some looks."""
    found: Buckets = {}
    for look in looks:
        for bounds, count in look.latency.get(latency, {}).items():
            found[bounds] = found.get(bounds, 0) + count
    return found


def percentile(found: Buckets, ratio: float) -> Percentile | None:
    """The value that a share ``ratio`` of the observations does not exceed; linear in its bucket, as PromQL does it."""
    whole = sum(found.values())
    if not whole:
        return None
    below, rank = 0, ratio * whole
    for (lower, upper), count in sorted(found.items()):
        if count and below + count >= rank:
            inside = 0.0 if upper == float("inf") else (upper - lower) * (rank - below) / count
            return Percentile(lower + inside, lower, upper, whole)
        below += count
    return None


def windows(server: Series[ServerLook], seconds: float, count: int) -> list[list[ServerLook]]:
    """The newest ``count`` windows of ``seconds``, the newest first."""
    ends = [server.looks(seconds * number) for number in range(count + 1)]
    return [longer[: len(longer) - len(shorter)] for shorter, longer in pairwise(ends)]


def mean_seconds(looks: list[ServerLook], name: str) -> float | None:
    """The mean of a waiting time (``itl``, ``ttft``, ``queue``), exact, from its sum and its count."""
    total = sum(getattr(look, f"{name}_sum") or 0.0 for look in looks)
    count = sum(getattr(look, f"{name}_count") or 0.0 for look in looks)
    return total / count if count else None
