"""The public view of distributions: bins are kept in the store's integers and shown in the base unit of their quantity.

Waiting times come with it, in the buckets in which their servers count them.
"""

from __future__ import annotations

from gpuwatch.model import OPEN_US
from gpuwatch.names import Latency
from gpuwatch.store.archive.hist import METRICS
from gpuwatch.store.viewkit import HOST, Col, T, View, scaled

LATENCIES = {64 + int(latency): f"{latency.label}_seconds" for latency in Latency}
"""``v_hist.metric`` of a waiting time -> its name. A number never gets another meaning."""
_NAMES = {number: metric.name for number, metric in METRICS.items()} | LATENCIES
_UNITS = {number: metric.measure.unit for number, metric in METRICS.items()} | dict.fromkeys(LATENCIES, "seconds")


def _edge(column: str) -> str:
    """One edge of a bin, which is kept in the store's integers, in the base unit of the row's quantity."""
    by_sql: dict[str, list[int]] = {}
    for number, metric in METRICS.items():
        by_sql.setdefault(scaled(column, metric.measure), []).append(number)
    return "CASE " + " ".join(f"WHEN d.metric IN ({','.join(map(str, n))}) THEN {sql}" for sql, n in by_sql.items()) + " END"


def _by_metric(words: dict[int, str]) -> str:
    return "CASE m.metric " + " ".join(f"WHEN {number} THEN '{word}'" for number, word in words.items()) + " END"


_BINS = (
    f"SELECT d.t, d.entity, d.entity_id, d.metric, {_edge('b.lo')} AS lower, {_edge('b.mid')} AS middle, {_edge('b.hi')} AS upper, d.weight "
    "FROM hist_hour d JOIN hist_bin b ON b.bin=d.bin"
)
_BUCKETS = (
    "SELECT l.t, 1, l.workload_id, 64+l.latency, l.lower_us/1000000.0, "
    f"CASE WHEN l.upper_us<{OPEN_US} THEN (l.lower_us+l.upper_us)/2000000.0 ELSE l.lower_us/1000000.0 END, "
    f"CASE WHEN l.upper_us<{OPEN_US} THEN l.upper_us/1000000.0 END, l.n*1000 FROM latency_hour l"
)
v_hist = View(
    "v_hist",
    "Distributions per hour; add weights over any span, then take a percentile. Bins are logarithmic; those of waiting times (ttft_seconds, "
    "itl_seconds, e2e_seconds, queue_seconds) are the buckets of the server, as in v_latency_hour.",
    (
        T,
        HOST,
        Col("gpu_uuid", "g.uuid", "id", "UUID of the GPU; NULL for a workload"),
        Col("gpu_index", "g.gpu_index", "id", "Index of the GPU; NULL for a workload"),
        Col("workload", "w.name", "text", "Name of the workload; NULL for a GPU"),
        Col("metric", "m.metric", "id", "Number of the quantity; its name is in quantity"),
        Col("lower", "m.lower", "as in unit", "Lower edge of the bin; values in it are above"),
        Col(
            "middle",
            "m.middle",
            "as in unit",
            "Middle of the bin, at most 2 % from each value in it; of a server's bucket just its middle, the lower edge if it has no upper one",
        ),
        Col("upper", "m.upper", "as in unit", "Upper edge of the bin; NULL for a server's bucket without one"),
        Col("weight", "m.weight", "milliseconds or events", "Observed time, or number of events x 1000"),
        Col("quantity", _by_metric(_NAMES), "word", "Name of the quantity, as in the other views"),
        Col("unit", _by_metric(_UNITS), "word", "Unit of the edges"),
    ),
    f"({_BINS} UNION ALL {_BUCKETS}) m LEFT JOIN gpu g ON m.entity=0 AND g.gpu_id=m.entity_id "
    "LEFT JOIN workload w ON m.entity=1 AND w.workload_id=m.entity_id "
    "LEFT JOIN host h ON h.host_id=coalesce(g.host_id, w.host_id)",
)
