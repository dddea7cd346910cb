"""The training runs of a report: what each held, counted and cost in the span, and how many experiments that is per GPU-day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gpuwatch.names import Missing, RunOutcome
from gpuwatch.prices import WATT_HOURS_PER_KWH, Prices
from gpuwatch.store import period_trained
from gpuwatch.store.period_served import ServerTime, gpu_time
from gpuwatch.store.period_trained import Trained
from gpuwatch.training import lost_gpu_ms
from gpuwatch.view.counts import median
from gpuwatch.view.period.host import HostPart
from gpuwatch.view.period.ledger import Sums, add, ledger, summed
from gpuwatch.view.period.run_row import Experiments, RunRow
from gpuwatch.view.terms import Terms

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
KWH_MJ = 3600 * WATT_HOURS_PER_KWH * 1000
FAILED = (RunOutcome.FAILED, RunOutcome.DIED)


def run_rows(parts: Sequence[HostPart], terms: Terms) -> tuple[RunRow, ...]:
    """One row for each run, in the order of their start."""
    rows: list[RunRow] = []
    for part in parts:
        found = period_trained.runs(part.window, part.host.host_id, part.start_s, part.end_s)
        if found:
            rows += _rows(part, found, terms.prices)
    return tuple(sorted(rows, key=lambda row: (row.started_ms, row.host, row.root_pid)))


def _rows(part: HostPart, found: Sequence[Trained], prices: Prices) -> list[RunRow]:
    ids = [run.workload_id for run in found]
    counts = period_trained.counted(part.window, part.use_plan, ids)
    held: dict[int, list[ServerTime]] = {}
    for row in gpu_time(part.window, part.ledger_plan, ids, by_cell=prices.known):
        if row.gpu_id in part.gpus:
            held.setdefault(row.workload_id, []).append(row)
    return [_row(part, run, counts.get(run.workload_id, {}), held.get(run.workload_id, ()), prices) for run in found]


def _row(part: HostPart, run: Trained, counts: Mapping[str, int], held: Sequence[ServerTime], prices: Prices) -> RunRow:
    start_ms, end_ms = part.start_s * 1000, part.end_s * 1000
    ended = run.ended_ms is not None and run.ended_ms <= end_ms
    outcome = RunOutcome(run.outcome) if ended else RunOutcome.RUNNING
    gpu_ids = {row.gpu_id for row in held if row.ms}
    metered = [part.books_energy(gpu_id) for gpu_id in gpu_ids]
    sums: Sums = {}
    for each in summed((0, row.key, row.ms, row.mj) for row in held).values():
        add(sums, each)
    made = ledger(sums, energy=None if metered and all(metered) else Missing.NOT_SUPPORTED)
    cost, price = _cost(part, held, prices, made.energy_mj)
    first = run.first_step_ms
    known = first is not None and run.started_ms <= first < end_ms
    stepping = _stepping_seconds(counts)
    lived = run.ended_ms, run.last_checkpoint_ms, first, run.started_ms
    cut = run.started_ms < start_ms or not ended
    seen = {f"{name}_total": counts.get(f"{name}_sum") for name in ("steps", "tokens", "samples")}
    totals = seen if cut else {name: seen[name] if own is None else own for name, own in zip(seen, (run.steps, run.tokens, run.samples), strict=True)}  # fmt: skip
    reason = Missing.NOT_ATTACHED if not run.attached else Missing.NOT_SUPPORTED if counts.get("steps_sum") else Missing.STALE
    rates = {f"{name}_per_second": _rate(seen[f"{name}_total"], stepping) for name in ("tokens", "samples")}
    return RunRow(
        host=part.host.name,
        root_pid=run.root_pid,
        root_start_ms=run.root_start_ms,
        name=run.name,
        model=run.model,
        user=run.user,
        job=run.job,
        command=run.command,
        git_commit=run.git_commit,
        started_ms=run.started_ms,
        first_step_ms=first if known else None,
        first_step_seconds=(first - run.started_ms) / 1000 if known and first is not None else None,
        ended_ms=run.ended_ms if ended else None,
        outcome=outcome,
        exit_code=run.exit_code if ended else None,
        detail=run.detail if ended else "",
        attached=bool(run.attached),
        cut=cut,
        ranks=run.ranks,
        gpus=tuple(sorted((part.host.name, part.board_index(gpu_id)) for gpu_id in gpu_ids)),
        ledger=made,
        lost_gpu_ms=lost_gpu_ms(outcome, lived, len(gpu_ids), sum(row.ms for row in held)) if held else None,
        cost=cost,
        currency=prices.currency if price else "",
        price=price,
        missing={name: reason for name, value in {**totals, **rates}.items() if value is None},
        tokens_per_second=rates["tokens_per_second"],
        samples_per_second=rates["samples_per_second"],
        **totals,
    )


def _stepping_seconds(counts: Mapping[str, int]) -> float | None:
    """How long the run was watched in the span after its first step: the time of its ranks over how many of them step together.

    A log tells no time: its own is that in which its lines were counted.
    """
    steps, rank_steps = counts.get("steps_sum"), counts.get("rank_steps_sum")
    attached = counts.get("attached_ms_sum", counts.get("training_obs_ms"))
    if not steps or not rank_steps or not attached:
        return None
    return max(0, attached - counts.get("starting_ms_sum", 0)) / 1000 / max(1.0, rank_steps / steps)


def _rate(amount: int | None, seconds: float | None) -> float | None:
    return amount / seconds if amount is not None and seconds else None


def _cost(part: HostPart, held: Iterable[ServerTime], prices: Prices, energy_mj: int | None) -> tuple[float | None, str]:
    """What its GPU time cost, and the prices that say so; nothing where a part that has a price list cannot be told."""
    rows = [row for row in held if row.ms]
    if not prices.known or not rows:
        return None, ""
    cost, told = 0.0, set()
    for row in rows if prices.gpus else ():
        price = prices.gpu_hour(part.gpus[row.gpu_id]["name"], part.ledger_plan.edges[row.cell] * 1000)
        if price is None:
            return None, ""
        told.add(price)
        cost += price * row.ms / HOUR_MS
    words = [f"{' and '.join(prices.money(price) for price in sorted(told, reverse=True))}/GPU·h"] if told else []
    if prices.kwh is not None:
        if energy_mj is None:
            return None, ""
        cost += energy_mj / KWH_MJ * prices.kwh
        words.append(f"{prices.money(prices.kwh)}/kWh")
    return cost, " + ".join(words)


def experiments(rows: Sequence[RunRow], parts: Sequence[HostPart], capacity_gpu_ms: int) -> Experiments | None:
    """All runs together; ``None`` where there was none. ``capacity_gpu_ms`` is that of all GPUs of the span."""
    if not rows:
        return None
    starts = {part.host.name: part.start_s * 1000 for part in parts}
    began = [row for row in rows if row.started_ms >= starts[row.host]]
    failed = [row for row in rows if row.outcome in FAILED]
    held = sum(row.ledger.capacity_gpu_ms for row in rows)
    finished = sum(row.outcome is RunOutcome.FINISHED for row in rows)
    first = [row.first_step_seconds for row in began if row.first_step_seconds is not None]
    lost = [row.lost_gpu_ms for row in failed if row.ledger.capacity_gpu_ms]
    costs = [row.cost for row in failed if row.ledger.capacity_gpu_ms]
    priced = [row for row in failed if row.price]
    return Experiments(
        started=len(began),
        outcomes={outcome: sum(row.outcome is outcome for row in rows) for outcome in RunOutcome},
        capacity_gpu_ms=capacity_gpu_ms,
        run_gpu_ms=held,
        started_per_gpu_day=_a_day(len(began), capacity_gpu_ms),
        started_per_run_gpu_day=_a_day(len(began), held),
        finished_per_gpu_day=_a_day(finished, capacity_gpu_ms),
        failed_gpu_ms=sum(row.ledger.capacity_gpu_ms for row in failed),
        failed_lost_gpu_ms=sum(ms for ms in lost if ms is not None) if lost and None not in lost else None,
        first_step_seconds=median(first) if first else None,
        first_steps=len(first),
        failed_cost=sum(cost for cost in costs if cost is not None) if costs and None not in costs else None,
        currency=priced[0].currency if priced else "",
        price=" and ".join(dict.fromkeys(row.price for row in priced)),
    )


def _a_day(count: int, gpu_ms: int) -> float | None:
    return count / (gpu_ms / DAY_MS) if gpu_ms else None
