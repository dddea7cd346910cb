"""The gate of the rules: hundreds of stories with their truth built in, each judged by all rules. ``benchmarks/rules_corpus.py`` plays more."""

from __future__ import annotations

import pytest
from support.corpus_run import KEPT_ASIDE, QUIET_ONES, Count, count, play, some
from support.corpus_world import GATED, Played

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def played() -> list[Played]:
    return list(play(some()))


@pytest.fixture(scope="module")
def counts(played: list[Played]) -> dict[str, Count]:
    return count(played)


@pytest.mark.parametrize("rule", GATED)
@pytest.mark.timeout(600)
def test_a_rule_tells_what_is_true_and_nothing_else(rule: str, counts: dict[str, Count]) -> None:
    found = counts[rule]
    assert found.hit + found.missed >= 20 and found.false + found.silent >= 40, "enough of either kind"
    assert found.precision >= 0.90, found.wrong
    assert found.recall >= 0.80, found.wrong
    assert found.flips <= 2
    assert found.off <= 0.1 * found.compared, "estimates within 30 % of what the matched run would have saved"


def test_estimates_are_compared_with_what_the_matched_run_saves(counts: dict[str, Count]) -> None:
    assert sum(found.compared >= 20 for found in counts.values()) >= 12


def test_nothing_is_told_where_nothing_is_wasted_or_known(played: list[Played]) -> None:
    told = {(one.name, rule) for one in played if one.name in QUIET_ONES for rule in set(one.opened) - one.truth.may}
    assert not told
    assert {one.name for one in played} >= set(QUIET_ONES)


def test_no_seed_is_played_that_is_kept_aside(played: list[Played]) -> None:
    assert not [one for one in played if one.seed in KEPT_ASIDE]
