"""No room, no permission: rows wait, recording goes on in memory, and comes back when there is room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.faults import count, filled, ordinary_user
from support.store_rows import T0, first_tick, gpu_row, tick

from gpuwatch.errors import StoreError
from gpuwatch.store import connection, location
from gpuwatch.store.lease import Lease
from gpuwatch.store.writer import StoreWriter


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
