"""The public views: all answer, v_schema tells the truth about them, and a script's sum is capacity."""

from __future__ import annotations

import re
import sqlite3
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from support.store_rows import T0, first_tick, gpu, gpu_row, process, process_row, tick

from gpuwatch.ledger.split import capacity
from gpuwatch.ledger.types import BucketRow
from gpuwatch.model import Event
from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.store import views
from gpuwatch.store.ledger_rows import process_owners, write_ledger
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.writer import StoreWriter

T = T0 // 1000
NAMED = {
    "v_host", "v_gpu", "v_process", "v_workload", "v_gpu_now", "v_gpu_raw", "v_gpu_minute", "v_gpu_hour", "v_process_now",
    "v_process_minute", "v_process_hour", "v_workload_minute", "v_workload_hour", "v_run", "v_hist", "v_ledger_minute",
    "v_ledger_hour", "v_finding", "v_event", "v_coverage", "v_gap",
    "v_import", "v_schema", "v_gpu_day", "v_process_day", "v_workload_day",
    "v_server", "v_server_field", "v_workload_now", "v_latency_minute", "v_latency_hour", "v_latency_day",
    "v_trainer", "v_training_now", "v_finding_minute", "v_mute",
}  # fmt: skip


@pytest.fixture
def lab(writer: StoreWriter) -> sqlite3.Connection:
    """Two GPUs for three minutes, one process, one event."""
    writer.add(first_tick(gpu(0), gpu(1), people=[process(7)], events=[Event(T0, "start", "recorder")]))
    for second in range(1, 181):
        held = [process_row(7, 0, 2000, sm_utilization_ratio=0.25)] if second % 2 == 0 else []
        writer.add(tick(second, gpu_row(0, utilization_ratio=0.5, memory_used_bytes=2**30), gpu_row(1), held=held))
    writer.commit()
    close_minutes(writer.connection, T0 + 180_000)
    return writer.connection


