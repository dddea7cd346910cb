"""The training runs of a report: sums by hand, the same from minutes and hours, and every form that prints them."""

from __future__ import annotations

import csv
import io
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from support.archived import FIRST_BORDER_MS
from support.json_schema import faults
from support.story import START
from support.trained import Trains, even, held, run_of, trained_story

from gpuwatch.configured import GpuPriceList, PriceStep, price_list
from gpuwatch.names import Missing, RunOutcome, TrainingSource
from gpuwatch.report.period_csv import report_csv
from gpuwatch.report.period_markdown import report_markdown
from gpuwatch.report.period_text import report_text
from gpuwatch.store.window import Window
from gpuwatch.view.period.build import build_report
from gpuwatch.view.period.json import report_json
from gpuwatch.view.period.schema import report as report_schema
from gpuwatch.view.period.types import Report, ReportRequest
from gpuwatch.view.terms import Terms

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
T0, END_MS = FIRST_BORDER_MS, FIRST_BORDER_MS + HOUR_MS
SECONDS = 1200
PRICED = Terms(prices=price_list("$", None, (GpuPriceList("NVIDIA H100*", (PriceStep(None, 3.0),)),), UTC))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Window, Window]]:
    """Twenty minutes of four GPUs: one run of two ranks that finishes, one that fails, one that is not attached and goes on, one GPU is free."""
    folder = tmp_path_factory.mktemp("runs")
    good = Trains(100, 0, tells=lambda s: even() if s <= 600 else None)
    peer = Trains(101, 1, root=100, tells=lambda s: even() if s <= 600 else None)
    bad = Trains(200, tells=lambda s: even(1.0, 500.0) if s <= 300 else None)
    silent = Trains(300, tells=lambda s: None)
    story = trained_story(folder / "hours.db", good, peer, bad, silent, gpus=4)
    story.close_minutes()
    story.gap(FIRST_BORDER_MS / 1000 - START)
    story.runs = {
        100: run_of(good, started_ms=T0, first_step_ms=T0 + 20_000, ranks=2),
        200: run_of(bad, started_ms=T0, first_step_ms=T0 + 40_000),
        300: run_of(silent, first_step_ms=None, attached=False, git_commit=""),
    }
    for index, one in enumerate((good, peer, bad, silent)):
        if one is not silent:
            held(story, one, index)
            story.gpus[index].sample = {"energy_joules": 200.0}
    story.holds = [hold for hold in story.holds if hold.process.pid != 300]
    story.run(300)
    end_ms = story.now_ms
    failed = {"ended_ms": end_ms, "exit_code": 1, "outcome": RunOutcome.FAILED, "last_checkpoint_ms": end_ms - 60_000, "tokens": 150_000, "detail": "rank 0: ValueError"}  # fmt: skip
    story.runs[200] = replace(story.runs[200], **failed)
    story.holds = [hold for hold in story.holds if hold.process.pid != 200]
    story.run(300)
    story.runs[100] = replace(story.runs[100], ended_ms=story.now_ms, exit_code=0, outcome=RunOutcome.FINISHED)
    story.holds = []
    story.run(SECONDS - 600)
    story.gap(HOUR_MS / 1000 - SECONDS + 60)
    story.run(60)
    assert story.closer is not None
    story.closer.finish(story.now_ms)
    story.writer.commit()
    story.writer.close()
    shutil.copy(folder / "hours.db", folder / "minutes.db")
    with sqlite3.connect(folder / "minutes.db") as db:
        db.execute("DELETE FROM rollup_state WHERE tier IN ('hour', 'ledger_hour')")
        for table in ("gpu", "process", "workload", "latency", "ledger"):
            db.execute(f"DELETE FROM {table}_hour")
    with Window(folder / "minutes.db") as first, Window(folder / "hours.db") as second:
        yield first, second


def report_of(window: Window, terms: Terms | None = None, by: str = "run") -> Report:
    return build_report(window, ReportRequest(T0, END_MS, by=by), now_ms=END_MS + 60_000, tz=UTC, terms=terms)


