"""The strip of a report: what each GPU did, column by column, and who had it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from gpuwatch.dataclass import replace
from gpuwatch.format import shares
from gpuwatch.ledger.ratios import BUSY, quality_unknown
from gpuwatch.names import Bucket, Tier
from gpuwatch.store.period import Plan, plan
from gpuwatch.store.period_sums import KEYS
from gpuwatch.view.period.cells import DAY_S, HOUR_S, MINUTE_S, column_edges
from gpuwatch.view.period.holders import Holders
from gpuwatch.view.period.host import HostPart
from gpuwatch.view.period.ledger import ledger, total
from gpuwatch.view.period.types import Lane, Strip, Tenure

MOST_LANES = 24
_HELD_PART = 4
"""Somebody who had a quarter of a column is named in it."""
_REST = None
"""The lane of all GPUs that have none of their own."""
_SHOWN = {
    key: int(Bucket.BUSY_UNKNOWN if quality_unknown(Bucket(bucket), Tier(tier)) else bucket)
    for key, (bucket, _, tier) in KEYS.items()
}
"""Key of a ledger row -> the bucket that it is shown as."""
_BUSY = frozenset(int(bucket) for bucket in BUSY)


def strip(parts: Sequence[HostPart], holders: Holders, edges_s: Sequence[int], tz: tzinfo | None) -> Strip | None:
    """The strip over the span of ``edges_s`` (the report's own cells); ``None`` without a GPU."""
    if not parts:
        return None
    lanes: list[Lane] = []
    step, edges = column_edges(edges_s[0], edges_s[-1], tz, least_s=max(_least_s(part) for part in parts))
    if step >= HOUR_S and step < DAY_S:
        whole = {parts[0].host.hour(edge)[0] for edge in edges[1:-1]}  # no column needs to be cut out of minutes
        edges = [edges[0], *sorted(edge for edge in whole if edges[0] < edge < edges[-1]), edges[-1]]
    shown = _shown(parts)
    for number, part in enumerate(parts):
        lanes += _lanes(part, edges, edges == list(edges_s), shown[number], holders.names[number])
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
        (number, gpu_id): part.ledger(gpu_id).waste_gpu_ms
        for number, part in enumerate(parts)
        for gpu_id in part.gpus
        if part.ledger(gpu_id).capacity_gpu_ms
    }
    chosen = set(wasted)
    if len(wasted) > MOST_LANES:
        room = max(0, MOST_LANES - len(parts))
        chosen = set(sorted(wasted, key=lambda key: (-wasted[key], key))[:room])
    return [sorted((gpu_id for at, gpu_id in chosen if at == number), key=parts[number].order) for number in range(len(parts))]


def _lanes(part: HostPart, edges: Sequence[int], same: bool, shown: Sequence[int], names: Mapping[int, str | None]) -> list[Lane]:
    start, end = part.start_s, part.end_s
    inner = [edge for edge in edges if start < edge < end]
    first = max(0, sum(1 for edge in edges if edge <= start) - 1)
    made = part.ledger_plan if same else plan(part.host, "ledger", [start, *inner, end])
    columns = len(edges) - 1
    rest = [gpu_id for gpu_id in part.gpus if gpu_id not in shown and part.ledger(gpu_id).capacity_gpu_ms]
    lane_of = {**dict.fromkeys(rest, _REST), **{gpu_id: gpu_id for gpu_id in shown}}
    cells: dict[int | None, dict[int, dict[int, int]]] = {}
    for cell, gpu_id, key, ms, _ in part.booked if same else part.rows_of(made, first):
        if gpu_id in lane_of:
            amounts = cells.setdefault(lane_of[gpu_id], {}).setdefault(cell, {})
            bucket = _SHOWN[key]
            amounts[bucket] = amounts.get(bucket, 0) + ms
    tenures = _tenures(part, made, first, shown, names)
    out = []
    for gpu_id in shown:
        row, drawn = part.gpus[gpu_id], _drawn(cells.get(gpu_id, {}), columns)
        facts = (row["uuid"], row["gpu_index"], row["name"])
        out.append(Lane(part.host.name, *facts, 0, *drawn, tenures.get(gpu_id, ()), part.ledger(gpu_id)))
    if rest:
        booked = ledger(total(part.by_gpu[gpu_id] for gpu_id in rest), energy=part.energy_reason(rest))
        out.append(Lane(part.host.name, "", None, "", len(rest), *_drawn(cells.get(_REST, {}), columns), (), booked))
    return out


def _drawn(cells: Mapping[int, Mapping[int, int]], columns: int) -> tuple[Mapping[Bucket, tuple[int, ...]], tuple[int | None, ...]]:
    """Shares in per mille by bucket, and the busy share of what was observed; from milliseconds by column and bucket."""
    out: dict[int, list[int]] = {}
    busy: list[int | None] = [None] * columns
    for cell, ms in cells.items():
        observed = sum(ms.values()) - ms.get(0, 0)
        if observed:
            busy[cell] = 1000 * sum(amount for bucket, amount in ms.items() if bucket in _BUSY) // observed
        parts = [1000] if len(ms) == 1 and any(ms.values()) else shares(list(ms.values()), 1000)
        for bucket, share in zip(ms, parts):
            out.setdefault(bucket, [0] * columns)[cell] = share
    return {Bucket(bucket): tuple(out[bucket]) for bucket in sorted(out)}, tuple(busy)


def _tenures(
    part: HostPart, made: Plan, first: int, gpu_ids: Sequence[int], names: Mapping[int, str | None]
) -> dict[int, tuple[Tenure, ...]]:
    """Per GPU who had most of each column, neighbours of one user together."""
    users: dict[tuple[int, int], dict[str | None, int]] = {}
    found = part.books(made)
    for gpu_id in (each for each in gpu_ids if each in found):
        for cell, tenure in found[gpu_id].tenures.items():
            at: dict[str | None, int] = {}
            for user_id, ms in tenure.items():
                user = names.get(user_id or 0)
                at[user] = at.get(user, 0) + ms
            if at:
                users[gpu_id, cell] = at
    out: dict[int, list[Tenure]] = {}
    for (gpu_id, cell), held in sorted(users.items()):
        user = max(held, key=lambda each: (held[each], each or ""))
        if held[user] * _HELD_PART < (made.edges[cell + 1] - made.edges[cell]) * 1000 * part.gpus[gpu_id]["compute_fraction"]:
            continue
        known, column = out.setdefault(gpu_id, []), cell + first
        if known and known[-1].user == user and known[-1].last_column == column - 1:
            known[-1] = replace(known[-1], last_column=column)
        else:
            known.append(Tenure(user, column, column))
    return {gpu_id: tuple(tenures) for gpu_id, tenures in out.items()}
