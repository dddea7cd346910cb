"""The way of a finding: rows are judged beside the recorder, and what is said of them is kept, grows, clears and is found again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.advised import START, Lab, QuietEngine, finding

from gpuwatch.names import Cause
from gpuwatch.recorder.advice_settings import AdviceSettings
from gpuwatch.rules.document import finding_of
from gpuwatch.rules.types import Mute, OpenFinding
from gpuwatch.store import mutes, replay_rules
from gpuwatch.store.beside import open_beside

T0 = round(START) * 1000


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[QuietEngine]:
    """Every engine that was made."""
    made: list[QuietEngine] = []

    def make(*values: Any, **named: Any) -> QuietEngine:
        made.append(QuietEngine(*values, **named))
        return made[-1]

    monkeypatch.setattr(replay_rules, "Engine", make)
    return made


@pytest.fixture
def lab(tmp_path: Path, engines: list[QuietEngine]) -> Iterator[Lab]:
    made = Lab(tmp_path / "advised.db")
    yield made
    made.writer.close()


def test_a_finding_is_kept_grows_and_clears(lab: Lab) -> None:
    lab.run(120)
    lab.util[0] = 0.0
    lab.run(240)
    (row,) = lab.rows(
        "SELECT rule, subject, gpus, started_ms, ended_ms, severity, title, advice, user, command, waste_gpus, sql FROM v_finding"
    )
    assert row[:5] == ("held", "gpu:GPU-0", "0", T0 + 120_000, None)
    assert row[5:] == ("warning", finding().title, "kill 4711", "ana", "python train.py", 1.0, finding().sql)
    detail, evidence = lab.rows("SELECT detail, evidence FROM finding")[0]
    assert finding_of(detail) == finding()
    assert evidence == "quiet without a break 30 min · GPU memory held 20 GiB"
    minutes = lab.rows("SELECT t-?, measured_ratio, waste_gpus, cost_gpu_seconds FROM v_finding_minute ORDER BY t", T0 // 1000)
    assert [minute[0] for minute in minutes] == [120, 180, 240, 300], "when it was told, and each minute since"
    assert minutes[1][1:] == (1.0, 1.0, 60.0)
    lab.util[0] = 0.9
    lab.run(60)
    ended, cost, energy = lab.rows("SELECT ended_ms, cost_gpu_seconds, cost_energy_joules FROM v_finding")[0]
    assert (ended, cost) == (T0 + 370_000, 240.0)
    assert energy == pytest.approx(240 * 300, rel=0.3), "of its own time, as the GPU has drawn"
    told = lab.rows("SELECT kind, severity, detail, gpu_index FROM v_event WHERE kind LIKE 'finding%' ORDER BY ts_ms")
    assert told == [
        ("finding_opened", "warning", "held idle on GPU 0 (held)", 0),
        ("finding_cleared", "info", "held idle on GPU 0 (held) has cleared after 4 min", 0),
    ]


def test_what_was_before_the_start_is_looked_at_and_not_judged(lab: Lab, engines: list[QuietEngine]) -> None:
    lab.run(100)
    lab.end()
    lab.begin()
    lab.run(90)
    (first, again) = (engine.seen for engine in engines)
    assert next(t_ms - T0 for t_ms, judge in first if judge) == 60_000
    assert again[0] == (T0 + 10_000, False)
    assert [judge for _, judge in again] == sorted(judge for _, judge in again)
    assert [t_ms for t_ms, _ in again] == list(range(T0 + 10_000, T0 + 190_000 - 7000, 10_000))


def test_an_open_finding_is_found_again_by_the_next_recorder(lab: Lab, engines: list[QuietEngine]) -> None:
    lab.util[0] = 0.0
    lab.run(150)
    lab.end()
    lab.clock.advance(5)
    lab.begin()
    lab.run(70)
    (known,) = engines[1].open.values()
    (row,) = lab.rows("SELECT finding_id, started_ms, command FROM finding")
    assert (known.finding_id, known.started_ms, known.command) == row
    lab.util[0] = 0.9
    lab.run(60)
    assert lab.rows("SELECT count(*), count(ended_ms) FROM finding") == [(1, 1)]


def test_the_next_recorder_knows_what_was_told_today_and_has_cleared(
    lab: Lab, engines: list[QuietEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.util[0] = 0.0
    lab.run(150)
    lab.util[0] = 0.9
    lab.run(60)
    lab.end()
    known: list[OpenFinding] = []
    monkeypatch.setattr(QuietEngine, "resume", lambda self, found: known.extend(found))
    lab.begin()
    lab.run(70)
    assert [(found.rule, found.finding, found.ended_ms) for found in known] == [
        ("held", finding(), lab.rows("SELECT ended_ms FROM finding")[0][0])
    ]


def test_a_finding_whose_text_was_erased_ends_where_it_was_last_seen(lab: Lab, engines: list[QuietEngine]) -> None:
    lab.util[0] = 0.0
    lab.run(150)
    lab.end()
    with open_beside(lab.path) as db:
        db.execute("UPDATE finding SET detail=''")
    lab.begin()
    lab.run(70)
    assert lab.rows("SELECT ended_ms=last_ms FROM finding WHERE detail=''") == [(1,)]


def test_a_mute_that_is_written_beside_the_recorder_is_heard(lab: Lab, engines: list[QuietEngine]) -> None:
    lab.util[0] = 0.0
    lab.run(120)
    with open_beside(lab.path) as db:
        mutes.add(db, 1, Mute("held", command="train.py", until_ms=lab.now_ms + 60_000, reason="known"), lab.now_ms)
    lab.run(30)
    assert [mute.reason for mute in engines[0].mutes] == ["known"]
    assert lab.rows("SELECT detail FROM v_event WHERE kind='finding_muted'") == [("held idle on GPU 0 (held) was muted",)]
    assert lab.rows("SELECT rule, command, reason, until_ms-made_ms FROM v_mute") == [("held", "train.py", "known", 60_000)]
    lab.run(60)
    assert engines[0].mutes == (), "it is over"


def test_a_mute_is_lifted_whatever_its_width(lab: Lab) -> None:
    lab.run(15)
    lab.writer.commit()
    with open_beside(lab.path) as db:
        first = mutes.add(db, 1, Mute("held"), T0)
        mutes.add(db, 1, Mute("", subject="gpu:GPU-0"), T0)
        other = mutes.add(db, 1, Mute("held", subject="gpu:GPU-1"), T0)
        assert mutes.lift(db, 1, "held", "gpu:GPU-0", "python train.py", T0 + 1) == 2
        assert [kept.mute_id for kept in mutes.in_force(db, 1, T0 + 2)] == [other]
        assert not mutes.lift_one(db, 1, first, T0 + 3)
        assert mutes.lift_one(db, 1, other, T0 + 3)


def test_the_cause_of_an_open_finding_goes_into_the_rows(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuietEngine, "cause", Cause.INPUT)
    lab.util[0] = 0.0
    lab.run(120)
    assert lab.advisor.causes == {"GPU-0": Cause.INPUT}
    assert lab.rows("SELECT inferred_cause FROM gpu_sample ORDER BY tick_id DESC LIMIT 1") == [(int(Cause.INPUT),)]
    lab.util[0] = 0.9
    lab.run(30)
    assert lab.advisor.causes == {}


def test_what_rules_said_last_is_kept_each_minute(lab: Lab) -> None:
    lab.run(200)
    said = json.loads(lab.rows("SELECT value FROM meta WHERE key='advice:1'")[0][0])
    assert (said["t_ms"], said["rules"]["held"], len(said["missed"])) == (T0 + 180_000, "not_evaluated", 60)


def test_nothing_is_judged_in_memory_or_if_it_is_off(
    tmp_path: Path, engines: list[QuietEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    off = Lab(tmp_path / "off.db", AdviceSettings(enabled=False))
    off.run(90)
    off.writer.close()
    memory = Lab(tmp_path / "memory.db")
    monkeypatch.setattr(type(memory.writer), "hot_only", property(lambda _: True))
    memory.run(90)
    memory.writer.close()
    assert engines == []


def test_a_failing_rule_stops_the_rules_and_not_the_recorder(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise ValueError("of a rule")

    monkeypatch.setattr(QuietEngine, "steps", fails)
    with caplog.at_level(logging.ERROR):
        lab.run(150)
    assert [record.levelname for record in caplog.records if "rules failed" in record.message] == ["ERROR"]
    assert lab.rows("SELECT count(*) FROM gpu_sample") == [(150,)]


def test_what_came_of_a_finding_is_told_by_the_ledger_of_the_same_recorder(tmp_path: Path, engines: list[QuietEngine]) -> None:
    lab = Lab(tmp_path / "effect.db", AdviceSettings(effect_seconds=120), gpus=1)
    lab.run(60)
    lab.util[0] = 0.0
    lab.run(420)
    lab.util[0] = 1.0
    lab.run(560)
    (row,) = lab.rows("SELECT effect, before_ratio, after_ratio, saved_gpu_seconds_per_day FROM v_finding")
    assert row == ("held without work 100 -> 0 %", 1.0, 0.0, 86_400.0)
    lab.writer.close()
