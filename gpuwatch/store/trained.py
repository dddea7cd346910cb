"""What a window says of the rows of training processes. Values are the store's integers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gpuwatch.store.columns import TRAINING_SAMPLE
from gpuwatch.store.ledger_rows import ONCE

TRAINING_ROW = TRAINING_SAMPLE[3:]
"""``dt_ms`` and the measures of a row."""
_ROWS = (
    f"SELECT k.ts_ms, s.proc_id, s.workload_id, {','.join('s.' + name for name in TRAINING_ROW)} FROM main.tick k "
    "CROSS JOIN main.training_sample s ON s.tick_id=k.tick_id WHERE k.ts_ms>? AND k.ts_ms<=? AND s.workload_id IN ({}) "
    f"AND {ONCE} ORDER BY k.ts_ms, s.proc_id"
)
_ENDS = (
    "SELECT k.ts_ms, s.proc_id FROM main.tick k CROSS JOIN main.training_sample s ON s.tick_id=k.tick_id WHERE k.ts_ms>? AND k.ts_ms<=? "
    f"AND s.workload_id=? AND s.rank_steps>0 AND {ONCE} ORDER BY k.ts_ms"
)


class TrainedTime:
    """The part of a window that reads training processes (ranks)."""

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        raise NotImplementedError

    @property
    def host_id(self) -> int:
        """The host that is looked at."""
        raise NotImplementedError

    def _named(self, sql: str, values: Sequence[object], key: str | None) -> dict[int, dict[str, Any]]:
        raise NotImplementedError

    def trainings_of(self, roots: Collection[tuple[int, int]]) -> Mapping[int, Mapping[str, Any]]:
        """The workloads of kind training whose root (pid, start) is one of these, by ``workload_id``, as :meth:`workloads` has them."""
        found: dict[int, Mapping[str, Any]] = {}
        every = sorted(roots)
        for start in range(0, len(every), 400):
            some = every[start : start + 400]
            sql = (
                "SELECT w.*, coalesce(u.name, '') AS user FROM workload w LEFT JOIN user_account u ON u.user_id = w.user_id "
                f"WHERE w.host_id=? AND w.kind='training' AND (w.root_pid, w.root_start_ms) IN (VALUES {','.join(['(?,?)'] * len(some))})"
            )
            found |= self._named(sql, (self.host_id, *(value for root in some for value in root)), key="workload_id")
        return found

    def training_rows(self, workload_ids: Sequence[int], after_ms: int, to_ms: int) -> list[tuple[Any, ...]]:
        """(ts_ms, proc_id, workload_id, *TRAINING_ROW) of ``(after_ms, to_ms]``, in the order of time."""
        return self._all(_ROWS.format(",".join("?" * len(workload_ids))), (after_ms, to_ms, *workload_ids))

    def step_ends(self, workload_id: int, after_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """(ts_ms, proc_id) of the rows of ``(after_ms, to_ms]`` in which steps ended, in the order of time."""
        return self._all(_ENDS, (after_ms, to_ms, workload_id))
