"""The last day of a GPU and of a job, from hours that were put in by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.store_rows import HOST, gpu, process

from gpuwatch.clock import FakeClock
from gpuwatch.model import Workload
from gpuwatch.rules.looks import GpuDay, JobDay, JobFacts, RunFacts
from gpuwatch.store.archive.hist import bin_of
from gpuwatch.store.look_days import Days
from gpuwatch.store.rows import Tick
from gpuwatch.store.writer import StoreWriter
from gpuwatch.training import Run

HOUR_S, DAY_S = 3600, 86_400
END = 1_763_132_400
"""15:00 UTC, a whole hour."""
NOW_MS = (END + 1800) * 1000
H = 3_600_000


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    writer = StoreWriter.open(tmp_path / "days.db", clock=FakeClock(END), tmpfs_fallback=False)
    writer.begin_session(END * 1000, 1000, "boot")
    server = Workload(900, 5, 8000, "inference", "vllm")
    trained = Workload(901, 5, 0, "training", "train.py")
    failed = [
        Run(n, 5, END * 1000 - 9_000_000, ended_ms=END * 1000 - n * 1000, outcome=2, command="python train.py") for n in (911, 912)
    ]  # type: ignore[arg-type]
    old = Run(913, 5, 0, ended_ms=(END - 2 * DAY_S) * 1000, outcome=2, command="python train.py")  # type: ignore[arg-type]
    people = [process(pid) for pid in (1, 2, 3)]
    writer.add(Tick(END * 1000, host=HOST, gpus=[gpu(0, power_limit_watts=700.0)], workloads=[server, trained], processes=people, runs=[*failed, old]))  # fmt: skip
    writer.commit()
    yield writer.connection
    writer.close()


def _put(db: sqlite3.Connection, table: str, **values: Any) -> None:
    db.execute(f"INSERT INTO {table}({','.join(values)}) VALUES({','.join('?' * len(values))})", tuple(values.values()))


def _hour(db: sqlite3.Connection, table: str, t: int, **values: Any) -> None:
    needed = {row[1]: 0 for row in db.execute(f"PRAGMA table_info({table})") if row[3]}
    _put(db, table, **(needed | {"t": t} | values))


def _days(db: sqlite3.Connection, now_ms: int = NOW_MS) -> Days:
    days = Days(db, 1)
    for _ in days.steps(now_ms):
        pass
    return days


def test_a_gpu_that_worked_a_quarter_of_two_hours(db: sqlite3.Connection) -> None:
    quarter = {"obs_ms": H, "quiet_known_ms": H, "quiet_ms": 3 * H // 4, "utilization_obs_ms": H, "utilization_pm_ms": 600 * H // 4}
    idle_mj = 2700 * 70 * 1000
    power = {"energy_used_mj": 900 * 350 * 1000 + idle_mj, "quiet_energy_mj": idle_mj, "energy_src": 1}
    for t in (END - 2 * HOUR_S, END - HOUR_S):
        _hour(db, "gpu_hour", t, gpu_id=1, **quarter, **power)
    _hour(db, "gpu_hour", END - 25 * HOUR_S, gpu_id=1, obs_ms=H)  # a day ago and more
    for value, weight in ((10, 98), (900, 2)):
        _put(db, "hist_hour", t=END - HOUR_S, entity=0, entity_id=1, metric=1, bin=bin_of(value), weight=weight)
    day = _days(db).gpus[1]
    assert (day.observed_hours, day.active_hours) == (2.0, 0.5)
    assert day.utilization_active == pytest.approx(0.6)
    assert day.utilization_p99 == pytest.approx(0.9, rel=0.03)
    assert day.power_fraction_active == pytest.approx((350 - 75) / (700 - 75)), "of an idle floor that nobody has learned"
    assert day.energy_joules == pytest.approx(2 * (900 * 350 + 2700 * 70))
    assert (day.sm_active, day.memory_p99, day.starts) == (None, None, 0)


@pytest.mark.parametrize(("told", "share"), [(H, 0.8), (H // 2, None)])
def test_activity_that_was_told_of_half_the_day_is_not_the_days(db: sqlite3.Connection, told: int, share: float | None) -> None:
    known = {"obs_ms": H, "quiet_known_ms": H, "quiet_ms": H // 2}
    _hour(db, "gpu_hour", END - HOUR_S, gpu_id=1, gpm_obs_ms=told, sm_active_pm_ms=800 * told // 2, **known)
    assert _days(db).gpus[1].sm_active == (None if share is None else pytest.approx(share))


def test_who_came_to_a_gpu_that_no_other_held(db: sqlite3.Connection) -> None:
    lives = {1: (END - 7200, END - 5000), 2: (END - 6000, END - 4000), 3: (END - 3000, END - 100)}
    for proc_id, (first, last) in lives.items():
        db.execute("UPDATE process SET first_ms=?, last_ms=? WHERE proc_id=?", (first * 1000, last * 1000, proc_id))
        _hour(db, "process_hour", first // HOUR_S * HOUR_S, proc_id=proc_id, gpu_id=1)
    _hour(db, "gpu_hour", END - HOUR_S, gpu_id=1, obs_ms=H)
    assert _days(db).gpus[1].starts == 2, "the second one came while the first was there"


def test_a_server_beside_its_own_week(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO owner(owner_id,host_id,workload_id) VALUES(1,1,1)")
    tokens = {END - HOUR_S: (1000, 1000), END - 2 * HOUR_S: (4000, 4000), END - 3 * HOUR_S: (9000, 100)}
    for t, (answers, prompts) in tokens.items():
        _hour(db, "workload_hour", t, workload_id=1, obs_ms=H, output_tokens_sum=answers, prompt_tokens_sum=prompts, kv_cache_pm_max=700, waiting_milli_max=3000, requests_sum=5)  # fmt: skip
        _hour(db, "ledger_hour", t, gpu_id=1, owner_id=1, bucket=12, ms=H, energy_mj=3_600_000_000)
    day = _days(db).of_jobs({1: JobFacts(1, "inference")})[1]
    assert (day.observed_hours, day.kv_cache_peak, day.waiting_peak, day.requests) == (3.0, 0.7, 3.0, 15)
    assert (day.tokens, day.best_hour_tokens) == (19_100, 9100)
    assert day.hour_gpu_seconds_per_token == pytest.approx(3600 / 2000)
    assert day.best_gpu_seconds_per_token == pytest.approx(3600 / 8000), "not the hour with hardly any prompt"
    assert day.hour_joules_per_token == pytest.approx(3_600_000 / 2000)
    assert day.median_joules_per_token is None, "no hour had a like load"


def test_hours_are_taken_when_they_and_their_ledger_are_closed(db: sqlite3.Connection) -> None:
    _hour(db, "gpu_hour", END - HOUR_S, gpu_id=1, obs_ms=H)
    assert _days(db, (END + 1499) * 1000).gpus == {}
    assert _days(db, (END + 1500) * 1000).gpus == {1: GpuDay(1.0, starts=0)}


def test_what_failed_the_same_way_today(db: sqlite3.Connection) -> None:
    of = {
        2: JobFacts(2, "training", run=RunFacts(0, command="python train.py")),
        3: JobFacts(3, "training", run=RunFacts(0, command="python other.py")),
        4: JobFacts(4, "other"),
    }
    assert _days(db).of_jobs(of) == {2: JobDay(0.0, failures=2), 3: JobDay(0.0, failures=0)}