def test_each_run_has_what_it_held_counted_and_cost(stores: tuple[Window, Window]) -> None:
    report = report_of(stores[0], PRICED)
    silent, good, bad = report.training
    assert [run.outcome for run in report.training] == [RunOutcome.RUNNING, RunOutcome.FINISHED, RunOutcome.FAILED]
    assert good.ledger.capacity_gpu_ms == pytest.approx(2 * 600_000, abs=12_000)  # a holder is there until it is missed
    assert (good.steps_total, good.tokens_total) == (599, 1_198_000)  # the first row speaks for no time
    assert good.tokens_per_second == pytest.approx(2000.0)
    assert good.gpus == (("node-07", 0), ("node-07", 1))
    assert good.ledger.energy_mj == pytest.approx(200_000 * 1200, rel=0.01)
    assert good.cost == pytest.approx(2 * 600 / 3600 * 3.0, rel=0.01)
    assert (good.first_step_seconds, good.exit_code, good.lost_gpu_ms, good.cut) == (20.0, 0, None, False)
    assert bad.ledger.capacity_gpu_ms == pytest.approx(300_000, abs=6000)
    assert (bad.tokens_total, bad.exit_code, bad.detail) == (150_000, 1, "rank 0: ValueError")
    assert bad.lost_gpu_ms == 60_000
    assert (silent.attached, silent.tokens_total, silent.cut, silent.gpus) == (False, None, True, ())
    assert silent.missing["tokens_per_second"] is Missing.NOT_ATTACHED
    assert silent.cost is None


def test_experiments_per_gpu_day_and_what_failed_ones_cost(stores: tuple[Window, Window]) -> None:
    report = report_of(stores[0], PRICED)
    found = report.experiments
    assert found is not None
    assert (found.started, found.first_steps, found.first_step_seconds) == (2, 2, 30.0)
    assert found.capacity_gpu_ms == report.total.capacity_gpu_ms == 4 * (HOUR_MS - 1000)
    assert found.started_per_gpu_day == pytest.approx(2 / (4 * HOUR_MS / DAY_MS), rel=1e-3)
    assert found.started_per_run_gpu_day == pytest.approx(2 / (1_500_000 / DAY_MS), rel=0.01)
    assert found.finished_per_gpu_day == pytest.approx(6.0, rel=1e-3)
    assert {outcome for outcome, count in found.outcomes.items() if count} == {
        RunOutcome.RUNNING,
        RunOutcome.FINISHED,
        RunOutcome.FAILED,
    }
    assert found.failed_gpu_ms == pytest.approx(300_000, abs=6000)
    assert found.failed_lost_gpu_ms == 60_000
    assert found.failed_cost == pytest.approx(0.25, rel=0.02)
    assert report_of(stores[0]).experiments == replace(found, failed_cost=None, currency="", price="")


def test_hours_tell_what_minutes_tell(stores: tuple[Window, Window]) -> None:
    first, second = (report_of(window, PRICED) for window in stores)
    assert first.training == second.training
    assert first.experiments == second.experiments


def test_the_text_answers_the_questions(stores: tuple[Window, Window]) -> None:
    text = " ".join(report_text(report_of(stores[1], PRICED), width=160).split())
    assert "12.0 experiments per GPU-day: 2 runs began in 0.17 GPU-days of capacity; 114 per GPU-day that runs held (0.02)." in text
    assert "3 runs in the span: 1 finished, 1 failed, 1 still running." in text
    assert (
        "Runs that failed or died held 0.08 GPU-h ($0.25 at $3.00/GPU·h), at most 0.02 of it since their last checkpoints." in text
    )
    assert "Median time to the first step: 30.0 s (2 runs)." in text
    assert "failed (exit 1)" in text and "0123456" in text and "≤ 0.02" in text


@pytest.mark.parametrize("by", ["run", "gpu"])
def test_every_form_has_the_runs(stores: tuple[Window, Window], by: str) -> None:
    report = report_of(stores[1], by=by)
    for width in (60, 80, 120, 200):
        text = report_text(report, width=width)
        assert "── Training runs" in text and max(map(len, text.splitlines())) <= width
    assert "## Training runs" in report_markdown(report)
    assert "training runs (" not in report_text(report)
    document = report_json(report)
    assert faults(document, report_schema()) == []
    assert [run["outcome"] for run in document["training"]] == ["running", "finished", "failed"]
    assert document["training"][0]["missing"]["tokens_total"] == "not_attached"
    assert document["experiments"]["outcomes"]["failed"] == 1
    assert document["training_reason"] is None


