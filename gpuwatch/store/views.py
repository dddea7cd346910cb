"""The public views, built from the model: one name per quantity, base units, the time column bare so that keys are used.

``v_schema`` and ``docs/schema.md`` come from the same lists and so cannot differ from the views. Standard library only. The SQL
runs on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from gpuwatch.model import Gpu, GpuSample, Host, InferenceSample, ProcessSample
from gpuwatch.names import Context, GapReason, Severity
from gpuwatch.store.finding_views import v_finding, v_finding_minute, v_mute
from gpuwatch.store.hist_view import v_hist
from gpuwatch.store.inference_views import latency_view, v_server, v_server_field, v_workload_now
from gpuwatch.store.ledger_view import ledger_view
from gpuwatch.store.training_views import v_run, v_trainer, v_training_now
from gpuwatch.store.viewkit import (
    GPU,
    GPU_JOIN,
    HOST,
    OBSERVED,
    PROCESS,
    PROCESS_JOIN,
    TS,
    WORKLOAD,
    WORKLOAD_JOIN,
    Col,
    T,
    View,
    entity,
    raw_measures,
    rolled_measures,
    seconds,
    seen,
    words,
)
from gpuwatch.training import TrainingSample

# ------------------------------------------------------------------------------------------------------------------- who

v_host = View(
    "v_host",
    "Hosts.",
    (HOST, *entity(Host, "h", ("hostname",)), *seen("h")),
    "host h",
)
v_gpu = View(
    "v_gpu",
    "GPUs and MIG instances that were ever seen.",
    (HOST, *GPU, *entity(Gpu, "g", ("uuid", "index")), *seen("g")),
    "gpu g JOIN host h ON h.host_id=g.host_id",
)
v_process = View(
    "v_process",
    "Processes that were ever watched.",
    (
        HOST,
        *PROCESS,
        Col("uid", "u.uid", "id", "User id; NULL if not known"),
        Col("start_known", "p.start_known", "flag", "0 if start_ms is only when it was first seen"),
        Col("parent_pid", "p.parent_pid", "id", "Process id of the watched parent; 0 if none"),
        Col("parent_start_ms", "p.parent_start_ms", "unix milliseconds", "Start of the watched parent; 0 if none"),
        Col("command", "p.command", "text", "Command line, redacted"),
        Col("container", "p.container", "text", "Container id; empty if none"),
        Col("role", "p.role", "word", "Why it is watched: gpu, ancestor, worker, ml"),
        Col("workload_pid", "p.workload_pid", "id", "Process id of the root of its workload; 0 if none"),
        Col("workload_start_ms", "p.workload_start_ms", "unix milliseconds", "Start of the root of its workload; 0 if none"),
        *seen("p"),
    ),
    "process p JOIN host h ON h.host_id=p.host_id LEFT JOIN user_account u ON u.user_id=p.user_id",
)
v_workload = View(
    "v_workload",
    "Workloads: process trees that do one job.",
    (
        HOST,
        *WORKLOAD,
        Col(
            "engine_version",
            "coalesce(nullif(w.engine_version, ''), s.engine_version, '')",
            "text",
            "Version of the engine, of a server as it says; empty if not known",
        ),
        *seen("w"),
    ),
    "workload w JOIN host h ON h.host_id=w.host_id LEFT JOIN user_account u ON u.user_id=w.user_id "
    "LEFT JOIN server s ON s.workload_id=w.workload_id",
)

# ------------------------------------------------------------------------------------------------------------------ rows

_GPU_FACTS = (
    Col("duration_seconds", seconds("s.dt_ms"), "seconds", "Time that the row speaks for; 0 for the first row after a gap"),
    Col(
        "quiet",
        "s.quiet",
        "flag",
        "1 if utilization is below 0.05 and, where measured, SM activity below 0.02 and no video work; NULL if not known",
    ),
    Col("context", words("s.context", Context), "word", "Who holds the GPU: none, process, memory_only; NULL if not known"),
    Col("quiet_seconds", seconds("s.quiet_ms"), "seconds", "Length of the unbroken quiet run that ends with the row"),
    Col("clock_ratio", seconds("s.kappa_pm"), "ratio", "Clock factor of the ledger; 1 is not throttled"),
    Col("unavailable", "s.unavailable", "flag", "1 if the GPU is there but cannot be used or read"),
)
v_gpu_raw = View(
    "v_gpu_raw",
    "Every GPU row of the last two hours.",
    (
        TS,
        HOST,
        *GPU,
        Col("tick_id", "s.tick_id", "id", "Number of the tick; it never goes back"),
        *_GPU_FACTS,
        *raw_measures(GpuSample),
    ),
    "tick k CROSS JOIN gpu_sample s JOIN gpu g ON g.gpu_id=s.gpu_id JOIN host h ON h.host_id=g.host_id WHERE s.tick_id=k.tick_id",
)
v_gpu_now = View(
    "v_gpu_now",
    "The newest row of each GPU that has one in this life of the recorder and in the last 30 seconds before the newest tick.",
    (TS, HOST, *GPU, *_GPU_FACTS, *raw_measures(GpuSample)),
    "gpu g JOIN host h ON h.host_id=g.host_id JOIN gpu_sample s ON s.gpu_id=g.gpu_id AND s.tick_id="
    "(SELECT max(x.tick_id) FROM gpu_sample x WHERE x.gpu_id=g.gpu_id AND x.tick_id>="
    "(SELECT min(y.tick_id) FROM tick y WHERE y.ts_ms>=(SELECT ts_ms FROM tick ORDER BY tick_id DESC LIMIT 1)-30000 "
    "AND y.session_id=(SELECT session_id FROM tick ORDER BY tick_id DESC LIMIT 1))) "
    "JOIN tick k ON k.tick_id=s.tick_id",
)
v_process_now = View(
    "v_process_now",
    "The newest process rows, one per process and GPU, none when they are older than three periods of the processes; gpu_uuid is NULL "
    "for a process on no GPU.",
    (TS, HOST, *GPU, *PROCESS, _GPU_FACTS[0], *raw_measures(ProcessSample)),
    "process_sample s JOIN tick k ON k.tick_id=s.tick_id "
    + PROCESS_JOIN.format("s")
    + " WHERE s.tick_id=(SELECT max(tick_id) FROM process_sample) AND k.ts_ms>=(SELECT ts_ms FROM tick ORDER BY tick_id DESC LIMIT 1)"
    "-6*coalesce((SELECT period_ms FROM session ORDER BY session_id DESC LIMIT 1),1000)",
)

# --------------------------------------------------------------------------------------------------------------- rollups

_GPU_ROLLUP = (
    *OBSERVED,
    Col("quiet_seconds", "CASE WHEN m.quiet_known_ms>0 THEN m.quiet_ms/1000.0 END", "seconds", "Time in which the GPU did nothing"),
    Col(
        "context_seconds",
        "CASE WHEN m.context_known_ms>0 THEN m.context_ms/1000.0 END",
        "seconds",
        "Time in which somebody held the GPU",
    ),
    Col(
        "quiet_context_seconds",
        "CASE WHEN m.quiet_known_ms>0 AND m.context_known_ms>0 THEN m.quiet_context_ms/1000.0 END",
        "seconds",
        "Time in which somebody held the GPU and it did nothing",
    ),
    Col("unavailable_seconds", seconds("m.unavailable_ms"), "seconds", "Time in which the GPU could not be used or read"),
    Col(
        "throttled_seconds",
        "CASE WHEN m.reasons_obs_ms>0 THEN m.throttled_ms/1000.0 END",
        "seconds",
        "Time with a clock event reason that slows down (power, heat, brake)",
    ),
    Col("energy_joules", "CASE WHEN m.energy_src>0 THEN m.energy_used_mj/1000.0 END", "joules", "Energy used in observed time"),
    Col(
        "quiet_energy_joules",
        "CASE WHEN m.energy_src>0 AND m.quiet_known_ms>0 THEN m.quiet_energy_mj/1000.0 END",
        "joules",
        "Energy used while quiet",
    ),
    Col(
        "energy_source",
        "CASE m.energy_src WHEN 1 THEN 'counter' WHEN 2 THEN 'power' WHEN 3 THEN 'mixed' END",
        "word",
        "Where the energy is from: the counter, integrated power, or both",
    ),
    *rolled_measures(GpuSample, skip=("energy_mj",)),
)
_PROCESS_ROLLUP = (
    *OBSERVED,
    Col("quiet_seconds", "CASE WHEN m.sm_obs_ms>0 THEN m.quiet_ms/1000.0 END", "seconds", "Time with SM utilization under 0.05"),
    *rolled_measures(ProcessSample),
)
_WORKLOAD_ROLLUP = (
    Col(
        "observed_seconds",
        OBSERVED[0].sql,
        "seconds",
        "Time of the bucket for which there are rows, also those that say nothing but a server's state: no time to divide counts by",
    ),
    Col("row_count", OBSERVED[1].sql, "count", "Rows in the bucket, of a training those of all ranks"),
    *rolled_measures(TrainingSample),
    *rolled_measures(InferenceSample),
)


def _rollup_views(period: str) -> list[View]:
    return [
        View(
            f"v_gpu_{period}",
            f"GPUs per {period}, over observed time.",
            (T, HOST, *GPU, *_GPU_ROLLUP),
            f"gpu_{period} m {GPU_JOIN}",
        ),
        View(
            f"v_process_{period}",
            f"Processes per GPU and {period}; gpu_uuid is NULL for a process on no GPU.",
            (T, HOST, *GPU, *PROCESS, *_PROCESS_ROLLUP),
            f"process_{period} m {PROCESS_JOIN.format('m')}",
        ),
        View(
            f"v_workload_{period}",
            f"Workloads per {period}. What a server counts is the sum over those readings that told it: NULL where none did, 0 where nothing "
            "came. For a rate divide by window_seconds, the time between all readings that told anything: a number that a server told for "
            "only a part of it is too low then. What a training counts is the sum over its ranks: observed_seconds is time as on a clock, "
            "whatever their number, the seconds of phases are those of all ranks together, of which attached_seconds is the whole.",
            (T, HOST, *WORKLOAD, *_WORKLOAD_ROLLUP),
            f"workload_{period} m {WORKLOAD_JOIN}",
        ),
    ]


# ---------------------------------------------------------------------------------------------------- around the rows

v_event = View(
    "v_event",
    "Things that happened at one instant.",
    (
        Col("ts_ms", "e.ts_ms", "unix milliseconds", "When"),
        HOST,
        Col("gpu_uuid", "g.uuid", "id", "UUID of the GPU; NULL if none"),
        Col("gpu_index", "g.gpu_index", "id", "Index of the GPU; NULL if none"),
        Col("pid", "e.pid", "id", "Process id; NULL if none"),
        Col("kind", "e.kind", "word", "What kind of event"),
        Col("severity", words("e.severity", Severity), "word", "How much it matters"),
        Col("detail", "e.detail", "text", "What happened, in one line"),
    ),
    "event e JOIN host h ON h.host_id=e.host_id LEFT JOIN gpu g ON g.gpu_id=e.gpu_id",
)
v_coverage = View(
    "v_coverage",
    "How much of each GPU-minute was observed; a minute without a row was not observed at all.",
    (
        T,
        HOST,
        *GPU,
        OBSERVED[0],
        Col(
            "coverage_ratio", "CASE WHEN m.obs_ms>60000 THEN 1.0 ELSE m.obs_ms/60000.0 END", "ratio", "Observed share of the minute"
        ),
    ),
    f"gpu_minute m {GPU_JOIN}",
)
v_gap = View(
    "v_gap",
    "Spans without rows: neither idle nor busy.",
    (
        Col("start_ms", "m.t0_ms", "unix milliseconds", "Last row before the gap"),
        Col("end_ms", "m.t1_ms", "unix milliseconds", "First row after the gap"),
        HOST,
        Col("gpu_uuid", "g.uuid", "id", "UUID of the GPU; NULL for the whole host"),
        Col("gpu_index", "g.gpu_index", "id", "Index of the GPU; NULL for the whole host"),
        Col("duration_seconds", "(m.t1_ms-m.t0_ms)/1000.0", "seconds", "Length"),
        Col("reason", words("m.reason", GapReason), "word", "Why: off, crash, stall, suspend, clock, driver"),
        Col(
            "energy_joules",
            "(SELECT sum(e.energy_mj)/1000.0 FROM gap_energy e WHERE e.host_id=m.host_id AND e.t0_ms=m.t0_ms AND (m.gpu_id=0 OR e.gpu_id=m.gpu_id))",
            "joules",
            "What the energy counters of these GPUs gained meanwhile, in no other sum; NULL if not known, as after a restart of the recorder",
        ),
    ),
    "gap m JOIN host h ON h.host_id=m.host_id LEFT JOIN gpu g ON g.gpu_id=m.gpu_id",
)

v_import = View(
    "v_import",
    "Past logs that were imported, one row a file.",
    (
        HOST,
        Col("name", "i.name", "text", "Name of the file"),
        Col("format", "i.format", "text", "What the file was"),
        Col("zone", "i.zone", "text", "Zone in which its times were read"),
        Col("rows_read", "i.rows_read", "count", "Lines read"),
        Col("rows_used", "i.rows_used", "count", "Rows of GPUs that were used"),
        Col("rows_left_out", "i.rows_left_out", "count", "Rows left out, because the GPU already had a row at that time"),
        Col("start_ms", "i.first_ms", "unix milliseconds", "Time of its first row"),
        Col("end_ms", "i.last_ms", "unix milliseconds", "Time of its last row"),
        Col("imported_ms", "i.imported_ms", "unix milliseconds", "When it was imported"),
        Col("sha256", "i.sha256", "id", "Hash of its content, by which it is known again"),
    ),
    "import_file i JOIN host h ON h.host_id=i.host_id",
)

_MINUTE, _HOUR, _DAY = _rollup_views("minute"), _rollup_views("hour"), _rollup_views("day")
VIEWS: tuple[View, ...] = (
    v_host,
    v_gpu,
    v_process,
    v_workload,
    v_gpu_now,
    v_gpu_raw,
    _MINUTE[0],
    _HOUR[0],
    _DAY[0],
    v_process_now,
    _MINUTE[1],
    _HOUR[1],
    _DAY[1],
    _MINUTE[2],
    _HOUR[2],
    _DAY[2],
    v_run,
    v_hist,
    ledger_view("minute"),
    ledger_view("hour"),
    v_finding,
    v_event,
    v_coverage,
    v_gap,
    v_import,
    v_server,
    v_server_field,
    v_workload_now,
    latency_view("minute"),
    latency_view("hour"),
    latency_view("day"),
    v_trainer,
    v_training_now,
    v_finding_minute,
    v_mute,
)
SCHEMA_COLUMNS = (
    Col("view", "", "text", "Name of a view"),
    Col("column", "", "text", "Name of one of its columns"),
    Col("unit", "", "text", "Unit, or id, text, word, flag (0 or 1)"),
    Col("meaning", "", "text", "What it is"),
)
V_SCHEMA = "v_schema"
NAMES = (*(v.name for v in VIEWS), V_SCHEMA)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def schema_rows() -> list[tuple[str, str, str, str]]:
    """(view, column, unit, meaning) of every column of every view, ``v_schema`` itself included."""
    rows = [(v.name, c.name, c.unit, c.help) for v in VIEWS for c in v.columns]
    return rows + [(V_SCHEMA, c.name, c.unit, c.help) for c in SCHEMA_COLUMNS]


def schema_ddl() -> str:
    """The ``CREATE VIEW`` of ``v_schema``."""
    rows = ",\n    ".join(f"({','.join(map(_quoted, row))})" for row in schema_rows())
    names = ",".join(f'column{i} AS "{c.name}"' for i, c in enumerate(SCHEMA_COLUMNS, 1))
    return f"CREATE VIEW {V_SCHEMA} AS SELECT {names} FROM (VALUES\n    {rows}\n) AS x"


def view_ddl() -> list[str]:
    """All ``CREATE VIEW`` statements."""
    return [*(v.ddl() for v in VIEWS), schema_ddl()]
