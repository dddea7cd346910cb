"""The served models of a report: tokens, waiting times, energy and cost, all replicas of a model together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gpuwatch.dataclass import dataclass, field
from gpuwatch.names import Latency, Missing, Quality
from gpuwatch.prices import WATT_HOURS_PER_KWH, Prices
from gpuwatch.store import period_served
from gpuwatch.store.period_served import Served, ServerTime
from gpuwatch.view.inference_types import LatencyView, Slo
from gpuwatch.view.latency import latency_view
from gpuwatch.view.period.host import HostPart
from gpuwatch.view.period.ledger import Sums, add, ledger, summed
from gpuwatch.view.period.model_row import ModelRow
from gpuwatch.view.terms import Terms

HOUR_MS = 3_600_000
KWH_MJ = 3600 * WATT_HOURS_PER_KWH * 1000
_TOKENS = ("output_tokens", "prefill_tokens", "cached_tokens", "requests")
_WORST_FIRST = (Quality.ESTIMATED, Quality.AT_END, Quality.EXACT)
COUNTED = 0.9
"""Energy and cost a token need tokens counted in so much of each server's GPU time: what the rest made is not known."""


@dataclass(slots=True)
class _Model:
    """What one model has so far."""

    engines: set[str] = field(default_factory=set)
    replicas: int = 0
    places: set[tuple[str, int]] = field(default_factory=set)
    sums: Sums = field(default_factory=dict)
    metered: list[bool] = field(default_factory=list)
    """Of each of its GPUs, whether the ledger knows its energy."""
    counts: dict[str, int] = field(default_factory=dict)
    buckets: dict[int, dict[tuple[int, int], int]] = field(default_factory=dict)
    cost: float | None = 0.0
    prices: set[float] = field(default_factory=set)
    qualities: set[int] = field(default_factory=set)
    counted: bool = True
    """Whether tokens were counted for all of its GPU time."""


def model_rows(parts: Sequence[HostPart], terms: Terms) -> tuple[ModelRow, ...]:
    """One row for each model, the one with most GPU time first."""
    models: dict[str, _Model] = {}
    for part in parts:
        found = period_served.servers(part.window, part.host.host_id, part.start_s, part.end_s)
        if found:
            _add(models, part, found, terms.prices)
    rows = [_row(name, model, terms) for name, model in models.items()]
    return tuple(sorted(rows, key=lambda row: (-row.ledger.capacity_gpu_ms, -(row.output_tokens_total or 0), row.model)))


def _add(models: dict[str, _Model], part: HostPart, found: Sequence[Served], prices: Prices) -> None:
    ids = [each.workload_id for each in found]
    counts = period_served.counted(part.window, part.use_plan, ids)
    time = period_served.gpu_time(part.window, part.ledger_plan, ids, by_cell=prices.known)
    held: dict[int, list[ServerTime]] = {}
    for row in time:
        if row.gpu_id in part.gpus:
            held.setdefault(row.workload_id, []).append(row)
    of: dict[int, _Model] = {}
    for each in found:
        if each.workload_id not in counts and each.workload_id not in held:
            continue
        model = of[each.workload_id] = models.setdefault(each.model or each.name, _Model())
        model.replicas += 1
        model.engines |= {each.engine} - {""}
        counted, rows = counts.get(each.workload_id, {}), held.get(each.workload_id, ())
        if each.quality is not None:
            model.qualities.add(each.quality)
        for name, value in counted.items():
            model.counts[name] = model.counts.get(name, 0) + value
        model.counted = model.counted and counted.get("tokens_obs_ms", 0) >= COUNTED * _longest(rows)
        _book(model, part, rows, prices)
    for workload_id, latency, lower, upper, count in period_served.waited(part.window, part.use_plan, list(of)) if of else ():
        buckets = of[workload_id].buckets.setdefault(latency, {})
        buckets[lower, upper] = buckets.get((lower, upper), 0) + count


