"""Findings and mutes in the care of a store: who is forgotten leaves no word in them, they age, and they can be exported."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.advised import HOLDER, START, Lab, QuietEngine

from gpuwatch.rules.types import Mute
from gpuwatch.store import export, mutes, replay_rules
from gpuwatch.store.beside import open_beside
from gpuwatch.store.deleting import Keep
from gpuwatch.store.forget import forget, wipe
from gpuwatch.store.retention import aged

T0 = round(START) * 1000
DAY_MS = 86_400_000
RUNNING = Mute("held", subject="gpu:GPU-0", reason="ana knows")
OF_COMMAND, OF_JOB = Mute("held", command="train.py"), Mute("held", subject=f"job:{HOLDER.pid}:{HOLDER.start_ms}:0")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a finding that has cleared, what rules said, and three mutes."""
    monkeypatch.setattr(replay_rules, "Engine", QuietEngine)
    lab = Lab(tmp_path / "care.db")
    lab.run(60)
    lab.util[0] = 0.0
    lab.run(130)
    lab.util[0] = 0.9
    lab.run(50)
    lab.end()
    with open_beside(lab.path) as db:
        for mute in (RUNNING, OF_COMMAND, OF_JOB):
            mutes.add(db, 1, mute, T0)
    return lab.path


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with open_beside(path) as opened:
        yield opened


def test_who_is_forgotten_leaves_no_word_in_findings_and_mutes(path: Path, db: sqlite3.Connection) -> None:
    cost = db.execute("SELECT cost_gpu_ms FROM finding").fetchall()
    forget(db, "ana")
    wipe(db)
    assert db.execute("SELECT title, evidence, advice, subject, command, detail, sql FROM finding").fetchall() == [
        ("held", *[""] * 6)
    ]
    assert db.execute("SELECT cost_gpu_ms FROM finding").fetchall() == cost
    kept: list[Any] = [(each.mute.subject, each.mute.reason) for each in mutes.in_force(db, 1, T0 + 1)]
    assert kept == [("gpu:GPU-0", "forgotten-1 knows")], "a mute without the words that it was for would mute everybody"
    assert db.execute("SELECT count(*) FROM meta WHERE key LIKE 'advice:%'").fetchone() == (0,)
    db.close()
    assert not [word for word in (b"train.py", b"4711", b"ana ") if word in path.read_bytes()]


def test_a_finding_that_names_another_holder_than_its_first_is_emptied_with_him(db: sqlite3.Connection) -> None:
    db.execute("UPDATE finding SET owner_id=0, workload_id=0, command='', title='PID 4711 (ana, python train.py) holds 38 GiB.'")
    db.execute("UPDATE finding SET detail=json_set(detail, '$.title', title)")
    forget(db, "ana")
    assert db.execute("SELECT title, detail FROM finding").fetchall() == [("held", "")]


def test_findings_age_from_when_they_cleared(db: sqlite3.Connection) -> None:
    def left(days: int) -> tuple[int, ...]:
        for _ in aged(db, T0 + days * DAY_MS, Keep(minute_days=30, hour_days=60)):
            pass
        tables = ("finding", "finding_minute", "mute")
        return tuple(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)

    mutes.lift(db, 1, "held", "gpu:GPU-1", "python train.py", T0 + 1000)
    assert left(29) == (1, 3, 3)
    assert left(31) == (1, 0, 3), "how it grew goes with the minutes"
    assert left(36) == (1, 0, 3)
    assert db.execute("SELECT title, command, detail FROM finding").fetchall() == [("held idle", "", "")], "command lines go early"
    assert left(61) == (0, 0, 2), "mutes that hold for ever stay"


def test_an_open_finding_does_not_age(db: sqlite3.Connection) -> None:
    db.execute("UPDATE finding SET ended_ms=NULL")
    for _ in aged(db, T0 + 500 * DAY_MS, Keep()):
        pass
    assert db.execute("SELECT count(*) FROM finding WHERE detail<>''").fetchone() == (1,)


@pytest.mark.parametrize(("what", "count"), [("findings", 1), ("mutes", 3)])
def test_they_can_be_exported(db: sqlite3.Connection, what: str, count: int) -> None:
    source = export.source(what)
    names = [column.name for column in source.columns]
    second = T0 // 1000
    rows = [dict(zip(names, row, strict=True)) for row in export.rows(db, source, second, second + 240)]
    assert [row["rule"] for row in rows] == ["held"] * count
    assert list(export.rows(db, source, second + 4000, second + 5000)) == []


def test_a_recorder_does_not_say_again_what_was_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_rules, "Engine", QuietEngine)
    lab = Lab(tmp_path / "running.db")
    lab.util[0] = 0.0
    lab.run(90)
    with open_beside(lab.path) as db:
        forget(db, "ana")
    lab.run(90)
    lab.util[0] = 0.9
    lab.run(60)
    (row,) = lab.rows("SELECT title, detail, command, ended_ms IS NULL, cost_gpu_ms>100000 FROM finding WHERE title='held'")
    assert row == ("held", "", "", 0, 1), "it goes on, and has ended, without a word"
    lab.writer.close()
