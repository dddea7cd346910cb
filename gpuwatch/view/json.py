"""A View as JSON: names are the columns of the public views, in base units; what is not measured is null and says why.

Every key stands in one of the tables below with its type and meaning; the JSON Schema in ``docs/schemas`` is made from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gpuwatch.names import Missing
from gpuwatch.view.finding_json import FINDING, counts_json, findings_json, waste_json
from gpuwatch.view.finding_types import FindingView, WasteView
from gpuwatch.view.inference_json import inference_json
from gpuwatch.view.json_parts import SCHEMA, Field, Json, object_of, objects, plain
from gpuwatch.view.training_json import training_json
from gpuwatch.view.types import (
    EventView,
    GpuView,
    HostView,
    LedgerView,
    ProcessView,
    RecordingView,
    SourceView,
    SpanView,
    View,
    WorkloadView,
)


def _detail(name: str, kind: str, help: str) -> Field:
    return Field(name, kind, help, lambda gpu: gpu.details.get(name))


SPAN = (
    Field("start", "number", "Start, unix seconds", lambda s: s.start_ms / 1000),
    Field("end", "number", "End, unix seconds, exclusive", lambda s: s.end_ms / 1000),
)
GPU = (
    *plain(
        ("gpu_uuid", "string", "UUID of the GPU or MIG instance"),
        ("gpu_index", "integer", "Index on the host; it may change with a reboot"),
        ("name", "string", "Product name"),
        ("parent_uuid", "string", "UUID of the GPU that a MIG instance is part of, else empty"),
        ("mig_profile", "string", "Profile of a MIG instance, else empty"),
        ("mig_enabled", "boolean", "Whether the GPU is in MIG mode"),
        ("compute_fraction", "number", "Share of the SMs: 1 for a whole GPU"),
        (
            "state",
            "string",
            "State: busy, waiting, throttled, held_idle, unused, free, quiet, idle_unattributed, unavailable, no_data",
        ),
    ),
    Field("state_since", "number|null", "Start of the state, unix seconds", lambda g: _seconds(g.state_since_ms)),
    *plain(
        ("quiet_seconds", "number", "Length of the unbroken quiet run that goes on"),
        ("context", "string|null", "Who holds the GPU: none, process, memory_only; null if that cannot be known"),
        ("age_seconds", "number|null", "Age of the values"),
        ("utilization_ratio", "number|null", "Share of time in which at least one kernel was resident"),
        ("sm_active_ratio", "number|null", "Share of time x SMs with at least one warp"),
        ("tensor_active_ratio", "number|null", "Share of time x SMs with tensor instructions"),
        ("dram_active_ratio", "number|null", "Device memory bandwidth in use, of its peak"),
        ("memory_used_bytes", "number|null", "Device memory in use"),
        ("memory_total_bytes", "number|null", "Device memory"),
        ("power_watts", "number|null", "Board power"),
        ("power_limit_watts", "number|null", "Power limit in force"),
        ("power_limit_default_watts", "number|null", "Power limit by default"),
        ("temperature_celsius", "number|null", "Core temperature"),
        ("memory_temperature_celsius", "number|null", "Device memory temperature"),
        ("sm_clock_hertz", "number|null", "SM clock"),
        ("sm_clock_max_hertz", "number|null", "Highest SM clock"),
        ("memory_clock_hertz", "number|null", "Memory clock"),
        ("clock_event_reasons", "integer|null", "Reasons for the present clocks, NVML bit mask"),
        ("performance_state", "integer|null", "Performance state, 0 (highest) to 15"),
        ("process_count", "integer|null", "Compute processes that the driver lists"),
    ),
    Field("users", "array:string", "Users of the holders, largest first; ? if not visible", lambda g: list(g.users)),
    Field("waste_gpus", "number|null", "Mean waste of the last 60 s, 0 to 1"),
    _detail("pci_bus_id", "string|null", "PCI address"),
    _detail("architecture", "string|null", "Architecture"),
    _detail("compute_capability", "string|null", "CUDA compute capability"),
    _detail("serial", "string|null", "Serial number"),
    _detail("ecc_enabled", "boolean|null", "Whether ECC is on"),
    _detail("persistence_mode", "boolean|null", "Whether persistence mode is on"),
    _detail("pcie_generation_max", "integer|null", "Highest PCIe generation"),
    _detail("pcie_width_max", "integer|null", "Highest PCIe width, lanes"),
    _detail("nvlink_count", "integer|null", "NVLinks"),
    _detail("gpm_supported", "boolean|null", "Whether the GPU measures SM activity"),
)
HOLD = plain(
    ("gpu_uuid", "string", "The GPU"),
    ("gpu_index", "integer", "Its index"),
    ("gpu_memory_bytes", "number|null", "Device memory held"),
    ("sm_utilization_ratio", "number|null", "Share of time in which a kernel of the process was resident"),
    ("waste_gpus", "number|null", "Mean waste of the last 60 s, 0 to 1"),
)
PROCESS = (
    *plain(
        ("pid", "integer", "Process id"),
        ("start_ms", "integer", "Start, unix milliseconds; with pid the identity"),
        ("start_known", "boolean", "False if it was only first seen then"),
        ("parent_pid", "integer", "Watched parent, else 0"),
        ("parent_start_ms", "integer", "Its start, else 0"),
        ("name", "string", "Program name"),
        ("command", "string", "Command line, redacted"),
        ("uid", "integer|null", "User id"),
        ("user", "string", "User name, empty if not known"),
        ("container", "string", "Container, empty if none"),
        ("job", "string", "Scheduler or container id, empty if none"),
        ("role", "string", "Why it is watched: gpu, ancestor, worker, ml"),
        ("age_seconds", "number", "Time since its start"),
        ("sample_age_seconds", "number|null", "Age of the values"),
        ("cpu_ratio", "number|null", "CPU time per second; 1 is one core"),
        ("rss_bytes", "number|null", "Resident host memory"),
        ("read_bytes_per_second", "number|null", "Bytes read from storage"),
        ("write_bytes_per_second", "number|null", "Bytes written to storage"),
        ("state", "string", "State of the GPU it holds most memory on; no_data without a GPU"),
    ),
)
WORKLOAD = (
    *plain(
        ("root_pid", "integer", "Root of the process tree"),
        ("root_start_ms", "integer", "Its start, unix milliseconds"),
        ("port", "integer", "Port of a server, else 0"),
        ("kind", "string", "training, inference or other"),
        ("name", "string", "Name"),
        ("model", "string", "Model, empty if not known"),
        ("engine", "string", "Engine, empty if not known"),
        ("user", "string", "User name, empty if not known"),
    ),
    Field("gpu_indices", "array:integer", "GPUs that it holds", lambda w: list(w.gpu_indices)),
    *plain(
        ("attached", "boolean", "Whether the hook measures it, or the server answers"),
        (
            "tokens_per_second",
            "number|null",
            "Tokens a second; of a server those that it generates, of a training those that it eats",
        ),
    ),
)
LEDGER = plain(
    ("bucket", "string", "Bucket of the ledger"),
    ("cause", "string", "Why it waits; none for other buckets"),
    ("tier", "string", "Evidence behind a split of busy time: n, p, h, g"),
    ("ms", "integer", "GPU milliseconds, exact: all rows sum to the capacity"),
    ("energy_mj", "integer", "Energy, millijoules"),
)
RATIOS = (
    *plain(
        ("allocated_ratio", "number|null", "Allocated of observed time"), ("running_ratio", "number|null", "Busy of allocated time")
    ),
    Field("fill_low_ratio", "number|null", "Effective of busy time, at least", lambda v: v.fill_low),
    Field("fill_high_ratio", "number|null", "Effective of busy time, at most", lambda v: v.fill_high),
    Field("efficiency_low_ratio", "number|null", "Effective of observed time, at least", lambda v: v.efficiency_low),
    Field("efficiency_high_ratio", "number|null", "Effective of observed time, at most", lambda v: v.efficiency_high),
    Field("tier", "string", "Weakest evidence behind busy time: n, p, h, g", lambda v: v.tier),
    *plain(
        ("capacity_ms", "integer", "GPU milliseconds of the span"),
        ("waste_gpus", "number", "Mean number of GPUs wasted"),
    ),
)
HOST = plain(
    ("hostname", "string", "Name of the host"),
    ("machine_id", "string", "Stable identity of the host"),
    ("driver_version", "string", "Driver, empty if none"),
    ("cuda_version", "string", "CUDA that the driver supports, empty if none"),
    ("kernel", "string", "Kernel"),
    ("cpu_count", "integer|null", "CPU cores"),
    ("memory_total_bytes", "number|null", "Host memory"),
    ("cpu_ratio", "number|null", "CPU in use, of all cores"),
    ("iowait_ratio", "number|null", "CPU idle while I/O was pending, of all cores"),
    ("memory_used_bytes", "number|null", "Host memory in use"),
    ("swap_used_bytes", "number|null", "Swap in use"),
    ("load_average", "number|null", "Load average over one minute"),
    ("disk_read_bytes_per_second", "number|null", "Bytes read from block devices"),
    ("disk_write_bytes_per_second", "number|null", "Bytes written to block devices"),
    ("network_receive_bytes_per_second", "number|null", "Bytes received"),
    ("network_transmit_bytes_per_second", "number|null", "Bytes sent"),
    ("process_count", "integer|null", "Processes on the host"),
)
RECORDING = (
    *plain(("live", "boolean", "Whether a recorder writes now"), ("pid", "integer|null", "Its process id")),
    Field("last_tick", "number|null", "Newest sample, unix seconds", lambda r: _seconds(r.last_tick_ms)),
    Field("first", "number|null", "Start of what is kept, unix seconds", lambda r: _seconds(r.first_ms)),
    *plain(
        ("interval_seconds", "number", "Time between two samples"),
        ("simulated", "boolean", "Whether the store is a simulated one"),
        ("scenario", "string", "Its scenario, else empty"),
    ),
    Field("reason", "string", "Why the recording is not what it should be, else empty", lambda r: r.read_only_reason),
)
SOURCE = plain(
    ("name", "string", "Collector"),
    ("state", "string", "ok, error, stalled or off"),
    ("age_seconds", "number|null", "Time since it last brought something"),
    ("detail", "string", "What is wrong, in one line"),
    ("hint", "string", "What to try"),
)
EVENT = plain(
    ("ts_ms", "integer", "Unix milliseconds"),
    ("kind", "string", "Kind"),
    ("severity", "string", "info, notice, warning or critical"),
    ("detail", "string", "What happened, in one line"),
    ("gpu_index", "integer|null", "GPU, if one is meant"),
    ("pid", "integer|null", "Process, if one is meant"),
)


def status_json(view: View) -> Json:
    """The document of ``gpuwatch status --json``."""
    simulated = bool(view.recording and view.recording.simulated)
    return {
        "schema": SCHEMA,
        "kind": "status",
        "generated_at": iso(view.now_ms),
        "at": view.at_ms / 1000,
        "simulated": simulated,
        "host": view.host.hostname if view.host else None,
        "span": object_of(SPAN, view.span),
        "coverage_ratio": view.span.coverage_ratio,
        "waste_now_gpus": view.waste_now_gpus,
        "gpus": [_with_missing(GPU, gpu) for gpu in view.gpus],
        "processes": [{**_with_missing(PROCESS, p), "gpus": objects(HOLD, p.holds)} for p in view.processes],
        "workloads": [_workload(work) for work in view.workloads],
        "ledger": objects(LEDGER, view.ledger.parts if view.ledger else ()),
        "ratios": object_of(RATIOS, view.ledger) if view.ledger else None,
        "today": _span(view.today) if view.today else None,
        "findings": findings_json(view.findings),
        "finding_counts": counts_json(view.findings),
        "sources": objects(SOURCE, view.sources),
        "events": objects(EVENT, view.events),
        "host_now": _with_missing(HOST, view.host) if view.host else None,
        "recording": object_of(RECORDING, view.recording) if view.recording else None,
        "notices": list(view.notices),
    }


def _workload(work: WorkloadView) -> Json:
    told = {"inference": inference_json(work.inference), "training": training_json(work.training)}
    return {**object_of(WORKLOAD, work), **told}


def waste_document(view: View, waste: WasteView, *, since_ms: int) -> Json:
    """The document of ``gpuwatch waste --json``; ``since_ms``: from when on what cleared is told."""
    return {
        "schema": SCHEMA,
        "kind": "waste",
        "generated_at": iso(view.now_ms),
        "at": view.at_ms / 1000,
        "simulated": bool(view.recording and view.recording.simulated),
        "host": view.host.hostname if view.host else None,
        "gpu_count": sum(not gpu.parent_uuid for gpu in view.gpus),
        "waste_now_gpus": view.waste_now_gpus,
        "today": _span(view.today) if view.today else None,
        "resolved_since": since_ms / 1000,
        **waste_json(waste),
        "notices": list(view.notices),
    }


def query_json(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, simulated: bool) -> Json:
    """The document of ``gpuwatch query --format json``: rows as objects, in the order of the answer.

    It does not say when it was made: the same store and question give the same bytes.
    """
    return {
        "schema": SCHEMA,
        "kind": "query",
        "simulated": simulated,
        "columns": list(columns),
        "rows": [dict(zip(columns, row, strict=True)) for row in rows],
    }


def iso(ms: int) -> str:
    """Unix milliseconds as UTC text: ``2025-11-14T14:32:07.400Z``."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


