"""A report as JSON: the whole content model, every key in a table with its type and meaning.

GPU time is whole milliseconds (``_gpu_ms``), so that parts sum to their total exactly; ratios are not rounded; times are RFC 3339
with the offset of the report's zone. What is null and could have been measured stands in ``missing`` of the same object; what
nothing evaluates yet has a ``_reason`` beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from gpuwatch.view.inference_json import LATENCY
from gpuwatch.view.json import iso
from gpuwatch.view.json_parts import SCHEMA, Field, Json
from gpuwatch.view.period.runs_json import EXPERIMENTS, RUN
from gpuwatch.view.period.types import Band, Ledger, ModelRow, Report, RunRow, Use
from gpuwatch.zone import host_zone


def _plain(*fields: tuple[str, str, str]) -> tuple[Field, ...]:
    return tuple(Field(*field) for field in fields)


_TIMED = (("since", "string", "Start"), ("until", "string", "End, exclusive"))
SPAN = _plain(
    ("zone", "string", "Zone of days, hours and times: an IANA name or an offset"),
    ("utc_offset_seconds", "integer", "Its offset at the end of the span"),
    ("gpu_count", "integer", "GPUs, instances not counted"),
    ("scenario", "string", "Scenario of a simulated store, else empty"),
)
LEDGER = _plain(
    ("capacity_gpu_ms", "integer", "GPU time: the sum of all buckets"),
    ("observed_gpu_ms", "integer", "Capacity less unobserved"),
    ("allocated_gpu_ms", "integer", "Observed less unavailable, unallocated and idle_unattributed"),
    ("first_time_gpu_ms", "integer", "Allocated less unused, held idle, quiet, overhead, wait and redone"),
    ("idle_gpu_ms", "integer", "Held idle, unused, unallocated, idle_unattributed and quiet together"),
    ("waste_gpu_ms", "integer", "Wait, throttled, redone, overhead, held idle and unused together"),
    ("allocation_ratio", "number|null", "Allocated of observed; null if nothing was observed"),
    ("running_ratio", "number|null", "First-time work of allocated; null if nothing was allocated"),
)
LEDGER_REST = _plain(
    ("tier", "string", "Weakest evidence behind busy time: n, p, h, g"),
    ("coverage_ratio", "number|null", "Observed of capacity"),
    ("energy_mj", "integer|null", "Energy of observed time, millijoules"),
    ("idle_energy_mj", "integer|null", "The part of it in idle time"),
    ("money", "number|null", "Cost; null without a price"),
    ("money_reason", "string", "Why there is no cost"),
)
USE = _plain(
    ("observed_seconds", "number", "GPU-seconds with rows; an instance counts fully"),
    ("utilization_ratio", "number|null", "Share of time in which at least one kernel was resident, mean"),
    ("utilization_max_ratio", "number|null", "Its highest row"),
    ("sm_active_ratio", "number|null", "Share of time x SMs with at least one warp, mean"),
    ("tensor_active_ratio", "number|null", "Share of time x SMs with tensor instructions, mean"),
    ("dram_active_ratio", "number|null", "Device memory bandwidth in use, of its peak, mean"),
    ("memory_used_bytes", "number|null", "Device memory in use on one GPU, mean"),
    ("memory_used_max_bytes", "number|null", "Highest on one GPU"),
    ("memory_total_bytes", "number|null", "Device memory of one GPU; null where they differ"),
    ("power_watts", "number|null", "Power of one GPU, mean"),
    ("power_max_watts", "number|null", "Highest of one GPU"),
    ("temperature_max_celsius", "number|null", "Highest core temperature"),
    ("quiet_seconds", "number|null", "GPU-seconds in which nothing ran; includes short pauses, which the ledger calls wait"),
    ("throttled_seconds", "number|null", "GPU-seconds with a reason in force that lowers clocks"),
    ("energy_joules", "number|null", "Energy"),
)
QUANTILES = _plain(
    ("p50", "number", "Median, within 2 %"),
    ("p95", "number", "95th percentile, within 2 %"),
    ("coverage_ratio", "number", "Share of the row's observed time that they stand on"),
)
GPU = _plain(
    ("host", "string", "Host"),
    ("gpu_uuid", "string", "UUID of the GPU or MIG instance"),
    ("gpu_index", "integer", "Its index"),
    ("name", "string", "Product name"),
    ("parent_uuid", "string", "UUID of the GPU that a MIG instance is part of, else empty"),
    ("mig_profile", "string", "Profile of a MIG instance, else empty"),
    ("compute_fraction", "number", "Share of the SMs: 1 for a whole GPU"),
)
HOST = (
    *_plain(
        ("host", "string", "Host"),
        ("kind", "string", "recorded or imported"),
        ("gpu_count", "integer", "GPUs, instances not counted"),
    ),
    Field("gpu_names", "array:string", "Their product names", lambda row: list(row.gpu_names)),
    Field("zone", "string", "The host's own zone; empty if not known"),
)
PERIOD = _plain(("label", "string", "Local day or hour"), ("partial", "boolean", "Whether the span cuts it"))
OWNER = _plain(
    ("user", "string|null", "User; null for unknown and nobody"),
    ("kind", "string", "user, unknown (held, by whom is not visible) or nobody"),
    ("process_count", "integer|null", "Processes that held a GPU"),
    ("gpu_memory_max_bytes", "number|null", "The most that one of them had on one GPU"),
)
PROCESS = _plain(
    ("host", "string", "Host"),
    ("pid", "integer", "Process id"),
    ("start_ms", "integer", "Start, unix milliseconds; with pid and host the identity"),
    ("name", "string", "Program name"),
    ("command", "string", "Command line, redacted; empty when erased"),
    ("user", "string|null", "User"),
    ("job", "string", "Scheduler or container id, else empty"),
    ("workload", "string", "Workload, else empty"),
    ("held_gpu_ms", "integer", "GPU time held"),
    ("held_idle_gpu_ms", "integer", "The part of it that was held idle"),
    ("busy_gpu_ms", "integer", "The part of it in which it worked"),
    ("gpu_memory_max_bytes", "number|null", "Highest on one GPU"),
    ("sm_utilization_ratio", "number|null", "Mean over the time in which the driver told it"),
)
PLACE = _plain(("host", "string", "Host"), ("gpu_index", "integer", "Index of the GPU, of an instance's board"))
LANE = _plain(
    ("host", "string", "Host"),
    ("gpu_uuid", "string", "UUID; empty for several GPUs"),
    ("gpu_index", "integer|null", "Index; null for several GPUs"),
    ("name", "string", "Product name"),
    ("folded", "integer", "How many GPUs are in this lane, 0 for one"),
)
TENURE = _plain(
    ("user", "string|null", "Who had most of these columns; null: somebody not visible"),
    ("first_column", "integer", "First column"),
    ("last_column", "integer", "Last column"),
)
GAP = _plain(
    ("host", "string", "Host"),
    ("gpu_uuid", "string|null", "GPU; null: the whole host"),
    ("gpu_index", "integer|null", "Its index"),
    ("reason", "string", "Why: off, crash, stall, suspend, clock, driver"),
    ("energy_mj", "integer|null", "What energy counters gained meanwhile (by time where the span cuts the gap); null: none told"),
)
EVENT = _plain(
    ("host", "string", "Host"),
    ("gpu_index", "integer|null", "GPU, if one is meant"),
    ("kind", "string", "Kind"),
    ("severity", "string", "info, notice, warning or critical"),
    ("detail", "string", "What happened, in one line"),
)
TIER = _plain(
    ("host", "string", "Host"),
    ("what", "string", "gpu, ledger or process"),
    ("tier", "string", "The rollup that was summed: minute, hour or day"),
)
NOT_MEASURED = _plain(
    ("host", "string", "Host"),
    ("subject", "string", "Which GPUs"),
    ("field", "string", "What is not measured"),
    ("reason", "string", "Why"),
    ("enable", "string", "The command that helps, else empty"),
)
MODEL = (
    Field("model", "string", "Name by which it is served, empty if none is told"),
    Field("engines", "array:string", "Engines that served it", lambda row: list(row.engines)),
    *_plain(
        ("replicas", "integer", "Servers that had it in the span"),
        ("observed_seconds", "number", "Server-seconds between two readings"),
        ("output_tokens_total", "integer|null", "Tokens generated"),
        ("prefill_tokens_total", "integer|null", "Prompt tokens computed"),
        ("cached_tokens_total", "integer|null", "Prompt tokens taken from the prefix cache"),
        ("requests_total", "integer|null", "Requests ended"),
        (
            "energy_per_output_token_joules",
            "number|null",
            "Energy of its GPU time, idle time included, an output token; null where tokens were not counted in all of it",
        ),
        ("cost_per_million_output_tokens", "number|null", "Cost of its GPU time a million output tokens; null without a price"),
        ("currency", "string", "Its currency, empty without a price"),
        ("price", "string", "The prices that the cost is made with, empty without one"),
        ("quality", "string|null", "How output tokens are counted: exact, estimated or at_end; null where they are not"),
    ),
)
FINDING = _plain(
    ("host", "string", "Host"),
    ("finding_id", "integer", "Number of the finding in the store"),
    ("rule", "string", "Rule (gpuwatch explain RULE)"),
    ("name", "string", "Its finding in two to four words"),
    ("severity", "string", "info, notice, warning or critical"),
    ("basis", "string", "What its amount rests on: measured, inferred (an upper bound) or proxy (a band)"),
    ("state", "string", "At the end of the span: open, muted (open), ended, or resolved (ended, and measured before and after)"),
    ("title", "string", "The fact, with a number"),
    ("user", "string", "User, empty if not known"),
    ("command", "string", "Command line, redacted; empty if none is meant"),
    ("since_ms", "integer", "Since when the fact holds, unix milliseconds"),
    ("ended_ms", "integer|null", "When it cleared; null where it held at the end of the span"),
    ("cost_gpu_ms", "integer|null", "GPU time that it cost in the span; null: no amount. Findings overlap: never add them up"),
    ("total_cost_gpu_ms", "integer|null", "The same from its start on"),
    ("evidence", "string", "The evidence in one line"),
    ("advice", "string", "What to try first"),
    ("gain", "string", "What to expect of it"),
    ("effect", "string", "What came of it, empty while it holds"),
    ("before_ratio", "number|null", "Share of its bucket in the 30 minutes before it cleared"),
    ("after_ratio", "number|null", "The same in the 30 minutes after"),
    ("saved_gpus", "number|null", "GPUs less wasted than before (below 0: more); null: not measured"),
)
NOT_EVALUATED = _plain(
    ("host", "string", "Host"),
    ("rule", "string", "Rule"),
    ("where", "string", "Which GPU or job"),
    ("signal", "string", "What is missing"),
    ("enable", "string", "The command or setting that would give it, empty if nothing would"),
)
ABSENT = ("previous", "training", "models", "findings")


def _object(fields: Sequence[Field], source: object) -> Json:
    return {field.name: field.value(source) for field in fields}


class _Times:
    """Unix milliseconds as text in the report's zone."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def __call__(self, ms: int) -> str:
        spec = "milliseconds" if ms % 1000 else "seconds"
        return datetime.fromtimestamp(ms / 1000, self._zone).isoformat(timespec=spec)

    def span(self, of: Any) -> Json:
        """Since and until of anything with both."""
        return {"since": self(of.start_ms), "until": self(of.end_ms)}


