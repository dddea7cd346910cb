"""What is told of the time since a run's start: its row, goodput, checkpoints, what it has cost; and its last hour."""

from __future__ import annotations

import sqlite3
from datetime import UTC
from pathlib import Path

import pytest
from support.story import START
from support.trained import ROOT_MS, Told, Trains, even, held, run_of, trained_story, training_of, view_of

from gpuwatch.configured import GpuPriceList, PriceStep, price_list
from gpuwatch.names import Phase, RunOutcome
from gpuwatch.store.window import Window
from gpuwatch.view.detail import build_detail
from gpuwatch.view.terms import Terms
from gpuwatch.view.types import DetailRequest

REQUEST = DetailRequest(workload=(100, ROOT_MS, 0))
PRICED = Terms(prices=price_list("$", None, (GpuPriceList("NVIDIA H100*", (PriceStep(None, 3.6),)),), UTC))
HAPPENED = {"compilations_total": 0.0, "alloc_retries_total": 1.0, "out_of_memory_total": 0.0}


def tells(second: int) -> Told:
    """A second in five is a checkpoint's."""
    if second % 5 == 0:
        return (
            dict.fromkeys(even(), 0.0) | {"checkpoint_seconds": 1.0, "eval_seconds": 0.0, "phase": int(Phase.CHECKPOINT)} | HAPPENED
        )
    return even() | {"checkpoint_seconds": 0.0, "eval_seconds": 0.0} | HAPPENED


def test_shares_of_the_life_come_from_minutes_and_from_rows(tmp_path: Path) -> None:
    trains = Trains(100, tells=tells, facts={"attached_ms": round(START * 1000)})
    story = trained_story(tmp_path / "s.db", trains)
    held(story, trains)
    story.close_minutes()
    for seconds in (50, 200, 200):
        story.run(seconds)
        lived = story.now_ms / 1000 - START
        found = training_of(story, terms=PRICED)
        assert found.checkpoint_ratio == pytest.approx(0.2, abs=0.02)
        assert found.eval_ratio == 0.0
        assert found.goodput_ratio == pytest.approx(0.8 * 0.9 * lived / (lived + 100), rel=0.03)
        assert found.alloc_retries_total == pytest.approx(lived, abs=2)
        assert (found.compilations_total, found.out_of_memory_total) == (0, 0)
        assert found.first_step_seconds == 30.0
        assert found.run is not None
        assert found.run.gpu_seconds == pytest.approx(lived, abs=12)
        assert found.run.energy_joules == pytest.approx(100 * lived, abs=1200)
        assert found.cost == pytest.approx(found.run.gpu_seconds / 1000)
        assert found.price == "$3.60/GPU·h"


def test_time_in_which_a_run_hangs_is_not_productive(tmp_path: Path) -> None:
    """One of two ranks waits for data for ever, the other for it in backward; whoever does so for a step is at work."""
    stuck = dict.fromkeys(even(), 0.0)

    def waits(second: int) -> Told:
        return (
            even()
            if second <= 60
            else stuck | {"data_wait_seconds": 1.0, "phase": int(Phase.DATA), "phase_age_seconds": second - 60.0}
        )

    def peer(second: int) -> Told:
        return (
            even()
            if second <= 60
            else stuck | {"backward_seconds": 1.0, "phase": int(Phase.BACKWARD), "phase_age_seconds": second - 60.0}
        )

    facts = {"attached_ms": round(START * 1000)}
    story = trained_story(tmp_path / "s.db", Trains(100, 0, tells=waits, facts=facts), Trains(101, 1, peer, 100, facts))
    story.close_minutes()
    found = training_of(story.run(80))
    assert found.goodput_ratio == pytest.approx((2 * 0.9 * 59 + 20) / (2 * 180)), "a long step, for all that is known"
    assert training_of(story.run(520)).goodput_ratio == pytest.approx(2 * 0.9 * 59 / (2 * 700))


@pytest.mark.parametrize(("watts", "joules"), [(300.0, 400.0 * 60), (None, None)])
def test_a_run_has_an_energy_where_each_of_its_gpus_tells_one(tmp_path: Path, watts: float | None, joules: float | None) -> None:
    trains, other = Trains(100, 0), Trains(101, 1, root=100)
    story = trained_story(tmp_path / "s.db", trains, other, gpus=2)
    held(story, trains, 0)
    held(story, other, 1)
    story.gpus[1].sample = {"power_watts": watts}
    found = training_of(story.run(60), terms=Terms(prices=price_list("$", 0.5, (), UTC)))
    assert found.run is not None and found.run.gpu_seconds == pytest.approx(2 * 60, abs=12)
    assert found.run.energy_joules == (None if joules is None else pytest.approx(joules, rel=0.1))
    assert found.cost == (None if joules is None else pytest.approx(found.run.energy_joules / 3.6e6 * 0.5))