_FACTS = frozenset(
    (
        *("memory_total_bytes", "power_limit_default_watts", "sm_clock_max_hertz", "ecc_enabled", "persistence_mode"),
        *("pcie_generation_max", "pcie_width_max", "nvlink_count", "gpm_supported"),
    )
)
"""What a GPU is: asked once, so that null means that its driver does not offer it."""
_PER_SECOND = "_per_second"
_TWICE = frozenset({"cpu_ratio", "iowait_ratio"})
"""Rates under another name: like those per second they need two readings, and null without a reason is the first."""


def _with_missing(fields: Sequence[Field], source: GpuView | ProcessView | HostView) -> Json:
    """The object and, for what is null in it, the reason where one is known."""
    out = object_of(fields, source)
    reasons = {name: reason.label for name, reason in source.missing.items() if out.get(name) is None}
    for name, value in out.items():
        if value is not None or name in reasons:
            continue
        amount = name.removesuffix(_PER_SECOND)
        if amount in reasons:
            reasons[name] = reasons.pop(amount)
        elif name in _FACTS:
            reasons[name] = Missing.NOT_SUPPORTED.label
        elif name in _TWICE or amount != name:
            reasons[name] = Missing.STALE.label
    out["missing"] = dict(sorted(reasons.items()))
    return out


def _span(ledger: LedgerView) -> Json:
    return {
        "span": object_of(SPAN, ledger.span),
        "coverage_ratio": ledger.span.coverage_ratio,
        "ledger": objects(LEDGER, ledger.parts),
        "ratios": object_of(RATIOS, ledger),
    }


SHAPES: Mapping[type, Sequence[Field]] = {
    SpanView: SPAN,
    GpuView: GPU,
    ProcessView: PROCESS,
    WorkloadView: WORKLOAD,
    HostView: HOST,
    RecordingView: RECORDING,
    SourceView: SOURCE,
    EventView: EVENT,
    FindingView: FINDING,
}
"""Which table of keys stands for which type of the View."""
