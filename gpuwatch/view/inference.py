"""What is known of an inference server at an instant: its rows of the last minutes turned into rates, waiting times and energy.

Rates are over 10 s, those of counts that move when requests end over 60 s or four median requests; they end at the newest good
reading. What a server told last is dropped 30 s later (three intervals, where it is asked less often), and what is made of it and
of its GPUs' present as soon as it is old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import dataclass
from gpuwatch.names import WAITS, Latency, Missing, Quality, ServerState
from gpuwatch.peaks import bf16_peak
from gpuwatch.prices import cost_per_million, hourly_cost
from gpuwatch.view.counts import Sums
from gpuwatch.view.diagnosis import Signs, diagnosis
from gpuwatch.view.inference_types import InferenceView, LatencyView
from gpuwatch.view.latency import goodput, latency_view, quantile
from gpuwatch.view.live import Rows
from gpuwatch.view.served import Recent, Servers
from gpuwatch.view.terms import Terms

RATE_MS = 10_000
AT_END_MS = 60_000
REQUESTS_IN_WINDOW = 4
DROPPED_MS = 30_000
OLD_MS = 5_000
"""A reading is old after three intervals, and never sooner than this."""
_EFFICIENCY = (
    "tokens_per_second_per_gpu",
    "power_watts",
    "energy_per_output_token_joules",
    "output_tokens_per_joule",
    "cost_per_million_output_tokens",
    "currency",
    "price",
    "mfu_ratio",
    "diagnosis",
)
_RATES = {
    "output_tokens_per_second": "output_tokens_total",
    "prefill_tokens_per_second": "prefill_tokens_total",
    "cached_tokens_per_second": "cached_tokens_total",
    "prompt_tokens_per_second": "prompt_tokens_total",
}
_FINISHED = ("finished_stop", "finished_length", "finished_aborted", "finished_error")
_GAUGES = ("running_requests", "waiting_requests", "kv_cache_ratio", "kv_cache_fullest_ratio")
_LATENCIES = {each: each.label for each in WAITS}
_LIMITS = ("max_running_requests", "max_model_tokens", "kv_cache_tokens")
_MADE_FROM = {
    **_RATES,
    **{name: name for name in _GAUGES},
    "requests_per_second": "requests_total",
    "preemptions_per_second": "preemptions_total",
    "prompt_tokens_mean": "prompt_tokens_total",
    "output_tokens_mean": "output_tokens_total",
    "prefix_hit_ratio": "prefix_hit_tokens_total",
    "speculative_acceptance_ratio": "accepted_tokens_total",
    "speculative_accepted_length": "accepted_tokens_total",
    "mfu_ratio": "flops_total",
    **{name: f"{name}_total" for name in _FINISHED},
}
"""A field of the view -> the field of the rows without which it cannot be."""
_AND_FROM = {
    "prompt_tokens_mean": "requests_total",
    "output_tokens_mean": "requests_total",
    "speculative_acceptance_ratio": "draft_tokens_total",
    "speculative_accepted_length": "drafts_total",
}
"""A second one, of a quotient."""


@dataclass(frozen=True, slots=True)
class Card:
    """What the store says of a server beside its rows; ``gpu_ids`` are the GPUs of its processes."""

    workload_id: int
    row: Mapping[str, Any]
    quality: Mapping[str, Quality]
    source: Mapping[str, str]
    root_pid: int
    root_start_ms: int
    engine: str
    gpu_ids: tuple[int, ...] = ()
    shared: bool = False


def inference_view(
    card: Card, servers: Servers, recent: Recent, rows: Rows, *, at_ms: int, now_ms: int, live: bool, terms: Terms
) -> InferenceView:
    """The view of one server; ``now_ms`` is the present for the live end, else the instant."""
    row, track = card.row, recent.track
    newest_ms = track.newest_ms
    interval = row["interval_ms"] / 1000
    due_ms = max(3 * row["interval_ms"], track.newest_dt_ms)
    fresh = newest_ms is not None and at_ms - newest_ms <= max(DROPPED_MS, due_ms)
    told = (ServerState(row["state"]) if live else track.state) or ServerState(row["state"])
    same = told is ServerState(row["state"])
    found: dict[str, Any] = {}
    latencies: tuple[LatencyView, ...] = ()
    if fresh and newest_ms is not None:
        key = (row["max_running_requests"], card.quality, card.gpu_ids, card.shared, terms)
        kept = servers.made.get(card.workload_id)
        if kept is None or kept[0] is not recent or kept[1] != key:
            kept = servers.made[card.workload_id] = (recent, key, *_made(card, servers, recent, rows, newest_ms, terms))
        latencies, found = kept[2], dict(kept[3])
        if at_ms - newest_ms > max(OLD_MS, due_ms):
            for name in _EFFICIENCY:
                found.pop(name, None)
    for name in _FINISHED:
        found[name] = recent.finished.total(f"{name}_total")
    since_ms = row["first_ms"]
    return InferenceView(
        state=told,
        detail=row["detail"] if same else "",
        hint=row["hint"] if same else "",
        url=row["url"],
        engine=row["engine"] or card.engine,
        engine_version=row["engine_version"],
        served_model=row["served_model"],
        verified=bool(row["verified"]),
        age_seconds=None if newest_ms is None else max(0.0, (now_ms - newest_ms) / 1000),
        interval_seconds=interval or None,
        scrape_seconds=None if row["scrape_us"] is None else row["scrape_us"] / 1e6,
        page_bytes=row["page_bytes"],
        up_seconds=max(0.0, (at_ms - card.root_start_ms) / 1000) if card.root_pid else None,
        window_seconds=_length(max(recent.start_ms, since_ms), recent.end_ms or at_ms),
        finished_seconds=_length(max(recent.finished_start_ms, since_ms), at_ms),
        latencies=latencies,
        slo_target_ratio=terms.slo.target_ratio,
        shared_gpu=card.shared,
        rate_cells=recent.rate_cells,
        quality=card.quality,
        source=card.source,
        missing=_missing(card, found, told),
        **{name: row[name] for name in _LIMITS},
        **found,
    )


def _made(
    card: Card, servers: Servers, recent: Recent, rows: Rows, newest_ms: int, terms: Terms
) -> tuple[tuple[LatencyView, ...], dict[str, Any]]:
    """What changes with a new row or a step of the window alone."""
    latencies = _latencies(recent, terms)
    found = _rates(card, recent, newest_ms) | _window(recent.sums, latencies, terms) | _gauges(recent.track.gauges())
    found |= _efficiency(card, servers, recent, rows, found, newest_ms, terms)
    found["diagnosis"] = _diagnosis(card, rows, found)
    return latencies, found


def _length(start_ms: int, end_ms: int) -> float | None:
    return (end_ms - start_ms) / 1000 if end_ms > start_ms else None


# --------------------------------------------------------------------------------------------------------------- rates


def _reach_ms(recent: Recent, quality: Quality | None) -> int:
    """Over how much time a rate is told: long enough for several requests to end, where they are what is counted."""
    if quality is not Quality.AT_END:
        return RATE_MS
    median = quantile(recent.buckets.get(Latency.E2E, {}), 0.5)
    if median is None or median.value is None:
        return AT_END_MS
    return min(AT_END_MS, max(RATE_MS, round(REQUESTS_IN_WINDOW * median.value / 1000)))


def _rates(card: Card, recent: Recent, newest_ms: int) -> dict[str, Any]:
    """Tokens a second. A count that moves when requests end says nothing while they run and none has ended."""
    out: dict[str, Any] = {}
    gauges = recent.track.gauges()
    busy = bool(gauges["running_requests"] or gauges["waiting_requests"])
    for name, field in _RATES.items():
        quality = card.quality.get(field)
        sums = recent.track.one(field, newest_ms - _reach_ms(recent, quality), newest_ms)
        rate = sums.rate(field)
        out[name] = None if quality is Quality.AT_END and busy and not rate else rate
        if field == "output_tokens_total" or "rate_seconds" not in out:
            out["rate_seconds"] = sums.seconds(field) or out.get("rate_seconds")
    return out


def _gauges(gauges: Mapping[str, float | None]) -> dict[str, Any]:
    return {name: gauges[name] for name in _GAUGES}


# -------------------------------------------------------------------------------------------------------------- window


def _latencies(recent: Recent, terms: Terms) -> tuple[LatencyView, ...]:
    slos = {Latency.TTFT: terms.slo.ttft_seconds, Latency.ITL: terms.slo.itl_seconds}
    out = []
    for latency, name in _LATENCIES.items():
        buckets = recent.buckets.get(latency, {})
        count = recent.sums.total(f"{name}_count_total")
        if count is None and not buckets:
            continue
        total = recent.sums.total(f"{name}_sum_seconds")
        out.append(latency_view(latency, sum(buckets.values()) if count is None else count, total, buckets, slos.get(latency)))
    return tuple(out)


def _window(sums: Sums, latencies: Sequence[LatencyView], terms: Terms) -> dict[str, Any]:
    """What is told over five minutes."""
    ended = sums.total("requests_total")
    failed = [count for name in ("finished_aborted_total", "finished_error_total") if (count := sums.total(name)) is not None]
    good = goodput(latencies, terms.slo, ended, sum(failed) if failed else None, sums.seconds("requests_total"))
    out: dict[str, Any] = {
        "requests_per_second": sums.rate("requests_total"),
        "preemptions_per_second": sums.rate("preemptions_total"),
        "prompt_tokens_mean": _mean(sums, "prompt_tokens_total", ended),
        "output_tokens_mean": _mean(sums, "output_tokens_total", ended),
        "prefix_hit_ratio": _hits(sums),
        "speculative_acceptance_ratio": sums.ratio("accepted_tokens_total", "draft_tokens_total"),
        "speculative_accepted_length": _mean(sums, "accepted_tokens_total", sums.total("drafts_total")),
    }
    if good is not None:
        out |= {
            "goodput_low_ratio": good.low_ratio,
            "goodput_high_ratio": good.high_ratio,
            "goodput_low_per_second": good.low_per_second,
            "goodput_high_per_second": good.high_per_second,
        }
    return out


def _mean(sums: Sums, name: str, count: int | None) -> float | None:
    amount = sums.amount(name)
    return amount / count if amount is not None and count else None


def _hits(sums: Sums) -> float | None:
    """Of the prompt tokens that were looked up, else of all, the share that was in the prefix cache."""
    found = sums.ratio("prefix_hit_tokens_total", "prefix_query_tokens_total")
    if found is not None:
        return found
    cached, computed = sums.total("cached_tokens_total"), sums.total("prefill_tokens_total")
    return cached / (cached + computed) if cached is not None and computed is not None and cached + computed else None


# ---------------------------------------------------------------------------------------------------------- efficiency


def _efficiency(
    card: Card, servers: Servers, recent: Recent, rows: Rows, found: Mapping[str, Any], newest_ms: int, terms: Terms
) -> dict[str, Any]:
    """Tokens, energy and money per GPU. Energy and tokens are of the same seconds; none of it is told of a GPU that is shared."""
    if not card.gpu_ids or card.shared:
        return {}
    rate, out = found["output_tokens_per_second"], {}
    names = [rows.gpus[gpu_id]["name"] for gpu_id in card.gpu_ids]
    whole = not any(rows.gpus[gpu_id]["parent_uuid"] for gpu_id in card.gpu_ids)
    if rate is not None:
        out["tokens_per_second_per_gpu"] = rate / len(card.gpu_ids)
    quality = card.quality.get("output_tokens_total")
    reach_ms = AT_END_MS if quality is Quality.AT_END else RATE_MS
    span = recent.track.span(newest_ms - reach_ms, newest_ms)
    if whole and span is not None:
        made = recent.track.one("output_tokens_total", newest_ms - reach_ms, newest_ms)
        tokens = made.rate("output_tokens_total") if rate is not None else None
        watts = _power(card.gpu_ids, servers, rows, *span)
        out |= _money_and_energy(watts, tokens, names, newest_ms, terms)
    flops = recent.track.one("flops_total", newest_ms - reach_ms, newest_ms).rate("flops_total")
    peaks = {bf16_peak(name) for name in names}
    peak = peaks.pop() if len(peaks) == 1 and whole else None
    if flops and peak:
        out["mfu_ratio"] = flops / peak
    return out


def _power(gpu_ids: Sequence[int], servers: Servers, rows: Rows, start_ms: int, end_ms: int) -> float | None:
    """All of the GPUs' mean power; ``None`` where one is not known, or is a board that instances are cut out of."""
    total = 0.0
    for gpu_id in gpu_ids:
        if rows.gpus[gpu_id]["mig_enabled"] or (watts := servers.power(gpu_id, start_ms, end_ms)) is None:
            return None
        total += watts
    return total


