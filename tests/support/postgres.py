"""A PostgreSQL server of a test's own on a Unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text


@contextmanager
def server() -> Iterator[Engine]:
    """A server that is there as long as the block; it refuses to run as root, so root lends it to ``nobody``. Skips without one."""
    if shutil.which("postgres") is None or shutil.which("initdb") is None:
        pytest.skip("no PostgreSQL server is installed")
    pytest.importorskip("psycopg", reason="psycopg is not installed (the postgres extra)")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        data = home / "data"
        as_user = {"user": "nobody"} if os.geteuid() == 0 else {}
        if as_user:
            shutil.chown(home, "nobody")
        made = ["initdb", "-D", str(data), "-U", "gpuwatch", "--auth=trust", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd=home, **as_user)  # type: ignore[call-overload]
        process = subprocess.Popen(
            ["postgres", "-D", str(data), "-k", str(home), "-c", "listen_addresses=", "-c", "fsync=off"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=home,
            **as_user,  # type: ignore[arg-type]
        )
        assert process.stderr is not None
        for line in process.stderr:
            if "ready to accept connections" in line:
                break
        engine = create_engine(f"postgresql+psycopg://gpuwatch@/postgres?host={home}")
        try:
            yield engine
        finally:
            engine.dispose()
            process.send_signal(signal.SIGINT)  # at once, whoever is still connected
            process.stderr.close()
            process.wait()


def database(engine: Engine, name: str) -> Engine:
    """Another, empty database of the same server."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    return create_engine(engine.url.set(database=name))


def copied(engine: Engine, name: str, lite: sqlite3.Connection, tables: Mapping[str, str]) -> Engine:
    """A new database with the present schema and the rows of these tables (with a condition each) of a SQLite store."""
    from gpuwatch.store.upgrade import run_revisions

    other = database(engine, name)
    with other.begin() as connection:
        run_revisions(connection)
        for table, only in tables.items():
            rows = lite.execute(f"SELECT * FROM {table}{only}")
            columns = [column[0] for column in rows.description]
            values = rows.fetchall()
            if values:
                marks = ",".join(["%s"] * len(columns))
                connection.exec_driver_sql(f"INSERT INTO {table}({','.join(columns)}) VALUES({marks})", values)
    return other
