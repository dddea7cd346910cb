"""Engines of which no page was captured, and shapes that no captured page has: short pages written after the servers' sources."""

from __future__ import annotations

import pytest
from support.engine_pages import answer, numbers, read_page, table

from gpuwatch.collectors.inference.engines.sglang_reader import SglangReader
from gpuwatch.collectors.inference.recognise import recognise
from gpuwatch.names import Quality


def histogram(name: str, count: int, total: float, labels: str = "") -> str:
    """A histogram with one bucket."""
    with_bound = f'{labels},le="+Inf"' if labels else 'le="+Inf"'
    braces = f"{{{labels}}}" if labels else ""
    return f"# TYPE {name} histogram\n{name}_bucket{{{with_bound}}} {count}\n{name}_sum{braces} {total}\n{name}_count{braces} {count}\n"


# ----------------------------------------------------------------------------------------------------------------- SGLang

RANK = 'engine_type="unified",model_name="m",moe_ep_rank="{ep}",pp_rank="{pp}",tp_rank="{tp}"'


def sglang(*ranks: str, priorities: bool = False) -> str:
    """A page on which each of ``ranks`` tells of itself."""
    lines = []
    for rank in ranks:
        lines += [f"sglang:num_running_reqs{{{rank}}} 4", f"sglang:num_queue_reqs{{{rank}}} 3", f"sglang:token_usage{{{rank}}} 0.5"]
        lines += [f"sglang:num_grammar_queue_reqs{{{rank}}} 1"]
        lines += [
            f'sglang:realtime_tokens_total{{mode="decode",{rank}}} 1000',
            f'sglang:realtime_tokens_total{{mode="prefill_compute",{rank}}} 70',
        ]
        if priorities:
            lines += [
                f"sglang:num_running_reqs{{{rank.replace(EMPTY, ONE)}}} 4",
                f"sglang:num_queue_reqs{{{rank.replace(EMPTY, ONE)}}} 3",
            ]
    lines += ['sglang:generation_tokens_total{is_streaming="true",model_name="m"} 900']
    return "\n".join(lines) + "\n" + histogram("sglang:time_to_first_token_seconds", 20, 3.0, 'is_streaming="true",model_name="m"')


EMPTY, ONE = 'priority=""', 'priority="1"'


def test_of_tensor_parallel_ranks_that_all_tell_the_same_one_counts() -> None:
    page = sglang(*[RANK.format(ep=0, pp=pp, tp=tp) for pp in (0, 1) for tp in (0, 1, 2, 10)])
    found = numbers(read_page("sglang", page))
    assert found["running_requests"] == 4 and found["waiting_requests"] == 4
    assert found["output_tokens_total"] == 1020 and found["prefill_tokens_total"] == 70


def test_data_parallel_ranks_are_added_whatever_their_tensor_rank_is() -> None:
    page = sglang(RANK.format(ep=0, pp=0, tp=0) + ',dp_rank="0"', RANK.format(ep=4, pp=0, tp=4) + ',dp_rank="1"')
    found = numbers(read_page("sglang", page))
    assert found["running_requests"] == 8 and found["output_tokens_total"] == 2020
    assert found["kv_cache_ratio"] == 0.5


def test_of_priorities_the_total_counts() -> None:
    found = numbers(read_page("sglang", sglang(RANK.format(ep=0, pp=0, tp=0) + "," + EMPTY, priorities=True)))
    assert found["running_requests"] == 4 and found["waiting_requests"] == 4


def test_sglang_tells_of_the_moment_and_says_that_it_is_an_estimate() -> None:
    reading = read_page("sglang", sglang(RANK.format(ep=0, pp=0, tp=0)))
    assert reading.sources["output_tokens_total"].quality is Quality.ESTIMATED
    assert "cached_tokens_total" not in reading.counters


def test_sglang_without_tokens_of_the_moment_tells_those_of_ended_requests() -> None:
    """Requests that are not streamed have one time between tokens or none, however many tokens they have."""
    lines = sglang(RANK.format(ep=0, pp=0, tp=0)).splitlines(keepends=True)
    older = "".join(line for line in lines if "realtime_tokens_total" not in line)
    reading = read_page("sglang", older + histogram("sglang:inter_token_latency_seconds", 3, 0.1))
    assert numbers(reading)["output_tokens_total"] == 900
    assert reading.sources["output_tokens_total"].quality is Quality.AT_END


