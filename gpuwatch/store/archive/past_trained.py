"""The rows of training processes for a window on the past: from sealed hours, and from the hot tables what is in no chunk."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from gpuwatch.store.archive.read import Columns, cut
from gpuwatch.store.archive.shapes import TRAINING
from gpuwatch.store.trained import TRAINING_ROW

_ROW = ("ts_ms", "workload_id", *TRAINING_ROW)
_RANKS = (
    "SELECT proc_id FROM trainer WHERE workload_id IN ({0}) UNION SELECT proc_id FROM process WHERE workload_id IN ({0}) ORDER BY 1"
)


class PastTrained:
    """The part of a :class:`gpuwatch.store.archive.replay.PastWindow` that reads training processes."""

    if TYPE_CHECKING:  # the window's own, which stands behind this class

        def _all(self, sql: str, values: Sequence[object] = ()) -> list[Any]: ...

    def _columns(self, kind: int, entity_id: int, from_ms: int, to_ms: int, wanted: tuple[str, ...]) -> Columns | None:
        raise NotImplementedError

    def training_rows(self, workload_ids: Sequence[int], after_ms: int, to_ms: int) -> list[tuple[Any, ...]]:
        """What a window's own says. Which processes train is known from their descriptions, whose rows say of which workload."""
        out: list[tuple[Any, ...]] = []
        for (proc_id,) in self._all(_RANKS.format(",".join("?" * len(workload_ids))), (*workload_ids, *workload_ids)):
            columns = self._columns(TRAINING, proc_id, after_ms, to_ms, _ROW)
            if columns is not None:
                there = cut(columns, after_ms, to_ms)
                rows = zip(*(there[name] for name in _ROW), strict=True)
                out += [(ts, proc_id, workload_id, *values) for ts, workload_id, *values in rows if workload_id in workload_ids]
        return sorted(out, key=itemgetter(0, 1))
