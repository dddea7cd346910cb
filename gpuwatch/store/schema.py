"""The tables as SQLAlchemy Core metadata: the one place where the schema is defined. Never imported on the hot path.

``python -m gpuwatch.store.generate`` writes ``ddl.sql`` from it; migrations and PostgreSQL use it directly. Units stand in the
names: ``_ms`` milliseconds or value x milliseconds, ``_mj`` millijoules, ``_mw`` milliwatts, ``_pm`` per mille, ``_mib``/``_kib``
binary; flags are 0 or 1. ``t`` is the unix second of a bucket's start, ``ts_ms`` unix milliseconds. The tables are private, the views public.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from gpuwatch.dataclass import fields
from gpuwatch.model import Gpu, GpuSample, Host, InferenceSample, ProcessSample
from gpuwatch.store import columns as names
from gpuwatch.training import TrainingSample

NAMING = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
}
BIG = BigInteger().with_variant(Integer(), "sqlite")
metadata = MetaData(naming_convention=NAMING)


def _int(name: str, *, null: bool = False, default: int | None = None) -> Column[Any]:
    return Column(name, BIG, nullable=null, server_default=None if default is None else str(default))


def _text(name: str, *, null: bool = False, default: str | None = "") -> Column[Any]:
    return Column(name, Text(), nullable=null, server_default=None if null else default)


def _id(name: str) -> Column[Any]:
    return Column(name, BIG, primary_key=True, autoincrement=False)


def _ref(name: str, target: str) -> Column[Any]:
    return Column(name, BIG, ForeignKey(target), nullable=False)


def _values(columns: Sequence[str], *, null: bool = True) -> list[Column[Any]]:
    return [_int(c, null=null) for c in columns]


_TYPES: dict[str, TypeEngine[Any]] = {"int": BIG, "float": Double(), "bool": BIG, "str": Text()}


def _entity(entity_type: type, *, skip: Sequence[str] = ()) -> list[Column[Any]]:
    """The model's own fields as columns in base units: few rows, so nothing is scaled."""
    out: list[Column[Any]] = []
    for f, column in zip(fields(entity_type), names.entity_columns(entity_type), strict=True):
        if f.name not in skip:
            kind = str(f.type).split(" ")[0]
            out.append(Column(column, _TYPES[kind], nullable="None" in str(f.type)))
    return out


def _seen() -> list[Column[Any]]:
    return [_int("first_ms"), _int("last_ms")]


def _hot(table: str, columns: Sequence[str], key: Sequence[str], facts: Sequence[str] = ("dt_ms",)) -> Table:
    """A hot table in time order: one row a tick and entity, clustered by its key."""
    required = {*key, *facts}
    cells = [_int(c, null=c not in required) for c in columns]
    return Table(table, metadata, *cells, PrimaryKeyConstraint(*key), sqlite_with_rowid=False)


def _rolled(table: str, key: Sequence[str], facts: Sequence[str], *sample_types: type) -> Table:
    rolled = [c.name for c in names.rolled_columns(*sample_types)]
    cells = [*_values((*key, *facts), null=False), *_values(rolled)]
    return Table(table, metadata, *cells, PrimaryKeyConstraint(*key), sqlite_with_rowid=False)


# ------------------------------------------------------------------------------------------------ the file and who is in it

