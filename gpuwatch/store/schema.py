"""The tables as SQLAlchemy Core metadata: the one place where the schema is defined. Never imported on the hot path.

``python -m gpuwatch.store.generate`` writes ``ddl.sql`` from it; migrations and PostgreSQL use it directly. Units stand in the
names: ``_ms`` milliseconds or value x milliseconds, ``_mj`` millijoules, ``_mw`` milliwatts, ``_pm`` per mille, ``_mib``/``_kib``
binary; flags are 0 or 1. ``t`` is the unix second of a bucket's start, ``ts_ms`` unix milliseconds. The tables are private, the views public.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from gpuwatch.dataclass import fields
from gpuwatch.model import Gpu, GpuSample, Host, InferenceSample, ProcessSample
from gpuwatch.store import columns as names
from gpuwatch.store.schema_kit import BIG, TYPES, id_, int_, ref_, text_, values_
from gpuwatch.store.schema_kit import metadata as metadata  # noqa: PLC0414 (the whole of it, for who imports the tables)
from gpuwatch.training import TrainingSample


def _entity(entity_type: type, *, skip: Sequence[str] = ()) -> list[Column[Any]]:
    """The model's own fields as columns in base units: few rows, so nothing is scaled."""
    out: list[Column[Any]] = []
    for f, column in zip(fields(entity_type), names.entity_columns(entity_type), strict=True):
        if f.name not in skip:
            kind = str(f.type).split(" ")[0]
            out.append(Column(column, TYPES[kind], nullable="None" in str(f.type)))
    return out


def _seen() -> list[Column[Any]]:
    return [int_("first_ms"), int_("last_ms")]


def _hot(table: str, columns: Sequence[str], key: Sequence[str], facts: Sequence[str] = ("dt_ms",)) -> Table:
    """A hot table in time order: one row a tick and entity, clustered by its key."""
    required = {*key, *facts}
    cells = [int_(c, null=c not in required) for c in columns]
    return Table(table, metadata, *cells, PrimaryKeyConstraint(*key), sqlite_with_rowid=False)


def _rolled(table: str, key: Sequence[str], facts: Sequence[str], *sample_types: type) -> Table:
    rolled = [c.name for c in names.rolled_columns(*sample_types)]
    cells = [*values_((*key, *facts), null=False), *values_(rolled)]
    return Table(table, metadata, *cells, PrimaryKeyConstraint(*key), sqlite_with_rowid=False)


# ------------------------------------------------------------------------------------------------ the file and who is in it

