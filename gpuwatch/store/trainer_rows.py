"""Rows of trainings on their way into the store: of ``trainer`` and ``run``, written after what they refer to when something changed.

A run is told anew with every step; only what it is when a commit comes is written, and nothing where that is what was written last.
What a new description does not know (a recorder that has just started) stays as it was known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gpuwatch.dataclass import fields, replace
from gpuwatch.measure import measures
from gpuwatch.names import RunOutcome
from gpuwatch.store.rows import TrainingRow
from gpuwatch.training import Run, Trainer, TrainingSample

_TRAINER_OWN = tuple(f.name for f in fields(Trainer))[4:]
TRAINER = ("proc_id", "workload_id", *_TRAINER_OWN, "first_ms", "last_ms")
_RUN_OWN = tuple(f.name for f in fields(Run))[2:]
RUN = ("run_id", "workload_id", *_RUN_OWN)
_COUNTED = ("last_step_ms", "last_checkpoint_ms", "steps", "tokens", "samples", "attached")
"""They never go back."""
_WHILE_KNOWN = ("step_number", "total_steps", "ranks")
_TEXTS = ("git_commit", "command")
_KEEP = 2000
LOST_AFTER_MS = 60_000
"""A run that was not told again so long after a recorder began, and whose workload is gone, has ended while nobody watched."""
Row = tuple[Any, ...]


def trainer_sql(rows: str) -> str:
    """Insert or renew trainers; ``rows`` is ``VALUES …`` or a ``SELECT`` with ``WHERE``. When it was first seen stays."""
    changes = [f"{name}=excluded.{name}" for name in TRAINER[1:] if name not in ("first_ms", "last_ms")]
    return _upsert("trainer", TRAINER, rows, "proc_id", [*changes, "last_ms=max(trainer.last_ms,excluded.last_ms)"])


def run_sql(rows: str) -> str:
    """The same for runs, one a workload."""
    changes = []
    for name in _RUN_OWN:
        new, old = f"excluded.{name}", f"run.{name}"
        if name in _COUNTED:
            changes.append(f"{name}=coalesce(max({new},{old}),{new},{old})")
        elif name == "first_step_ms":
            changes.append(f"{name}=coalesce(min({new},{old}),{new},{old})")
        elif name in _WHILE_KNOWN:
            changes.append(f"{name}=coalesce({new},{old})")
        else:
            changes.append(f"{name}=coalesce(nullif({new},''),{old})" if name in _TEXTS else f"{name}={new}")
    return _upsert("run", RUN, rows, "workload_id", changes)


def _upsert(table: str, names: tuple[str, ...], rows: str, key: str, changes: Iterable[str]) -> str:
    return f"INSERT INTO {table}({','.join(names)}) {rows} ON CONFLICT({key}) DO UPDATE SET {','.join(changes)}"


_TRAINER_SQL = trainer_sql(f"VALUES({','.join('?' * len(TRAINER))})")
_RUN_SQL = run_sql(f"VALUES({','.join('?' * len(RUN))})")
_LAST_SEEN = (
    "max(r.started_ms,coalesce(r.last_step_ms,0),coalesce(r.last_checkpoint_ms,0),w.last_ms,coalesce((SELECT max(t.last_ms) FROM trainer t"
    " WHERE t.workload_id=r.workload_id),0),coalesce((SELECT k.ts_ms FROM training_sample s JOIN tick k ON k.tick_id=s.tick_id"
    " WHERE s.workload_id=r.workload_id ORDER BY s.tick_id DESC LIMIT 1),0))"
)
_OPEN = f"SELECT r.workload_id, {_LAST_SEEN} FROM run r JOIN workload w ON w.workload_id=r.workload_id WHERE r.ended_ms IS NULL AND w.host_id=? AND w.last_ms<?"
_LOST = f"UPDATE run SET ended_ms=?, outcome={int(RunOutcome.UNKNOWN)} WHERE workload_id=?"


class TrainerRows:
    """What is known of each rank by its process' row id, and of each run by its workload's, and what is still to be written."""

    def __init__(self, take_run_id: Callable[[], int]) -> None:
        self._take_run_id = take_run_id
        self._trainers: dict[int, Row] = {}
        self._runs: dict[int, Row] = {}
        self._written: dict[int, Row] = {}
        self._pending: set[int] = set()
        self._run_ids: dict[int, int] = {}
        self._aside: dict[tuple[str, tuple[int, ...]], Row] = {}
        self._was: dict[tuple[int, ...], int] = {}
        """The id that a workload, by its key, had before it was set aside."""
        self._begun_ms: int | None = None
        """When the session began, until it is sure which runs have ended before it."""

    def begin(self, now_ms: int) -> None:
        """A session begins: runs that an earlier one left open and that nobody tells again soon have ended unseen."""
        self._begun_ms = now_ms

    def trainer(self, proc_id: int, workload_id: int, trainer: Trainer, ts_ms: int) -> None:
        """A rank that is new or has changed."""
        values = (_plain(getattr(trainer, name)) for name in _TRAINER_OWN)
        self._put_trainer((proc_id, workload_id, *values, ts_ms, ts_ms))

    def _put_trainer(self, row: Row) -> None:
        self._trainers.pop(row[0], None)
        self._trainers[row[0]] = row
        self._pending.add(row[0])

    def run(self, workload_id: int, run: Run) -> None:
        """A run that is new or has gone on."""
        self._runs[workload_id] = tuple(_plain(getattr(run, name)) for name in _RUN_OWN)

    def requeue_all(self) -> None:
        """Write every one again: the file was replaced by an empty one."""
        self._pending.update(self._trainers)
        self._written.clear()

    # ----------------------------------------------------------------------------------------------- of forgotten people

    def set_aside(self, table: str, key: tuple[int, ...], row_id: int) -> None:
        """Write what is known of a process or a workload no more under this id; it may go on under another one."""
        if table == "process":
            self._pending.discard(row_id)
            found = self._trainers.pop(row_id, None)
        else:
            self._written.pop(row_id, None)
            self._run_ids.pop(row_id, None)
            self._was[key] = row_id
            found = self._runs.pop(row_id, None)
        if found is not None:
            self._aside[table, key] = found

    def again(self, table: str, key: tuple[int, ...], row_id: int, workload_id: int | None, ts_ms: int) -> None:
        """What was set aside goes on under that id."""
        found = self._aside.pop((table, key), None)
        if table == "workload" and (was := self._was.pop(key, None)) is not None:
            for row in [row for row in self._trainers.values() if row[1] == was]:
                self._put_trainer((row[0], row_id, *row[2:]))
        if found is None:
            return
        if table == "process":
            self._put_trainer((row_id, found[1] if workload_id is None else workload_id, *found[2:-2], ts_ms, ts_ms))
        else:
            self._runs[row_id] = found

    def forget_aside(self) -> None:
        """Another host is recorded."""
        self._aside.clear()
        self._was.clear()

    # ---------------------------------------------------------------------------------------------------------- writing

    def write(self, db: sqlite3.Connection, host_id: int, newest_ms: int) -> None:
        """Put what has changed into the open transaction, after processes and workloads; ``written`` forgets it after the commit."""
        db.executemany(_TRAINER_SQL, [self._trainers[proc_id] for proc_id in sorted(self._pending)])
        if self._begun_ms is not None and newest_ms >= self._begun_ms + LOST_AFTER_MS:
            end_lost(db, host_id, self._begun_ms, self._runs)
        for workload_id, row in self._runs.items():
            if self._written.get(workload_id) != row:
                db.execute(_RUN_SQL, (self._run_id(db, workload_id), workload_id, *row))

    def _run_id(self, db: sqlite3.Connection, workload_id: int) -> int:
        found = self._run_ids.get(workload_id)
        if found is None:
            row = db.execute("SELECT run_id FROM run WHERE workload_id=?", (workload_id,)).fetchone()
            found = self._run_ids[workload_id] = int(row[0]) if row else self._take_run_id()
        return found

    def written(self, newest_ms: int) -> None:
        """The commit succeeded."""
        self._pending.clear()
        if self._begun_ms is not None and newest_ms >= self._begun_ms + LOST_AFTER_MS:
            self._begun_ms = None
        self._written.update(self._runs)
        for rows in (self._trainers, self._runs):
            while len(rows) > _KEEP:
                gone = next(iter(rows))
                del rows[gone]
                if rows is self._runs:
                    self._written.pop(gone, None)
                    self._run_ids.pop(gone, None)


def end_lost(db: sqlite3.Connection, host_id: int, since_ms: int, told: Iterable[int]) -> None:
    """Runs of the host without an end, whose workloads nobody has seen or ``told`` of since then, ended nobody knows how: when they
    were seen last.
    """
    known = set(told)
    open_runs = db.execute(_OPEN, (host_id, since_ms)).fetchall()
    db.executemany(_LOST, [(last_ms, workload_id) for workload_id, last_ms in open_runs if workload_id not in known])


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, (bool, int)) else value


_ADDS_UP = tuple(m.kind == "delta" for m in measures(TrainingSample).values())


def one_each(rows: Sequence[TrainingRow]) -> Iterable[TrainingRow]:
    """One row for each process: where one has several, counts add up and all else is what the latest knows."""
    found: dict[tuple[int, int], TrainingRow] = {}
    for row in rows:
        known = found.get((row.pid, row.start_ms))
        found[row.pid, row.start_ms] = row if known is None else _joined(known, row)
    return found.values()


def _joined(first: TrainingRow, second: TrainingRow) -> TrainingRow:
    values = tuple(
        new if old is None else old if new is None else old + new if adds else new
        for old, new, adds in zip(first.values, second.values, _ADDS_UP, strict=True)
    )
    return replace(second, dt_ms=max(first.dt_ms, second.dt_ms), values=values)
