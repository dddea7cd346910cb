"""What each table must be, whatever its engine."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import get_args

import pytest

from gpuwatch.collectors.inference import engines
from gpuwatch.collectors.inference.engine import Engine, Evidence, Source
from gpuwatch.collectors.procs.engines import ENGINES
from gpuwatch.dataclass import fields
from gpuwatch.measure import measures
from gpuwatch.model import InferenceSample, Server
from gpuwatch.names import WAITS, Quality

EVERY = engines.every()
FACTS = {"served_model", "engine_version", "max_model_tokens", "max_running_requests", "kv_cache_tokens"}
each = pytest.mark.parametrize("table", EVERY, ids=[table.name for table in EVERY])


def sources(table: Engine) -> Iterator[Source]:
    """All sources of a table, with those inside others."""
    waiting = [source for group in (*table.fields.values(), *table.latencies.values()) for source in group]
    while waiting:
        source = waiting.pop()
        yield source
        waiting += [*source.minus, *source.plus, *source.over]


def test_every_server_that_the_process_collector_knows_has_a_table() -> None:
    assert {known.name for known in ENGINES} == set(engines.NAMES)


def test_a_table_is_found_by_its_own_name_and_an_unknown_name_has_none() -> None:
    assert [table.name for table in EVERY] == list(engines.NAMES)
    assert engines.engine("apache") is None


@each
def test_fields_facts_and_waiting_times_are_those_of_the_model(table: Engine) -> None:
    known = measures(InferenceSample)
    assert set(table.fields) <= set(known) - {"server_state", "window_seconds"}
    assert {known[name].kind for name in table.fields} <= {"delta", "gauge"}
    assert set(table.latencies) <= set(WAITS)
    assert set(table.facts) | {fact for facts in table.once.values() for fact in facts} <= FACTS
    assert {field.name for field in fields(Server)} >= FACTS


@each
def test_every_line_says_how_it_is_known_and_no_unseen_engine_claims_more_than_its_source(table: Engine) -> None:
    known = {source.evidence for source in sources(table)} | {fact.evidence for facts in table.facts.values() for fact in facts}
    assert known <= set(get_args(Evidence))
    assert all(isinstance(source.quality, Quality) for source in sources(table))
    if table.verified:
        assert known & {"live", "captured"}
    else:
        assert known <= {"source"}


@each
def test_names_begin_as_the_lines_that_are_read(table: Engine) -> None:
    for group in (table.paths, table.prefixes, table.marks, table.aliases):
        assert isinstance(group, tuple)
    families = {source.family for source in sources(table)} | {beside for source in sources(table) for beside in source.beside}
    families |= {
        name
        for facts in table.facts.values()
        for fact in facts
        for name in (fact.family, *fact.times)
        if ":" in name or "_" in name
    }
    families -= {"block_size"}  # a label
    assert all(family.startswith(table.prefixes) for family in (*families, *table.marks))


@each
def test_no_more_than_two_paths_and_never_one_that_a_reader_empties_or_that_may_hold_keys(table: Engine) -> None:
    assert len(table.paths) <= 2
    asked = {*table.paths, *table.once}
    assert all(path.startswith("/") for path in asked)
    assert not asked & {"/server_info", "/get_server_info", "/perf_metrics"}
    if table.name == "trt-llm":
        assert "/metrics" not in asked


@each
def test_it_says_what_to_do_without_its_numbers(table: Engine) -> None:
    assert table.title and table.metrics_off and "\n" not in table.metrics_off and table.notes
    assert not table.metrics_off.endswith(".")
    assert bool(table.paths) == (table.fields != {} or table.name == "ollama")


@each
def test_its_reader_can_be_made(table: Engine) -> None:
    if table.reader:
        module, _, name = table.reader.partition(":")
        reader = getattr(import_module(module), name)(table)
        assert 1 <= len(reader.paths(0)) <= 2


def test_loading_the_package_loads_no_table() -> None:
    import subprocess
    import sys

    code = "import sys, gpuwatch.collectors.inference.engines; print([m for m in sys.modules if '.engines.' in m or m == 'json'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
