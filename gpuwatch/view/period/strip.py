"""The strip of a report: what each GPU did, column by column, and who had it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from gpuwatch.dataclass import replace
from gpuwatch.format import shares
from gpuwatch.ledger.ratios import BUSY
from gpuwatch.names import Bucket
from gpuwatch.store.period import Plan, plan
from gpuwatch.store.period_sums import holder_sums
from gpuwatch.view.period.cells import DAY_S, HOUR_S, MINUTE_S, column_edges
from gpuwatch.view.period.holders import Holders
from gpuwatch.view.period.host import HostPart
from gpuwatch.view.period.ledger import Sums, add, ledger, total
from gpuwatch.view.period.people import Owner
from gpuwatch.view.period.types import Lane, Strip, Tenure

MOST_LANES = 24
_HELD_PART = 4
"""Somebody who had a quarter of a column is named in it."""
_BUSY = frozenset(int(bucket) for bucket in BUSY)


def strip(parts: Sequence[HostPart], holders: Holders, edges_s: Sequence[int], tz: tzinfo | None) -> Strip | None:
    """The strip over the span of ``edges_s`` (the report's own cells); ``None`` without a GPU."""
    lanes: list[Lane] = []
    step, edges = column_edges(edges_s[0], edges_s[-1], tz, least_s=max((_least_s(part) for part in parts), default=MINUTE_S))
    if step >= HOUR_S and step < DAY_S:
        edges = [edges[0], *sorted({parts[0].host.hour(edge)[0] for edge in edges[1:-1]} - {edges[0]}), edges[-1]]
    shown = _shown(parts)
    for number, part in enumerate(parts):
        lanes += _lanes(part, edges, edges == list(edges_s), shown[number], holders.owners[number])
    return Strip(step, tuple(edge * 1000 for edge in edges), tuple(lanes)) if lanes else None


def _least_s(part: HostPart) -> int:
    """How narrow columns may be: no narrower than the rows that are left of the span's start."""
    host, start = part.host, part.start_s
    if start < min(host.reach_s("ledger", "hour"), host.done_s("ledger", "day")):
        return DAY_S
    return HOUR_S if start < min(host.reach_s("ledger", "minute"), host.done_s("ledger", "hour")) else MINUTE_S


def _shown(parts: Sequence[HostPart]) -> list[list[int]]:
    """The GPUs of each host that get a lane of their own, in order: all, or those that lost most, with one line left for the others."""
    wasted = {
        (number, gpu_id): ledger(part.gpu_buckets(gpu_id)).waste_gpu_ms
        for number, part in enumerate(parts)
        for gpu_id in part.gpus
        if part.gpu_buckets(gpu_id)
    }
    chosen = set(wasted)
    if len(wasted) > MOST_LANES:
        room = max(0, MOST_LANES - len(parts))
        chosen = set(sorted(wasted, key=lambda key: (-wasted[key], key))[:room])
    return [sorted((gpu_id for at, gpu_id in chosen if at == number), key=parts[number].order) for number in range(len(parts))]


def _lanes(part: HostPart, edges: Sequence[int], same: bool, shown: Sequence[int], owners: Mapping[int, Owner]) -> list[Lane]:
    start, end = part.span_s
    inner = [edge for edge in edges if start < edge < end]
    first = max(0, sum(1 for edge in edges if edge <= start) - 1)
    made = plan(part.host, "ledger", [part.start_s, *inner, part.end_s])
    cells = part.buckets if same else part.with_unobserved(made, first)
    columns = len(edges) - 1
    by_gpu: dict[int, dict[int, Sums]] = {}
    for (cell, gpu_id), sums in cells.items():
        by_gpu.setdefault(gpu_id, {})[cell] = sums
    tenures = _tenures(part, made, first, shown, owners)
    out = []
    for gpu_id in shown:
        row = part.gpus[gpu_id]
        booked = ledger(part.gpu_buckets(gpu_id), energy=part.energy_reason([gpu_id]))
        drawn = _drawn(by_gpu.get(gpu_id, {}), columns)
        out.append(Lane(part.host.name, row["uuid"], row["gpu_index"], row["name"], 0, *drawn, tenures.get(gpu_id, ()), booked))
    rest = [gpu_id for gpu_id in part.gpus if gpu_id not in shown and part.gpu_buckets(gpu_id)]
    if rest:
        out.append(_folded(part, rest, by_gpu, columns))
    return out


def _folded(part: HostPart, rest: Sequence[int], by_gpu: Mapping[int, Mapping[int, Sums]], columns: int) -> Lane:
    cells: dict[int, Sums] = {}
    for gpu_id in rest:
        for cell, sums in by_gpu.get(gpu_id, {}).items():
            add(cells.setdefault(cell, {}), sums)
    booked = ledger(total(part.gpu_buckets(gpu_id) for gpu_id in rest), energy=part.energy_reason(rest))
    return Lane(part.host.name, "", None, "", len(rest), *_drawn(cells, columns), (), booked)


def _drawn(cells: Mapping[int, Sums], columns: int) -> tuple[Mapping[Bucket, tuple[int, ...]], tuple[int | None, ...]]:
    """Shares in per mille by bucket, and the busy share of what was observed."""
    out: dict[int, list[int]] = {}
    busy: list[int | None] = [None] * columns
    for cell, sums in cells.items():
        ms: dict[int, int] = {}
        for (bucket, _, _), (amount, _) in sums.items():
            ms[bucket] = ms.get(bucket, 0) + amount
        observed = sum(ms.values()) - ms.get(0, 0)
        if observed:
            busy[cell] = 1000 * sum(amount for bucket, amount in ms.items() if bucket in _BUSY) // observed
        parts = [1000] if len(ms) == 1 and any(ms.values()) else shares(list(ms.values()), 1000)
        for bucket, share in zip(ms, parts):
            out.setdefault(bucket, [0] * columns)[cell] = share
    return {Bucket(bucket): tuple(out[bucket]) for bucket in sorted(out)}, tuple(busy)


def _tenures(
    part: HostPart, made: Plan, first: int, gpu_ids: Sequence[int], owners: Mapping[int, Owner]
) -> dict[int, tuple[Tenure, ...]]:
    """Per GPU who had most of each column, neighbours of one user together."""
    users: dict[tuple[int, int], dict[str | None, int]] = {}
    for (gpu_id, cell, owner_id), ms in holder_sums(part.host, made, gpu_ids).items():
        owner = owners.get(owner_id)
        user = owner.user if owner else None
        at = users.setdefault((gpu_id, cell), {})
        at[user] = at.get(user, 0) + ms
    out: dict[int, list[Tenure]] = {}
    for (gpu_id, cell), found in sorted(users.items()):
        user = max(found, key=lambda each: (found[each], each or ""))
        if found[user] * _HELD_PART < (made.edges[cell + 1] - made.edges[cell]) * 1000 * part.gpus[gpu_id]["compute_fraction"]:
            continue
        known, column = out.setdefault(gpu_id, []), cell + first
        if known and known[-1].user == user and known[-1].last_column == column - 1:
            known[-1] = replace(known[-1], last_column=column)
        else:
            known.append(Tenure(user, column, column))
    return {gpu_id: tuple(found) for gpu_id, found in out.items()}
