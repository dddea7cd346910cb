"""A run as a row of the store with what it has cost, and what its ranks did since they were attached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.measure import measures
from gpuwatch.names import RunOutcome
from gpuwatch.prices import WATT_HOURS_PER_KWH, Prices
from gpuwatch.store.columns import rollup
from gpuwatch.store.window import Window
from gpuwatch.training import TrainingSample, lost_gpu_ms
from gpuwatch.view.blocks import BLOCK_MS
from gpuwatch.view.counts import NOTHING, Sum, Sums, together
from gpuwatch.view.live import MINUTE_MS, Rows
from gpuwatch.view.trained import ROWS_MS, Trainings
from gpuwatch.view.training_track import COUNTS
from gpuwatch.view.training_types import RunView

HOUR_MS = 3_600_000
SINCE = (
    *("attached_seconds", "forward_seconds", "backward_seconds", "optimizer_seconds", "checkpoint_seconds", "eval_seconds"),
    *("steps_total", "tokens_total", "samples_total", "compilations_total", "alloc_retries_total", "out_of_memory_total"),
)
"""What is told of the time since a run's start."""
JOULES_PER_KWH = 3600 * WATT_HOURS_PER_KWH
WATCHED = 0.9
"""Shares of a run's time need so much of it watched."""
_MEASURES = measures(TrainingSample)
_ROLLED = {column.source: column for column in rollup(TrainingSample) if column.how == "sum"}
_SINCE = tuple((name, _ROLLED[_MEASURES[name].column]) for name in COUNTS if _MEASURES[name].column in _ROLLED)
COLUMNS = tuple(dict.fromkeys(c for _, r in _SINCE for c in (r.name, f"{r.group}_obs_ms")))


