"""A server's recorded rows beside the count of the load that made them: one comparison for tests and benchmarks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from support.live_recorder import LiveRecorder, span
from support.load import Counts, Load, quantile

from gpuwatch.dataclass import dataclass
from gpuwatch.model import OPEN_US
from gpuwatch.names import Latency


@dataclass(frozen=True, slots=True)
class Compared:
    """One span: what was recorded, and what the load counted in the same time."""

    recorded_tokens_per_second: float
    seconds: float
    load: Counts

    @property
    def off(self) -> float:
        """Share by which the recorded rate is off."""
        return abs(self.recorded_tokens_per_second / self.load.tokens_per_second - 1)


def decode_rate(recorder: LiveRecorder, pid: int, load: Load, since: float, until: float) -> Compared:
    """Output tokens a second of the rows in [since, until] (unix seconds) beside what the load received between the two readings."""
    rows = span(recorder.samples(pid), since, until)
    return Compared(rows.rate("output_tokens"), rows.seconds, load.counts(rows.since, rows.until))


def bucket_of(bounds: Sequence[float], seconds: float) -> int:
    """Number of the bucket that an observation falls in; ``bounds`` are upper bounds in order."""
    return bisect_left(bounds, seconds)


def recorded_bucket(recorder: LiveRecorder, pid: int, since: float, until: float, share: float) -> tuple[float, float]:
    """(lower, upper bound in seconds) of the bucket that this quantile of the times to first token lies in, as recorded."""
    counted = recorder.buckets(pid, Latency.TTFT, since, until)
    rank, seen = share * sum(n for _, _, n in counted), 0
    for lower, upper, n in counted:
        seen += n
        if seen >= rank:
            return lower / 1_000_000, float("inf") if upper == OPEN_US else upper / 1_000_000
    raise AssertionError("no times to first token were recorded")


def buckets_apart(
    recorder: LiveRecorder, pid: int, load: Load, since: float, until: float, bounds: Sequence[float], share: float
) -> int:
    """How many buckets of time to first token lie between the recorded quantile and the load's own."""
    _, upper = recorded_bucket(recorder, pid, since, until, share)
    return abs(bucket_of(bounds, upper) - bucket_of(bounds, quantile(load.counts(since, until).first, share)))
