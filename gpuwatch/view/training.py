"""What is known of a training at an instant: its ranks' rows of the last minutes turned into rates, parts of a step, energy and cost.

Rates are over 30 s of whole steps, longer where a step is longer; they end at the newest end of a step, or at the newest row where
a step takes three times as long as usual. What a rank told last is dropped 30 s later, and what it does now as soon as it is old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from gpuwatch.names import Latency, Missing, Phase, TrainingSource
from gpuwatch.training import PHASE_SECONDS
from gpuwatch.view import training_run
from gpuwatch.view.counts import Sums, together
from gpuwatch.view.entities import Moment
from gpuwatch.view.latency import quantile
from gpuwatch.view.terms import Terms
from gpuwatch.view.trained import Trainings
from gpuwatch.view.training_efficiency import efficiency
from gpuwatch.view.training_life import life
from gpuwatch.view.training_ranks import PROBED, Card, Rank, rank_view, ranks_at, stalled, straggler
from gpuwatch.view.training_steps import added
from gpuwatch.view.training_types import PhaseView, RankView, TrainingView

HINT = "gpuwatch run -- COMMAND"
FEWEST = 20
"""A 95th percentile of fewer steps is the largest one."""
_PERCENTILES = {
    Phase.DATA: Latency.STEP_DATA,
    Phase.FORWARD: Latency.STEP_FORWARD,
    Phase.BACKWARD: Latency.STEP_BACKWARD,
    Phase.OPTIMIZER: Latency.STEP_OPTIMIZER,
}
_OF_HOOK = (
    "steps_per_second",
    "tokens_per_second",
    "samples_per_second",
    "tokens_per_second_per_gpu",
    "tokens_per_step",
    "nonpad_tokens_per_second",
    "padding_ratio",
    "loss",
    "step_seconds",
    "step_p50_seconds",
    "step_p95_seconds",
    "mfu_ratio",
    "energy_per_token_joules",
    "goodput_ratio",
    "first_step_seconds",
    "checkpoint_ratio",
    "eval_ratio",
    "compilations_total",
    "alloc_retries_total",
    "out_of_memory_total",
    "to_go_seconds",
)
_DP_WORDS = {
    "single": "",
    "assumed": "assumed data parallel",
    "megatron": "{} data parallel by Megatron",
    "mesh": "{} data parallel by its device mesh",
    "declared": "{} data parallel, declared",
}


def training_view(moment: Moment, card: Card, trainings: Trainings, terms: Terms) -> TrainingView:
    """The view of one training at the moment's instant."""
    at_ms = moment.at_ms
    ranks = ranks_at(card.trainers, trainings.ranks(card.workload_id), trainings.start_ms, at_ms)
    started_ms = card.run["started_ms"] if card.run else card.work["root_start_ms"]
    since = training_run.since_start(moment.window, trainings, card.workload_id, started_ms)
    end_ms = min(at_ms, card.run["ended_ms"] or at_ms) if card.run else at_ms
    spent = training_run.used(moment.window, moment.rows, card.workload_id, started_ms, end_ms, ended=end_ms < at_ms)
    gpus = len(card.gpu_ids) or (len(spent.gpu_ms) if spent else 0)
    run = training_run.run_view(card.run, card.work, spent, gpus or None, at_ms, since) if card.run else None
    if not ranks:
        blocked = card.run["detail"] if card.run and card.run["ended_ms"] is None else ""  # why gpuwatch run could not attach it
        return TrainingView(attached=False, detail=blocked, hint="" if blocked else HINT, model=card.work["model"], run=run, missing=dict.fromkeys(_OF_HOOK, Missing.NOT_ATTACHED))  # fmt: skip
    lead = min(ranks, key=_order)
    found = _identity(card, ranks, lead) | _rates(moment, card, trainings, ranks, lead) | _steps(card, trainings, ranks, lead)
    found |= life(found, ranks, lead, run, since, started_ms, at_ms)
    found |= efficiency(moment, card, trainings, lead, found, terms)
    names = {gpu_id: row["name"] for gpu_id, row in moment.rows.gpus.items()}
    found["cost"], price = training_run.cost(spent, names, terms.prices, started_ms, at_ms)
    if price and not found.get("price"):
        found |= {"price": price, "currency": terms.prices.currency}
    return TrainingView(
        run=run,
        shared_gpu=card.shared,
        ranks=_rank_views(moment, card, ranks),
        straggler=straggler(ranks),
        stalled=stalled(ranks, found.get("step_p50_seconds") or found.get("step_seconds")),
        missing=_missing(found),
        **found,
    )


