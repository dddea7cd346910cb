"""Sums over the pieces of a plan: one statement per tier, aggregated by SQLite before any name is looked up. Integers only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Literal

from gpuwatch.dataclass import NamedTuple
from gpuwatch.model import GpuSample
from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.store.columns import GPU_ROLLUP_FACTS, rollup
from gpuwatch.store.hours import HOUR_S
from gpuwatch.store.period import MINUTE_S, GpuScope, PeriodHost, Piece, Plan

Row = tuple[int, int, int, int, int]
Key = tuple[int, int, int]
"""(bucket, cause, tier)."""
KEY = "(m.bucket*8+m.cause)*4+m.tier"
KEYS: Mapping[int, Key] = {(b * 8 + c) * 4 + t: (int(b), int(c), int(t)) for b in Bucket for c in Cause for t in Tier}
"""What the key of a ledger row says."""

USE = (
    *GPU_ROLLUP_FACTS,
    *("utilization_obs_ms", "utilization_pm_ms", "utilization_pm_max"),
    *("gpm_obs_ms", "sm_active_pm_ms", "tensor_active_pm_ms", "dram_active_pm_ms"),
    *("memory_obs_ms", "memory_used_mib_ms", "memory_used_mib_max"),
    *("power_obs_ms", "power_mw_ms", "power_mw_max"),
    *("temperature_obs_ms", "temperature_c_max", "reasons_obs_ms"),
)
"""Columns of a GPU's use of a span."""
_METRICS, _BINS = 64, 2048
"""More than there are of each: a bin of 2047 would hold values of 10 to the power of 35."""
_ROOM = 1 << 24
"""More than the MiB of any GPU."""
_ADD, _OR, _MAX = range(3)
_HOW = tuple(_OR if name == "energy_src" else _MAX if name.endswith("_max") else _ADD for name in USE)


@cache
def _use_sql() -> tuple[str, ...]:
    how = {column.name: column.how for column in rollup(GpuSample)}
    out = []
    for name in USE:
        if name == "energy_src":
            out.append("max(m.energy_src&1)+max(m.energy_src&2)")
        else:
            out.append(f"{how[name] if how.get(name) in ('max', 'min') else 'sum'}(m.{name})")
    return tuple(out)


class Held(NamedTuple):
    """What one process had on one GPU in a span: peak memory, and SM utilization over the time in which it was told."""

    proc_id: int
    gpu_id: int
    observed_ms: int
    memory_mib_max: int | None
    sm_pm_ms: int | None
    sm_observed_ms: int | None


def cells(pieces: Sequence[Piece]) -> str:
    """The pieces as a table ``c(i, a, b)``; neighbours of one cell are one row."""
    rows: list[tuple[int, int, int]] = []
    for cell, _, start, end in sorted(pieces):
        if rows and rows[-1][0] == cell and rows[-1][2] == start:
            rows[-1] = (cell, rows[-1][1], end)
        else:
            rows.append((cell, start, end))
    return "WITH c(i,a,b) AS (VALUES " + ",".join([f"({i},{a},{b})" for i, a, b in rows]) + ") "


def _buckets(tier: str, pieces: Sequence[Piece]) -> str:
    """The starts of all buckets of pieces as a table ``c(a)``."""
    step = {"minute": MINUTE_S, "hour": HOUR_S}.get(tier)
    starts = [t for _, _, start, end in pieces for t in (range(start, end, step) if step else (start,))]
    return "WITH c(a) AS (VALUES " + ",".join([f"({t})" for t in starts]) + ") "


def by_tier(pieces: Iterable[Piece]) -> dict[str, list[Piece]]:
    """Tier -> its pieces, in the order of the plan."""
    out: dict[str, list[Piece]] = {}
    for piece in pieces:
        out.setdefault(piece.tier, []).append(piece)
    return out


def use_sums(scope: GpuScope, plan: Plan, by: Literal["cell", "gpu"]) -> dict[int, tuple[int | None, ...]]:
    """Cell or gpu_id -> the sums of :data:`USE`."""
    out: dict[int, tuple[int | None, ...]] = {}
    key = "c.i" if by == "cell" else "m.gpu_id"
    for tier, pieces in by_tier(plan.pieces).items():
        sql = (
            f"{cells(pieces)}SELECT {key}, {','.join(_use_sql())} FROM c CROSS JOIN gpu_{tier} m "
            f"WHERE m.t>=c.a AND m.t<c.b{scope.only()} GROUP BY 1"
        )
        for at, *values in scope.window.rows(sql, ()):
            out[at] = merge_use(out[at], values) if at in out else tuple(values)
    return out


def merge_use(first: Sequence[int | None], second: Sequence[int | None]) -> tuple[int | None, ...]:
    """The sums of two disjoint spans or GPUs as those of both."""
    return tuple(
        [
            b if a is None else a if b is None else a + b if how == _ADD else a | b if how == _OR else max(a, b)
            for a, b, how in zip(first, second, _HOW, strict=True)
        ]
    )


def process_sums(scope: GpuScope, plan: Plan, proc_ids: Collection[int] | None = None) -> list[Held]:
    """What each of some processes (``None``: all) had on each GPU over the whole plan."""
    out: dict[tuple[int, int], Held] = {}
    for tier, pieces in by_tier(plan.pieces).items():
        if proc_ids is None:
            table, which = cells([piece._replace(cell=0) for piece in pieces]), "m.t>=c.a AND m.t<c.b"
        else:  # a step of the key for each bucket and process, past all others
            table, which = _buckets(tier, pieces), f"m.t=c.a AND m.proc_id IN ({','.join(map(str, proc_ids)) or 'NULL'})"
        sql = (
            f"{table}SELECT m.proc_id, m.gpu_id, sum(m.obs_ms), max(m.gpu_memory_mib_max), sum(m.sm_pm_ms), sum(m.sm_obs_ms) "
            f"FROM c CROSS JOIN process_{tier} m WHERE {which} AND m.gpu_id<>0{scope.only()} GROUP BY 1, 2"
        )
        for row in scope.window.rows(sql, ()):
            had, new = out.get((row[0], row[1])), Held._make(row)
            out[row[0], row[1]] = new if had is None else _both(had, new)
    return list(out.values())


