"""Distributions of an hour as logarithmic bins, which add up over any span: percentiles to 2 % without the single rows.

A bin holds the values in ``(GAMMA**(bin-1), GAMMA**bin]``, so its middle is at most 2 % away from each of them (the sketch of
Masson, Rim and Lee, "DDSketch", VLDB 2019). Values are the store's integers, a weight is the time that they were observed.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from math import ceil, log
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.measure import Measure, measures
from gpuwatch.model import GpuSample, InferenceSample
from gpuwatch.store.archive.shapes import GPU, INFERENCE

ALPHA = 0.02
GAMMA = (1 + ALPHA) / (1 - ALPHA)
"""1.0408: the ratio of a bin's edges."""
ZERO = -1
"""The bin of 0 (the integers from 1 on need none below 0)."""
_PER_BIN = 1 / log(GAMMA)
ENTITY_GPU, ENTITY_WORKLOAD = 0, 1
"""``hist_hour.entity``."""


class Metric(NamedTuple):
    """A quantity with distributions: its public name, whose it is, its column, and the rows it comes from."""

    name: str
    entity: int
    column: str
    kind: int

    @property
    def measure(self) -> Measure:
        """Unit and scale."""
        return measures(InferenceSample if self.kind == INFERENCE else GpuSample)[self.name]


METRICS: dict[int, Metric] = {
    1: Metric("utilization_ratio", ENTITY_GPU, "utilization_pm", GPU),
    2: Metric("sm_active_ratio", ENTITY_GPU, "sm_active_pm", GPU),
    3: Metric("dram_active_ratio", ENTITY_GPU, "dram_active_pm", GPU),
    4: Metric("tensor_active_ratio", ENTITY_GPU, "tensor_active_pm", GPU),
    5: Metric("memory_used_bytes", ENTITY_GPU, "memory_used_mib", GPU),
    6: Metric("power_watts", ENTITY_GPU, "power_mw", GPU),
    33: Metric("waiting_requests", ENTITY_WORKLOAD, "waiting_milli", INFERENCE),
    34: Metric("kv_cache_ratio", ENTITY_WORKLOAD, "kv_cache_pm", INFERENCE),
}
"""``hist_hour.metric`` -> what it is. A number never gets another meaning."""


def bin_of(value: int) -> int:
    """The bin of one of the store's integers; what is below 1 is taken as 0."""
    return ceil(log(value) * _PER_BIN) if value > 0 else ZERO


def bins_of(values: Iterable[int]) -> list[int]:
    """The bin of each."""
    return [ceil(log(value) * _PER_BIN) if value > 0 else ZERO for value in values]


def edges(number: int) -> tuple[float, float, float]:
    """Lower edge, middle and upper edge of a bin."""
    if number == ZERO:
        return 0.0, 0.0, 0.0
    upper = GAMMA**number
    return upper / GAMMA, 2 * upper / (1 + GAMMA), upper


def percentile(weights: Mapping[int, int] | Iterable[tuple[int, int]], share: float) -> float | None:
    """The value at or below which that share (0 to 1) of the weight lies, from (bin, weight); ``None`` without any weight."""
    total = Counter[int]()
    for number, weight in weights.items() if isinstance(weights, Mapping) else weights:
        total[number] += weight
    left = share * total.total()
    for number in sorted(total):
        left -= total[number]
        if left <= 0 and total[number]:
            return edges(number)[1]
    return None


def _count(values: Sequence[int], lengths: Sequence[int], into: Counter[int]) -> None:
    """Add the time of each value to its bin."""
    length = lengths[0]
    if lengths.count(length) != len(lengths):
        for (value, length), count in Counter(zip(values, lengths, strict=True)).items():
            into[bin_of(value)] += length * count
        return
    values, start = sorted(values), 0
    while start < len(values):
        number = bin_of(values[start])
        end = bisect_right(values, edges(number)[2], start + 1)
        into[number] += length * (end - start)
        start = end


class Histogram:
    """Gathers the distributions of one entity's hour."""

    def __init__(self, kind: int) -> None:
        self._metrics = {number: metric for number, metric in METRICS.items() if metric.kind == kind}
        self._weights = {number: Counter[int]() for number in self._metrics}

    def add(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Count rows, given as columns; rows without a value or without time count nowhere, nor does a column that is not given."""
        for number, metric in self._metrics.items():
            values, lengths = columns.get(metric.column), columns["dt_ms"]
            if values is None or values.count(None) == len(values):
                continue
            if None in values:
                known = [value is not None for value in values]
                values, lengths = list(compress(values, known)), list(compress(lengths, known))
            _count(values, lengths, self._weights[number])

    def write(self, db: sqlite3.Connection, t: int, entity_id: int) -> None:
        """Replace the distributions of the hour that starts at unix second ``t``; in the open transaction."""
        if not self._metrics:
            return
        of = f"t=? AND entity=? AND entity_id=? AND metric IN ({','.join('?' * len(self._metrics))})"
        entity = next(iter(self._metrics.values())).entity
        db.execute(f"DELETE FROM hist_hour WHERE {of}", (t, entity, entity_id, *self._metrics))
        rows = [
            (t, entity, entity_id, metric, number, weight)
            for metric, weights in self._weights.items()
            for number, weight in sorted(weights.items())
            if weight > 0
        ]
        db.executemany("INSERT INTO hist_hour VALUES(?,?,?,?,?,?)", rows)
        bins = {row[4] for row in rows}
        db.executemany("INSERT OR IGNORE INTO hist_bin VALUES(?,?,?,?)", [(number, *edges(number)) for number in sorted(bins)])
