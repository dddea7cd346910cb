"""Looks that are read back from rows by hand: means, sums, what lies, waiting times, events, and the archive."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.archived import seal
from support.store_rows import HOST, T0, gpu, gpu_row, process, process_row
from support.training_rows import JOB, RANKS, described, rank_process, run, stepping, trainer

from gpuwatch.clock import FakeClock
from gpuwatch.measure import quantise
from gpuwatch.model import Event, HostSample, InferenceSample, LatencyCounts, Server, Workload
from gpuwatch.names import Context, Latency, ServerState, Severity
from gpuwatch.rules.looks import Look
from gpuwatch.store import connection
from gpuwatch.store.look_facts import FactsReader
from gpuwatch.store.looks import LookReader, looks
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.rows import Tick, WorkloadRow
from gpuwatch.store.writer import StoreWriter
from gpuwatch.training import Run

SERVED = Workload(900, T0 - 5000, 8000, "inference", "vllm", engine="vllm")
BORDER = (T0 // 3_600_000 + 1) * 3_600_000
"""15:00 UTC."""


class Store:
    """A store that is written tick by tick."""

    def __init__(self, path: Path) -> None:
        self.path, self.clock = path, FakeClock(T0 / 1000)
        self.writer = StoreWriter.open(path, clock=self.clock, tmpfs_fallback=False)
        self.writer.begin_session(T0, 1000, "boot")
        self.closed = False

    def tick(self, second: float, **parts: Any) -> None:
        self.writer.add(Tick(T0 + round(second * 1000), **parts))

    def close(self) -> None:
        if not self.closed:
            self.writer.close()
        self.closed = True

    @property
    def db(self) -> sqlite3.Connection:
        self.writer.commit()
        return self.writer.connection

    def looks(self, seconds: int, start: int = 0) -> list[Look]:
        return list(looks(self.db, 1, T0 + start * 1000, T0 + seconds * 1000))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "looks.db")
    made.tick(0, host=HOST, gpus=[gpu(0), gpu(1)], processes=[process(10), process(11)], workloads=[SERVED])
    yield made
    made.close()


def _server_row(dt_ms: int = 5000, **values: Any) -> WorkloadRow:
    sample = InferenceSample(SERVED.root_pid, SERVED.root_start_ms, SERVED.port, **values)
    return WorkloadRow(SERVED.root_pid, SERVED.root_start_ms, SERVED.port, "inference", dt_ms, quantise(sample))


def test_means_are_weighted_by_time_and_a_row_belongs_to_the_look_that_it_ends_in(store: Store) -> None:
    busy = {"utilization_ratio": 0.8, "power_watts": 400.0, "sm_clock_hertz": 1.5e9, "pcie_rx_bytes": 6.0 * 2**20}
    store.tick(4, gpu_rows=[gpu_row(dt_ms=4000, energy_joules=1600.0, clock_event_reasons=0x20, **busy)])
    idle = {"utilization_ratio": 0.0, "power_watts": 100.0, "sm_clock_hertz": 1.0e9, "pcie_rx_bytes": 4.0 * 2**20}
    store.tick(10, gpu_rows=[gpu_row(dt_ms=6000, quiet=True, quiet_ms=6000, clock_event_reasons=0, **idle)])
    store.tick(11, gpu_rows=[gpu_row(dt_ms=1000, quiet=True, quiet_ms=7000, utilization_ratio=0.0)])
    first, second = store.looks(20)
    look = first.gpus[1]
    assert (first.t_ms, second.t_ms) == (T0 + 10_000, T0 + 20_000)
    assert (look.ms, look.known_ms, look.quiet_ms, look.quiet_run_ms) == (10_000, 10_000, 6000, 6000)
    assert look.utilization == pytest.approx(0.32)
    assert (look.utilization_bins[16], look.utilization_bins[0], sum(look.utilization_bins)) == (4000, 6000, 10_000)
    assert look.power == pytest.approx(220.0)
    assert look.energy_joules == pytest.approx(1600 + 600), "what the counter gained, else power over the row's time"
    assert (look.sm_clock_min, look.sm_clock_max) == (1.0e9, 1.5e9)
    assert look.thermal == pytest.approx(0.4)
    assert look.slowdown == 0.0
    assert look.pcie_rx == 2**20, "bytes a second"
    assert (look.context, look.sm, look.nvlink, look.mfu) == (Context.PROCESS, None, None, None)
    assert (second.gpus[1].ms, second.gpus[1].quiet_run_ms) == (1000, 7000)
    assert 2 not in first.gpus, "a GPU without a row was not observed"


def test_a_row_that_speaks_for_no_time_is_not_seen(store: Store) -> None:
    store.tick(5, gpu_rows=[gpu_row(dt_ms=0, utilization_ratio=1.0)])
    assert store.looks(10) == []
    store.tick(6, gpu_rows=[gpu_row(dt_ms=1000, utilization_ratio=0.5)])
    assert store.looks(10)[0].gpus[1].utilization == 0.5


def test_what_lies_is_clipped_or_not_measured(store: Store) -> None:
    lies = {"utilization_ratio": 40.0, "sm_active_ratio": -0.5, "power_watts": -20.0, "sm_clock_hertz": 0.0, "pcie_tx_bytes": -5e6}
    store.tick(5, gpu_rows=[gpu_row(dt_ms=5000, **lies)])
    store.tick(10, gpu_rows=[gpu_row(dt_ms=5000, **{**lies, "utilization_ratio": 0.5, "power_watts": 300.0})])
    look = store.looks(10)[0].gpus[1]
    assert look.utilization == pytest.approx(0.75), "4,000 % counts as 100 % of its row's time"
    assert (look.sm, look.power, look.sm_clock, look.pcie_tx) == (0.0, 300.0, None, None)
    assert look.utilization_bins[19] == 5000


def test_a_process_on_two_gpus_and_one_on_none(store: Store) -> None:
    for second in (2, 4, 6, 8, 10):
        on = [
            process_row(10, 0, 2000, gpu_memory_bytes=2.0**30, cpu_ratio=1.5, run_state=83, read_bytes=4096.0),
            process_row(10, 1, 2000),
        ]
        store.tick(second, gpu_rows=[gpu_row(dt_ms=2000)], process_rows=[*on, process_row(11, None, 2000, cpu_ratio=0.25)])
    look = store.looks(10)[0]
    first, second = (look.processes[i] for i in sorted(look.processes))
    assert first.gpus == {1: (2.0**30, None), 2: (None, None)}
    assert (first.ms, first.cpu, first.run_state, first.read) == (10_000, 1.5, "S", 2048.0)
    assert (second.gpus, second.cpu, second.run_state) == ({}, 0.25, "")


def test_a_server_counts_over_the_look_and_its_waiting_times_come_once_a_minute(store: Store) -> None:
    counts = LatencyCounts(
        SERVED.root_pid, SERVED.root_start_ms, SERVED.port, Latency.TTFT, ((0, 500_000, 3), (500_000, 10**15, 1))
    )
    for second in range(5, 75, 5):
        row = _server_row(output_tokens_total=50.0, running_requests=2.0, kv_cache_ratio=0.5, server_state=1, window_seconds=5.0)
        store.tick(second, workload_rows=[row], latencies=[counts])
    found = [look.servers[1] for look in store.looks(70)]
    assert (found[0].output_tokens, found[0].running, found[0].kv_cache, found[0].window) == (100.0, 2.0, 0.5, 10.0)
    assert found[0].state is ServerState.UP
    assert found[0].requests is None
    assert [bool(look.latency) for look in found] == [False] * 5 + [True, False]
    assert found[5].latency == {Latency.TTFT: {(0.0, 0.5): 36, (0.5, float("inf")): 12}}


def test_events_of_others_are_told_and_those_of_findings_are_not(store: Store) -> None:
    told = Event(T0 + 3000, "xid", "XID 79", Severity.CRITICAL, gpu_uuid="GPU-0")
    own = Event(T0 + 4000, "finding_opened", "held idle", Severity.WARNING)
    store.tick(5, gpu_rows=[gpu_row(dt_ms=5000)], events=[told, own])
    (event,) = store.looks(10)[0].events
    assert event == (T0 + 3000, "xid", Severity.CRITICAL, "XID 79", 1, 0)


def test_the_archive_gives_the_looks_that_the_hot_rows_gave(store: Store, tmp_path: Path) -> None:
    store.tick(
        1, processes=[rank_process(pid) for pid in RANKS], workloads=[JOB], trainers=[trainer(pid) for pid in RANKS], runs=[run()]
    )
    end = (BORDER - T0) // 1000 + 600
    for second in range(2, end + 1, 2):
        busy = second % 7 / 7
        rows = [gpu_row(0, 2000, quiet=not busy, utilization_ratio=busy, power_watts=100 + second % 13), gpu_row(1, 2000)]
        on = [process_row(10, 0, 2000, cpu_ratio=busy), process_row(11, None, 2000, cpu_ratio=0.5)]
        more: dict[str, Any] = {"training_rows": [stepping(pid, 2000) for pid in RANKS]} if second % 4 else {}
        if second % 10 == 0:
            more["workload_rows"] = [_server_row(10_000, output_tokens_total=5.0, server_state=1)]
        if second % 60 < 50:  # and sometimes nothing at all
            host = {"host_dt_ms": 2000, "host_values": quantise(HostSample(cpu_ratio=0.5, disk_read_bytes=1024.0 * second))}
            store.tick(second, gpu_rows=rows, process_rows=on, **host, **more)
    span = (1, T0 - 3_600_000, T0 + end * 1000)
    db = store.db
    hot = list(looks(db, *span))
    reader = LookReader(db, 1)
    live = [found for look in hot for found in reader.steps(look.t_ms) if found is not None]
    close_minutes(db, T0 + end * 1000)
    ticks = db.execute("SELECT count(*) FROM tick").fetchone()
    store.close()
    sealed = seal(store.path, tmp_path / "sealed.db", T0 + end * 1000, BORDER)
    past = connection.open_read(sealed)
    assert len(hot) > 200
    assert live == hot
    assert list(looks(past, *span)) == hot
    assert ticks > past.execute("SELECT count(*) FROM tick").fetchone()
    past.close()


# ---------------------------------------------------------------------------------------------------------------- who


def test_a_replay_does_not_know_how_a_run_will_end(store: Store) -> None:
    ended = Run(
        *run().key,
        T0,
        first_step_ms=T0 + 5000,
        last_step_ms=T0 + 95_000,
        ended_ms=T0 + 100_000,
        exit_code=1,
        detail="rank 1 failed",
    )
    store.writer.add(described(1, runs=[ended], trainers=[trainer(first_step_ms=T0 + 5000)]))
    for second in (10, 20, 30):
        store.tick(second, training_rows=[stepping(RANKS[0], 10_000)] if second < 30 else [stepping(RANKS[0], 10_000, rank_steps_total=0.0, steps_total=0.0)])  # fmt: skip
    store.tick(110, gpu_rows=[gpu_row()])
    reader = FactsReader(store.db, 1)
    told = {look.t_ms - T0: reader.facts(look) for look in store.looks(110)}
    (job,) = told[30_000].jobs.values()
    assert job.run is not None
    assert (job.run.last_step_ms, job.run.ended_ms, job.run.exit_code, job.run.detail) == (T0 + 20_000, None, None, "")
    assert [rank.first_step_ms for rank in job.ranks] == [T0 + 5000]
    (job,) = told[110_000].jobs.values()
    assert job.run is not None
    assert (job.run.ended_ms, job.run.exit_code, job.run.detail) == (T0 + 100_000, 1, "rank 1 failed")
    assert job.command == "torchrun train.py" or job.command.startswith("python3")


def test_who_was_seen_is_told_for_ten_minutes_more(store: Store) -> None:
    store.tick(10, process_rows=[process_row(10, 0, 2000)], workload_rows=[_server_row()], servers=[Server(SERVED.root_pid, SERVED.root_start_ms, SERVED.port, ServerState.UP, served_model="m")])  # fmt: skip
    for second in (600, 620):
        store.tick(second, gpu_rows=[gpu_row()])
    db = store.db
    db.execute("UPDATE gpu SET idle_power_mw=73500 WHERE gpu_id=1")
    reader = FactsReader(db, 1, reserved=lambda gpu: gpu.index == 1)
    told = [reader.facts(look) for look in store.looks(620)]
    assert [len(facts.processes) for facts in told] == [1, 1, 0]
    assert [len(facts.jobs) for facts in told] == [1, 1, 0]
    assert told[0].processes[1] is told[1].processes[1], "what has not changed is the same object"
    assert told[0].processes[1].user == "alice"
    (job,) = told[0].jobs.values()
    assert (job.served, job.model, job.port, job.kind) == (True, "m", 8000, "inference")
    first, second = told[0].gpus.values()
    assert (first.idle_power, first.reserved) == (73.5, False)
    assert (second.idle_power, second.reserved) == (None, True)


def test_hundreds_of_short_processes_are_read_once_each(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for look in range(1, 7):
        people = [process(1000 * look + n) for n in range(40)]
        rows = [process_row(each.pid, None, 2000, cpu_ratio=0.5) for each in people]
        store.tick(10 * look, processes=people, process_rows=rows)
    reader = FactsReader(store.db, 1)
    asked: list[int] = []
    real = reader._rows
    monkeypatch.setattr(reader, "_rows", lambda sql, ids: asked.append(len(ids)) or real(sql, ids))
    counts = [len(reader.facts(look).processes) for look in store.looks(60)]
    assert counts == [40, 80, 120, 160, 200, 240]
    assert asked[:: len(asked) // 6] == [40] * 6, "who has gone is known already"
