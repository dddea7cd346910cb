"""Stores of released versions: upgraded they are like a fresh one, say what they said, and can be recorded into."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import kept
from support.recording import Lab, Scripted, gpu_batch, host_batch, proc_batch

from gpuwatch.clock import FakeClock
from gpuwatch.recorder import Closer
from gpuwatch.store import check, columns, connection, views
from gpuwatch.store.upgrade import upgrade
from gpuwatch.store.writer import StoreWriter

FIGURES = {
    "SELECT count(*), sum(observed_seconds), sum(energy_joules), max(t) FROM v_gpu_minute": (
        "SELECT count(*), sum(obs_ms)/1000.0, sum(CASE WHEN energy_src>0 THEN energy_used_mj END)/1000.0, max(t) FROM gpu_minute"
    ),
    "SELECT sum(utilization_ratio*observed_seconds) FROM v_gpu_minute": (
        "SELECT sum(utilization_pm_ms*1.0/utilization_obs_ms*obs_ms/1e6) FROM gpu_minute WHERE utilization_obs_ms>0"
    ),
    "SELECT count(*), sum(observed_seconds), count(gpu_uuid) FROM v_process_minute": (
        "SELECT count(*), sum(obs_ms)/1000.0, sum(gpu_id<>0) FROM process_minute"
    ),
    "SELECT count(*), sum(observed_seconds), sum(steps_total) FROM v_workload_minute": (
        "SELECT count(*), sum(obs_ms)/1000.0, sum(steps_sum) FROM workload_minute"
    ),
    "SELECT sum(ms), sum(energy_mj) FROM v_ledger_minute WHERE bucket<>'unobserved'": (
        "SELECT sum(ms), sum(energy_mj) FROM ledger_minute WHERE bucket>0"
    ),
    "SELECT count(*), sum(power_watts), sum(memory_used_bytes), sum(quiet) FROM v_gpu_raw": (
        "SELECT count(*), sum(power_mw)/1000.0, sum(memory_used_mib)*1048576.0, sum(quiet) FROM gpu_sample"
    ),
    "SELECT count(*), sum(ts_ms), group_concat(detail, '|') FROM (SELECT * FROM v_event ORDER BY ts_ms)": (
        "SELECT count(*), sum(ts_ms), group_concat(detail, '|') FROM (SELECT * FROM event ORDER BY ts_ms)"
    ),
    "SELECT count(*), sum(duration_seconds) FROM v_gap": "SELECT count(*), sum(t1_ms-t0_ms)/1000.0 FROM gap",
    "SELECT group_concat(user, ' ') FROM (SELECT DISTINCT user FROM v_process WHERE user IS NOT NULL AND name<>'' ORDER BY 1)": (
        "SELECT group_concat(name, ' ') FROM (SELECT DISTINCT u.name FROM process JOIN user_account u USING(user_id) WHERE process.name<>'' ORDER BY 1)"
    ),
    "SELECT count(*), min(first_ms), max(last_ms) FROM v_gpu": "SELECT count(*), min(first_ms), max(last_ms) FROM gpu",
}
"""What the views must say of an upgraded store, and how the tables of the old one say it."""


ROWS = """(SELECT coalesce(sum(n),0) FROM chunk WHERE kind=0) + (SELECT count(*) FROM gpu_sample JOIN tick USING (tick_id)
    WHERE ts_ms>coalesce((SELECT done_s*1000 FROM rollup_state WHERE tier='seal'),0))"""
"""How many rows of GPUs a store holds, sealed or not."""


def _answers(path: Path, questions: Iterable[str]) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return [db.execute(sql).fetchone() for sql in questions]


def _tables(db: sqlite3.Connection) -> list[str]:
    found = db.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%' ORDER BY 1")
    return [name for (name,) in found]


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def test_every_schema_before_this_one_has_a_kept_store() -> None:
    assert {kept.ordinal(packed) for packed in kept.FILES} == set(range(1, columns.SCHEMA_VERSION))


def test_a_kept_store_is_of_the_schema_that_its_name_says(packed: Path, store: Path) -> None:
    assert _answers(store, ["PRAGMA user_version"]) == [(kept.ordinal(packed),)]
    assert packed.stat().st_size <= 150_000
    assert check.check(store) == []


def test_upgraded_it_is_made_like_a_fresh_one(packed: Path, store: Path, tmp_path: Path) -> None:
    assert upgrade(store) == (kept.ordinal(packed), columns.SCHEMA_VERSION)
    fresh = connection.open_write(tmp_path / "fresh.db")
    upgraded = connection.open_write(store)
    assert kept.objects(upgraded) == kept.objects(fresh)
    for mark in ("application_id", "user_version", "auto_vacuum", "page_size"):
        assert upgraded.execute(f"PRAGMA {mark}").fetchone() == fresh.execute(f"PRAGMA {mark}").fetchone(), mark
    fresh.close()
    upgraded.close()
    assert check.check(store) == []


def test_upgraded_it_answers_with_the_figures_it_had(store: Path) -> None:
    before = _answers(store, FIGURES.values())
    upgrade(store)
    for (question, _), said, was in zip(FIGURES.items(), _answers(store, FIGURES), before, strict=True):
        assert said == pytest.approx(was), question
    assert any(row[0] for row in before[:2]), "a kept store without minutes shows nothing"
    with closing(sqlite3.connect(store)) as db:
        for name in views.NAMES:
            db.execute(f"SELECT * FROM {name}").fetchall()


ANEW = {
    "chunk": "WHERE kind<>2",
    "process": "WHERE name<>'' OR start_known",
}
"""Sealed hours of trainings become those of processes (schema 4), who get rows where nobody has described them."""


def test_no_cell_of_an_old_table_changes(store: Path) -> None:
    with closing(sqlite3.connect(store)) as db:
        asked = {
            table: f"SELECT {','.join(_columns(db, table))} FROM {table} {ANEW.get(table, '')} ORDER BY 1, 2"
            for table in _tables(db)
        }
        before = {table: db.execute(sql).fetchall() for table, sql in asked.items()}
    upgrade(store)
    with closing(sqlite3.connect(store)) as db:
        after = {table: db.execute(sql).fetchall() for table, sql in asked.items()}
    assert after == before


def test_the_hosts_hours_begin_where_its_zone_says(store: Path) -> None:
    upgrade(store)
    (found,) = _answers(store, ["SELECT hour_offset_seconds, utc_offset_seconds FROM host"])
    assert found in ((0, 0), (1800, 19800))


def test_a_recorder_goes_on_writing_into_it(store: Path) -> None:
    (last, ticks) = _answers(store, ["SELECT max(ts_ms), count(*) FROM tick"])[0]
    clean = _answers(store, ["SELECT clean FROM session ORDER BY session_id DESC LIMIT 1"])[0][0]
    with closing(sqlite3.connect(store)) as db:  # a real store may not be simulated
        db.execute("DELETE FROM meta WHERE key='simulated'")
        db.commit()
    lab = Lab(store)
    lab.clock.advance(last / 1000 + 600 - lab.clock.time())
    lab.record(Scripted("nvml", gpu_batch), Scripted("procs", proc_batch), Scripted("host", host_batch), close_minutes=True)
    lab.tick(130)
    lab.recorder.end()
    assert lab.rows("SELECT count(*) FROM tick WHERE ts_ms<=?", last) == [(ticks,)]
    assert lab.rows("SELECT count(*) FROM v_gpu_raw WHERE gpu_uuid='GPU-a'") == [(130,)]
    assert lab.rows("SELECT reason FROM v_gap ORDER BY start_ms DESC LIMIT 1") == [("off" if clean else "crash",)]
    assert lab.rows("SELECT clean FROM session ORDER BY session_id DESC LIMIT 1") == [(1,)]
    assert len(lab.rows("SELECT 1 FROM v_gpu_minute WHERE gpu_uuid='GPU-a'")) >= 2
    lab.writer.close()
    assert check.check(store) == []


def test_a_writer_upgrades_it_by_itself(store: Path) -> None:
    writer = StoreWriter.open(store, clock=FakeClock(), simulated=True, tmpfs_fallback=False)
    assert writer.connection.execute("PRAGMA user_version").fetchone() == (columns.SCHEMA_VERSION,)
    assert writer.path == store and writer.notices == []
    writer.close()


def test_its_hours_and_days_are_closed_from_its_minutes_and_its_rows_sealed(store: Path) -> None:
    """Days later the next recorder does what the old one could not: it sums, seals, and lets go of single rows."""
    ((last, rows),) = _answers(store, [f"SELECT max(ts_ms), {ROWS} FROM tick"])
    now_ms = last + 3 * 86_400_000
    writer = StoreWriter.open(store, clock=FakeClock(now_ms / 1000), simulated=True, tmpfs_fallback=False)
    writer.begin_session(now_ms, 1000, "boot")
    closer = Closer(writer)
    for minute in (0, 60_000):  # what is sealed in one minute is let go of in the next
        for _ in range(500):
            closer.work(now_ms + minute)
    db = writer.connection
    sums = {
        "gpu": "sum(obs_ms), sum(quiet_ms), sum(energy_used_mj), max(power_mw_max)",
        "process": "sum(obs_ms), sum(sm_pm_ms)",
        "ledger": "sum(ms), sum(energy_mj)",
    }
    for what, values in sums.items():
        minutes, hours, days = (db.execute(f"SELECT {values} FROM {what}_{tier}").fetchone() for tier in ("minute", "hour", "day"))
        assert minutes == hours == days and minutes[0] > 0, what
    assert db.execute("SELECT sum(n) FROM chunk WHERE kind=0").fetchone() == (rows,)
    assert db.execute("SELECT count(*) FROM gpu_sample").fetchone() == (0,)
    (half,) = db.execute("SELECT hour_offset_seconds FROM host").fetchone()
    assert {t % 3600 for (t,) in db.execute("SELECT t FROM gpu_hour")} == {half}
    writer.close()
    assert check.check(store) == []
