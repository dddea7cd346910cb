"""Sums of served models over the pieces of a plan: which servers there were, what they counted, how long requests waited, whose
GPU time it was. Workloads have the minutes, hours and days of the GPUs of their host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Bucket
from gpuwatch.store.period import Plan
from gpuwatch.store.period_sums import KEY, by_tier, cells
from gpuwatch.store.window import Window

HELD_KEY = (int(Bucket.IDLE_UNATTRIBUTED) + 1) * 32
COUNTS = ("window_obs_ms", "tokens_obs_ms", "output_tokens_sum", "prefill_tokens_sum", "cached_tokens_sum", "requests_sum", "ttft_count_sum", "ttft_sum_us_sum", "itl_count_sum", "itl_sum_us_sum")  # fmt: skip
_SERVERS = (
    "SELECT w.workload_id, w.name, coalesce(nullif(s.served_model, ''), w.model), coalesce(nullif(s.engine, ''), w.engine), f.quality "
    "FROM workload w LEFT JOIN server s ON s.workload_id=w.workload_id LEFT JOIN server_field f ON f.workload_id=w.workload_id AND "
    "f.field='output_tokens_total' WHERE w.host_id=? AND w.kind='inference' AND w.first_ms<? AND w.last_ms>=? ORDER BY w.workload_id"
)
_LEDGER = (
    f"SELECT c.i, o.workload_id, m.gpu_id, {KEY}, sum(m.ms), sum(m.energy_mj) FROM c CROSS JOIN ledger_{{tier}} m "
    f"CROSS JOIN owner o ON o.owner_id=m.owner_id WHERE m.t>=c.a AND m.t<c.b AND m.bucket>{HELD_KEY // 32 - 1} "
    "AND m.owner_id IN ({owners}) GROUP BY 1, 2, 3, 4"
)


class Served(NamedTuple):
    """One server; ``quality`` of its output tokens."""

    workload_id: int
    name: str
    model: str
    engine: str
    quality: int | None


class ServerTime(NamedTuple):
    """GPU time of one server in one cell."""

    cell: int
    workload_id: int
    gpu_id: int
    key: int
    ms: int
    mj: int


def servers(window: Window, host_id: int, start_s: int, end_s: int) -> list[Served]:
    """The inference workloads of a host that were there in a span; none in a file that is too old to have any."""
    if not window.knows_servers:
        return []
    return [Served._make(row) for row in window.rows(_SERVERS, (host_id, end_s * 1000, start_s * 1000))]


def counted(window: Window, plan: Plan, workload_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """workload_id -> the sums of :data:`COUNTS` that are known, over the whole plan."""
    out: dict[int, dict[str, int]] = {}
    sums = ",".join(f"sum(m.{name})" for name in COUNTS)
    for workload_id, *values in asked(window, plan, "workload", f"m.workload_id, {sums}", "1", workload_ids):
        there = out.setdefault(workload_id, {})
        for name, value in zip(COUNTS, values, strict=True):
            if value is not None:
                there[name] = there.get(name, 0) + value
    return out


def waited(window: Window, plan: Plan, workload_ids: Sequence[int]) -> list[tuple[int, int, int, int, int]]:
    """(workload_id, latency, lower_us, upper_us, observations) over the whole plan; a bucket may come more than once."""
    what = "m.workload_id, m.latency, m.lower_us, m.upper_us, sum(m.n)"
    return asked(window, plan, "latency", what, "1, 2, 3, 4", workload_ids)


def asked(window: Window, plan: Plan, table: str, what: str, by: str, workload_ids: Sequence[int]) -> list[Any]:
    """``what`` of the rows of these workloads in ``table`` over the whole plan, grouped ``by``, tier by tier: a group may come more than once."""
    out: list[Any] = []
    marks = ",".join(map(str, workload_ids))
    for tier, pieces in by_tier(plan.pieces).items():
        whole = cells([piece._replace(cell=0) for piece in pieces])
        sql = f"{whole}SELECT {what} FROM c CROSS JOIN {table}_{tier} m WHERE m.t>=c.a AND m.t<c.b AND m.workload_id IN ({marks})"
        out += window.rows(f"{sql} GROUP BY {by}", ())
    return out


def gpu_time(window: Window, plan: Plan, workload_ids: Sequence[int], *, by_cell: bool) -> list[ServerTime]:
    """What these servers' processes held, by the cells of the plan or (cell 0) over the whole of it."""
    marks = ",".join(map(str, workload_ids))
    owners = ",".join(str(row[0]) for row in window.rows(f"SELECT owner_id FROM owner WHERE workload_id IN ({marks})", ()))
    out: list[ServerTime] = []
    for tier, pieces in by_tier(plan.pieces).items() if owners else ():
        table = cells(pieces if by_cell else [piece._replace(cell=0) for piece in pieces])
        out += [ServerTime._make(row) for row in window.rows(table + _LEDGER.format(tier=tier, owners=owners), ())]
    return out
