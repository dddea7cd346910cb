"""The public views of what rules have found: findings, how each grew, and what is muted."""

from __future__ import annotations

from gpuwatch.names import Basis, Severity
from gpuwatch.store.viewkit import GPU, HOST, Col, T, View, seconds, words

_SUBJECT = "What it is about: gpu:UUID, job:PID:START:PORT, host"
_ID = Col("finding_id", "f.finding_id", "id", "Number of the finding; it never comes again")
_RULE = Col("rule", "f.rule", "id", "Name of the rule; gpuwatch explain RULE says what it means")

v_finding = View(
    "v_finding",
    "Findings of the rules, from when their fact began to when it was over. Their costs overlap: they must not be added up; v_ledger_minute can be.",
    (
        HOST,
        *GPU,
        _ID,
        _RULE,
        Col("subject", "f.subject", "id", _SUBJECT),
        Col("gpus", "f.gpus", "text", "Indices of its GPUs, with commas; gpu_uuid and gpu_index are of the first"),
        Col("started_ms", "f.started_ms", "unix milliseconds", "Since when the fact holds, which is before it was told"),
        Col("last_ms", "f.last_ms", "unix milliseconds", "Last time that it held"),
        Col("ended_ms", "f.ended_ms", "unix milliseconds", "When it cleared; NULL while it holds"),
        Col("severity", words("f.severity", Severity), "word", "How much it matters"),
        Col("confidence_ratio", seconds("f.confidence_pm"), "ratio", "How often findings of this kind are right, at least"),
        Col(
            "basis",
            words("f.basis", Basis),
            "word",
            "What its amount rests on: measured, inferred (at most so much), proxy (a band)",
        ),
        Col("title", "f.title", "text", "The fact with its number"),
        Col("evidence", "f.evidence", "text", "Evidence"),
        Col("advice", "f.advice", "text", "What to try first"),
        Col("user", "coalesce(nullif(u.name, ''), x.name)", "text", "User that it is about; NULL if nobody or not known"),
        Col("workload", "w.name", "text", "Workload; NULL if none"),
        Col("command", "f.command", "text", "Command line that it is about, redacted; empty if none"),
        Col("waste_gpus", seconds("f.waste_pm"), "count", "GPUs that it wastes now, or wasted last; NULL: no amount"),
        Col("cost_gpu_seconds", seconds("f.cost_gpu_ms"), "seconds", "GPU time that it has cost"),
        Col("cost_energy_joules", seconds("f.cost_energy_mj"), "joules", "Energy of its GPUs in that time; NULL if not known"),
        Col(
            "before_ratio",
            seconds("f.before_pm"),
            "ratio",
            "Share of time in its part of the ledger in the half hour before it cleared",
        ),
        Col("after_ratio", seconds("f.after_pm"), "ratio", "The same in the half hour after it"),
        Col(
            "saved_gpu_seconds_per_day",
            seconds("f.saved_gpu_ms_day"),
            "seconds",
            "GPU time a day that the difference makes; below 0: it got worse; NULL: not measured, or not yet",
        ),
        Col("effect", "f.effect", "text", "What came of it, in one line; empty until an hour after it cleared"),
        Col("sql", "f.sql", "text", "A query on these views that shows its number"),
    ),
    "finding f JOIN host h ON h.host_id=f.host_id LEFT JOIN gpu g ON g.gpu_id=f.gpu_id LEFT JOIN owner o ON o.owner_id=f.owner_id "
    "LEFT JOIN user_account u ON u.user_id=o.user_id LEFT JOIN workload w ON w.workload_id=f.workload_id "
    "LEFT JOIN user_account x ON x.user_id=w.user_id",
)
v_finding_minute = View(
    "v_finding_minute",
    "How each finding stood, once a minute while it was open.",
    (
        T,
        HOST,
        _ID,
        _RULE,
        Col("subject", "f.subject", "id", _SUBJECT),
        Col("measured_ratio", seconds("m.measured_pm"), "ratio", "The number behind its first evidence; NULL if it has none"),
        Col("waste_gpus", seconds("m.waste_pm"), "count", "GPUs that it wasted then; NULL: no amount"),
        Col("cost_gpu_seconds", seconds("m.cost_gpu_ms"), "seconds", "GPU time that it had cost by then"),
    ),
    "finding_minute m JOIN finding f ON f.finding_id=m.finding_id JOIN host h ON h.host_id=f.host_id",
)
v_mute = View(
    "v_mute",
    "Findings that somebody does not want to be told: of one rule, on one subject or of one command line.",
    (
        HOST,
        Col("mute_id", "f.mute_id", "id", "Number of the mute"),
        Col("rule", "f.rule", "id", "Name of the rule; empty: every rule"),
        Col("subject", "f.subject", "id", f"{_SUBJECT}; empty: whatever it is"),
        Col("command", "f.command", "text", "Part of a command line; empty: whichever"),
        Col("reason", "f.reason", "text", "Why, in the words of who muted it"),
        Col("made_ms", "f.made_ms", "unix milliseconds", "Since when"),
        Col("until_ms", "f.until_ms", "unix milliseconds", "Until when; NULL: for ever"),
        Col("lifted_ms", "f.lifted_ms", "unix milliseconds", "When somebody ended it; NULL if nobody did"),
    ),
    "mute f JOIN host h ON h.host_id=f.host_id",
)
