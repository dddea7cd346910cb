"""``v_ledger_minute`` and ``v_ledger_hour``: the stored buckets plus the time that nobody observed, so that sums are capacity."""

from __future__ import annotations

from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.store.viewkit import GPU, GPU_JOIN, HOST, Col, T, View, words

SLICES = 840
"""Divisible by 1 to 8: a MIG instance's share of its GPU's slices is a whole number of these."""

_PART = f"CAST(round({{0}}.compute_fraction*{SLICES}) AS INTEGER)"
_WEIGHTED = (
    "weighted AS (SELECT gpu.gpu_id, gpu.host_id, gpu.uuid, CASE WHEN gpu.parent_uuid<>'' "
    f"THEN {_PART.format('gpu')} WHEN EXISTS (SELECT 1 FROM gpu c WHERE c.host_id=gpu.host_id AND c.parent_uuid=gpu.uuid) "
    f"THEN 0 ELSE {SLICES} END AS weight, "
    "coalesce((SELECT b.gpu_id FROM gpu b WHERE b.host_id=gpu.host_id AND b.uuid=gpu.parent_uuid), gpu.gpu_id) AS board FROM gpu)"
)


def _weight(t: str) -> str:
    """What a GPU counts for in a minute: a sliced one what the instances that have rows in it leave of it."""
    return (
        f"(CASE WHEN g.weight>0 THEN g.weight ELSE {SLICES}-(SELECT coalesce(sum({_PART.format('c')}),0) FROM gpu c "
        f"JOIN gpu_minute r ON r.t={t} AND r.gpu_id=c.gpu_id WHERE c.host_id=g.host_id AND c.parent_uuid=g.uuid) END)"
    )


def _capacity(weight: str, t: str, step: int) -> str:
    """Whole milliseconds that a GPU counts for in a bucket: ``ledger.capacity`` in SQL."""
    return f"(({t}+{step})*1000*{weight}/{SLICES}-{t}*1000*{weight}/{SLICES})"


def _holes() -> str:
    """The minutes between the runs of recorded minutes, with the weight that the GPU had in the last minute before.

    A board decides for its instances: they have a hole only with it, for where it was recorded without one, it was cut without it.
    """
    spans = "(SELECT {} FROM ledger_span b WHERE b.gpu_id {})"
    both = "IN (a.gpu_id, g.board) AND b.t0"
    return (
        f"hole(gpu_id, t, t1, weight) AS (SELECT a.gpu_id, a.t1, {spans.format('min(b.t0)', both + '>=a.t1')}, "
        f"{_weight('a.t1-60')} FROM ledger_span a JOIN weighted g ON g.gpu_id=a.gpu_id "
        f"WHERE EXISTS {spans.format('1', '=g.board AND b.t1=a.t1')} AND EXISTS {spans.format('1', '=g.board AND b.t0>a.t1')} "
        f"AND NOT EXISTS {spans.format('1', both + '=a.t1')} "
        "UNION ALL SELECT gpu_id, t+60, t1, weight FROM hole WHERE t+60<t1)"
    )


def _left_of_minutes() -> str:
    """What the rows leave of each GPU's minute."""
    capacity = _capacity("c.weight", "c.t", 60)
    return (
        f"SELECT c.t, c.gpu_id, 0, 0, 0, 0, {capacity}-c.ms, 0, c.provisional FROM (SELECT m.t, m.gpu_id, {_weight('m.t')} AS weight, "
        "sum(m.ms) AS ms, CASE min(m.final) WHEN 0 THEN 1 ELSE 0 END AS provisional FROM ledger_minute m "
        f"JOIN weighted g ON g.gpu_id=m.gpu_id GROUP BY m.t, m.gpu_id, g.weight, g.host_id, g.uuid) c WHERE {capacity}>c.ms"
    )


def _left_of_hours() -> str:
    """What the rows leave of each board's hour: instances may have been cut within it, so that none has a weight of its own."""
    return (
        "SELECT c.t, c.board, 0, 0, 0, 0, 3600000-c.ms, 0, 0 FROM (SELECT m.t, g.board, sum(m.ms) AS ms FROM ledger_hour m "
        "JOIN weighted g ON g.gpu_id=m.gpu_id GROUP BY m.t, g.board) c WHERE c.ms<3600000"
    )


def ledger_view(period: str) -> View:
    """The stored rows, what they leave of each bucket of time, and (minutes) the time between the runs of minutes."""
    minute = period == "minute"
    stored = "CASE m.final WHEN 0 THEN 1 ELSE 0 END" if minute else "0"
    parts = [
        f"SELECT m.t, m.gpu_id, m.owner_id, m.bucket, m.cause, m.tier, m.ms, m.energy_mj, {stored} AS provisional FROM ledger_{period} m WHERE m.bucket>0",
        _left_of_minutes() if minute else _left_of_hours(),
    ]
    before = f"WITH {_WEIGHTED} "
    if minute:
        before = f"WITH RECURSIVE {_WEIGHTED}, {_holes()} "
        parts.append(f"SELECT m.t, m.gpu_id, 0, 0, 0, 0, {_capacity('m.weight', 'm.t', 60)}, 0, 0 FROM hole m")
    columns = (
        Col("user", "u.name", "text", "User of the owner; NULL if nobody or not known"),
        Col("job", "o.job", "text", "Job of the owner; NULL if nobody"),
        Col("pid", "p.pid", "id", "Process of the owner; NULL if nobody or not one process"),
        Col("start_ms", "p.start_ms", "unix milliseconds", "Start of that process"),
        Col("process", "p.name", "text", "Name of that process"),
        Col("workload", "w.name", "text", "Workload of the owner; NULL if none"),
        Col("bucket", words("m.bucket", Bucket), "word", "Where the time went"),
        Col("cause", words("m.cause", Cause), "word", "Why it waits; none for other buckets"),
        Col(
            "tier",
            words("m.tier", Tier),
            "word",
            "Evidence behind the split of busy time, or behind the cause of a wait: n, p, h, g",
        ),
        Col("ms", "m.ms", "milliseconds", "Time, a whole number, so that sums are exact"),
        Col(
            "energy_mj",
            "CASE WHEN g.parent_uuid='' THEN m.energy_mj END",
            "millijoules",
            "Energy, a whole number, so that sums are exact; NULL for a MIG instance, whose energy nobody measures apart",
        ),
        Col("provisional", "m.provisional", "flag", "1 while the bucket may still be recomputed"),
    )
    return View(
        f"v_ledger_{period}",
        f"Where GPU time went, per {period}; with the unobserved rows, ms sums to capacity exactly"
        + (" between the first and the last recorded minute." if minute else "; those of a sliced GPU stand on the whole one."),
        (T, HOST, *GPU, *columns),
        f"({' UNION ALL '.join(parts)}) m {GPU_JOIN} LEFT JOIN owner o ON o.owner_id=m.owner_id "
        "LEFT JOIN process p ON p.proc_id=o.proc_id LEFT JOIN user_account u ON u.user_id=o.user_id "
        "LEFT JOIN workload w ON w.workload_id=o.workload_id",
        before,
    )