def _money_and_energy(watts: float | None, tokens: float | None, names: Sequence[str], at_ms: int, terms: Terms) -> dict[str, Any]:
    out: dict[str, Any] = {"power_watts": watts}
    if watts is not None and tokens:
        out["energy_per_output_token_joules"] = watts / tokens
        out["output_tokens_per_joule"] = tokens / watts if watts else None
    cost = hourly_cost(terms.prices, names, watts, at_ms)
    if cost is not None:
        out |= {"currency": terms.prices.currency, "price": cost.price}
        out["cost_per_million_output_tokens"] = cost_per_million(cost, tokens)
    return out


def _diagnosis(card: Card, rows: Rows, found: Mapping[str, Any]) -> str:
    limits = [rows.gpus[gpu_id]["power_limit_watts"] for gpu_id in card.gpu_ids]
    watts = found.get("power_watts")
    known = [limit for limit in limits if limit]
    return diagnosis(
        Signs(
            running=found["running_requests"],
            waiting=found["waiting_requests"],
            max_running=card.row["max_running_requests"],
            kv_ratio=found["kv_cache_fullest_ratio"] if found["kv_cache_fullest_ratio"] is not None else found["kv_cache_ratio"],
            preemptions_per_second=found["preemptions_per_second"],
            prefill_per_second=found["prefill_tokens_per_second"],
            output_per_second=found["output_tokens_per_second"],
            hit_ratio=found["prefix_hit_ratio"],
            power_ratio=watts / sum(known) if watts is not None and known and len(known) == len(limits) else None,
        )
    )


def _missing(card: Card, found: Mapping[str, Any], state: ServerState) -> Mapping[str, Missing]:
    """Why a field is not there: the key is needed, the server has no such number, or nothing came (yet, or any more)."""
    if state is ServerState.AUTH_NEEDED:
        reasons = dict.fromkeys(_MADE_FROM, Missing.NO_PERMISSION)
    elif state in (ServerState.METRICS_OFF, ServerState.NO_METRICS, ServerState.FOREIGN_PAGE):
        reasons = dict.fromkeys(_MADE_FROM, Missing.NOT_SUPPORTED)
    else:
        reasons = {name: Missing.STALE if _told(name, card.quality) else Missing.NOT_SUPPORTED for name in _MADE_FROM}
    return {name: reason for name, reason in reasons.items() if found.get(name) is None}


def _told(name: str, quality: Mapping[str, Quality]) -> bool:
    """Whether the server has the numbers that a field is made from."""
    if name == "prefix_hit_ratio" and "cached_tokens_total" in quality and "prefill_tokens_total" in quality:
        return True
    return _MADE_FROM[name] in quality and _AND_FROM.get(name, _MADE_FROM[name]) in quality
