"""No room, no permission: rows wait, recording goes on in memory, and comes back when there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.faults import count, filled, ordinary_user
from support.recording import START, Lab, Scripted, gpu_batch, host_batch, proc_batch
from support.store_rows import T0, first_tick, gpu_row, tick

from gpuwatch.dataclass import replace
from gpuwatch.errors import StoreError
from gpuwatch.model import Batch, Event, Process, ProcessSample
from gpuwatch.names import Missing
from gpuwatch.store import ballast, check, columns, connection, location
from gpuwatch.store.beside import open_beside
from gpuwatch.store.connection import open_read
from gpuwatch.store.forget import forget, wipe
from gpuwatch.store.lease import Lease
from gpuwatch.store.writer import StoreWriter


def test_a_full_disk_keeps_rows_until_there_is_room(tiny_disk: Path, open_writer: Any) -> None:
    writer = open_writer(tiny_disk / "gpuwatch.db", tmpfs_fallback=False)
    writer._opener.disk_room = lambda _path: (10**12, 10**12)
    filler = tiny_disk / "filler"
    writer.add(first_tick())
    assert writer.commit()
    free = shutil.disk_usage(tiny_disk).free
    filler.write_bytes(b"\0" * (free - 20_000))
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
    filler.unlink()
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


# ---------------------------------------------------------------------------------------------- into memory and home again


class Disk:
    """A disk whose free space a test decides."""

    def __init__(self) -> None:
        self.free = 10**12

    def room(self, _path: Path) -> tuple[int, int]:
        return self.free, 10**12


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    found = Disk()
    monkeypatch.setattr(location, "MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir(exist_ok=True)
    monkeypatch.setattr("gpuwatch.store.opening.disk_room", found.room)
    monkeypatch.setattr("gpuwatch.store.buffer.RING_ROWS", 100)
    return found


def _recorded(lab: Lab, *, until: float) -> None:
    while lab.clock.time() < START + until:
        lab.tick()


def _everything(lab: Lab) -> dict[str, list[Any]]:
    """All that was recorded, without what tells where it was."""
    tables = ("tick", *columns.HOT_TABLES, "process", "gpu", "host", "user_account", "event", "gap", "missing", "gpu_minute")
    return {table: lab.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables}


def _lab(path: Path) -> Lab:
    lab = Lab(path)
    missing = {("gpu", "GPU-b", "fan_ratio"): Missing.NOT_SUPPORTED}

    def nvml(now: float) -> Batch:
        told = [Event(round(now * 1000), "note", f"at {now - START:.0f}")] if now % 50 == 0 else []
        return replace(gpu_batch(now), missing=missing if now % 200 < 100 else {}, events=told)

    def procs(now: float) -> Batch:
        return proc_batch(now, (100,) if now - START < 400 else (100, 101))

    lab.record(Scripted("nvml", nvml), Scripted("procs", procs), Scripted("host", host_batch), close_minutes=True)
    return lab


def test_what_was_recorded_into_memory_comes_home_when_there_is_room(tmp_path: Path, disk: Disk) -> None:
    calm = _lab(tmp_path / "calm.db")
    _recorded(calm, until=900)
    lab = _lab(tmp_path / "gpuwatch.db")
    told: list[str] = []
    lab.writer.moved = lambda: told.append(lab.writer.notices[-1])
    lab.writer.noticed = told.append
    _recorded(lab, until=305)
    disk.free = 10**6
    while not lab.writer.hot_only:
        lab.tick()
    in_memory = Path(lab.writer.path)
    assert lab.clock.time() <= START + 330 and in_memory.parent.parent == location.MEMORY
    _recorded(lab, until=600)
    assert lab.writer.hot_only and lab.db.execute("SELECT count(*) FROM tick").fetchone()[0] > 150
    disk.free = 10**12
    _recorded(lab, until=900)
    assert not lab.writer.hot_only and lab.writer.path == tmp_path / "gpuwatch.db" and lab.writer.notices == []
    assert told[0].startswith("Recording into memory (") and "0 MiB are free" in told[0]
    assert told[1:] == [f"recording into {lab.writer.path} again, with what was recorded into memory meanwhile"]
    assert not in_memory.exists() and check.check(lab.writer.path) == []
    got, undisturbed = _everything(lab), _everything(calm)
    for table, rows in undisturbed.items():
        assert got[table] == rows, table
    assert not got["gap"] and len(got["event"]) == 18 and len(got["missing"]) == 5 and len(got["gpu_minute"]) == 2 * 14
    lab.db.close()
    calm.db.close()


def test_the_next_recorder_takes_over_what_was_left_in_memory(tmp_path: Path, disk: Disk, open_writer: Any) -> None:
    lab = _lab(tmp_path / "gpuwatch.db")
    _recorded(lab, until=305)
    disk.free = 10**6
    _recorded(lab, until=500)
    lab.recorder.end()
    lab.writer.close()
    left = open_read(lab.writer.path)
    ticks = left.execute("SELECT min(tick_id), max(tick_id) FROM tick").fetchone()
    left.close()
    disk.free = 10**12
    again = open_writer(tmp_path / "gpuwatch.db", session=False)
    assert not again.hot_only and not Path(lab.writer.path).exists()
    found = again.connection.execute("SELECT count(*) FROM tick WHERE tick_id BETWEEN ? AND ?", ticks).fetchone()
    assert found == (ticks[1] - ticks[0] + 1,)
    assert again.begin_session(round(lab.clock.time() * 1000), 1000, "boot").previous_clean is True
    again.add(tick(0, gpu_row()))
    assert again.commit() and check.check(tmp_path / "gpuwatch.db") == []


def test_who_is_forgotten_while_recording_is_in_memory_does_not_come_home(tmp_path: Path, disk: Disk) -> None:
    home = tmp_path / "gpuwatch.db"
    lab = Lab(home)
    started = [100]

    def procs(now: float) -> Batch:
        if lab.writer.hot_only and 101 not in started:
            started.append(101)
        people = [Process(pid, 5000, f"p{pid}", user="alicia", uid=1234567, command=f"secret{pid}") for pid in started]
        return Batch(
            "procs", int(now), processes=people, process_samples=[ProcessSample(pid, 5000, cpu_ratio=0.5) for pid in started]
        )

    lab.record(Scripted("nvml", gpu_batch), Scripted("procs", procs), Scripted("host", host_batch), close_minutes=True)
    _recorded(lab, until=100)
    disk.free = 10**6
    _recorded(lab, until=200)
    assert lab.writer.hot_only and len(started) == 2
    with open_beside(home) as db:
        forget(db, "alicia")
        assert wipe(db)
    last = lab.rows("SELECT max(ts_ms) FROM tick")[0][0]
    disk.free = 10**12
    while lab.writer.hot_only:
        last = lab.clock.time() * 1000
        lab.tick()
    assert lab.writer.problem == ""
    _recorded(lab, until=400)
    named = lab.rows("SELECT user, pid, command, first_ms>=? FROM v_process WHERE pid>0 ORDER BY pid", last)
    assert named == [("alicia", 100, "secret100", 1), ("alicia", 101, "secret101", 0)]  # one that goes on is new, one began since
    assert lab.rows("SELECT user, pid, command FROM v_process WHERE pid<0") == [("forgotten-1", -1, "")]
    ((t0, t1, reason),) = lab.rows("SELECT start_ms, end_ms, reason FROM v_gap")
    assert reason == "stall" and t1 == last and t1 - t0 > 90_000
    assert check.check(home) == []
    lab.db.close()


def test_rows_in_memory_that_do_not_continue_the_file_stay_there(tmp_path: Path, disk: Disk, open_writer: Any) -> None:
    """Somebody recorded into the file since: the numbers of rows would mix up two recordings."""
    lab = _lab(tmp_path / "gpuwatch.db")
    _recorded(lab, until=305)
    disk.free = 10**6
    _recorded(lab, until=500)
    stand_in = Path(lab.writer.path)
    other = connection.open_write(tmp_path / "gpuwatch.db")
    other.execute("INSERT INTO tick VALUES((SELECT max(tick_id)+1 FROM tick),1,1)")
    before = other.execute("SELECT count(*) FROM tick").fetchone()
    disk.free = 10**12
    _recorded(lab, until=700)
    assert lab.writer.hot_only and stand_in.exists()
    assert other.execute("SELECT count(*) FROM tick").fetchone() == before
    other.close()
    lab.db.close()


def test_a_file_at_its_size_cap_is_not_gone_back_to_before_it_is_smaller(
    tmp_path: Path, disk: Disk, open_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuwatch.store.buffer.RING_ROWS", 20_000)
    writer = open_writer(tmp_path / "gpuwatch.db", max_mb=2)
    clock = writer._opener.clock
    writer.add(first_tick())
    second = 0

    def minute() -> None:
        nonlocal second
        for _ in range(60):
            second += 1
            writer.add(tick(second, gpu_row()))
        clock.advance(61)
        writer.commit()

    while not writer.hot_only:
        minute()
    home = tmp_path / "gpuwatch.db"
    assert "has reached its size cap ([store] max_mb = 2)" in writer.notices[0]
    size = home.stat().st_size
    for _ in range(5):
        minute()
    assert writer.hot_only and home.stat().st_size == size
    with open_beside(home) as db:
        db.execute("DELETE FROM gpu_sample")
        db.executescript("PRAGMA incremental_vacuum")
    minute()
    assert not writer.hot_only and writer.notices == []
    assert writer.commit(), writer.problem
    assert writer.connection.execute("SELECT count(*) FROM tick").fetchone() == (second,)


# ------------------------------------------------------------------------------------------------------------ the ballast


def test_a_recorder_lays_ballast_only_where_there_is_plenty_of_room(path: Path, disk: Disk, open_writer: Any) -> None:
    writer = open_writer()
    disk.free = 2 * 256 * 2**20 + ballast.SIZE_BYTES - 1
    writer.lay_ballast()
    assert not ballast.ballast_path(path).exists()
    disk.free += 1
    writer.lay_ballast()
    found = ballast.ballast_path(path).stat()
    assert (found.st_size, found.st_mode & 0o777) == (ballast.SIZE_BYTES, 0o600)
    assert found.st_blocks * 512 >= ballast.SIZE_BYTES, "it must really take the room"
    demo = open_writer(path.with_name("demo.db"), simulated=True)
    demo.lay_ballast()
    assert not ballast.ballast_path(path.with_name("demo.db")).exists()


def test_on_a_full_disk_the_ballast_goes_and_rows_can_be_deleted(
    tiny_disk: Path, open_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ballast, "SIZE_BYTES", 300_000)
    store = tiny_disk / "gpuwatch.db"
    writer = open_writer(store, tmpfs_fallback=False)
    writer._opener.disk_room = lambda _path: (10**12, 10**12)
    writer.lay_ballast()
    filled(writer, 400)
    writer.end_session()
    writer.close()
    (tiny_disk / "others").write_bytes(b"")
    with (tiny_disk / "others").open("ab", buffering=0) as others:
        try:
            while others.write(b"\0" * 1024) == 1024:
                pass
        except OSError:
            pass

    def delete() -> int:
        with open_beside(store) as db, connection.transaction(db):
            return db.execute("DELETE FROM gpu_sample").rowcount

    with pytest.raises(StoreError, match="no room to write"):
        delete()
    assert ballast.with_room(store, delete) == 400
    assert not ballast.ballast_path(store).exists()
    reader = open_read(store)
    assert count(reader) == 0
    reader.close()


def test_other_trouble_leaves_the_ballast(path: Path, writer: StoreWriter) -> None:
    ballast.ballast_path(path).touch()

    def fails() -> None:
        raise StoreError("something else")

    with pytest.raises(StoreError, match="something else"):
        ballast.with_room(path, fails)
    assert ballast.drop(path) and not ballast.drop(path)


# ------------------------------------------------------------------------------------------------- a read-only file system


@pytest.fixture
def read_only(tiny_disk: Path, writer: StoreWriter, path: Path, request: pytest.FixtureRequest) -> Path:
    """A store on a file system that nobody can write to any more; its recorder ended cleanly, or not."""
    filled(writer)
    if request.param == "closed":
        writer.end_session()
        writer.close()
    else:
        writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(path, tiny_disk / "gpuwatch.db")
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    return tiny_disk / "gpuwatch.db"


@pytest.mark.parametrize("read_only", ["closed", "still in WAL mode"], indirect=True)
def test_on_a_read_only_file_system_it_is_read_and_recording_goes_into_memory(read_only: Path, open_writer: Any) -> None:
    reader = open_read(read_only)
    assert count(reader) == 5
    reader.close()
    assert check.check(read_only) == []
    writer = open_writer(read_only)
    assert writer.hot_only and str(read_only) in writer.notices[0] and "written" in writer.notices[0]
    filled(writer)
    with pytest.raises(StoreError) as caught:
        open_writer(read_only, tmpfs_fallback=False)
    assert str(read_only) in caught.value.message and caught.value.hint
