"""``v_ledger_minute`` and ``v_ledger_hour``: the stored buckets plus the time that nobody observed, so that sums are capacity."""

from __future__ import annotations

from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.store.viewkit import GPU, GPU_JOIN, HOST, Col, T, View, words

SEVENTHS = 840
"""Divisible by 1 to 8: a MIG instance's share of its GPU's slices is a whole number of these."""


def _capacity(start: str, end: str) -> str:
    """Whole milliseconds that a GPU counts for between two unix seconds: ``ledger.capacity`` in SQL."""
    return f"({end}*1000*g.weight/{SEVENTHS}-{start}*1000*g.weight/{SEVENTHS})"


_WEIGHTED = (
    "weighted AS (SELECT gpu.gpu_id, gpu.host_id, gpu.uuid, gpu.gpu_index, CASE WHEN gpu.parent_uuid<>'' "
    f"THEN CAST(round(gpu.compute_fraction*{SEVENTHS}) AS INTEGER) ELSE {SEVENTHS}-(SELECT coalesce(sum("
    f"CAST(round(c.compute_fraction*{SEVENTHS}) AS INTEGER)),0) FROM gpu c WHERE c.host_id=gpu.host_id AND c.parent_uuid=gpu.uuid) END "
    "AS weight FROM gpu)"
)


def ledger_view(period: str) -> View:
    """The stored rows, what they leave of each bucket of time, and (minutes) the time between the runs of minutes."""
    step = 60 if period == "minute" else 3600
    table = f"ledger_{period}"
    provisional = "CASE max(m.final) WHEN 0 THEN 1 ELSE 0 END" if period == "minute" else "0"
    stored = "CASE m.final WHEN 0 THEN 1 ELSE 0 END" if period == "minute" else "0"
    parts = [
        f"SELECT m.t, m.gpu_id, m.owner_id, m.bucket, m.cause, m.tier, m.ms, m.energy_mj, {stored} AS provisional FROM {table} m",
        (
            f"SELECT m.t, m.gpu_id, 0, 0, 0, 0, {_capacity('m.t', f'(m.t+{step})')}-sum(m.ms), 0, {provisional} "
            f"FROM {table} m JOIN weighted g ON g.gpu_id=m.gpu_id GROUP BY m.t, m.gpu_id, g.weight "
            f"HAVING {_capacity('m.t', f'(m.t+{step})')}>sum(m.ms)"
        ),
    ]
    before = f"WITH {_WEIGHTED} "
    if period == "minute":
        before = (
            "WITH RECURSIVE hole(gpu_id, t, t1) AS (SELECT a.gpu_id, a.t1, "
            "(SELECT min(b.t0) FROM ledger_span b WHERE b.gpu_id=a.gpu_id AND b.t0>=a.t1) FROM ledger_span a "
            "WHERE EXISTS (SELECT 1 FROM ledger_span b WHERE b.gpu_id=a.gpu_id AND b.t0>a.t1) "
            "AND NOT EXISTS (SELECT 1 FROM ledger_span b WHERE b.gpu_id=a.gpu_id AND b.t0=a.t1) "
            f"UNION ALL SELECT gpu_id, t+60, t1 FROM hole WHERE t+60<t1), {_WEIGHTED} "
        )
        parts.append(
            f"SELECT m.t, m.gpu_id, 0, 0, 0, 0, {_capacity('m.t', '(m.t+60)')}, 0, 0 FROM hole m JOIN weighted g ON g.gpu_id=m.gpu_id"
        )
    return View(
        f"v_ledger_{period}",
        f"Where GPU time went, per {period}; with the unobserved rows, ms sums to capacity exactly"
        + (" between the first and the last recorded minute." if period == "minute" else "."),
        (
            T,
            HOST,
            *GPU,
            Col("user", "u.name", "text", "User of the owner; NULL if nobody or not known"),
            Col("job", "o.job", "text", "Job of the owner; NULL if nobody"),
            Col("pid", "p.pid", "id", "Process of the owner; NULL if nobody or not one process"),
            Col("start_ms", "p.start_ms", "unix milliseconds", "Start of that process"),
            Col("process", "p.name", "text", "Name of that process"),
            Col("workload", "w.name", "text", "Workload of the owner; NULL if none"),
            Col("bucket", words("m.bucket", Bucket), "word", "Where the time went"),
            Col("cause", words("m.cause", Cause), "word", "Why it waits; none for other buckets"),
            Col("tier", words("m.tier", Tier), "word", "Evidence behind the split of busy time: n, p, h, g"),
            Col("ms", "m.ms", "milliseconds", "Time, a whole number, so that sums are exact"),
            Col("energy_mj", "m.energy_mj", "millijoules", "Energy, a whole number, so that sums are exact"),
            Col("provisional", "m.provisional", "flag", "1 while the minute may still be recomputed"),
        ),
        f"({' UNION ALL '.join(parts)}) m {GPU_JOIN} LEFT JOIN owner o ON o.owner_id=m.owner_id "
        "LEFT JOIN process p ON p.proc_id=o.proc_id LEFT JOIN user_account u ON u.user_id=o.user_id "
        "LEFT JOIN workload w ON w.workload_id=o.workload_id",
        before,
    )
