"""llama.cpp: tokens of the moment from the slots, which over time are the server's own counter."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engine_pages import answer, table
from support.llama_sim import OLD, TODAY, Build, LlamaSim

from gpuwatch.collectors.inference.engines.llamacpp_reader import METRICS_EVERY_NS, LlamaCppReader
from gpuwatch.collectors.inference.engines.slots import Slot, Turnover
from gpuwatch.collectors.inference.reading import Reading
from gpuwatch.names import Quality

S = 1_000_000_000
OUT, PREFILL, CACHED = "output_tokens_total", "prefill_tokens_total", "cached_tokens_total"


class Watched:
    """A reader beside its server, and the sums of all that it told."""

    def __init__(self, server: LlamaSim) -> None:
        self.server, self.reader, self.now = server, LlamaCppReader(table("llama.cpp")), 0
        self.sums: dict[str, float] = {}
        self.looks: list[Reading] = []

    def look(self, after_seconds: float = 2.0) -> Reading:
        """As the collector does: without a path there is no look."""
        self.now += round(after_seconds * S)
        paths = self.reader.paths(self.now)
        if not paths:
            return self.looks[-1]
        reading = self.reader.read(self.server.answers(paths, self.now), self.now)
        for name, amount in reading.amounts.items():
            assert amount >= 0, name
            self.sums[name] = self.sums.get(name, 0.0) + amount
        self.looks.append(reading)
        return reading


looks = st.lists(st.tuples(st.integers(0, 40), st.sampled_from((0.5, 1.0, 2.0, 5.0, 7.0))), min_size=1, max_size=30)
KEEPS = Build(resets=False)


@pytest.mark.parametrize("build", [TODAY, KEEPS], ids=["today", "keeps what the last task reached"])
@given(seed=st.integers(0, 10_000), slots=st.integers(1, 4), plan=looks)
@settings(max_examples=40, deadline=None)
def test_what_is_told_over_time_is_what_the_server_counted(
    build: Build, seed: int, slots: int, plan: list[tuple[int, float]]
) -> None:
    server = LlamaSim(seed, slots, build)
    server.step(seed % 50)
    watched = Watched(server)
    assert watched.look().amounts == {}
    begun = dict(server.told)
    for steps, seconds in plan:
        server.step(steps)
        watched.look(seconds)
        for name, truth in server.truth.items():
            assert watched.sums.get(name, 0) <= truth - begun[name], name
    server.drain()
    watched.look(METRICS_EVERY_NS / S)
    watched.look(METRICS_EVERY_NS / S)
    for name, counted in server.counters.items():
        assert watched.sums[name] == counted - begun[name], name
    assert watched.look().amounts.items() >= {OUT: 0, PREFILL: 0, CACHED: 0}.items()


@given(seed=st.integers(0, 10_000), plan=looks)
@settings(max_examples=40, deadline=None)
def test_an_old_build_that_shows_the_task_before_is_not_counted_twice(seed: int, plan: list[tuple[int, float]]) -> None:
    server = LlamaSim(seed, 2, OLD)
    watched = Watched(server)
    watched.look()
    begun = server.told[OUT]
    for steps, seconds in plan:
        server.step(steps)
        watched.look(seconds)
        assert watched.sums.get(OUT, 0) <= server.made
    server.drain()
    watched.look(METRICS_EVERY_NS / S)
    # It counts no request that a client gave up; the slots showed some of those.
    assert server.output - begun <= watched.sums[OUT] <= server.made


@given(seed=st.integers(0, 10_000), plan=looks)
@settings(max_examples=40, deadline=None)
def test_slots_alone_never_tell_more_than_there_was(seed: int, plan: list[tuple[int, float]]) -> None:
    server = LlamaSim(seed, 2, metrics=False)
    watched = Watched(server)
    watched.look()
    for steps, seconds in plan:
        server.step(steps)
        reading = watched.look(seconds)
        assert watched.sums.get(OUT, 0) <= server.made
        assert OUT in reading.sources
        assert reading.hint == "start llama-server with --metrics (or set LLAMA_ARG_ENDPOINT_METRICS=1)"
        assert reading.gauges.get("waiting_requests", 0) == 0
    assert server.asked.count("/metrics") == 1


def test_with_slots_alone_a_request_that_turns_up_may_not_be_the_first_since_the_look_before() -> None:
    free = Slot(key=(0, -1), busy=False, decoded=0, size=512, prompt=None, cached=None, held=None)
    turnover, busy = Turnover(), free._replace(key=(0, 7), busy=True, decoded=92)
    lost = [turnover.look([slot], second * S) for second, slot in enumerate((free, busy, busy, busy))]
    assert lost == [False, True, True, False]


def test_with_slots_alone_the_pauses_between_short_requests_are_not_all_that_a_server_does() -> None:
    free = Slot(key=(0, 7), busy=False, decoded=0, size=512, prompt=0, cached=0, held=0)
    turnover = Turnover()
    tasks = [7, 7, 8, 8, 8, 9] + [9] * 60
    lost = [turnover.look([free._replace(key=(0, task))], 2 * second * S) for second, task in enumerate(tasks)]
    assert lost == [False] * 2 + [True] * 33 + [False] * 31


def test_the_page_alone_counts_at_the_end_and_is_not_asked_more_often() -> None:
    server = LlamaSim(3, 2, shows_slots=False)
    server.step(200)
    watched = Watched(server)
    reading = watched.look()
    assert reading.sources[OUT].quality is Quality.AT_END and reading.amounts == {}
    assert sum(reading.counters[OUT].values()) == server.output
    assert "--no-slots" in reading.hint
    asked = [watched.reader.paths(watched.now + seconds * S) for seconds in (1, 2, 4, 5)]
    assert asked == [(), (), (), ("/metrics", "/props")]


def test_the_page_is_read_at_most_every_five_seconds_and_before_the_slots() -> None:
    server = LlamaSim(1)
    watched, read = Watched(server), []
    for _ in range(60):
        server.step(server.asked.count("/slots") % 40)
        before = server.asked.count("/metrics")
        watched.look(2)
        if server.asked.count("/metrics") > before:
            read.append(watched.now)
    assert len(read) >= 18 and min(after - before for before, after in pairwise(read)) >= METRICS_EVERY_NS
    assert server.asked[:4] == ["/metrics", "/slots", "/slots", "/props"] and server.asked.count("/props") == 1
    page = [at for at, path in enumerate(server.asked) if path == "/metrics"]
    assert {server.asked[at + 1] for at in page} == {"/slots"}


def test_while_requests_are_short_each_row_holds_what_happened_in_its_time() -> None:
    server = LlamaSim(3, 4)
    watched = Watched(server)
    for _ in range(4):
        watched.look(2)
    for _ in range(30):
        before = server.made
        server.step(120)
        told = watched.look(6).amounts[OUT]
        assert told == pytest.approx(server.made - before, abs=4 * 60)  # what runs at the two ends
        assert watched.reader.paths(watched.now + 2 * S) == ()


def test_while_requests_are_long_the_slots_are_looked_at_between() -> None:
    server = LlamaSim(3, 2, longest=5000)
    watched = Watched(server)
    for _ in range(30):
        server.step(20)
        watched.look(2)
    assert server.asked[-8:].count("/slots") == 6 and server.asked[-8:].count("/metrics") == 2
    assert all(reading.amounts[OUT] > 0 for reading in watched.looks[-6:])


def test_the_moment_is_told_between_two_reads_of_the_page() -> None:
    server = LlamaSim(5, 4)
    watched = Watched(server)
    watched.look()
    server.step(30)
    reading = watched.look(2)
    assert reading.amounts[OUT] > 0 and reading.amounts[PREFILL] > 0
    assert reading.sources[OUT].quality is Quality.ESTIMATED
    assert "/slots" in reading.sources[OUT].source and "llamacpp:tokens_predicted_total" in reading.sources[OUT].source
    assert reading.amounts["prompt_tokens_total"] == reading.amounts[PREFILL] + reading.amounts[CACHED]


def test_nothing_waits_while_a_slot_is_free_whatever_the_page_said_before() -> None:
    reader = LlamaCppReader(table("llama.cpp"))
    page = "llamacpp:requests_deferred 2\n"
    slots = '[{{"id": 0, "is_processing": true}}, {{"id": 1, "is_processing": {}}}]'
    full, free = slots.format("true"), slots.format("false")
    assert reader.read([answer("/metrics", page), answer("/slots", full)], 1).gauges["waiting_requests"] == 2
    assert reader.read([answer("/slots", full)], 2).gauges["waiting_requests"] == 2
    assert reader.read([answer("/slots", free)], 3).gauges["waiting_requests"] == 0
    assert "waiting_requests" not in reader.read([answer("/slots", full)], 4).gauges
    assert reader.read([answer("/metrics", page), answer("/slots", full)], 5).gauges["waiting_requests"] == 2
    alone = LlamaCppReader(table("llama.cpp"))
    assert "waiting_requests" not in alone.read([answer("/metrics", status=501), answer("/slots", full)], 1).gauges
    assert alone.read([answer("/slots", free)], 2).gauges["waiting_requests"] == 0


def test_gauges_and_facts(captured: Any) -> None:
    reader = LlamaCppReader(table("llama.cpp"))
    page = captured("llamacpp-11549-after41.prom").replace(b"requests_deferred 0", b"requests_deferred 2")
    first = reader.read([answer("/metrics", page), answer("/slots", captured("llamacpp-11549-slots-busy.json"))], 1)
    assert first.gauges == {
        "running_requests": 4,
        "waiting_requests": 2,
        "kv_cache_ratio": 4 * 202 / 4096,
        "kv_cache_fullest_ratio": 202 / 1024,
    }
    assert first.amounts == {}
    props = captured("llamacpp-11549-props.json")
    second = reader.read([answer("/slots", captured("llamacpp-11549-slots-busy2.json")), answer("/props", props)], 2)
    assert second.amounts[OUT] == 4 * 154 and second.amounts[PREFILL] == 4 * 202
    assert second.gauges["waiting_requests"] == 2
    one_free = captured("llamacpp-11549-slots-busy2.json").replace(b'"is_processing":true', b'"is_processing":false', 1)
    assert reader.read([answer("/slots", one_free)], 3).gauges["waiting_requests"] == 0
    assert second.facts == {
        "max_running_requests": 4,
        "max_model_tokens": 1024,
        "kv_cache_tokens": 4096,
        "engine_version": "b0-unknown",
        "served_model": "tiny.gguf",
    }


@pytest.mark.parametrize(("alias", "name"), [("models/a.gguf", "a.gguf"), ("mine", "mine"), ("/blobs/sha256-0f", None), ("", None)])
def test_a_model_is_called_by_its_name_and_not_by_its_path(alias: str, name: str | None) -> None:
    reader = LlamaCppReader(table("llama.cpp"))
    reading = reader.read([answer("/slots", '[{"id": 0}]'), answer("/props", f'{{"model_alias": "{alias}"}}')], 1)
    assert reading.facts.get("served_model") == name


def test_a_counter_of_six_digits_is_right_to_its_step() -> None:
    server = LlamaSim(7, 4)
    server.output = 12_345_678
    watched = Watched(server)
    watched.look()
    for _ in range(60):
        server.step(20)
        watched.look(2)
    server.drain()
    watched.look(5)
    assert watched.sums[OUT] == pytest.approx(server.output - 12_345_678, abs=100)


def test_a_counter_that_was_set_back_begins_anew() -> None:
    server = LlamaSim(7, 2)
    server.step(100)
    watched = Watched(server)
    watched.look(5)
    server.output = server.computed = server.cached = 0
    assert OUT not in watched.look(5).amounts
    server.step(10)
    assert 0 <= watched.look(5).amounts[OUT] <= server.made


def test_only_numbers_are_kept_of_the_slots() -> None:
    server = LlamaSim(9, 2)
    watched = Watched(server)
    for _ in range(20):
        server.step(5)
        watched.look()
    held = repr([watched.looks, vars(watched.reader), [vars(ledger) for ledger in watched.reader._ledgers.values()]])
    assert "secret" not in held and "999999" not in held


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"[1, 2]",
        b'[{"id": "one"}]',
        b"[" * 100_000,
        b"<html>",
        b'[{"id": 0}' + b', {"id": 0}' * 5000 + b"]",
    ],
)
def test_what_is_no_list_of_slots_is_refused_in_one_line(body: bytes) -> None:
    reader = LlamaCppReader(table("llama.cpp"))
    with pytest.raises(ValueError, match="^/slots is not what llama.cpp gives$"):
        reader.read([answer("/slots", body)], 1)


@pytest.mark.parametrize("wrong", ["-5", "1.5", "true", "1e400", '"7"', "null", "[]"])
def test_a_number_that_makes_no_sense_is_not_taken(wrong: str) -> None:
    reader = LlamaCppReader(table("llama.cpp"))
    for _ in range(2):
        slots = f'[{{"id": 0, "is_processing": true, "n_ctx": {wrong}, "next_token": {{"n_decoded": {wrong}}}, "n_prompt_tokens": {wrong}}}]'
        reading = reader.read([answer("/slots", slots)], 1)
        assert reading.gauges == {"running_requests": 1} and not reading.amounts.get(OUT)
        assert reading.facts == {"max_running_requests": 1}


def test_a_page_without_the_counter_leaves_the_slots_their_word() -> None:
    server = LlamaSim(9, 2)
    reader, page = LlamaCppReader(table("llama.cpp")), server.page().replace("tokens_predicted_total", "predicted_tokens")
    slots = b'[{"id": 0, "id_task": 1, "is_processing": true, "n_prompt_tokens_processed": 4, "next_token": [{"n_decoded": %d}]}]'
    reader.read([answer("/metrics", page), answer("/slots", slots % 5)], 1)
    reading = reader.read([answer("/metrics", page), answer("/slots", slots % 9)], 2)
    assert reading.amounts[OUT] == 4 and "itl_count_total" not in reading.amounts and "drafts_total" not in reading.amounts