meta = Table("meta", metadata, Column("key", Text(), primary_key=True, nullable=False), _text("value", default=None))
host = Table(
    "host",
    metadata,
    _id("host_id"),
    *_entity(Host, skip=("timezone",)),
    *_seen(),
    _text("timezone"),
    _int("hour_offset_seconds", default=0),
    UniqueConstraint("machine_id"),
    comment="hour_offset_seconds: seconds after a whole UTC hour at which the host's local hours begin, by its zone when first seen; so do its rollups",
)
gpu = Table("gpu", metadata, _id("gpu_id"), _ref("host_id", "host.host_id"), *_entity(Gpu), *_seen(), UniqueConstraint("host_id", "uuid"))  # fmt: skip
user_account = Table("user_account", metadata, _id("user_id"), _ref("host_id", "host.host_id"), _int("uid", null=True), _text("name"), UniqueConstraint("host_id", "uid", "name"))  # fmt: skip
workload = Table(
    "workload",
    metadata,
    _id("workload_id"),
    _ref("host_id", "host.host_id"),
    *[_int(c) for c in ("root_pid", "root_start_ms", "port")],
    *[_text(c) for c in ("kind", "name", "model", "engine", "engine_version")],
    _int("user_id", null=True),
    _text("job"),
    *_seen(),
    UniqueConstraint("host_id", "root_pid", "root_start_ms", "port"),
)
process = Table(
    "process",
    metadata,
    _id("proc_id"),
    _ref("host_id", "host.host_id"),
    _int("pid"),
    _int("start_ms"),
    _text("name"),
    _int("start_known", default=1),
    _int("parent_pid", default=0),
    _int("parent_start_ms", default=0),
    _int("user_id", null=True),
    *[_text(c) for c in ("command", "container", "job")],
    _int("workload_pid", default=0),
    _int("workload_start_ms", default=0),
    _int("workload_id", null=True),
    _text("role"),
    *_seen(),
    UniqueConstraint("host_id", "pid", "start_ms"),
)
owner = Table(
    "owner",
    metadata,
    _id("owner_id"),
    _ref("host_id", "host.host_id"),
    _int("user_id", default=0),
    _text("job"),
    _int("workload_id", default=0),
    _int("proc_id", default=0),
    UniqueConstraint("host_id", "user_id", "job", "workload_id", "proc_id"),
    comment="who time belongs to; 0 and '' where a part is not known; owner_id 0 is nobody and has no row",
)
server = Table(
    "server",
    metadata,
    Column("workload_id", BIG, ForeignKey("workload.workload_id"), primary_key=True, autoincrement=False),
    _int("state"),
    *[_text(c) for c in ("detail", "hint", "url", "engine", "engine_version", "served_model")],
    _int("verified", default=1),
    *_values(("max_model_tokens", "max_running_requests", "kv_cache_tokens")),
    _int("interval_ms"),
    *_values(("scrape_us", "page_bytes")),
    *_seen(),
    comment="what is known of an inference workload's server now",
)
server_field = Table(
    "server_field",
    metadata,
    _ref("workload_id", "workload.workload_id"),
    _text("field", default=None),
    _int("quality"),
    _text("source"),
    _int("since_ms"),
    PrimaryKeyConstraint("workload_id", "field"),
    sqlite_with_rowid=False,
    comment="where each number of a server comes from, and how it is counted",
)
trainer = Table(
    "trainer",
    metadata,
    Column("proc_id", BIG, ForeignKey("process.proc_id"), primary_key=True, autoincrement=False),
    _ref("workload_id", "workload.workload_id"),
    _int("source"),
    _int("attached_ms"),
    *[_text(c) for c in ("detail", "hint", "framework", "agent_version")],
    *_values(("rank", "world", "local_rank", "node_rank", "data_parallel")),
    _text("data_parallel_source"),
    _int("replicas", default=1),
    *[_text(c) for c in ("tokens_kind", "model")],
    *_values(("parameters", "trainable_parameters", "layers", "heads", "head_width", "sequence_tokens")),
    Column("flops_per_token", Double(), nullable=True),
    *[_text(c) for c in ("flops_formula", "precision", "gpu_uuid")],
    _int("total_steps", null=True),
    _int("probe", default=0),
    *_values(("first_step_ms", "ended_ms")),
    _int("outcome", default=0),
    *_seen(),
    comment="what is known of a training process (a rank) now",
)
run = Table(
    "run",
    metadata,
    _id("run_id"),
    _ref("workload_id", "workload.workload_id"),
    _int("started_ms"),
    *_values(("first_step_ms", "last_step_ms", "last_checkpoint_ms", "ended_ms", "exit_code", "steps", "tokens", "lost_gpu_ms")),
    _int("outcome", default=0),
    _text("detail"),
    *_values(("samples", "step_number", "total_steps", "ranks")),
    *[_text(c) for c in ("git_commit", "command")],
    _int("attached", default=0),
    Index("ix_run_workload_id", "workload_id", unique=True),
    comment="training runs; steps, tokens and samples since it was attached; lost_gpu_ms is not written: v_run works it out",
)

# ------------------------------------------------------------------------------------------------ what happened around the rows

session = Table(
    "session",
    metadata,
    _id("session_id"),
    _int("host_id", null=True),
    _int("started_ms"),
    _int("last_ms"),
    _int("ended_ms", null=True),
    _int("clean", default=0),
    _text("version"),
    _int("period_ms"),
    _text("boot_id"),
    _int("pid", default=0),
)
gap = Table(
    "gap",
    metadata,
    *[_int(c) for c in ("host_id", "gpu_id", "t0_ms", "t1_ms", "reason")],
    _int("session_id", null=True),
    PrimaryKeyConstraint("host_id", "t0_ms", "gpu_id"),
    comment="gpu_id 0: the whole host",
)
event = Table(
    "event",
    metadata,
    _id("event_id"),
    _int("ts_ms"),
    _ref("host_id", "host.host_id"),
    *_values(("gpu_id", "proc_id", "pid")),
    _text("kind"),
    _int("severity"),
    _text("detail"),
    Index("ix_event_ts_ms", "ts_ms"),
)
missing = Table(
    "missing",
    metadata,
    _id("missing_id"),
    _ref("host_id", "host.host_id"),
    *[_text(c) for c in ("entity", "entity_key", "field")],
    _int("reason"),
    _int("t0_ms"),
    _int("t1_ms", null=True),
    Index("ix_missing_t1_ms", "t1_ms"),
    comment="an interval in which a field was not measured; t1_ms NULL: still so",
)
source_state = Table(
    "source_state",
    metadata,
    _int("host_id"),
    _text("name"),
    _text("state"),
    _int("last_ok_ms", null=True),
    _text("detail"),
    _text("hint"),
    _int("changed_ms"),
    PrimaryKeyConstraint("host_id", "name"),
)

