"""Percentiles, shares and goodput out of bucket counts, with what they cannot say. Pure.

A histogram's buckets are ``(lower, upper] -> count`` in microseconds. Buckets of several engines, or of several times, are added
before anything is computed. Percentiles are linear inside a bucket, as PromQL's ``histogram_quantile``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from gpuwatch.dataclass import NamedTuple
from gpuwatch.model import OPEN_US
from gpuwatch.names import Latency
from gpuwatch.view.inference_types import LatencyView, Slo

Buckets = Mapping[tuple[int, int], int]
"""(lower bound in microseconds, upper bound or ``OPEN_US``) -> observations."""
FEWEST = 20
"""A 95th percentile of fewer observations is the largest one."""
PERCENTILES = (50, 95, 99)
FEW, ONE_BUCKET, NO_BUCKETS = "few requests", "one bucket", "no buckets"
_US = 1e6
_ROUNDING = 1e-6
"""Of an observation: sums of cut buckets are not exact."""


class Quantile(NamedTuple):
    """A percentile with the bucket that it lies in, microseconds; ``value`` and ``upper`` are ``None`` above the last bound."""

    value: float | None
    lower: int
    upper: int | None


def quantile(buckets: Buckets, ratio: float) -> Quantile | None:
    """The value that a share ``ratio`` (0-1) of the observations does not exceed; ``None`` without observations."""
    return next(_quantiles(ordered(buckets), (ratio * sum(buckets.values()),)), None)


Cut = Sequence[tuple[tuple[int, int], float]]
"""Buckets one after the other, none of which reaches into the next."""


def ordered(buckets: Buckets) -> Cut:
    """Buckets in order. Where servers have different bounds theirs overlap: they are cut at all bounds, each evenly.

    Above the lowest bound from which on some server does not tell any more, nothing is told of the others either.
    """
    found = sorted((key, count) for key, count in buckets.items() if count)
    if all(one[1] <= other[0] for (one, _), (other, _) in pairwise(found)):
        return found
    last = min((lower for (lower, upper), _ in found if upper >= OPEN_US), default=OPEN_US)
    bounds = sorted({bound for key, _ in found for bound in key if bound < last} | {last})
    parts: dict[tuple[int, int], float] = {}
    for (lower, upper), count in found:
        if upper > last:
            inside = 0.0 if upper >= OPEN_US else max(0, last - lower) / (upper - lower)
            parts[last, OPEN_US] = parts.get((last, OPEN_US), 0.0) + count * (1 - inside)
        for low, high in pairwise(bounds[bisect_left(bounds, lower) : bisect_right(bounds, upper)]) if upper < OPEN_US else ():
            parts[low, high] = parts.get((low, high), 0.0) + count * (high - low) / (upper - lower)
    return sorted(parts.items())


def _quantiles(cut: Cut, ranks: Iterable[float]) -> Iterator[Quantile]:
    """The values of rising ranks."""
    below, count, parts = 0.0, 0.0, iter(cut)
    lower = upper = 0
    for rank in ranks:
        rank -= _ROUNDING
        while not count or below + count < rank:
            below += count
            part = next(parts, None)
            if part is None:
                return
            (lower, upper), count = part
        yield (
            Quantile(None, lower, None)
            if upper >= OPEN_US
            else Quantile(lower + (upper - lower) * max(0.0, rank - below) / count, lower, upper)
        )


def bounds(buckets: Buckets, rank: float) -> tuple[int, int]:
    """Between which bounds the observation of a rank lies for sure, however buckets overlap: at least where as many could be below,
    at most where as many are."""
    rank -= _ROUNDING
    found = sorted((key, count) for key, count in buckets.items() if count)
    least = _reached(((lower, count) for (lower, _), count in found), rank)
    return least, _reached(sorted((upper, count) for (_, upper), count in found), rank)


def _reached(bound_counts: Iterable[tuple[int, int]], rank: float) -> int:
    """The bound at which so many have come."""
    below = 0
    for bound, count in bound_counts:
        below += count
        if below >= rank:
            return bound
    raise AssertionError("a rank is of these observations")


def share_within(buckets: Buckets, limit_us: int) -> tuple[float, float] | None:
    """Between which bounds the share of observations up to a limit lies: equal where the limit is a bucket's bound."""
    total = sum(buckets.values())
    if not total:
        return None
    surely = perhaps = 0
    for (lower, upper), count in buckets.items():
        if upper <= limit_us:
            surely += count
        elif lower < limit_us:
            perhaps += count
    return surely / total, (surely + perhaps) / total