def _band(band: Band | None) -> Json | None:
    return None if band is None else {"low": band.low, "high": band.high}


def ledger_json(ledger: Ledger) -> Json:
    """One ledger."""
    missing: dict[str, str] = {}
    if ledger.energy_reason is not None:
        missing = dict.fromkeys(("energy_mj", "idle_energy_mj"), ledger.energy_reason.label)
    return {
        **_object(LEDGER, ledger),
        "fill_ratio": _band(ledger.fill_ratio),
        "efficiency_ratio": _band(ledger.efficiency_ratio),
        **_object(LEDGER_REST, ledger),
        "buckets_gpu_ms": {bucket.label: ms for bucket, ms in ledger.buckets_gpu_ms.items()},
        "wait_gpu_ms": {cause.label: ms for cause, ms in ledger.wait_gpu_ms.items()},
        "busy_gpu_ms_by_tier": {tier.label: ms for tier, ms in ledger.busy_gpu_ms_by_tier.items()},
        "missing": missing,
    }


def _use(use: Use) -> Json:
    return {**_object(USE, use), "missing": _missing(use.missing)}


def _missing(reasons: Mapping[str, Any]) -> Json:
    return {name: reason.label for name, reason in reasons.items()}


def _places(places: Sequence[tuple[str, int]]) -> list[Json]:
    return [{"host": host, "gpu_index": index} for host, index in places]


