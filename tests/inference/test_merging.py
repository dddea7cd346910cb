"""Several addresses as one server, and two looks as one."""

from __future__ import annotations

from typing import Any

from gpuwatch.collectors.inference.buckets import Waited
from gpuwatch.collectors.inference.merging import joined, merged
from gpuwatch.collectors.inference.target import Told
from gpuwatch.model import FieldSource
from gpuwatch.names import Latency, Quality


def told(window: float | None = 2.0, **parts: Any) -> Told:
    return Told(
        window,
        parts.get("counts", {}),
        parts.get("waits", {}),
        parts.get("gauges", {}),
        parts.get("facts", {}),
        parts.get("sources", {}),
    )


def test_one_address_is_itself() -> None:
    one = told(counts={"a": 1})
    assert merged([(one, None)]) is one
    assert merged([(None, one)]) is None
    assert merged([]) is None


def test_growth_and_queues_add_up() -> None:
    found = merged(
        [
            (told(2.0, counts={"a": 1, "b": None}, gauges={"running_requests": 1}), None),
            (told(2.2, counts={"a": 5, "b": 1, "c": 7}, gauges={"running_requests": 2}), None),
        ]
    )
    assert found is not None
    assert found.counts == {"a": 6, "b": None, "c": 7}, "c is told by one of them alone"
    assert found.gauges == {"running_requests": 3}
    assert found.window_seconds == 2.1


def test_what_one_told_before_and_not_now_is_unknown() -> None:
    before = told(counts={"a": 1}, gauges={"running_requests": 1}, waits={Latency.TTFT: Waited(1, 1.0, ())})
    found = merged(
        [(told(counts={"a": 1}, gauges={"running_requests": 1}, waits={Latency.TTFT: Waited(1, 1.0, ())}), None), (None, before)]
    )
    assert found is not None
    assert found.counts == {"a": None}
    assert found.gauges == {}
    assert found.waits[Latency.TTFT] == Waited(None, None, None)


def test_the_cache_is_weighed_by_its_size_and_the_fullest_is_the_fullest() -> None:
    one = told(
        gauges={"kv_cache_ratio": 0.9, "kv_cache_fullest_ratio": 0.9},
        facts={"kv_cache_tokens": 100, "max_running_requests": 4, "served_model": "x"},
    )
    other = told(gauges={"kv_cache_ratio": 0.1, "kv_cache_fullest_ratio": 0.2}, facts={"kv_cache_tokens": 300, "served_model": "y"})
    found = merged([(one, None), (other, None)])
    assert found is not None
    assert found.gauges == {"kv_cache_ratio": (0.9 * 100 + 0.1 * 300) / 400, "kv_cache_fullest_ratio": 0.9}
    assert found.facts == {"served_model": "x", "kv_cache_tokens": 400}, "one limit alone is not that of both"


def test_buckets_are_added_where_they_fit_together() -> None:
    def waits(*buckets: tuple[int, int, int] | None) -> Told:
        return told(waits={Latency.ITL: Waited(3, 1.5, None if None in buckets else buckets)})  # type: ignore[arg-type]

    def both(one: Told, other: Told) -> Waited:
        found = merged([(one, None), (other, None)])
        assert found is not None
        return found.waits[Latency.ITL]

    assert both(waits((0, 10, 1), (10, 20, 2)), waits((10, 20, 3))) == Waited(6, 3.0, ((0, 10, 1), (10, 20, 5)))
    assert both(waits((0, 10, 1)), waits((5, 20, 3))) == Waited(6, 3.0, None)
    assert both(waits((0, 10, 1)), waits(None)) == Waited(6, 3.0, None)


def test_of_two_sources_the_worse_is_told() -> None:
    good, bad = (FieldSource("a", quality, "x") for quality in (Quality.EXACT, Quality.AT_END))
    found = merged([(told(sources={"a": good}), None), (told(sources={"a": bad}), None)])
    assert found is not None
    assert found.sources == {"a": bad}


def test_two_looks_one_after_the_other() -> None:
    first = told(2.0, counts={"a": 1, "b": 2}, gauges={"running_requests": 9}, waits={Latency.ITL: Waited(1, 1.0, ((0, 10, 1),))})
    second = told(
        4.0, counts={"a": 3, "b": None}, gauges={"running_requests": 1}, waits={Latency.ITL: Waited(2, 1.0, ((0, 10, 2),))}
    )
    found = joined(first, second)
    assert (found.window_seconds, found.counts, found.gauges) == (6.0, {"a": 4, "b": None}, {"running_requests": 1})
    assert found.waits == {Latency.ITL: Waited(3, 2.0, ((0, 10, 3),))}
    assert joined(told(None), second) is second
    assert joined(None, second) is second


def test_what_was_counted_before_a_restart_or_a_break_is_told_after_it() -> None:
    found = joined(
        told(2.0, counts={"a": 5}, gauges={"running_requests": 3}), told(None, counts={"a": None}, gauges={"running_requests": 0})
    )
    assert (found.window_seconds, found.counts, found.gauges) == (2.0, {"a": 5}, {"running_requests": 0})
