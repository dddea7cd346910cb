"""Minutes: exact integrals over observed time, the same when done twice."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from support.store_rows import T0, first_tick, gpu, gpu_row, process, process_row, tick

from gpuwatch.measure import quantise
from gpuwatch.model import InferenceSample, Workload
from gpuwatch.names import Context
from gpuwatch.store.rollup import MINUTE_TIER, close_minutes, minute_steps, set_watermark, watermark
from gpuwatch.store.rows import WorkloadRow
from gpuwatch.store.writer import StoreWriter

T = T0 // 1000


def one(writer: StoreWriter, sql: str) -> Any:
    cursor = writer.connection.execute(sql)
    names = [c[0] for c in cursor.description]
    (row,) = cursor.fetchall()
    return dict(zip(names, row, strict=True))


def test_a_minute_is_the_integral_of_its_rows(writer: StoreWriter) -> None:
    chance = random.Random(7)
    writer.add(first_tick())
    expected = energy = 0
    for second in range(1, 61):
        ratio, joules = chance.randrange(1001) / 1000, chance.randrange(500_000) / 1000
        expected += round(ratio * 1000) * 1000
        energy += round(joules * 1000)
        writer.add(tick(second, gpu_row(utilization_ratio=ratio, energy_joules=joules, power_watts=100.0)))
    writer.commit()
    assert close_minutes(writer.connection, T0 + 60_000) == 1
    row = one(writer, "SELECT * FROM gpu_minute")
    assert (row["t"], row["obs_ms"], row["n"]) == (T, 60_000, 60)
    assert row["utilization_pm_ms"] == expected and row["energy_used_mj"] == energy and row["energy_src"] == 1
    shown = one(writer, "SELECT * FROM v_gpu_minute")
    assert shown["utilization_ratio"] == pytest.approx(expected / 60_000 / 1000)
    assert shown["energy_joules"] == pytest.approx(energy / 1000)
    assert shown["power_watts"] == pytest.approx(100.0)


def test_what_was_not_measured_stays_unknown_and_has_its_own_denominator(writer: StoreWriter) -> None:
    writer.add(first_tick())
    for second in range(1, 61):
        known = {"utilization_ratio": 1.0, "sm_active_ratio": 0.5} if second <= 15 else {}
        writer.add(tick(second, gpu_row(quiet=False if known else None, context=None, **known)))
    writer.commit()
    close_minutes(writer.connection, T0 + 60_000)
    row = one(writer, "SELECT * FROM v_gpu_minute")
    assert row["observed_seconds"] == 60 and row["utilization_ratio"] == 1.0 and row["sm_active_ratio"] == 0.5
    for name in ("context_seconds", "quiet_context_seconds", "throttled_seconds", "energy_joules", "energy_source", "power_watts"):
        assert row[name] is None, name
    assert row["quiet_seconds"] == 0.0  # known for 15 seconds: never quiet


def test_facts_are_summed_before_any_mean(writer: StoreWriter) -> None:
    writer.add(first_tick())
    for second in range(1, 61):
        busy = second % 2
        values = {"utilization_ratio": float(busy), "power_watts": 100.0, "clock_event_reasons": 0x4 if busy else 0x1}
        writer.add(tick(second, gpu_row(quiet=not busy, unavailable=second > 50, **values)))
    writer.commit()
    close_minutes(writer.connection, T0 + 60_000)
    row = one(writer, "SELECT * FROM v_gpu_minute")
    assert (row["quiet_seconds"], row["quiet_context_seconds"], row["context_seconds"]) == (30, 30, 60)
    assert (row["throttled_seconds"], row["unavailable_seconds"], row["utilization_max_ratio"]) == (30, 10, 1.0)
    assert (row["energy_joules"], row["quiet_energy_joules"], row["energy_source"]) == (6000, 3000, "power")


def test_memory_without_a_process_counts_as_context_and_no_context_does_not(writer: StoreWriter) -> None:
    writer.add(first_tick())
    for second, context in ((1, Context.MEMORY_ONLY), (2, Context.NONE), (3, None)):
        writer.add(tick(second, gpu_row(quiet=True, context=context)))
    writer.commit()
    close_minutes(writer.connection, T0 + 60_000)
    assert one(writer, "SELECT context_ms, context_known_ms, quiet_context_ms FROM gpu_minute") == {
        "context_ms": 1000,
        "context_known_ms": 2000,
        "quiet_context_ms": 1000,
    }


def test_a_row_that_speaks_for_no_time_counts_nowhere(writer: StoreWriter) -> None:
    writer.add(first_tick())
    writer.add(tick(1, gpu_row(dt_ms=0, utilization_ratio=1.0, energy_joules=9e6)))
    writer.add(tick(2, gpu_row(dt_ms=1000, utilization_ratio=0.0, energy_joules=1.0)))
    writer.commit()
    close_minutes(writer.connection, T0 + 60_000)
    row = one(writer, "SELECT obs_ms, utilization_pm_ms, utilization_pm_max, energy_used_mj FROM gpu_minute")
    assert tuple(row.values()) == (1000, 0, 0, 1000)


def test_a_row_belongs_to_the_minute_in_which_it_ends(writer: StoreWriter) -> None:
    writer.add(first_tick())
    for second in (60, 61, 120):
        writer.add(tick(second, gpu_row()))
    writer.commit()
    assert close_minutes(writer.connection, T0 + 120_000) == 2
    assert writer.connection.execute("SELECT t, n FROM gpu_minute ORDER BY t").fetchall() == [(T, 1), (T + 60, 2)]


def test_closing_is_idempotent_and_moves_the_watermark_with_the_rows(writer: StoreWriter) -> None:
    writer.add(first_tick(people=[process(7)]))
    for second in range(1, 150):
        writer.add(tick(second, gpu_row(utilization_ratio=0.5), held=[process_row(7, sm_utilization_ratio=0.4)]))
    writer.commit()
    db = writer.connection
    assert watermark(db, MINUTE_TIER) is None
    assert close_minutes(db, T0 + 149_000) == 2
    before = db.execute("SELECT * FROM gpu_minute").fetchall(), db.execute("SELECT * FROM process_minute").fetchall()
    assert close_minutes(db, T0 + 149_000) == 0
    assert close_minutes(db, T0 - 500_000) == 0
    assert watermark(db, MINUTE_TIER) == T + 120
    db.execute("DELETE FROM rollup_state")
    assert close_minutes(db, T0 + 149_000) == 2
    assert before == (db.execute("SELECT * FROM gpu_minute").fetchall(), db.execute("SELECT * FROM process_minute").fetchall())


def test_process_minutes(writer: StoreWriter) -> None:
    writer.add(first_tick(gpu(0), gpu(1), people=[process(7)]))
    for second in range(2, 61, 2):
        on = [process_row(7, 0, 2000, sm_utilization_ratio=0.01, cpu_ratio=2.0, gpu_memory_bytes=2**30, read_bytes=2**20)]
        on.append(process_row(7, 1, 2000, gpu_memory_bytes=2**31))
        writer.add(tick(second, held=on))
    writer.commit()
    close_minutes(writer.connection, T0 + 60_000)
    sql = "SELECT gpu_index, observed_seconds, quiet_seconds, cpu_ratio, gpu_memory_bytes, read_bytes, sm_utilization_ratio, user FROM v_process_minute ORDER BY 1"  # fmt: skip
    assert writer.connection.execute(sql).fetchall() == [
        (0, 60.0, 60.0, 2.0, 2.0**30, 30 * 2**20, 0.01, "alice"),
        (1, 60.0, None, None, 2.0**31, None, None, "alice"),
    ]
    assert one(writer, "SELECT last_ms FROM process")["last_ms"] == T0 + 60_000


def test_minutes_of_many_processes_are_closed_in_pieces_and_are_the_same(open_writer: Any, tmp_path: Path) -> None:
    chance, closed = random.Random(3), []
    moves = [[chance.random() for _ in range(100)] for _ in range(75)]
    for name in ("once", "pieces"):
        writer = open_writer(tmp_path / name)
        db = writer.connection
        writer.add(first_tick(gpu(0), gpu(1), people=[process(pid) for pid in range(100)]))
        for number, cpu in enumerate(moves, 1):
            held = [process_row(pid, pid % 2, 2000, cpu_ratio=cpu[pid]) for pid in range(0, 100, 1 + number % 3)]
            writer.add(tick(number * 2, gpu_row(dt_ms=2000), held=held))
        writer.commit()
        if name == "once":
            close_minutes(db, T0 + 150_000)
        else:
            marks = [(watermark(db, MINUTE_TIER), db.in_transaction) for _ in minute_steps(db, T0 + 150_000)]
            assert len(marks) > 3 and set(marks) == {(None, False)}
            assert list(minute_steps(db, T0 + 150_000)) == []
        closed.append([db.execute(f"SELECT * FROM {t} ORDER BY 1, 2, 3").fetchall() for t in ("gpu_minute", "process_minute", "process", "rollup_state")])  # fmt: skip
    assert closed[0] == closed[1]


def test_workload_minutes(writer: StoreWriter) -> None:
    values = quantise(InferenceSample(7, output_tokens_total=10, waiting_requests=1.5, kv_cache_ratio=0.25))
    writer.add(first_tick(workloads=[Workload(7, 1, 8000, kind="inference", name="vllm")]))
    for second in range(2, 61, 2):
        writer.add(tick(second, workload_rows=[WorkloadRow(7, 1, 8000, "inference", 2000, values)]))
    writer.commit()
    close_minutes(writer.connection, T0 + 60_000)
    row = one(writer, "SELECT * FROM v_workload_minute")
    assert (row["output_tokens_total"], row["waiting_requests"], row["kv_cache_ratio"], row["steps_total"]) == (
        300,
        1.5,
        0.25,
        None,
    )


def test_the_watermark_never_goes_back(writer: StoreWriter) -> None:
    writer.add(first_tick())
    writer.commit()
    set_watermark(writer.connection, "ledger", 120)
    set_watermark(writer.connection, "ledger", 60)
    assert watermark(writer.connection, "ledger") == 120
