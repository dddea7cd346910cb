"""The content model of a report: everything that any of its forms may print, frozen. A form formats; it never computes or asks.

Names and units are those of the public views: ``_ratio`` 0 to 1, base units as suffix, times in unix milliseconds. GPU time is a
whole number of GPU milliseconds (``_gpu_ms``; a MIG instance counts as its share of the board) and energy of the ledger whole
millijoules (``_mj``), so that parts sum to their total exactly. ``None`` is never zero: ``missing`` of the same object, or the
field's own ``_reason``, says which kind of nothing it is.

Idle time in the ledger's words: **held idle** (held and quiet for five minutes or more), **unused** (allocated, nothing runs),
**free** (unallocated) and **idle ?** (quiet, whether anybody holds it cannot be known); :attr:`Ledger.idle_gpu_ms` is their sum.
Shorter pauses of work are *wait*. Time that was not observed is neither idle nor busy.
"""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass, field
from gpuwatch.names import Bucket, Missing
from gpuwatch.view.period.finding_row import FindingRow, NotEvaluatedRow
from gpuwatch.view.period.ledger_types import NO_PRICE, Band, Ledger
from gpuwatch.view.period.model_row import ModelRow
from gpuwatch.view.period.run_row import Experiments, RunRow
from gpuwatch.view.period.trust import EventRow, GapRow, NotMeasured, Quality, TierUse

__all__ = [
    "BY",
    "NOTHING_SEEN",
    "NOT_BUILT",
    "NO_PRICE",
    "Band",
    "EventRow",
    "Experiments",
    "FindingRow",
    "GapRow",
    "GpuRow",
    "HostRow",
    "Lane",
    "Ledger",
    "MainRow",
    "ModelRow",
    "NotEvaluatedRow",
    "NotMeasured",
    "OwnerRow",
    "PeriodRow",
    "ProcessRow",
    "Quality",
    "Quantiles",
    "Report",
    "ReportRequest",
    "ReportSpan",
    "RunRow",
    "Strip",
    "Tenure",
    "TierUse",
    "Use",
]

BY = ("gpu", "user", "process", "host", "model", "run", "day", "hour")
"""What the main table of a report may be about."""

NOT_BUILT, NOTHING_SEEN = "not_evaluated", "nothing_seen"
"""Reasons of what a report does not have: nothing evaluates it (yet); there was nothing of the kind. See also ``NO_PRICE``."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What is asked for.

    ``end_ms`` ``None`` is the present; the summed span ends with the last whole minute that is closed. ``hosts`` are host names;
    empty is the recorder's own host, ``("all",)`` every host of the store. ``top`` bounds ``Report.processes``. ``command`` is
    the command line that makes the same report again (it is only carried along).
    """

    start_ms: int
    end_ms: int | None = None
    by: str = "gpu"
    hosts: tuple[str, ...] = ()
    top: int = 10
    command: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """What was measured, each quantity over the time in which it was measured; means are time-weighted over the GPUs of the row."""

    observed_seconds: float
    """GPU-seconds with rows (a MIG instance counts fully here)."""
    utilization_ratio: float | None = None
    utilization_max_ratio: float | None = None
    sm_active_ratio: float | None = None
    tensor_active_ratio: float | None = None
    dram_active_ratio: float | None = None
    memory_used_bytes: float | None = None
    """Mean of one GPU."""
    memory_used_max_bytes: float | None = None
    memory_total_bytes: float | None = None
    """Of one GPU; ``None`` where they differ or it is not known."""
    power_watts: float | None = None
    """Mean of one GPU."""
    power_max_watts: float | None = None
    temperature_max_celsius: float | None = None
    quiet_seconds: float | None = None
    """GPU-seconds in which nothing ran (utilization under 0.05); includes short pauses that the ledger calls wait."""
    throttled_seconds: float | None = None
    """GPU-seconds with a reason in force that lowers clocks (power, heat, brake)."""
    energy_joules: float | None = None
    missing: Mapping[str, Missing] = field(default_factory=dict)
    """Field -> why it is ``None``."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Two percentiles of one quantity over observed time, within 2 % of their true value.

    ``coverage_ratio`` is the share of the row's observed time that they stand on: distributions exist for closed hours only.
    """

    p50: float
    p95: float
    coverage_ratio: float


