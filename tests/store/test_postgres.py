"""The same metadata and views on PostgreSQL: created by the same migrations, answering the same."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from sqlalchemy import Connection, Engine, text
from support import postgres
from support.two_days import NOW, two_days

from gpuwatch.store import columns, views
from gpuwatch.store.archive.codec import decode, encode
from gpuwatch.store.schema import metadata
from gpuwatch.store.worked import WORKED, Worked, postgresql

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with postgres.server() as engine:
        yield engine


@pytest.fixture(scope="module")
def store(engine: Engine) -> Engine:
    from gpuwatch.store.upgrade import run_revisions

    with engine.begin() as connection:
        run_revisions(connection)
    return engine


def _structure(engine: Engine) -> dict[str, object]:
    """Columns, keys and indices of every table."""
    from sqlalchemy import inspect

    found = inspect(engine)
    out: dict[str, object] = {}
    for table in found.get_table_names():
        described = [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in found.get_columns(table)]
        keys = found.get_pk_constraint(table), found.get_foreign_keys(table), found.get_unique_constraints(table)
        out[table] = described, keys, sorted((i["name"], i["column_names"]) for i in found.get_indexes(table))
    return out


def test_schema_by_schema_with_rows_in_between_gives_what_the_metadata_say(engine: Engine) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    from gpuwatch.store.upgrade import revisions, run_revisions

    stepped, made = postgres.database(engine, "stepped"), postgres.database(engine, "made")
    with stepped.begin() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            revisions()[0].module.upgrade()
        host = dict(_row("host", host_id=1, machine_id="m", hostname="lab", utc_offset_seconds=-12600))
        for added in ("timezone", "hour_offset_seconds"):
            del host[added]
        names = ",".join(host)
        connection.execute(text(f"INSERT INTO host({names}) VALUES({','.join(':' + n for n in host)})"), host)
        gpu = _row("gpu", gpu_id=1, host_id=1, uuid="GPU-0", compute_fraction=1.0)
        connection.execute(metadata.tables["gpu"].insert(), [gpu])
        minute = _row("gpu_minute", t=60, gpu_id=1, obs_ms=60_000)
        connection.execute(metadata.tables["gpu_minute"].insert(), [minute])
        _train_as_before(connection)
    with stepped.begin() as connection:
        run_revisions(connection, 1)
    with stepped.connect() as connection:
        kept = connection.execute(text("SELECT hostname, timezone, hour_offset_seconds FROM host")).one()
        assert tuple(kept) == ("lab", "", 1800)
        assert connection.execute(text("SELECT t, observed_seconds, host FROM v_gpu_minute")).one() == (60, 60.0, "lab")
        ranks = connection.execute(
            text("SELECT s.workload_id, s.steps, p.pid, p.start_known FROM training_sample s JOIN process p USING (proc_id)")
        )
        assert ranks.one() == (9, 3, 500, 0)
        sealed = connection.execute(
            text("SELECT c.cols, c.body FROM chunk c JOIN process p ON p.proc_id=c.entity_id WHERE kind=2")
        ).one()
        assert decode(sealed[0], bytes(sealed[1])) == {
            "ts_ms": [1000, 2000],
            "dt_ms": [0, 1000],
            "workload_id": [9, 9],
            "steps": [1, 2],
        }
        for name in views.NAMES:
            connection.execute(text(f"SELECT * FROM {name}")).fetchall()
    metadata.create_all(made)
    assert _structure(stepped) == _structure(made)
    stepped.dispose()
    made.dispose()


def _train_as_before(connection: Connection) -> None:
    """A training of which rows were one a workload: one of the last hours, and two that are sealed."""
    workload = _row("workload", workload_id=9, host_id=1, root_pid=500, kind="training")
    connection.execute(metadata.tables["workload"].insert(), [workload])
    connection.execute(text("INSERT INTO tick VALUES(1,5000,1)"))
    connection.execute(text("INSERT INTO training_sample(tick_id, workload_id, dt_ms, steps) VALUES(1,9,1000,3)"))
    cols, body = encode([("ts_ms", [1000, 2000]), ("dt_ms", [0, 1000]), ("steps", [1, 2])], 0, 3_600_000)
    chunk = _row("chunk", kind=2, host_id=1, entity_id=9, t1_ms=2000, n=2, codec=1, cols=cols, body=body)
    connection.execute(metadata.tables["chunk"].insert(), [chunk])


def test_every_table_and_column_is_there(store: Engine) -> None:
    from sqlalchemy import inspect

    found = inspect(store)
    assert set(found.get_table_names()) == set(columns.TABLES)
    for name, table in metadata.tables.items():
        assert [c["name"] for c in found.get_columns(name)] == [c.name for c in table.columns]


def test_every_view_answers(store: Engine) -> None:
    with store.connect() as connection:
        for name in views.NAMES:
            connection.execute(text(f"SELECT * FROM {name}")).fetchall()
        listed = connection.execute(text('SELECT "view", "column", unit, meaning FROM v_schema')).fetchall()
    assert [tuple(row) for row in listed] == views.schema_rows()


def test_a_view_calculates_the_same(store: Engine) -> None:
    with store.begin() as connection:
        connection.execute(metadata.tables["host"].insert(), [_row("host", host_id=1, machine_id="m", hostname="lab")])
        connection.execute(metadata.tables["gpu"].insert(), [_row("gpu", gpu_id=1, host_id=1, uuid="GPU-0", compute_fraction=1.0)])
        minute = _row("gpu_minute", t=60, gpu_id=1, obs_ms=60_000, quiet_known_ms=60_000, quiet_ms=30_000)
        connection.execute(
            metadata.tables["gpu_minute"].insert(), [{**minute, "utilization_obs_ms": 60_000, "utilization_pm_ms": 22_200_000}]
        )
        ledger = _row("ledger_minute", t=60, gpu_id=1, bucket=7, ms=59_000)
        connection.execute(metadata.tables["ledger_minute"].insert(), [ledger])
    with store.connect() as connection:
        shown = connection.execute(text("SELECT utilization_ratio, quiet_seconds, power_watts FROM v_gpu_minute")).one()
        assert (round(float(shown[0]), 6), float(shown[1]), shown[2]) == (0.37, 30.0, None)
        sums = connection.execute(text("SELECT bucket, ms FROM v_ledger_minute ORDER BY 2 DESC")).fetchall()
        assert [(word, int(ms)) for word, ms in sums] == [("wait", 59_000), ("unobserved", 1000)]


def _row(table: str, **values: object) -> dict[str, object]:
    """All columns that must have a value, with zero or an empty text where the test does not care."""
    out: dict[str, object] = {}
    for column in metadata.tables[table].columns:
        if not column.nullable:
            out[column.name] = "" if column.type.python_type is str else 0
    return {**out, **values}


COPIED = {
    "host": "", "gpu": "", "user_account": "", "process": "", "workload": "", "owner": "", "gap": "", "hist_bin": "", "hist_hour": "", "hist_day": "",
    "gpu_minute": f" WHERE t>={NOW - 7200}", "gpu_hour": "", "gpu_day": "", "process_hour": "", "ledger_hour": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def both(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, sqlite3.Connection]]:
    """What the worked queries read of two simulated days, on PostgreSQL and in the file that it was copied from."""
    lite = sqlite3.connect(two_days(tmp_path_factory.mktemp("worked") / "gpuwatch.db"))
    other = postgres.copied(engine, "worked", lite, COPIED)
    yield other, lite
    lite.close()
    other.dispose()


@pytest.mark.parametrize("one", WORKED, ids=lambda one: one.name)
def test_every_worked_query_gives_the_same_answer(
    both: tuple[Engine, sqlite3.Connection], one: Worked, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, lite = both
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        cursor = lite.execute(one.sql.replace("'now'", f"{NOW}, 'unixepoch'"))
        expected = cursor.fetchall()
    finally:
        monkeypatch.undo()
        time.tzset()
    with other.connect() as connection:
        connection.exec_driver_sql("SET TIME ZONE 'UTC'")
        sql = postgresql(one.sql).replace("now()", f"to_timestamp({NOW})").replace("%", "%%")
        answer = connection.exec_driver_sql(sql)
        assert list(answer.keys()) == [column[0] for column in cursor.description] == one.answer.split("\n")[0].split()
        found = [tuple(float(cell) if isinstance(cell, Decimal) else cell for cell in row) for row in answer]
    assert len(found) == len(expected)
    if one.name != "last-busy":  # of which only a part was copied
        assert expected
    for row, wanted in zip(found, expected, strict=True):
        assert row == tuple(pytest.approx(cell, rel=1e-9) if isinstance(cell, float) else cell for cell in wanted)


def test_every_query_of_a_rule_runs(store: Engine) -> None:
    from support.rule_queries import queries

    with store.connect() as connection:
        for module, sql in queries():
            assert connection.exec_driver_sql(sql.replace("%", "%%")).keys(), module