def test_a_life_that_was_watched_in_part_has_no_goodput(tmp_path: Path) -> None:
    trains = Trains(100, tells=tells, facts={"attached_ms": round(START * 1000) - 60_000})
    found = training_of(trained_story(tmp_path / "s.db", trains).run(100))
    assert found.goodput_ratio is None
    assert found.checkpoint_ratio is not None


def test_a_run_is_told_as_it_was_then(tmp_path: Path) -> None:
    trains = Trains(100, tells=lambda s: even() if s <= 60 else None)
    story = trained_story(tmp_path / "s.db", trains)
    held(story, trains)
    story.run(60)
    end_ms = story.now_ms
    ended = {"steps": 59, "tokens": 59_000, "last_step_ms": end_ms, "ended_ms": end_ms, "exit_code": 1, "detail": "ValueError"}
    story.runs[100] = run_of(trains, outcome=RunOutcome.FAILED, **ended)
    trains.facts = {"ended_ms": end_ms, "outcome": RunOutcome.FAILED, "detail": "ValueError"}
    story.run(20)
    found = training_of(story).run
    assert found is not None
    assert (found.outcome, found.exit_code, found.detail, found.tokens_total) == (RunOutcome.FAILED, 1, "ValueError", 59_000)
    assert found.lost_gpu_seconds == found.gpu_seconds  # no checkpoint
    then = training_of(story, at_ms=end_ms - 20_000).run
    assert then is not None
    assert (then.outcome, then.exit_code, then.detail, then.ended_ms) == (RunOutcome.RUNNING, None, "", None)
    assert (then.tokens_total, then.lost_gpu_seconds) == (39_000, None)


def test_what_an_ended_run_held_stays_when_its_last_minute_is_closed(tmp_path: Path) -> None:
    trains = Trains(100, tells=lambda s: even() if s <= 110 else None)
    story = trained_story(tmp_path / "s.db", trains)
    held(story, trains)
    story.close_minutes()
    story.run(110)
    story.runs[100] = run_of(trains, outcome=RunOutcome.FINISHED, exit_code=0, ended_ms=story.now_ms)
    story.holds = []
    found = training_of(story.run(20)).run
    assert found is not None and found.gpu_seconds == pytest.approx(110, abs=12)
    story.gap(1200)
    story.run(90)  # the process is still listed, so that there is a view of it
    with sqlite3.connect(tmp_path / "s.db") as db:
        told = db.execute("SELECT gpu_seconds FROM v_run").fetchone()[0]
    found = training_of(story).run
    assert found is not None and found.gpu_seconds == told == pytest.approx(110, abs=12)


def test_minutes_of_the_last_hour_with_the_open_ones_from_single_rows(tmp_path: Path) -> None:
    """A thousand tokens a second in the first minute, two in the second, and so on, of two ranks each."""

    def grows(second: int) -> Told:
        return even(1.0, 1000.0 * (1 + (second - 1) // 60), data_wait_seconds=0.1 if second <= 120 else 1.1)

    trains, other = Trains(100, 0, tells=grows), Trains(101, 1, root=100, tells=grows)
    story = trained_story(tmp_path / "s.db", trains, other)
    held(story, trains)
    story.close_minutes()
    story.run(200)
    with Window(tmp_path / "s.db") as window:
        for at_ms in (None, story.now_ms - 10_000):
            found = build_detail(window, REQUEST, view_of(story, at_ms, window))
            history = found.training
            assert history is not None and found.inference is None
            assert (history.cell_seconds, history.unit, len(history.per_second)) == (60, "tokens", 60)
            assert history.per_second[:56] == (None,) * 56
            assert history.per_second[56:] == pytest.approx((2000.0, 4000.0, 6000.0, 8000.0), rel=0.01)
            assert history.best_minute_per_second == pytest.approx(6000.0, rel=0.01)
            assert history.mean_per_second == pytest.approx(4000.0, rel=0.01)
            assert history.phase_shares[Phase.DATA][56:] == pytest.approx((0.1, 0.1, 0.55, 0.55), rel=0.01)
            assert Phase.EVAL not in history.phase_shares
            assert found.workload_ledger is not None
        fresh = build_detail(window, REQUEST, view_of(story, None, window))
        story.run(67)
        live = build_detail(window, REQUEST, view_of(story, None, window))
        assert fresh != live
        with Window(tmp_path / "s.db") as anew:
            assert live == build_detail(anew, REQUEST, view_of(story, None, anew))
