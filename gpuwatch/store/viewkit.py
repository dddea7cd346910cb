"""What the public views are built from: columns that carry unit and meaning, and the model's measures as such columns."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.dataclass import dataclass, fields
from gpuwatch.measure import Measure, measures
from gpuwatch.names import (
    Basis,
    Bucket,
    Cause,
    Context,
    GapReason,
    Latency,
    Phase,
    Quality,
    RunOutcome,
    ServerState,
    Severity,
    Tier,
    TrainingSource,
)
from gpuwatch.store.columns import entity_columns, rollup


@dataclass(frozen=True, slots=True)
class Col:
    """One column of a view: its name, the SQL that makes it, its unit (or ``id``, ``text``, ``flag``, ``word``) and its meaning."""

    name: str
    sql: str
    unit: str
    help: str


@dataclass(frozen=True, slots=True)
class View:
    """A public view."""

    name: str
    help: str
    columns: tuple[Col, ...]
    source: str
    before: str = ""
    """Common table expressions."""

    def ddl(self) -> str:
        """The ``CREATE VIEW`` statement."""
        cells = ",\n    ".join(f'{c.sql} AS "{c.name}"' for c in self.columns)
        return f"CREATE VIEW {self.name} AS {self.before}SELECT\n    {cells}\nFROM {self.source}"


# ------------------------------------------------------------------------------------------------------------ expressions

_LARGE = 1e9


def multiplier(m: Measure) -> int | float | None:
    """What a stored integer is multiplied by to get its base unit; ``None``: it is divided by ``m.scale``.

    A float where a product may not fit into 64 bits, which PostgreSQL refuses: an H100 does more than 2^63 operations a day.
    """
    factor = 1 / m.scale
    if factor < 1 or abs(factor - round(factor)) >= 1e-6:
        return None
    whole = round(factor)
    return whole if whole < _LARGE else float(whole)


def scaled(sql: str, m: Measure) -> str:
    """A stored integer in its base unit."""
    if m.scale == 1:
        return sql
    factor = multiplier(m)
    return f"{sql}/{float(m.scale)!r}" if factor is None else f"{sql}*{factor}"


def _mean(column: str, m: Measure) -> str:
    """An integral over observed time as the mean in its base unit."""
    factor = "1.0" if m.scale == 1 else scaled("1.0", m)
    return f"m.{column}_ms*({factor})/nullif(m.{m.group}_obs_ms,0)"


Word = (
    Basis
    | Bucket
    | Cause
    | Tier
    | Context
    | GapReason
    | Severity
    | ServerState
    | Quality
    | Latency
    | Phase
    | TrainingSource
    | RunOutcome
)


def words(sql: str, kind: type[Word]) -> str:
    """A stored number as its public word."""
    return f"CASE {sql} " + " ".join(f"WHEN {int(w)} THEN '{w.label}'" for w in kind) + " END"


def seconds(column: str) -> str:
    """Stored milliseconds as seconds."""
    return f"{column}/1000.0"


def raw_measures(sample_type: type, table: str = "s") -> list[Col]:
    """The measures of one hot row."""
    return [Col(name, scaled(f"{table}.{m.column}", m), m.unit, m.help) for name, m in measures(sample_type).items()]


def _peak_name(name: str, unit: str, how: str) -> str:
    return f"{name.removesuffix('_' + unit)}_{how}_{unit}" if name.endswith("_" + unit) else f"{name}_{how}"


def rolled_measures(sample_type: type, *, skip: Sequence[str] = ()) -> list[Col]:
    """The measures of a rollup row: time-weighted means of gauges, sums of amounts, peaks."""
    by_column = {m.column: (name, m) for name, m in measures(sample_type).items()}
    out: list[Col] = []
    for c in rollup(sample_type):
        if c.how == "observed" or c.source in skip:
            continue
        name, m = by_column[c.source]
        if c.how == "integral":
            out.append(Col(name, _mean(c.source, m), m.unit, f"{m.help}; mean over the time in which it was measured"))
        elif c.how == "sum":
            out.append(Col(name, scaled(f"m.{c.name}", m), m.unit, f"{m.help.replace(' since the previous row', '')}; sum"))
        else:
            named = _peak_name(name, m.unit, c.how)
            out.append(Col(named, scaled(f"m.{c.name}", m), m.unit, f"{m.help}; {'highest' if c.how == 'max' else 'lowest'} row"))
    return out


# ---------------------------------------------------------------------------------------------------------- shared columns

HOST = Col("host", "h.hostname", "text", "Host name")
T = Col("t", "m.t", "unix seconds", "Start of the bucket, UTC")
TS = Col("ts_ms", "k.ts_ms", "unix milliseconds", "Time of the row; it speaks for the time before")
GPU = (
    Col("gpu_uuid", "g.uuid", "id", "UUID of the GPU or MIG instance"),
    Col("gpu_index", "g.gpu_index", "id", "Index as the driver lists it; may change between boots"),
)
PROCESS = (
    Col("pid", "p.pid", "id", "Process id; with start_ms and host it names one process"),
    Col("start_ms", "p.start_ms", "unix milliseconds", "Start of the process"),
    Col("name", "p.name", "text", "Name of the program"),
    Col("user", "u.name", "text", "User name; NULL if not known"),
    Col("job", "p.job", "text", "Scheduler, container or session id; empty if none"),
)
WORKLOAD = (
    Col("root_pid", "w.root_pid", "id", "Process id of the root of the process tree"),
    Col("root_start_ms", "w.root_start_ms", "unix milliseconds", "Start of the root"),
    Col("port", "w.port", "id", "Port of a server; 0 if none"),
    Col("kind", "w.kind", "word", "training, inference or other"),
    Col("name", "w.name", "text", "Name"),
    Col("model", "w.model", "text", "Model; empty if not known"),
    Col("engine", "w.engine", "text", "Engine or framework; empty if not known"),
    Col("user", "u.name", "text", "User name; NULL if not known"),
    Col("job", "w.job", "text", "Scheduler, container or session id; empty if none"),
)
SEEN = (
    Col("first_ms", "{0}.first_ms", "unix milliseconds", "First seen by the recorder"),
    Col("last_ms", "{0}.last_ms", "unix milliseconds", "Last seen (brought up to date each minute)"),
)
OBSERVED = (
    Col("observed_seconds", seconds("m.obs_ms"), "seconds", "Time of the bucket for which there are rows"),
    Col("row_count", "m.n", "count", "Rows in the bucket"),
)
GPU_JOIN = "JOIN gpu g ON g.gpu_id=m.gpu_id JOIN host h ON h.host_id=g.host_id"
PROCESS_JOIN = "JOIN process p ON p.proc_id={0}.proc_id JOIN host h ON h.host_id=p.host_id LEFT JOIN user_account u ON u.user_id=p.user_id LEFT JOIN gpu g ON g.gpu_id={0}.gpu_id"
WORKLOAD_JOIN = "JOIN workload w ON w.workload_id=m.workload_id JOIN host h ON h.host_id=w.host_id LEFT JOIN user_account u ON u.user_id=w.user_id"


def seen(table: str) -> tuple[Col, ...]:
    """When an entity was first and last there."""
    return tuple(Col(c.name, c.sql.format(table), c.unit, c.help) for c in SEEN)


_UNITS = ("bytes", "watts", "hertz", "celsius", "seconds", "fraction", "count")
_ENTITY_HELP = {
    "machine_id": "Stable identity of the host",
    "hostname": "Host name",
    "boot_id": "Id of the present boot",
    "cpu_count": "Logical CPUs",
    "memory_total_bytes": "Memory in total",
    "kernel": "Kernel release",
    "driver_version": "Version of the GPU driver",
    "cuda_version": "CUDA version of the driver",
    "utc_offset_seconds": "Local time minus UTC",
    "simulated": "1 if the data are simulated",
    "timezone": "IANA zone whose midnights begin its days; empty if not known",
    "name": "Product name",
    "parent_uuid": "UUID of the GPU that a MIG instance is part of; empty for a GPU",
    "mig_profile": "MIG profile; empty for a GPU",
    "mig_enabled": "1 if the GPU is sliced by MIG",
    "compute_fraction": "Share of the GPU's SM slices; 1 for a whole GPU",
    "memory_reserved_bytes": "Memory that the driver keeps for itself",
    "power_limit_watts": "Power limit in force",
    "power_limit_default_watts": "Default power limit",
    "power_limit_max_watts": "Highest power limit that can be set",
    "sm_clock_max_hertz": "Highest SM clock",
    "memory_clock_max_hertz": "Highest memory clock",
    "pci_bus_id": "PCI address",
    "pcie_generation_max": "Highest PCIe generation of the link",
    "pcie_width_max": "Most PCIe lanes of the link",
    "nvlink_count": "NVLinks",
    "architecture": "Architecture",
    "compute_capability": "CUDA compute capability",
    "serial": "Serial number of the board",
    "ecc_enabled": "1 if ECC is on",
    "persistence_mode": "1 if persistence mode is on",
    "gpm_supported": "1 if the GPU measures SM and DRAM activity (GPM)",
    "temperature_limit_celsius": "Temperature at which the GPU slows down",
}


def entity(entity_type: type, table: str, skip: Sequence[str] = ()) -> list[Col]:
    """The model's own fields of an entity."""
    out: list[Col] = []
    for f, column in zip(fields(entity_type), entity_columns(entity_type), strict=True):
        if f.name not in skip:
            unit = next((u for u in _UNITS if column.endswith("_" + u)), "flag" if str(f.type).startswith("bool") else "text")
            out.append(Col(column, f"{table}.{column}", unit, _ENTITY_HELP[column]))
    return out
