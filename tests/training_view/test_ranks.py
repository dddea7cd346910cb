"""Which rank the others wait for, which one hangs, which one died: named where it is sure, and never for noise."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support.story import START
from support.trained import Told, TrainedStory, Trains, even, trained_story, training_of, view_of

from gpuwatch.names import Phase, RunOutcome
from gpuwatch.report.status_text import status_text

FACTS = {"world": 2, "data_parallel": 2, "data_parallel_source": "assumed"}


def pair(path: Path, first: Told, other: Told) -> TrainedStory:
    """Two ranks of a job, each of which does the same every second."""
    ranks = Trains(100, 0, facts=FACTS, tells=lambda second: first), Trains(101, 1, root=100, facts=FACTS, tells=lambda s: other)
    return trained_story(path, *ranks)


def test_the_rank_with_most_time_of_its_own_is_the_one_that_the_others_wait_for(tmp_path: Path) -> None:
    waits = even(data_wait_seconds=0.1, other_seconds=0.0)
    slow = even(data_wait_seconds=0.35, other_seconds=0.0, backward_seconds=0.25)
    found = training_of(pair(tmp_path / "s.db", waits, slow).run(60))
    assert found.straggler == "rank 1 waits for data 250 ms longer a step; the other waits for it"
    assert [rank.host_seconds for rank in found.ranks] == [pytest.approx(0.1), pytest.approx(0.35)]
    own = even(data_wait_seconds=0.1, other_seconds=0.25, backward_seconds=0.25)
    found = training_of(pair(tmp_path / "o.db", own, waits | {"other_seconds": 0.0}).run(60))
    assert found.straggler == "rank 0 is in its own code between steps 250 ms longer a step; the other waits for it"


@pytest.mark.parametrize(
    ("first", "other", "seconds"),
    [
        (even(other_seconds=0.0), even(data_wait_seconds=0.13, other_seconds=0.0, backward_seconds=0.47), 60),  # 3 % of a step
        (even(other_seconds=0.0), even(data_wait_seconds=0.35, other_seconds=0.0), 60),  # steps of other lengths: nobody waits
        (even(other_seconds=0.0), even(data_wait_seconds=0.35, other_seconds=0.0, backward_seconds=0.25), 15),  # few steps
        (even(other_seconds=0.0), even(data_wait_seconds=0.35, backward_seconds=0.25), 60),  # parts not known
    ],
)
def test_no_rank_is_named_where_it_is_not_sure(tmp_path: Path, first: Told, other: Told, seconds: int) -> None:
    assert training_of(pair(tmp_path / "s.db", first, other).run(seconds)).straggler == ""


def test_noise_makes_no_straggler(tmp_path: Path) -> None:
    chance = random.Random(5)

    def tells(second: int) -> Told:
        data = chance.uniform(0.0, 0.2)
        return even(data_wait_seconds=data, backward_seconds=0.6 - data, other_seconds=0.0)

    ranks = [Trains(100 + n, n, root=100, facts=FACTS | {"world": 8}, tells=tells) for n in range(8)]
    story = trained_story(tmp_path / "s.db", *ranks)
    assert [training_of(story.run(seconds)).straggler for seconds in (60, 60, 60)] == ["", "", ""]


def stuck(phase: Phase, since: int) -> Told:
    nothing = dict.fromkeys(even(), 0.0)
    return nothing | {"phase": int(phase), "phase_age_seconds": float(since)}


def test_the_rank_that_hangs_is_named_not_those_that_wait_for_it(tmp_path: Path) -> None:
    first = Trains(100, 0, facts=FACTS, tells=lambda s: even() if s <= 40 else stuck(Phase.BACKWARD, s - 40))
    other = Trains(101, 1, root=100, facts=FACTS, tells=lambda s: even() if s <= 40 else stuck(Phase.DATA, s - 40))
    story = trained_story(tmp_path / "s.db", first, other)
    assert training_of(story.run(60)).stalled == ""
    found = training_of(story.run(15))
    assert found.stalled == "rank 1 waiting for data for 35 s, a step takes 1.0 s"
    assert found.phase is Phase.BACKWARD
    assert found.stalled in status_text(view_of(story), width=120)


def test_a_long_step_is_not_stalled(tmp_path: Path) -> None:
    """20 times a median of 4 s is 80 s."""

    def tells(second: int) -> Told:
        return even(float(second % 4 == 0)) if second <= 80 else stuck(Phase.EVAL, second - 80)

    story = trained_story(tmp_path / "s.db", Trains(100, tells=lambda s: tells(s) | ({"forward_seconds": 4.0} if s % 4 == 0 and s <= 80 else {})))  # fmt: skip
    assert training_of(story.run(140)).stalled == ""


def test_a_rank_that_died_is_told_with_its_time_and_the_others_wait(tmp_path: Path) -> None:
    died_ms = round(START * 1000) + 40_000
    other = Trains(101, 1, root=100, facts=FACTS, tells=lambda s: even() if s <= 40 else None)
    first = Trains(100, 0, facts=FACTS, tells=lambda s: even() if s <= 40 else stuck(Phase.BACKWARD, s - 40))
    story = trained_story(tmp_path / "s.db", first, other)
    story.run(40)
    other.facts = FACTS | {"ended_ms": died_ms, "outcome": RunOutcome.DIED}
    story.run(40)
    found = training_of(story)
    assert [(rank.rank, rank.outcome, rank.ended_ms) for rank in found.ranks] == [
        (0, RunOutcome.RUNNING, None),
        (1, RunOutcome.DIED, died_ms),
    ]
    assert found.stalled == "rank 1 died; the other has waited for it for 40 s"
    text = status_text(view_of(story), width=120)
    assert "rank 1 (pid 101) died 40 s ago" in text
    before = training_of(story, at_ms=died_ms - 10_000)
    assert [rank.outcome for rank in before.ranks] == [RunOutcome.RUNNING] * 2
    assert before.tokens_per_second == pytest.approx(2000.0)


def test_a_restarted_rank_is_told_once(tmp_path: Path) -> None:
    ended = FACTS | {"ended_ms": round(START * 1000) - 50_000, "outcome": RunOutcome.FAILED}
    first = Trains(100, 0, facts=FACTS)
    story = trained_story(tmp_path / "s.db", first, Trains(101, 1, root=100, facts=ended, tells=lambda s: None), Trains(102, 1, root=100, facts=FACTS))  # fmt: skip
    assert [(rank.pid, rank.rank) for rank in training_of(story.run(60)).ranks] == [(100, 0), (102, 1)]


def test_ranks_elsewhere_are_said_to_be(tmp_path: Path) -> None:
    facts = {"world": 8, "data_parallel": 4, "data_parallel_source": "mesh"}
    story = trained_story(tmp_path / "s.db", Trains(100, 0, facts=facts), Trains(101, 1, root=100, facts=facts))
    assert training_of(story.run(20)).parallelism == "8 ranks, 2 on this host, 4 data parallel by its device mesh"
