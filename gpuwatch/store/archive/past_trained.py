"""The rows of training processes for a window on the past: from sealed hours, and from the hot tables what is in no chunk."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

from gpuwatch.store.archive.read import HOUR_MS, Columns, cut
from gpuwatch.store.archive.shapes import TRAINING
from gpuwatch.store.trained import TRAINING_ROW, TrainedTime

_END = ("rank_steps",)
_WHOSE = ("ts_ms", "workload_id")
_RANKS = (
    f"SELECT entity_id FROM chunk WHERE kind={TRAINING} AND host_id=? AND t0_ms>? AND t0_ms<? UNION SELECT s.proc_id FROM main.tick k"
    " CROSS JOIN main.training_sample s ON s.tick_id=k.tick_id WHERE k.ts_ms>? AND k.ts_ms<=? ORDER BY 1"
)


class PastTrained(TrainedTime):
    """The part of a :class:`gpuwatch.store.archive.replay.PastWindow` that reads training processes."""

    def _columns(self, kind: int, entity_id: int, from_ms: int, to_ms: int, wanted: tuple[str, ...]) -> Columns | None:
        raise NotImplementedError

    def training_rows(self, workload_ids: Sequence[int], after_ms: int, to_ms: int) -> list[tuple[Any, ...]]:
        """What a window's own says; a process may have been of one workload and then of another, so each row says of which."""
        return [row for row in self._rows(TRAINING_ROW, after_ms, to_ms) if row[2] in workload_ids]

    def step_ends(self, workload_id: int, after_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """What a window's own says."""
        return [(ts, proc) for ts, proc, workload, steps in self._rows(_END, after_ms, to_ms) if steps and workload == workload_id]

    def _rows(self, names: tuple[str, ...], after_ms: int, to_ms: int) -> list[tuple[Any, ...]]:
        """(ts_ms, proc_id, workload_id, *names) of all ranks, in the order of time."""
        out: list[tuple[Any, ...]] = []
        for (proc_id,) in self._all(_RANKS, (self.host_id, after_ms - HOUR_MS, to_ms, after_ms, to_ms)):
            columns = self._columns(TRAINING, proc_id, after_ms, to_ms, (*_WHOSE, *names))
            if columns is not None:
                there = cut(columns, after_ms, to_ms)
                out += zip(there["ts_ms"], repeat(proc_id), there["workload_id"], *(there[name] for name in names))
        return sorted(out, key=itemgetter(0, 1))
