"""The tables of a report, the same for the terminal and for Markdown: heads, cells, and a sum row where the parts are a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gpuwatch import format as fmt
from gpuwatch.dataclass import dataclass, field
from gpuwatch.format import NOTHING, covered
from gpuwatch.names import Bucket, Quality
from gpuwatch.report.period_figures import ALL, Figures, band, percent
from gpuwatch.report.period_words import Times, gpu_names, on, zone
from gpuwatch.view.inference_types import LatencyView
from gpuwatch.view.period.types import GpuRow, HostRow, ModelRow, OwnerRow, PeriodRow, Report, Use

FREE = (Bucket.UNALLOCATED, Bucket.IDLE_UNATTRIBUTED)
BUSY = (Bucket.THROTTLED, Bucket.EMPTY_SM, Bucket.STALLED_SM, Bucket.BUSY_UNKNOWN, Bucket.EFFECTIVE)


@dataclass(slots=True)
class Head:
    """A column: ``drop`` 0 is never dropped, else the largest goes first when a line is too short; ``name``: foreign text."""

    text: str
    cells: Sequence[str]
    align: str = "right"
    drop: int = 0
    name: bool = False
    sum: str = ""


@dataclass(slots=True)
class Table:
    """``empty`` is what stands there when it has no rows."""

    title: str
    columns: Sequence[Head]
    note: str = ""
    empty: str = ""
    summed: bool = False
    below: Sequence[str] = field(default_factory=tuple)

    @property
    def rows(self) -> int:
        """How many rows, without the sum."""
        return len(self.columns[0].cells) if self.columns else 0


def main_table(report: Report, figures: Figures) -> Table:
    """The table that ``--by`` asks for."""
    return _MAKERS[report.by](report, figures)


def without_gpus(report: Report, figures: Figures) -> list[Table]:
    """What can be told of a span in which no GPU was observed: the runs and models that were there all the same, on the CPU or elsewhere."""
    names = [name for name, rows in (("run", report.training), ("model", report.models)) if rows or name == report.by == "run"]
    return [_MAKERS[name](report, figures) for name in names]


def others(report: Report, figures: Figures) -> list[Table]:
    """The tables that stand in every report, but for the one that is its main table."""
    seen = [name for name, rows in (("run", report.training), ("model", report.models)) if rows]
    names = ("user", "process", *seen, "gpu")
    return [_MAKERS[name](report, figures) for name in names if name != report.by]


def _gib(bytes_: float | None, why: object = None) -> str:
    return fmt.gib(bytes_, reason=why)  # type: ignore[arg-type]


def _sm(use: Use) -> str:
    return percent(use.sm_active_ratio) if use.sm_active_ratio is not None else fmt.glyph(use.missing.get("sm_active_ratio"))


def _long(figures: Figures, seconds: float | None, why: object = None) -> str:
    """GPU-seconds as hours; measured on its own clock, so it is no part of a sum."""
    return fmt.glyph(why) if seconds is None else figures.time.shown(seconds * 1000)  # type: ignore[arg-type]


def _use_columns(uses: Sequence[Use], total: Use) -> list[Head]:
    return [
        Head("util", [percent(use.utilization_ratio) for use in uses], drop=1, sum=percent(total.utilization_ratio)),
        Head("SM", [_sm(use) for use in uses], drop=3, sum=_sm(total)),
    ]


def _ledger_columns(figures: Figures, rows: Sequence[GpuRow | HostRow | PeriodRow | OwnerRow]) -> list[Head]:
    ledgers = [row.ledger for row in rows]
    return [
        Head("eff", [_efficiency(row) for row in rows], sum=band(figures.total.efficiency_ratio)),
        Head("busy h", figures.column(ledgers, *BUSY), drop=6, sum=figures.hours(*BUSY)),
        Head("wait h", figures.column(ledgers, Bucket.WAIT), drop=3, sum=figures.hours(Bucket.WAIT)),
        Head("held idle h", figures.column(ledgers, Bucket.HELD_IDLE), sum=figures.hours(Bucket.HELD_IDLE)),
        Head("free h", figures.column(ledgers, *FREE), drop=5, sum=figures.hours(*FREE)),
    ]


def _energy(figures: Figures, rows: Sequence[GpuRow | HostRow | PeriodRow]) -> Head:
    return Head("kWh", figures.energy_column(rows), drop=4, sum=figures.energy)


def _gpus(report: Report, figures: Figures) -> Table:
    rows, many, times, names = report.gpus, len(report.span.hosts) > 1, Times(report.span), gpu_names(report)
    uses = [row.use for row in rows]
    peak = [fmt.gib_of(use.memory_used_max_bytes, use.memory_total_bytes, use.missing.get("memory_used_bytes")) for use in uses]
    throttled = [_long(figures, use.throttled_seconds, use.missing.get("throttled_seconds")) for use in uses]
    p95 = [row.quantiles.get("utilization_ratio") for row in rows]
    columns = [
        Head("GPU", [_gpu_name(row, names, many) for row in rows], "left", name=many, sum="all"),
        *_use_columns(uses, report.use),
        Head("util p95", [percent(q.p95) if q else NOTHING for q in p95], drop=8),
        Head("GiB mean", [_gib(use.memory_used_bytes, use.missing.get("memory_used_bytes")) for use in uses], drop=7),
        Head("GiB peak", peak, drop=3),
        *_ledger_columns(figures, rows),
        Head("throttled h", throttled, drop=2, sum=_long(figures, report.use.throttled_seconds)),
        _energy(figures, rows),
        Head("last busy", [NOTHING if row.last_busy_ms is None else times.stamp(row.last_busy_ms) for row in rows], drop=9),
    ]
    return Table("GPUs", columns, "means over observed time", "No GPU was seen in this span.", summed=len(rows) > 1)


def _gpu_name(row: GpuRow, names: Mapping[str, str], many_hosts: bool) -> str:
    name = names[row.gpu_uuid] + (f" {row.mig_profile or 'MIG'}" if row.parent_uuid else "")
    return f"{row.host}:{name}" if many_hosts else name


def _users(report: Report, figures: Figures) -> Table:
    rows, many = report.owners, len(report.span.hosts) > 1
    ledgers = [row.ledger for row in rows]
    columns = [
        Head("user", [owner_name(row) for row in rows], "left", name=True, sum="sum"),
        Head("GPU-h", figures.column(ledgers, *ALL), sum=figures.hours(*ALL)),
        *_ledger_columns(figures, rows),
        Head("kWh", figures.ledger_energy_column(ledgers), drop=4, sum=figures.ledger_energy),
        Head("processes", [NOTHING if row.process_count is None else str(row.process_count) for row in rows], drop=8),
        Head("GiB peak", [_gib(row.gpu_memory_max_bytes) for row in rows], drop=7),
        Head("GPUs", [on(row.gpus, many) for row in rows], "left", drop=9, name=many),
    ]
    below = ["energy of sliced GPUs is in no row"] if figures.boards else []
    return Table("Users", columns, "GPU-hours held", "Nobody held a GPU in this span.", summed=True, below=below)


def _efficiency(row: GpuRow | HostRow | PeriodRow | OwnerRow) -> str:
    return owner_efficiency(row) if isinstance(row, OwnerRow) else band(row.ledger.efficiency_ratio)


def owner_efficiency(row: OwnerRow) -> str:
    """Nobody's time has none."""
    return NOTHING if row.kind == "nobody" else band(row.ledger.efficiency_ratio)