LOADS = """{"timestamp": "t", "version": "0.5.23", "loads": [
 {"dp_rank": 0, "num_running_reqs": 2, "num_waiting_reqs": 1, "num_used_tokens": 250, "max_total_num_tokens": 1000,
  "gen_throughput": 100.5, "total_prefill_uncached_tokens": 4000, "max_running_requests": 32},
 {"dp_rank": 1, "num_running_reqs": 0, "num_waiting_reqs": 0, "num_used_tokens": 500, "max_total_num_tokens": 1000,
  "gen_throughput": 80.0, "total_prefill_uncached_tokens": 500, "max_running_requests": 32}]}"""


def test_without_its_page_sglang_tells_its_loads_and_what_to_add() -> None:
    reader = SglangReader(table("sglang"))
    paths = reader.paths(0)
    assert paths == ("/metrics", "/v1/loads?include=core")
    first = reader.read([answer(paths[0], status=404), answer(paths[1], LOADS, at_ns=10**9)], 0)
    assert first.gauges == {"running_requests": 2, "waiting_requests": 1, "kv_cache_ratio": 0.375, "kv_cache_fullest_ratio": 0.5}
    assert first.amounts == {} and sum(first.counters["prefill_tokens_total"].values()) == 4500
    assert first.facts == {"kv_cache_tokens": 2000, "max_running_requests": 64, "engine_version": "0.5.23"}
    assert first.hint == "start SGLang with --enable-metrics"
    assert reader.paths(1) == paths[1:]
    second = reader.read([answer(paths[1], LOADS, at_ns=3 * 10**9)], 1)
    assert second.amounts == {"output_tokens_total": 201.0}  # the rank that does nothing keeps its last rate
    assert second.sources["output_tokens_total"].quality is Quality.ESTIMATED


def test_a_page_of_sglang_before_the_first_request_is_not_off() -> None:
    reader = SglangReader(table("sglang"))
    reading = reader.read([answer("/metrics", ""), answer(reader.paths(0)[1], LOADS)], 0)
    assert (reading.gauges["running_requests"], reading.hint) == (2, "")
    assert len(reader.paths(0)) == 2
    alone = reader.read([answer("/metrics", ""), answer(reader.paths(0)[1], "", status=401)], 0)
    assert (alone.recognised, alone.detail, len(reader.paths(0))) == (True, "no request yet", 2)
    reading = reader.read([answer("/metrics", sglang(RANK.format(ep=0, pp=0, tp=0))), answer(reader.paths(0)[1], LOADS)], 0)
    assert reading.gauges["running_requests"] == 4 and len(reader.paths(0)) == 1


def test_with_its_page_sglang_is_asked_for_that_alone() -> None:
    reader = SglangReader(table("sglang"))
    reading = reader.read([answer("/metrics", sglang(RANK.format(ep=0, pp=0, tp=0))), answer(reader.paths(0)[1], LOADS)], 0)
    assert "ttft" in numbers(reading) and reading.hint == ""
    assert reader.paths(1) == ("/metrics",)


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"loads": []}', '{"loads": [1]}', '{"loads": [{}]}', '{"loads": {}}', "[" * 99999]
)
def test_loads_that_are_none_are_refused_in_one_line(body: str) -> None:
    with pytest.raises(ValueError, match="^/v1/loads is not what SGLang gives$"):
        SglangReader(table("sglang")).read([answer("/v1/loads?include=core", body)], 0)


def test_a_load_without_a_number_leaves_that_number_unknown() -> None:
    reading = SglangReader(table("sglang")).read(
        [answer("/v1/loads?include=core", LOADS.replace('"num_used_tokens": 250,', ""))], 0
    )
    assert "kv_cache_ratio" not in reading.gauges and reading.gauges["running_requests"] == 2


# ----------------------------------------------------------------------------------------------------------------- others