meta = Table("meta", metadata, Column("key", Text(), primary_key=True, nullable=False), text_("value", default=None))
host = Table(
    "host",
    metadata,
    id_("host_id"),
    *_entity(Host, skip=("timezone",)),
    *_seen(),
    text_("timezone"),
    int_("hour_offset_seconds", default=0),
    UniqueConstraint("machine_id"),
    comment="hour_offset_seconds: seconds after a whole UTC hour at which the host's local hours begin, by its zone when first seen; so do its rollups",
)
gpu = Table("gpu", metadata, id_("gpu_id"), ref_("host_id", "host.host_id"), *_entity(Gpu), *_seen(), int_("idle_power_mw", null=True), UniqueConstraint("host_id", "uuid"), comment="idle_power_mw: 5th percentile of the power of minutes in which nobody held it; NULL until that is known")  # fmt: skip
user_account = Table("user_account", metadata, id_("user_id"), ref_("host_id", "host.host_id"), int_("uid", null=True), text_("name"), UniqueConstraint("host_id", "uid", "name"))  # fmt: skip
workload = Table(
    "workload",
    metadata,
    id_("workload_id"),
    ref_("host_id", "host.host_id"),
    *[int_(c) for c in ("root_pid", "root_start_ms", "port")],
    *[text_(c) for c in ("kind", "name", "model", "engine", "engine_version")],
    int_("user_id", null=True),
    text_("job"),
    *_seen(),
    UniqueConstraint("host_id", "root_pid", "root_start_ms", "port"),
)
process = Table(
    "process",
    metadata,
    id_("proc_id"),
    ref_("host_id", "host.host_id"),
    int_("pid"),
    int_("start_ms"),
    text_("name"),
    int_("start_known", default=1),
    int_("parent_pid", default=0),
    int_("parent_start_ms", default=0),
    int_("user_id", null=True),
    *[text_(c) for c in ("command", "container", "job")],
    int_("workload_pid", default=0),
    int_("workload_start_ms", default=0),
    int_("workload_id", null=True),
    text_("role"),
    *_seen(),
    text_("visible_gpus"),
    UniqueConstraint("host_id", "pid", "start_ms"),
)
owner = Table(
    "owner",
    metadata,
    id_("owner_id"),
    ref_("host_id", "host.host_id"),
    int_("user_id", default=0),
    text_("job"),
    int_("workload_id", default=0),
    int_("proc_id", default=0),
    UniqueConstraint("host_id", "user_id", "job", "workload_id", "proc_id"),
    comment="who time belongs to; 0 and '' where a part is not known; owner_id 0 is nobody and has no row",
)
server = Table(
    "server",
    metadata,
    Column("workload_id", BIG, ForeignKey("workload.workload_id"), primary_key=True, autoincrement=False),
    int_("state"),
    *[text_(c) for c in ("detail", "hint", "url", "engine", "engine_version", "served_model")],
    int_("verified", default=1),
    *values_(("max_model_tokens", "max_running_requests", "kv_cache_tokens")),
    int_("interval_ms"),
    *values_(("scrape_us", "page_bytes")),
    *_seen(),
    comment="what is known of an inference workload's server now",
)
server_field = Table(
    "server_field",
    metadata,
    ref_("workload_id", "workload.workload_id"),
    text_("field", default=None),
    int_("quality"),
    text_("source"),
    int_("since_ms"),
    PrimaryKeyConstraint("workload_id", "field"),
    sqlite_with_rowid=False,
    comment="where each number of a server comes from, and how it is counted",
)
trainer = Table(
    "trainer",
    metadata,
    Column("proc_id", BIG, ForeignKey("process.proc_id"), primary_key=True, autoincrement=False),
    ref_("workload_id", "workload.workload_id"),
    int_("source"),
    int_("attached_ms"),
    *[text_(c) for c in ("detail", "hint", "framework", "agent_version")],
    *values_(("rank", "world", "local_rank", "node_rank", "data_parallel")),
    text_("data_parallel_source"),
    int_("replicas", default=1),
    *[text_(c) for c in ("tokens_kind", "model")],
    *values_(("parameters", "trainable_parameters", "layers", "heads", "head_width", "sequence_tokens")),
    Column("flops_per_token", Double(), nullable=True),
    *[text_(c) for c in ("flops_formula", "precision", "gpu_uuid")],
    int_("total_steps", null=True),
    int_("probe", default=0),
    *values_(("first_step_ms", "ended_ms")),
    int_("outcome", default=0),
    *_seen(),
    comment="what is known of a training process (a rank) now",
)
run = Table(
    "run",
    metadata,
    id_("run_id"),
    ref_("workload_id", "workload.workload_id"),
    int_("started_ms"),
    *values_(("first_step_ms", "last_step_ms", "last_checkpoint_ms", "ended_ms", "exit_code", "steps", "tokens", "lost_gpu_ms")),
    int_("outcome", default=0),
    text_("detail"),
    *values_(("samples", "step_number", "total_steps", "ranks")),
    *[text_(c) for c in ("git_commit", "command")],
    int_("attached", default=0),
    Index("ix_run_workload_id", "workload_id", unique=True),
    comment="training runs; steps, tokens and samples since it was attached; lost_gpu_ms is not written: v_run works it out",
)

# ------------------------------------------------------------------------------------------------ what happened around the rows

session = Table(
    "session",
    metadata,
    id_("session_id"),
    int_("host_id", null=True),
    int_("started_ms"),
    int_("last_ms"),
    int_("ended_ms", null=True),
    int_("clean", default=0),
    text_("version"),
    int_("period_ms"),
    text_("boot_id"),
    int_("pid", default=0),
)
gap = Table(
    "gap",
    metadata,
    *[int_(c) for c in ("host_id", "gpu_id", "t0_ms", "t1_ms", "reason")],
    int_("session_id", null=True),
    PrimaryKeyConstraint("host_id", "t0_ms", "gpu_id"),
    comment="gpu_id 0: the whole host",
)
event = Table(
    "event",
    metadata,
    id_("event_id"),
    int_("ts_ms"),
    ref_("host_id", "host.host_id"),
    *values_(("gpu_id", "proc_id", "pid")),
    text_("kind"),
    int_("severity"),
    text_("detail"),
    Index("ix_event_ts_ms", "ts_ms"),
)
missing = Table(
    "missing",
    metadata,
    id_("missing_id"),
    ref_("host_id", "host.host_id"),
    *[text_(c) for c in ("entity", "entity_key", "field")],
    int_("reason"),
    int_("t0_ms"),
    int_("t1_ms", null=True),
    Index("ix_missing_t1_ms", "t1_ms"),
    comment="an interval in which a field was not measured; t1_ms NULL: still so",
)
source_state = Table(
    "source_state",
    metadata,
    int_("host_id"),
    text_("name"),
    text_("state"),
    int_("last_ok_ms", null=True),
    text_("detail"),
    text_("hint"),
    int_("changed_ms"),
    PrimaryKeyConstraint("host_id", "name"),
)

