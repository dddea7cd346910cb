"""The servers of ``status``: one row each, and the line under one that tells nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.json_schema import faults
from support.served import Serves, held, served_story, view_of

from gpuwatch.format import cells
from gpuwatch.names import Latency, Missing, Quality, ServerState
from gpuwatch.prices import GpuPrice, Prices, Since
from gpuwatch.report.status_text import status_text
from gpuwatch.view import schema
from gpuwatch.view.inference_json import INFERENCE
from gpuwatch.view.inference_types import InferenceView, LatencyView
from gpuwatch.view.json import status_json
from gpuwatch.view.terms import Terms
from gpuwatch.view.types import View, WorkloadView


def work(inference: InferenceView | None, **more: object) -> WorkloadView:
    given: dict[str, object] = {
        "name": "chat",
        "model": "m",
        "engine": "vllm",
        "user": "svc",
        "gpu_indices": (0, 1),
        "attached": True,
    }
    return WorkloadView(7, 7, 8000, "inference", **(given | more), inference=inference)  # type: ignore[arg-type]


UP = InferenceView(
    ServerState.UP,
    engine="vllm",
    served_model="qwen-72b",
    output_tokens_per_second=1260.0,
    prefill_tokens_per_second=887.4,
    running_requests=48.0,
    waiting_requests=1.0,
    kv_cache_ratio=0.91,
    latencies=(LatencyView(Latency.TTFT, 100, 0.2, p50_seconds=0.18, p95_seconds=0.412, p99_seconds=0.64),),
    energy_per_output_token_joules=0.342,
    diagnosis="1 waiting, KV cache at 91%",
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> View:
    story = served_story(tmp_path_factory.mktemp("status") / "s.db", gpus=2)
    return view_of(story.run(20))


def lines(view: View, *works: WorkloadView, width: int = 100) -> list[str]:
    text = status_text(replace(view, workloads=works), width=width).splitlines()
    assert all(cells(line) <= width for line in text)
    start = next((number for number, line in enumerate(text) if line.startswith("Server")), len(text))
    return text[start:]


def test_a_row_says_how_fast_it_is_and_the_line_below_what_limits_it(empty: View) -> None:
    assert lines(empty, work(UP))[:3] == [
        "Server     Engine  GPU  decode/s  prefill/s  run  wait  KV %  TTFT p95  J/tok  Model",
        "chat:8000  vllm    0-1     1.26k        887   48     1    91    412 ms   0.34  qwen-72b",
        "  └ 1 waiting, KV cache at 91%",
    ]


def test_without_room_engine_and_model_go_below(empty: View) -> None:
    found = lines(empty, work(UP, name="a-server-with-a-long-name"), width=80)
    assert found[1].startswith("a-server-with…:8000  0-1")
    assert lines(empty, work(UP, name="a-server-with-a-long-name"), width=60)[1].endswith("48     1    412 ms")
    assert found[0].split() == ["Server", "GPU", "decode/s", "prefill/s", "run", "wait", "KV", "%", "TTFT", "p95", "J/tok"]
    assert found[2] == "  └ vllm · qwen-72b · 1 waiting, KV cache at 91%"


@pytest.mark.parametrize(
    ("port", "name", "url", "shown"),
    [
        (8000, "chat", "http://127.0.0.1:8001", "chat:8000"),
        (0, "chat", "http://[::1]:8001", "chat:8001"),
        (0, "chat", "", "chat"),
        (8000, "gpu-box:8000", "http://gpu-box:8000", "gpu-box:8000"),
    ],
)
def test_servers_of_one_name_differ_in_their_port(empty: View, port: int, name: str, url: str, shown: str) -> None:
    server = replace(work(replace(UP, url=url), name=name), port=port)
    assert lines(empty, server)[1].split()[0] == shown


def test_nothing_stands_there_without_servers(empty: View) -> None:
    assert lines(empty) == lines(empty, work(None)) == []


def test_a_server_whose_metrics_are_off_names_the_flag(empty: View) -> None:
    off = InferenceView(
        ServerState.METRICS_OFF, hint="add --enable-metrics", engine="sglang", missing={"running_requests": Missing.NO_PERMISSION}
    )
    found = lines(empty, work(off, gpu_indices=(), engine="sglang"))
    assert found[1].split() == ["chat:8000", "sglang", "–", "–", "–", "?", "–", "–", "–", "–", "m"]
    assert found[2] == "  └ its metrics are off: add --enable-metrics"
    some = replace(UP, hint="add --metrics", diagnosis="")
    assert "more numbers: add --metrics" in lines(empty, work(some))[-1]
    long = replace(off, detail="it answers 404 to GET /metrics", hint=" ".join(["add"] * 30))
    assert len(lines(empty, work(long), width=80)) >= 4


def test_estimates_shared_gpus_and_open_percentiles_are_marked(empty: View) -> None:
    slow = LatencyView(Latency.TTFT, 100, 30.0, p50_seconds=9.0, above_seconds=10.0, open_from=95)
    server = replace(UP, quality={"output_tokens_total": Quality.ESTIMATED}, shared_gpu=True, latencies=(slow,), diagnosis="")
    found = lines(empty, work(server, gpu_indices=(0, 2, 5, 7)))
    assert found[1].split() == ["chat:8000", "vllm", "4", "GPUs", "~1.26k", "887", "48", "1", "91", ">", "10.0", "s", "shared", "qwen-72b"]  # fmt: skip
    few = LatencyView(Latency.TTFT, 9, 0.2, why_no_percentile="few requests")
    idle = replace(UP, latencies=(few,), output_tokens_per_second=0.0, energy_per_output_token_joules=None, power_watts=121.0)
    assert "mean 200 ms" in lines(empty, work(idle))[1]
    assert "121 W" in lines(empty, work(idle))[1]


def test_money_names_its_price(empty: View) -> None:
    server = replace(UP, cost_per_million_output_tokens=0.55, currency="$", price="$2.50/GPU·h", diagnosis="")
    found = lines(empty, work(server), width=120)
    assert found[1].split()[-2:] == ["0.55", "qwen-72b"] and "$/M tok" in found[0]
    assert found[2] == "a million output tokens at $2.50/GPU·h"
    both = lines(empty, work(server), work(server), work(replace(UP, diagnosis="")), width=120)
    assert [line for line in both if "at $" in line] == found[2:3]


def test_the_document_tells_the_same_and_fits_its_schema(tmp_path_factory: pytest.TempPathFactory) -> None:
    serves = Serves(
        100,
        tells=lambda s: {"output_tokens_total": 200.0, "ttft_count_total": 2.0, "ttft_sum_seconds": 1.0},
        buckets=lambda s: {Latency.TTFT: {(400_000, 500_000): 2}},
    )
    story = served_story(tmp_path_factory.mktemp("json") / "s.db", serves)
    held(story, serves)
    story.run(60)
    view = view_of(story, terms=Terms(prices=Prices("$", None, (GpuPrice("*", (Since(0, 2.5),)),))))
    document = status_json(view)
    assert faults(document, schema.status()) == []
    told = document["workloads"][0]["inference"]
    assert told["output_tokens_per_second"] == document["workloads"][0]["tokens_per_second"] == pytest.approx(100.0)
    assert told["latencies"][0]["latency"] == "ttft"
    assert told["latencies"][0]["in_slo_low"] == 1.0
    assert told["quality"] == {"output_tokens_total": "exact"}
    assert told["source"] == {"output_tokens_total": "vllm:output_tokens_total"}
    assert told["missing"]["prefix_hit_ratio"] == "not_supported"
    assert (told["price"], told["state"]) == ("$2.50/GPU·h", "up")
    plain = status_json(replace(view, workloads=(replace(view.workloads[0], inference=None),)))
    assert plain["workloads"][0]["inference"] is None
    assert faults(plain, schema.status()) == []


def test_the_public_views_use_the_same_names(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("names") / "s.db"
    story = served_story(path, Serves(100))
    story.run(4)
    keys = {field.name for field in INFERENCE}
    who = {"host", "root_pid", "root_start_ms", "port", "name", "user", "first_ms", "last_ms"}
    server = {row[1] for row in story.writer.connection.execute("PRAGMA table_info(v_server)")}
    assert server - who <= keys
    now = {row[1] for row in story.writer.connection.execute("PRAGMA table_info(v_workload_now)")}
    assert {"running_requests", "waiting_requests", "kv_cache_ratio", "kv_cache_fullest_ratio", "state"} <= now & keys


def test_what_is_made_from_estimates_is_marked(empty: View) -> None:
    guessed = dict.fromkeys(("output_tokens_total", "kv_cache_ratio"), Quality.ESTIMATED)
    costly = replace(UP, quality=guessed, cost_per_million_output_tokens=0.55, currency="$", price="$2.50/GPU·h")
    row = lines(empty, work(costly), width=140)[1]
    assert [word for word in row.split() if word.startswith("~")] == ["~1.26k", "~91", "~0.34", "~0.55"]


def test_a_server_that_has_not_answered_for_a_while_says_how_long(empty: View) -> None:
    seen = replace(empty, now_ms=empty.at_ms + 9000)
    old, due = (replace(UP, age_seconds=age + 9.0, interval_seconds=2.0, diagnosis="") for age in (20.0, 5.0))
    assert lines(seen, work(old))[2] == "  └ last answer 20 s ago"
    assert "last answer" not in "".join(lines(seen, work(due)))
    assert "last answer" not in "".join(lines(replace(seen, past=True), work(old)))