def memory_peaks(scope: GpuScope, plan: Plan) -> dict[int, int | None]:
    """proc_id -> most memory in MiB that it had on one GPU (``None``: not told), of all processes with rows on a GPU."""
    out: dict[int, int] = {}
    for tier, pieces in by_tier(plan.pieces).items():
        sql = (  # one number a row: adding up a hundred thousand rows by SQL takes twice as long as reading them
            f"{cells([piece._replace(cell=0) for piece in pieces])}SELECT m.proc_id*{_ROOM}+coalesce(m.gpu_memory_mib_max+1, 0) "
            f"FROM c CROSS JOIN process_{tier} m WHERE m.t>=c.a AND m.t<c.b AND m.gpu_id<>0{scope.only()}"
        )
        for (both,) in scope.window.each(sql):
            proc_id = both // _ROOM
            if out.get(proc_id, both) <= both:
                out[proc_id] = both
    return {proc_id: both % _ROOM - 1 if both % _ROOM else None for proc_id, both in out.items()}


def _both(a: Held, b: Held) -> Held:
    peaks = [value for value in (a.memory_mib_max, b.memory_mib_max) if value is not None]
    return Held(
        a.proc_id,
        a.gpu_id,
        a.observed_ms + b.observed_ms,
        max(peaks, default=None),
        _plus(a.sm_pm_ms, b.sm_pm_ms),
        _plus(a.sm_observed_ms, b.sm_observed_ms),
    )


def _plus(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else a + b


def provisional_ms(scope: GpuScope, plan: Plan) -> int:
    """Milliseconds of the plan's minutes that may still be booked anew."""
    total = 0
    for _, tier, start, end in plan.pieces:
        if tier == "minute":
            sql = f"SELECT coalesce(sum(m.ms), 0) FROM ledger_minute m WHERE m.t>=? AND m.t<? AND m.final=0 AND m.bucket>0{scope.only()}"
            total += int(scope.window.rows(sql, (start, end))[0][0])
    return total


def last_busy(host: PeriodHost, plan: Plan) -> dict[int, int]:
    """gpu_id -> unix second at which the last bucket of the span ended in which the GPU was not quiet all the time.

    The coarsest tier finds the day or hour, the finer ones, where they reach, the hour and minute in it.
    """
    out: dict[int, int] = {}
    for tier, start, end in reversed(plan.spans()):
        if len(out) == len(host.gpu_ids):
            break
        found: dict[int, set[int]] = {}
        for gpu_id, t in _last_bucket(host, tier, start, end).items():
            if gpu_id not in out:
                found.setdefault(t, set()).add(gpu_id)
        for t, gpu_ids in found.items():
            out.update(_ended(host, tier, t, gpu_ids))
    return out


def _ended(host: PeriodHost, tier: str, t: int, gpu_ids: set[int]) -> dict[int, int]:
    """When these GPUs were last busy in the bucket of a tier that begins at ``t``, as finely as the rows reach."""
    start, end = (t, t + MINUTE_S) if tier == "minute" else host.hour(t) if tier == "hour" else next(host.days(t, t + 1))
    out = dict.fromkeys(gpu_ids, end)
    finer = {"day": "hour", "hour": "minute"}.get(tier)
    if finer:
        found: dict[int, set[int]] = {}
        for gpu_id, at in _last_bucket(host, finer, start, end).items():
            if gpu_id in gpu_ids:
                found.setdefault(at, set()).add(gpu_id)
        for at, some in found.items():
            out.update(_ended(host, finer, at, some))
    return out


def _last_bucket(host: PeriodHost, tier: str, start: int, end: int) -> dict[int, int]:
    sql = f"SELECT m.gpu_id, max(m.t) FROM gpu_{tier} m WHERE m.t>=? AND m.t<? AND m.quiet_ms<m.quiet_known_ms{host.asked.only()} GROUP BY 1"
    return host.by_gpu(sql, start, end)


def histogram(scope: GpuScope, pieces: Sequence[Piece], metrics: Sequence[int]) -> dict[int, dict[int, dict[int, int]]]:
    """gpu_id -> metric -> bin -> milliseconds, over whole hours and days."""
    out: dict[int, dict[int, dict[int, int]]] = {}
    for tier, some in by_tier(pieces).items():
        sql = (
            f"{cells(some)}SELECT (m.entity_id*{_METRICS}+m.metric)*{_BINS}+m.bin+1, sum(m.weight) FROM c CROSS JOIN hist_{tier} m "
            f"WHERE m.t>=c.a AND m.t<c.b AND m.entity=0 AND m.metric IN ({','.join(map(str, metrics))})"
            f"{scope.only('m.entity_id')} GROUP BY 1"
        )
        for key, weight in scope.window.rows(sql, ()):  # one number is sorted faster than three
            (gpu_id, metric), number = divmod(key // _BINS, _METRICS), key % _BINS - 1
            bins = out.setdefault(gpu_id, {}).setdefault(metric, {})
            bins[number] = bins.get(number, 0) + weight
    return out
