"""A server's last hour in cells of a minute: tokens a second and the 95th percentile of its waiting times.

Closed minutes are read once; the one or two that are still open come from single rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpuwatch.names import Latency
from gpuwatch.store.window import Window
from gpuwatch.view.counts import NOTHING, Sums
from gpuwatch.view.inference_types import InferenceHistory
from gpuwatch.view.latency import FEWEST, Buckets, quantile
from gpuwatch.view.served_rows import MINUTE_COLUMNS, ServerTrack, minute_sums

CELLS, CELL_S, CELL_MS = 60, 60, 60_000
_P95 = 0.95
Counted = dict[int, dict[int, dict[tuple[int, int], int]]]
"""Cell -> latency -> buckets."""


def inference_history(window: Window, workload_id: int, end_ms: int) -> InferenceHistory | None:
    """The hour up to an instant; ``None`` for a workload that is not a server, or of which there is no row in it."""
    if not window.knows_servers:
        return None
    last = (end_ms - 1) // CELL_MS
    start_ms = (last - CELLS + 1) * CELL_MS
    closed_ms = max(start_ms, min(window.watermark("minute") * 1000, end_ms // CELL_MS * CELL_MS))
    sums, p95 = _closed(window, workload_id, start_ms, closed_ms)
    fresh, waits = _open(window, workload_id, closed_ms, end_ms)
    cells = {**sums, **fresh}
    if not cells:
        return None
    numbers = range(last - CELLS + 1, last + 1)
    both = {**p95, **_percentiles(waits)}
    latencies = sorted({latency for found in both.values() for latency in found})
    return InferenceHistory(
        cell_seconds=CELL_S,
        start_ms=start_ms,
        output_tokens_per_second=tuple(cells.get(number, NOTHING).rate("output_tokens_total") for number in numbers),
        prefill_tokens_per_second=tuple(cells.get(number, NOTHING).rate("prefill_tokens_total") for number in numbers),
        p95_seconds={Latency(each): tuple(both.get(number, {}).get(each) for number in numbers) for each in latencies},
    )


def _closed(
    window: Window, workload_id: int, start_ms: int, closed_ms: int
) -> tuple[Mapping[int, Sums], Mapping[int, Mapping[int, float | None]]]:
    """Closed minutes; kept until another one is closed."""
    name, span = f"inference {workload_id}", (start_ms // 1000, closed_ms // 1000)
    kept = window.memo.get(name)
    if kept is None or kept[0] != span:
        minutes = window.workload_minutes((workload_id,), MINUTE_COLUMNS, *span)
        sums = {t // CELL_S: minute_sums(row) for t, _, *row in minutes if t is not None}
        waits: Counted = {}
        _count(waits, ((t // CELL_S, *rest) for t, *rest in window.latency_minutes((workload_id,), *span)))
        kept = window.memo[name] = (span, sums, _percentiles(waits))
    return kept[1], kept[2]


def _open(window: Window, workload_id: int, closed_ms: int, end_ms: int) -> tuple[Mapping[int, Sums], Counted]:
    track, waits = ServerTrack(), Counted()
    for _, ts_ms, _, *row in window.inference_rows((workload_id,), closed_ms, end_ms):
        track.add(ts_ms, row)
    _count(waits, window.latency_cells((workload_id,), closed_ms, end_ms, CELL_MS))
    cells = {(ts_ms - 1) // CELL_MS for ts_ms in track.times}
    return {cell: track.between(cell * CELL_MS, (cell + 1) * CELL_MS) for cell in cells}, waits


def _count(into: Counted, rows: Iterable[tuple[int, ...]]) -> None:
    for cell, _, latency, lower, upper, count in rows:
        buckets = into.setdefault(cell, {}).setdefault(latency, {})
        buckets[lower, upper] = buckets.get((lower, upper), 0) + count


def _percentiles(waits: Counted) -> dict[int, dict[int, float | None]]:
    return {cell: {latency: _p95(buckets) for latency, buckets in found.items()} for cell, found in waits.items()}


def _p95(buckets: Buckets) -> float | None:
    """Seconds; the last bound where it lies above, ``None`` where there is none by the rules of a view."""
    found = quantile(buckets, _P95)
    if found is None or sum(buckets.values()) < FEWEST or (len(buckets) == 1 and found.lower == 0):
        return None
    return (found.lower if found.value is None else found.value) / 1e6
