"""Minutes of trainings: sums over ranks, time as on a clock, peaks, and the times of steps."""

from __future__ import annotations

import random
from typing import Any

import pytest
from support.serving import VLLM, counts
from support.serving import row as served
from support.store_rows import T0
from support.training_rows import RANKS, ROOT, at, close, described, row, stepping, steps

from gpuwatch.model import Workload
from gpuwatch.names import Latency
from gpuwatch.store.rollup import close_again, close_minutes, minute_steps
from gpuwatch.store.rows import Tick
from gpuwatch.store.writer import StoreWriter

HOUR_S, DAY_S = 3600, 86_400


def minutes(writer: StoreWriter, *names: str, tier: str = "minute") -> list[tuple[Any, ...]]:
    sql = f"SELECT t-{T0 // 1000}, {','.join(names)} FROM workload_{tier} ORDER BY t, workload_id"
    return writer.connection.execute(sql).fetchall()


def written(writer: StoreWriter, *ticks: Tick) -> None:
    writer.add(described())
    for tick in ticks:
        writer.add(tick)
    assert writer.commit(), writer.problem


def test_sums_are_over_ranks_and_time_is_that_of_a_clock(writer: StoreWriter) -> None:
    written(writer, *(at(second, *(stepping(pid) for pid in RANKS)) for second in range(1, 121)))
    close_minutes(writer.connection, T0 + 120_000)
    names = (
        "obs_ms",
        "n",
        "steps_sum",
        "rank_steps_sum",
        "tokens_sum",
        "attached_ms_sum",
        "backward_ms_sum",
        "phase_obs_ms",
        "training_obs_ms",
    )
    assert minutes(writer, *names) == [(t, 60_000, 120, 60, 120, 12_000, 120_000, 60_000, 120_000, 120_000) for t in (0, 60)]


@pytest.mark.parametrize(
    ("rows", "observed_ms"),
    [
        ([(1, 501, 1000), (1, 502, 1000), (2, 501, 1000), (2, 502, 1000)], 2000),
        ([(1, 501, 1000), (2, 502, 1000), (3, 501, 2000), (4, 502, 2000)], 4000),
        ([(1, 501, 1000), (2, 501, 1000), (3, 501, 1000), (3, 502, 3000)], 3000),
        ([(10, 501, 1000), (20, 502, 1000)], 2000),
        ([(10, 501, 0), (11, 501, 1000), (11, 502, 0)], 1000),
    ],
    ids=["together", "in turn", "one tells seldom", "one after the other", "first rows speak for no time"],
)
def test_no_time_counts_twice(writer: StoreWriter, rows: list[tuple[int, int, int]], observed_ms: int) -> None:
    for second, pid, dt in rows:
        writer.add(at(second, stepping(pid, dt)))
    assert writer.commit()
    close_minutes(writer.connection, T0 + 60_000)
    assert minutes(writer, "obs_ms", "attached_ms_sum") == [(0, observed_ms, sum(dt for _, _, dt in rows))]


def test_means_are_over_ranks_and_peaks_are_the_highest_rank_s(writer: StoreWriter) -> None:
    mib = 2.0**20
    written(
        writer,
        at(
            1,
            stepping(501, loss=3.0, allocated_bytes=100 * mib, allocated_peak_bytes=150 * mib),
            stepping(502, allocated_bytes=200 * mib),
        ),
        at(2, stepping(501, loss=2.0, allocated_bytes=100 * mib, allocated_peak_bytes=160 * mib, phase=3), stepping(502)),
    )
    close(writer, T0 + 3 * DAY_S * 1000)
    for tier in ("minute", "hour", "day"):
        shown = writer.connection.execute(f"SELECT loss, allocated_bytes, allocated_peak_max_bytes, reserved_bytes FROM v_workload_{tier}").fetchone()  # fmt: skip
        assert shown == (pytest.approx(2.5), pytest.approx(400 / 3 * mib), 160 * mib, None), tier


def test_every_tier_has_the_sums_of_the_one_below(writer: StoreWriter) -> None:
    chance = random.Random(4)
    ticks = []
    for second in range(10, 30 * HOUR_S, 60):
        some = {name: float(chance.randrange(9)) for name in ("micro_batches_total", "compilations_total", "out_of_memory_total", "counted_tokens_total", "probed_steps_total", "gpu_idle_data_seconds") if chance.random() < 0.7}  # fmt: skip
        ticks.append(at(second, *(stepping(pid, 60_000, **some) for pid in RANKS if chance.random() < 0.9)))
    written(writer, *ticks)
    close(writer, T0 + 3 * DAY_S * 1000)
    columns = [
        found[1]
        for found in writer.connection.execute("PRAGMA table_info(workload_minute)")
        if found[1].endswith(("_ms", "_sum", "n"))
    ]
    sums = [
        writer.connection.execute(f"SELECT {','.join(f'sum({name})' for name in columns)} FROM workload_{tier}").fetchone()
        for tier in ("minute", "hour", "day")
    ]
    assert sums[0] == sums[1] == sums[2] and all(dict(zip(columns, sums[0], strict=True))[name] for name in ("obs_ms", "padding_obs_ms", "probed_steps_sum"))  # fmt: skip


