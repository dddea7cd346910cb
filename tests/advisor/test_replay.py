"""A replay of the store tells what its recorder has told, and under other limits what it would have told."""

from __future__ import annotations

from pathlib import Path

from support.advised import Lab

from gpuwatch.recorder.advice_settings import AdviceSettings
from gpuwatch.store.replay_rules import Terms, findings

RULE = "gpu-memory-held-idle"
LIMITS = {f"{RULE}.quiet_seconds": 120.0}


def test_a_replay_tells_what_the_recorder_told(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "replay.db", AdviceSettings(limits=LIMITS, patience_seconds=30), gpus=2)
    lab.run(70)
    first_ms = lab.now_ms - 10_000
    lab.util = [0.0, 0.0]
    lab.run(600)
    lab.util[0] = 0.9
    lab.run(300)
    lab.held = [0, 1]
    lab.run(300)
    stored = lab.rows("SELECT rule, subject, title, started_ms, last_ms, ended_ms, cost_gpu_ms FROM finding ORDER BY finding_id")
    db = lab.writer.connection
    again = findings(db, 1, first_ms, lab.now_ms - 7000, Terms(LIMITS, patience_seconds=30))
    told = [
        (f.rule, f.subject, f.finding.title, f.started_ms, f.last_ms, f.ended_ms, round(1000 * f.cost_gpu_seconds)) for f in again
    ]
    assert {row[:2] for row in stored} >= {(RULE, "gpu:GPU-0"), (RULE, "gpu:GPU-1")}
    assert [row[:2] for row in stored] == [row[:2] for row in told]
    assert [row for row in stored if row[5]] == [row for row in told if row[5]], "those that have cleared, to the digit"
    usual = findings(db, 1, first_ms, lab.now_ms, Terms(patience_seconds=30))
    assert not [f for f in usual if f.rule == RULE], "half an hour by default"
    lab.writer.close()