def _longest(held: Iterable[ServerTime]) -> int:
    """For how long a server held the GPU that it held longest."""
    gpus: dict[int, int] = {}
    for row in held:
        gpus[row.gpu_id] = gpus.get(row.gpu_id, 0) + row.ms
    return max(gpus.values(), default=0)


def _book(model: _Model, part: HostPart, held: Iterable[ServerTime], prices: Prices) -> None:
    rows = list(held)
    for sums in summed((0, row.key, row.ms, row.mj) for row in rows).values():
        add(model.sums, sums)
    for gpu_id in {row.gpu_id for row in rows if row.ms}:
        model.places.add((part.host.name, part.board_index(gpu_id)))
        model.metered.append(part.books_energy(gpu_id))
    if not prices.known:
        return
    for row in rows:
        cost = 0.0
        if prices.gpus:
            price = prices.gpu_hour(part.gpus[row.gpu_id]["name"], part.ledger_plan.edges[row.cell] * 1000)
            if price is None and row.ms:
                model.cost = None
            if price is not None:
                model.prices.add(price)
                cost += price * row.ms / HOUR_MS
        if model.cost is not None:
            model.cost += cost


def _row(name: str, model: _Model, terms: Terms) -> ModelRow:
    energy = bool(model.metered) and all(model.metered)
    made = ledger(model.sums, energy=None if any(model.metered) else Missing.NOT_SUPPORTED)
    totals = {f"{each}_total": model.counts.get(f"{each}_sum") for each in _TOKENS}
    tokens = totals["output_tokens_total"]
    per_token = tokens if model.counted else None
    joules = made.energy_mj / 1000 / per_token if energy and made.energy_mj is not None and per_token else None
    cost, price = _cost(model, terms.prices, made.energy_mj if energy else None)
    missing = {each: Missing.NOT_SUPPORTED for each, value in totals.items() if value is None}
    if joules is None:
        missing["energy_per_output_token_joules"] = Missing.STALE if energy and tokens is not None else Missing.NOT_SUPPORTED
    return ModelRow(
        model=name,
        engines=tuple(sorted(model.engines)),
        replicas=model.replicas,
        gpus=tuple(sorted(model.places)),
        ledger=made,
        observed_seconds=model.counts.get("window_obs_ms", 0) / 1000,
        energy_per_output_token_joules=joules,
        ttft=_latency(model, Latency.TTFT, terms.slo),
        itl=_latency(model, Latency.ITL, terms.slo),
        cost_per_million_output_tokens=cost / per_token * 1e6 if cost is not None and per_token else None,
        currency=terms.prices.currency if price else "",
        price=price,
        quality=next((each for each in _WORST_FIRST if each in model.qualities), None) if tokens is not None else None,
        missing=missing,
        **totals,
    )


def _latency(model: _Model, latency: Latency, slo: Slo) -> LatencyView | None:
    buckets: Mapping[tuple[int, int], int] = model.buckets.get(latency, {})
    count = model.counts.get(f"{latency.label}_count_sum")
    if count is None and not buckets:
        return None
    limit = slo.ttft_seconds if latency is Latency.TTFT else slo.itl_seconds
    total = model.counts.get(f"{latency.label}_sum_us_sum")
    return latency_view(latency, sum(buckets.values()) if count is None else count, total, buckets, limit)


def _cost(model: _Model, prices: Prices, energy_mj: int | None) -> tuple[float | None, str]:
    """What its GPU time cost, and the prices that say so; nothing where a part that has a price list cannot be told."""
    if not prices.known or model.cost is None or not model.sums:
        return None, ""
    words, cost = [], model.cost
    if prices.gpus:
        words.append(f"{' and '.join(prices.money(price) for price in sorted(model.prices, reverse=True))}/GPU·h")
    if prices.kwh is not None:
        if energy_mj is None:
            return None, ""
        cost += energy_mj / KWH_MJ * prices.kwh
        words.append(f"{prices.money(prices.kwh)}/kWh")
    return cost, " + ".join(words)