def _order(rank: Rank) -> tuple[bool, float, int]:
    """Running ones first, by local rank: the first counts the job's steps."""
    local = rank.row["local_rank"] if rank.row["local_rank"] is not None else rank.row["rank"]
    return not rank.running, float("inf") if local is None else local, rank.row["pid"]


def _identity(card: Card, ranks: Sequence[Rank], lead: Rank) -> dict[str, Any]:
    row, sources = lead.row, {TrainingSource(rank.row["source"]) for rank in ranks}
    attached = bool(sources & {TrainingSource.HOOK, TrainingSource.DECLARED})
    troubled = next((rank.row for rank in ranks if rank.row["detail"] and rank.running), row)
    return {
        "attached": attached,
        "source": TrainingSource(row["source"]),
        "detail": troubled["detail"],
        "hint": troubled["hint"] or ("" if attached else HINT),
        "framework": row["framework"],
        "model": row["model"] or card.work["model"],
        "precision": row["precision"],
        "parallelism": _parallelism(row, len(ranks)),
        "parameters": row["parameters"],
        "trainable_parameters": row["trainable_parameters"],
        "tokens_kind": row["tokens_kind"],
        "flops_per_token": row["flops_per_token"],
        "total_steps": row["total_steps"] if row["total_steps"] is not None else card.run["total_steps"] if card.run else None,
        "probe": any(bool(rank.row["probe"]) for rank in ranks),
    }


def _parallelism(row: Mapping[str, Any], here: int) -> str:
    """``8 ranks, 4 data parallel by its device mesh``; ranks of other hosts are said to be there."""
    world = row["world"] or here
    words = [f"{world} ranks" if world > 1 else "1 rank", *([f"{here} on this host"] if here < world else [])]
    how = _DP_WORDS.get(row["data_parallel_source"], row["data_parallel_source"]) if world > 1 else ""
    if how:
        words.append(how.format("?" if row["data_parallel"] is None else row["data_parallel"]))
    return ", ".join(words)


# --------------------------------------------------------------------------------------------------------------- rates


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _rates(moment: Moment, card: Card, trainings: Trainings, ranks: Sequence[Rank], lead: Rank) -> dict[str, Any]:
    """Tokens, samples and steps a second of all ranks together: the tokens of each are its share of the job's."""
    told = [rank.rates for rank in ranks if rank.rates is not None]
    newest = [rank.track.newest_ms for rank in ranks if rank.track.newest_ms is not None]
    tokens, samples = _total([each.tokens for each in told]), _total([each.samples for each in told])
    own = lead.rates or (told[0] if told else None)
    steps = own.steps if own else None
    unit = "tokens" if tokens is not None else "samples" if samples is not None else "steps"
    edges = trainings.cell_edges()
    cells = [rank.track.segments.cells(edges, unit) for rank in (ranks if unit != "steps" else (lead,))]
    if own is not None and own.steps == 0.0:
        cells.append([_nothing(lead, start, end) for start, end in pairwise(edges)])
    number = lead.track.now("step_number") if lead.told else None
    last = lead.row["total_steps"] if lead.row["total_steps"] is not None else card.run["total_steps"] if card.run else None
    togo = (last - number) / steps if steps and number is not None and last is not None and last >= number else None
    return {
        "age_seconds": max(0.0, (moment.now_ms - max(newest)) / 1000) if newest else None,
        "rate_seconds": own.seconds if own else None,
        "step_number": None if number is None else round(number),
        "to_go_seconds": togo,
        "steps_per_second": steps,
        "tokens_per_second": tokens,
        "samples_per_second": samples,
        "tokens_per_step": _total([rank.track.segments.tokens_a_step() for rank in ranks if rank.rates is not None]),
        "rate_cells": added(cells, len(edges) - 1),
        "phase": lead.phase,
        "phase_age_seconds": lead.phase_age,
        "loss": lead.track.last("loss", trainings.start_ms) if lead.told else None,
    }


def _nothing(lead: Rank, start_ms: int, end_ms: int) -> float | None:
    """0 for a cell in which no step of a rank that hangs has ended; ``None`` where it was not watched, or some have."""
    return 0.0 if lead.track.between(start_ms, end_ms, ("rank_steps_total",)).total("rank_steps_total") == 0 else None


# ---------------------------------------------------------------------------------------------------------------- steps