def latency_view(
    latency: Latency, count: int, sum_us: int | None, buckets: Buckets, slo_seconds: float | None = None
) -> LatencyView:
    """One waiting time. ``count`` and ``sum_us`` are the histogram's own (exact), ``buckets`` may be empty (a summary, a counter pair)."""
    mean = sum_us / _US / count if count and sum_us is not None else None
    known = sum(buckets.values())
    share = share_within(buckets, round(slo_seconds * _US)) if slo_seconds is not None else None
    low, high = share or (None, None)
    why = _why_none(buckets, known)
    if why:
        return LatencyView(
            latency, count, mean, slo_seconds=slo_seconds, in_slo_low=low, in_slo_high=high, why_no_percentile=why if count else ""
        )
    cut = ordered(buckets)
    found = _quantiles(cut, [percent / 100 * known for percent in PERCENTILES])
    most = mean * _US if mean is not None and known == count else None
    p50, p95, p99 = (_possible(each, percent / 100, most) for each, percent in zip(found, PERCENTILES, strict=True))
    low_us, high_us = (p95.lower, p95.upper) if all(key in buckets for key, _ in cut) else bounds(buckets, 0.95 * known)
    opened = next(((percent, q) for percent, q in zip(PERCENTILES, (p50, p95, p99), strict=True) if q.value is None), None)
    return LatencyView(
        latency,
        count,
        mean,
        p50_seconds=_seconds(p50.value),
        p95_seconds=_seconds(p95.value),
        p99_seconds=_seconds(p99.value),
        p95_low_seconds=low_us / _US,
        p95_high_seconds=None if high_us is None or high_us >= OPEN_US else high_us / _US,
        above_seconds=opened[1].lower / _US if opened else None,
        open_from=opened[0] if opened else None,
        slo_seconds=slo_seconds,
        in_slo_low=low,
        in_slo_high=high,
    )


def _possible(found: Quantile, ratio: float, mean_us: float | None) -> Quantile:
    """``found``, no higher than the mean allows: a share of ``1 - ratio`` as long as that has at most the whole sum (Markov).

    It matters in wide buckets that most observations lie low in: with queue times up to 0.3 s in one bucket and a mean of 50 ms, half of
    them cannot have waited 150 ms.
    """
    if found.value is None or mean_us is None:
        return found
    return found._replace(value=max(found.lower, min(found.value, mean_us / (1 - ratio))))


def _seconds(us: float | None) -> float | None:
    return None if us is None else us / _US


def _why_none(buckets: Buckets, known: int) -> str:
    """Why there is no percentile: too few to speak of, none, or all below the first bound, where a line from 0 means nothing."""
    if not known:
        return NO_BUCKETS
    if known < FEWEST:
        return FEW
    return ONE_BUCKET if all(lower == 0 for (lower, _), count in buckets.items() if count) else ""


class Goodput(NamedTuple):
    """Bounds of the requests that meet all limits: as a share of all that ended, and a second (``None``: the rate is not known)."""

    low_ratio: float
    high_ratio: float
    low_per_second: float | None
    high_per_second: float | None


def goodput(
    latencies: Iterable[LatencyView], slo: Slo, ended: int | None, bad: int | None, seconds: float | None
) -> Goodput | None:
    """How many requests met both limits, of which a page tells each share alone: Fréchet's bounds of a joint probability.

    At least ``max(0, Σ share − (k − 1))`` and at most ``min(share)``, where not having failed is one more of the k conditions.
    ``ended`` requests of which ``bad`` were aborted or failed within ``seconds``. ``None`` where a limit has no histogram. The
    share of the time between tokens is that of tokens, since servers count every one.
    """
    measured = {view.latency: view for view in latencies if view.in_slo_low is not None}
    if Latency.TTFT not in measured or Latency.ITL not in measured:
        return None
    lows = [measured[each].in_slo_low or 0.0 for each in (Latency.TTFT, Latency.ITL)]
    highs = [measured[each].in_slo_high or 0.0 for each in (Latency.TTFT, Latency.ITL)]
    if ended and bad is not None:
        fine = max(0.0, 1 - bad / ended)
        lows, highs = [*lows, fine], [*highs, fine]
    low, high = joint(lows, highs)
    rate = ended / seconds if ended is not None and seconds else None
    return Goodput(low, high, None if rate is None else low * rate, None if rate is None else high * rate)


def joint(lows: Sequence[float], highs: Sequence[float]) -> tuple[float, float]:
    """Fréchet's bounds of all conditions at once, from the least and the highest probability of each."""
    high = min(highs)
    return min(high, max(0.0, sum(lows) - (len(lows) - 1))), high