gap_energy = Table(
    "gap_energy",
    metadata,
    *[int_(c) for c in ("host_id", "gpu_id", "t0_ms", "energy_mj")],
    PrimaryKeyConstraint("host_id", "t0_ms", "gpu_id"),
    sqlite_with_rowid=False,
    comment="what a GPU's energy counter gained over a gap: used by nobody knows whom, never part of a rollup",
)
import_file = Table(
    "import_file",
    metadata,
    id_("import_id"),
    text_("sha256", default=None),
    *[text_(c) for c in ("name", "format", "zone")],
    int_("host_id"),
    *[int_(c) for c in ("rows_read", "rows_used", "rows_left_out", "first_ms", "last_ms", "imported_ms")],
    UniqueConstraint("sha256"),
    comment="past logs that were read, by the hash of their content",
)

# ------------------------------------------------------------------------------------------------ hot rows, two hours

tick = Table("tick", metadata, id_("tick_id"), int_("ts_ms"), int_("session_id"), Index("ix_tick_ts_ms", "ts_ms"))
gpu_sample = _hot("gpu_sample", names.GPU_SAMPLE, ("tick_id", "gpu_id"), ("dt_ms", "quiet_ms", "kappa_pm", "unavailable"))
process_sample = _hot("process_sample", names.PROCESS_SAMPLE, ("tick_id", "proc_id", "gpu_id"))
host_sample = _hot("host_sample", names.HOST_SAMPLE, ("tick_id", "host_id"))
recorder_sample = _hot("recorder_sample", names.RECORDER_SAMPLE, ("tick_id", "host_id"))
training_sample = _hot("training_sample", names.TRAINING_SAMPLE, ("tick_id", "proc_id"), ("workload_id", "dt_ms"))
inference_sample = _hot("inference_sample", names.INFERENCE_SAMPLE, ("tick_id", "workload_id"))
_LATENCY_KEY = ("workload_id", "latency", "lower_us", "upper_us")
latency_sample = Table(
    "latency_sample",
    metadata,
    *[int_(c) for c in names.LATENCY_SAMPLE],
    PrimaryKeyConstraint("tick_id", *_LATENCY_KEY),
    sqlite_with_rowid=False,
    comment="observations in (lower_us, upper_us] since the server was read before; upper_us 10^15: no upper bound",
)
extra_sample = Table(
    "extra_sample",
    metadata,
    int_("tick_id"),
    text_("name"),
    int_("gpu_id"),
    int_("proc_id"),
    text_("unit"),
    Column("value", Double(), nullable=False),
    PrimaryKeyConstraint("tick_id", "name", "gpu_id", "proc_id"),
    sqlite_with_rowid=False,
)

# ------------------------------------------------------------------------------------------------ archive and rollups

chunk = Table(
    "chunk",
    metadata,
    *[int_(c) for c in ("kind", "host_id", "entity_id", "t0_ms", "t1_ms", "n", "codec")],
    text_("cols", default=None),
    Column("body", LargeBinary(), nullable=False),
    PrimaryKeyConstraint("kind", "host_id", "entity_id", "t0_ms"),
    comment="kind 0 gpu, 1 process, 2 training, 3 inference, 4 host, 5 recorder, 6 extra; entity_id: gpu_id (0 and 1), proc_id (2), workload_id (3), else 0",
)
_GPU_KEY, _PROCESS_KEY, _WORKLOAD_KEY = ("t", "gpu_id"), ("t", "proc_id", "gpu_id"), ("t", "workload_id")
gpu_minute = _rolled("gpu_minute", _GPU_KEY, names.GPU_ROLLUP_FACTS, GpuSample)
gpu_hour = _rolled("gpu_hour", _GPU_KEY, names.GPU_ROLLUP_FACTS, GpuSample)
gpu_day = _rolled("gpu_day", _GPU_KEY, names.GPU_ROLLUP_FACTS, GpuSample)
process_minute = _rolled("process_minute", _PROCESS_KEY, names.PROCESS_ROLLUP_FACTS, ProcessSample)
process_hour = _rolled("process_hour", _PROCESS_KEY, names.PROCESS_ROLLUP_FACTS, ProcessSample)
process_day = _rolled("process_day", _PROCESS_KEY, names.PROCESS_ROLLUP_FACTS, ProcessSample)
workload_minute = _rolled("workload_minute", _WORKLOAD_KEY, names.WORKLOAD_ROLLUP_FACTS, TrainingSample, InferenceSample)
workload_hour = _rolled("workload_hour", _WORKLOAD_KEY, names.WORKLOAD_ROLLUP_FACTS, TrainingSample, InferenceSample)
workload_day = _rolled("workload_day", _WORKLOAD_KEY, names.WORKLOAD_ROLLUP_FACTS, TrainingSample, InferenceSample)
hist_bin = Table("hist_bin", metadata, id_("bin"), *[Column(c, Double(), nullable=False) for c in ("lo", "mid", "hi")])
_HIST_KEY = ("t", "entity", "entity_id", "metric", "bin")
hist_hour = Table("hist_hour", metadata, *[int_(c) for c in names.HIST], PrimaryKeyConstraint(*_HIST_KEY), sqlite_with_rowid=False)
hist_day = Table("hist_day", metadata, *[int_(c) for c in names.HIST], PrimaryKeyConstraint(*_HIST_KEY), sqlite_with_rowid=False)
for _tier in ("minute", "hour", "day"):
    Table(f"latency_{_tier}", metadata, *[int_(c) for c in names.LATENCY], PrimaryKeyConstraint("t", *_LATENCY_KEY), sqlite_with_rowid=False)  # fmt: skip