def test_csv_is_one_row_a_run(stores: tuple[Window, Window]) -> None:
    rows = list(csv.DictReader(io.StringIO(report_csv(report_of(stores[1])))))
    assert [row["outcome"] for row in rows] == ["running", "finished", "failed"]
    assert (rows[1]["tokens_total"], rows[1]["gpus"], rows[2]["lost_gpu_ms"]) == ("1198000", "node-07:0 node-07:1", "60000")
    assert (rows[0]["tokens_total"], rows[0]["attached"]) == ("", "0")


def test_a_span_without_runs_says_how_to_start_one(tmp_path: Path) -> None:
    story = trained_story(tmp_path / "s.db", gpus=1)
    story.close_minutes()
    story.run(300)
    with Window(tmp_path / "s.db") as window:
        report = build_report(window, ReportRequest(round(START * 1000), by="run"), now_ms=story.now_ms, tz=UTC)
        assert (report.training, report.experiments, report.absent["training"]) == ((), None, "nothing_seen")
        text = report_text(report)
        assert "No training run is recorded in this span. Start one with: gpuwatch run -- COMMAND" in " ".join(text.split())
        assert faults(report_json(report), report_schema()) == []


def test_runs_are_told_of_a_host_without_gpus(tmp_path: Path) -> None:
    trains = Trains(100)
    story = trained_story(tmp_path / "s.db", trains, gpus=0)
    story.close_minutes()
    story.runs[100] = run_of(trains, started_ms=round(START * 1000) + 2000, first_step_ms=round(START * 1000) + 12_000)
    story.run(200)
    with Window(tmp_path / "s.db") as window:
        report = build_report(window, ReportRequest(round(START * 1000), by="run"), now_ms=story.now_ms, tz=UTC)
        text = " ".join(report_text(report).split())
        assert "1 run began; no GPU was seen, so there are no experiments per GPU-day." in text
        assert report.training[0].tokens_per_second == pytest.approx(1000.0)
        assert report.training[0].first_step_seconds == 10.0
        assert faults(report_json(report), report_schema()) == []


def test_a_rate_by_a_log_and_why_there_is_none(tmp_path: Path) -> None:
    """A log of two ranks' training, one that counts neither tokens nor samples, and one that fails before it has a GPU."""
    start_ms = round(START * 1000)
    untold = {"attached_seconds": None, "phase": None}
    logged = Trains(100, tells=lambda s: even() | untold, facts={"source": TrainingSource.LOG})
    plain = Trains(200, tells=lambda s: {"rank_steps_total": 1.0, "forward_seconds": 1.0})
    early, late = Trains(300, tells=lambda s: None), Trains(400, tells=lambda s: None)
    story = trained_story(tmp_path / "s.db", logged, plain, early, late, gpus=1)
    held(story, late)
    story.close_minutes()
    began = {"started_ms": start_ms, "first_step_ms": None}
    story.runs = {
        100: run_of(logged, attached=False, **began),
        200: run_of(plain, **began),
        300: run_of(early, **began, outcome=RunOutcome.FAILED, ended_ms=start_ms + 1000, exit_code=1),
        400: run_of(late, **began, outcome=RunOutcome.FAILED, ended_ms=start_ms + 100_000, last_checkpoint_ms=start_ms + 90_000),
    }
    story.run(200)
    with Window(tmp_path / "s.db") as window:
        report = build_report(window, ReportRequest(start_ms, by="run"), now_ms=story.now_ms, tz=UTC)
    first, second, *_ = report.training
    assert (first.tokens_per_second, first.missing["samples_per_second"]) == (pytest.approx(1000.0), Missing.NOT_ATTACHED)
    assert (second.tokens_per_second, second.missing["tokens_per_second"]) == (None, Missing.NOT_SUPPORTED)
    assert report.experiments is not None
    assert report.experiments.failed_lost_gpu_ms == 10_000, "who had no GPU lost none"
