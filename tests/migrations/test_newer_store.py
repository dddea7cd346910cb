"""A store of a newer version is never written, not even touched: recording goes beside it, everything else reads or refuses."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from support.program import Run
from support.store_rows import T0, first_tick, gpu_row, tick

from gpuwatch.clock import FakeClock
from gpuwatch.store import columns, connection, upgrade
from gpuwatch.store.beside import open_beside
from gpuwatch.store.connection import NewerStore, open_read, open_write
from gpuwatch.store.writer import StoreWriter

NEWER = 99


@pytest.fixture(params=["closed", "killed"])
def newer(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file with user_version 99 that still lets this version read; its recorder ended cleanly, or was killed with rows in the WAL."""
    made, path = tmp_path / "made.db", tmp_path / "there" / "gpuwatch.db"
    path.parent.mkdir()
    writer = StoreWriter.open(made, clock=FakeClock(T0 / 1000), tmpfs_fallback=False)
    writer.begin_session(T0, 1000, "boot")
    writer.connection.execute(f"PRAGMA user_version={NEWER}")
    writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    writer.add(first_tick())
    writer.add(tick(1, gpu_row(utilization_ratio=0.5)))
    assert writer.commit()
    if request.param == "closed":
        writer.end_session()
        writer.close()
    for suffix in ("", "-wal"):
        if Path(f"{made}{suffix}").exists():
            shutil.copy(f"{made}{suffix}", f"{path}{suffix}")
    assert Path(f"{path}-wal").exists() == (request.param == "killed")
    if request.param == "killed":
        writer.connection.close()
    return path


def _state(path: Path) -> list[tuple[bytes, int]]:
    """The content and the time of the file and its WAL."""
    return [(p.read_bytes(), p.stat().st_mtime_ns) for p in (path, Path(f"{path}-wal")) if p.exists()]


def test_a_recorder_goes_to_a_side_file(newer: Path, gpuwatch: Run) -> None:
    before = _state(newer)
    side = newer.with_name(f"gpuwatch.schema-{columns.SCHEMA_VERSION}.db")
    done = gpuwatch("record", "--for", "1", "--store", str(newer))
    assert done.returncode == 0
    assert (
        f"gpuwatch: Recording into {side}: {newer} was written by a newer gpuwatch (schema 99, this one knows {columns.SCHEMA_VERSION}) (update gpuwatch)"
        in done.stderr
    )
    assert _state(newer) == before
    with sqlite3.connect(side) as db:
        assert db.execute("SELECT count(*) > 0 FROM tick").fetchone() == (1,)
    db.close()


def test_nothing_else_writes_it(newer: Path, tmp_path: Path) -> None:
    before = _state(newer)
    with pytest.raises(NewerStore, match="newer gpuwatch"):
        open_write(newer)
    with pytest.raises(NewerStore, match="newer gpuwatch"):
        upgrade.upgrade(newer)
    with pytest.raises(NewerStore, match="newer gpuwatch"), open_beside(newer):
        pass
    assert _state(newer) == before


def test_it_is_read_as_far_as_it_allows(newer: Path, gpuwatch: Run) -> None:
    before = _state(newer)
    reader = open_read(newer)
    assert reader.execute("SELECT count(*) FROM v_gpu_raw").fetchone() == (1,)
    reader.close()
    for command in (("status",), ("query", "SELECT count(*) FROM v_gpu_raw"), ("db", "check"), ("doctor",)):
        done = gpuwatch(*command, "--store", str(newer))
        assert done.returncode == 0, done.stderr
    assert "schema 99, of a newer gpuwatch: never written by this one" in " ".join(done.stdout.split())
    assert _state(newer) == before


@pytest.mark.parametrize("action", [("upgrade",), ("prune",), ("forget", "--user", "alice", "--yes")], ids=lambda action: action[0])
def test_care_refuses_it_in_one_line(newer: Path, gpuwatch: Run, action: tuple[str, ...]) -> None:
    before = _state(newer)
    done = gpuwatch("db", *action, "--store", str(newer))
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"gpuwatch: {newer} was written by a newer gpuwatch (schema 99, this one knows {columns.SCHEMA_VERSION})",
        "  try: update gpuwatch",
    ]
    assert _state(newer) == before


def test_a_backup_only_reads_it(newer: Path, gpuwatch: Run, tmp_path: Path) -> None:
    before, copy = _state(newer), tmp_path / "copy.db"
    assert gpuwatch("db", "backup", str(copy), "--store", str(newer)).returncode == 0
    assert _state(newer) == before
    reader = open_read(copy)
    assert connection.schema_version(reader, copy) == NEWER
    assert reader.execute("SELECT count(*) FROM v_gpu_raw").fetchone() == (1,)
    reader.close()


def test_an_import_refuses_it_in_one_line(newer: Path, gpuwatch: Run, past_log: Path) -> None:
    before = _state(newer)
    done = gpuwatch("import", str(past_log), "--host", "past", "--tz", "UTC", "--store", str(newer))
    assert done.returncode == 3 and "was written by a newer gpuwatch" in done.stderr
    assert _state(newer) == before
