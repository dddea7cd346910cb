"""Runs: those that fail, those that start slowly, and what checkpoints and evaluations take."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.names import Basis, RunOutcome, Severity
from gpuwatch.rules.experiments import checkpoint_eval_overhead, failed_run_waste, slow_first_step
from gpuwatch.rules.looks import JobDay, RunFacts
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import START_MS, Stage


def ended(outcome: RunOutcome, minutes: float = 60, **fields: Any) -> Stage:
    """A stage on which a run of two GPUs has just ended."""
    stage = Stage(2)
    run = RunFacts(START_MS - round(minutes * 60_000), ended_ms=START_MS, outcome=outcome, **fields)
    stage.job(5, name="train.py", run=run)
    stage.process(51, gpus=(1,), job=5)
    stage.process(52, gpus=(2,), job=5)
    stage.ranks(5, (51, 52))
    stage.gone(51)
    stage.gone(52)
    stage.run(60, {"utilization": 0.0})
    return stage


def test_a_run_that_fails_loses_what_it_did_since_its_last_checkpoint() -> None:
    stage = ended(RunOutcome.FAILED, last_checkpoint_ms=START_MS - 900_000, detail="rank 1: OutOfMemoryError")
    found = stage.judge(failed_run_waste, job=5)
    assert isinstance(found, Finding)
    assert found.severity is Severity.NOTICE and found.gpus == (1, 2)
    assert found.cost_gpu_seconds == 1800.0
    assert found.waste_gpus == pytest.approx(1800 / 86_400)
    assert "failed (rank 1: OutOfMemoryError) 15 min after its last checkpoint" in found.title
    assert found.try_first[0] == "PYTORCH_ALLOC_CONF=expandable_segments:True"


@pytest.mark.parametrize(
    ("detail", "first"),
    [
        ("RuntimeError: CUDA out of memory", "PYTORCH_ALLOC_CONF=expandable_segments:True"),
        ("ValueError: loss is nan", "torch.autograd.set_detect_anomaly(True)"),
        ("FileNotFoundError: finance/room_3.csv", "a dry run on one GPU with 20 steps"),
    ],
)
def test_advice_on_a_failed_run_goes_by_whole_words_of_its_error(detail: str, first: str) -> None:
    found = ended(RunOutcome.FAILED, detail=detail).judge(failed_run_waste, job=5)
    assert isinstance(found, Finding) and found.try_first[0] == first


def test_one_without_a_checkpoint_loses_it_all_and_three_a_day_are_a_warning() -> None:
    stage = ended(RunOutcome.DIED)
    stage.job_days[5] = JobDay(24, failures=3)
    found = stage.judge(failed_run_waste, job=5)
    assert isinstance(found, Finding)
    assert (found.severity, found.cost_gpu_seconds, found.name) == (Severity.WARNING, 7200.0, "failing the same way")
    assert "third time" in found.title and "without a checkpoint" in found.title


@pytest.mark.parametrize("outcome", [RunOutcome.STOPPED, RunOutcome.FINISHED])
def test_a_run_that_ended_well_or_was_stopped_is_no_waste(outcome: RunOutcome) -> None:
    assert isinstance(ended(outcome).judge(failed_run_waste, job=5), Clear)


def test_a_short_run_that_fails_is_how_one_works() -> None:
    assert isinstance(ended(RunOutcome.FAILED, minutes=9.9).judge(failed_run_waste, job=5), Clear)
    assert isinstance(ended(RunOutcome.FAILED, minutes=10.1).judge(failed_run_waste, job=5), Finding)


def test_it_is_told_for_an_hour() -> None:
    stage = ended(RunOutcome.FAILED)
    stage.run(3560, {"utilization": 0.0})
    assert isinstance(stage.judge(failed_run_waste, job=5), Clear)


def test_an_end_that_nobody_saw_is_not_judged() -> None:
    said = ended(RunOutcome.UNKNOWN).judge(failed_run_waste, job=5)
    assert said == NotEvaluated("nobody saw how it ended", "gpuwatch run COMMAND")
    stage = Stage()
    stage.job(5)
    stage.process(51, gpus=(1,), job=5)
    stage.run(60, {"utilization": 0.9})
    assert isinstance(stage.judge(failed_run_waste, job=5), NotEvaluated)


# ------------------------------------------------------------------------------------------------------------------- I1


def starting(minutes: float, first_step: float | None = None) -> Stage:
    """A hooked run on two GPUs that began with the stage and has lasted so long."""
    stage = Stage(2)
    first_ms = None if first_step is None else START_MS + round(first_step * 60_000)
    stage.job(5, name="train.py", run=RunFacts(START_MS, first_step_ms=first_ms))
    for number in (1, 2):
        stage.process(50 + number, gpus=(number,), job=5, start_ms=START_MS)
    stage.ranks(5, (51, 52))
    stage.run(minutes * 60, {"utilization": 0.0})
    return stage


def test_a_run_without_a_first_step_is_told_from_ten_minutes_on_and_warned_of_from_twenty() -> None:
    assert isinstance(starting(9.8).judge(slow_first_step, job=5), Clear)
    found = starting(12).judge(slow_first_step, job=5)
    assert isinstance(found, Finding)
    assert (found.severity, found.basis) == (Severity.NOTICE, Basis.MEASURED)
    assert (found.waste_gpus, found.cost_gpu_seconds, found.since_ms) == (2.0, 1440.0, START_MS)
    found = starting(21).judge(slow_first_step, job=5)
    assert isinstance(found, Finding) and found.severity is Severity.WARNING


def test_a_slow_start_is_told_for_half_an_hour_after_the_first_step() -> None:
    found = starting(40, first_step=15).judge(slow_first_step, job=5)
    assert isinstance(found, Finding)
    assert found.waste_gpus is None and found.cost_gpu_seconds == 1800.0 and "took 15 min to its first step" in found.title
    assert isinstance(starting(46, first_step=15).judge(slow_first_step, job=5), Clear)
    assert isinstance(starting(40, first_step=3).judge(slow_first_step, job=5), Clear)


def _unhooked(start_ms: int, **looks: Any) -> Stage:
    stage = Stage(1)
    stage.job(5, name="train.py")
    stage.process(51, gpus=(1,), job=5, start_ms=start_ms)
    stage.run(900, looks.get("gpu", {"utilization": 0.1}))
    return stage


def test_without_a_hook_the_first_busy_minute_stands_for_the_first_step() -> None:
    found = _unhooked(START_MS).judge(slow_first_step, job=5)
    assert isinstance(found, Finding)
    assert found.basis is Basis.INFERRED and found.gain.startswith("up to")
    assert "have not been 30% busy for a minute" in found.title and "first step" not in found.title
    assert isinstance(_unhooked(START_MS, gpu={"utilization": None}).judge(slow_first_step, job=5), NotEvaluated)
    worked = _unhooked(START_MS, gpu=lambda n: {"utilization": 0.8 if 30 <= n < 36 else 0.0})
    assert isinstance(worked.judge(slow_first_step, job=5), Clear)
    short = _unhooked(START_MS, gpu=lambda n: {"utilization": 0.8 if 30 <= n < 35 else 0.0})
    assert isinstance(short.judge(slow_first_step, job=5), Finding)
    assert isinstance(_unhooked(START_MS - 3_600_000).judge(slow_first_step, job=5), NotEvaluated)


# ------------------------------------------------------------------------------------------------------------------- I2


def hooked(**part: float) -> Stage:
    """Two ranks that spend so many of each ten seconds."""
    stage = Stage(2)
    stage.job(5, name="train.py")
    for number in (1, 2):
        stage.process(50 + number, gpus=(number,), job=5)
    stage.ranks(5, (51, 52))
    look = {"attached": 10.0, "checkpoint": 0.0, "evaluation": 0.0} | part
    stage.run(7200, {"utilization": 0.9}, training={51: look, 52: look})
    return stage


def test_checkpoints_and_evaluation_cost_their_share_of_the_time() -> None:
    found = hooked(checkpoint=1.2, evaluation=0.5, checkpoints=0.05).judge(checkpoint_eval_overhead, job=5)
    assert isinstance(found, Finding)
    assert found.severity is Severity.WARNING and found.waste_gpus == pytest.approx(0.34)
    assert "checkpoints (12%) and evaluation (5%)" in found.title and found.evidence[1].measured == "72, 24 s each"
    assert "async_save" in found.try_first[0]
    found = hooked(evaluation=0.6).judge(checkpoint_eval_overhead, job=5)
    assert isinstance(found, Finding) and found.severity is Severity.NOTICE and "fewer batches" in found.try_first[0]
    assert found.waste_gpus is None, "evaluation is work"


def test_a_little_of_both_is_fine_and_without_a_hook_it_is_not_known() -> None:
    assert isinstance(hooked(checkpoint=0.3, evaluation=0.15).judge(checkpoint_eval_overhead, job=5), Clear)
    assert isinstance(_unhooked(START_MS).judge(checkpoint_eval_overhead, job=5), NotEvaluated)
    stage = hooked(checkpoint=1.2)
    stage.run(900, {"utilization": 0.9})
    assert isinstance(stage.judge(checkpoint_eval_overhead, job=5), NotEvaluated)


def test_pauses_in_which_much_is_written_stand_for_checkpoints() -> None:
    def paused(writes: float, every: int = 6) -> Stage:
        stage = Stage(1)
        stage.job(5, name="train.py")
        stage.process(51, gpus=(1,), job=5)
        stage.run(
            7200,
            lambda n: {"utilization": 0.0 if n % every == 0 else 0.9},
            host=lambda n: {"disk_write": writes if n % every == 0 else 1e6},
        )
        return stage

    found = paused(400e6).judge(checkpoint_eval_overhead, job=5)
    assert isinstance(found, Finding)
    assert (found.severity, found.basis) == (Severity.WARNING, Basis.INFERRED)
    assert found.waste_gpus == pytest.approx(1 / 6) and "pause 120 times" in found.title
    assert isinstance(paused(100e6).judge(checkpoint_eval_overhead, job=5), NotEvaluated)
    assert isinstance(paused(400e6, every=400).judge(checkpoint_eval_overhead, job=5), NotEvaluated)


def test_ranks_tell_their_first_step_where_there_is_no_run() -> None:
    stage = Stage(1)
    stage.job(5, name="train.py")
    stage.process(51, gpus=(1,), job=5, start_ms=START_MS)
    stage.ranks(5, (51,))
    stage.run(720, {"utilization": 0.5})
    found = stage.judge(slow_first_step, job=5)
    assert isinstance(found, Finding) and found.basis is Basis.MEASURED
    stage.ranks(5, (51,), first_step_ms=START_MS + 120_000)
    stage.run(10, {"utilization": 0.5})
    assert isinstance(stage.judge(slow_first_step, job=5), Clear)
