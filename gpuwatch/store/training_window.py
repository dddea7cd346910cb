"""What a window says of trainings beside the rows of their ranks: who they are, their runs, and how long single steps took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.store.ledger_rows import ONCE
from gpuwatch.store.trainer_rows import RUN, TRAINER
from gpuwatch.store.window import Window

TRAINED_SCHEMA = 4
"""Older files have no trainings."""
_TRAINERS = (
    f"SELECT p.pid, p.start_ms, {','.join('t.' + name for name in TRAINER)} FROM trainer t JOIN process p ON p.proc_id=t.proc_id "
    "WHERE t.workload_id IN ({}) ORDER BY t.workload_id, t.rank IS NULL, t.rank, t.proc_id"
)
_RUNS = f"SELECT {','.join(RUN)} FROM run WHERE workload_id IN ({{}})"
_STEPS = (  # they count where a rank's row speaks for time, as in minutes
    "SELECT (k.ts_ms-1)/? AS c, s.workload_id, s.latency, s.lower_us, s.upper_us, sum(s.n) FROM main.tick k "
    "CROSS JOIN main.latency_sample s ON s.tick_id=k.tick_id AND s.workload_id IN ({marks}) WHERE k.ts_ms>? AND k.ts_ms<=? "
    "AND EXISTS (SELECT 1 FROM main.training_sample i WHERE i.tick_id=k.tick_id AND i.workload_id=s.workload_id AND i.dt_ms>0) "
    f"AND {ONCE} GROUP BY 1, 2, 3, 4, 5"
)


def marks(ids: Sequence[int]) -> str:
    """As many question marks."""
    return ",".join("?" * len(ids))


def knows_trainings(window: Window) -> bool:
    """Whether the file is new enough to have ranks and runs."""
    known = window.memo.get("knows_trainings")
    if not known:
        known = window.memo["knows_trainings"] = int(window.rows("PRAGMA user_version", ())[0][0]) >= TRAINED_SCHEMA
    return bool(known)


def trainers(window: Window, workload_ids: Sequence[int]) -> list[Mapping[str, Any]]:
    """What is known of the ranks of these workloads now, by rank, with ``pid`` and ``start_ms`` of their processes."""
    found = window.rows(_TRAINERS.format(marks(workload_ids)), tuple(workload_ids))
    return [dict(zip(("pid", "start_ms", *TRAINER), row, strict=True)) for row in found]


def runs(window: Window, workload_ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
    """The runs of these workloads, by ``workload_id``."""
    found = window.rows(_RUNS.format(marks(workload_ids)), tuple(workload_ids))
    rows = [dict(zip(RUN, row, strict=True)) for row in found]
    return {int(row["workload_id"]): row for row in rows}


def step_cells(window: Window, workload_ids: Sequence[int], after_ms: int, to_ms: int, cell_ms: int) -> list[tuple[int, ...]]:
    """(cell, workload_id, latency, lower_us, upper_us, n) of the step times of ``(after_ms, to_ms]``, by cells of unix time."""
    return window.rows(_STEPS.format(marks=marks(workload_ids)), (cell_ms, *workload_ids, after_ms, to_ms))
