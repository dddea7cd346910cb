"""``build_report``: a span of the store as a :class:`Report`. Everything is computed here, once; forms only print it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from gpuwatch import __version__
from gpuwatch.dataclass import replace
from gpuwatch.store.period import PeriodHost, period_hosts
from gpuwatch.store.window import Window
from gpuwatch.view.period.cells import MINUTE_S, clock_edges, day_edges
from gpuwatch.view.period.finding_row import NOT_JUDGED
from gpuwatch.view.period.findings import advice
from gpuwatch.view.period.holders import Holders
from gpuwatch.view.period.host import HostPart, own_span, together
from gpuwatch.view.period.models import model_rows
from gpuwatch.view.period.notes import DEFINITIONS, notes
from gpuwatch.view.period.quality import not_measured, quality
from gpuwatch.view.period.rows import gpu_rows, host_rows, period_rows, whole
from gpuwatch.view.period.runs import experiments, run_rows
from gpuwatch.view.period.strip import strip
from gpuwatch.view.period.types import BY, NO_PRICE, NOT_BUILT, NOTHING_SEEN, Report, ReportRequest, ReportSpan
from gpuwatch.view.terms import Terms
from gpuwatch.zone import zone_name

ABSENT = {
    "previous": NOT_BUILT,
    "money": NO_PRICE,
}


def build_report(
    window: Window,
    request: ReportRequest,
    *,
    now_ms: int,
    tz: tzinfo | None = None,
    zone: str = "",
    terms: Terms | None = None,
) -> Report:
    """What the store knows of a span.

    Args:
        window: the store; its own host is the one that is meant when the request names none.
        request: the span (unix milliseconds, rounded out to whole minutes), hosts and main table.
        now_ms: the present; nothing later is counted.
        tz: whose days and hours; ``None`` is the system's zone.
        zone: what to call it; by default its IANA name or offset.
        terms: limits of waiting times and prices, from the configuration; ``None``: the limits by default, and no prices.

    Raises:
        ValueError: ``request.by`` is unknown, or the span ends before it starts.
        StoreError: the store cannot be read.
    """
    if request.by not in BY:
        raise ValueError(f"by must be one of {', '.join(BY)}")
    start_s, end_s = request.start_ms // 60_000 * MINUTE_S, _end_s(request, now_ms)
    if request.end_ms is not None and request.end_ms < request.start_ms:
        raise ValueError("the span ends before it starts")
    with window.reading():
        return _build(window, request, (start_s, max(start_s, end_s)), now_ms, tz, zone, terms or Terms())


def _end_s(request: ReportRequest, now_ms: int) -> int:
    now_s = now_ms // 60_000 * MINUTE_S
    return now_s if request.end_ms is None else min(now_s, -(-request.end_ms // 60_000) * MINUTE_S)


def _build(
    window: Window, request: ReportRequest, asked_s: tuple[int, int], now_ms: int, tz: tzinfo | None, zone: str, terms: Terms
) -> Report:
    hosts = period_hosts(window, request.hosts)
    spans = [(host, own_span(host, *asked_s)) for host in hosts]
    there = [(host, span) for host, span in spans if span[0] < span[1] and host.last_ms >= span[0] * 1000]
    start_s = min((span[0] for _, span in there), default=asked_s[0])
    end_s = max((span[1] for _, span in there), default=asked_s[1])
    edges = _edges(start_s, end_s, tz, request.by)
    parts = [HostPart(host, span, edges) for host, span in there]
    groups = together(parts)
    widened = [*edges]
    if parts:
        widened[0], widened[-1] = min(part.start_s for part in parts), max(part.end_s for part in parts)
    total, use = whole(parts)
    gpus = gpu_rows(parts)
    holders = Holders(parts)
    processes, process_count = holders.process_rows(None if request.by == "process" else request.top)
    found = quality(parts, total, gpus)
    span = _span(window, request, (widened[0], widened[-1]), parts, hosts, now_ms, tz, zone)
    hours = request.by == "hour"
    models = model_rows(parts, terms)
    runs = run_rows(parts, terms)
    found_by_rules = advice(parts, now_ms)
    absent = {
        **ABSENT,
        **({} if found_by_rules.judged else {"findings": NOT_JUDGED}),
        **{name: NOTHING_SEEN for name, rows in (("training", runs), ("models", models)) if not rows},
    }
    made = Report(
        version=__version__,
        span=span,
        by=request.by,
        total=total,
        use=use,
        days=period_rows(groups, widened, tz, hours=False) if parts else (),
        hours=period_rows(groups, widened, tz, hours=True) if parts and hours else (),
        gpus=gpus,
        host_rows=host_rows(parts),
        owners=holders.owner_rows() if parts else (),
        processes=processes,
        process_count=process_count,
        strip=strip(parts, holders, widened, tz),
        quality=found,
        not_measured=not_measured(parts, gpus),
        notes=notes(parts, [host for host, _ in spans if host not in [one for one, _ in there]], span, total, found, tz),
        definitions=DEFINITIONS,
        command=request.command,
        models=models,
        training=runs,
        experiments=experiments(runs, parts, total.capacity_gpu_ms),
        findings=found_by_rules.findings,
        not_evaluated=found_by_rules.not_evaluated,
        rules=found_by_rules.rules,
        rules_not_evaluated=found_by_rules.rules_not_evaluated,
        absent=absent,
    )
    return _priced(made) if terms.prices.known else made


def _priced(report: Report) -> Report:
    """With prices, GPU time of models and runs has its cost; that of all else is not worked out yet, which is another reason than no price."""

    def each(rows: Sequence[Any]) -> tuple[Any, ...]:
        return tuple([replace(row, ledger=replace(row.ledger, money_reason=NOT_BUILT)) for row in rows])

    rows: dict[str, Any] = {
        name: each(getattr(report, name))
        for name in ("days", "hours", "gpus", "host_rows", "owners", "processes", "models", "training")
    }
    return replace(
        report,
        total=replace(report.total, money_reason=NOT_BUILT),
        strip=replace(report.strip, lanes=each(report.strip.lanes)) if report.strip else None,
        absent={**report.absent, "money": NOT_BUILT},
        **rows,
    )


def _edges(start_s: int, end_s: int, tz: tzinfo | None, by: str) -> list[int]:
    return clock_edges(start_s, end_s, tz, 3600) if by == "hour" else day_edges(start_s, end_s, tz)


def _span(
    window: Window,
    request: ReportRequest,
    summed_s: tuple[int, int],
    parts: Sequence[HostPart],
    hosts: Sequence[PeriodHost],
    now_ms: int,
    tz: tzinfo | None,
    zone: str,
) -> ReportSpan:
    past = window.recording()
    boards = [part.gpus[gpu_id]["name"] for part in parts for gpu_id in part.boards()]
    local = datetime.fromtimestamp(summed_s[1], tz) if tz else datetime.fromtimestamp(summed_s[1]).astimezone()
    offset = local.utcoffset()
    return ReportSpan(
        start_ms=summed_s[0] * 1000,
        end_ms=summed_s[1] * 1000,
        asked_start_ms=request.start_ms,
        asked_end_ms=now_ms if request.end_ms is None else request.end_ms,
        zone=zone or _zone_name(tz, local),
        utc_offset_seconds=round(offset.total_seconds()) if offset is not None else 0,
        hosts=tuple(host.name for host in (part.host for part in parts)) or tuple(host.name for host in hosts),
        gpu_count=len(boards),
        gpu_names=tuple(Counter(boards).most_common()),
        made_ms=now_ms,
        simulated=past.simulated if past else False,
        scenario=past.scenario if past else "",
    )


def _zone_name(tz: tzinfo | None, local: datetime) -> str:
    """An IANA name where there is one, else the offset at the end of the span."""
    name = zone_name() if tz is None else "UTC" if tz is UTC else getattr(tz, "key", "")
    return name or local.isoformat()[-6:]