_LEDGER_KEY = ("t", "gpu_id", "owner_id", "bucket", "cause", "tier")
ledger_minute = Table(
    "ledger_minute",
    metadata,
    *[int_(c) for c in names.LEDGER],
    int_("final", default=1),
    PrimaryKeyConstraint(*_LEDGER_KEY),
    sqlite_with_rowid=False,
    comment="final 0: younger than the longest look-back, will be recomputed; unobserved time has no row, a minute with nothing else one of 0 ms",
)
ledger_span = Table(
    "ledger_span",
    metadata,
    *[int_(c) for c in ("gpu_id", "t0", "t1")],
    PrimaryKeyConstraint("gpu_id", "t0"),
    sqlite_with_rowid=False,
    comment="runs of minutes without a hole in ledger_minute: the time between them was not observed",
)
ledger_hour = Table("ledger_hour", metadata, *[int_(c) for c in names.LEDGER], PrimaryKeyConstraint(*_LEDGER_KEY), sqlite_with_rowid=False)  # fmt: skip
ledger_day = Table("ledger_day", metadata, *[int_(c) for c in names.LEDGER], PrimaryKeyConstraint(*_LEDGER_KEY), sqlite_with_rowid=False)  # fmt: skip
finding = Table(
    "finding",
    metadata,
    id_("finding_id"),
    ref_("host_id", "host.host_id"),
    text_("rule", default=None),
    *[int_(c, default=0) for c in ("gpu_id", "owner_id", "workload_id")],
    int_("started_ms"),
    int_("last_ms"),
    int_("ended_ms", null=True),
    int_("severity"),
    int_("confidence_pm", null=True),
    *[text_(c) for c in ("title", "evidence", "advice")],
    *values_(("cost_gpu_ms", "cost_energy_mj", "before_pm", "after_pm")),
    *[text_(c) for c in ("subject", "gpus", "command", "detail", "effect", "sql")],
    int_("basis", default=0),
    int_("waste_pm", null=True),
    int_("saved_gpu_ms_day", null=True),
    Index("ix_finding_started_ms", "started_ms"),
    comment="detail: the whole finding as JSON (rules.types.Finding); started_ms: since when the fact holds, not since when it was told",
)
finding_minute = Table(
    "finding_minute",
    metadata,
    *[int_(c) for c in ("finding_id", "t")],
    *values_(("measured_pm", "waste_pm", "cost_gpu_ms")),
    PrimaryKeyConstraint("finding_id", "t"),
    sqlite_with_rowid=False,
    comment="how an open finding grew, once a minute: what its first evidence measured, GPUs wasted in per mille, cost so far",
)
mute = Table(
    "mute",
    metadata,
    id_("mute_id"),
    ref_("host_id", "host.host_id"),
    text_("rule", default=None),
    *[text_(c) for c in ("subject", "command", "reason")],
    int_("made_ms"),
    *values_(("until_ms", "lifted_ms")),
    comment="written by commands and screens, read by the recorder; until_ms NULL: for ever; one of subject and command may be empty: any",
)
rollup_state = Table("rollup_state", metadata, int_("host_id"), text_("tier", default=None), int_("done_s"), PrimaryKeyConstraint("host_id", "tier"), sqlite_with_rowid=False)  # fmt: skip
