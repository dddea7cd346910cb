"""The worked queries about trainings, and their views, on SQLite and on PostgreSQL, against figures made here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from support import postgres
from support.store_rows import T0
from support.training_rows import JOB, RANKS, START_MS, at, book, close, described, rank_process, row, run, stepping

from gpuwatch.clock import FakeClock
from gpuwatch.dataclass import replace
from gpuwatch.names import RunOutcome
from gpuwatch.store.watermarks import LEDGER_HOUR_TIER, set_watermark
from gpuwatch.store.worked import postgresql
from gpuwatch.store.worked_training import WORKED_TRAINING
from gpuwatch.store.writer import StoreWriter

BY_NAME = {one.name: one for one in WORKED_TRAINING}
NOW = T0 // 1000 + 3 * 86_400
HOUR_S = T0 // 3_600_000 * 3600
BOB, OLD = (700, START_MS), (800, START_MS - 40 * 86_400_000)
COPIED = dict.fromkeys(
    ("host", "gpu", "user_account", "workload", "process", "owner", "trainer", "run", "session", "tick", "training_sample"), ""
) | dict.fromkeys(
    ("workload_hour", "workload_day", "latency_hour", "ledger_minute", "ledger_hour", "ledger_day", "rollup_state"), ""
)


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """Two minutes of Alice's job, whose second rank waits for data, which fails; Bob's, of which nothing is booked; one of long ago."""
    path = tmp_path_factory.mktemp("worked") / "gpuwatch.db"
    writer = StoreWriter.open(path, clock=FakeClock(NOW), tmpfs_fallback=False)
    writer.begin_session(T0, 1000, "boot")
    bob = replace(JOB, root_pid=BOB[0], user="bob", name="sft.py")
    failed = run(outcome=RunOutcome.FAILED, ended_ms=T0 + 120_000, first_step_ms=T0 + 15_000, last_checkpoint_ms=T0 + 110_000)
    runs = [failed, run(BOB, started_ms=START_MS - 1000), run(OLD, outcome=RunOutcome.FAILED, ended_ms=OLD[1] + 1000)]
    writer.add(described(runs=runs, workloads=[JOB, bob, replace(JOB, root_pid=OLD[0], root_start_ms=OLD[1])]))
    writer.add(at(0, processes=[rank_process(701, BOB, user="bob", uid=1001)]))
    slow = {"data_wait_seconds": 0.5, "backward_seconds": 0.125}
    for second in range(1, 121):
        padded = row(701, 1000, BOB, counted_tokens_total=1000.0, nonpad_tokens_total=600.0, attached_seconds=1.0)
        writer.add(at(second, stepping(501, starting_seconds=0.0), stepping(502, **slow), padded))
    assert writer.commit(), writer.problem
    close(writer, NOW * 1000)
    for t in (T0 // 1000, T0 // 1000 + 60):
        book(writer, t)
    set_watermark(writer.connection, LEDGER_HOUR_TIER, HOUR_S)
    writer.close()
    db = sqlite3.connect(path)
    yield db
    db.close()


def ask(db: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    cursor = db.execute(BY_NAME[name].sql.replace("'now'", f"{NOW}, 'unixepoch'"))
    names = [column[0] for column in cursor.description]
    assert names == BY_NAME[name].answer.split("\n")[0].split(), "the printed answer has the query's columns"
    return [dict(zip(names, found, strict=True)) for found in cursor]


def test_experiments_per_gpu_day(lite: sqlite3.Connection) -> None:
    (alice,) = ask(lite, "runs-per-gpu-day")
    assert (alice["who"], alice["runs"], alice["failed"], alice["seconds_to_first_step"]) == ("alice", 1, 1, 20.0)
    assert alice["gpu_days"] == pytest.approx(200 / 86_400) and alice["runs_per_gpu_day"] == pytest.approx(432)


def test_what_failed_runs_cost(lite: sqlite3.Connection) -> None:
    (alice,) = ask(lite, "failed-runs")
    assert (alice["who"], alice["outcome"], alice["runs"]) == ("alice", "failed", 1)
    assert alice["gpu_hours"] == pytest.approx(200 / 3600) and alice["lost_gpu_hours_at_most"] == pytest.approx(20 / 3600)
    assert alice["kwh"] == pytest.approx(20 / 3.6e6)


def test_a_run_by_hour(lite: sqlite3.Connection) -> None:
    (mine,) = ask(lite, "run-by-hour")
    assert (mine["hour"], mine["tokens_per_second"]) == ("2025-11-14 14:00:00", 200) and mine["data_percent"] == pytest.approx(
        31.25
    )
    assert mine["step_percent"] == pytest.approx(100 * (0.25 + 0.3125 + 0.062))
    assert mine["checkpoint_percent"] is None, "nobody has counted it"


def test_padding(lite: sqlite3.Connection) -> None:
    (bob,) = ask(lite, "padding")
    assert (bob["name"], bob["who"], bob["tokens"], bob["padding_percent"]) == ("sft.py", "bob", 120_000, pytest.approx(40))


def test_stragglers(lite: sqlite3.Connection) -> None:
    found = {each["rank"]: each for each in ask(lite, "stragglers") if each["name"] == "train.py"}
    assert list(found) == [1, 0], "who is waited for comes first"
    assert found[1]["backward_points"] == pytest.approx(-18.75) and found[0]["backward_points"] == pytest.approx(18.75)
    assert (found[1]["data_percent"], found[1]["pid"]) == (50.0, RANKS[1])


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with postgres.server() as engine:
        yield engine


@pytest.mark.postgres
def test_postgresql_says_the_same(engine: Engine, lite: sqlite3.Connection) -> None:
    other = postgres.copied(engine, "trainings", lite, COPIED)
    views = ("v_run", "v_trainer", "v_training_now", "v_workload_hour", "v_workload_day")
    questions = [f"SELECT * FROM {view} ORDER BY host, root_pid{', pid' if 'train' in view else ''}" for view in views]
    with other.connect() as connection:
        for sql in (*(one.sql for one in WORKED_TRAINING), *questions):
            expected = lite.execute(sql.replace("'now'", f"{NOW}, 'unixepoch'")).fetchall()
            answer = connection.exec_driver_sql(postgresql(sql).replace("now()", f"to_timestamp({NOW})").replace("%", "%%"))
            found = [tuple(float(cell) if isinstance(cell, Decimal) else cell for cell in each) for each in answer]
            assert expected and len(found) == len(expected), sql
            for mine, wanted in zip(found, expected, strict=True):
                assert mine == tuple(pytest.approx(cell, rel=1e-9) if isinstance(cell, float) else cell for cell in wanted), sql
    other.dispose()


def test_the_page_carries_them(request: pytest.FixtureRequest) -> None:
    page = (Path(request.config.rootpath) / "docs" / "schema.md").read_text(encoding="utf-8")
    for one in WORKED_TRAINING:
        assert f"### {one.question}\n\n```sql\n{one.sql}\n```" in page
