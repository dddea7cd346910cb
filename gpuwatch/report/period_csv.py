"""The main table of a report as CSV: the model's own names, base units and whole milliseconds, safe for spreadsheets."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import fields
from gpuwatch.names import Bucket, Cause, Quality, RunOutcome
from gpuwatch.report import sheet
from gpuwatch.view.inference_types import LatencyView
from gpuwatch.view.period.ledger import ledger
from gpuwatch.view.period.types import (
    GpuRow,
    HostRow,
    Ledger,
    MainRow,
    ModelRow,
    OwnerRow,
    PeriodRow,
    ProcessRow,
    Quantiles,
    Report,
    RunRow,
    Use,
)

_PERCENTILES = ("utilization_ratio", "sm_active_ratio", "power_watts", "memory_used_bytes")
_SKIPPED = frozenset({"ledger", "use", "quantiles", "missing", "gpus", "ttft", "itl"})
_WAITS = ("ttft", "itl")
_ROWS: Mapping[str, type] = {"gpu": GpuRow, "user": OwnerRow, "process": ProcessRow, "host": HostRow, "model": ModelRow, "run": RunRow, "day": PeriodRow, "hour": PeriodRow}  # fmt: skip
Cells = dict[str, Any]


def report_csv(report: Report) -> str:
    """One table, for ``--by``. What is simulated says so in its last column. ``None`` is an empty cell."""
    rows = [_row(row) for row in report.main()]
    names = _columns(_ROWS[report.by])
    if report.span.simulated:
        names.append("simulated")
        rows = [row | {"simulated": 1} for row in rows]
    out = io.StringIO()
    sheet.write(out, names, [[row[name] for name in names] for row in rows])
    return out.getvalue()


def _columns(kind: type) -> list[str]:
    """The columns of a table, the same whether it has rows or not."""
    names = _names(kind)
    if kind is ModelRow:
        names += [f"{wait}_{name}" for wait in _WAITS for name in _names(LatencyView) if name != "latency"]
    if kind in (OwnerRow, ProcessRow, ModelRow, RunRow):
        names.append("gpus")
    names += _ledger(ledger({}))
    if kind in (GpuRow, HostRow, PeriodRow):
        names += _names(Use)
    if kind is GpuRow:
        names += _quantiles({})
    return list(dict.fromkeys(names))  # a process has its held idle time by itself and in its ledger


def _names(kind: type) -> list[str]:
    return [f.name for f in fields(kind) if f.name not in _SKIPPED]


def _row(row: MainRow) -> Cells:
    out: Cells = {name: _cell(getattr(row, name)) for name in _names(type(row))}
    if isinstance(row, ModelRow):
        out |= _waits(row)
    if isinstance(row, (OwnerRow, ProcessRow, ModelRow, RunRow)):
        out["gpus"] = " ".join(f"{host}:{index}" for host, index in row.gpus)
    out |= _ledger(row.ledger)
    if isinstance(row, (GpuRow, HostRow, PeriodRow)):
        out |= {name: _cell(getattr(row.use, name)) for name in _names(Use)}
    if isinstance(row, GpuRow):
        out |= _quantiles(row.quantiles)
    return out


def _waits(row: ModelRow) -> Cells:
    """Every figure of the waiting times, ``ttft_p95_seconds`` and so on."""
    out: Cells = {}
    for wait in _WAITS:
        of: LatencyView | None = getattr(row, wait)
        out |= {f"{wait}_{name}": None if of is None else getattr(of, name) for name in _names(LatencyView) if name != "latency"}
    return out


def _quantiles(found: Mapping[str, Quantiles]) -> Cells:
    """Two percentiles of each quantity, and the least share of observed time that one of them stands on."""
    out: Cells = {}
    for name in _PERCENTILES:
        of, (stem, _, unit) = found.get(name), name.rpartition("_")
        out |= {f"{stem}_p50_{unit}": of.p50 if of else None, f"{stem}_p95_{unit}": of.p95 if of else None}
    return out | {"percentiles_coverage_ratio": min((of.coverage_ratio for of in found.values()), default=None)}


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, (Quality, RunOutcome)):
        return value.label
    return int(value) if isinstance(value, bool) else value


def _ledger(of: Ledger) -> Cells:
    out: Cells = {"capacity_gpu_ms": of.capacity_gpu_ms}
    out |= {f"{bucket.label}_gpu_ms": of.buckets_gpu_ms.get(bucket, 0) for bucket in Bucket}
    out |= {f"wait_{cause.label}_gpu_ms": of.wait_gpu_ms.get(cause, 0) for cause in Cause if cause}
    whole: Sequence[str] = ("observed_gpu_ms", "allocated_gpu_ms", "first_time_gpu_ms", "idle_gpu_ms", "waste_gpu_ms")
    out |= {name: getattr(of, name) for name in whole}
    out |= {"allocation_ratio": of.allocation_ratio, "running_ratio": of.running_ratio}
    for name, band in (("fill", of.fill_ratio), ("efficiency", of.efficiency_ratio)):
        out |= {f"{name}_low_ratio": band and band.low, f"{name}_high_ratio": band and band.high}
    out |= {"tier": of.tier.label, "coverage_ratio": of.coverage_ratio}
    return out | {"energy_mj": of.energy_mj, "idle_energy_mj": of.idle_energy_mj}
