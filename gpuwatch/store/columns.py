"""The order and the names of the store's columns, derived from the model. Standard library only: the hot path and readers use it.

``GPU_SAMPLE`` and its siblings are the column lists of the hot tables (facts first, then the measures in the model's order);
``rollup(sample_type)`` says how each measure is kept per minute, hour and day: integrals over observed time, never means.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from gpuwatch.dataclass import dataclass, fields
from gpuwatch.measure import measures
from gpuwatch.model import (
    Gpu,
    GpuSample,
    Host,
    HostSample,
    InferenceSample,
    ProcessSample,
    RecorderSample,
    Workload,
)
from gpuwatch.training import TrainingSample

APPLICATION_ID = 0x47505557
"""``GPUW``: the mark of a gpuwatch file in its SQLite header."""

SCHEMA_VERSION = 5
"""``user_version`` of the files that this program writes: the ordinal of the newest migration."""


def measure_columns(sample_type: type) -> tuple[str, ...]:
    """The store columns of a sample's measures, in declaration order (the order of ``measure.quantise``)."""
    return tuple(m.column for m in measures(sample_type).values())


GPU_FACTS = ("dt_ms", "quiet", "context", "quiet_ms", "kappa_pm", "unavailable")
GPU_SAMPLE = ("tick_id", "gpu_id", *GPU_FACTS, *measure_columns(GpuSample))
PROCESS_SAMPLE = ("tick_id", "proc_id", "gpu_id", "dt_ms", *measure_columns(ProcessSample))
HOST_SAMPLE = ("tick_id", "host_id", "dt_ms", *measure_columns(HostSample))
RECORDER_SAMPLE = ("tick_id", "host_id", "dt_ms", *measure_columns(RecorderSample))
TRAINING_SAMPLE = ("tick_id", "proc_id", "workload_id", "dt_ms", *measure_columns(TrainingSample))
INFERENCE_SAMPLE = ("tick_id", "workload_id", "dt_ms", *measure_columns(InferenceSample))
LATENCY_SAMPLE = ("tick_id", "workload_id", "latency", "lower_us", "upper_us", "n")
EXTRA_SAMPLE = ("tick_id", "name", "gpu_id", "proc_id", "unit", "value")

HOT_TABLES = (
    "gpu_sample",
    "process_sample",
    "host_sample",
    "recorder_sample",
    "training_sample",
    "inference_sample",
    "latency_sample",
    "extra_sample",
)

TABLES = (
    *(
        "meta",
        "host",
        "gpu",
        "user_account",
        "workload",
        "server",
        "server_field",
        "process",
        "owner",
        "trainer",
        "run",
        "session",
        "gap",
        "gap_energy",
        "event",
    ),
    *("missing", "source_state", "import_file", "tick", *HOT_TABLES, "chunk"),
    *(f"{what}_{tier}" for what in ("gpu", "process", "workload", "latency", "ledger") for tier in ("minute", "hour", "day")),
    *("hist_bin", "hist_hour", "hist_day", "ledger_span", "finding", "finding_minute", "mute", "rollup_state"),
)

SAMPLES: dict[str, type] = {
    "gpu_sample": GpuSample,
    "process_sample": ProcessSample,
    "host_sample": HostSample,
    "recorder_sample": RecorderSample,
    "training_sample": TrainingSample,
    "inference_sample": InferenceSample,
}

_RENAMED = {"index": "gpu_index"}  # INDEX is a reserved word of SQL


def entity_columns(entity_type: type) -> tuple[str, ...]:
    """The columns of an entity's own fields, in declaration order, under their model names (``index`` is ``gpu_index``)."""
    return tuple(_RENAMED.get(f.name, f.name) for f in fields(entity_type))


HOST = entity_columns(Host)
GPU = entity_columns(Gpu)
WORKLOAD = tuple("user_id" if name == "user" else name for name in entity_columns(Workload))
PROCESS = (
    "pid",
    "start_ms",
    "name",
    "start_known",
    "parent_pid",
    "parent_start_ms",
    "user_id",
    "command",
    "container",
    "job",
    "workload_pid",
    "workload_start_ms",
    "workload_id",
    "role",
    "visible_gpus",
)

How = Literal["integral", "sum", "max", "min", "observed"]


