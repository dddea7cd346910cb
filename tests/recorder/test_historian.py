"""History beside recording: in small steps, found again by its watermarks, and never in recording's way."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.recording import START, Lab, Scripted, gpu_batch
from support.store_rows import T0, first_tick, gpu_row, process, process_row, tick

from gpuwatch.clock import FakeClock
from gpuwatch.model import Batch, Gpu, GpuSample
from gpuwatch.recorder import Closer, historian
from gpuwatch.store.archive.seal import SealJob
from gpuwatch.store.archive.shapes import GPU
from gpuwatch.store.deleting import Keep
from gpuwatch.store.watermarks import watermark
from gpuwatch.store.writer import StoreWriter

HOUR_0 = T0 // 3_600_000 * 3600
STEP = 10


class Box:
    """A store whose recorder ticks every ten seconds."""

    def __init__(self, path: Path | str, keep: Keep = Keep()) -> None:
        self.path, self.keep = path, keep
        self.now_s = HOUR_0
        self.open()

    def open(self) -> None:
        self.writer = StoreWriter.open(self.path, clock=FakeClock(), tmpfs_fallback=False)
        self.writer.begin_session(self.now_s * 1000, STEP * 1000, "boot")
        self.writer.add(first_tick(people=[process(7)], second=self.now_s - T0 // 1000))
        self.closer = Closer(self.writer, keep=self.keep)

    def tick(self, times: int) -> None:
        for _ in range(times):
            self.now_s += STEP
            second = self.now_s - T0 // 1000
            held = [process_row(7, dt_ms=STEP * 1000)]
            self.writer.add(tick(second, gpu_row(dt_ms=STEP * 1000, utilization_ratio=0.5), held=held))
            assert self.writer.commit()
            self.closer.work(self.now_s * 1000)

    def kill(self) -> None:
        self.writer.connection.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.writer.connection.execute(sql).fetchall()


@pytest.fixture
def box(tmp_path: Path) -> Any:
    made = Box(tmp_path / "gpuwatch.db")
    yield made
    made.writer.connection.close()


def test_an_hour_is_summed_sealed_and_its_rows_go_when_they_are_two_hours_old(box: Box) -> None:
    box.tick(360)
    assert box.rows("SELECT count(*) FROM gpu_hour") == [(0,)]
    box.tick(12)
    assert box.rows("SELECT t, obs_ms FROM gpu_hour") == [(HOUR_0, 3_600_000)]
    assert box.rows("SELECT kind, n FROM chunk ORDER BY kind") == [(0, 360), (1, 360)]
    assert box.rows("SELECT count(*) FROM ledger_hour") == [(0,)]
    box.tick(120)
    assert box.rows("SELECT t, sum(ms) FROM ledger_hour GROUP BY 1") == [(HOUR_0, 3_600_000)]
    box.tick(360)
    oldest = box.rows("SELECT min(ts_ms)/1000 FROM tick")[0][0]
    assert 7200 <= box.now_s - oldest <= 7200 + 120
    assert box.rows("SELECT count(*) FROM gpu_day") == [(0,)]


def test_a_killed_recorders_hours_are_done_by_the_next_one(box: Box) -> None:
    box.tick(358)
    for _ in range(8):  # the hour's work is under way
        box.tick(1)
        box.kill()
        box.open()
    box.tick(60)
    assert box.rows("SELECT count(*) FROM gpu_hour") == [(1,)]
    assert box.rows("SELECT kind, n FROM chunk WHERE kind<2 ORDER BY kind") == [(0, 360), (1, 360)]


def test_a_recorder_that_was_off_for_days_closes_what_is_left_and_passes_over_the_rest(box: Box) -> None:
    box.tick(1000)
    box.kill()
    box.now_s += 5 * 86_400
    box.open()
    box.tick(60)
    observed = box.rows("SELECT sum(obs_ms) FROM gpu_minute")[0][0]
    assert box.rows("SELECT sum(obs_ms) FROM gpu_hour")[0][0] == observed - box.rows("SELECT sum(obs_ms) FROM gpu_minute WHERE t>=(SELECT max(t)+3600 FROM gpu_hour)")[0][0]  # fmt: skip
    assert box.rows("SELECT count(*) FROM gpu_hour") == [(3,)]
    assert box.rows("SELECT sum(n) FROM chunk WHERE kind=0") == [(1000,)]
    assert len(box.rows("SELECT * FROM gpu_day")) == 1
    assert box.rows("SELECT min(ts_ms)/1000>? FROM tick".replace("?", str(box.now_s - 7200))) == [(1,)]


def test_a_backlog_of_many_hours_takes_one_step_a_second(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = list[str]()
    step = historian.Historian._step
    monkeypatch.setattr(historian.Historian, "_step", lambda self: (steps.append(""), step(self))[1])
    box.tick(360 * 3)
    db = box.writer.connection
    for tier in ("hour", "ledger_hour", "seal", "seal_tick"):
        db.execute("DELETE FROM rollup_state WHERE tier=?", (tier,))
    for table in ("gpu_hour", "process_hour", "ledger_hour", "chunk", "hist_hour"):
        db.execute(f"DELETE FROM {table}")
    box.kill()
    box.open()
    for _ in range(40):
        steps.clear()
        box.tick(1)
        assert len(steps) <= STEP
    assert box.rows("SELECT count(*) FROM gpu_hour") == [(3,)]


def _long_sealing(monkeypatch: pytest.MonkeyPatch, steps: int) -> tuple[list[str], list[int]]:
    """Sealing of an hour's GPU rows takes so many steps more; (steps of any kind since ``clear``, hours that were sealed)."""
    real, step = SealJob.steps, historian.Historian._step
    taken, sealed = list[str](), list[int]()

    def longer(job: SealJob, db: sqlite3.Connection) -> Any:
        if job.kind == GPU:
            yield from [None] * steps
        yield from real(job, db)
        if job.seals_s is not None:
            sealed.append(job.seals_s)

    monkeypatch.setattr(SealJob, "steps", longer)
    monkeypatch.setattr(historian.Historian, "_step", lambda self: (taken.append(self._next()), step(self))[1])
    return taken, sealed


