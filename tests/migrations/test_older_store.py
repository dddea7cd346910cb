"""A newer program beside an older recorder: it reads what the old schema has, says what is missing, and writes nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support import kept
from support.program import Run

from gpuwatch.store.beside import open_beside
from gpuwatch.store.columns import SCHEMA_VERSION
from gpuwatch.store.connection import OlderStore
from gpuwatch.store.lease import Lease


@pytest.fixture(params=["old recorder", "nobody"])
def recorded(request: pytest.FixtureRequest, store: Path) -> Iterator[Path]:
    """The store while a recorder of the old version holds it, or nobody does."""
    lease = Lease.acquire(store, {"path": str(store)}) if request.param == "old recorder" else None
    yield store
    if lease is not None:
        lease.release()


def test_read_commands_work_and_leave_it_alone(packed: Path, recorded: Path, gpuwatch: Run) -> None:
    schema = kept.ordinal(packed)
    before, changed = recorded.read_bytes(), recorded.stat().st_mtime_ns
    status = gpuwatch("status", "--json", "--store", str(recorded))
    assert status.returncode == 0, status.stderr
    document = json.loads(status.stdout)
    assert document["gpus"] and f"(schema {schema})" in " ".join(document["notices"])
    told = gpuwatch("status", "--store", str(recorded), env={"COLUMNS": "200"}).stdout
    assert (
        f"The store is of an older gpuwatch (schema {schema}): restart its recorder, or run gpuwatch db upgrade where none records."
        in told
    )
    asked = gpuwatch("query", "SELECT count(*) > 0 FROM v_gpu_minute", "--format", "csv", "--store", str(recorded))
    assert asked.stdout.splitlines()[-1] == "1"
    assert gpuwatch("db", "path", "--store", str(recorded)).stdout == f"{recorded}\n"
    assert gpuwatch("db", "check", "--store", str(recorded)).stdout == f"{recorded}: no damage found\n"
    doctor = gpuwatch("doctor", "--json", "--store", str(recorded))
    checks = {check["id"]: check for check in json.loads(doctor.stdout)["checks"]}
    assert checks["store.schema"]["result"] == f"{schema}, of an older gpuwatch: read only"
    assert checks["store.schema"]["fix"] == "restart the recorder; where none runs: gpuwatch db upgrade"
    assert recorded.read_bytes() == before and recorded.stat().st_mtime_ns == changed


def test_a_view_that_it_has_not_got_is_one_clear_line(packed: Path, store: Path, gpuwatch: Run) -> None:
    done = gpuwatch("query", "SELECT count(*) FROM v_mute", "--store", str(store))
    assert done.returncode == 3 and done.stdout == ""
    assert done.stderr.splitlines() == [
        f"gpuwatch: {store} has schema {kept.ordinal(packed)}, written by an older gpuwatch; this one needs schema {SCHEMA_VERSION} for that",
        "  try: restart the recorder; where none runs: gpuwatch db upgrade",
    ]
    out = store.with_name("out.db")
    unpacked = gpuwatch("db", "unpack", "--since", "2020-01-01", "-o", str(out), "--store", str(store))
    assert (unpacked.returncode, unpacked.stderr) == (3, done.stderr) and not list(store.parent.glob("*out.db*"))
    typo = gpuwatch("query", "SELECT 1 FROM v_nothing", "--store", str(store))
    assert typo.returncode == 2 and "no such table: v_nothing" in typo.stderr


def test_nobody_writes_into_it_beside_its_recorder(packed: Path, store: Path) -> None:
    before = store.read_bytes()
    with pytest.raises(OlderStore, match=f"has schema {kept.ordinal(packed)}"), open_beside(store):
        pass
    assert store.read_bytes() == before


def test_it_is_upgraded_only_when_no_recorder_holds_it(packed: Path, store: Path, gpuwatch: Run) -> None:
    lease = Lease.acquire(store, {"path": str(store)})
    assert lease is not None
    refused = gpuwatch("db", "upgrade", "--store", str(store))
    assert refused.returncode == 3 and "only the holder may change the schema" in refused.stderr
    lease.release()
    assert (
        gpuwatch("db", "upgrade", "--store", str(store)).stdout == f"{store}: schema {kept.ordinal(packed)} -> {SCHEMA_VERSION}\n"
    )
    assert gpuwatch("db", "upgrade", "--store", str(store)).stdout == f"{store}: schema {SCHEMA_VERSION}, already current\n"
    assert gpuwatch("query", "SELECT count(*) FROM v_mute", "--store", str(store)).returncode == 0


def test_an_import_beside_its_recorder_refuses_it_in_one_line(store: Path, gpuwatch: Run, past_log: Path) -> None:
    with closing(sqlite3.connect(store)) as db:
        db.execute("UPDATE meta SET value='0' WHERE key='simulated'")
        db.commit()
    before = store.read_bytes()
    lease = Lease.acquire(store, {"path": str(store)})
    assert lease is not None
    done = gpuwatch("import", str(past_log), "--host", "past", "--tz", "UTC", "--store", str(store))
    lease.release()
    assert done.returncode == 3 and len(done.stderr.splitlines()) == 2
    assert store.read_bytes() == before
