"""What goes wrong with files: each case gives one clear line with file, cause and next step, and loses nothing that can be kept."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.store_rows import T0, first_tick, gpu_row, tick

from gpuwatch.errors import StoreError
from gpuwatch.names import Missing
from gpuwatch.store import backup, check, columns, connection, location
from gpuwatch.store.connection import DamagedStore, NewerStore, NoStore, open_read, open_write
from gpuwatch.store.lease import Lease
from gpuwatch.store.rows import SourceState
from gpuwatch.store.writer import StoreWriter

NOBODY = 65534


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Permissions do not bind root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that an ordinary user can reach."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; skipped where mounting is not allowed."""
    place = tmp_path / "tiny"
    place.mkdir()
    if shutil.which("mount") is None or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tiny", place], capture_output=True, check=False).returncode:  # fmt: skip
        pytest.skip("mounting is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def filled(writer: StoreWriter, seconds: int = 5) -> None:
    writer.add(first_tick())
    for second in range(1, seconds + 1):
        writer.add(tick(second, gpu_row(utilization_ratio=0.5)))
    assert writer.commit()


def count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM gpu_sample").fetchone()[0])


# ------------------------------------------------------------------------------------------------------------- reading


def test_no_store(path: Path) -> None:
    with pytest.raises(NoStore, match="there is no store at") as caught:
        open_read(path)
    assert "gpuwatch record" in caught.value.hint
    path.touch()
    with pytest.raises(NoStore, match="is empty"):
        open_read(path)


def test_another_programs_database_is_left_alone(path: Path, open_writer: Any) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes(a)")
    other.close()
    before = path.read_bytes()
    for attempt in (lambda: open_read(path), lambda: open_writer(tmpfs_fallback=False)):
        with pytest.raises(StoreError, match="another program"):
            attempt()
    assert path.read_bytes() == before


def test_a_reader_cannot_write(writer: StoreWriter, path: Path) -> None:
    filled(writer)
    reader = open_read(path)
    for statement in ("DELETE FROM tick", "CREATE TABLE a(b)", "UPDATE meta SET value=1"):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute(statement)
    assert count(reader) == 5
    reader.close()


def test_a_copy_on_read_only_media_is_read(writer: StoreWriter, path: Path, public: Path) -> None:
    filled(writer)
    writer.end_session()
    writer.close()
    copy = public / "gpuwatch.db"
    shutil.copy(path, copy)
    copy.chmod(0o444)
    with ordinary_user():
        reader = open_read(copy)
        assert count(reader) == 5
        reader.close()


def test_a_wal_file_without_its_wal_in_a_read_only_directory_is_read(writer: StoreWriter, path: Path, public: Path) -> None:
    filled(writer)
    writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = public / "gpuwatch.db"
    shutil.copy(path, copy)
    copy.chmod(0o444)
    with ordinary_user():
        reader = open_read(copy)
        assert count(reader) == 5
        reader.close()


def test_a_file_without_permission_says_so(writer: StoreWriter, path: Path, public: Path) -> None:
    filled(writer)
    copy = public / "gpuwatch.db"
    shutil.copy(path, copy)
    copy.chmod(0o600)
    with ordinary_user():
        if os.access(copy, os.R_OK, effective_ids=True):
            pytest.skip("this user may read everything")
        with pytest.raises(StoreError, match="no permission"):
            open_read(copy)


def test_a_newer_file_is_read_if_it_allows_it_and_never_written(writer: StoreWriter, path: Path, open_writer: Any) -> None:
    filled(writer)
    newer = columns.SCHEMA_VERSION + 1
    writer.connection.execute(f"PRAGMA user_version={newer}")
    writer.end_session()
    writer.close()
    reader = open_read(path)
    assert count(reader) == 5
    reader.close()
    before = path.read_bytes()
    with pytest.raises(NewerStore, match="newer gpuwatch"):
        open_write(path)
    side = open_writer()
    assert side.path == path.with_name(f"gpuwatch.schema-{columns.SCHEMA_VERSION}.db") and not side.hot_only
    assert "Recording into" in side.notices[0] and "newer" in side.notices[0]
    filled(side)
    assert path.read_bytes() == before


def test_a_newer_file_that_changed_its_views_is_refused(writer: StoreWriter, path: Path) -> None:
    newer = columns.SCHEMA_VERSION + 1
    writer.connection.execute("UPDATE meta SET value=? WHERE key='min_reader'", (str(newer),))
    writer.connection.execute(f"PRAGMA user_version={newer}")
    with pytest.raises(NewerStore) as caught:
        open_read(path)
    assert caught.value.hint == "update gpuwatch"


def test_an_older_file_is_upgraded_before_it_is_written(path: Path, open_writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old = open_write(path)
    old.execute("INSERT INTO meta VALUES('old','1')")
    old.close()
    upgraded: list[Path] = []
    monkeypatch.setattr("gpuwatch.store.upgrade.upgrade", upgraded.append)
    monkeypatch.setattr(columns, "SCHEMA_VERSION", columns.SCHEMA_VERSION + 1)
    writer = open_writer()
    assert upgraded == [path]
    filled(writer)
    assert writer.connection.execute("SELECT value FROM meta WHERE key='old'").fetchone() == ("1",)


def test_on_a_network_file_system_there_is_no_wal(path: Path, open_writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuwatch.store.opening.network_filesystem", lambda _path: "nfs4")
    writer = open_writer()
    filled(writer)
    assert writer.connection.execute("PRAGMA journal_mode").fetchone() == ("truncate",)
    assert not path.with_name("gpuwatch.db-wal").exists()
    reader = open_read(path)
    assert count(reader) == 5
    reader.close()


# ------------------------------------------------------------------------------------------------------------- damage


def _damage(path: Path, how: str) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        if how == "header":
            file.write(b"\x00garbage" * 20)
        elif how == "middle":
            file.seek(4096)
            file.write(os.urandom(64) * ((size - 4096) // 64))
        else:
            file.truncate(size // 2 + 100)


@pytest.mark.parametrize("content", [b"my notes\n" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_store_stays_where_it_is(content: bytes, tmp_path: Path, open_writer: Any) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_bytes(content)
    with pytest.raises(StoreError, match="is not a store"):
        open_writer(notes, tmpfs_fallback=False)
    with pytest.raises(StoreError, match="is not a store"):
        check.check(notes)
    assert notes.read_bytes() == content and not list(tmp_path.glob("*corrupt*"))


def test_a_store_behind_a_link_is_private_from_its_first_byte(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "disk" / "real.db")
    open_write(link).close()
    assert (tmp_path / "disk" / "real.db").stat().st_mode & 0o777 == 0o600


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.db"
    os.mkfifo(pipe)
    for opened in (open_read, open_write):
        with pytest.raises(StoreError, match="is not a file"):
            opened(pipe)


@pytest.mark.parametrize("how", ["header", "truncated"])
def test_a_damaged_file_is_moved_aside_and_recording_goes_on(how: str, writer: StoreWriter, path: Path, open_writer: Any) -> None:
    filled(writer)
    writer.end_session()
    writer.close()
    _damage(path, how)
    assert check.check(path)
    with pytest.raises(DamagedStore, match="is damaged") if how == "header" else pytest.raises((DamagedStore, sqlite3.Error)):
        reader = open_read(path)
        try:
            reader.execute("SELECT * FROM v_gpu_raw").fetchall()
        finally:
            reader.close()
    again = open_writer()
    filled(again, 3)
    aside = path.with_name("gpuwatch.db.corrupt-20251114T143200Z")
    assert [p.name for p in path.parent.glob("*corrupt*")] == [aside.name]
    assert count(again.connection) == 3 and again.path == path
    assert again.notices == [f"{path} was damaged; it is kept as {aside.name} and a new store was begun."]


def test_damage_that_shows_while_recording_loses_no_buffered_row(writer: StoreWriter, path: Path) -> None:
    key = ("gpu", "GPU-0", "sm_active_ratio")
    writer.add(first_tick(missing={key: Missing.NOT_SUPPORTED}, sources=[SourceState("nvml", "ok", T0)]))
    writer.add(tick(1, gpu_row()))
    writer.commit()
    writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _damage(path, "middle")
    writer.connection.execute("PRAGMA shrink_memory")
    writer.add(tick(2, gpu_row()))
    for _ in range(2):  # the first commit finds the damage, the second writes into the fresh file
        written = writer.commit()
    assert written and writer.problem == "" and not writer.hot_only
    assert len(list(path.parent.glob("*.corrupt-*Z"))) == 1
    assert writer.connection.execute("SELECT ts_ms, gpu_uuid, host FROM v_gpu_now").fetchall() == [(T0 + 2000, "GPU-0", "lab")]
    assert writer.connection.execute("SELECT field FROM missing").fetchall() == [("sm_active_ratio",)]
    assert writer.connection.execute("SELECT state FROM source_state").fetchall() == [("ok",)]
    assert not check.check(path)


def test_check_finds_rows_that_point_to_nothing(writer: StoreWriter, path: Path) -> None:
    filled(writer)
    assert check.check(path) == []
    writer.connection.execute("DELETE FROM tick WHERE tick_id=1")
    assert check.check(path) == [f"{path}: 1 rows of gpu_sample name a tick that is not there"]


# --------------------------------------------------------------------------------------------------- no room, no permission


def test_a_full_disk_keeps_rows_until_there_is_room(tiny_disk: Path, open_writer: Any) -> None:
    writer = open_writer(tiny_disk / "gpuwatch.db", tmpfs_fallback=False)
    writer._opener.disk_room = lambda _path: (10**12, 10**12)
    ballast = tiny_disk / "ballast"
    writer.add(first_tick())
    assert writer.commit()
    free = shutil.disk_usage(tiny_disk).free
    ballast.write_bytes(b"\0" * (free - 20_000))
    second = 0
    while writer.commit() and second < 20_000:
        for _ in range(100):
            second += 1
            writer.add(tick(second, gpu_row()))
    assert "no room to write" in writer.problem and "full" in writer.problem
    for _ in range(50):
        second += 1
        writer.add(tick(second, gpu_row()))
        assert not writer.commit()
    assert writer.connection.execute("SELECT 1 FROM v_gpu").fetchone() == (1,)  # readers go on
    ballast.unlink()
    assert writer.commit() and writer.problem == ""
    assert count(writer.connection) == second


def test_a_disk_without_room_means_memory_from_the_start(path: Path, open_writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuwatch.store.opening.disk_room", lambda _path: (10**6, 10**12))
    writer = open_writer()
    assert writer.hot_only and "0 MiB are free on the disk of" in writer.notices[0]
    filled(writer)


def test_an_old_store_in_memory_does_not_stay_for_ever(path: Path, open_writer: Any, clock: Any) -> None:
    stand_in = location.fallback_store(os.getuid(), path)
    stand_in.write_bytes(b"old")
    os.utime(stand_in, (T0 / 1000, T0 / 1000))
    open_writer().close()
    assert stand_in.exists()
    clock.advance(7300)
    held = Lease.acquire(stand_in, {})
    assert held is not None
    open_writer().close()
    assert stand_in.exists()
    held.release()
    open_writer().close()
    assert not stand_in.exists()


def test_a_size_limit_reads_like_a_full_disk_and_is_survived(writer: StoreWriter) -> None:
    filled(writer)
    pages = writer.connection.execute("PRAGMA page_count").fetchone()[0]
    writer.connection.execute(f"PRAGMA max_page_count={pages}")
    for second in range(6, 600):
        writer.add(tick(second, gpu_row()))
    assert not writer.commit()
    assert "no room to write" in writer.problem
    assert count(writer.connection) == 5
    writer.connection.execute("PRAGMA max_page_count=1000000")
    assert writer.commit()
    assert count(writer.connection) == 599


def test_a_directory_without_permission_is_one_clear_line(public: Path, open_writer: Any) -> None:
    with ordinary_user():
        if os.access(public, os.W_OK, effective_ids=True):
            pytest.skip("this user may write everywhere")
        with pytest.raises(StoreError, match="gpuwatch.db cannot be written: Permission denied"):
            open_writer(public / "gpuwatch.db", tmpfs_fallback=False)


def test_a_file_that_cannot_be_made_means_memory(path: Path, open_writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = connection._create_file

    def refuse(where: Path, mode: int) -> None:
        if where == path:
            raise PermissionError(13, "Permission denied")
        real(where, mode)

    monkeypatch.setattr(connection, "_create_file", refuse)
    writer = open_writer()
    assert writer.hot_only and "memory" in str(writer.path)
    assert (
        writer.notices[0].startswith("Recording into memory (")
        and f"{path} cannot be written: Permission denied" in writer.notices[0]
    )
    filled(writer)
    writer.end_session()
    writer.close()
    again = open_writer()
    assert again.path == writer.path and count(again.connection) == 5
    with pytest.raises(StoreError, match="cannot be written: Permission denied"):
        open_writer(tmpfs_fallback=False)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_FULL, "full"),
        (sqlite3.SQLITE_READONLY, "read-only"),
        (sqlite3.SQLITE_READONLY | 5 << 8, "read-only"),
        (sqlite3.SQLITE_CANTOPEN, "no permission"),
        (sqlite3.SQLITE_BUSY, "locked by another program"),
        (sqlite3.SQLITE_IOERR | 3 << 8, "the disk reports an error"),
        (sqlite3.SQLITE_CORRUPT, "is damaged"),
        (sqlite3.SQLITE_ERROR, "something else"),
    ],
)
def test_every_error_names_the_file_and_a_next_step(code: int, words: str, path: Path) -> None:
    error = sqlite3.OperationalError("something else")
    error.sqlite_errorcode = code
    explained = connection.explain(error, path)
    assert str(path) in explained.message and words in explained.message and explained.hint and "\n" not in str(explained)


# ------------------------------------------------------------------------------------------------------------- backup


def test_a_backup_beside_the_recorder(writer: StoreWriter, path: Path, tmp_path: Path) -> None:
    filled(writer)
    target = tmp_path / "copy.db"
    assert backup.backup(path, target) == target.stat().st_size > 0
    assert target.stat().st_mode & 0o777 == 0o600
    copy = open_read(target)
    assert count(copy) == 5 and copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    copy.close()
    with pytest.raises(StoreError, match="exists already"):
        backup.backup(path, target)
    with pytest.raises(NoStore):
        backup.backup(tmp_path / "none.db", tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()