def test_an_hour_of_many_processes_is_sealed_in_time_and_evenly(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, sealed = _long_sealing(monkeypatch, 5000)
    box.tick(360)
    for hour in (1, 2):
        each = []
        while HOUR_0 + 3600 * hour not in sealed:
            taken.clear()
            box.tick(1)
            each.append(taken.count("seal"))
            assert len(taken) - each[-1] <= STEP, "nothing but sealing is hastened"
        assert len(each) * STEP <= (3600, 2100)[hour - 1], f"hour {hour} took {len(each) * STEP} s"
        box.tick(360 - len(each))
    busy = [count for count in each if count > STEP][1:-1]
    assert max(busy) - min(busy) <= STEP, "by what the hour before took it is even"


def test_an_hour_of_few_processes_takes_one_step_a_second(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, sealed = _long_sealing(monkeypatch, 900)
    box.tick(360)
    while not sealed:
        taken.clear()
        box.tick(1)
        assert len(taken) <= STEP


def test_what_fails_stops_neither_recording_nor_the_rest(
    box: Box, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        raise ValueError("a chunk of another world")

    monkeypatch.setattr(SealJob, "steps", broken)
    box.tick(400)
    assert box.rows("SELECT count(*) FROM gpu_hour") == [(1,)] and box.rows("SELECT count(*) FROM chunk") == [(0,)]
    assert [record.message for record in caplog.records if "another world" in record.message] == [
        "keeping history failed: seal: ValueError: a chunk of another world"
    ]
    assert box.rows("SELECT count(*) FROM tick") == [(400,)]
    monkeypatch.undo()
    box.tick(20)
    assert box.rows("SELECT n FROM chunk WHERE kind=0") == [(360,)]


def test_damage_that_only_sealing_meets_begins_a_fresh_file_too(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a damaged file rows can be written for hours before one is read."""

    def broken(*_: object) -> Any:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    monkeypatch.setattr(SealJob, "steps", broken)
    box.tick(365)
    assert "was damaged; it is kept as gpuwatch.db.corrupt-" in box.writer.notices[0]
    monkeypatch.undo()
    box.tick(10)
    assert box.writer.problem == "" and box.rows("SELECT count(*) FROM tick")[0][0] >= 10


def test_a_store_that_was_damaged_meanwhile_is_begun_afresh(box: Box) -> None:
    box.tick(365)
    box.closer._history.plan(HOUR_0 + 3600, box.now_s * 1000)
    old = box.writer.connection
    box.writer.connection = sqlite3.connect(":memory:", isolation_level=None)
    fresh = StoreWriter.open(":memory:", clock=FakeClock())
    box.writer.connection = fresh.connection
    old.close()
    box.closer._history.plan(HOUR_0 + 3600, box.now_s * 1000)
    box.closer._history.work(10_000)  # nothing of the closed file is touched
    assert watermark(fresh.connection, "hour") is None


def test_what_the_cap_took_is_an_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path / "gpuwatch.db", Keep(hot_hours=0.6, max_mb=64))
    monkeypatch.setattr("gpuwatch.store.capacity.MB", 1000)
    box.tick(360 * 5)
    said = [detail for kind, detail in box.rows("SELECT kind, detail FROM event") if kind == "history_dropped"]
    assert said and all("size cap of 64 MB" in detail for detail in said)
    box.kill()


def test_a_clock_that_is_set_back_an_hour_leaves_hours_that_are_still_their_minutes(lab: Lab) -> None:
    lab.record(Scripted("nvml", gpu_batch), close_minutes=True)
    lab.tick(2000)
    lab.clock.advance(0, step=-1800)
    lab.tick(2600)
    hours = dict(lab.rows("SELECT t, obs_ms FROM gpu_hour WHERE gpu_id=1"))
    assert hours
    for t, obs_ms in hours.items():
        assert lab.rows("SELECT sum(obs_ms) FROM gpu_minute WHERE gpu_id=1 AND t>=? AND t<?", t, t + 3600) == [(obs_ms,)]
        assert obs_ms <= 3_600_000


def test_an_hour_in_which_a_gpu_is_sliced_is_one_gpu_hour(file_lab: Lab) -> None:
    parent = Gpu("GPU-a", 0, "H100", mig_enabled=True)
    child = Gpu("MIG-0", 0, "H100", parent_uuid="GPU-a", compute_fraction=3 / 7)
    first = START + -START % 3600

    def batch(now: float) -> Batch:
        sliced = now >= first + 1800
        samples = [GpuSample("GPU-a", utilization_ratio=None if sliced else 0.5, process_count=1)]
        samples += [GpuSample("MIG-0", graphics_active_ratio=1.0, process_count=1)] if sliced else []
        return Batch("nvml", int(now), gpus=[parent, *([child] if sliced else [])], gpu_samples=samples)

    lab = file_lab
    lab.clock.advance(first - START - 600)
    lab.record(Scripted("nvml", batch, interval=10.0), close_minutes=True, period_seconds=10.0)
    while lab.clock.time() < first + 3600 + 1200:
        lab.recorder.run_once(lab.clock.time())
        lab.clock.advance(10)
    sums = "SELECT sum(ms) FROM v_ledger_hour WHERE t=?"
    assert lab.rows(sums, first) == [(3_600_000,)]
    assert lab.rows(sums, first - 3600) == [(3_600_000,)]  # most of it unobserved


def test_a_store_in_memory_keeps_two_hours_whatever_a_file_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoreWriter, "hot_only", True)
    box = Box(":memory:", Keep(hot_hours=48))
    box.tick(360 * 3)
    oldest = box.rows("SELECT min(ts_ms)/1000 FROM tick")[0][0]
    assert 7200 <= box.now_s - oldest <= 7200 + 3600
    box.kill()


def test_a_recorder_learns_what_a_free_gpu_draws_and_counts_power_from_there(file_lab: Lab) -> None:
    free = GpuSample(
        "GPU-0", utilization_ratio=0.0, memory_used_bytes=0.0, process_count=0, power_watts=80.0, power_limit_watts=700.0
    )

    def read(now: float) -> Batch:
        return Batch("nvml", int(now), gpus=[Gpu("GPU-0", 0, "H100")], gpu_samples=[free])

    for minutes in (8, 4):  # it learns when it starts
        recorder = file_lab.record(Scripted("nvml", read, interval=10.0), close_minutes=True)
        for _ in range(minutes * 6):
            recorder.run_once(file_lab.clock.time())
            file_lab.clock.advance(10)
        recorder.end()
        file_lab.reopen()
    assert file_lab.rows("SELECT idle_power_mw FROM gpu") == [(80_000,)]
    fractions = file_lab.rows("SELECT power_fraction_pm FROM gpu_sample ORDER BY tick_id")
    assert fractions[0] == (8,) and fractions[-1] == (0,), "above the floor that is assumed of any board, then above its own"