@dataclass(frozen=True, slots=True)
class GpuRow:
    """One GPU or MIG instance over the span. A sliced board has what its instances leave of it, and comes before them."""

    host: str
    gpu_uuid: str
    gpu_index: int
    name: str
    parent_uuid: str
    mig_profile: str
    compute_fraction: float
    ledger: Ledger
    use: Use
    quantiles: Mapping[str, Quantiles]
    """``utilization_ratio``, ``sm_active_ratio``, ``power_watts``, ``memory_used_bytes``: those that have distributions."""
    last_busy_ms: int | None = None
    """End of the last minute (or hour, in old time) of the span in which it was not quiet; ``None``: never, or not known."""


@dataclass(frozen=True, slots=True)
class HostRow:
    """One host over the span. ``kind`` is ``recorded`` or ``imported``."""

    host: str
    kind: str
    gpu_count: int
    """Whole GPUs (boards)."""
    gpu_names: tuple[str, ...]
    zone: str
    start_ms: int
    end_ms: int
    """What was summed of this host."""
    ledger: Ledger
    use: Use


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """One local day or hour. ``label`` is ``2026-11-09`` or ``2026-11-09T14:00+01:00``; ``partial``: the span cuts it."""

    label: str
    start_ms: int
    end_ms: int
    """The part that lies in the span."""
    partial: bool
    ledger: Ledger
    use: Use


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """What one user had of the GPUs. The rows of a report sum to its total, bucket by bucket.

    ``kind``: ``user``; ``unknown`` (held, but by whom is not visible; ``user`` is ``None``); ``nobody`` (free, unobserved,
    unavailable time; ``user`` is ``None``; always the last row). A shared GPU is split by SM utilization, quiet time by memory.
    """

    user: str | None
    kind: str
    ledger: Ledger
    gpus: tuple[tuple[str, int], ...]
    """(host, index) of the GPUs that it held, MIG instances by the index of their board."""
    process_count: int | None
    """Processes that had GPU time; ``None`` for nobody."""
    gpu_memory_max_bytes: float | None
    """The most that one process had on one GPU; ``None`` when not known."""


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process that held GPUs; ``held_gpu_ms`` is all its time in the ledger, part of it ``held_idle_gpu_ms``."""

    host: str
    pid: int
    start_ms: int
    name: str
    command: str
    """Redacted; empty when erased."""
    user: str | None
    job: str
    workload: str
    gpus: tuple[tuple[str, int], ...]
    held_gpu_ms: int
    held_idle_gpu_ms: int
    busy_gpu_ms: int
    ledger: Ledger
    """Its own share; capacity is what it held."""
    gpu_memory_max_bytes: float | None
    """Highest on one GPU."""
    sm_utilization_ratio: float | None
    """Mean over the time in which the driver told it, per GPU."""
    first_ms: int
    last_ms: int
    """First and last seen, within the span."""
    missing: Mapping[str, Missing] = field(default_factory=dict)


MainRow = GpuRow | HostRow | PeriodRow | OwnerRow | ProcessRow | ModelRow | RunRow
"""A row of any of the tables that a report may be about."""


@dataclass(frozen=True, slots=True)
class Tenure:
    """Who had most of a lane from one column to another, both included; ``user`` ``None``: held by somebody not visible."""

    user: str | None
    first_column: int
    last_column: int


@dataclass(frozen=True, slots=True)
class Lane:
    """One GPU of the strip, or (``folded`` > 0) so many GPUs of one host together.

    ``shares_pm`` has only buckets that occur; in each column its values sum to 1000 (to 0 where the GPU did not count yet).
    """

    host: str
    gpu_uuid: str
    gpu_index: int | None
    name: str
    folded: int
    shares_pm: Mapping[Bucket, tuple[int, ...]]
    busy_pm: tuple[int | None, ...]
    """Busy time of observed time: the height; ``None``: nothing observed."""
    tenures: tuple[Tenure, ...]
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Strip:
    """The span GPU by GPU: at most 168 columns and 24 lanes. Column ``i`` is ``[edges_ms[i], edges_ms[i + 1])``.

    Columns are 1, 2, 3, 6 or 12 hours, one local day or more; at a change of clocks one may be longer or shorter than the others.
    """

    column_seconds: int
    edges_ms: tuple[int, ...]
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class ReportSpan:
    """What was asked for and what was summed; they differ where the recording began later, or old minutes are gone."""

    start_ms: int
    end_ms: int
    asked_start_ms: int
    asked_end_ms: int
    zone: str
    """The zone of days and of printed times; an IANA name or an offset like ``+02:00``."""
    utc_offset_seconds: int
    """Of that zone at the span's end, for readers without zone data."""
    hosts: tuple[str, ...]
    gpu_count: int
    """Whole GPUs (boards)."""
    gpu_names: tuple[tuple[str, int], ...]
    """(product name, how many), most frequent first."""
    made_ms: int
    simulated: bool
    scenario: str


