"""A store of schema 3, whose rows of trainings were one a workload: they are those of processes after the upgrade."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import kept

from gpuwatch.clock import FakeClock
from gpuwatch.measure import quantise
from gpuwatch.store import check
from gpuwatch.store.archive.codec import decode
from gpuwatch.store.archive.shapes import TRAINING
from gpuwatch.store.columns import TRAINING_SAMPLE
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.rows import Tick, TrainingRow
from gpuwatch.store.upgrade import upgrade
from gpuwatch.store.window import Window
from gpuwatch.store.writer import StoreWriter
from gpuwatch.training import Run, TrainingSample

OLD = next(packed for packed in kept.FILES if kept.ordinal(packed) == 3)
COLUMNS = ("dt_ms", "steps", "tokens", "nonpad_tokens", "eval_tokens", "samples", "data_wait_ms", "forward_ms", "backward_ms", "optimizer_ms", "checkpoint_ms", "eval_ms", "compile_ms", "other_ms", "allocated_mib", "reserved_mib", "loss_micro")  # fmt: skip
ROOTS = {1: 700, 2: 800, 4: 900}
"""Workload -> the pid of its root; of 900 nobody has seen the process."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return kept.unpack(OLD, tmp_path / "gpuwatch.db")


def hot(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT tick_id, workload_id, {','.join(COLUMNS)} FROM training_sample ORDER BY 1, 2").fetchall()


def sealed(path: Path) -> dict[tuple[int, int], list[tuple[Any, ...]]]:
    """(entity, hour) -> its rows of the old columns."""
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT entity_id, t0_ms, cols, body FROM chunk WHERE kind=?", (TRAINING,)).fetchall()
    return {
        (entity, t0): list(zip(*decode(cols, body, ("ts_ms", *COLUMNS)).values(), strict=True)) for entity, t0, cols, body in found
    }


def test_it_holds_what_schema_4_touches(store: Path) -> None:
    rows = hot(store)
    assert len(rows) > 2000 and {row[1] for row in rows} == set(ROOTS)
    chunks = sealed(store)
    assert {entity for entity, _ in chunks} == set(ROOTS) and sum(map(len, chunks.values())) > 10_000
    assert all(row[2] is not None for rows in chunks.values() for row in rows)


def test_every_row_is_that_of_the_process_at_the_root(store: Path) -> None:
    rows, chunks = hot(store), sealed(store)
    upgrade(store)
    assert hot(store) == rows
    with closing(sqlite3.connect(store)) as db:
        pids = dict(db.execute("SELECT proc_id, pid FROM process"))
        roots = dict(db.execute("SELECT DISTINCT workload_id, proc_id FROM training_sample"))
        nameless = db.execute("SELECT pid, name, start_known, workload_id FROM process WHERE name=''").fetchall()
        columns = [
            decode(*found, ("workload_id", *TRAINING_SAMPLE[20:]))
            for found in db.execute("SELECT cols, body FROM chunk WHERE kind=?", (TRAINING,))
        ]
        left = db.execute("SELECT count(*) FROM sqlite_master WHERE name GLOB 'training_sample_*'").fetchone()
    assert {workload: pids[proc] for workload, proc in roots.items()} == ROOTS
    assert nameless == [(900, "", 0, 4)] and left == (0,)
    of = {pid: proc for proc, pid in pids.items()}
    assert sealed(store) == {(of[ROOTS[workload]], t0): found for (workload, t0), found in chunks.items()}
    assert {workload for each in columns for workload in each["workload_id"]} == set(ROOTS)
    assert all(set(each[name]) == {None} for each in columns for name in TRAINING_SAMPLE[20:])
    assert check.check(store) == []


def test_a_window_on_the_past_reads_them(store: Path) -> None:
    chunks = sealed(store)
    upgrade(store)
    (first, last) = min(row[0] for rows in chunks.values() for row in rows), max(row[0] for rows in chunks.values() for row in rows)
    with Window(store) as window:
        past = window.over(first + 3_600_000, 3_600_000, None)
        for workload in ROOTS:
            found = past.training_rows([workload], first - 1, last)
            mine = sorted(row for (entity, _), rows in chunks.items() if entity == workload for row in rows)
            there = {row[0] for row in mine}
            old = [(ts_ms, *values[: len(COLUMNS)]) for ts_ms, _, _, *values in found if ts_ms in there]
            assert old == mine


def test_its_trainings_go_on_with_ranks_and_a_run(store: Path) -> None:
    upgrade(store)
    with closing(sqlite3.connect(store)) as db:
        last, tokens = db.execute("SELECT max(ts_ms), (SELECT sum(tokens_sum) FROM workload_minute) FROM tick").fetchone()
        root = db.execute("SELECT root_pid, root_start_ms FROM workload WHERE workload_id=1").fetchone()
    writer = StoreWriter.open(store, clock=FakeClock(last / 1000 + 1), simulated=True, tmpfs_fallback=False)
    start = last + 3_600_000
    writer.begin_session(start, 1000, "boot")
    for second in range(1, 61):
        values = quantise(TrainingSample(701, tokens_total=10.0, rank_steps_total=1.0))
        rows = [TrainingRow(pid, root[1] + 2000, *root, 1000, values) for pid in (701, 702)]
        writer.add(Tick(start + second * 1000, training_rows=rows, runs=[Run(*root, root[1], steps=second)]))
    assert writer.commit(), writer.problem
    close_minutes(writer.connection, start + 3_600_000)
    db = writer.connection
    assert db.execute("SELECT sum(tokens_sum)-?, sum(rank_steps_sum) FROM workload_minute", (tokens,)).fetchone() == (1200, 120)
    assert db.execute("SELECT name, root_pid, steps_total, outcome FROM v_run").fetchall() == [("train.py", 700, 60, "running")]
    assert db.execute("SELECT count(*) FROM process").fetchone() == (6,), "the ranks were described before"
    writer.close()
    assert check.check(store) == []
