"""SQL for people: one SELECT on the public views, nothing else."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.store_rows import first_tick, gpu_row, tick

from gpuwatch.errors import UsageError
from gpuwatch.store import views
from gpuwatch.store.reader import open_reader, query
from gpuwatch.store.writer import StoreWriter


@pytest.fixture
def reader(writer: StoreWriter, path: Path) -> Iterator[sqlite3.Connection]:
    writer.add(first_tick())
    writer.add(tick(1, gpu_row(utilization_ratio=0.5)))
    writer.commit()
    db = open_reader(path)
    yield db
    db.close()


@pytest.mark.parametrize("view", views.NAMES)
def test_every_public_view_may_be_read(reader: sqlite3.Connection, view: str) -> None:
    names, _ = query(reader, f"SELECT * FROM {view}")
    assert names


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT gpu_index, utilization_ratio FROM v_gpu_now", [(0, 0.5)]),
        ("SELECT count(*) FROM v_gpu_raw;", [(1,)]),
        ("WITH a AS (SELECT gpu_uuid FROM v_gpu) SELECT * FROM a", [("GPU-0",)]),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3) SELECT sum(i) FROM n", [(6,)]),
        ("SELECT g.name FROM v_gpu g JOIN v_gpu_now n ON n.gpu_uuid=g.gpu_uuid", [("H100",)]),
        ("SELECT value FROM json_each('[7]')", [(7,)]),
        ("SELECT \"column\" FROM v_schema WHERE view='v_gap' LIMIT 1", [("start_ms",)]),
        ("VALUES (1)", [(1,)]),
        ("WITH m AS (SELECT 1 AS n) SELECT n FROM m, v_gpu", [(1,)]),
        ("WITH process AS (SELECT 2 AS n) SELECT n FROM process", [(2,)]),
        ("SELECT 'main.process'", [("main.process",)]),
    ],
)
def test_what_is_allowed(reader: sqlite3.Connection, sql: str, rows: list[tuple[object, ...]]) -> None:
    assert query(reader, sql)[1] == rows


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT hostname FROM host", "host is private"),
        ("WITH a AS (SELECT command FROM process) SELECT * FROM a", "process is private"),
        ("SELECT count(*) FROM process", "process is private"),
        ("SELECT 1 FROM v_gpu, tick", "tick is private"),
        ("WITH v_gpu AS (SELECT command FROM process) SELECT * FROM v_gpu", "process is private"),
        ("WITH m AS (SELECT command FROM process) SELECT * FROM m", "process is private"),
        ("SELECT command FROM main.process", "main."),
        ("SELECT count(*) FROM 'main' /* x */ . process", "main."),
        ("SELECT sql FROM sqlite_master", "sqlite_master is private"),
        ("SELECT sql FROM sqlite_temp_master", "sqlite_temp_master is private"),
        ("SELECT (SELECT detail FROM event LIMIT 1) FROM v_gpu", "event is private"),
        ("DELETE FROM v_gpu", "v_gpu"),
        ("DELETE FROM tick", "it is a view"),
        ("PRAGMA query_only=0", "only SELECT"),
        ("ATTACH '/tmp/x.db' AS x", "only SELECT"),
        ("CREATE TEMP TABLE a(b)", "only SELECT"),
        ("BEGIN", "only SELECT"),
        ("SELECT load_extension('x')", "load_extension() is not allowed"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT colour FROM v_gpu", "no such column: colour"),
        ("SELEC 1", "syntax error"),
        ("", "only SELECT"),
    ],
)
def test_what_is_refused_and_how_it_is_said(reader: sqlite3.Connection, sql: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        query(reader, sql)
    assert says in caught.value.message and "v_schema" in caught.value.hint
    assert query(reader, "SELECT 1")[1] == [(1,)]


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-c is heeded, as it is not where a shell has started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_a_statement_without_end_can_be_interrupted(reader: sqlite3.Connection) -> None:
    timer = threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        query(reader, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT sum(i) FROM n")
    timer.join()
    assert query(reader, "SELECT 1")[1] == [(1,)]
