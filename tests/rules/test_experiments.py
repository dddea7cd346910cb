"""Runs: those that fail, those that start slowly, and what checkpoints and evaluations take."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.names import RunOutcome, Severity
from gpuwatch.rules.experiments import failed_run_waste
from gpuwatch.rules.looks import JobDay, RunFacts
from gpuwatch.rules.types import Clear, Finding, NotEvaluated
from tests.support.rule_scene import START_MS, Stage

HOUR = 3_600_000


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
