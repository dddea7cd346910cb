"""The recorder as a whole, step by step on a fake clock: sessions, gaps, commits, events, states, real threads once."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace

import pytest
from support.recording import START, Lab, Scripted, gpu_batch, host_batch, proc_batch

from gpuwatch.clock import FakeClock, SystemClock
from gpuwatch.model import Batch, Event, RecorderSample
from gpuwatch.names import GapReason, Severity
from gpuwatch.recorder import CostMeter, Recorder
from gpuwatch.store.rows import Tick
from gpuwatch.store.writer import StoreWriter

MS = round(START * 1000)


def nvml() -> Scripted:
    return Scripted("nvml", gpu_batch)


def procs() -> Scripted:
    return Scripted("procs", proc_batch, interval=2.0)


def host() -> Scripted:
    return Scripted("host", host_batch, interval=2.0)


def test_each_second_becomes_a_tick_with_the_collectors_that_are_due(lab: Lab) -> None:
    lab.record(nvml(), procs(), host())
    lab.tick(5)
    rows = lab.rows("SELECT k.ts_ms, s.dt_ms FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id WHERE s.gpu_id=1 ORDER BY 1")
    assert rows == [(MS + 1000 * n, 1000 if n else 0) for n in range(5)]
    rows = lab.rows("SELECT k.ts_ms, s.dt_ms, s.sm_pm, s.cpu_pm FROM tick k JOIN process_sample s ON s.tick_id=k.tick_id")
    assert rows == [(MS, 0, 500, 500), (MS + 2000, 2000, 500, 500), (MS + 4000, 2000, 500, 500)]


def test_a_second_reading_of_some_sources_asks_no_others(lab: Lab) -> None:
    gpus, programs = nvml(), procs()
    recorder = lab.record(gpus, programs)
    recorder.run_once(START)
    recorder.run_once(START + 2, only={"nvml"})
    assert gpus.asked == [START, START + 2] and programs.asked == [START]


def test_what_goes_by_the_finds_of_others_reads_after_them(lab: Lab) -> None:
    """Of servers one reading knows only what the process collector has found before it."""
    order: list[str] = []

    def named(name: str, *, follows: bool = False) -> Scripted:
        def read(now: float) -> Batch:
            order.append(name)
            return Batch(name, int(now))

        return Scripted(name, read, follows=follows)

    lab.record(named("asks", follows=True), named("finds")).run_once(START)
    assert order == ["finds", "asks"]


def test_an_unwatched_recorder_commits_at_once_and_then_every_ten_seconds(lab: Lab) -> None:
    lab.record(nvml(), host())
    lab.tick(25)
    assert [at - START for at in lab.writer.commits] == [0, 0, 10, 20]


def test_a_watched_recorder_commits_every_second(lab: Lab) -> None:
    lab.record(nvml(), watched=lambda: lab.clock.time() >= START + 3)
    lab.tick(8)
    assert [at - START for at in lab.writer.commits] == [0, 0, 3, 4, 5, 6, 7]


def test_an_event_that_matters_is_committed_at_once(lab: Lab) -> None:
    events = {START + 3: Severity.NOTICE, START + 5: Severity.WARNING}

    def batch(now: float) -> Batch:
        found = [Event(round(now * 1000), "xid", "x", events[now], "GPU-a")] if now in events else []
        return replace(gpu_batch(now), events=found)

    lab.record(Scripted("nvml", batch))
    lab.tick(7)
    assert [at - START for at in lab.writer.commits] == [0, 0, 5]
    assert lab.rows("SELECT severity FROM event ORDER BY ts_ms") == [(1,), (2,)]


def test_the_time_before_a_clean_start_was_off_and_after_a_kill_a_crash(file_lab: Lab) -> None:
    lab = file_lab
    lab.record(nvml())
    lab.tick(3)
    lab.recorder.end()
    lab.reopen()
    lab.clock.advance(100)
    lab.record(nvml())
    lab.tick(3)
    lab.writer.commit()
    lab.tick(2)
    lab.reopen()  # killed: the last two ticks are lost, the session has no end
    lab.clock.advance(50)
    lab.record(nvml())
    lab.tick(1)
    gaps = lab.rows("SELECT t0_ms-?, t1_ms-?, reason FROM gap ORDER BY 1", MS, MS)
    assert gaps == [(2000, 103_000, int(GapReason.OFF)), (105_000, 158_000, int(GapReason.CRASH))]


def test_a_quick_restart_leaves_no_hole_and_keeps_the_quiet_run(file_lab: Lab) -> None:
    lab = file_lab
    quiet = Scripted("nvml", lambda now: gpu_batch(now, lambda now: 0.0))
    lab.record(quiet)
    lab.tick(5)
    lab.recorder.end()
    lab.reopen()
    lab.record(quiet)
    lab.tick(2)
    assert lab.rows("SELECT * FROM gap") == []
    rows = lab.rows("SELECT dt_ms, quiet_ms FROM gpu_sample WHERE gpu_id=1 ORDER BY tick_id")
    assert rows == [(0, 0), (1000, 1000), (1000, 2000), (1000, 3000), (1000, 4000), (1000, 5000), (1000, 6000)]


def test_one_who_takes_over_from_a_killed_recorder_in_time_bridges_the_moment(file_lab: Lab) -> None:
    lab = file_lab
    quiet = Scripted("nvml", lambda now: gpu_batch(now, lambda now: 0.0))
    lab.record(quiet, watched=lambda: True)
    lab.tick(5)
    lab.reopen()
    lab.clock.advance(1)
    lab.record(quiet)
    lab.tick(2)
    assert lab.rows("SELECT * FROM gap") == []
    rows = lab.rows("SELECT dt_ms, quiet_ms FROM gpu_sample WHERE gpu_id=1 ORDER BY tick_id")
    assert rows[-3:] == [(1000, 4000), (2000, 6000), (1000, 7000)]


def test_a_tick_that_cannot_be_kept_is_lost_and_nothing_else(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.record(nvml())
    lab.tick(2)
    keep = lab.writer.add

    def refuse(tick: Tick) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    lab.writer.add = refuse  # type: ignore[method-assign]
    lab.tick(2)
    lab.writer.add = keep  # type: ignore[method-assign]
    lab.tick(2)
    assert lab.rows("SELECT (k.ts_ms-?)/1000, s.dt_ms FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id WHERE gpu_id=1", MS) == [
        (0, 0),
        (1, 1000),
        (4, 1000),
        (5, 1000),
    ]
    assert [record.message for record in caplog.records] == ["a tick could not be kept: disk I/O error"]


def test_a_restart_within_a_second_does_not_record_that_second_twice(file_lab: Lab) -> None:
    lab = file_lab
    quiet = Scripted("nvml", lambda now: gpu_batch(now, lambda now: 0.0))
    lab.record(quiet)
    lab.tick(3)
    lab.recorder.end()
    lab.reopen()
    lab.clock.advance(-1)
    lab.clock.advance(0.5)
    lab.record(quiet)
    lab.recorder.begin()
    lab.recorder.run_once(START + 2)
    lab.clock.advance(0.5)
    lab.tick(1)
    rows = lab.rows("SELECT k.ts_ms-?, s.quiet_ms FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id WHERE gpu_id=1", MS)
    assert rows == [(0, 0), (1000, 1000), (2000, 2000), (3000, 3000)]


def test_a_suspend_is_a_gap_of_the_whole_host(lab: Lab) -> None:
    lab.record(nvml())
    lab.tick(3)
    lab.clock.advance(0, suspended=7200)
    lab.tick(2)
    assert lab.rows("SELECT gpu_id, t0_ms-?, t1_ms-?, reason FROM gap", MS, MS) == [(0, 2000, 7_203_000, int(GapReason.SUSPEND))]
    assert lab.rows("SELECT dt_ms FROM gpu_sample WHERE gpu_id=1 ORDER BY tick_id") == [(0,), (1000,), (1000,), (0,), (1000,)]


def test_a_stall_is_a_gap_of_its_own_reason(lab: Lab) -> None:
    lab.record(nvml())
    lab.tick(3)
    lab.clock.advance(20)
    lab.tick(1)
    assert lab.rows("SELECT t0_ms-?, t1_ms-?, reason FROM gap", MS, MS) == [(2000, 23_000, int(GapReason.STALL))]


def test_a_recorder_that_was_held_up_writes_what_the_collectors_brought_meanwhile(lab: Lab) -> None:
    lab.record(nvml())
    lab.tick(3)
    (source,) = lab.recorder.sources
    for _ in range(20):  # a disk that does not answer: the collector's thread goes on, the recorder's does not
        lab.recorder.inbox.deliver(source.step(lab.clock.time()))
        lab.clock.advance(1)
    lab.tick(2)
    assert lab.rows("SELECT * FROM gap") == []
    rows = lab.rows("SELECT (k.ts_ms-?)/1000, s.dt_ms FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id WHERE gpu_id=1", MS)
    assert sorted(rows) == [(n, 1000 if n else 0) for n in range(25)]


def test_two_readings_of_a_second_are_one_that_loses_nothing(lab: Lab) -> None:
    lab.record(nvml(), procs())
    lab.tick(2)
    reading = lab.recorder.sources[1].step(START + 2)
    assert reading.batch is not None
    lab.recorder.inbox.deliver(reading)
    more = proc_batch(START + 2, (100, 101))
    short = [replace(sample, cpu_ratio=7.0) for sample in more.process_samples]
    lab.recorder.inbox.deliver(replace(reading, batch=replace(more, process_samples=short)))
    lab.recorder._tick(START + 2)
    assert lab.rows("SELECT p.pid, s.cpu_pm FROM process_sample s JOIN process p USING(proc_id) WHERE s.tick_id=3 OR s.dt_ms>0") == [(100, 500), (101, 7000)]  # fmt: skip


def test_what_comes_too_late_for_its_second_is_taken_as_of_now(lab: Lab) -> None:
    def slow(now: float) -> Batch:
        if now == START + 2:
            lab.clock.advance(20)
        return gpu_batch(now)

    lab.record(Scripted("nvml", slow))
    lab.tick(2)
    lab.recorder.inbox.deliver(lab.recorder.sources[0].step(START + 2))
    lab.tick(1)
    rows = lab.rows("SELECT (k.ts_ms-?)/1000, s.dt_ms FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id WHERE gpu_id=1", MS)
    assert rows == [(0, 0), (1, 1000), (22, 0)]


@pytest.mark.parametrize(("step", "gaps"), [(3600.0, [(2000, 3_603_000, int(GapReason.CLOCK))]), (-3600.0, [])])
def test_a_clock_step_begins_a_new_session_and_is_an_event(lab: Lab, step: float, gaps: list[tuple[int, int, int]]) -> None:
    lab.record(nvml())
    lab.tick(3)
    lab.clock.advance(0, step=step)
    lab.tick(3)
    assert lab.rows("SELECT t0_ms-?, t1_ms-?, reason FROM gap", MS, MS) == gaps
    assert lab.rows("SELECT kind, detail FROM event") == [("clock_step", f"the wall clock was set by {step:+.1f} s")]
    assert lab.rows("SELECT count(*) FROM session") == [(2,)]
    assert lab.rows("SELECT sum(dt_ms) FROM gpu_sample WHERE gpu_id=1") == [(4000,)]
    assert lab.rows("SELECT state FROM source_state") == [("ok",)]


def test_reasons_that_still_hold_are_told_to_the_new_session(lab: Lab) -> None:
    from gpuwatch.names import Missing

    missing = {("gpu", "GPU-a", "power_watts"): Missing.NOT_SUPPORTED}
    lab.record(Scripted("nvml", lambda now: replace(gpu_batch(now), missing=missing)))
    lab.tick(3)
    lab.clock.advance(0, step=100)
    lab.tick(3)
    assert lab.rows("SELECT count(*), sum(t1_ms IS NULL) FROM missing") == [(2, 1)]


def test_a_source_that_breaks_says_so_and_the_others_go_on(lab: Lab) -> None:
    def lost(now: float) -> Batch:
        if now >= START + 2:
            raise OSError("GPU is lost")
        return gpu_batch(now)

    lab.record(Scripted("nvml", lost), host())
    lab.tick(5)
    states = lab.rows("SELECT name, state, last_ok_ms-?, detail FROM source_state ORDER BY name", MS)
    assert states == [("host", "ok", 2000, ""), ("nvml", "error", 1000, "OSError: GPU is lost")]
    lab.tick(8)
    assert lab.rows("SELECT last_ok_ms-? FROM source_state WHERE name='host'", MS) == [(12_000,)]
    assert lab.rows("SELECT count(*) FROM host_sample") == [(7,)]
    assert lab.rows("SELECT ts_ms-?, kind, severity, detail FROM event", MS) == [
        (2000, "source_error", 2, "nvml: OSError: GPU is lost")
    ]


def test_a_source_that_comes_back_is_an_event(lab: Lab) -> None:
    def flaky(now: float) -> Batch:
        return Batch("nvml", int(now), error="driver lost") if START + 2 <= now < START + 4 else gpu_batch(now)

    lab.record(Scripted("nvml", flaky))
    lab.tick(6)
    assert lab.rows("SELECT ts_ms-?, kind FROM event ORDER BY 1", MS) == [(2000, "source_error"), (4000, "source_ok")]


def test_a_new_pid_is_looked_up_in_the_same_second(lab: Lab) -> None:
    watching = Scripted("procs", lambda now: proc_batch(now, (100,) if now < START + 3 else (100, 101)), interval=10.0)
    lab.record(Scripted("nvml", lambda now: gpu_batch(now, processes=1 if now < START + 3 else 2)), watching)
    lab.tick(5)
    assert [at - START for at in watching.asked] == [0, 3]
    assert lab.rows("SELECT pid, start_ms, start_known FROM process ORDER BY pid") == [(100, 5000, 1), (101, 5000, 1)]
    assert lab.rows("SELECT count(*) FROM process_sample WHERE proc_id=2") == [(1,)]


def test_the_recorders_own_cost_is_a_row_every_ten_seconds(lab: Lab) -> None:
    class Meter(CostMeter):
        def sample(self) -> RecorderSample:
            super().sample()
            return RecorderSample(cpu_seconds=0.01, driver_calls_total=self.calls)

        def count(self, driver_calls: int, driver_ns: int) -> None:
            self.calls = getattr(self, "calls", 0) + driver_calls

    lab.record(Scripted("nvml", lambda now: replace(gpu_batch(now), driver_calls=60)), cost=Meter())
    lab.tick(21)
    assert lab.rows("SELECT dt_ms, cpu_us, driver_calls FROM recorder_sample") == [(0, 10_000, 60), (10_000, 10_000, 660), (10_000, 10_000, 1260)]  # fmt: skip


def test_what_the_meter_measures_is_plausible() -> None:
    meter = CostMeter()
    meter.count(3, 2_000_000)
    sample = meter.sample()
    assert sample.cpu_seconds is not None and 0 <= sample.cpu_seconds < 60
    assert sample.rss_bytes is None or 1e6 < sample.rss_bytes < 1e10
    assert (sample.driver_calls_total, sample.driver_seconds) == (3, 0.002)
    assert meter.sample().driver_calls_total == 0


def test_with_no_collector_at_all_it_still_runs(lab: Lab) -> None:
    lab.record()
    lab.tick(2)
    lab.recorder.end()
    assert lab.rows("SELECT clean FROM session") == [(1,)]


def test_live_a_stopped_process_goes_on_at_the_present_second_and_leaves_one_gap() -> None:
    """SIGSTOP, a swapped out or a frozen container: the wait comes back much too late."""

    class Frozen(FakeClock):
        waits = 0

        def wait(self, event: threading.Event, seconds: float) -> bool:
            self.waits += 1
            if self.waits == 3:
                self.advance(30.25)
            if self.waits == 6:
                event.set()
            return super().wait(event, seconds)

    clock = Frozen(START + 0.5)
    writer = StoreWriter.open(":memory:", clock=clock)
    recorder = Recorder([], writer, clock, cost=CostMeter())
    ticks = []
    keep = writer.add
    writer.add = lambda tick: (ticks.append(tick), keep(tick))[1]  # type: ignore[method-assign]
    recorder.run(threading.Event())
    assert sorted({(tick.ts_ms - MS) / 1000 for tick in ticks}) == [0, 1, 2, 33, 34, 35]
    assert [(gap.t0_ms - MS, gap.t1_ms - MS, gap.reason) for tick in ticks for gap in tick.gaps] == [
        (2000, 33_000, GapReason.STALL)
    ]
    writer.close()


class LiveWriter(StoreWriter):
    """Says when three ticks with GPU rows are there."""

    def watch(self, done: threading.Event, ticks: int) -> None:
        self.done, self.left = done, ticks

    def add(self, tick) -> None:  # type: ignore[no-untyped-def]
        super().add(tick)
        if tick.gpu_rows:
            self.left -= 1
            if self.left <= 0:
                self.done.set()


def test_live_a_hanging_collector_stops_neither_the_others_nor_the_end() -> None:
    """Real threads and the real clock, for about two seconds."""
    release = threading.Event()

    def hang(now: float) -> Batch:
        release.wait(60)
        return host_batch(now)

    clock, stop = SystemClock(), threading.Event()
    writer = LiveWriter.open(":memory:", clock=clock)
    writer.watch(stop, 2)
    recorder = Recorder([Scripted("hung", hang), nvml(), Scripted("procs", proc_batch)], writer, clock)
    running = threading.Thread(target=recorder.run, args=(stop,), daemon=True)
    running.start()
    running.join(30)
    assert not running.is_alive()
    rows = writer.connection.execute("SELECT ts_ms%1000, dt_ms FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id WHERE gpu_id=1 ORDER BY ts_ms").fetchall()  # fmt: skip
    assert len(rows) == 2
    assert rows[0] == (0, 0)
    assert rows[1][1] in (1000, 2000, 3000)
    assert writer.connection.execute("SELECT clean FROM session").fetchall() == [(1,)]
    release.set()
    writer.close()
