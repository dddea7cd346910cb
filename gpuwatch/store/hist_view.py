"""The public view of distributions: bins are kept in the store's integers and shown in the base unit of their quantity."""

from __future__ import annotations

from gpuwatch.store.archive.hist import METRICS
from gpuwatch.store.viewkit import HOST, Col, T, View, scaled


def _edge(column: str) -> str:
    """One edge of a bin, which is kept in the store's integers, in the base unit of the row's quantity."""
    by_sql: dict[str, list[int]] = {}
    for number, metric in METRICS.items():
        by_sql.setdefault(scaled(column, metric.measure), []).append(number)
    return "CASE " + " ".join(f"WHEN m.metric IN ({','.join(map(str, n))}) THEN {sql}" for sql, n in by_sql.items()) + " END"


def _by_metric(words: dict[int, str]) -> str:
    return "CASE m.metric " + " ".join(f"WHEN {number} THEN '{word}'" for number, word in words.items()) + " END"


v_hist = View(
    "v_hist",
    "Distributions per hour as logarithmic bins; add weights over any span, then take a percentile.",
    (
        T,
        HOST,
        Col("gpu_uuid", "g.uuid", "id", "UUID of the GPU; NULL for a workload"),
        Col("gpu_index", "g.gpu_index", "id", "Index of the GPU; NULL for a workload"),
        Col("workload", "w.name", "text", "Name of the workload; NULL for a GPU"),
        Col("metric", "m.metric", "id", "Number of the quantity; its name is in quantity"),
        Col("lower", _edge("b.lo"), "as in unit", "Lower edge of the bin; values in it are above"),
        Col("middle", _edge("b.mid"), "as in unit", "Middle of the bin, at most 2 % from each value in it"),
        Col("upper", _edge("b.hi"), "as in unit", "Upper edge of the bin"),
        Col("weight", "m.weight", "milliseconds or events", "Observed time, or number of events x 1000"),
        Col("quantity", _by_metric({n: m.name for n, m in METRICS.items()}), "word", "Name of the quantity, as in the other views"),
        Col("unit", _by_metric({n: m.measure.unit for n, m in METRICS.items()}), "word", "Unit of the edges"),
    ),
    "hist_hour m JOIN hist_bin b ON b.bin=m.bin LEFT JOIN gpu g ON m.entity=0 AND g.gpu_id=m.entity_id "
    "LEFT JOIN workload w ON m.entity=1 AND w.workload_id=m.entity_id "
    "LEFT JOIN host h ON h.host_id=coalesce(g.host_id, w.host_id)",
)