gap_energy = Table(
    "gap_energy",
    metadata,
    *[_int(c) for c in ("host_id", "gpu_id", "t0_ms", "energy_mj")],
    PrimaryKeyConstraint("host_id", "t0_ms", "gpu_id"),
    sqlite_with_rowid=False,
    comment="what a GPU's energy counter gained over a gap: used by nobody knows whom, never part of a rollup",
)
import_file = Table(
    "import_file",
    metadata,
    _id("import_id"),
    _text("sha256", default=None),
    *[_text(c) for c in ("name", "format", "zone")],
    _int("host_id"),
    *[_int(c) for c in ("rows_read", "rows_used", "rows_left_out", "first_ms", "last_ms", "imported_ms")],
    UniqueConstraint("sha256"),
    comment="past logs that were read, by the hash of their content",
)

# ------------------------------------------------------------------------------------------------ hot rows, two hours

tick = Table("tick", metadata, _id("tick_id"), _int("ts_ms"), _int("session_id"), Index("ix_tick_ts_ms", "ts_ms"))
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
    *[_int(c) for c in names.LATENCY_SAMPLE],
    PrimaryKeyConstraint("tick_id", *_LATENCY_KEY),
    sqlite_with_rowid=False,
    comment="observations in (lower_us, upper_us] since the server was read before; upper_us 10^15: no upper bound",
)
extra_sample = Table(
    "extra_sample",
    metadata,
    _int("tick_id"),
    _text("name"),
    _int("gpu_id"),
    _int("proc_id"),
    _text("unit"),
    Column("value", Double(), nullable=False),
    PrimaryKeyConstraint("tick_id", "name", "gpu_id", "proc_id"),
    sqlite_with_rowid=False,
)

# ------------------------------------------------------------------------------------------------ archive and rollups

chunk = Table(
    "chunk",
    metadata,
    *[_int(c) for c in ("kind", "host_id", "entity_id", "t0_ms", "t1_ms", "n", "codec")],
    _text("cols", default=None),
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
hist_bin = Table("hist_bin", metadata, _id("bin"), *[Column(c, Double(), nullable=False) for c in ("lo", "mid", "hi")])
_HIST_KEY = ("t", "entity", "entity_id", "metric", "bin")
hist_hour = Table("hist_hour", metadata, *[_int(c) for c in names.HIST], PrimaryKeyConstraint(*_HIST_KEY), sqlite_with_rowid=False)
hist_day = Table("hist_day", metadata, *[_int(c) for c in names.HIST], PrimaryKeyConstraint(*_HIST_KEY), sqlite_with_rowid=False)
for _tier in ("minute", "hour", "day"):
    Table(f"latency_{_tier}", metadata, *[_int(c) for c in names.LATENCY], PrimaryKeyConstraint("t", *_LATENCY_KEY), sqlite_with_rowid=False)  # fmt: skip
_LEDGER_KEY = ("t", "gpu_id", "owner_id", "bucket", "cause", "tier")
ledger_minute = Table(
    "ledger_minute",
    metadata,
    *[_int(c) for c in names.LEDGER],
    _int("final", default=1),
    PrimaryKeyConstraint(*_LEDGER_KEY),
    sqlite_with_rowid=False,
    comment="final 0: younger than the longest look-back, will be recomputed; unobserved time has no row, a minute with nothing else one of 0 ms",
)
ledger_span = Table(
    "ledger_span",
    metadata,
    *[_int(c) for c in ("gpu_id", "t0", "t1")],
    PrimaryKeyConstraint("gpu_id", "t0"),
    sqlite_with_rowid=False,
    comment="runs of minutes without a hole in ledger_minute: the time between them was not observed",
)
ledger_hour = Table("ledger_hour", metadata, *[_int(c) for c in names.LEDGER], PrimaryKeyConstraint(*_LEDGER_KEY), sqlite_with_rowid=False)  # fmt: skip
ledger_day = Table("ledger_day", metadata, *[_int(c) for c in names.LEDGER], PrimaryKeyConstraint(*_LEDGER_KEY), sqlite_with_rowid=False)  # fmt: skip
finding = Table(
    "finding",
    metadata,
    _id("finding_id"),
    _ref("host_id", "host.host_id"),
    _text("rule", default=None),
    *[_int(c, default=0) for c in ("gpu_id", "owner_id", "workload_id")],
    _int("started_ms"),
    _int("last_ms"),
    _int("ended_ms", null=True),
    _int("severity"),
    _int("confidence_pm", null=True),
    *[_text(c) for c in ("title", "evidence", "advice")],
    *_values(("cost_gpu_ms", "cost_energy_mj", "before_pm", "after_pm")),
    Index("ix_finding_started_ms", "started_ms"),
)
rollup_state = Table("rollup_state", metadata, _int("host_id"), _text("tier", default=None), _int("done_s"), PrimaryKeyConstraint("host_id", "tier"), sqlite_with_rowid=False)  # fmt: skip
