"""Damage: header, middle, tail, a WAL frame. The file is kept aside, buffered rows go into a fresh one, and it is said."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.faults import count, damage, filled
from support.store_rows import T0, first_tick, gpu_row, tick

from gpuwatch.errors import StoreError
from gpuwatch.names import Missing
from gpuwatch.store import check, connection
from gpuwatch.store.connection import DamagedStore, open_read
from gpuwatch.store.rows import SourceState
from gpuwatch.store.writer import StoreWriter


@pytest.mark.parametrize("content", [b"my notes\n" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_store_stays_where_it_is(content: bytes, tmp_path: Path, open_writer: Any) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_bytes(content)
    with pytest.raises(StoreError, match="is not a store"):
        open_writer(notes, tmpfs_fallback=False)
    with pytest.raises(StoreError, match="is not a store"):
        check.check(notes)
    assert notes.read_bytes() == content and not list(tmp_path.glob("*corrupt*"))


@pytest.mark.parametrize("how", ["header", "truncated"])
def test_a_damaged_file_is_moved_aside_and_recording_goes_on(how: str, writer: StoreWriter, path: Path, open_writer: Any) -> None:
    filled(writer)
    writer.end_session()
    writer.close()
    damage(path, how)
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
    damage(path, "middle")
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


def test_a_damaged_wal_frame_costs_what_follows_it_and_is_a_gap(writer: StoreWriter, path: Path, open_writer: Any) -> None:
    """SQLite uses the frames before it and drops the rest without a word; the next recorder sees a session that ended there."""
    writer.add(first_tick())
    for second in range(1, 31):
        writer.add(tick(second, gpu_row()))
        assert writer.commit()
    wal = path.with_name(path.name + "-wal")
    kept = path.read_bytes(), wal.read_bytes()
    writer.connection.close()
    path.write_bytes(kept[0])
    frame = 24 + 4096
    broken = bytearray(kept[1])
    at = 32 + frame * (len(broken) // frame // 2) + 100
    broken[at : at + 16] = b"\xff" * 16
    wal.write_bytes(broken)
    again = open_writer(session=False)
    info = again.begin_session(T0 + 60_000, 1000, "boot")
    rows = count(again.connection)
    assert 0 < rows < 30 and info.previous_clean is False
    assert info.previous_end_ms == T0 + rows * 1000, "the session says itself where it ends, so the gap begins there"
    filled(again)
    assert check.check(path) == []


def test_a_broken_tail_is_found_when_it_is_opened(writer: StoreWriter, path: Path, open_writer: Any) -> None:
    filled(writer)
    writer.end_session()
    writer.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4096)
    assert "damaged" in check.check(path)[0]
    again = open_writer()
    filled(again, 3)
    assert "was damaged" in again.notices[0] and count(again.connection) == 3


def test_no_start_looks_through_the_whole_file(
    writer: StoreWriter, path: Path, open_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(writer)
    writer.close()
    statements: list[str] = []
    real = connection.connect

    def traced(target: str, *, uri: bool = False) -> sqlite3.Connection:
        db = real(target, uri=uri)
        db.set_trace_callback(statements.append)
        return db

    monkeypatch.setattr(connection, "connect", traced)
    again = open_writer()
    open_read(path).close()
    again.close()
    assert statements and not [sql for sql in statements if "_check" in sql]
