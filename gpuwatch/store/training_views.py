"""The public views of trainings: each run with what it cost, its ranks, and their newest rows. The SQL runs on SQLite and PostgreSQL."""

from __future__ import annotations

from gpuwatch.names import Phase, RunOutcome, TrainingSource
from gpuwatch.store.viewkit import HOST, TS, WORKLOAD, Col, View, raw_measures, seconds, seen, words
from gpuwatch.store.watermarks import LEDGER_DAY_TIER, LEDGER_HOUR_TIER
from gpuwatch.training import TrainingSample

_KEY, _LABELS = (WORKLOAD[0], WORKLOAD[1]), (WORKLOAD[4], WORKLOAD[7], WORKLOAD[8])
_OF = "JOIN workload w ON w.workload_id={0}.workload_id JOIN host h ON h.host_id=w.host_id LEFT JOIN user_account u ON u.user_id=w.user_id"
_NEWEST = "(SELECT {} FROM tick ORDER BY tick_id DESC LIMIT 1)"
_USUAL_MS = 30_000
_PID = Col("pid", "p.pid", "id", "Process id of the rank; with start_ms and host it names one process")
_START = Col("start_ms", "p.start_ms", "unix milliseconds", "Start of the rank's process")
_OUTCOME_HELP = (
    "running; finished (exit code 0, or an orderly end); failed (another exit code, or an uncaught exception); stopped (by a signal that"
    " asks to end, or from the keyboard); died (gone without an orderly end); unknown (nobody watched its end)"
)

# ------------------------------------------------------------------------------------------------------------------ ranks

_RANK = (
    Col("rank", "t.rank", "id", "Rank in the whole job; NULL if not known"),
    Col("world", "t.world", "count", "Ranks of the whole job, other hosts' included; NULL if not known"),
    Col(
        "source",
        words("t.source", TrainingSource),
        "word",
        "hook: seen in the process; declared: told by the script; log: read from its log",
    ),
)
v_trainer = View(
    "v_trainer",
    "Training processes (ranks) that were ever read, as they were known last.",
    (
        HOST,
        *_KEY,
        *_LABELS,
        _PID,
        _START,
        *_RANK,
        Col("attached_ms", "t.attached_ms", "unix milliseconds", "Since when it is read"),
        Col("detail", "t.detail", "text", "What is known of how it is read, in one line; may be empty"),
        Col("hint", "t.hint", "text", "What would make it tell more; may be empty"),
        Col("framework", "t.framework", "text", "Framework; empty if not known"),
        Col("agent_version", "t.agent_version", "text", "Version of the agent in the process; empty if there is none"),
        Col("local_rank", "t.local_rank", "id", "Rank on its host; NULL if not known"),
        Col("node_rank", "t.node_rank", "id", "Number of its host; NULL if not known"),
        Col("data_parallel", "t.data_parallel", "count", "How many ranks see different tokens; NULL if not known"),
        Col(
            "data_parallel_source", "t.data_parallel_source", "word", "How that is known: single, assumed, megatron, mesh, declared"
        ),
        Col("replicas", "t.replicas", "count", "How many ranks see the same tokens: each counts its share"),
        Col("tokens_kind", "t.tokens_kind", "word", "What its tokens are counted in; empty if not known"),
        Col("model", "t.model", "text", "Class of its model; empty if not known"),
        Col("parameters", "t.parameters", "count", "Parameters of the whole model; NULL if not known"),
        Col("trainable_parameters", "t.trainable_parameters", "count", "Those that are trained; NULL if not known"),
        Col("layers", "t.layers", "count", "Layers; NULL if not known"),
        Col("heads", "t.heads", "count", "Attention heads; NULL if not known"),
        Col("head_width", "t.head_width", "count", "Width of an attention head; NULL if not known"),
        Col("sequence_tokens", "t.sequence_tokens", "count", "Tokens of a sequence; NULL if not known"),
        Col("flops_per_token", "t.flops_per_token", "count", "Operations a token, forward and backward; NULL if not known"),
        Col("flops_formula", "t.flops_formula", "text", "By which formula; empty if not known"),
        Col("precision", "t.precision", "word", "What it computes in; empty if not known"),
        Col("gpu_uuid", "t.gpu_uuid", "id", "UUID of the device that it computes on, by its own word; empty if it does not say"),
        Col("total_steps", "t.total_steps", "count", "Steps that it means to do; NULL if not known"),
        Col("probe", "t.probe", "flag", "1 if it is asked whether its GPU has run out of work"),
        Col("first_step_ms", "t.first_step_ms", "unix milliseconds", "First step; NULL if not known"),
        Col("ended_ms", "t.ended_ms", "unix milliseconds", "End; NULL while it runs"),
        Col("outcome", words("t.outcome", RunOutcome), "word", f"How it ended: {_OUTCOME_HELP}"),
        *seen("t"),
    ),
    f"trainer t JOIN process p ON p.proc_id=t.proc_id {_OF.format('t')}",
)
v_training_now = View(
    "v_training_now",
    "The newest row of each training process (rank) that has one in this life of the recorder, none when it is older than 30 seconds before "
    "the newest tick. Tokens and samples are the rank's share of the job's, and only one rank of a host counts its steps: plain sums over "
    "the ranks are the job's. Seconds are each rank's own, attached_seconds is their whole.",
    (
        TS,
        HOST,
        *_KEY,
        *_LABELS,
        _PID,
        _START,
        *_RANK,
        Col("duration_seconds", seconds("s.dt_ms"), "seconds", "Time that the row speaks for; 0 for the first row after a gap"),
        Col("state", words("s.phase", Phase), "word", "phase as a word"),
        *raw_measures(TrainingSample),
    ),
    f"(SELECT x.proc_id, max(x.tick_id) AS tick_id FROM training_sample x WHERE x.tick_id>=(SELECT min(y.tick_id) FROM tick y "
    f"WHERE y.ts_ms>={_NEWEST.format('ts_ms')}-{_USUAL_MS} AND y.session_id={_NEWEST.format('session_id')}) GROUP BY x.proc_id) m "
    f"JOIN training_sample s ON s.tick_id=m.tick_id AND s.proc_id=m.proc_id JOIN tick k ON k.tick_id=m.tick_id "
    f"JOIN process p ON p.proc_id=m.proc_id {_OF.format('s')} LEFT JOIN trainer t ON t.proc_id=m.proc_id",
)

