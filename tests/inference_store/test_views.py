"""What the public views say of servers: words, base units, NULL where there is no bound, nothing that is too old."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from support.serving import EDGES_US, LLAMA, VLLM, at, close, counts, described, row, serve, server, source
from support.store_rows import T0

from gpuwatch.measure import measures
from gpuwatch.model import OPEN_US, InferenceSample
from gpuwatch.names import Latency, Quality, ServerState
from gpuwatch.store import views
from gpuwatch.store.writer import StoreWriter


def ask(writer: StoreWriter, sql: str) -> list[dict[str, Any]]:
    assert writer.commit(), writer.problem
    cursor = writer.connection.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, found, strict=True)) for found in cursor]


def test_a_server_in_words_and_base_units(writer: StoreWriter) -> None:
    told = server(state=ServerState.METRICS_OFF, detail="/metrics: 404", hint="add --metrics", verified=False)
    writer.add(described(servers=[told]))
    (found,) = ask(writer, "SELECT * FROM v_server")
    assert found == {
        "host": "lab",
        "root_pid": VLLM[0],
        "root_start_ms": VLLM[1],
        "port": 8000,
        "name": "Qwen3-8B",
        "user": "alice",
        "state": "metrics_off",
        "detail": "/metrics: 404",
        "hint": "add --metrics",
        "url": "http://127.0.0.1:8000/metrics",
        "engine": "vllm",
        "engine_version": "0.11.0",
        "served_model": "Qwen/Qwen3-8B",
        "verified": 0,
        "max_model_tokens": 40_960,
        "max_running_requests": None,
        "kv_cache_tokens": None,
        "interval_seconds": 2.0,
        "scrape_seconds": 0.004,
        "page_bytes": 30_000,
        "first_ms": T0,
        "last_ms": T0,
    }


def test_a_workload_has_the_version_that_its_server_tells(writer: StoreWriter) -> None:
    writer.add(described(servers=[server(engine_version="")]))
    assert [each["engine_version"] for each in ask(writer, "SELECT engine_version FROM v_workload")] == [""]
    writer.add(at(2, row(), servers=[server(engine_version="0.33.1")]))
    assert [each["engine_version"] for each in ask(writer, "SELECT engine_version FROM v_workload")] == ["0.33.1"]


@pytest.mark.parametrize("state", list(ServerState), ids=lambda state: state.label)
def test_every_state_has_its_word(writer: StoreWriter, state: ServerState) -> None:
    writer.add(described(servers=[server(state=state)]))
    writer.add(at(2, row(server_state=int(state))))
    assert [each["state"] for each in ask(writer, "SELECT state FROM v_server")] == [state.label]
    assert [each["state"] for each in ask(writer, "SELECT state FROM v_workload_now")] == [state.label]


def test_where_numbers_come_from(writer: StoreWriter) -> None:
    fields = tuple(source(f"of_{quality.label}", quality) for quality in Quality)
    writer.add(described(servers=[server(fields=fields)]))
    found = ask(writer, "SELECT field, quality, source, since_ms, name, port FROM v_server_field ORDER BY field")
    assert found == [
        {"field": f"of_{word}", "quality": word, "source": f"vllm:of_{word}", "since_ms": T0, "name": "Qwen3-8B", "port": 8000}
        for word in ("at_end", "estimated", "exact")
    ]


# ------------------------------------------------------------------------------------------------------------------- now


def now(writer: StoreWriter) -> dict[int, Any]:
    return {each["root_pid"]: (each["ts_ms"] - T0) // 1000 for each in ask(writer, "SELECT root_pid, ts_ms FROM v_workload_now")}


def test_the_newest_row_of_each_server_up_to_thirty_seconds(writer: StoreWriter) -> None:
    writer.add(described(keys=[VLLM, LLAMA]))
    writer.add(at(2, row(VLLM), row(LLAMA)))
    writer.add(at(4, row(VLLM)))
    assert now(writer) == {VLLM[0]: 4, LLAMA[0]: 2}
    writer.add(at(32))
    writer.add(at(32, row(VLLM)))
    assert now(writer) == {VLLM[0]: 32, LLAMA[0]: 2}
    writer.add(at(33, row(VLLM)))
    assert now(writer) == {VLLM[0]: 33}


def test_a_server_that_is_asked_seldom_may_be_older(writer: StoreWriter) -> None:
    writer.add(described(keys=[VLLM, LLAMA], servers=[server(), server(LLAMA, interval_seconds=15.0)]))
    writer.add(at(2, row(VLLM), row(LLAMA)))
    for second in (40, 47):
        writer.add(at(second, row(VLLM)))
        assert now(writer) == {VLLM[0]: second, LLAMA[0]: 2}
    writer.add(at(48, row(VLLM)))
    assert now(writer) == {VLLM[0]: 48}


def test_rows_of_the_life_before_are_not_now(writer: StoreWriter) -> None:
    writer.add(described())
    writer.add(at(2, row()))
    assert writer.commit()
    writer.begin_session(T0 + 3000, 1000, "boot")
    writer.add(at(4, row(LLAMA)))
    assert now(writer) == {LLAMA[0]: 4}


def test_a_row_in_base_units(writer: StoreWriter) -> None:
    writer.add(described())
    values = {"output_tokens_total": 700.0, "running_requests": 2.5, "kv_cache_ratio": 0.25, "window_seconds": 2.004, "ttft_sum_seconds": 0.5, "flops_total": 3e12}  # fmt: skip
    writer.add(at(2, row(**values)))
    (found,) = ask(writer, "SELECT * FROM v_workload_now")
    assert {name: found[name] for name in values} == values
    assert found["duration_seconds"] == 2.0 and found["waiting_requests"] is None and found["server_state"] == 1
    assert found["kind"] == "inference" and found["model"] == "Qwen/Qwen3-8B"


# ----------------------------------------------------------------------------------------------- known for a part of it

PERIODS = ("minute", "hour", "day")


@pytest.mark.parametrize("period", PERIODS)
def test_a_mean_is_over_the_time_in_which_its_own_value_was_known(writer: StoreWriter, period: str) -> None:
    """llama.cpp does not say how many wait while all slots are busy, unless its page was read too; who runs is known all the time."""
    writer.add(described())
    values = {2: {"waiting_requests": 4.0}, 4: {}, 6: {"waiting_requests": 2.0}, 8: {}}
    serve(writer, values, lambda second: at(second, row(running_requests=1.0, kv_cache_ratio=0.5, **values[second])))
    close(writer, T0 + 3 * 86_400_000)
    wanted = "running_requests, waiting_requests, waiting_requests_max, kv_cache_ratio, observed_seconds"
    (found,) = ask(writer, f"SELECT {wanted} FROM v_workload_{period}")
    assert list(found.values()) == [1.0, 3.0, 4.0, 0.5, 8.0]


@pytest.mark.parametrize("period", PERIODS)
def test_what_is_unknown_all_the_time_is_null_and_what_was_none_is_zero(writer: StoreWriter, period: str) -> None:
    """Nothing but the state is known of the one; the other has nothing to do."""
    names = [name for name, m in measures(InferenceSample).items() if m.kind in ("gauge", "delta")]
    writer.add(described(keys=[VLLM, LLAMA]))
    idle = dict.fromkeys(names, 0.0)
    serve(writer, range(2, 11, 2), lambda second: at(second, row(VLLM), row(LLAMA, **idle)))
    close(writer, T0 + 3 * 86_400_000)
    unknown, idling = ask(writer, f"SELECT * FROM v_workload_{period} ORDER BY root_pid")
    assert [unknown["observed_seconds"], idling["observed_seconds"]] == [10.0, 10.0]
    assert {unknown[name] for name in names} == {None} and {idling[name] for name in names} == {0}


# -------------------------------------------------------------------------------------------------------- waiting times


@pytest.mark.parametrize("period", ["minute", "hour", "day"])
def test_buckets_in_seconds(writer: StoreWriter, period: str) -> None:
    writer.add(described())
    told = [counts(numbers=(1, 2, 3, 4)), counts(latency=Latency.QUEUE, numbers=(9,))]
    serve(writer, range(2, 11, 2), lambda second: at(second, row(), latencies=told))
    close(writer, T0 + 3 * 86_400_000)
    found = ask(writer, f"SELECT latency, lower_seconds, upper_seconds, count, name, engine FROM v_latency_{period} ORDER BY 1, 2")
    who = {"name": "Qwen3-8B", "engine": "vllm"}
    bounds = [None if edge == OPEN_US else edge / 1e6 for edge in EDGES_US]
    assert found == [
        {"latency": "queue", "lower_seconds": 0.0, "upper_seconds": 0.1, "count": 45, **who},
        *(
            {"latency": "ttft", "lower_seconds": lower, "upper_seconds": upper, "count": 5 * n, **who}
            for n, (lower, upper) in enumerate(pairwise(bounds), 1)
        ),
    ]


def test_distributions_have_them_too(writer: StoreWriter) -> None:
    writer.add(described())
    serve(writer, range(2, 11, 2), lambda second: at(second, row(), latencies=[counts(latency=Latency.ITL, numbers=(1, 0, 0, 4))]))
    close(writer, T0 + 7_200_000)
    found = ask(writer, "SELECT * FROM v_hist WHERE quantity='itl_seconds' ORDER BY lower")
    assert [(each["lower"], each["middle"], each["upper"], each["weight"]) for each in found] == [
        (0.0, 0.05, 0.1, 5000),
        (1.0, 1.0, None, 20_000),
    ]
    assert {(each["host"], each["workload"], each["gpu_uuid"], each["unit"], each["metric"]) for each in found} == {
        ("lab", "Qwen3-8B", None, "seconds", 66)
    }


def test_no_view_has_a_column_twice() -> None:
    for view in views.VIEWS:
        names = [column.name for column in view.columns]
        assert len(names) == len(set(names)), view.name
