"""What simulated servers tell is what the tables and readers of the real engines would say."""

from __future__ import annotations

import json

import pytest

from gpuwatch.collectors.inference.engines import engine
from gpuwatch.collectors.inference.engines.llamacpp import METRICS, SLOTS
from gpuwatch.collectors.inference.engines.llamacpp_reader import LlamaCppReader
from gpuwatch.collectors.inference.reading import Answer
from gpuwatch.collectors.inference.table_reader import formula
from gpuwatch.collectors.simulated.told import TOLD
from gpuwatch.names import WAITS


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_a_field_is_one_of_the_candidates_of_the_engines_table(name):
    table = engine(name)
    candidates = {**table.fields, **{latency.label: sources for latency, sources in table.latencies.items()}}
    for field in TOLD[name].fields:
        assert (field.quality, field.source) in {(source.quality, formula(source)) for source in candidates[field.field]}, field
    not_told = set(candidates) - {field.field for field in TOLD[name].fields}
    assert not_told <= {"flops_total", "drafts_total"}, "what only some servers tell"
    assert TOLD[name].latencies == set(table.latencies)


def test_a_llama_server_tells_what_its_reader_makes_of_slots_and_page():
    page = b"".join(
        b"llamacpp:%s 7\n" % name
        for name in (
            *(b"prompt_tokens_total", b"prompt_tokens_cached_total", b"tokens_predicted_total"),
            *(b"tokens_predicted_seconds_total", b"requests_processing", b"requests_deferred"),
        )
    )
    slot = {"id": 0, "id_task": 1, "is_processing": True, "n_ctx": 4096, "n_prompt_tokens": 20, "n_prompt_tokens_processed": 20}
    slot |= {"n_prompt_tokens_cache": 5, "next_token": [{"n_decoded": 3}]}
    reader = LlamaCppReader(engine("llama.cpp"))
    for now_ns in (0, 10**10):
        answers = [Answer(METRICS, 200, page), Answer(SLOTS, 200, json.dumps([slot]).encode())]
        reading = reader.read(answers, now_ns)
    kinds = {(source.field, source.quality) for source in reading.sources.values()}
    assert {(field.field, field.quality) for field in TOLD["llama.cpp"].fields} == kinds
    assert TOLD["llama.cpp"].latencies == frozenset()


def test_the_flag_is_the_engines():
    assert {name: told.metrics_off for name, told in TOLD.items()} == {name: engine(name).metrics_off for name in TOLD}
    assert set(WAITS) >= TOLD["vllm"].latencies
