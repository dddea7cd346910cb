"""What the last day of each GPU and each job was, from closed hours: worked out once an hour, since hours do not change.

Hours are taken twenty-five minutes after their end, when they and their ledger are closed, so that a recorder and a replay of its
store go by the same ones. Only what fails is asked for each minute.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import NamedTuple, replace
from gpuwatch.names import RunOutcome
from gpuwatch.rules.looks import GpuDay, JobDay, JobFacts
from gpuwatch.store.archive.hist import METRICS, percentile
from gpuwatch.store.hours import HOUR_S, hour_offset_s, hour_start_s

_DAY_S, _WEEK_S, _SETTLED_S = 86_400, 7 * 86_400, 1500
_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
_UTILIZATION, _MEMORY = (next(n for n, m in METRICS.items() if m.column == c) for c in ("utilization_pm", "memory_used_mib"))
_LIKE_PROMPT, _LIKE_LOAD = 0.25, 0.5
_MOST = 0.9
"""A sum stands for a day if it is of so much of what is known of it."""
_FLOOR_RATIO, _FLOOR_WATTS = 0.15, 75.0
"""The idle power of a GPU that was never seen idle: this share of its limit, at most so much."""
_GPUS = (
    "SELECT gpu_id, sum(obs_ms), sum(quiet_known_ms), sum(quiet_ms), sum(utilization_pm_ms), sum(utilization_obs_ms), "
    "sum(sm_active_pm_ms), sum(gpm_obs_ms), sum(energy_used_mj), sum(quiet_energy_mj), max(energy_src), sum(power_limit_mw_ms), "
    "sum(power_limit_obs_ms) FROM gpu_hour WHERE t>=? AND t<? AND gpu_id IN (SELECT gpu_id FROM gpu WHERE host_id=?) GROUP BY gpu_id"
)
_FLOORS = "SELECT gpu_id, idle_power_mw, power_limit_watts FROM gpu WHERE host_id=?"
_SPREAD = (
    "SELECT entity_id, metric, bin, sum(weight) FROM hist_hour WHERE t>=? AND t<? AND entity=0 AND metric IN (?,?) "
    "AND entity_id IN (SELECT gpu_id FROM gpu WHERE host_id=?) GROUP BY 1, 2, 3"
)
_HELD = (
    "SELECT m.gpu_id, m.proc_id, min(p.first_ms), max(p.last_ms) FROM process_hour m JOIN process p ON p.proc_id=m.proc_id "
    "WHERE m.t>=? AND m.t<? AND m.gpu_id>0 AND p.host_id=? GROUP BY 1, 2 ORDER BY 1, 3"
)
_JOBS = (
    "SELECT m.workload_id, m.t, m.obs_ms, coalesce(m.kv_cache_fullest_pm_max, m.kv_cache_pm_max), m.waiting_milli_max, m.requests_sum, "
    "m.output_tokens_sum, m.tokens_sum, coalesce(m.prompt_tokens_sum, m.prefill_tokens_sum) FROM workload_hour m JOIN workload w ON "
    "w.workload_id=m.workload_id AND w.host_id=? WHERE m.t>=? AND m.t<? ORDER BY m.t"
)
_LEDGER = (
    "SELECT o.workload_id, m.t, sum(m.ms), sum(m.energy_mj) FROM ledger_hour m JOIN owner o ON o.owner_id=m.owner_id "
    "WHERE m.t>=? AND m.t<? AND o.workload_id>0 AND o.host_id=? GROUP BY 1, 2"
)
_FAILED = (
    "SELECT r.command, count(*) FROM run r JOIN workload w ON w.workload_id=r.workload_id WHERE w.host_id=? AND r.ended_ms>? "
    f"AND r.ended_ms<=? AND r.outcome IN ({int(RunOutcome.FAILED)},{int(RunOutcome.DIED)}) AND r.command<>'' GROUP BY 1"
)


class _Hour(NamedTuple):
    """An hour of a job."""

    t: int
    obs_ms: int
    kv_cache_pm: int | None
    waiting_milli: int | None
    requests: int | None
    output_tokens: int | None
    trained_tokens: int | None
    prompt_tokens: int | None

    @property
    def tokens(self) -> int | None:
        """All of them, of a server prompts and answers."""
        told = [n for n in (self.output_tokens, self.prompt_tokens, self.trained_tokens) if n is not None]
        return sum(told) if told else None

    @property
    def prompt_share(self) -> float | None:
        """Prompt tokens over all; ``None`` for what has none."""
        return None if self.prompt_tokens is None or not self.tokens else self.prompt_tokens / self.tokens


class Days:
    """The last day of one host, for looks in the order of time."""

    def __init__(self, db: sqlite3.Connection, host_id: int) -> None:
        self._db, self._host_id = db, host_id
        self._hour: int | None = None
        self._minute: int | None = None
        self.gpus: Mapping[int, GpuDay] = {}
        self._jobs: dict[int, JobDay] = {}
        self._failures: dict[str, int] = {}

    def steps(self, t_ms: int) -> Iterator[None]:
        """Learn what is new at a look, in pieces."""
        if t_ms // _MINUTE_MS != self._minute:
            self._minute = t_ms // _MINUTE_MS
            self._failures = dict(self._db.execute(_FAILED, (self._host_id, t_ms - _DAY_MS, t_ms)).fetchall())
        end = hour_start_s(t_ms // 1000 - _SETTLED_S, hour_offset_s(self._db, self._host_id))
        if end == self._hour:
            return
        self._hour = end
        yield
        spread = self._spread(end)
        yield
        starts = self._starts(end)
        yield
        self.gpus = self._gpu_days(end, spread, starts)
        yield
        ledger: dict[tuple[int, int], tuple[int, int]] = {}
        for start in range(end - _WEEK_S, end, _DAY_S):
            for workload_id, t, ms, mj in self._db.execute(_LEDGER, (start, start + _DAY_S, self._host_id)):
                ledger[workload_id, t] = (ms, mj)
            yield
        hours: dict[int, list[_Hour]] = {}
        for workload_id, *row in self._db.execute(_JOBS, (self._host_id, end - _WEEK_S, end)).fetchall():
            hours.setdefault(workload_id, []).append(_Hour(*row))
        self._jobs = {workload_id: _job_day(workload_id, some, end, ledger) for workload_id, some in hours.items()}
        yield

    def of_jobs(self, jobs: Mapping[int, JobFacts]) -> Mapping[int, JobDay]:
        """The last day of these jobs, with how often their command line has failed."""
        empty = JobDay(0.0)
        return {
            workload_id: replace(self._jobs.get(workload_id, empty), failures=self._failures.get(_command(job), 0))
            for workload_id, job in jobs.items()
            if workload_id in self._jobs or job.kind == "training"
        }

    def _spread(self, end: int) -> dict[int, dict[int, Counter[int]]]:
        """GPU -> metric -> bin -> time, of the last day."""
        out: dict[int, dict[int, Counter[int]]] = {}
        for gpu_id, metric, number, weight in self._db.execute(_SPREAD, (end - _DAY_S, end, _UTILIZATION, _MEMORY, self._host_id)):
            out.setdefault(gpu_id, {}).setdefault(metric, Counter())[number] += weight
        return out

    def _starts(self, end: int) -> Counter[int]:
        """How many processes came to a GPU that no other held, by when they were seen first and last."""
        out = Counter[int]()
        until: dict[int, int] = {}
        for gpu_id, _, first_ms, last_ms in self._db.execute(_HELD, (end - _DAY_S, end, self._host_id)):
            if first_ms > (end - _DAY_S) * 1000 and first_ms >= until.get(gpu_id, 0):
                out[gpu_id] += 1
            until[gpu_id] = max(until.get(gpu_id, 0), last_ms)
        return out

    def _gpu_days(self, end: int, spread: Mapping[int, Mapping[int, Counter[int]]], starts: Counter[int]) -> dict[int, GpuDay]:
        floors = {gpu_id: (floor, limit) for gpu_id, floor, limit in self._db.execute(_FLOORS, (self._host_id,))}
        out = {}
        for gpu_id, *row in self._db.execute(_GPUS, (end - _DAY_S, end, self._host_id)).fetchall():
            of = spread.get(gpu_id, {})
            out[gpu_id] = _gpu_day(row, floors.get(gpu_id, (None, None)), of, starts[gpu_id])
        return out


def _gpu_day(row: Sequence[Any], floor: tuple[int | None, float | None], spread: Mapping[int, Counter[int]], starts: int) -> GpuDay:
    """A GPU's day from sums over its hours. What it did while quiet is next to nothing: all of it is counted as active time's."""
    obs, known, quiet, util, util_obs, sm, gpm_obs, energy, quiet_energy, source, limit, limit_obs = row
    active = known - quiet if known else None
    memory = percentile(spread[_MEMORY], 0.99) if _MEMORY in spread else None
    utilization = percentile(spread[_UTILIZATION], 0.99) if _UTILIZATION in spread else None
    fraction = None
    limit_watts = limit / limit_obs / 1000 if limit_obs else floor[1]
    if active and source and limit_watts:
        idle = floor[0] / 1000 if floor[0] is not None else min(_FLOOR_RATIO * limit_watts, _FLOOR_WATTS)
        fraction = _ratio(((energy - quiet_energy) / active - idle) / (limit_watts - idle)) if limit_watts > idle else None
    return GpuDay(
        observed_hours=obs / 3_600_000,
        active_hours=None if active is None else active / 3_600_000,
        utilization_active=_ratio(util / 1000 / active)
        if active and (util_obs or 0) >= _MOST * known and util is not None
        else None,
        utilization_p99=None if utilization is None else _ratio(utilization / 1000),
        sm_active=_ratio(sm / 1000 / active) if active and (gpm_obs or 0) >= _MOST * known and sm is not None else None,
        power_fraction_active=fraction,
        memory_p99=None if memory is None else memory * 1024**2,
        energy_joules=energy / 1000 if source else None,
        starts=starts,
    )


def _job_day(workload_id: int, hours: Sequence[_Hour], end: int, ledger: Mapping[tuple[int, int], tuple[int, int]]) -> JobDay:
    """A job's day, and what its own week says of its last hour; ``hours`` are those of the week, oldest first."""
    day = [hour for hour in hours if hour.t >= end - _DAY_S]
    tokens = [hour.tokens for hour in day if hour.tokens is not None]
    cost = {
        hour.t: ms / 1000 / hour.tokens for hour in hours if hour.tokens and (ms := ledger.get((workload_id, hour.t), (0, 0))[0])
    }
    joules = {
        hour.t: mj / 1000 / hour.tokens for hour in hours if hour.tokens and (mj := ledger.get((workload_id, hour.t), (0, 0))[1])
    }
    last = hours[-1] if hours[-1].t == end - HOUR_S else None
    before = [hour for hour in hours if last is not None and hour.t < last.t]
    alike = [
        cost[hour.t] for hour in before if last and hour.t in cost and _like(hour.prompt_share, last.prompt_share, _LIKE_PROMPT)
    ]
    loaded = [joules[hour.t] for hour in before if last and hour.t in joules and _like(hour.tokens, last.tokens, _LIKE_LOAD)]
    prompts = [hour.prompt_tokens for hour in day if hour.prompt_tokens is not None]
    return JobDay(
        observed_hours=sum(hour.obs_ms for hour in day) / 3_600_000,
        kv_cache_peak=_scaled([hour.kv_cache_pm for hour in day]),
        waiting_peak=_scaled([hour.waiting_milli for hour in day]),
        tokens=sum(tokens) if tokens else None,
        requests=_sum([hour.requests for hour in day]),
        best_hour_tokens=max((hour.tokens for hour in hours if hour.tokens is not None), default=None),
        prompt_share=sum(prompts) / sum(tokens) if prompts and sum(tokens) else None,
        hour_gpu_seconds_per_token=cost.get(last.t) if last else None,
        best_gpu_seconds_per_token=min(alike, default=None),
        hour_joules_per_token=joules.get(last.t) if last else None,
        median_joules_per_token=_median(loaded),
    )


def _like(one: float | None, other: float | None, by: float) -> bool:
    """Whether an amount is within so much of another; of two that are not known nothing differs."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= by * other


def _command(job: JobFacts) -> str:
    return job.run.command if job.run else ""


def _median(values: Sequence[float]) -> float | None:
    ordered, half = sorted(values), len(values) // 2
    return (ordered[half] + ordered[~half]) / 2 if ordered else None


def _ratio(value: float) -> float:
    return min(1.0, max(0.0, value))


def _scaled(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) / 1000 if known else None


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