def report_json(report: Report) -> Json:
    """The document of ``gpuwatch report --json``."""
    times = _Times(host_zone(report.span.zone, report.span.utc_offset_seconds))
    return {
        "schema": SCHEMA,
        "kind": "report",
        "simulated": report.span.simulated,
        "gpuwatch": report.version,
        "generated_at": iso(report.span.made_ms),
        "span": _span(report, times),
        "by": report.by,
        "total": ledger_json(report.total),
        "use": _use(report.use),
        "days": [_period(row, times) for row in report.days],
        "hours": [_period(row, times) for row in report.hours],
        "gpus": [_gpu(row, times) for row in report.gpus],
        "hosts": [_rest(HOST, row) | times.span(row) for row in report.host_rows],
        "owners": [_object(OWNER, row) | {"gpus": _places(row.gpus), "ledger": ledger_json(row.ledger)} for row in report.owners],
        "processes": [_process(row, times) for row in report.processes],
        "process_count": report.process_count,
        "strip": _strip(report),
        "quality": _quality(report, times),
        "not_measured": [_object(NOT_MEASURED, each) for each in report.not_measured],
        "notes": list(report.notes),
        "definitions": dict(report.definitions),
        "command": report.command,
        "previous": ledger_json(report.previous) if report.previous else None,
        "findings": [_object(FINDING, row) | {"gpus": _places(row.gpus)} for row in report.findings],
        "not_evaluated": [_object(NOT_EVALUATED, row) for row in report.not_evaluated],
        "rules": report.rules,
        "rules_not_evaluated": report.rules_not_evaluated,
        "training": [_run(row) for row in report.training],
        "experiments": None if report.experiments is None else _object(EXPERIMENTS, report.experiments),
        "models": [_model(row) for row in report.models],
        **{f"{name}_reason": report.absent.get(name) for name in ABSENT},
    }


