"""What the views say of runs, ranks and their newest rows; what a run cost is exact at any time."""

from __future__ import annotations

from typing import Any

import pytest
from support.store_rows import HOST, T0, gpu, gpu_row
from support.training_rows import JOB, ROOT, START_MS, at, book, both, described, rank_process, row, run, stepping, trainer

from gpuwatch.dataclass import replace
from gpuwatch.names import RunOutcome, TrainingSource
from gpuwatch.store.days import close_days, close_ledger_days
from gpuwatch.store.hours import close_hours, close_ledger_hours
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.rows import Tick
from gpuwatch.store.watermarks import LEDGER_TIER, set_watermark
from gpuwatch.store.writer import StoreWriter
from gpuwatch.training import lost_gpu_ms

HOUR_S, DAY_S = 3600, 86_400


def shown(writer: StoreWriter, sql: str) -> list[tuple[Any, ...]]:
    assert writer.commit(), writer.problem
    return writer.connection.execute(sql).fetchall()


def test_what_a_run_cost_is_the_same_however_far_its_ledger_is_closed(writer: StoreWriter) -> None:
    """Two GPUs for 50 seconds and 5 J of each minute, over three local days with the recorder off now and then."""
    writer.add(described())
    minutes = [t for t in range(T0 // 1000, T0 // 1000 + 50 * HOUR_S, 60) if t % 7200 < 1800]
    ask = "SELECT gpu_seconds, energy_joules, gpus FROM v_run"
    assert shown(writer, ask) == [(None, None, None)], "nothing is booked yet"
    db = writer.connection
    for number, t in enumerate(minutes, 1):
        db.execute("UPDATE gpu SET last_ms=?", ((t + 60) * 1000,))
        book(writer, t, final=t + 960 < T0 // 1000 + 50 * HOUR_S)
        if number % 40 in (0, 7):
            now_ms = (t + 60) * 1000
            close_minutes(db, now_ms)
            set_watermark(db, LEDGER_TIER, t + 60)
            for closing in (close_hours, close_ledger_hours, close_days, close_ledger_days):
                closing(db, now_ms)
                assert shown(writer, ask) == [(number * 100.0, number * 10.0, 2)], (number, closing)
    tiers = [db.execute(f"SELECT count(*) FROM ledger_{tier} WHERE owner_id<>0").fetchone()[0] for tier in ("hour", "day")]
    assert min(tiers) > 0, "days and hours were closed"
    marks = dict(db.execute("SELECT tier, done_s FROM rollup_state").fetchall())
    assert marks["ledger_day"] < marks["ledger_hour"] < minutes[-1], "and the youngest time is in minutes only"


def test_a_run_has_an_energy_where_each_of_its_gpus_tells_one(writer: StoreWriter) -> None:
    writer.add(described())
    writer.add(both(1))
    assert writer.commit()
    book(writer, T0 // 1000)
    assert shown(writer, "SELECT gpu_seconds, energy_joules, gpus FROM v_run") == [(100.0, 10.0, 2)]
    writer.connection.execute("UPDATE ledger_minute SET energy_mj=0 WHERE gpu_id=2")
    assert shown(writer, "SELECT gpu_seconds, energy_joules, gpus FROM v_run") == [(100.0, None, 2)]


def test_a_host_s_marks_say_nothing_of_another_host_s_runs(writer: StoreWriter) -> None:
    writer.add(described())
    writer.add(both(1))
    assert writer.commit()
    book(writer, T0 // 1000)
    other = Tick(T0 + 2000, host=replace(HOST, machine_id="m-2", hostname="lab-2"), gpus=[gpu(0)], runs=[run()], workloads=[JOB])
    writer.add(other)
    assert writer.commit()
    set_watermark(writer.connection, "ledger_hour", T0 // 1000 + 7200, 2)
    assert shown(writer, "SELECT host, gpu_seconds FROM v_run ORDER BY 1") == [("lab", 100.0), ("lab-2", None)]


@pytest.mark.parametrize(
    ("outcome", "failed", "lost"),
    [
        (RunOutcome.RUNNING, None, None),
        (RunOutcome.FINISHED, 0, None),
        (RunOutcome.FAILED, 1, 60.0),
        (RunOutcome.STOPPED, 0, 60.0),
        (RunOutcome.DIED, 1, 60.0),
        (RunOutcome.UNKNOWN, None, None),
    ],
)
def test_how_a_run_ended(writer: StoreWriter, outcome: RunOutcome, failed: int | None, lost: float | None) -> None:
    ended = None if outcome is RunOutcome.RUNNING else T0 + 55_000
    told = run(
        outcome=outcome, ended_ms=ended, first_step_ms=T0 + 10_000, last_checkpoint_ms=T0 + 25_000, steps=4, tokens=400, samples=16
    )
    writer.add(described(runs=[told]))
    assert writer.commit()
    book(writer, T0 // 1000)
    found = shown(
        writer,
        "SELECT outcome, failed, lost_gpu_seconds, first_step_seconds, steps_total, tokens_total, samples_total, exit_code FROM v_run",
    )
    assert found == [(outcome.label, failed, lost, 15.0, 4, 400, 16, None)]
    lived = ended, T0 + 25_000, T0 + 10_000, START_MS
    assert lost_gpu_ms(outcome, lived, 2, 100_000) == (None if lost is None else lost * 1000)


@pytest.mark.parametrize(
    ("first_step_ms", "checkpoint_ms", "ended_ms", "lost"),
    [
        (T0 + 10_000, None, T0 + 30_000, 40.0),
        (None, None, T0 + 15_000, 40.0),
        (T0, None, T0 + 55_000, 100.0),
        (T0, T0 + 55_000, T0 + 55_000, 0.0),
        (T0, T0 + 56_000, T0 + 55_000, 0.0),
    ],
    ids=[
        "since its first step",
        "since its start",
        "no more than it held",
        "nothing after a checkpoint",
        "a clock that was set back",
    ],
)
def test_a_failed_run_lost_what_no_checkpoint_holds(
    writer: StoreWriter, first_step_ms: int | None, checkpoint_ms: int | None, ended_ms: int, lost: float
) -> None:
    told = run(outcome=RunOutcome.FAILED, first_step_ms=first_step_ms, last_checkpoint_ms=checkpoint_ms, ended_ms=ended_ms)
    writer.add(described(runs=[told]))
    assert writer.commit()
    book(writer, T0 // 1000)
    assert shown(writer, "SELECT lost_gpu_seconds FROM v_run") == [(lost,)]
    assert lost_gpu_ms(RunOutcome.FAILED, (ended_ms, checkpoint_ms, first_step_ms, START_MS), 2, 100_000) == lost * 1000


def test_a_failed_run_on_no_gpu_lost_no_gpu_time_that_is_known(writer: StoreWriter) -> None:
    writer.add(described(runs=[run(outcome=RunOutcome.FAILED, ended_ms=T0)]))
    assert shown(writer, "SELECT lost_gpu_seconds, gpu_seconds, energy_joules, gpus FROM v_run") == [(None, None, None, None)]
    assert lost_gpu_ms(RunOutcome.FAILED, (T0, None, None, None), 2, 100_000) is None


def test_a_run_says_whose_it_is_and_what_was_run(writer: StoreWriter) -> None:
    writer.add(described(runs=[run(git_commit="4f2e", ranks=2, step_number=30, total_steps=100, detail="rank 1 left")]))
    found = shown(writer, 'SELECT host, root_pid, root_start_ms, port, kind, name, "user", job, started_ms, git_commit, command, ranks, step_number, total_steps, detail, attached FROM v_run')  # fmt: skip
    assert found == [
        (
            "lab",
            *ROOT,
            0,
            "training",
            "train.py",
            "alice",
            "tmux:exp",
            START_MS,
            "4f2e",
            "torchrun train.py",
            2,
            30,
            100,
            "rank 1 left",
            1,
        )
    ]


def test_ranks_as_they_are_known(writer: StoreWriter) -> None:
    log = trainer(
        502,
        source=TrainingSource.LOG,
        parameters=124_000_000,
        flops_per_token=8.6e8,
        data_parallel=2,
        data_parallel_source="assumed",
    )
    writer.add(described(trainers=[trainer(501, outcome=RunOutcome.FAILED, ended_ms=T0 + 9000), log]))
    names = 'host, root_pid, name, "user", pid, rank, world, source, outcome, ended_ms, parameters, flops_per_token, data_parallel_source, probe'
    assert shown(writer, f"SELECT {names} FROM v_trainer ORDER BY rank") == [
        ("lab", 500, "train.py", "alice", 501, 0, 2, "hook", "failed", T0 + 9000, None, None, "", 0),
        ("lab", 500, "train.py", "alice", 502, 1, 2, "log", "running", None, 124_000_000, 8.6e8, "assumed", 0),
    ]


def test_the_newest_row_of_each_rank(writer: StoreWriter) -> None:
    writer.add(described(trainers=[trainer(501)]))
    writer.add(at(1, stepping(501, phase=1, phase_age_seconds=0.5), stepping(502)))
    writer.add(at(2, stepping(501, phase=5, phase_age_seconds=1.25, step_number=77, loss=2.5)))
    sql = "SELECT pid, ts_ms, rank, source, state, phase, phase_age_seconds, step_number, loss, steps_total, backward_seconds FROM v_training_now ORDER BY pid"
    assert shown(writer, sql) == [
        (501, T0 + 2000, 0, "hook", "checkpoint", 5, 1.25, 77, 2.5, 1, 0.5),
        (502, T0 + 1000, None, None, None, None, None, None, None, None, 0.5),
    ]
    writer.add(Tick(T0 + 32_000, gpu_rows=[gpu_row()]))
    assert [found[0] for found in shown(writer, sql)] == [501], "rows of more than 30 seconds are not of now"
    writer.begin_session(T0 + 33_000, 1000, "boot")
    writer.add(Tick(T0 + 33_000, gpu_rows=[gpu_row()]))
    assert shown(writer, sql) == []


def test_a_workload_of_two_hosts_is_one_of_each(writer: StoreWriter) -> None:
    writer.add(described())
    writer.add(both(1))
    second = replace(HOST, machine_id="m-2", hostname="lab-2")
    writer.add(
        Tick(
            T0 + 2000,
            host=second,
            gpus=[gpu(0)],
            processes=[rank_process(501)],
            workloads=[JOB],
            trainers=[trainer(501)],
            runs=[run()],
        )
    )
    writer.add(at(3, row(501)))
    assert shown(writer, "SELECT host, count(*) FROM v_trainer GROUP BY 1") == [("lab", 2), ("lab-2", 1)]
    assert shown(writer, "SELECT count(DISTINCT workload_id) FROM run") == [(2,)]
