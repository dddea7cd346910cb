"""Trainings for tests of the store: two ranks of one job whose sums are easy to make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from support.store_rows import HOST, T0, gpu, gpu_row, process_row

from gpuwatch.ledger.types import BucketRow
from gpuwatch.measure import quantise
from gpuwatch.model import LatencyCounts, Process, Workload
from gpuwatch.names import Bucket, Cause, Latency, Tier, TrainingSource
from gpuwatch.store.days import close_days
from gpuwatch.store.hours import close_hours
from gpuwatch.store.ledger_rows import process_owners, write_ledger
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.rows import Tick, TrainingRow
from gpuwatch.store.writer import StoreWriter
from gpuwatch.training import Run, Trainer, TrainingSample

START_MS = T0 - 5000
"""Start of every process (``support.store_rows.process_row``)."""
ROOT = (500, START_MS)
RANKS = (501, 502)
JOB = Workload(*ROOT, kind="training", name="train.py", user="alice", job="tmux:exp")


def rank_process(pid: int, root: tuple[int, int] = ROOT, **more: Any) -> Process:
    given = {"uid": 1000, "user": "alice", "command": "python3 train.py", **more}
    return Process(pid, START_MS, "python3", workload_pid=root[0], workload_start_ms=root[1], **given)


def trainer(pid: int = RANKS[0], root: tuple[int, int] = ROOT, **more: Any) -> Trainer:
    given = {"source": TrainingSource.HOOK, "attached_ms": T0, "rank": pid - RANKS[0], "world": 2, **more}
    return Trainer(pid, START_MS, *root, **given)


def run(root: tuple[int, int] = ROOT, **more: Any) -> Run:
    return Run(*root, **{"started_ms": root[1], "attached": True, "command": "torchrun train.py", **more})


def row(pid: int = RANKS[0], dt_ms: int = 1000, root: tuple[int, int] = ROOT, **values: Any) -> TrainingRow:
    return TrainingRow(pid, START_MS, *root, dt_ms, quantise(TrainingSample(pid, START_MS, **values)))


def stepping(pid: int, dt_ms: int = 1000, root: tuple[int, int] = ROOT, **more: Any) -> TrainingRow:
    """A rank that has done a step of a second: half of it backward; steps of the job are counted on the first rank."""
    first = {"steps_total": 1.0} if pid == RANKS[0] else {}
    parts = {"data_wait_seconds": 0.125, "forward_seconds": 0.25, "backward_seconds": 0.5, "optimizer_seconds": 0.0625}
    given = {"rank_steps_total": 1.0, "tokens_total": 100.0, "attached_seconds": dt_ms / 1000, "other_seconds": 0.0625}
    return row(pid, dt_ms, root, **{**first, **parts, **given, **more})


def described(second: float = 0, **more: Any) -> Tick:
    """The tick that introduces everybody."""
    given: dict[str, Any] = {
        "gpus": [gpu(0), gpu(1)],
        "processes": [rank_process(pid) for pid in (ROOT[0], *RANKS)],
        "workloads": [JOB],
        "trainers": [trainer(pid) for pid in RANKS],
        "runs": [run()],
    }
    return Tick(T0 + round(second * 1000), host=HOST, **{**given, **more})


def at(second: float, *rows: TrainingRow, **more: Any) -> Tick:
    return Tick(T0 + round(second * 1000), training_rows=rows, **more)


def both(second: float, **more: Any) -> Tick:
    """Both ranks step on a GPU each."""
    held = [process_row(pid, number) for number, pid in enumerate(RANKS)]
    gpus = [gpu_row(number, utilization_ratio=0.9, power_watts=300.0) for number in (0, 1)]
    return at(second, *(stepping(pid) for pid in RANKS), process_rows=held, gpu_rows=gpus, **more)


def steps(numbers: Sequence[int], root: tuple[int, int] = ROOT, latency: Latency = Latency.STEP) -> LatencyCounts:
    """So many more steps in buckets of a tenth of a second."""
    buckets = [(100_000 * at, 100_000 * (at + 1), n) for at, n in enumerate(numbers) if n]
    return LatencyCounts(*root, 0, latency, tuple(buckets))


def close(writer: StoreWriter, now_ms: int) -> None:
    """Close every tier that is over."""
    db = writer.connection
    close_minutes(db, now_ms)
    close_hours(db, now_ms)
    close_days(db, now_ms)


def book(writer: StoreWriter, t: int, *, final: bool = True) -> None:
    """A minute of the ledger in which each rank had a GPU of its own for 50 seconds and 5 joules, and nobody the rest."""
    db = writer.connection
    ids = dict(db.execute("SELECT pid, proc_id FROM process").fetchall())
    owners = process_owners(db, [ids[pid] for pid in RANKS])
    for number, pid in enumerate(RANKS, 1):
        mine = BucketRow(owners[ids[pid]], Bucket.EFFECTIVE, Cause.NONE, Tier.G, 50_000, 5000)
        write_ledger(db, number, t, [mine, BucketRow(0, Bucket.UNALLOCATED, Cause.NONE, Tier.N, 10_000, 500)], final)
