"""Rows of a span: those of the views, each once, however the span is cut; the same in CSV and in Parquet."""

from __future__ import annotations

import csv
import io
import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.inprocess import run_program
from support.story import START, Hold, Story, process

from gpuwatch.errors import UsageError
from gpuwatch.names import Context
from gpuwatch.store import export
from gpuwatch.store.connection import open_read
from gpuwatch.text import sheet_unsafe

T = int(START)
LENGTH_S = 400


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two GPUs and a process with a hostile name, with a gap of 50 s in the middle."""
    path = tmp_path_factory.mktemp("store") / "gpuwatch.db"
    story = Story(path, gpus=2)
    story.close_minutes()
    story.holds = [Hold(process(7, "=cmd|' /C calc'!A0", name='+evil,"x"'), 0)]
    story.gpus[0].util, story.gpus[0].context = lambda second: (second % 7) / 7, Context.PROCESS
    story.gpus[1].sample = {"power_watts": None}
    story.run(175)
    story.gap(50)
    story.writer.connection.execute("INSERT INTO gap VALUES(1,0,?,?,0,1)", (story.now_ms - 50_000, story.now_ms + 1000))
    story.run(175)
    story.writer.close()
    return path


@pytest.fixture
def db(store: Path) -> sqlite3.Connection:
    return open_read(store)


def everything(db: sqlite3.Connection, what: str, every: str | None = None) -> list[tuple[Any, ...]]:
    return list(export.rows(db, export.source(what, every), 0, T + LENGTH_S))


VIEW_OF = {("gpu", "second"): "v_gpu_raw", ("gpu", "minute"): "v_gpu_minute", ("process", "minute"): "v_process_minute", ("ledger", "minute"): "v_ledger_minute", ("gaps", None): "v_gap"}  # fmt: skip


@pytest.mark.parametrize(("what", "every"), VIEW_OF)
def test_the_rows_are_those_of_the_view(db: sqlite3.Connection, what: str, every: str | None) -> None:
    cursor = db.execute(f"SELECT * FROM {VIEW_OF[what, every]}")
    assert [c.name for c in export.source(what, every).columns] == [d[0] for d in cursor.description]
    found = everything(db, what, every)
    assert found and sorted(found, key=repr) == sorted(cursor.fetchall(), key=repr)
    assert [row[0] for row in found] == sorted(row[0] for row in found)


def test_single_rows_of_processes_and_of_the_host(db: sqlite3.Connection) -> None:
    names = [c.name for c in export.source("process").columns]
    rows = [dict(zip(names, row, strict=True)) for row in everything(db, "process")]
    assert len(rows) == db.execute("SELECT count(*) FROM process_sample").fetchone()[0]
    assert {(row["pid"], row["gpu_index"], row["gpu_memory_bytes"]) for row in rows} == {(7, 0, 1000 * 2**20)}
    host = everything(db, "host")
    assert len(host) == 350 and {row[3] for row in host} == {0.25}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(-10, LENGTH_S + 10), max_size=4), of=st.sampled_from([("gpu", "second"), ("gpu", "minute"), ("process", "second"), ("ledger", "minute")]))  # fmt: skip
def test_spans_that_follow_each_other_have_every_row_once(db: sqlite3.Connection, cuts: list[int], of: tuple[str, str]) -> None:
    edges = [T - 3600, *sorted(T + cut for cut in cuts), T + 3600]
    source = export.source(*of)
    parts = [row for start, end in pairwise(edges) for row in export.rows(db, source, start, end)]
    assert parts == everything(db, *of)


def test_a_row_belongs_to_the_time_before_it(db: sqlite3.Connection) -> None:
    stamps = {row[0] for row in export.rows(db, export.source("gpu"), T + 10, T + 12)}
    assert stamps == {(T + 11) * 1000, (T + 12) * 1000}


def test_what_there_is_not_is_said(db: sqlite3.Connection) -> None:
    with pytest.raises(UsageError, match="no rows of 'ledger' for every second") as failed:
        export.source("ledger", "second")
    assert failed.value.hint == "--every minute or hour"
    with pytest.raises(UsageError) as failed:
        export.source("gaps", "day")
    assert failed.value.hint == "leave out --every"


def test_an_empty_store_has_no_rows(tmp_path: Path) -> None:
    from gpuwatch.store.connection import open_write

    db = open_write(tmp_path / "empty.db")
    for what in export.WHAT:
        for every in export.steps(what) or (None,):
            assert list(export.rows(db, export.source(what, every), 0, 2**33)) == []
    db.close()


# ------------------------------------------------------------------------------------------------------------ the command


def exported(store: Path, *more: str) -> str:
    done = run_program("export", "--store", str(store), "--since", f"@{T}", "--until", f"@{T + LENGTH_S}", *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_csv_reads_back_as_the_same_numbers(store: Path, db: sqlite3.Connection) -> None:
    head, *lines = csv.reader(io.StringIO(exported(store)))
    rows = db.execute("SELECT * FROM v_gpu_raw ORDER BY ts_ms, gpu_index").fetchall()
    assert head == [d[0] for d in db.execute("SELECT * FROM v_gpu_raw LIMIT 0").description]

    def read(text: str, like: object) -> object:
        return None if text == "" else sheet_unsafe(text) if isinstance(like, str) else type(like)(text)

    assert [tuple(read(cell, like) for cell, like in zip(line, row, strict=True)) for line, row in zip(lines, rows, strict=True)] == rows  # fmt: skip


def test_hostile_names_are_no_formulas(store: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(exported(store, "--what", "process"))))
    assert {(line["user"], line["name"]) for line in lines} == {("'=cmd|' /C calc'!A0", '\'+evil,"x"')}


def test_parquet_has_the_same_rows_with_units(store: Path, db: sqlite3.Connection, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (the parquet extra)")
    from pyarrow import parquet

    target = tmp_path / "rows.parquet"
    assert exported(store, "-o", str(target)) == ""
    read = parquet.read_table(target)
    assert [tuple(row.values()) for row in read.to_pylist()] == everything(db, "gpu")
    field = read.schema.field("memory_used_bytes")
    assert field.metadata == {b"unit": b"bytes", b"meaning": b"Device memory in use without the driver's reserve"}
    assert read.schema.metadata[b"gpuwatch.simulated"] == b"0"
    for what in export.WHAT:
        for every in export.steps(what) or (None,):
            target = tmp_path / f"{what}-{every}.parquet"
            exported(store, "--what", what, *(["--every", every] if every else []), "-o", str(target))
            assert [tuple(row.values()) for row in parquet.read_table(target).to_pylist()] == everything(db, what, every)


def test_what_is_simulated_says_so_in_every_row(tmp_path: Path) -> None:
    story = Story(tmp_path / "sim.db", simulated=True)
    story.run(3)
    story.writer.close()
    done = run_program("export", "--store", str(tmp_path / "sim.db"), "--since", f"@{T}", "--until", f"@{T + 10}")
    assert "SIMULATED" in done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 3 and {row["simulated"] for row in rows} == {"1"}


def test_mistakes_are_one_line(store: Path, tmp_path: Path) -> None:
    def fails(*more: str, code: int) -> str:
        done = run_program("export", "--store", str(store), *more)
        assert (done.returncode, done.stdout) == (code, "")
        return done.stderr

    assert "no host 'other'" in fails("--host", "other", code=2)
    assert "is not a time" in fails("--since", "whenever", code=2)
    assert "there is no store" in fails("--store", str(tmp_path / "none.db"), code=3)
    assert "standard output" in fails("--format", "parquet", code=2) or "pyarrow" in fails("--format", "parquet", code=2)
    assert "cannot be written" in fails("-o", str(tmp_path / "no" / "rows.csv"), code=3)
    (tmp_path / "rows.csv").write_text("before")
    assert "is there already" in fails("-o", str(tmp_path / "rows.csv"), code=2)


def test_no_rows_is_an_empty_table_and_said(store: Path) -> None:
    done = run_program("export", "--store", str(store), "--since", "2001-01-01", "--until", "2001-01-02", "--what", "events")
    assert done.returncode == 0 and done.stdout.startswith("ts_ms,host,") and done.stdout.count("\n") == 1
    assert "no rows of 'events' between 2001-01-01 and 2001-01-02" in done.stderr


# ------------------------------------------------------------------------------------------------------------ and back in

DERIVED = {"host", "tick_id", "quiet", "context", "quiet_seconds", "clock_ratio"}
"""Made anew by whoever records or imports; everything else is measured and must come back exactly."""


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_was_exported_is_imported_and_exported_the_same(store: Path, tmp_path: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed (the parquet extra)")
    name, other = tmp_path / f"rows.{ending}", tmp_path / "other.db"
    exported(store, "-o", str(name))
    done = run_program("import", "--store", str(other), str(name))
    assert done.returncode == 0, done.stdout + done.stderr
    before, after = (list(csv.DictReader(io.StringIO(exported(path)))) for path in (store, other))
    assert len(before) == len(after) == 700
    for row, again in zip(before, after, strict=True):
        assert {key: cell for key, cell in row.items() if key not in DERIVED} == {
            key: cell for key, cell in again.items() if key not in DERIVED
        }


def test_simulated_rows_do_not_become_real_ones(tmp_path: Path) -> None:
    story = Story(tmp_path / "sim.db", simulated=True)
    story.run(3)
    story.writer.close()
    exported(tmp_path / "sim.db", "-o", str(tmp_path / "rows.csv"))
    done = run_program("import", "--store", str(tmp_path / "real.db"), str(tmp_path / "rows.csv"))
    assert done.returncode == 2 and "simulated rows" in done.stdout + done.stderr


def test_all_hosts_may_be_asked_for_by_that_word(store: Path) -> None:
    assert exported(store, "--host", "all") == exported(store)
