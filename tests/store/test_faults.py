"""What goes wrong with files: each case gives one clear line with file, cause and next step, and loses nothing that can be kept."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.faults import count, filled, ordinary_user

from gpuwatch.errors import StoreError
from gpuwatch.store import backup, columns, connection
from gpuwatch.store.connection import NewerStore, NoStore, open_read, open_write
from gpuwatch.store.writer import StoreWriter


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