def test_engines_behind_one_vllm_are_added_but_not_their_use_of_kv() -> None:
    page = "".join(
        f'vllm:num_requests_running{{engine="{at}"}} 2\nvllm:generation_tokens_total{{engine="{at}"}} 50\n'
        f'vllm:kv_cache_usage_perc{{engine="{at}"}} {use}\n'
        f'vllm:cache_config_info{{engine="{at}",block_size="16",num_gpu_blocks="100",kv_cache_size_tokens="None"}} 1\n'
        for at, use in ((0, 0.25), (1, 0.75))
    )
    reading = read_page("vllm", page)
    assert numbers(reading) == {
        "running_requests": 4,
        "output_tokens_total": 100,
        "kv_cache_ratio": 0.5,
        "kv_cache_fullest_ratio": 0.75,
    }
    assert reading.facts == {"kv_cache_tokens": 3200}


def test_vllm_of_2025_without_sources_of_its_prompt_tells_prefill_as_an_estimate() -> None:
    page = "vllm:num_requests_running 1\nvllm:prompt_tokens_total 900\n"
    assert "prefill_tokens_total" not in numbers(read_page("vllm", page))
    reading = read_page("vllm", page + "vllm:prefix_cache_hits_total 300\n")
    assert numbers(reading)["prefill_tokens_total"] == 600
    assert reading.sources["prefill_tokens_total"].quality is Quality.ESTIMATED


def test_requests_that_v0_swapped_out_wait() -> None:
    page = "vllm:num_requests_running 1\nvllm:num_requests_waiting 3\nvllm:num_requests_swapped 2\n"
    assert numbers(read_page("vllm", page))["waiting_requests"] == 5


@pytest.mark.parametrize(
    ("engine", "prefix"),
    [("vllm", "ray_vllm_"), ("ray-serve", "ray_vllm_"), ("aphrodite", "aphrodite:"), ("kserve", "vllm:"), ("vllm", "")],
)
def test_other_prefixes_are_read_as_those_of_vllm(engine: str, prefix: str) -> None:
    page = f'{prefix}num_requests_running{{ReplicaId="a"}} 3\n{prefix}generation_tokens_total{{ReplicaId="a"}} 7\n'
    assert numbers(read_page(engine, page)) == {"running_requests": 3, "output_tokens_total": 7}


DYNAMO = (
    'dynamo_frontend_inflight_requests{model="m"} 9\ndynamo_frontend_queued_requests{model="m"} 4\n'
    'dynamo_frontend_output_tokens_total{model="m"} 77\ndynamo_frontend_model_context_length{model="m"} 8192\n'
    'dynamo_frontend_model_total_kv_blocks{model="m"} 100\ndynamo_frontend_model_kv_cache_block_size{model="m"} 32\n'
    'dynamo_frontend_model_max_num_seqs{model="m"} 4\n'
    'dynamo_frontend_requests_total{error_type="",model="m",status="success"} 5\n'
    'dynamo_frontend_requests_total{error_type="cancelled",model="m",status="error"} 2\n'
    'dynamo_frontend_requests_total{error_type="internal",model="m",status="error"} 1\n'
    + histogram("dynamo_frontend_input_sequence_tokens", 8, 400)
    + histogram("dynamo_frontend_cached_tokens", 8, 100)
    + histogram("dynamo_frontend_time_to_first_token_seconds", 8, 1)
)


def test_a_frontend_of_dynamo() -> None:
    reading = read_page("dynamo", DYNAMO)
    assert numbers(reading) == {
        "output_tokens_total": 77,
        "prompt_tokens_total": 400,
        "prefill_tokens_total": 300,
        "cached_tokens_total": 100,
        "prefix_query_tokens_total": 400,
        "prefix_hit_tokens_total": 100,
        "requests_total": 8,
        "finished_aborted_total": 2,
        "finished_error_total": 1,
        "running_requests": 5,
        "waiting_requests": 4,
        "ttft": 8,
    }
    assert reading.facts == {"served_model": "m", "max_model_tokens": 8192}, "the cache is that of one worker of many"
    assert table("dynamo").repeats


@pytest.mark.parametrize("family", ["vllm:num_requests_running", "sglang:num_running_reqs", "trtllm_num_requests_running"])
def test_a_worker_of_dynamo_passes_on_its_engine(family: str) -> None:
    page = f'{family}{{dynamo_component="backend",model_name="m"}} 3\ndynamo_component_uptime_seconds 5\n'
    assert numbers(read_page("dynamo", page)) == {"running_requests": 3}