def columns_of(db: sqlite3.Connection, view: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({view})")]


def test_the_contract_names_are_there() -> None:
    assert set(views.NAMES) == NAMED


@pytest.mark.parametrize("view", sorted(NAMED))
def test_every_view_answers_and_v_schema_lists_its_columns(lab: sqlite3.Connection, view: str) -> None:
    lab.execute(f"SELECT * FROM {view}").fetchall()
    listed = lab.execute('SELECT "column", unit, meaning FROM v_schema WHERE "view"=?', (view,)).fetchall()
    assert [row[0] for row in listed] == columns_of(lab, view)
    assert all(unit and meaning for _, unit, meaning in listed)
    assert "host" in columns_of(lab, view) or view == "v_schema"


def test_views_that_have_rows_in_a_small_lab(lab: sqlite3.Connection) -> None:
    filled = {name for name in NAMED if lab.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone()}
    named = "v_host v_gpu v_process v_gpu_now v_gpu_raw v_gpu_minute v_process_now v_process_minute v_event v_coverage v_schema"
    assert filled == set(named.split())


def test_names_carry_their_unit() -> None:
    """No percent, MiB, hour or kWh; a column that ends with a unit has that unit."""
    suffixes = ("ratio", "bytes", "watts", "joules", "celsius", "hertz", "seconds", "total")
    for view, column, unit, _ in views.schema_rows():
        assert not re.search(r"(pct|percent|mib|gib|kwh|_h$|_pm$|_mhz)", column), (view, column)
        if column.rsplit("_", 1)[-1] in suffixes:
            assert unit == column.rsplit("_", 1)[-1], (view, column)
        if column.endswith("_ms"):
            assert unit == "unix milliseconds", (view, column)


def test_numbers_are_in_base_units_and_never_whole_by_accident(lab: sqlite3.Connection) -> None:
    row = lab.execute("SELECT utilization_ratio, memory_used_bytes, duration_seconds FROM v_gpu_now WHERE gpu_index=0").fetchone()
    assert row == (0.5, 2**30, 1.0)
    assert lab.execute("SELECT sm_utilization_ratio, user, gpu_index FROM v_process_now").fetchall() == [(0.25, "alice", 0)]
    assert lab.execute("SELECT utilization_max_ratio FROM v_gpu_minute WHERE gpu_index=0 LIMIT 1").fetchone() == (0.5,)
    assert lab.execute("SELECT DISTINCT context, quiet FROM v_gpu_raw").fetchall() == [("process", 0)]


def test_no_division_of_integers_in_any_view() -> None:
    for view in views.VIEWS:
        for column in view.columns:
            for divisor in re.findall(r"/(\d+(?:\.\d+)?)", column.sql):
                assert "." in divisor, (view.name, column.name)


def test_now_leaves_out_what_has_no_row_any_more(writer: StoreWriter) -> None:
    writer.add(first_tick(gpu(0), gpu(1), people=[process(7), process(8)]))
    writer.add(tick(1, gpu_row(0), gpu_row(1), held=[process_row(7), process_row(8)]))
    for second in range(2, 60):
        writer.add(tick(second, gpu_row(0), held=[process_row(7)] if second % 2 == 0 else ()))
    writer.commit()
    assert writer.connection.execute("SELECT gpu_index FROM v_gpu_now").fetchall() == [(0,)]
    assert writer.connection.execute("SELECT pid FROM v_process_now").fetchall() == [(7,)]
    for second in range(60, 70):
        writer.add(tick(second, gpu_row(0)))
    writer.commit()
    assert writer.connection.execute("SELECT pid FROM v_process_now").fetchall() == []


def test_now_is_not_taken_in_by_a_clock_that_was_set_back(writer: StoreWriter) -> None:
    writer.add(first_tick(gpu(0), gpu(1)))
    writer.add(tick(1, gpu_row(0), gpu_row(1)))
    for second in (200, 300):
        writer.add(tick(second, gpu_row(0)))
    writer.begin_session(T0 - 600_000, 1000, "boot")
    writer.add(tick(-599, gpu_row(0)))
    writer.commit()
    assert writer.connection.execute("SELECT gpu_index, ts_ms FROM v_gpu_now").fetchall() == [(0, T0 - 599_000)]


def test_coverage(writer: StoreWriter) -> None:
    writer.add(first_tick())
    for second in range(1, 31):
        writer.add(tick(second, gpu_row()))
    writer.commit()
    close_minutes(writer.connection, T0 + 60_000)
    assert writer.connection.execute("SELECT t, observed_seconds, coverage_ratio FROM v_coverage").fetchall() == [(T, 30.0, 0.5)]


# ------------------------------------------------------------------------------------------------------------- the ledger


def _row(bucket: Bucket, ms: int, owner: int = 0) -> BucketRow:
    return BucketRow(owner, bucket, Cause.NONE, Tier.N, ms, 10)


def _sums(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return db.execute("SELECT gpu_index, (t-?)/60, sum(ms) FROM v_ledger_minute GROUP BY 1, 2 ORDER BY 1, 2", (T,)).fetchall()


def test_a_scripts_sum_is_capacity_from_the_first_to_the_last_minute(lab: sqlite3.Connection) -> None:
    owner = process_owners(lab, [1])[1]
    write_ledger(lab, 1, T, [_row(Bucket.HELD_IDLE, 30_000, owner), _row(Bucket.WAIT, 29_999, owner)], True)
    write_ledger(lab, 1, T + 60, [_row(Bucket.BUSY_UNKNOWN, 60_000, owner)], True)
    write_ledger(lab, 1, T + 300, [_row(Bucket.QUIET, 1000)], False)
    write_ledger(lab, 2, T + 60, [_row(Bucket.UNALLOCATED, 60_000)], True)
    assert _sums(lab) == [*((0, minute, 60_000) for minute in range(6)), (1, 1, 60_000)]
    by_word = dict(lab.execute("SELECT bucket, sum(ms) FROM v_ledger_minute WHERE gpu_index=0 GROUP BY 1"))
    assert by_word == {
        "held_idle": 30_000,
        "wait": 29_999,
        "busy_unknown": 60_000,
        "quiet": 1000,
        "unobserved": 180_000 + 59_000 + 1,
    }
    who = "SELECT DISTINCT \"user\", pid, process, job, provisional FROM v_ledger_minute WHERE bucket='held_idle'"
    assert lab.execute(who).fetchall() == [("alice", 7, "python3", "", 0)]
    nobody = "SELECT DISTINCT \"user\", pid, cause, tier FROM v_ledger_minute WHERE bucket='unobserved'"
    assert lab.execute(nobody).fetchall() == [(None, None, "none", "n")]
    assert lab.execute("SELECT DISTINCT (t-?)/60 FROM v_ledger_minute WHERE provisional", (T,)).fetchall() == [(5,)]


def test_a_recorded_minute_of_which_nothing_is_known_is_unobserved_not_missing(lab: sqlite3.Connection) -> None:
    for minute in (1, 2):
        write_ledger(lab, 1, T + 60 * minute, [_row(Bucket.UNOBSERVED, 60_000)], True)
    assert _sums(lab) == [(0, 1, 60_000), (0, 2, 60_000)]
    assert lab.execute("SELECT DISTINCT bucket, energy_mj, ms FROM v_ledger_minute").fetchall() == [("unobserved", 0, 60_000)]
    write_ledger(lab, 1, T + 120, [_row(Bucket.WAIT, 60_000)], True)
    assert lab.execute("SELECT bucket FROM v_ledger_minute ORDER BY t").fetchall() == [("unobserved",), ("wait",)]


def test_a_full_minute_has_no_unobserved_row(lab: sqlite3.Connection) -> None:
    write_ledger(lab, 1, T, [_row(Bucket.WAIT, 60_000)], True)
    assert lab.execute("SELECT bucket FROM v_ledger_minute").fetchall() == [("wait",)]


def test_mig_instances_and_the_rest_of_their_gpu_sum_to_one_gpu(writer: StoreWriter) -> None:
    parts = [gpu(1, parent_uuid="GPU-0", compute_fraction=3 / 7), gpu(2, parent_uuid="GPU-0", compute_fraction=2 / 7)]
    gone = gpu(3, parent_uuid="GPU-0", compute_fraction=1 / 7)
    writer.add(first_tick(gpu(0, mig_enabled=True), *parts, gone))
    for minute in (0, 3):
        writer.add(tick(minute * 60 + 30, gpu_row(0), gpu_row(1), gpu_row(2)))
    writer.commit()
    close_minutes(writer.connection, T0 + 240_000)
    db = writer.connection
    for minute in (0, 3):
        for index in (0, 1, 2):
            gpu_id = db.execute("SELECT gpu_id FROM gpu WHERE gpu_index=?", (index,)).fetchone()[0]
            write_ledger(db, gpu_id, T + minute * 60, [_row(Bucket.WAIT, 1000)], True)
    weights = {0: Fraction(2, 7), 1: Fraction(3, 7), 2: Fraction(2, 7)}
    expected = [
        (index, minute, capacity(T0 + minute * 60_000, T0 + minute * 60_000 + 60_000, weight))
        for index, weight in weights.items()
        for minute in range(4)
    ]
    assert _sums(db) == expected
    assert abs(sum(ms for _, _, ms in expected) - 4 * 60_000) <= len(weights)


@pytest.mark.parametrize("there", [(0, 4), (0, 1), (1, 2, 8, 9), (0, 8), (1, 9)])
def test_an_instance_that_comes_and_goes_is_not_counted_while_its_board_was_whole(
    writer: StoreWriter, there: tuple[int, ...]
) -> None:
    """The board is recorded in minutes 0 to 5 and 8 to 9, the instance in those given; nobody watched in 6 and 7."""
    writer.add(first_tick(gpu(0, mig_enabled=True), gpu(1, parent_uuid="GPU-0", compute_fraction=3 / 7)))
    board = [*range(6), 8, 9]
    for minute in board:
        writer.add(tick(minute * 60 + 30, gpu_row(0), *([gpu_row(1)] if minute in there else [])))
    writer.commit()
    close_minutes(writer.connection, T0 + 600_000)
    db = writer.connection
    ids = [db.execute("SELECT gpu_id FROM gpu WHERE gpu_index=?", (index,)).fetchone()[0] for index in (0, 1)]
    for minute in board:
        write_ledger(db, ids[0], T + minute * 60, [_row(Bucket.WAIT, 1000)], True)
        if minute in there:
            write_ledger(db, ids[1], T + minute * 60, [_row(Bucket.WAIT, 1000)], True)
    sums = db.execute("SELECT (t-?)/60, sum(ms) FROM v_ledger_minute GROUP BY 1 ORDER BY 1", (T,)).fetchall()
    assert [minute for minute, _ in sums] == list(range(10))
    assert all(abs(ms - 60_000) <= 1 for _, ms in sums)


def test_hours_sum_to_capacity_too(lab: sqlite3.Connection) -> None:
    hour = T // 3600 * 3600
    values = (hour, 1, 0, int(Bucket.WAIT), 0, 0, 1_000_000, 5)
    lab.execute("INSERT INTO ledger_hour VALUES(?,?,?,?,?,?,?,?)", values)
    assert dict(lab.execute("SELECT bucket, ms FROM v_ledger_hour")) == {"wait": 1_000_000, "unobserved": 2_600_000}


@pytest.mark.parametrize(
    ("query", "used"),
    [
        ("SELECT * FROM v_gpu_minute WHERE t>=1 AND t<2", "SEARCH m USING PRIMARY KEY (t>? AND t<?)"),
        ("SELECT * FROM v_process_minute WHERE t>=1", "SEARCH m USING PRIMARY KEY (t>?)"),
        ("SELECT * FROM v_ledger_minute WHERE t>=1 AND t<2", "SEARCH m USING PRIMARY KEY (t>? AND t<?)"),
        ("SELECT * FROM v_gpu_raw WHERE ts_ms>=1", "SEARCH k USING COVERING INDEX ix_tick_ts_ms (ts_ms>?)"),
        ("SELECT * FROM v_event WHERE ts_ms>=1", "ix_event_ts_ms (ts_ms>?)"),
    ],
)
def test_filters_by_time_use_keys(lab: sqlite3.Connection, query: str, used: str) -> None:
    plan = [row[3] for row in lab.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert any(used in line for line in plan), plan
    assert not [line for line in plan if re.match(r"SCAN (m|k|s|e) ", line)]


# --------------------------------------------------------------------------------------------------------------- the page


def test_the_docs_page_is_what_the_views_generate(request: pytest.FixtureRequest) -> None:
    from gpuwatch.store.document import schema_document

    page = Path(request.config.rootpath) / "docs" / "schema.md"
    assert page.read_text(encoding="utf-8") == schema_document()


def test_the_docs_example_runs_with_plain_python(lab: sqlite3.Connection, path: Path, tmp_path: Path, request: Any) -> None:
    import subprocess
    import sys

    page = (Path(request.config.rootpath) / "docs" / "schema.md").read_text(encoding="utf-8")
    script = tmp_path / "example.py"
    script.write_text(re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1), encoding="utf-8")  # type: ignore[union-attr]
    write_ledger(lab, 1, T, [_row(Bucket.WAIT, 60_000)], True)
    done = subprocess.run([sys.executable, "-I", str(script), str(path)], capture_output=True, text=True, check=True)
    assert "  0        3     180 s        0.500 -" in done.stdout
    assert "wait                        60.0" in done.stdout and done.stderr == ""
