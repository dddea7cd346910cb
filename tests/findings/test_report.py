"""Findings of a report's span: what each cost within it, which state it is in at the end, and what was not judged."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest
from support.advice import Advice, held_idle
from support.json_schema import faults
from support.story import START, Story

from gpuwatch.names import Basis
from gpuwatch.report.period_text import report_text
from gpuwatch.rules.document import said_text
from gpuwatch.rules.types import NotEvaluated, Standing
from gpuwatch.store.window import Window
from gpuwatch.view.period.build import build_report
from gpuwatch.view.period.json import report_json
from gpuwatch.view.period.schema import report as schema
from gpuwatch.view.period.types import Report, ReportRequest

T0, MINUTE, HOUR = round(START * 1000), 60_000, 3_600_000
NOW_MS = T0 + 90 * MINUTE


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety minutes of two free GPUs, recorded once."""
    story = Story(tmp_path_factory.mktemp("recorded") / "store.db", 2)
    story.close_minutes()
    story.run(90 * 60)
    story.writer.close()
    return Path(str(story.writer.path))


@pytest.fixture
def advice(hours: Path, tmp_path: Path) -> Iterator[Advice]:
    """Writes into a copy of it."""
    db = sqlite3.connect(shutil.copy(hours, tmp_path / "store.db"))
    yield Advice(db)
    db.close()


def report_of(advice: Advice, start_ms: int, end_ms: int | None = None, *, now_ms: int = NOW_MS) -> Report:
    with Window(advice.db) as window:
        return build_report(window, ReportRequest(start_ms, end_ms), now_ms=now_ms, tz=UTC)


def test_a_finding_costs_in_a_span_what_it_grew_by(advice: Advice) -> None:
    start = T0 + 10 * MINUTE
    advice.finding(
        held_idle(gpus=(2,)),
        rule="held",
        started_ms=start,
        last_ms=NOW_MS,
        minutes=advice.grown(start, start + 30 * MINUTE, NOW_MS, 1.0),
    )
    advice.db.commit()
    (whole,) = report_of(advice, T0).findings
    assert (whole.state, whole.gpus, whole.ended_ms) == ("open", (("node-07", 1),), None)
    (first,) = report_of(advice, T0, T0 + HOUR).findings
    (before,) = report_of(advice, T0, T0 + 25 * MINUTE).findings
    (later,) = report_of(advice, T0 + 70 * MINUTE, T0 + 80 * MINUTE).findings
    assert first.cost_gpu_ms == 50 * MINUTE
    assert before.cost_gpu_ms == 15 * MINUTE  # before it was told it grew evenly
    assert later.cost_gpu_ms == 10 * MINUTE
    assert later.total_cost_gpu_ms == NOW_MS - start
    assert report_of(advice, T0, T0 + 5 * MINUTE).findings == ()


def test_without_its_minutes_a_cost_is_spread_evenly(advice: Advice) -> None:
    start = T0 + 20 * MINUTE
    advice.finding(held_idle(gpus=(1,), waste_gpus=0.5), rule="held", started_ms=start, last_ms=start + HOUR, ended_ms=start + HOUR)
    advice.finding(held_idle(waste_gpus=None), rule="link", started_ms=start, last_ms=NOW_MS)
    advice.db.commit()
    found = {row.rule: row for row in report_of(advice, T0, T0 + 50 * MINUTE).findings}
    assert found["held"].cost_gpu_ms == 15 * MINUTE
    assert found["held"].state == "open"  # it cleared after the span
    assert found["link"].cost_gpu_ms is None


def test_states_and_effects_are_those_of_the_end(advice: Advice) -> None:
    start = T0 + 5 * MINUTE
    cleared = {"started_ms": start, "last_ms": T0 + 30 * MINUTE, "ended_ms": T0 + 30 * MINUTE}
    advice.finding(
        held_idle(gpus=(1,)),
        rule="better",
        **cleared,
        before_pm=580,
        after_pm=80,
        saved_gpu_ms_day=12 * HOUR,
        effect="wait 58 → 8%",
    )
    advice.finding(held_idle(gpus=(1,), basis=Basis.INFERRED), rule="unmeasured", **cleared)
    advice.finding(held_idle(gpus=(2,)), rule="quieted", started_ms=start, last_ms=NOW_MS, subject="gpu:GPU-1")
    advice.mute("quieted", made_ms=T0 + 40 * MINUTE)
    advice.db.commit()
    found = {row.rule: row for row in report_of(advice, T0).findings}
    assert {rule: row.state for rule, row in found.items()} == {"better": "resolved", "unmeasured": "ended", "quieted": "muted"}
    assert (found["better"].saved_gpus, found["better"].before_ratio, found["better"].after_ratio) == (0.5, 0.58, 0.08)
    text = report_text(report_of(advice, T0), width=120)
    assert "wait 58 → 8%" in text and "12.0" in text and "≤ " in text
    assert "may overlap" in text


def test_what_was_not_judged_is_told_of_the_present_alone(advice: Advice) -> None:
    missed = Standing("xid", "host", "all GPUs", NotEvaluated("the kernel log is not readable", "sudo usermod -aG adm $USER"))
    assert report_of(advice, T0).absent["findings"] == "not_judged"
    assert "no rule has judged this span" in report_text(report_of(advice, T0))
    advice.said(said_text(NOW_MS, ["xid", "other"], [missed]))
    advice.db.commit()
    report = report_of(advice, T0)
    assert "findings" not in report.absent
    assert (report.rules, report.rules_not_evaluated, [row.rule for row in report.not_evaluated]) == (2, 1, ["xid"])
    assert "1 of 2 rules cannot be judged now" in " ".join(report_text(report).split())
    document = json.loads(json.dumps(report_json(report)))
    assert faults(document, schema()) == []
    old = report_of(advice, T0, now_ms=NOW_MS + 2 * 24 * HOUR)
    assert (old.rules, old.not_evaluated) == (0, ())
