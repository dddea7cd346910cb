"""Rates of a training against sums made by hand: whole steps however long, all ranks together, and no zero where nothing is known."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest
from support.trained import Trains, even, held, run_of, trained_story, training_of, view_of

from gpuwatch.configured import GpuPriceList, PriceStep, price_list
from gpuwatch.names import Latency, Missing, Phase, RunOutcome, TrainingSource
from gpuwatch.report.status_text import status_text
from gpuwatch.view.terms import Terms

PRICED = Terms(prices=price_list("$", 0.5, (GpuPriceList("NVIDIA H100*", (PriceStep(None, 3.0),)),), UTC))


def slow(every: int, tokens: float = 8000.0):
    """A step each so many seconds; its tokens are counted as its forward passes come, half of them before it ends."""

    def tells(second: int) -> dict[str, float | None]:
        ends, half = second % every == 0, second % every == every // 2
        told = even(0.0)
        told |= {"rank_steps_total": float(ends), "tokens_total": tokens / 2 if ends or half else 0.0, "forward_seconds": 1.0}
        return told

    return tells


def test_rates_are_counts_over_the_true_time_of_whole_steps(tmp_path: Path) -> None:
    told = even(4.0, 500.0) | {"attached_seconds": 1.25, "samples_total": 8.0, "loss": 2.5, "step_number": 400.0}
    story = trained_story(tmp_path / "s.db", Trains(100, tells=lambda second: told, facts={"total_steps": 1000}))
    found = training_of(story.run(60))
    assert found.steps_per_second == pytest.approx(3.2)
    assert found.tokens_per_second == pytest.approx(1600.0)
    assert found.samples_per_second == pytest.approx(6.4)
    assert found.tokens_per_step == pytest.approx(500.0)
    assert found.rate_seconds == pytest.approx(30.0)
    assert (found.loss, found.step_number, found.total_steps) == (2.5, 400, 1000)
    assert found.to_go_seconds == pytest.approx(600 / 3.2)
    assert (found.attached, found.source, found.model) == (True, TrainingSource.HOOK, "GPT")
    work = view_of(story).workloads[0]
    assert (work.attached, work.tokens_per_second, work.model) == (True, found.tokens_per_second, "GPT")


def test_steps_longer_than_the_window_are_told_over_a_whole_one(tmp_path: Path) -> None:
    story = trained_story(tmp_path / "s.db", Trains(100, tells=slow(45)))
    for seconds in (100, 13, 11, 17, 20):  # wherever in a step it is asked
        found = training_of(story.run(seconds))
        assert found.tokens_per_second == pytest.approx(8000 / 45)
        assert found.rate_seconds == pytest.approx(45.0)
        assert found.step_seconds == pytest.approx(45.0)
        known = [cell for cell in found.rate_cells if cell is not None]
        assert known and known == pytest.approx([8000 / 45] * len(known))


def test_a_rate_falls_when_no_step_ends_any_more(tmp_path: Path) -> None:
    hangs = {"rank_steps_total": 0.0, "tokens_total": 0.0, "data_wait_seconds": 1.0, "phase": int(Phase.DATA)}
    trains = Trains(100, tells=lambda second: even() if second <= 60 else hangs | {"phase_age_seconds": float(second - 60)})
    story = trained_story(tmp_path / "s.db", trains)
    assert training_of(story.run(63)).tokens_per_second == pytest.approx(1000.0)
    assert training_of(story.run(7)).tokens_per_second == pytest.approx(1000.0 * 20 / 30)
    found = training_of(story.run(60))
    assert found.tokens_per_second == 0.0
    assert found.stalled == "waiting for data for 70 s, a step takes 1.0 s"
    assert (found.phase, found.phase_age_seconds) == (Phase.DATA, pytest.approx(70.0))
    assert found.to_go_seconds is None
    story.gap(1)
    found = training_of(story.run(330))  # no step in all of the window
    assert (found.tokens_per_second, found.steps_per_second, found.samples_per_second) == (0.0, 0.0, None)
    assert (found.step_seconds, found.phases, found.stalled) == (None, (), "waiting for data for 400 s")
    assert {found.missing[name] for name in ("step_seconds", "tokens_per_step", "to_go_seconds")} == {Missing.STALE}
    assert found.rate_cells == (0.0,) * 9


def test_before_the_first_step_nothing_is_known_and_nothing_is_stalled(tmp_path: Path) -> None:
    starting = {"rank_steps_total": 0.0, "tokens_total": 0.0, "starting_seconds": 1.0, "phase": int(Phase.STARTING)}
    story = trained_story(tmp_path / "s.db", Trains(100, tells=lambda second: starting | {"phase_age_seconds": float(second)}))
    found = training_of(story.run(90))
    assert (found.tokens_per_second, found.steps_per_second, found.step_seconds) == (None, None, None)
    assert found.missing["tokens_per_second"] is Missing.STALE
    assert (found.phase, found.stalled, found.rate_cells) == (Phase.STARTING, "", (None,) * 9)


def test_what_was_told_last_is_dropped(tmp_path: Path) -> None:
    story = trained_story(tmp_path / "s.db", Trains(100, tells=lambda second: even() if second <= 60 else None))
    found = training_of(story.run(70))
    assert (found.phase, found.tokens_per_second) == (None, pytest.approx(1000.0))
    assert found.age_seconds == 10.0
    found = training_of(story.run(30))
    assert (found.phase, found.tokens_per_second, found.loss) == (None, None, None)


def test_a_break_in_the_counts_is_no_time_of_a_step(tmp_path: Path) -> None:
    """At the first reading after a break there are no counts: what came before it is not known."""

    def tells(second: int) -> dict[str, float | None]:
        broken = {name: None for name in even() if name.endswith("_total")}
        return even() | (broken | {"attached_seconds": None} if second == 50 else {})

    found = training_of(trained_story(tmp_path / "s.db", Trains(100, tells=tells)).run(60))
    assert found.tokens_per_second == pytest.approx(1000.0)
    assert found.rate_seconds == pytest.approx(9.0)


def test_a_training_that_eats_no_tokens_tells_samples(tmp_path: Path) -> None:
    told = even() | {"tokens_total": None, "samples_total": 32.0}
    found = training_of(
        trained_story(tmp_path / "s.db", Trains(100, tells=lambda s: told, facts={"tokens_kind": "samples"})).run(60)
    )
    assert (found.tokens_per_second, found.samples_per_second) == (None, pytest.approx(32.0))
    assert found.missing["tokens_per_second"] is Missing.NOT_SUPPORTED
    assert found.rate_cells[-2] == pytest.approx(32.0)
    assert found.mfu_ratio is None and found.mfu_missing == "no GPU is known to be its own"


def test_where_a_step_goes_is_a_mean_of_rank_steps(tmp_path: Path) -> None:
    facts = {"world": 2, "data_parallel": 2, "data_parallel_source": "assumed"}
    counts = {Latency.STEP: {(900_000, 1_100_000): 4}, Latency.STEP_DATA: {(90_000, 110_000): 2, (290_000, 310_000): 2}}
    first = Trains(100, 0, facts=facts, buckets=lambda second: counts)
    other = Trains(101, 1, root=100, facts=facts, tells=lambda s: even(data_wait_seconds=0.3, backward_seconds=0.3))
    found = training_of(trained_story(tmp_path / "s.db", first, other).run(60))
    assert found.tokens_per_second == pytest.approx(2000.0)
    assert found.steps_per_second == pytest.approx(1.0)
    assert found.tokens_per_step == pytest.approx(2000.0)
    assert found.step_seconds == pytest.approx(1.0)
    assert {part.phase: part.seconds for part in found.phases} == {
        Phase.DATA: pytest.approx(0.2),
        Phase.FORWARD: pytest.approx(0.3),
        Phase.BACKWARD: pytest.approx(0.4),
        Phase.OPTIMIZER: pytest.approx(0.1),
    }
    assert sum(part.share for part in found.phases) == pytest.approx(1.0)
    assert found.phases[0].p95_seconds == pytest.approx(0.308)
    assert found.phases[1].p95_seconds is None
    assert found.step_p50_seconds == pytest.approx(1.0)
    assert found.steps_in_window == 58
    assert found.parallelism == "2 ranks, assumed data parallel"


def test_padding_is_told_of_the_batches_in_which_it_was_counted(tmp_path: Path) -> None:
    told = even() | {"counted_tokens_total": 250.0, "nonpad_tokens_total": 150.0}
    found = training_of(trained_story(tmp_path / "s.db", Trains(100, tells=lambda second: told)).run(60))
    assert found.padding_ratio == pytest.approx(0.4)
    assert found.nonpad_tokens_per_second == pytest.approx(600.0)


def test_energy_and_tokens_are_of_the_same_seconds(tmp_path: Path) -> None:
    first, other = Trains(100, 0), Trains(101, 1, root=100)
    story = trained_story(tmp_path / "s.db", first, other, gpus=2)
    held(story, first, 0)
    held(story, other, 1)
    story.gpus[0].sample, story.gpus[1].sample = {"energy_joules": 300.0}, {"energy_joules": 100.0}
    found = training_of(story.run(60), terms=PRICED)
    assert found.power_watts == pytest.approx(400.0)
    assert found.energy_per_token_joules == pytest.approx(0.2)
    assert found.tokens_per_second_per_gpu == pytest.approx(1000.0)
    hourly = 2 * 3.0 + 0.4 * 0.5
    assert found.cost_per_million_tokens == pytest.approx(hourly / (2000.0 * 3600) * 1e6)
    assert found.currency == "$"


def test_a_shared_gpu_has_no_energy_of_one(tmp_path: Path) -> None:
    first, other = Trains(100), Trains(200)
    story = trained_story(tmp_path / "s.db", first, other)
    held(story, first)
    held(story, other)
    found = training_of(story.run(60))
    assert found.shared_gpu
    assert (found.power_watts, found.energy_per_token_joules, found.mfu_ratio) == (None, None, None)
    assert found.mfu_missing == "another workload shares its GPU"


def test_a_run_has_taken_no_fewer_steps_than_its_ranks_have_told(tmp_path: Path) -> None:
    """Its row is told every ten seconds, and has what was before the recorder."""
    trains = Trains(100)
    counts = []
    for steps in (12, None, 900):
        story = trained_story(tmp_path / f"{steps}.db", trains)
        story.runs[100] = run_of(trains, steps=steps, tokens=steps and steps * 1000)
        found = training_of(story.run(60)).run
        assert found is not None
        counts.append((found.steps_total, found.tokens_total))
    assert counts == [(59, 59_000), (59, 59_000), (900, 900_000)]


def test_a_training_that_is_not_attached_says_how(tmp_path: Path) -> None:
    trains = Trains(100, tells=lambda second: None)
    story = trained_story(tmp_path / "s.db", trains)
    story.without_cards = True
    held(story, trains)
    story.runs[100] = run_of(trains, first_step_ms=None, attached=False)
    found = training_of(story.run(60))
    assert (found.attached, found.hint, found.ranks) == (False, "gpuwatch run -- COMMAND", ())
    assert set(found.missing.values()) == {Missing.NOT_ATTACHED}
    assert found.run is not None
    assert (found.run.outcome, found.run.attached, found.run.gpus) == (RunOutcome.RUNNING, False, 1)
    assert found.run.gpu_seconds == pytest.approx(60.0, abs=10.0)


def test_a_training_that_could_not_be_attached_says_why(tmp_path: Path) -> None:
    trains, why = Trains(100, tells=lambda second: None), "not attached to pid 100, python -I train.py: Python was started with -I"
    story = trained_story(tmp_path / "s.db", trains)
    story.without_cards = True
    story.runs[100] = run_of(trains, first_step_ms=None, attached=False, detail=why)
    found = training_of(story.run(60))
    assert (found.attached, found.detail, found.hint) == (False, why, "")
    text = status_text(view_of(story), width=60)
    assert (
        "  └ not attached to pid 100, python -I train.py: Python was\n    started with -I\n" in text
        and "need  gpuwatch run" not in text
    )


def test_lines_of_a_log_are_told_over_the_time_between_them(tmp_path: Path) -> None:
    """A line each 20 s says what ten steps did; of what came before the first one nothing is known."""

    def tells(second: int) -> dict[str, float | None] | None:
        said: dict[str, float | None] = {"attached_seconds": None, "rank_steps_total": 10.0, "tokens_total": 40_000.0, "loss": 3.5}
        return said if second % 20 == 0 else None

    facts = {"source": TrainingSource.LOG, "detail": "nanoGPT, train.log", "rank": None, "local_rank": None}
    trains = Trains(100, None, tells=tells, facts=facts)
    trains.dt_ms = 20_000
    story = trained_story(tmp_path / "s.db", trains)
    found = training_of(story.run(70))
    assert (found.attached, found.source, found.hint) == (False, TrainingSource.LOG, "gpuwatch run -- COMMAND")
    assert found.tokens_per_second == pytest.approx(2000.0)
    assert (found.steps_per_second, found.step_seconds, found.loss) == (pytest.approx(0.5), pytest.approx(2.0), 3.5)
    assert (found.phases, found.phase, found.goodput_ratio) == ((), None, None)
    assert found.missing["goodput_ratio"] is Missing.NOT_ATTACHED
    text = status_text(view_of(story), width=100)
    assert "└ nanoGPT, train.log · its newest line is 10 s old · step times need gpuwatch run -- COMMAND" in text
