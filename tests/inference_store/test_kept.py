"""A store of schema 2, which had inference rows of fewer columns: what it holds is read as before, and goes on in the new ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support import kept

from gpuwatch.clock import FakeClock
from gpuwatch.measure import quantise
from gpuwatch.model import InferenceSample, Server
from gpuwatch.names import ServerState
from gpuwatch.store import check, export
from gpuwatch.store.archive.codec import contents, decode
from gpuwatch.store.archive.seal import seal_all
from gpuwatch.store.archive.shapes import INFERENCE
from gpuwatch.store.columns import INFERENCE_SAMPLE
from gpuwatch.store.hours import close_hours
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.rows import Tick, WorkloadRow
from gpuwatch.store.upgrade import upgrade
from gpuwatch.store.writer import StoreWriter

OLD = next(packed for packed in kept.FILES if kept.ordinal(packed) == 2)
OLD_COLUMNS = ("dt_ms", "output_tokens", "prefill_tokens", "cached_tokens", "requests", "preemptions", "running_milli", "waiting_milli", "kv_cache_pm")  # fmt: skip
NEW_COLUMNS = tuple(name for name in INFERENCE_SAMPLE[2:] if name not in OLD_COLUMNS)
HOUR_MS = 3_600_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return kept.unpack(OLD, tmp_path / "gpuwatch.db")


def chunks(path: Path) -> list[dict[str, list[Any]]]:
    """Every sealed hour of a server, with all columns of today."""
    db = sqlite3.connect(path)
    rows = db.execute("SELECT cols, body FROM chunk WHERE kind=? ORDER BY entity_id, t0_ms", (INFERENCE,)).fetchall()
    db.close()
    return [decode(cols, body, ("ts_ms", *INFERENCE_SAMPLE[2:])) for cols, body in rows]


def test_it_holds_what_schema_3_touches(store: Path) -> None:
    db = sqlite3.connect(store)
    for table in ("workload_minute", "workload_hour", "workload_day"):
        trained, served = db.execute(f"SELECT sum(steps_sum), sum(output_tokens_sum) FROM {table}").fetchone()
        assert trained > 500 and served > 50_000, table
    assert db.execute("SELECT count(*) FROM inference_sample").fetchone()[0] > 100
    assert db.execute("SELECT DISTINCT metric FROM hist_hour WHERE entity=1 ORDER BY 1").fetchall() == [(33,), (34,)]
    columns = {contents(cols).columns for (cols,) in db.execute("SELECT cols FROM chunk WHERE kind=?", (INFERENCE,))}
    assert columns == {("ts_ms", *OLD_COLUMNS)}
    db.close()


def test_old_sealed_hours_are_read_and_say_nothing_of_new_columns(store: Path) -> None:
    upgrade(store)
    found = chunks(store)
    assert len(found) == 10 and sum(len(chunk["ts_ms"]) for chunk in found) == 1682
    for chunk in found:
        assert all(set(chunk[name]) == {None} for name in NEW_COLUMNS)
        assert set(chunk["dt_ms"]) <= {0, 2000} and None not in chunk["output_tokens"]


def test_single_rows_are_exported_with_nothing_in_new_columns(store: Path) -> None:
    upgrade(store)
    db, of = sqlite3.connect(store, isolation_level=None), export.source("workload", "second")
    names = [column.name for column in of.columns]
    last = db.execute("SELECT max(ts_ms)/1000 FROM tick").fetchone()[0]
    rows = [dict(zip(names, row, strict=True)) for row in export.rows(db, of, 0, last)]
    hot = db.execute("SELECT count(*) FROM inference_sample JOIN tick USING (tick_id) WHERE ts_ms>(SELECT done_s*1000 FROM rollup_state WHERE tier='seal')").fetchone()[0]  # fmt: skip
    assert len(rows) == 1682 + hot
    assert {(row["state"], row["window_seconds"], row["ttft_count_total"]) for row in rows} == {(None, None, None)}
    assert {row["name"] for row in rows} == {"Qwen3-8B", "tiny"} and {row["port"] for row in rows} == {8000, 0}
    db.close()


def test_minutes_of_before_say_what_they_said_and_nothing_else(store: Path) -> None:
    waited = "SELECT t, waiting_requests FROM v_workload_{} WHERE kind='inference' ORDER BY 1, root_pid"
    db = sqlite3.connect(store)
    before = {tier: db.execute(waited.format(tier)).fetchall() for tier in ("minute", "hour", "day")}
    assert all(any(value for _, value in rows) for rows in before.values())
    db.close()
    upgrade(store)
    db = sqlite3.connect(store)
    assert {tier: db.execute(waited.format(tier)).fetchall() for tier in before} == before
    known = "SELECT sum(output_tokens_total) FROM v_workload_{} WHERE kind='inference'"
    old = "SELECT sum(output_tokens_sum) FROM workload_{}"
    for tier in ("minute", "hour", "day"):
        assert db.execute(known.format(tier)).fetchone() == db.execute(old.format(tier)).fetchone()
        new = db.execute(f"SELECT max(window_seconds), max(ttft_count_total), max(queue_sum_seconds), max(kv_cache_fullest_ratio) FROM v_workload_{tier}")  # fmt: skip
        assert new.fetchone() == (None, None, None, None)
    db.close()


def test_an_hour_that_was_sealed_takes_rows_of_today(store: Path) -> None:
    """A clock that was set back leads into an hour that the old version has sealed."""
    upgrade(store)
    before = {(number, ts): chunk["output_tokens"][at] for number, chunk in enumerate(chunks(store)) for at, ts in enumerate(chunk["ts_ms"])}  # fmt: skip
    db = sqlite3.connect(store)
    key = db.execute("SELECT root_pid, root_start_ms, port FROM workload WHERE name='Qwen3-8B'").fetchone()
    ((last,),) = db.execute("SELECT max(t1_ms) FROM chunk WHERE kind=?", (INFERENCE,)).fetchall()
    db.close()
    start = last - 30 * 60_000
    writer = StoreWriter.open(store, clock=FakeClock(start / 1000), simulated=True, tmpfs_fallback=False)
    writer.begin_session(start, 1000, "boot")
    for second in range(2, 300, 2):
        values = quantise(InferenceSample(*key, output_tokens_total=1.0, ttft_count_total=3.0, window_seconds=2.0))
        told = [Server(*key, ServerState.UP)] if second == 2 else []
        writer.add(Tick(start + second * 1000, servers=told, workload_rows=[WorkloadRow(*key, "inference", 2000, values)]))
    assert writer.commit(), writer.problem
    seal_all(writer.connection, last + 5 * HOUR_MS)
    writer.close()
    after = chunks(store)
    merged = [chunk for chunk in after if any(count is not None for count in chunk["ttft_count"])]
    assert len(merged) == 1 and merged[0]["ts_ms"] == sorted(merged[0]["ts_ms"])
    by_time = dict(zip(merged[0]["ts_ms"], zip(merged[0]["output_tokens"], merged[0]["ttft_count"], strict=True), strict=True))
    assert [by_time[start + second * 1000] for second in range(2, 300, 2)] == [(1, 3)] * 149
    assert {count for ts, (_, count) in by_time.items() if ts > start + 300_000} == {None}
    kept_rows = {ts: tokens for (number, ts), tokens in before.items() if ts in by_time and ts > start + 300_000}
    assert kept_rows and sum(len(chunk["ts_ms"]) for chunk in after) >= len(before) + 149
    assert check.check(store) == []


def test_its_servers_go_on_in_the_new_columns(store: Path) -> None:
    upgrade(store)
    db = sqlite3.connect(store)
    key = db.execute("SELECT root_pid, root_start_ms, port FROM workload WHERE name='Qwen3-8B'").fetchone()
    last = db.execute("SELECT max(ts_ms) FROM tick").fetchone()[0]
    tokens = db.execute("SELECT sum(output_tokens_sum) FROM workload_minute").fetchone()[0]
    db.close()
    writer = StoreWriter.open(store, clock=FakeClock(last / 1000 + 1), simulated=True, tmpfs_fallback=False)
    writer.begin_session(last + 1000, 1000, "boot")
    for second in range(2, 62, 2):
        values = quantise(InferenceSample(*key, output_tokens_total=1.0, kv_cache_fullest_ratio=0.5, window_seconds=2.0))
        told = [Server(*key, ServerState.UP, served_model="Qwen/Qwen3-8B")] if second == 2 else []
        writer.add(Tick(last + second * 1000, servers=told, workload_rows=[WorkloadRow(*key, "inference", 2000, values)]))
    assert writer.commit(), writer.problem
    close_minutes(writer.connection, last + 3_600_000)
    close_hours(writer.connection, last + 3 * HOUR_MS)
    db = writer.connection
    assert db.execute("SELECT count(*) FROM workload WHERE name='Qwen3-8B'").fetchone() == (1,)
    assert db.execute("SELECT sum(output_tokens_sum)-? FROM workload_minute", (tokens,)).fetchone()[0] >= 30
    assert db.execute("SELECT sum(window_ms_sum), max(kv_cache_fullest_pm_max) FROM workload_hour").fetchone() == (60_000, 500)
    assert db.execute("SELECT served_model, state FROM v_server").fetchall() == [("Qwen/Qwen3-8B", "up")]
    writer.close()
    assert check.check(store) == []