@dataclass(frozen=True, slots=True)
class Report:
    """The whole report. ``total``, ``days``, ``gpus``, ``owners`` and ``host_rows`` are the same GPU time cut in different ways.

    What later work fills in is here already: empty, with ``absent`` saying why (field -> reason).
    """

    version: str
    span: ReportSpan
    by: str
    """Which table is the main one: see :meth:`main`."""
    total: Ledger
    use: Use
    days: tuple[PeriodRow, ...]
    hours: tuple[PeriodRow, ...]
    """Only when asked for (``by == "hour"``)."""
    gpus: tuple[GpuRow, ...]
    host_rows: tuple[HostRow, ...]
    owners: tuple[OwnerRow, ...]
    """By GPU time held, unknown after users, nobody last."""
    processes: tuple[ProcessRow, ...]
    """The top holders, by GPU time held; all of them when ``by == "process"``."""
    process_count: int
    """How many processes held a GPU in the span."""
    strip: Strip | None
    quality: Quality
    not_measured: tuple[NotMeasured, ...]
    notes: tuple[str, ...]
    """Sentences for the reader, most important first: nothing recorded, recording began later, hours unobserved and why, imported."""
    definitions: Mapping[str, str]
    """Word -> what it means here."""
    command: str
    previous: Ledger | None = None
    training: tuple[RunRow, ...] = ()
    """Runs in the order of their start; empty where none was in the span."""
    experiments: Experiments | None = None
    """All of them together."""
    models: tuple[ModelRow, ...] = ()
    """By GPU time; empty where nothing served in the span."""
    findings: tuple[FindingRow, ...] = ()
    """What rules found in the span, by what it cost in it."""
    not_evaluated: tuple[NotEvaluatedRow, ...] = ()
    """What rules cannot judge now; empty where the span is long past, or nobody records."""
    rules: int = 0
    rules_not_evaluated: int = 0
    absent: Mapping[str, str] = field(default_factory=dict)
    """``previous``, ``training``, ``models``, ``findings``, ``money`` -> why they are empty."""

    def main(self) -> tuple[MainRow, ...]:
        """The rows of the table that ``by`` asks for."""
        tables: Mapping[str, tuple[MainRow, ...]] = {
            "gpu": self.gpus,
            "user": self.owners,
            "process": self.processes,
            "host": self.host_rows,
            "model": self.models,
            "run": self.training,
            "day": self.days,
            "hour": self.hours,
        }
        return tables[self.by]
