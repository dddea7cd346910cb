"""The rows of inference servers for a window on the past: from sealed hours, and from the hot tables what is in no chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from gpuwatch.store.archive.read import Columns, cut
from gpuwatch.store.archive.shapes import INFERENCE
from gpuwatch.store.served import INFERENCE_ROW

_ROW = ("ts_ms", *INFERENCE_ROW)


class PastServed:
    """The part of a :class:`gpuwatch.store.archive.replay.PastWindow` that reads servers."""

    _number: Mapping[int, int]

    def _columns(self, kind: int, entity_id: int, from_ms: int, to_ms: int, wanted: tuple[str, ...]) -> Columns | None:
        raise NotImplementedError

    def inference_rows(self, workload_ids: Sequence[int], after_ms: int, to_ms: int) -> list[tuple[Any, ...]]:
        """What a window's own says; ticks that hold nothing but such rows have no number and count as 0."""
        out: list[tuple[Any, ...]] = []
        for workload_id in workload_ids:
            columns = self._columns(INFERENCE, workload_id, after_ms, to_ms, _ROW)
            if columns is not None:
                there = cut(columns, after_ms, to_ms)
                rows = zip(*(there[name] for name in _ROW), strict=True)
                out += [(self._number.get(ts, 0), ts, workload_id, *values) for ts, *values in rows]
        return sorted(out, key=itemgetter(1, 2))