# ------------------------------------------------------------------------------------------------------------------- runs

_DONE = "coalesce((SELECT x.done_s FROM rollup_state x WHERE x.host_id=h.host_id AND x.tier='{}'),-1)"
_HOSTS = (  # that have runs; the clock of a host may stand a little before what was recorded of its GPUs
    f"h AS (SELECT h.host_id, {_DONE.format(LEDGER_DAY_TIER)} AS days_s, {_DONE.format(LEDGER_HOUR_TIER)} AS hours_s,"
    " (SELECT max(g.last_ms)/1000+3600 FROM gpu g WHERE g.host_id=h.host_id) AS last_s FROM host h"
    " WHERE h.host_id IN (SELECT w.host_id FROM run r JOIN workload w ON w.workload_id=r.workload_id))"
)
_SUMS = "SELECT m.owner_id, m.gpu_id, sum(m.ms) AS ms, sum(m.energy_mj) AS mj FROM"
_OF_HOST = "JOIN gpu g ON g.gpu_id=m.gpu_id AND g.host_id=h.host_id WHERE m.owner_id<>0"
_BY = "GROUP BY m.owner_id, m.gpu_id"
_COST = (  # of each host days as far as they are closed, then hours, then minutes: each second once
    f"WITH {_HOSTS}, booked AS ("
    f"{_SUMS} ledger_day m JOIN gpu g ON g.gpu_id=m.gpu_id JOIN h ON h.host_id=g.host_id WHERE m.owner_id<>0 AND m.t<h.days_s {_BY}"
    f" UNION ALL {_SUMS} h CROSS JOIN ledger_hour m {_OF_HOST} AND m.t>=h.days_s AND m.t<h.hours_s {_BY}"
    f" UNION ALL {_SUMS} h CROSS JOIN ledger_minute m {_OF_HOST} AND m.t>=h.hours_s AND m.t>=h.days_s AND m.t<h.last_s {_BY}"
    "), held AS (SELECT o.workload_id, b.gpu_id, sum(b.ms) AS ms, sum(b.mj) AS mj FROM booked b JOIN owner o ON o.owner_id=b.owner_id"
    " WHERE o.workload_id<>0 GROUP BY o.workload_id, b.gpu_id"
    "), cost AS (SELECT workload_id, sum(ms)/1000.0 AS gpu_seconds, count(*) AS gpus,"
    " CASE WHEN min(mj)>0 THEN sum(mj)/1000.0 END AS joules FROM held GROUP BY workload_id)\n"
)
_SINCE = "coalesce(r.last_checkpoint_ms,r.first_step_ms,r.started_ms)"
_AFTER = f"CASE WHEN r.ended_ms>{_SINCE} THEN (r.ended_ms-{_SINCE})/1000.0*c.gpus ELSE 0.0 END"
_ENDED_BADLY = f"({int(RunOutcome.FAILED)},{int(RunOutcome.STOPPED)},{int(RunOutcome.DIED)})"
v_run = View(
    "v_run",
    "Training runs (experiments): each workload of kind training that was read, with what the ledger has booked on it. Its GPU time and energy "
    "are those of all its processes, from its start on, also before it was attached; NULL where nothing was booked on it.",
    (
        HOST,
        *WORKLOAD,
        Col("started_ms", "r.started_ms", "unix milliseconds", "Start"),
        Col("first_step_ms", "r.first_step_ms", "unix milliseconds", "First step; NULL if not known"),
        Col("last_step_ms", "r.last_step_ms", "unix milliseconds", "Last step; NULL if not known"),
        Col("last_checkpoint_ms", "r.last_checkpoint_ms", "unix milliseconds", "Last checkpoint; NULL if not known"),
        Col("ended_ms", "r.ended_ms", "unix milliseconds", "End, of an unknown one when it was seen last; NULL while it runs"),
        Col("exit_code", "r.exit_code", "code", "Exit code, below 0 for a signal; NULL if nobody could see it"),
        Col("steps_total", "r.steps", "total", "Steps since it was attached; NULL if not known"),
        Col("tokens_total", "r.tokens", "total", "Tokens since it was attached, of all ranks; NULL if not known"),
        Col(
            "lost_gpu_seconds",
            f"CASE WHEN r.outcome IN {_ENDED_BADLY} THEN CASE WHEN {_AFTER}>c.gpu_seconds THEN c.gpu_seconds ELSE {_AFTER} END END",
            "seconds",
            "GPU time that it lost at most: of one that failed, died or was stopped, from its last checkpoint (else first step, else start) to "
            "its end, on all its GPUs; NULL for all others",
        ),
        Col("outcome", words("r.outcome", RunOutcome), "word", _OUTCOME_HELP),
        Col(
            "failed",
            f"CASE WHEN r.outcome IN ({int(RunOutcome.FAILED)},{int(RunOutcome.DIED)}) THEN 1"
            f" WHEN r.outcome IN ({int(RunOutcome.FINISHED)},{int(RunOutcome.STOPPED)}) THEN 0 END",
            "flag",
            "1 if it failed or died, 0 if it finished or was stopped; NULL while it runs and where nobody watched its end",
        ),
        Col("detail", "r.detail", "text", "What is known of its end, in one line; may be empty"),
        Col("samples_total", "r.samples", "total", "Samples since it was attached; NULL if not known"),
        Col("step_number", "r.step_number", "count", "Last step by the script's own count; NULL if not known"),
        Col("total_steps", "r.total_steps", "count", "Steps that it means to do; NULL if not known"),
        Col("ranks", "r.ranks", "count", "Training processes on this host; NULL if not known"),
        Col("git_commit", "r.git_commit", "id", "Commit of its working directory at its start; empty if not known"),
        Col("command", "r.command", "text", "Command line, redacted; empty once it is too old to be kept"),
        Col("attached", "r.attached", "flag", "1 if it was read from inside, 0 if by its log"),
        Col(
            "first_step_seconds",
            "(r.first_step_ms-r.started_ms)/1000.0",
            "seconds",
            "From its start to its first step; NULL if not known",
        ),
        Col("gpus", "c.gpus", "count", "Distinct GPUs that it has held"),
        Col("gpu_seconds", "c.gpu_seconds", "seconds", "GPU time that the ledger has booked on it"),
        Col(
            "energy_joules", "c.joules", "joules", "Energy that the ledger has booked on it; NULL where one of its GPUs tells none"
        ),
    ),
    f"run r {_OF.format('r')} LEFT JOIN cost c ON c.workload_id=r.workload_id",
    before=_COST,
)