def test_a_minute_may_be_closed_in_pieces_and_twice(writer: StoreWriter) -> None:
    written(writer, *(at(second, *(stepping(pid) for pid in RANKS), latencies=[steps((1, 2))]) for second in range(1, 61)))
    db = writer.connection
    for _ in minute_steps(db, T0 + 60_000):
        pass
    before = db.execute("SELECT * FROM workload_minute").fetchall(), db.execute("SELECT * FROM latency_minute").fetchall()
    assert len(before[0]) == 1 and len(before[1]) == 2
    db.execute("DELETE FROM rollup_state")
    close_minutes(db, T0 + 60_000)
    assert (db.execute("SELECT * FROM workload_minute").fetchall(), db.execute("SELECT * FROM latency_minute").fetchall()) == before


def test_a_clock_that_was_set_back_leads_into_minutes_that_only_a_training_fills(writer: StoreWriter) -> None:
    written(writer, at(200, stepping(501)))
    db = writer.connection
    close_minutes(db, T0 + 240_000)
    for second in range(61, 121):
        writer.add(at(second, stepping(501), stepping(502), latencies=[steps((1,))]))
    assert writer.commit()
    assert close_again(db, T0 + 240_000, since_ms=T0) == [T0 // 1000 + 60]
    assert minutes(writer, "obs_ms", "tokens_sum") == [(60, 60_000, 12_000), (180, 1000, 100)]
    assert db.execute("SELECT t, sum(n) FROM latency_minute GROUP BY 1").fetchall() == [(T0 // 1000 + 60, 60)]
    assert close_again(db, T0 + 240_000, since_ms=T0) == []


def test_times_of_steps_count_where_a_rank_s_row_speaks_for_time(writer: StoreWriter) -> None:
    told = [steps((0, 3, 5)), steps((2,), latency=Latency.STEP_DATA)]
    written(
        writer,
        at(1, stepping(501, 0), stepping(502, 0), latencies=told),
        at(2, stepping(501), stepping(502, 0), latencies=told),
        at(3, stepping(501), stepping(502), latencies=told),
        at(4, latencies=told),
    )
    close(writer, T0 + 3 * DAY_S * 1000)
    for tier in ("minute", "hour", "day"):
        found = writer.connection.execute(
            f"SELECT latency, lower_seconds, upper_seconds, count, kind, root_pid FROM v_latency_{tier} ORDER BY 1, 2"
        ).fetchall()
        assert found == [("step", 0.1, 0.2, 6, "training", ROOT[0]), ("step", 0.2, 0.3, 10, "training", ROOT[0]), ("step_data", 0.0, 0.1, 4, "training", ROOT[0])], tier  # fmt: skip


def test_servers_and_trainings_do_not_touch_each_other(writer: StoreWriter) -> None:
    told = [steps((1,)), counts(VLLM, Latency.TTFT, (1,))]
    server = Workload(*VLLM, kind="inference")
    written(writer, *(at(second, stepping(501), stepping(502), workloads=[server], workload_rows=[served(VLLM, 1000, output_tokens_total=3.0)], latencies=told) for second in range(1, 61)))  # fmt: skip
    close_minutes(writer.connection, T0 + 60_000)
    assert sorted(minutes(writer, "tokens_sum", "output_tokens_sum", "obs_ms"), key=str) == [
        (0, 12_000, None, 60_000),
        (0, None, 180, 60_000),
    ]
    assert writer.connection.execute("SELECT latency, sum(n) FROM latency_minute GROUP BY 1 ORDER BY 1").fetchall() == [
        (1, 60),
        (5, 60),
    ]


def test_rates_of_a_job_are_plain_divisions(writer: StoreWriter) -> None:
    written(writer, *(at(second, *(stepping(pid) for pid in RANKS)) for second in range(1, 61)), at(61, row(501)))
    close_minutes(writer.connection, T0 + 60_000)
    sql = "SELECT tokens_total/observed_seconds, steps_total/observed_seconds, data_wait_seconds/attached_seconds, row_count FROM v_workload_minute"
    assert writer.connection.execute(sql).fetchall() == [(200.0, 1.0, 0.125, 120)]