def _span(report: Report, times: Callable[[int], str]) -> Json:
    span = report.span
    return {
        "since": times(span.start_ms),
        "until": times(span.end_ms),
        "asked_since": times(span.asked_start_ms),
        "asked_until": times(span.asked_end_ms),
        **_object(SPAN, span),
        "hosts": list(span.hosts),
        "gpu_names": [{"name": name, "count": count} for name, count in span.gpu_names],
    }


def _rest(fields: Sequence[Field], row: Any) -> Json:
    return _object(fields, row) | {"ledger": ledger_json(row.ledger), "use": _use(row.use)}


def _period(row: Any, times: _Times) -> Json:
    return _rest(PERIOD, row) | times.span(row)


def _gpu(row: Any, times: _Times) -> Json:
    return _rest(GPU, row) | {
        "last_busy": None if row.last_busy_ms is None else times(row.last_busy_ms),
        "quantiles": {name: _object(QUANTILES, found) for name, found in row.quantiles.items()},
    }


def _process(row: Any, times: _Times) -> Json:
    return _object(PROCESS, row) | {
        "first": times(row.first_ms),
        "last": times(row.last_ms),
        "gpus": _places(row.gpus),
        "ledger": ledger_json(row.ledger),
        "missing": _missing(row.missing),
    }


def _model(row: ModelRow) -> Json:
    waits = {"ttft": row.ttft, "itl": row.itl}
    return _object(MODEL, row) | {
        **{name: None if wait is None else _object(LATENCY, wait) for name, wait in waits.items()},
        "gpus": _places(row.gpus),
        "ledger": ledger_json(row.ledger),
        "missing": _missing(row.missing),
    }


def _run(row: RunRow) -> Json:
    rest = {"gpus": _places(row.gpus), "ledger": ledger_json(row.ledger), "missing": _missing(row.missing)}
    return _object(RUN, row) | rest


def _strip(report: Report) -> Json | None:
    strip = report.strip
    if strip is None:
        return None
    return {
        "column_seconds": strip.column_seconds,
        "edges": [ms // 1000 for ms in strip.edges_ms],
        "lanes": [
            {
                **_object(LANE, lane),
                "shares_pm": {bucket.label: list(values) for bucket, values in lane.shares_pm.items()},
                "busy_pm": list(lane.busy_pm),
                "holders": [_object(TENURE, tenure) for tenure in lane.tenures],
                "ledger": ledger_json(lane.ledger),
            }
            for lane in strip.lanes
        ],
    }


def _quality(report: Report, times: _Times) -> Json:
    found = report.quality
    return {
        "coverage_ratio": found.coverage_ratio,
        "unobserved_gpu_ms": dict(found.unobserved_gpu_ms),
        "gaps": [_object(GAP, gap) | times.span(gap) for gap in found.gaps],
        "gap_count": found.gap_count,
        "gap_energy_mj": found.gap_energy_mj,
        "lost": [{"at": times(each.ts_ms), **_object(EVENT, each)} for each in found.lost],
        "lost_count": found.lost_count,
        "fill_gpu_ms_by_tier": {tier.label: ms for tier, ms in found.fill_gpu_ms_by_tier.items()},
        "energy_sources": dict(found.energy_sources),
        "tiers": [_object(TIER, each) | times.span(each) for each in found.tiers],
        "provisional_gpu_ms": found.provisional_gpu_ms,
        "estimates": list(found.estimates),
    }
