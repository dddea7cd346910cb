"""Tables of a report that are cut from the same sums: the whole, GPUs, hosts, days or hours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo

from gpuwatch.names import Missing
from gpuwatch.store.period_sums import last_busy, use_sums
from gpuwatch.view.period.cells import day_label, hour_end, hour_label, hour_start
from gpuwatch.view.period.host import HostPart
from gpuwatch.view.period.ledger import ledger, total
from gpuwatch.view.period.measured import Values, merged, observed_ms, quantiles, use
from gpuwatch.view.period.types import GpuRow, HostRow, Ledger, PeriodRow, Use
from gpuwatch.zone import midnight_s, next_midnight_s


def energy_reason(parts: Sequence[HostPart]) -> Missing | None:
    """Why none of these hosts has any energy."""
    reasons = [part.energy_reason() for part in parts]
    return None if any(reason is None for reason in reasons) or not reasons else reasons[0]


def whole(parts: Sequence[HostPart]) -> tuple[Ledger, Use]:
    """Everything together."""
    sums = total(booked for part in parts for booked in part.by_gpu.values())
    return ledger(sums, energy=energy_reason(parts)), _use(parts, [part.used(gpu_id) for part in parts for gpu_id in part.gpus])


def _use(parts: Sequence[HostPart], sums: Iterable[Values]) -> Use:
    """Of several GPUs; a reason holds where all GPUs that tell one tell the same."""
    rows = [row for part in parts for row in part.gpus.values()]
    found: dict[str, set[Missing]] = {}
    for part in parts:
        for row in part.gpus.values():
            for name, reason in part.reasons.get(row["uuid"], {}).items():
                found.setdefault(name, set()).add(reason)
    reasons = {name: min(kinds) for name, kinds in found.items()}
    return use(merged(sums), [row["memory_total_bytes"] for row in rows], reasons)


def gpu_rows(parts: Sequence[HostPart]) -> tuple[GpuRow, ...]:
    """By host and index, a sliced board before its instances."""
    out = []
    for part in parts:
        busy = last_busy(part.host, part.use_plan)
        for gpu_id in sorted(part.gpus, key=part.order):
            row, sums = part.gpus[gpu_id], part.used(gpu_id)
            out.append(
                GpuRow(
                    host=part.host.name,
                    gpu_uuid=row["uuid"],
                    gpu_index=row["gpu_index"],
                    name=row["name"],
                    parent_uuid=row["parent_uuid"],
                    mig_profile=row["mig_profile"],
                    compute_fraction=row["compute_fraction"],
                    ledger=part.ledger(gpu_id),
                    use=use(sums, [row["memory_total_bytes"]], part.reasons.get(row["uuid"], {})),
                    quantiles=quantiles(part.bins.get(gpu_id, {}), observed_ms(sums)),
                    last_busy_ms=busy[gpu_id] * 1000 if gpu_id in busy else None,
                )
            )
    return tuple(out)


def host_rows(parts: Sequence[HostPart]) -> tuple[HostRow, ...]:
    """One for each host."""
    out = []
    for part in parts:
        made, used = whole([part])
        boards = list(part.boards())
        names = dict.fromkeys(part.gpus[gpu_id]["name"] for gpu_id in boards)
        kind = "imported" if part.host.imported else "recorded"
        span = (part.start_s * 1000, part.end_s * 1000)
        out.append(HostRow(part.host.name, kind, len(boards), tuple(names), part.host.zone_name, *span, made, used))
    return tuple(out)


def period_rows(
    groups: Sequence[Sequence[HostPart]], edges_s: Sequence[int], tz: tzinfo | None, *, hours: bool
) -> tuple[PeriodRow, ...]:
    """The cells of a report as local hours or days; with ``hours=False`` cells that are hours are added up to days."""
    parts, out = [part for group in groups for part in group], list[PeriodRow]()
    reason = energy_reason(parts)
    used: list[tuple[int, Mapping[int, Values]]] = []
    for group in groups:  # everything of a group is there once
        used.append((group[0].first_cell, group[0].shared.ask(use_sums, group[0].use_plan, "cell")))
    for first, after in _groups(edges_s, tz, hours=hours):
        start, end = edges_s[first], edges_s[after]
        cells = range(first, after)
        sums = total(part.by_cell[cell] for part in parts for cell in cells if cell in part.by_cell)
        values = [found[cell - shift] for shift, found in used for cell in cells if cell - shift in found]
        begin, until = (
            (hour_start(start, tz), hour_end(start, tz)) if hours else (midnight_s(start, tz), next_midnight_s(start, tz))
        )
        label = hour_label(begin, tz) if hours else day_label(start, tz)
        cut = begin < start or end < until
        out.append(PeriodRow(label, start * 1000, end * 1000, cut, ledger(sums, energy=reason), _use(parts, values)))
    return tuple(out)


def _groups(edges_s: Sequence[int], tz: tzinfo | None, *, hours: bool) -> Iterable[tuple[int, int]]:
    """(first cell, after the last) of each row: one cell an hour, the cells of one local day a day."""
    first = 0
    for cell in range(1, len(edges_s)):
        if hours or cell == len(edges_s) - 1 or day_label(edges_s[cell], tz) != day_label(edges_s[first], tz):
            yield first, cell
            first = cell
