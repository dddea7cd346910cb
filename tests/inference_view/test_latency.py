"""Percentiles, shares and goodput: by hand, and their bounds for any histogram."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch.model import OPEN_US
from gpuwatch.names import Latency
from gpuwatch.view.inference_types import LatencyView, Slo
from gpuwatch.view.latency import goodput, joint, latency_view, ordered, quantile, share_within

S = 1_000_000
BOUNDS = [0, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, S, 2 * S, 5 * S, 10 * S, OPEN_US]
counts = st.lists(st.integers(0, 500), min_size=len(BOUNDS) - 1, max_size=len(BOUNDS) - 1)


def buckets_of(numbers: list[int]) -> dict[tuple[int, int], int]:
    return {(low, high): n for low, high, n in zip(BOUNDS, BOUNDS[1:], numbers) if n}


def test_percentiles_are_linear_inside_their_bucket() -> None:
    view = latency_view(Latency.TTFT, 100, 30 * S, {(0, 100_000): 40, (100_000, 500_000): 50, (500_000, S): 10}, 0.5)
    assert view.mean_seconds == pytest.approx(0.3)
    assert view.p50_seconds == pytest.approx(0.1 + 0.4 * 10 / 50)
    assert view.p95_seconds == pytest.approx(0.5 + 0.5 * 5 / 10)
    assert view.p99_seconds == pytest.approx(0.5 + 0.5 * 9 / 10)
    assert (view.p95_low_seconds, view.p95_high_seconds) == (0.5, 1.0)
    assert (view.in_slo_low, view.in_slo_high) == (0.9, 0.9)
    assert (view.open_from, view.above_seconds, view.why_no_percentile) == (None, None, "")


def test_no_percentile_is_higher_than_the_mean_allows() -> None:
    counted = {(0, 300_000): 90, (300_000, 500_000): 10}
    view = latency_view(Latency.QUEUE, 100, 5 * S, counted)
    assert view.p50_seconds == pytest.approx(2 * 0.05)  # a line through the bucket says 0.167
    assert view.p95_seconds == pytest.approx(0.4)
    assert latency_view(Latency.QUEUE, 101, 5 * S, counted).p50_seconds == pytest.approx(0.3 * 50 / 90)  # of others as well


@given(waits=st.lists(st.integers(0, 12 * S), min_size=20, max_size=200))
def test_what_the_mean_allows_is_never_below_the_truth(waits: list[int]) -> None:
    counted: dict[tuple[int, int], int] = {}
    for wait in waits:
        key = next((low, high) for low, high in itertools.pairwise(BOUNDS) if wait <= high)
        counted[key] = counted.get(key, 0) + 1
    exact, loose = (latency_view(Latency.TTFT, len(waits), total, counted) for total in (sum(waits), None))
    for percent, name in ((50, "p50_seconds"), (95, "p95_seconds"), (99, "p99_seconds")):
        found, line = getattr(exact, name), getattr(loose, name)
        assert (found is None) is (line is None)
        if found is not None and found < line - 1e-9:
            assert sorted(waits)[math.ceil(percent / 100 * len(waits)) - 1] / S <= found + 1e-6


def test_fewer_than_twenty_have_a_mean_and_no_percentile() -> None:
    view = latency_view(Latency.TTFT, 19, 19 * S, {(0, S): 10, (S, 2 * S): 9}, 1.5)
    assert (view.mean_seconds, view.p50_seconds, view.p95_seconds) == (1.0, None, None)
    assert view.why_no_percentile == "few requests"
    assert (view.in_slo_low, view.in_slo_high) == (10 / 19, 1.0)


def test_all_below_the_first_bound_say_nothing_but_their_mean() -> None:
    view = latency_view(Latency.ITL, 500, 2 * S, {(0, 10_000): 500}, 0.05)
    assert (view.mean_seconds, view.p50_seconds) == (0.004, None)
    assert view.why_no_percentile == "one bucket"
    assert view.in_slo_low == view.in_slo_high == 1.0


def test_a_count_and_a_sum_alone_give_a_mean() -> None:
    view = latency_view(Latency.ITL, 500, 2 * S, {}, 0.05)
    assert (view.mean_seconds, view.why_no_percentile, view.in_slo_low) == (0.004, "no buckets", None)
    nothing = latency_view(Latency.ITL, 0, 0, {}, 0.05)
    assert (nothing.mean_seconds, nothing.why_no_percentile) == (None, "")


def test_above_the_last_bound_there_is_only_the_bound() -> None:
    view = latency_view(Latency.E2E, 100, None, {(0, S): 90, (10 * S, OPEN_US): 10})
    assert view.p50_seconds == pytest.approx(50 / 90)
    assert (view.p95_seconds, view.p99_seconds) == (None, None)
    assert (view.open_from, view.above_seconds) == (95, 10.0)
    assert (view.p95_low_seconds, view.p95_high_seconds) == (10.0, None)
    assert (view.mean_seconds, view.slo_seconds, view.in_slo_low) == (None, None, None)


@given(counts, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_lies_in_the_bucket_that_holds_its_rank(numbers: list[int], ratio: float) -> None:
    buckets, total = buckets_of(numbers), sum(numbers)
    found = quantile(buckets, ratio)
    if not total:
        assert found is None
        return
    assert found is not None
    before = sum(n for (_, high), n in buckets.items() if high <= found.lower)
    here = sum(n for (low, _), n in buckets.items() if low == found.lower)
    assert before < ratio * total <= before + here + 1e-5
    if found.value is None:
        assert found.upper is None
    else:
        assert found.upper is not None
        assert found.lower <= found.value <= found.upper


OTHER = [0, 20_000, 50_000, 300_000, S, 4 * S, OPEN_US]


def other_buckets(numbers: list[int]) -> dict[tuple[int, int], int]:
    return {pair: n for pair, n in zip(itertools.pairwise(OTHER), numbers, strict=True) if n}


def below(buckets: dict[tuple[int, int], int], value: float) -> float:
    """Observations up to a value, if they lie evenly in their buckets; those without an upper bound lie above it."""
    shares = [n * min(1.0, max(0.0, (value - low) / (high - low))) for (low, high), n in buckets.items() if high < OPEN_US]
    return sum(shares)


@given(counts, st.lists(st.integers(0, 500), min_size=6, max_size=6), st.sampled_from([0.5, 0.95, 0.99]))
def test_servers_with_other_bounds_are_cut_at_all_of_them(some: list[int], others: list[int], ratio: float) -> None:
    buckets = buckets_of(some)
    for key, n in other_buckets(others).items():
        buckets[key] = buckets.get(key, 0) + n
    total = sum(buckets.values())
    parts = ordered(buckets)
    assert sum(n for _, n in parts) == pytest.approx(total)
    assert all(one[1] <= other[0] for (one, _), (other, _) in itertools.pairwise(parts))
    found = quantile(buckets, ratio)
    if found is not None and found.value is not None:
        assert below(buckets, found.value) == pytest.approx(ratio * total, rel=1e-6, abs=1e-3)
        assert found.upper is not None
        assert found.lower <= found.value <= found.upper
    elif found is not None:
        assert below(buckets, found.lower) < ratio * total


def test_a_mixture_of_two_layouts_by_hand() -> None:
    mixed = {(0, 100): 10, (100, 200): 10, (0, 50): 10, (50, 150): 10, (150, OPEN_US): 5}
    assert ordered(mixed) == [((0, 50), 15.0), ((50, 100), 10.0), ((100, 150), 10.0), ((150, OPEN_US), 10.0)]
    assert quantile(mixed, 0.5) == (pytest.approx(50 + 50 * 7.5 / 10), 50, 100)


@given(counts, st.integers(0, 12 * S))
def test_the_share_within_a_limit_has_ordered_bounds(numbers: list[int], limit: int) -> None:
    found = share_within(buckets_of(numbers), limit)
    if sum(numbers):
        assert found is not None
        assert 0 <= found[0] <= found[1] <= 1
        if limit in BOUNDS:
            assert found[0] == found[1]


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.data())
def test_the_bounds_hold_for_any_requests(good_ttft: list[bool], data: st.DataObject) -> None:
    good_itl = data.draw(st.lists(st.booleans(), min_size=len(good_ttft), max_size=len(good_ttft)))
    n = len(good_ttft)
    low, high = joint([sum(good_ttft) / n, sum(good_itl) / n], [sum(good_ttft) / n, sum(good_itl) / n])
    both = sum(a and b for a, b in zip(good_ttft, good_itl, strict=True)) / n
    assert low - 1e-9 <= both <= high + 1e-9
    assert 0 <= low <= high <= 1


def shares(ttft: tuple[float, float], itl: tuple[float, float]) -> list[LatencyView]:
    return [
        LatencyView(Latency.TTFT, 100, 0.1, in_slo_low=ttft[0], in_slo_high=ttft[1]),
        LatencyView(Latency.ITL, 9000, 0.01, in_slo_low=itl[0], in_slo_high=itl[1]),
    ]


def test_goodput_counts_no_request_that_failed() -> None:
    found = goodput(shares((0.968, 0.968), (0.981, 0.981)), Slo(), 1000, 10, 250.0)
    assert found is not None
    assert found.low_ratio == pytest.approx(0.968 + 0.981 + 0.99 - 2)
    assert found.high_ratio == 0.968
    assert found.high_per_second == pytest.approx(0.968 * 4)
    all_failed = goodput(shares((1, 1), (1, 1)), Slo(), 10, 10, 10.0)
    assert all_failed is not None
    assert (all_failed.low_ratio, all_failed.high_ratio) == (0, 0)


def test_goodput_needs_both_limits_and_tells_no_rate_without_requests() -> None:
    assert goodput(shares((1, 1), (1, 1))[:1], Slo(), 10, 0, 10.0) is None
    found = goodput(shares((0.5, 0.7), (0.9, 0.9)), Slo(), None, None, None)
    assert found is not None
    assert (found.low_ratio, found.high_ratio) == (pytest.approx(0.4), 0.7)
    assert found.low_per_second is None


times = st.lists(st.integers(1, 12 * S), min_size=20, max_size=60)
steps = st.lists(st.integers(1, 11 * S), min_size=1, max_size=6, unique=True)


@given(times, steps, times, steps)
def test_a_percentile_of_two_servers_lies_between_its_bounds(one: list[int], first: list[int], other: list[int], second: list[int]) -> None:  # fmt: skip
    buckets: dict[tuple[int, int], int] = {}
    for seen, limits in ((one, first), (other, second)):
        edges = [0, *sorted(limits), OPEN_US]
        for low, high in itertools.pairwise(edges):
            count = sum(low < time <= high for time in seen)
            if count:
                buckets[low, high] = buckets.get((low, high), 0) + count
    view = latency_view(Latency.TTFT, 0, None, buckets)
    if view.p95_low_seconds is None:
        assert all(low == 0 for low, _ in buckets)
        return
    true = sorted([*one, *other])[math.ceil(0.95 * len(one + other)) - 1] / S
    assert view.p95_low_seconds <= true
    assert view.p95_high_seconds is None or true <= view.p95_high_seconds
    if view.p95_seconds is not None:
        assert view.p95_low_seconds <= view.p95_seconds + 1e-6
        assert view.p95_high_seconds is None or view.p95_seconds <= view.p95_high_seconds + 1e-6


def test_observations_in_the_first_buckets_of_both_servers_have_no_percentile() -> None:
    assert latency_view(Latency.ITL, 60, None, {(0, 10_000): 30, (0, 5_000): 30}).why_no_percentile == "one bucket"