def test_a_page_of_trtllm_serve() -> None:
    page = (
        'trtllm_request_success_total{finished_reason="stop",model_name="m"} 6\ntrtllm_request_error_total{http_code="500"} 1\n'
        "trtllm_prompt_tokens_total 900\ntrtllm_prompt_cached_tokens_total 300\ntrtllm_generation_tokens_total 50\n"
        "trtllm_kv_cache_utilization 0.4\ntrtllm_kv_cache_max_blocks 10\ntrtllm_kv_cache_tokens_per_block 32\n"
    )
    page += "trtllm_spec_decode_num_draft_tokens_total 20\ntrtllm_spec_decode_num_accepted_tokens_total 8\n"
    reading = read_page("trt-llm", page)
    assert reading.sources["accepted_tokens_total"].quality is Quality.AT_END, "told when a request ends, as all of it"
    assert numbers(reading) == {
        "draft_tokens_total": 20,
        "accepted_tokens_total": 8,
        "output_tokens_total": 50,
        "prompt_tokens_total": 900,
        "prefill_tokens_total": 600,
        "cached_tokens_total": 300,
        "prefix_query_tokens_total": 900,
        "prefix_hit_tokens_total": 300,
        "requests_total": 7,
        "finished_stop_total": 6,
        "finished_error_total": 1,
        "kv_cache_ratio": 0.4,
        "kv_cache_fullest_ratio": 0.4,
    }
    assert reading.facts == {"kv_cache_tokens": 320}


def test_an_early_lmdeploy_that_counts_each_token_twice_is_read_from_its_ended_requests() -> None:
    page = "lmdeploy:num_requests_running 1\nlmdeploy:generation_tokens_total 200\n" + histogram(
        "lmdeploy:request_generation_tokens", 4, 90
    )
    reading = read_page("lmdeploy", page)
    assert numbers(reading)["output_tokens_total"] == 90 and reading.sources["output_tokens_total"].quality is Quality.AT_END
    now = read_page("lmdeploy", page + 'lmdeploy:request_success_total{finished_reason="x"} 4\n')
    assert numbers(now)["output_tokens_total"] == 200 and now.sources["output_tokens_total"].quality is Quality.EXACT


def test_embeddings_take_tokens_in_and_give_none_out() -> None:
    page = 'te_request_count{method="batch"} 3\nte_request_success{method="batch"} 2\nte_queue_size 1\n' + histogram(
        "te_request_input_length", 3, 60
    )
    assert numbers(read_page("tei", page)) == {
        "prefill_tokens_total": 60,
        "prompt_tokens_total": 60,
        "requests_total": 2,
        "waiting_requests": 1,
    }


@pytest.mark.parametrize("engine", ["tgi", "tei", "dynamo", "trt-llm"])
def test_a_server_that_nobody_has_asked_yet_is_no_foreign_one(engine: str) -> None:
    assert read_page(engine, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 5\n").recognised
    assert read_page(engine, "").recognised and not read_page(engine, "<html>hello</html>").recognised


@pytest.mark.parametrize(
    ("line", "engine"),
    [
        ("vllm:generation_tokens_total 1", "vllm"),
        ("ray_vllm_num_requests_running 1", "vllm"),
        ("num_requests_running 1", "vllm"),
        ("sglang:num_running_reqs 1", "sglang"),
        ("llamacpp:requests_processing 1", "llama.cpp"),
        ("tgi_queue_size 1", "tgi"),
        ("te_queue_size 1", "tei"),
        ("trtllm_num_requests_running 1", "trt-llm"),
        ("lmdeploy:num_requests_running 1", "lmdeploy"),
        ('nv_inference_count{model="m"} 1', "triton"),
        ("dynamo_frontend_inflight_requests 1", "dynamo"),
        ("aphrodite:num_requests_running 1", "aphrodite"),
    ],
)
def test_a_page_tells_its_engine(line: str, engine: str) -> None:
    found = recognise(f"{line}\n".encode())
    assert found is not None and found.name == engine


def test_a_page_of_something_else_is_no_engines() -> None:
    assert recognise(b"go_goroutines 5\nhttp_requests_total 7\nnode_cpu_seconds_total 1\n") is None


@pytest.mark.parametrize(("line", "engine"), [("other 1", None), ("num_requests_running 1", "vllm")])
def test_a_page_without_end_tells_its_engine_and_is_refused_by_who_reads_it(line: str, engine: str | None) -> None:
    found = recognise(f"{line}\n".encode() * 60_000)
    assert (found and found.name) == engine