def owner_name(row: OwnerRow) -> str:
    """The user, or in brackets what stands for one."""
    return row.user if row.user is not None else {"unknown": "(not visible)", "nobody": "(nobody)"}.get(row.kind, row.kind)


def _processes(report: Report, figures: Figures) -> Table:
    rows, many, times = report.processes, len(report.span.hosts) > 1, Times(report.span)
    columns = [
        Head("user", [row.user or "(not visible)" for row in rows], "left", name=True),
        Head("pid", [str(row.pid) for row in rows], drop=4),
        Head("GPUs", [on(row.gpus, many) for row in rows], "left", drop=5, name=many),
        Head("held h", [figures.time.shown(row.held_gpu_ms) for row in rows]),
        Head("idle h", [figures.time.shown(row.held_idle_gpu_ms) for row in rows]),
        Head("busy h", [figures.time.shown(row.busy_gpu_ms) for row in rows], drop=6),
        Head("GiB peak", [_gib(row.gpu_memory_max_bytes, row.missing.get("gpu_memory_max_bytes")) for row in rows], drop=2),
        Head("SM", [percent(row.sm_utilization_ratio) for row in rows], drop=7),
        Head("seen", [times.range(row.first_ms, row.last_ms) for row in rows], "left", drop=8),
        Head("command", [row.command or row.name for row in rows], "left", name=True),
    ]
    more = report.process_count - len(rows)
    below = [f"… {fmt.number(more)} more with --by process"] if more > 0 else []
    empty = "No process is known to have held a GPU in this span."
    return Table("Longest holders" if report.by != "process" else "Processes", columns, "hours x GPUs held", empty, below=below)


def _hosts(report: Report, figures: Figures) -> Table:
    rows = report.host_rows
    ledgers = [row.ledger for row in rows]
    columns = [
        Head(
            "host", [row.host + ("" if row.kind == "recorded" else f" ({row.kind})") for row in rows], "left", name=True, sum="all"
        ),
        Head("GPUs", [str(row.gpu_count) for row in rows], sum=str(report.span.gpu_count)),
        Head("GPU-h", figures.column(ledgers, *ALL), sum=figures.hours(*ALL)),
        Head("observed", [covered(made.coverage_ratio) for made in ledgers], drop=2, sum=covered(report.total.coverage_ratio)),
        *_use_columns([row.use for row in rows], report.use),
        *_ledger_columns(figures, rows),
        _energy(figures, rows),
    ]
    return Table("Hosts", columns, "", "No host has data in this span.", summed=len(rows) > 1)