def since_start(window: Window, trainings: Trainings, workload_id: int, started_ms: int) -> Sums:
    """The counts of all ranks together since a run's start: closed minutes, and the rows after them."""
    at_ms = trainings.at_ms
    start_ms = started_ms // MINUTE_MS * MINUTE_MS
    closed_ms = max(start_ms, min(window.watermark("minute") * 1000, at_ms // MINUTE_MS * MINUTE_MS))
    kept = trainings.since.get(workload_id)
    if kept is None or kept[0] != (start_ms, closed_ms):
        kept = trainings.since[workload_id] = ((start_ms, closed_ms), _minutes(window, workload_id, start_ms, closed_ms))
    after_ms = max(closed_ms, at_ms - ROWS_MS)
    return together([kept[1], *(track.between(after_ms, at_ms, SINCE) for track in trainings.ranks(workload_id).values())])


def _minutes(window: Window, workload_id: int, start_ms: int, end_ms: int) -> Sums:
    found = window.workload_sums((workload_id,), COLUMNS, start_ms // 1000, end_ms // 1000) if start_ms < end_ms else ()
    return next((minute_counts(values) for _, *values in found), NOTHING)


def minute_counts(values: Sequence[int | None]) -> Sums:
    """The counts of ``COLUMNS`` of one minute, or of the sums of several: of all ranks together, as are the times."""
    row = dict(zip(COLUMNS, values, strict=True))
    out: dict[str, Sum] = {}
    for name, rolled in _SINCE:
        value, ms = row[rolled.name], row[f"{rolled.group}_obs_ms"]
        if value is not None and ms:
            out[name] = Sum(value, ms)
    return Sums(out)


class Used(NamedTuple):
    """GPU time of a run in the ledger, by GPU, and its energy (``None`` where one of them tells none)."""

    gpu_ms: Mapping[int, int]
    energy_mj: int | None


def used(window: Window, rows: Rows, workload_id: int, started_ms: int, end_ms: int, *, ended: bool) -> Used | None:
    """What the ledger books on a workload from its start to ``end_ms``: closed hours and minutes, younger time by single rows.

    Of one that has ended the minute of its end counts as a whole as soon as it is closed: single rows of then may not be read any more.
    """
    end, last_ms = end_ms // BLOCK_MS * BLOCK_MS, -(-end_ms // MINUTE_MS) * MINUTE_MS
    if ended and window.watermark("ledger") * 1000 >= last_ms:
        end = last_ms
    closed_ms = max(started_ms // MINUTE_MS * MINUTE_MS, min(end, window.watermark("ledger") * 1000) // MINUTE_MS * MINUTE_MS)
    name, key = f"run used {workload_id}", (closed_ms, end)
    kept = window.memo.get(name)
    if kept is None or kept[0] != key:
        kept = window.memo[name] = (key, _used(window, rows, workload_id, (started_ms, closed_ms, end)))
    found: Used | None = kept[1]
    return found


def _used(window: Window, rows: Rows, workload_id: int, span_ms: tuple[int, int, int]) -> Used | None:
    started_ms, closed_ms, end = span_ms
    time: dict[int, list[int]] = {}
    for gpu_id, ms, mj in _closed(window, workload_id, started_ms // MINUTE_MS * 60, closed_ms // 1000):
        had = time.setdefault(gpu_id, [0, 0])
        had[0], had[1] = had[0] + ms, had[1] + mj
    processes = {row[0] for row in window.rows("SELECT proc_id FROM process WHERE workload_id=?", (workload_id,))}
    for gpu_id, track in rows.tracks.items() if not rows.final else ():
        for number in range(max(closed_ms, started_ms) // BLOCK_MS, end // BLOCK_MS):
            for row in track.ledger.block(number):
                if row.owner in processes:
                    had = time.setdefault(gpu_id, [0, 0])
                    had[0], had[1] = had[0] + row.ms, had[1] + row.energy_mj
    if not time:
        return None
    energy = sum(mj for _, mj in time.values()) if all(mj for _, mj in time.values()) else None
    return Used({gpu_id: ms for gpu_id, (ms, _) in time.items()}, energy)


def _closed(window: Window, workload_id: int, start_s: int, end_s: int) -> Sequence[tuple[int, int, int]]:
    """(gpu_id, ms, mj) of closed time; whole hours whose minutes may be gone come from their rows."""
    if start_s >= end_s:
        return ()
    name, span = f"used {workload_id}", (start_s, end_s)
    kept = window.memo.get(name)
    if kept is None or kept[0] != span:
        first, last = window.whole_hours(start_s, end_s)
        parts = (("minute", start_s, first), ("hour", first, last), ("minute", last, end_s)) if first < last else (("minute", start_s, end_s),)  # fmt: skip
        found: list[tuple[int, int, int]] = []
        for tier, begin, end in parts:
            sql = (
                f"SELECT l.gpu_id, sum(l.ms), sum(l.energy_mj) FROM ledger_{tier} l JOIN owner o ON o.owner_id=l.owner_id "
                "WHERE l.t>=? AND l.t<? AND o.workload_id=? GROUP BY 1"
            )
            found += window.rows(sql, (begin, end, workload_id)) if begin < end else []
        kept = window.memo[name] = (span, found)
    rows: Sequence[tuple[int, int, int]] = kept[1]
    return rows


def run_view(
    row: Mapping[str, Any], work: Mapping[str, Any], spent: Used | None, gpus: int | None, at_ms: int, now: Sums
) -> RunView:
    """A run at an instant; ``now`` are its counts until then, which the store's row may be ahead of."""
    ended = row["ended_ms"] is not None and row["ended_ms"] <= at_ms
    ahead = max((row[name] or 0 for name in ("last_step_ms", "last_checkpoint_ms", "ended_ms")), default=0) > at_ms
    lived = (row[name] for name in ("ended_ms", "last_checkpoint_ms", "first_step_ms", "started_ms"))
    lost = lost_gpu_ms(row["outcome"], tuple(lived), len(spent.gpu_ms), sum(spent.gpu_ms.values())) if ended and spent else None
    return RunView(
        root_pid=work["root_pid"],
        root_start_ms=work["root_start_ms"],
        name=work["name"],
        user=work["user"],
        job=work["job"],
        command=row["command"],
        git_commit=row["git_commit"],
        started_ms=row["started_ms"],
        outcome=RunOutcome(row["outcome"]) if ended else RunOutcome.RUNNING,
        **{name: _until(row[name], at_ms) for name in ("first_step_ms", "last_step_ms", "last_checkpoint_ms", "ended_ms")},
        exit_code=row["exit_code"] if ended else None,
        detail=row["detail"] if ended else "",
        **{
            f"{name}_total": _counted(None if ahead else row[name], now.total(f"{name}_total"))
            for name in ("steps", "tokens", "samples")
        },
        step_number=None if ahead else row["step_number"],
        total_steps=row["total_steps"],
        ranks=row["ranks"],
        gpus=gpus,
        gpu_seconds=sum(spent.gpu_ms.values()) / 1000 if spent else None,
        energy_joules=spent.energy_mj / 1000 if spent and spent.energy_mj is not None else None,
        lost_gpu_seconds=None if lost is None else lost / 1000,
        attached=bool(row["attached"]),
    )


def _counted(told: int | None, seen: int | None) -> int | None:
    """What a run has counted: its row has what came before the recorder too, and is some seconds old; the rows of its ranks are not."""
    return max(told, seen) if told is not None and seen is not None else seen if told is None else told


def _until(ms: int | None, at_ms: int) -> int | None:
    """An instant of the run's life, if it had come."""
    return ms if ms is not None and ms <= at_ms else None


def cost(spent: Used | None, names: Mapping[int, str], prices: Prices, started_ms: int, at_ms: int) -> tuple[float | None, str]:
    """What a run has cost, with the prices; nothing where one is missing, or changed while it ran."""
    if spent is None or not prices.known:
        return None, ""
    amount, told = 0.0, set()
    for gpu_id, ms in spent.gpu_ms.items() if prices.gpus else ():
        price = prices.gpu_hour(names.get(gpu_id, ""), at_ms)
        if price is None or price != prices.gpu_hour(names.get(gpu_id, ""), started_ms):
            return None, ""
        told.add(price)
        amount += price * ms / HOUR_MS
    words = [f"{' and '.join(prices.money(price) for price in sorted(told, reverse=True))}/GPU·h"] if told else []
    if prices.kwh is not None:
        if spent.energy_mj is None:
            return None, ""
        amount += spent.energy_mj / 1000 / JOULES_PER_KWH * prices.kwh
        words.append(f"{prices.money(prices.kwh)}/kWh")
    return amount, " + ".join(words)