@dataclass(frozen=True, slots=True)
class Rolled:
    """One rollup column: ``how`` it is made from ``source`` (a hot column) or, for ``observed``, from the group's ``sources``.

    integral: sum of value x dt_ms; sum: sum of amounts; observed: dt_ms of the rows in which the group was measured.
    """

    name: str
    how: How
    group: str
    source: str = ""
    sources: tuple[str, ...] = ()


_PEAKS = {
    "utilization_pm": "max",
    "memory_used_mib": "max",
    "power_mw": "max",
    "temperature_c": "max",
    "memory_temperature_c": "max",
    "sm_clock_mhz": "min",
    "gpu_memory_mib": "max",
    "rss_mib": "max",
    "waiting_milli": "max",
    "kv_cache_pm": "max",
    "kv_cache_fullest_pm": "max",
    "allocated_peak_mib": "max",
}
_LATER_GROUPS = ("attached", "padding", "happened", "retries", "allocated_peak", "inactive_split", "probe")
_SINCE = {"waiting_obs_ms": 3}
"""Columns that came with a later schema than the first lie behind all that were there before, in whatever order the model has them:
that of a group that was one with another before (3), and all of groups that are new (4)."""


def _since(rolled: Rolled) -> int:
    return _SINCE.get(rolled.name, 4 if rolled.group in _LATER_GROUPS else 1)


@cache
def rollup(sample_type: type) -> tuple[Rolled, ...]:
    """The rollup columns of a sample type: per group its denominator, then its integrals, sums and peaks.

    States and counters are not rolled up by themselves; the group's denominator still says when they were known.
    """
    groups: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    for m in measures(sample_type).values():
        groups.setdefault(m.group, []).append(m.column)
        kinds[m.column] = m.kind
    out: list[Rolled] = []
    for group, columns in groups.items():
        rolled = [c for c in columns if kinds[c] in ("gauge", "delta")]
        if not rolled and group != "reasons":
            continue
        out.append(Rolled(f"{group}_obs_ms", "observed", group, sources=tuple(columns)))
        for column in rolled:
            if kinds[column] == "delta":
                out.append(Rolled(f"{column}_sum", "sum", group, column))
                continue
            out.append(Rolled(f"{column}_ms", "integral", group, column))
            peak = _PEAKS.get(column)
            if peak == "max":
                out.append(Rolled(f"{column}_max", "max", group, column))
            elif peak == "min":
                out.append(Rolled(f"{column}_min", "min", group, column))
    return tuple(sorted(out, key=_since))


def rolled_columns(*sample_types: type) -> tuple[Rolled, ...]:
    """The rollup columns of a table that holds several sample types, in the table's order."""
    return tuple(sorted((c for sample_type in sample_types for c in rollup(sample_type)), key=_since))


GPU_ROLLUP_FACTS = (
    "obs_ms",
    "n",
    "quiet_ms",
    "quiet_known_ms",
    "context_ms",
    "context_known_ms",
    "quiet_context_ms",
    "unavailable_ms",
    "throttled_ms",
    "energy_used_mj",
    "quiet_energy_mj",
    "energy_src",
)
"""Facts of a GPU's minute: ``quiet_context_ms`` is quiet time with a holder, ``energy_src`` 0 none, 1 counter, 2 power integral,
3 mixed; ``energy_used_mj`` is the energy by the best source of each row, where there is one."""

PROCESS_ROLLUP_FACTS = ("obs_ms", "n", "quiet_ms")
WORKLOAD_ROLLUP_FACTS = ("obs_ms", "n")

GPU_ROLLUP = ("t", "gpu_id", *GPU_ROLLUP_FACTS, *(c.name for c in rollup(GpuSample)))
PROCESS_ROLLUP = ("t", "proc_id", "gpu_id", *PROCESS_ROLLUP_FACTS, *(c.name for c in rollup(ProcessSample)))
LEDGER = ("t", "gpu_id", "owner_id", "bucket", "cause", "tier", "ms", "energy_mj")
LATENCY = ("t", "workload_id", "latency", "lower_us", "upper_us", "n")
HIST = ("t", "entity", "entity_id", "metric", "bin", "weight")


def placeholders(columns: Sequence[str]) -> str:
    """``?,?,?`` for as many columns."""
    return ",".join("?" * len(columns))


def insert_sql(table: str, columns: Sequence[str]) -> str:
    """``INSERT OR REPLACE`` of one row: the later word for the same key wins, so that a repeated row never fails a batch."""
    return f"INSERT OR REPLACE INTO {table}({','.join(columns)}) VALUES({placeholders(columns)})"