def _periods(rows: Sequence[PeriodRow], title: str, report: Report, figures: Figures) -> Table:
    ledgers = [row.ledger for row in rows]
    times = Times(report.span)
    labels = [_period_name(row, times, title == "Hours") for row in rows]
    columns = [
        Head(title[:-1].lower(), labels, "left", sum="all"),
        Head("GPU-h", figures.column(ledgers, *ALL), drop=7, sum=figures.hours(*ALL)),
        Head("observed", [covered(made.coverage_ratio) for made in ledgers], drop=2, sum=covered(report.total.coverage_ratio)),
        *_use_columns([row.use for row in rows], report.use),
        *_ledger_columns(figures, rows),
        _energy(figures, rows),
    ]
    below = ["* only a part of it lies in the span"] if any(row.partial for row in rows) else []
    return Table(
        title, columns, f"local time, {zone(report.span)}", "Nothing lies in this span.", summed=len(rows) > 1, below=below
    )


def _period_name(row: PeriodRow, times: Times, clock: bool) -> str:
    at = times.at(row.start_ms)
    name = f"{times.day(at)} {at:%H:%M}" if clock else row.label[:10] + f" {times.day(at)[:3]}"
    return name + ("*" if row.partial else "")


def _models(report: Report, figures: Figures) -> Table:
    rows, many = report.models, len(report.span.hosts) > 1
    columns = [
        Head("model", [row.model or "(no name)" for row in rows], "left", name=True),
        Head("servers", [str(row.replicas) for row in rows], drop=6),
        Head("GPU-h", [figures.time.shown(row.ledger.capacity_gpu_ms) for row in rows]),
        Head("decode", [_about(row) + _amount(row, "output_tokens") for row in rows]),
        Head("prefill", [_amount(row, "prefill_tokens") for row in rows], drop=3),
        Head("cached", [_amount(row, "cached_tokens") for row in rows], drop=4),
        Head("requests", [_amount(row, "requests") for row in rows], drop=2),
        Head("J/token", [_joules(row) for row in rows]),
        Head("TTFT p95", [_p95(row.ttft) for row in rows]),
        Head("between p95", [_p95(row.itl) for row in rows], drop=1),
    ]
    priced = [row for row in rows if row.cost_per_million_output_tokens is not None]
    if priced:
        columns.append(Head(f"{priced[0].currency}/M tokens", [_cost(row) for row in rows]))
    columns += [
        Head("GPUs", [on(row.gpus, many) for row in rows], "left", drop=5, name=many),
        Head("engine", [", ".join(row.engines) or NOTHING for row in rows], "left", drop=7, name=True),
    ]
    prices = {row.price: [each.model or "(no name)" for each in priced if each.price == row.price] for row in priced}
    whose = "a million output tokens" if len(prices) == 1 else ""
    below = [f"{whose or ', '.join(models)} at {price}" for price, models in prices.items()]
    if any(row.quality is Quality.ESTIMATED for row in rows):
        below.append("~ from estimated tokens")
    return Table("Models", columns, "tokens of the span", "No served model is recorded in this span.", below=below)


def _about(row: ModelRow) -> str:
    return "~" if row.quality is Quality.ESTIMATED and row.output_tokens_total is not None else ""


def _amount(row: ModelRow, name: str) -> str:
    value = getattr(row, f"{name}_total")
    return fmt.glyph(row.missing.get(f"{name}_total")) if value is None else fmt.rate(value)


def _joules(row: ModelRow) -> str:
    joules = row.energy_per_output_token_joules
    return NOTHING if joules is None else _about(row) + fmt.number(joules, 2 if joules < 99.95 else 0)


def _p95(wait: LatencyView | None) -> str:
    """The percentile, ``>`` the last bound, or nothing: a mean stands in the JSON."""
    if wait is None or wait.p95_seconds is not None:
        return fmt.latency(wait.p95_seconds if wait else None)
    return f">{fmt.latency(wait.above_seconds)}" if wait.above_seconds is not None else NOTHING


def _cost(row: ModelRow) -> str:
    cost = row.cost_per_million_output_tokens
    return NOTHING if cost is None else _about(row) + fmt.number(cost, 2)


def _runs(report: Report, figures: Figures) -> Table:
    from gpuwatch.report.period_runs import runs_table  # which is made of the tables of this module

    return runs_table(report, figures)


_MAKERS: dict[str, Callable[[Report, Figures], Table]] = {
    "gpu": _gpus,
    "user": _users,
    "process": _processes,
    "host": _hosts,
    "model": _models,
    "run": _runs,
    "day": lambda report, figures: _periods(report.days, "Days", report, figures),
    "hour": lambda report, figures: _periods(report.hours, "Hours", report, figures),
}