def _steps(card: Card, trainings: Trainings, ranks: Sequence[Rank], lead: Rank) -> dict[str, Any]:
    """Where a step goes: sums over all ranks between ends of steps, a step of a rank; single steps from their histograms."""
    sums, steps = together(rank.whole for rank in ranks), sum(rank.steps for rank in ranks)
    times = trainings.step_times(card.workload_id)
    whole = {phase: sums.amount(name) for phase, name in PHASE_SECONDS.items()}
    known = sum(seconds for seconds in whole.values() if seconds is not None)
    step = (known or sums.seconds("rank_steps_total")) / steps if steps else None
    phases = [
        PhaseView(
            phase, seconds / steps, seconds / known, _percentile(times, _PERCENTILES.get(phase), 0.95), _idle(sums, phase, steps)
        )
        for phase, seconds in whole.items()
        if seconds and steps
    ]
    counted, nonpad = sums.amount("counted_tokens_total"), sums.amount("nonpad_tokens_total")
    return {
        "window_seconds": (trainings.at_ms - min(rank.start_ms for rank in ranks)) / 1000,
        "step_seconds": step,
        "step_p50_seconds": _percentile(times, Latency.STEP, 0.5),
        "step_p95_seconds": _percentile(times, Latency.STEP, 0.95),
        "steps_in_window": lead.steps if steps else None,
        "phases": tuple(phases),
        "padding_ratio": max(0.0, 1 - nonpad / counted) if counted and nonpad is not None else None,
        "probed_steps": sums.total("probed_steps_total"),
        "drained_steps": sums.total("drained_steps_total"),
    }


def _percentile(times: Mapping[int, Mapping[tuple[int, int], int]], which: Latency | None, ratio: float) -> float | None:
    """Seconds, linear inside its bucket; ``None`` for few steps, and above the last bound."""
    buckets = times.get(which, {}) if which is not None else {}
    if sum(buckets.values()) < FEWEST:
        return None
    found = quantile(buckets, ratio)
    return None if found is None or found.value is None else found.value / 1e6


def _idle(sums: Sums, phase: Phase, steps: int) -> float | None:
    """Seconds a step in which the GPU had run out of work meanwhile, by the probe, of the steps that it looked at."""
    name, probed = PROBED.get(phase), sums.total("probed_steps_total")
    idle = sums.amount(name) if name and probed else None
    return None if idle is None or not probed else idle / probed


# ---------------------------------------------------------------------------------------------------------------- ranks


def _rank_views(moment: Moment, card: Card, ranks: Sequence[Rank]) -> tuple[RankView, ...]:
    by_uuid = {row["uuid"]: gpu_id for gpu_id, row in moment.rows.gpus.items()}
    held: dict[int, list[int]] = {}
    for proc_id, gpu_id in moment.rows.processes:
        if gpu_id in moment.rows.gpus:
            held.setdefault(proc_id, []).append(gpu_id)
    places = {}
    for rank in ranks:
        own = held.get(rank.row["proc_id"], [])
        known = by_uuid.get(rank.row["gpu_uuid"])
        places[rank.row["proc_id"]] = known if known is not None else own[0] if len(own) == 1 else None
    active = _sm_active(moment, {gpu_id for gpu_id in places.values() if gpu_id is not None})
    views = []
    for rank in ranks:
        place = places[rank.row["proc_id"]]
        index = moment.rows.gpus[place]["gpu_index"] if place is not None else None
        views.append(rank_view(rank, index, active.get(place) if place is not None else None))
    return tuple(sorted(views, key=lambda view: (view.rank is None, view.rank or 0, view.pid)))


def _sm_active(moment: Moment, gpu_ids: set[int]) -> dict[int, float]:
    """Of the GPUs' newest rows."""
    out: dict[int, float] = {}
    ticks = {facts.tick_id for gpu_id in gpu_ids if (facts := moment.rows.facts(gpu_id)) is not None and moment.at_ms - facts.ts_ms <= moment.stale_ms}  # fmt: skip
    for tick_id in ticks:
        out |= {gpu_id: pm / 1000 for gpu_id, pm in moment.window.gpu_table(tick_id, ("sm_active_pm",)) if pm is not None}
    return out


def _missing(found: Mapping[str, Any]) -> Mapping[str, Missing]:
    """Why a field is not there: nobody is in the process to tell it, or nothing came (yet, or any more)."""
    reason = Missing.STALE if found["attached"] else Missing.NOT_ATTACHED
    reasons = {name: reason for name in _OF_HOOK if found.get(name) is None}
    if found["attached"] and found["steps_per_second"]:  # 0: it stands still, and what is not there may have been
        reasons |= {name: Missing.NOT_SUPPORTED for name in reasons if name not in ("step_p50_seconds", "step_p95_seconds")}
    return reasons
