"""Ranks, their rows and runs on their way into the store."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.store_rows import HOST, T0
from support.training_rows import JOB, RANKS, ROOT, START_MS, at, both, described, rank_process, row, run, stepping, trainer

from gpuwatch.clock import FakeClock
from gpuwatch.dataclass import replace
from gpuwatch.names import RunOutcome, TrainingSource
from gpuwatch.store.deleting import Keep
from gpuwatch.store.homecoming import bring_home, say_continues
from gpuwatch.store.retention import prune
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.rows import Tick
from gpuwatch.store.trainer_rows import LOST_AFTER_MS
from gpuwatch.store.writer import StoreWriter

DAY_MS = 86_400_000


def asked(writer: StoreWriter, sql: str, *values: object) -> list[tuple[Any, ...]]:
    assert writer.commit(), writer.problem
    return writer.connection.execute(sql, values).fetchall()


def opened(path: Path | str, now_ms: int = T0, *, session: bool = True) -> StoreWriter:
    writer = StoreWriter.open(path, clock=FakeClock(now_ms / 1000), tmpfs_fallback=False)
    if session:
        writer.begin_session(now_ms, 1000, "boot")
    return writer


# ------------------------------------------------------------------------------------------------------------------ rows


def test_each_rank_has_a_row_of_its_process_and_workload(writer: StoreWriter) -> None:
    writer.add(described())
    writer.add(at(1, *(stepping(pid) for pid in RANKS)))
    found = asked(writer, "SELECT p.pid, w.root_pid, s.dt_ms, s.steps, s.rank_steps, s.tokens, s.backward_ms FROM training_sample s JOIN process p USING(proc_id) JOIN workload w ON w.workload_id=s.workload_id ORDER BY 1")  # fmt: skip
    assert found == [(501, 500, 1000, 1, 1, 100, 500), (502, 500, 1000, None, 1, 100, 500)]


def test_two_rows_of_a_rank_in_one_tick_lose_no_count(writer: StoreWriter) -> None:
    first = stepping(501, 2000, phase=2, loss=3.0)
    writer.add(at(1, first, stepping(502), row(501, 1000, tokens_total=7.0, samples_total=2.0, phase=1, step_number=9)))
    found = asked(writer, "SELECT p.pid, s.dt_ms, tokens, samples, steps, phase, step_number, loss_micro FROM training_sample s JOIN process p USING(proc_id) ORDER BY 1")  # fmt: skip
    assert found == [(501, 2000, 107, 2, 1, 1, 9, 3_000_000), (502, 1000, 100, None, None, None, None, None)]


def test_ranks_that_nobody_has_described_belong_to_a_training_until_they_are(writer: StoreWriter) -> None:
    writer.add(Tick(T0, host=HOST, trainers=[trainer(501)], runs=[run(steps=3)]))
    writer.add(at(1, stepping(501), stepping(502)))
    who = "SELECT w.kind, w.name, p.pid, p.name, p.start_known, p.workload_pid FROM process p JOIN workload w USING(workload_id) ORDER BY pid"
    assert asked(writer, who) == [("training", "", 501, "", 0, 500), ("training", "", 502, "", 0, 500)]
    writer.add(described(2, workloads=[replace(JOB, kind="other")], trainers=[], runs=[]))
    assert asked(writer, who) == [("other", "train.py", pid, "python3", 1, 500) for pid in (500, *RANKS)]
    writer.add(Tick(T0 + 3000, workloads=[JOB], trainers=[trainer(501, detail="x")]))
    assert {found[0] for found in asked(writer, who)} == {"training"}, "who watches processes says so once a rank steps"
    assert asked(writer, "SELECT count(*), max(detail) FROM trainer") == [(1, "x")]
    assert asked(writer, "SELECT count(*) FROM run") == [(1,)]


def test_a_rank_that_an_earlier_recorder_described_keeps_its_description(tmp_path: Path) -> None:
    path = tmp_path / "gpuwatch.db"
    writer = opened(path)
    writer.add(described())
    assert writer.commit()
    writer.close()
    writer = opened(path, T0 + 10_000)
    writer.add(Tick(T0 + 10_000, host=HOST, trainers=[trainer(501)]))
    writer.add(at(11, stepping(501), stepping(502)))
    assert asked(writer, "SELECT pid, name, start_known FROM process ORDER BY 1") == [(pid, "python3", 1) for pid in (500, *RANKS)]
    assert asked(writer, "SELECT name, kind FROM workload") == [("train.py", "training")]
    writer.close()


# -------------------------------------------------------------------------------------------------------- ranks and runs


def test_a_rank_is_as_it_was_told_last_and_since_when_stays(writer: StoreWriter) -> None:
    writer.add(described())
    assert writer.commit()
    ended = trainer(501, outcome=RunOutcome.DIED, ended_ms=T0 + 5000, model="GPT", flops_per_token=6e9, probe=True)
    writer.add(at(5, stepping(501), trainers=[ended]))
    found = asked(
        writer,
        "SELECT outcome, ended_ms, model, flops_per_token, probe, source, rank, world, first_ms, last_ms FROM trainer ORDER BY rank",
    )
    assert found[0] == (int(RunOutcome.DIED), T0 + 5000, "GPT", 6e9, 1, int(TrainingSource.HOOK), 0, 2, T0, T0 + 5000)
    assert found[1][-2:] == (T0, T0)
    writer.add(at(60, stepping(501), stepping(502)))
    assert writer.commit()
    close_minutes(writer.connection, T0 + 60_000)
    assert asked(writer, "SELECT last_ms FROM trainer ORDER BY rank") == [(T0 + 60_000,)] * 2
    assert asked(writer, "SELECT last_ms FROM workload") == [(T0 + 60_000,)]


def test_a_run_goes_on_with_each_commit_and_costs_none_where_it_stands_still(writer: StoreWriter) -> None:
    statements: list[str] = []
    writer.add(described())
    assert writer.commit()
    writer.connection.set_trace_callback(statements.append)
    for second in range(1, 11):
        writer.add(at(second, runs=[run(steps=second, tokens=200 * second, last_step_ms=T0 + second * 1000, ranks=2)]))
    assert asked(writer, "SELECT steps, tokens, last_step_ms, outcome, command, attached, ranks FROM run") == [
        (10, 2000, T0 + 10_000, 0, "torchrun train.py", 1, 2)
    ]
    assert sum("INSERT INTO run" in one for one in statements) == 1, "only what it is when a commit comes is written"
    statements.clear()
    writer.add(both(11, runs=[run(steps=10, tokens=2000, last_step_ms=T0 + 10_000, ranks=2)]))
    assert writer.commit()
    assert not [one for one in statements if "INTO run" in one]


def test_what_a_new_recorder_does_not_know_of_a_run_stays(tmp_path: Path) -> None:
    path = tmp_path / "gpuwatch.db"
    writer = opened(path)
    known = run(first_step_ms=T0 + 30_000, last_checkpoint_ms=T0 + 90_000, steps=50, tokens=5000, step_number=150, git_commit="abc", ranks=2, total_steps=900)  # fmt: skip
    writer.add(described(runs=[known]))
    assert writer.commit()
    writer.close()
    writer = opened(path, T0 + 200_000)
    writer.add(described(200, runs=[run(steps=3, first_step_ms=T0 + 199_000, command="", attached=False, step_number=152)]))
    found = asked(
        writer,
        "SELECT first_step_ms, last_checkpoint_ms, steps, tokens, step_number, git_commit, ranks, total_steps, command, attached, run_id FROM run",
    )
    assert found == [(T0 + 30_000, T0 + 90_000, 50, 5000, 152, "abc", 2, 900, "torchrun train.py", 1, 1)]
    other = (600, START_MS)
    writer.add(at(201, runs=[run(other)]))
    assert asked(writer, "SELECT run_id, root_pid FROM run JOIN workload USING(workload_id)") == [(1, 500), (2, 600)]
    writer.close()


def test_an_end_is_kept_until_it_is_told_otherwise(writer: StoreWriter) -> None:
    failed = run(ended_ms=T0 + 9000, exit_code=1, outcome=RunOutcome.FAILED, detail="rank 1: ValueError")
    writer.add(described(runs=[failed]))
    for second in (1, 100, 200):
        writer.add(at(second, stepping(501)))
        assert asked(writer, "SELECT ended_ms, exit_code, outcome, detail FROM run") == [(T0 + 9000, 1, 2, "rank 1: ValueError")]
    writer.add(at(300, runs=[run()]))
    assert asked(writer, "SELECT ended_ms, exit_code, outcome, detail FROM run") == [(None, None, 0, "")]


@pytest.mark.parametrize("told_at", [None, 2, 59], ids=["not told again", "at once", "late"])
def test_a_run_that_ended_while_nobody_watched_has_an_end_as_soon_as_that_is_sure(tmp_path: Path, told_at: int | None) -> None:
    path, later = tmp_path / "gpuwatch.db", T0 + 3_600_000
    writer = opened(path)
    writer.add(described(runs=[run(last_step_ms=T0 + 20_000)]))
    for second in range(1, 31):
        writer.add(both(second))
    assert writer.commit()
    writer.connection.close()  # killed before the minute was closed
    writer = opened(path, later)
    ends = []
    for second in range(70):
        told = {"runs": [run(last_step_ms=later)]} if second == told_at else {}
        writer.add(replace(both(0, **told), ts_ms=later + second * 1000, training_rows=()))
        ends.append(asked(writer, "SELECT ended_ms, outcome FROM run")[0])
    seen = (None, 0) if told_at is not None else (T0 + 30_000, int(RunOutcome.UNKNOWN))
    assert set(ends[: LOST_AFTER_MS // 1000]) == {(None, 0)} and set(ends[LOST_AFTER_MS // 1000 :]) == {seen}
    if told_at is None:  # it was there all the same: a look at it took long
        writer.add(Tick(later + 71_000, runs=[run(last_step_ms=later + 70_000)]))
        assert asked(writer, "SELECT ended_ms, outcome FROM run") == [(None, 0)]
    writer.close()


def test_a_run_whose_workload_is_still_there_has_no_end(tmp_path: Path) -> None:
    """Nobody reads it any more, as when its collector is off."""
    path, later = tmp_path / "gpuwatch.db", T0 + 3_600_000
    writer = opened(path)
    writer.add(described())
    assert writer.commit()
    writer.close()
    writer = opened(path, later)
    writer.add(Tick(later + 1000, host=HOST, workloads=[JOB]))
    for second in (2, 100):
        writer.add(replace(both(0), ts_ms=later + second * 1000, training_rows=()))
        assert asked(writer, "SELECT ended_ms, outcome FROM run") == [(None, 0)]
    writer.close()


def test_a_run_that_is_watched_goes_on_over_a_break_of_its_recorder(writer: StoreWriter) -> None:
    writer.add(described())
    writer.add(both(1))
    assert writer.commit()
    writer.begin_session(T0 + 3_600_000, 1000, "boot")  # the computer slept
    writer.add(both(3600 + 120))
    assert asked(writer, "SELECT ended_ms, outcome FROM run") == [(None, 0)]


# ------------------------------------------------------------------------------------------------------------- elsewhere


def test_a_fresh_file_is_told_of_ranks_and_runs(writer: StoreWriter, tmp_path: Path) -> None:
    writer.add(described(runs=[run(steps=5)]))
    assert writer.commit()
    fresh = opened(tmp_path / "fresh.db", session=False)
    writer._opener.connection = fresh.connection
    writer._move_in(told=False)
    writer.add(both(1))
    assert asked(writer, "SELECT steps FROM run") == [(5,)]
    assert fresh.connection.execute("SELECT count(*) FROM trainer").fetchone() == (2,)
    assert fresh.connection.execute("SELECT count(*) FROM training_sample").fetchone() == (2,)


def test_what_was_recorded_into_memory_comes_home(tmp_path: Path) -> None:
    home = opened(tmp_path / "home.db")
    home.add(described(runs=[run(steps=5)]))
    home.add(both(1))
    assert home.commit()
    memory = opened(tmp_path / "memory.db", session=False)
    newest = home.connection.execute("SELECT max(tick_id) FROM tick").fetchone()[0]
    home._opener.connection = memory.connection
    db = home.connection
    home._move_in(told=False)
    say_continues(memory.connection, newest)
    ended = trainer(502, outcome=RunOutcome.FINISHED, ended_ms=T0 + 3000)
    home.add(both(2, trainers=[ended], runs=[run(steps=6), run((600, START_MS), steps=1)]))
    home.add(both(3))
    assert home.commit(), home.problem
    assert bring_home(db, tmp_path / "memory.db") == 2
    assert db.execute("SELECT w.root_pid, r.steps FROM run r JOIN workload w USING(workload_id) ORDER BY 1").fetchall() == [
        (500, 6),
        (600, 1),
    ]
    assert db.execute("SELECT rank, outcome, first_ms, last_ms FROM trainer ORDER BY rank").fetchall() == [
        (0, 0, T0, T0),
        (1, 1, T0, T0 + 2000),
    ]
    assert db.execute("SELECT count(*) FROM training_sample").fetchone() == (6,)
    db.close()


def test_ranks_go_with_their_processes_and_runs_stay_without_their_command(writer: StoreWriter) -> None:
    writer.add(described(runs=[run(steps=5)]))
    writer.add(at(1, stepping(501)))
    assert writer.commit()
    db = writer.connection
    prune(db, T0 + 34 * DAY_MS, Keep(), print)
    assert db.execute("SELECT command FROM run").fetchone() == ("torchrun train.py",)
    prune(db, T0 + 36 * DAY_MS, Keep(), print)
    assert db.execute("SELECT command, steps FROM run").fetchone() == ("", 5)
    assert db.execute("SELECT count(*) FROM trainer").fetchone() == (2,)
    prune(db, T0 + 800 * DAY_MS, Keep(), print)
    assert [db.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("trainer", "process", "run")] == [(0,), (0,), (1,)]


def test_rows_point_to_what_is_there(tmp_path: Path) -> None:
    from gpuwatch.store import check

    path = tmp_path / "gpuwatch.db"
    writer = opened(path)
    writer.add(described())
    writer.add(both(1))
    assert writer.commit()
    writer.close()
    assert check.check(path) == []
    with sqlite3.connect(path) as db:
        db.execute("UPDATE trainer SET workload_id=77")
        db.execute("UPDATE run SET workload_id=77")
    assert [line.partition(": ")[2] for line in check.check(path)] == [
        "2 rows of trainer name a workload that is not there",
        "1 rows of run name a workload that is not there",
    ]


def test_processes_of_the_job_are_linked_to_its_workload(writer: StoreWriter) -> None:
    writer.add(Tick(T0, host=HOST, trainers=[trainer(501)]))
    writer.add(at(1, processes=[rank_process(503, role="worker")]))
    assert asked(
        writer, "SELECT count(*) FROM process WHERE workload_id=(SELECT workload_id FROM workload WHERE root_pid=?)", ROOT[0]
    ) == [(2,)]
