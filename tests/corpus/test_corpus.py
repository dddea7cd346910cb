"""The corpus: each story is judged by all rules, and what they say is held against what is true of it."""

from __future__ import annotations

import pytest
from support.corpus_run import ALL, POSITIVES, Count, count, play, seeds_of, twins, wilson
from support.corpus_world import GATED, Host, Played

from gpuwatch.rules.catalogue import RULES

NEGATIVES = 20
"""Of each story here; all forty of them, and a whole day of the twins, are in benchmarks/rules_corpus.py."""
TWIN_HOURS = 8


@pytest.fixture(scope="module")
def played() -> list[Played]:
    return play(negatives=NEGATIVES)


@pytest.fixture(scope="module")
def counts(played: list[Played]) -> dict[str, Count]:
    return count(played, RULES)


def test_each_rule_that_warns_tells_what_is_true_and_nothing_else(counts: dict[str, Count]) -> None:
    assert len(GATED) >= 24
    for rule in GATED:
        found = counts[rule]
        assert found.hit + found.missed >= POSITIVES, rule
        assert found.false + found.silent >= 40, rule
        assert found.precision >= 0.90, (rule, found.wrong)
        assert found.recall >= 0.80, (rule, found.wrong)


def test_rules_that_no_story_is_about_say_nothing_of_any(counts: dict[str, Count]) -> None:
    others = {rule: found.wrong for rule, found in counts.items() if rule not in GATED and found.wrong}
    assert others == {}


def test_estimates_are_near_what_the_matched_run_saves(counts: dict[str, Count]) -> None:
    compared = {rule: found for rule, found in counts.items() if found.compared}
    assert len(compared) >= 10
    for rule, found in compared.items():
        assert found.off <= 0.1 * found.compared, (rule, found.off, found.compared)


def test_nothing_comes_and_goes(counts: dict[str, Count]) -> None:
    assert {rule: found.flips for rule, found in counts.items() if found.flips > 2} == {}


def test_tuned_twins_are_told_nothing() -> None:
    told = twins(TWIN_HOURS)
    assert sum(len(one.opened) for one in told) == 0, [(one.name, one.opened) for one in told]


def test_what_is_true_is_decided_by_numbers_alone() -> None:
    story, gpus = ALL["held"]
    first, second = Host().settle("held", story, 3, gpus), Host().settle("held", story, 3, gpus)
    assert (first.must, first.may, first.waste) == (second.must, second.may, second.waste)
    assert seeds_of("held", story, gpus) == seeds_of("held", story, gpus)


def test_the_interval_of_a_share() -> None:
    low, high = wilson(20, 20)
    assert (round(low, 3), round(high, 3)) == (0.839, 1.0)
    assert wilson(0, 0) == (0.0, 1.0)
