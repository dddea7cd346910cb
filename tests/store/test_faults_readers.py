"""Programs beside the recorder: long reads, other writers, a second recorder, and other users of a shared store."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.faults import count, filled, ordinary_user
from support.recording import Lab, Scripted, gpu_batch, host_batch, proc_batch
from support.store_rows import T0, first_tick, gpu_row, tick

from gpuwatch.clock import FakeClock
from gpuwatch.errors import StoreError
from gpuwatch.store import writer as writing
from gpuwatch.store.connection import BUSY, open_read
from gpuwatch.store.lease import Lease, holder
from gpuwatch.store.writer import StoreWriter


def _lab(path: Path) -> Lab:
    lab = Lab(path)
    lab.record(
        Scripted("nvml", lambda now: gpu_batch(now, processes=16)), Scripted("procs", proc_batch), Scripted("host", host_batch)
    )
    return lab


def _wal(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_size


def test_a_reader_that_holds_a_transaction_for_half_an_hour(path: Path) -> None:
    lab = _lab(path)
    lab.tick(10)
    reader = open_read(path)
    reader.execute("BEGIN")
    seen = count(reader)
    lab.tick(1800)
    assert lab.writer.commit()
    assert count(reader) == seen
    held, rows = _wal(path), count(lab.db)
    assert rows == 2 * 1810 and lab.writer.problem == ""
    assert held < 32 * 2**20, "a commit every ten seconds must not write the same pages too often"
    reader.execute("COMMIT")
    assert count(reader) == rows
    lab.tick(30)
    assert _wal(path) <= 16 * 2**20, "the WAL is reused or cut to its limit once nobody needs its old part"
    reader.close()
    lab.writer.close()


def test_a_wal_that_grew_large_is_said_and_commits_come_each_minute(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "WAL_LARGE_BYTES", 400_000)
    lab = _lab(path)
    told: list[str] = []
    lab.writer.noticed = told.append
    lab.db.execute("PRAGMA wal_autocheckpoint=10")
    lab.tick(10)
    reader = open_read(path)
    reader.execute("BEGIN")
    count(reader)
    while not lab.writer.backed_off:
        lab.tick(10)
    said = f"{path}-wal has grown to 0 MiB, since a program holds an old state of the store: rows are written every 60 s until it ends (fuser {path})"
    assert told == [said] and lab.writer.notices == [said]
    before = len(lab.writer.commits)
    lab.tick(180)
    pauses = {b - a for a, b in zip(lab.writer.commits[before:], lab.writer.commits[before + 1 :], strict=False)}
    assert pauses == {60}
    reader.execute("COMMIT")
    reader.close()
    lab.db.execute("PRAGMA journal_size_limit=100000")
    lab.tick(180)
    assert told == [said, ""] and lab.writer.notices == [] and not lab.writer.backed_off
    rows = lab.rows("SELECT count(*) FROM tick")[0][0]
    assert rows == lab.rows("SELECT max(tick_id) FROM tick")[0][0], "not a second is lost"
    lab.writer.close()


def test_a_transaction_that_read_first_cannot_write_and_the_recorder_never_does_that(writer: StoreWriter, path: Path) -> None:
    filled(writer)
    other = sqlite3.connect(path, isolation_level=None, timeout=5)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM tick").fetchone()
    writer.add(tick(6, gpu_row()))
    assert writer.commit()
    with pytest.raises(sqlite3.OperationalError) as caught:
        other.execute("INSERT INTO meta VALUES('note','1')")
    assert (
        caught.value.sqlite_errorcode & 0xFF == BUSY and caught.value.sqlite_errorcode >> 8
    )  # SQLITE_BUSY_SNAPSHOT: no wait helps
    other.execute("ROLLBACK")
    other.close()
    statements: list[str] = []
    writer.connection.set_trace_callback(statements.append)
    writer.add(tick(7, gpu_row()))
    assert writer.commit()
    assert [sql for sql in statements if sql.startswith("BEGIN")] == ["BEGIN IMMEDIATE"]


def test_two_recorders_are_one_recorder_and_one_that_waits(path: Path) -> None:
    first = Lease.acquire(path, {"path": str(path)})
    assert first is not None
    writer = StoreWriter.open(path, clock=FakeClock(T0 / 1000), tmpfs_fallback=False)
    writer.begin_session(T0, 1000, "boot")
    filled(writer)
    assert Lease.acquire(path, {}) is None
    found = holder(path)
    assert found is not None and found.pid == os.getpid() and found.store(path) == path
    writer.close()
    first.release()
    second = Lease.acquire(path, {})
    assert second is not None
    again = StoreWriter.open(path, clock=FakeClock(T0 / 1000 + 60), tmpfs_fallback=False)
    assert again.begin_session(T0 + 60_000, 1000, "boot").previous_end_ms == T0 + 5000
    again.close()
    second.release()


@pytest.fixture
def shared_store(public: Path, open_writer: Any) -> tuple[Path, StoreWriter]:
    """A store as the system's recorder makes it: 0640 in a directory of 0750, both of the group that may read."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another group")
    public.chmod(0o750)
    os.chown(public, 0, 65534)
    path = public / "gpuwatch.db"
    writer = open_writer(path, mode=0o640)
    os.chown(path, 0, 65534)
    filled(writer)
    return path, writer


def _as_group_member(path: Path) -> int:
    before = os.getegid()
    os.setegid(65534)
    try:
        with ordinary_user():
            reader = open_read(path)
            try:
                return count(reader)
            finally:
                reader.close()
    finally:
        os.setegid(before)


def test_another_user_reads_a_shared_store_while_it_is_recorded(shared_store: tuple[Path, StoreWriter]) -> None:
    path, writer = shared_store
    for suffix in ("-wal", "-shm"):
        os.chown(f"{path}{suffix}", 0, 65534)  # SQLite does it by itself where the file's group was so from its first byte
    assert _as_group_member(path) == 5
    writer.add(tick(6, gpu_row()))
    assert writer.commit()
    assert _as_group_member(path) == 6


def test_another_user_reads_a_shared_store_that_nobody_records(shared_store: tuple[Path, StoreWriter]) -> None:
    path, writer = shared_store
    writer.end_session()
    writer.close()
    assert not path.with_name("gpuwatch.db-wal").exists()
    assert path.stat().st_mode & 0o777 == 0o640
    assert _as_group_member(path) == 5


def test_another_user_is_told_clearly_of_a_shared_store_whose_recorder_was_killed(shared_store: tuple[Path, StoreWriter]) -> None:
    """Its WAL still holds rows; without the right to write beside it they cannot be read, and half an answer would be wrong."""
    path, writer = shared_store
    kept = {suffix: path.with_name(path.name + suffix).read_bytes() for suffix in ("", "-wal")}
    writer.connection.close()
    for suffix, content in kept.items():
        path.with_name(path.name + suffix).write_bytes(content)
        os.chown(path.with_name(path.name + suffix), 0, 65534)
        path.with_name(path.name + suffix).chmod(0o640)
    try:
        assert _as_group_member(path) == 5
    except StoreError as error:
        assert str(path) in error.message and error.hint


def test_a_recorder_that_finds_the_file_locked_keeps_its_rows(writer: StoreWriter, path: Path) -> None:
    writer.add(first_tick())
    assert writer.commit()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer.connection.execute("PRAGMA busy_timeout=1")
    for second in range(1, 31):
        writer.add(tick(second, gpu_row()))
        assert not writer.commit()
    assert "locked by another program" in writer.problem
    other.execute("COMMIT")
    other.close()
    assert writer.commit() and count(writer.connection) == 30
