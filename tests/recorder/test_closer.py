"""Minutes of the store: exact, provisional while they can change, final later, recovered after a kill."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.recording import START, Lab, Scripted, gpu_batch, proc_batch

from gpuwatch.model import Batch, Gpu, GpuSample
from gpuwatch.names import Bucket
from gpuwatch.recorder import Closer, Recorder
from gpuwatch.store.deleting import Keep

MINUTE = round(START)


def lab_with(lab: Lab, util: Callable[[float], float | None], **more: object) -> Recorder:
    """GPU-a held by one process and busy as ``util`` says (seconds after the start); GPU-b free."""
    nvml = Scripted("nvml", lambda now: gpu_batch(now, lambda at: util(at - START)))
    return lab.record(nvml, Scripted("procs", proc_batch, interval=2.0), close_minutes=True, **more)


def ledger(lab: Lab, gpu_id: int = 1) -> dict[int, dict[Bucket, int]]:
    """Minute (counted from the start) -> bucket -> ms, of one GPU."""
    out: dict[int, dict[Bucket, int]] = {}
    for t, bucket, ms in lab.rows("SELECT t, bucket, sum(ms) FROM ledger_minute WHERE gpu_id=? GROUP BY 1, 2", gpu_id):
        out.setdefault((t - MINUTE) // 60, {})[Bucket(bucket)] = ms
    return out


def test_every_minute_sums_to_what_was_observed_and_energy_is_kept(lab: Lab) -> None:
    lab_with(lab, lambda at: 0.8)
    lab.tick(200)
    assert ledger(lab) == {n: {Bucket.WAIT: 12_000, Bucket.BUSY_UNKNOWN: 48_000} for n in range(3)}
    assert ledger(lab, 2) == {n: {Bucket.UNALLOCATED: 60_000} for n in range(3)}
    sums = lab.rows("SELECT t-?, gpu_id, sum(energy_mj) FROM ledger_minute GROUP BY 1, 2 ORDER BY 2, 1", MINUTE)
    assert sums == [(60 * n, gpu, 60 * mj) for gpu, mj in ((1, 300_000), (2, 70_000)) for n in range(3)]
    owners = lab.rows("SELECT DISTINCT p.pid FROM ledger_minute l JOIN owner o USING(owner_id) JOIN process p USING(proc_id)")
    assert owners == [(100,)]
    assert lab.rows("SELECT t-?, obs_ms FROM gpu_minute WHERE gpu_id=1", MINUTE) == [(0, 60_000), (60, 60_000), (120, 60_000)]


def test_a_minute_is_closed_seven_seconds_after_its_end_in_small_pieces(lab: Lab) -> None:
    lab_with(lab, lambda at: 1.0)
    lab.tick(67)
    assert lab.rows("SELECT count(*) FROM gpu_minute") == [(0,)]
    lab.tick(1)
    assert lab.rows("SELECT count(*) FROM gpu_minute") == [(2,)]
    assert ledger(lab) == {}
    lab.tick(10)
    assert ledger(lab) == {0: {Bucket.BUSY_UNKNOWN: 60_000}}


def test_the_idle_of_a_square_wave_is_exact(lab: Lab) -> None:
    """37 % duty of 100 s: the quiet seconds that were sent are the wait that is booked."""
    wave = lambda at: 1.0 if (at - 1) % 100 < 37 else 0.0
    lab_with(lab, wave)
    lab.tick(620)
    quiet = 1000 * sum(1 for second in range(1, 601) if wave(second) == 0.0)
    booked = ledger(lab)
    assert set(booked) == set(range(10))
    assert all(sum(minute.values()) == 60_000 for minute in booked.values())
    assert sum(minute.get(Bucket.WAIT, 0) for minute in booked.values()) == quiet
    assert lab.rows("SELECT sum(quiet_ms) FROM gpu_minute WHERE gpu_id=1") == [(quiet,)]


def test_a_hold_is_quiet_first_and_held_idle_from_its_start_once_it_is_five_minutes_old(lab: Lab) -> None:
    lab_with(lab, lambda at: 1.0 if at <= 30 else 0.0)
    lab.tick(200)
    assert ledger(lab)[0] == {Bucket.BUSY_UNKNOWN: 30_000, Bucket.QUIET: 30_000}
    assert ledger(lab)[2] == {Bucket.QUIET: 60_000}
    lab.tick(260)
    assert ledger(lab)[0] == {Bucket.BUSY_UNKNOWN: 30_000, Bucket.HELD_IDLE: 30_000}
    assert {n: buckets for n, buckets in ledger(lab).items() if n} == {n: {Bucket.HELD_IDLE: 60_000} for n in range(1, 7)}


def test_a_pause_that_ends_was_a_wait_also_in_the_minutes_before(lab: Lab) -> None:
    lab_with(lab, lambda at: 0.0 if 30 < at <= 200 else 1.0)
    lab.tick(300)
    assert [ledger(lab)[n].get(Bucket.WAIT) for n in range(4)] == [30_000, 60_000, 60_000, 20_000]
    assert all(Bucket.QUIET not in minute for minute in ledger(lab).values())


def beside_work(lab: Lab) -> None:
    """GPU-a works; GPU-b is held by the same job, which leaves it alone after half a minute."""

    def batch(now: float) -> Batch:
        found = gpu_batch(now)
        used = replace(found.gpu_samples[1], process_count=1, utilization_ratio=0.0 if now > START + 30 else 1.0, sibling_active=1)
        return replace(found, gpu_samples=[found.gpu_samples[0], used])

    lab.record(Scripted("nvml", batch), close_minutes=True)


def test_a_gpu_that_its_working_job_leaves_alone_is_unused_from_the_start_once_that_is_15_minutes(lab: Lab) -> None:
    beside_work(lab)
    lab.tick(900)
    assert ledger(lab, 2)[0] == {Bucket.BUSY_UNKNOWN: 30_000, Bucket.HELD_IDLE: 30_000}
    assert ledger(lab, 2)[10] == {Bucket.HELD_IDLE: 60_000}
    lab.tick(110)
    booked = ledger(lab, 2)
    assert booked[0] == {Bucket.BUSY_UNKNOWN: 30_000, Bucket.ALLOCATED_UNUSED: 30_000}
    assert {n: minute for n, minute in booked.items() if n} == {n: {Bucket.ALLOCATED_UNUSED: 60_000} for n in range(1, 16)}


def test_a_killed_recorder_leaves_unused_time_that_the_next_one_finds(file_lab: Lab) -> None:
    lab = file_lab
    beside_work(lab)
    lab.tick(935)
    assert ledger(lab, 2)[10] == {Bucket.HELD_IDLE: 60_000}
    lab.reopen()
    lab.clock.advance(100)
    lab_with(lab, lambda at: 1.0)
    lab.tick(80)
    assert [ledger(lab, 2)[n] for n in (1, 10, 14)] == [{Bucket.ALLOCATED_UNUSED: 60_000}] * 3


def test_a_minute_is_final_sixteen_minutes_after_its_end(lab: Lab) -> None:
    lab_with(lab, lambda at: 1.0)
    lab.tick(60 + 16 * 60)
    assert lab.rows("SELECT (t-?)/60, max(final) FROM ledger_minute GROUP BY 1 HAVING max(final)=1", MINUTE) == []
    lab.tick(60)
    assert lab.rows("SELECT (t-?)/60, min(final) FROM ledger_minute GROUP BY 1 HAVING max(final)=1", MINUTE) == [(0, 1)]


def test_a_killed_recorder_leaves_work_that_the_next_one_finds(file_lab: Lab) -> None:
    lab = file_lab
    lab_with(lab, lambda at: 1.0 if at <= 30 else 0.0)
    lab.tick(170)
    lab.writer.commit()
    assert set(ledger(lab)) == {0, 1}
    lab.reopen()
    lab.clock.advance(100)
    lab_with(lab, lambda at: 1.0)
    lab.tick(80)
    booked = ledger(lab)
    assert booked[0] == {Bucket.BUSY_UNKNOWN: 30_000, Bucket.WAIT: 30_000}
    assert booked[1] == {Bucket.WAIT: 60_000}
    assert booked[2] == {Bucket.WAIT: 49_000}
    assert booked[4] == {Bucket.BUSY_UNKNOWN: 30_000}


def test_a_gpu_that_falls_silent_has_ended_its_run(lab: Lab) -> None:
    def batch(now: float) -> Batch:
        found = gpu_batch(now, lambda at: 0.0)
        return found if now < START + 100 else replace(found, gpu_samples=found.gpu_samples[1:])

    lab.record(Scripted("nvml", batch), close_minutes=True)
    lab.tick(260)
    assert ledger(lab) == {0: {Bucket.WAIT: 60_000}, 1: {Bucket.WAIT: 39_000}}


def test_a_slow_recorders_runs_do_not_end_between_two_of_its_rows(lab: Lab) -> None:
    nvml = Scripted("nvml", lambda now: gpu_batch(now, lambda at: 0.0), interval=30.0)
    lab.record(nvml, close_minutes=True)
    for _ in range(15):
        lab.recorder.run_once(lab.clock.time())
        lab.clock.advance(30)
    assert ledger(lab) == {n: {Bucket.HELD_IDLE: 60_000} for n in range(6)}


def test_doing_it_again_changes_nothing(lab: Lab) -> None:
    lab_with(lab, lambda at: 0.6 if at % 7 else 0.0)
    lab.tick(400)
    before = lab.rows("SELECT * FROM ledger_minute ORDER BY t, gpu_id, owner_id, bucket")
    lab.db.execute("DELETE FROM rollup_state WHERE tier='ledger'")
    lab.db.execute("DELETE FROM ledger_minute")
    Closer(lab.writer).finish(round(lab.clock.time() * 1000))
    assert lab.rows("SELECT * FROM ledger_minute ORDER BY t, gpu_id, owner_id, bucket") == before


def test_the_instances_and_the_rest_of_a_sliced_gpu_sum_to_one_gpu(lab: Lab) -> None:
    parent = Gpu("GPU-a", 0, "H100", mig_enabled=True)
    children = [Gpu(f"MIG-{n}", n, "H100", parent_uuid="GPU-a", compute_fraction=part) for n, part in enumerate((3 / 7, 2 / 7))]
    samples = [
        GpuSample("GPU-a", energy_joules=500.0),
        *(GpuSample(one.uuid, graphics_active_ratio=1.0, power_watts=200.0, process_count=1) for one in children),
    ]
    lab.record(
        Scripted("nvml", lambda now: Batch("nvml", int(now), gpus=[parent, *children], gpu_samples=samples)), close_minutes=True
    )
    lab.tick(140)
    booked = [ledger(lab, gpu)[1] for gpu in (1, 2, 3)]
    assert [set(one) for one in booked] == [{Bucket.UNALLOCATED}, {Bucket.BUSY_UNKNOWN}, {Bucket.BUSY_UNKNOWN}]
    total = sum(sum(one.values()) for one in booked)
    assert abs(total - 60_000) < 3
    assert lab.rows("SELECT sum(energy_mj) FROM ledger_minute") == [(0,)]


def test_an_instance_whose_first_row_reaches_back_over_a_minute_does_not_count_twice(file_lab: Lab) -> None:
    lab, parent = file_lab, Gpu("GPU-a", 0, "H100", mig_enabled=True)
    child = Gpu("MIG-0", 0, "H100", parent_uuid="GPU-a", compute_fraction=3 / 7)

    def batch(now: float) -> Batch:
        there = now >= START + 54
        samples = [
            GpuSample("GPU-a", utilization_ratio=0.0),
            *([GpuSample("MIG-0", graphics_active_ratio=1.0, process_count=1)] if there else []),
        ]
        return Batch("nvml", int(now), gpus=[parent, *([child] if there else [])], gpu_samples=samples)

    lab.record(Scripted("nvml", batch, interval=7.0), close_minutes=True, period_seconds=7.0)
    lab.clock.advance(-START % 7)
    for _ in range(30):
        lab.recorder.run_once(lab.clock.time())
        lab.clock.advance(7)
    sums = lab.rows("SELECT (t-?)/60, sum(ms) FROM v_ledger_minute GROUP BY 1 ORDER BY 1", MINUTE)
    assert sums[0] == (0, 60_000)
    assert all(abs(ms - 60_000) < 3 for _, ms in sums)


def test_a_clock_that_ran_ahead_and_is_set_right_does_not_stop_the_minutes(lab: Lab) -> None:
    """Two hours ahead for three minutes (a hardware clock in local time), then right: no watermark of the future holds them up."""
    lab_with(lab, lambda at: 1.0)
    lab.clock.advance(0, step=7200)
    lab.tick(200)
    lab.clock.advance(0, step=-7200)
    lab.tick(300)
    closed = {n: buckets for n, buckets in ledger(lab).items() if n < 60}
    assert closed == {3: {Bucket.BUSY_UNKNOWN: 40_000}, **{n: {Bucket.BUSY_UNKNOWN: 60_000} for n in range(4, 8)}}
    sums = lab.rows("SELECT sum(l.energy_mj), (SELECT sum(energy_used_mj) FROM gpu_minute) FROM ledger_minute l")
    assert sums[0][0] == sums[0][1]


@pytest.mark.parametrize("step", [-3, -30])
def test_seconds_that_the_clock_repeats_count_once(lab: Lab, step: int) -> None:
    lab_with(lab, lambda at: 0.5)
    lab.tick(100)
    lab.clock.advance(0, step=step)
    lab.tick(100)
    observed = lab.rows("SELECT obs_ms, energy_used_mj FROM gpu_minute WHERE gpu_id=1 AND t=?", MINUTE + 60)
    assert observed == [(60_000, 60 * 300_000)]
    assert lab.rows("SELECT sum(ms), sum(energy_mj) FROM ledger_minute WHERE gpu_id=1 AND t=?", MINUTE + 60) == observed


def test_a_minute_that_the_clock_repeats_stays_as_it_was_closed(lab: Lab) -> None:
    lab_with(lab, lambda at: 1.0)
    lab.tick(250)
    before = lab.rows("SELECT * FROM ledger_minute WHERE t<? ORDER BY 1, 2, 4", MINUTE + 180)
    rolled = lab.rows("SELECT * FROM gpu_minute WHERE t<?", MINUTE + 180)
    lab.clock.advance(0, step=-250)
    lab.tick(200)
    assert lab.rows("SELECT * FROM ledger_minute WHERE t<? ORDER BY 1, 2, 4", MINUTE + 180) == before
    assert lab.rows("SELECT * FROM gpu_minute WHERE t<?", MINUTE + 180) == rolled


def test_hot_rows_are_trimmed(lab: Lab) -> None:
    lab.record(Scripted("nvml", gpu_batch))
    lab.recorder._closer = Closer(lab.writer, keep=Keep(hot_hours=0.1))
    whole = round(-START % 3600)
    lab.tick(whole + 600)
    first = lab.rows("SELECT min(ts_ms) FROM tick")[0][0] / 1000
    assert first - lab.clock.time() == pytest.approx(-600, abs=60)  # the last whole hour is sealed
    assert lab.rows("SELECT kind, sum(n) FROM chunk GROUP BY 1") == [(0, 2 * whole + 2), (1, whole - 2)]


def test_a_store_that_fails_is_tried_again_a_minute_later(lab: Lab) -> None:
    lab_with(lab, lambda at: 1.0)
    lab.tick(59)
    lab.writer.commit()
    lab.db.execute("ALTER TABLE ledger_minute RENAME TO elsewhere")
    lab.tick(20)
    lab.db.execute("ALTER TABLE elsewhere RENAME TO ledger_minute")
    assert ledger(lab) == {}
    lab.tick(65)
    assert ledger(lab) == {n: {Bucket.BUSY_UNKNOWN: 60_000} for n in range(2)}


def test_ending_closes_the_minutes_that_have_ended(lab: Lab) -> None:
    lab_with(lab, lambda at: 1.0)
    lab.tick(121)
    lab.recorder.end()
    assert set(ledger(lab)) == {0, 1}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_every_minute_sums_to_its_rows(file_lab: Lab, seed: int) -> None:
    """Random load, holders, silences, stalls and kills: no minute has more or less than was observed, and all become final."""
    lab, chance = file_lab, random.Random(seed)

    def batch(now: float) -> Batch:
        held, silent = int(now) // 90 % 3 != 0, int(now) % 200 in range(20 * seed)
        util = 0.0 if int(now) // 70 % 2 else chance.random()
        found = gpu_batch(now, lambda _: util, processes=int(held))
        return replace(found, gpu_samples=found.gpu_samples[1:]) if silent else found

    def begin() -> None:
        lab.record(Scripted("nvml", batch), Scripted("procs", proc_batch, interval=2.0), close_minutes=True)

    begin()
    for _ in range(8):
        lab.tick(chance.randrange(30, 150))
        if chance.random() < 0.3:
            lab.reopen()
            begin()
        lab.clock.advance(chance.choice([0, 0, 0, 7, 100]))
    until = (round(lab.clock.time()) // 60 + 17) * 60
    sql = (
        "SELECT s.gpu_id, sum(max(0, min(k.ts_ms, (m.t+60)*1000) - max(k.ts_ms-s.dt_ms, m.t*1000))), m.t"
        " FROM (SELECT DISTINCT t FROM ledger_minute) m JOIN tick k JOIN gpu_sample s ON s.tick_id=k.tick_id GROUP BY 1, 3"
    )
    lab.tick(until - round(lab.clock.time()) + 40)
    observed = {(gpu, t): ms for gpu, ms, t in lab.rows(sql) if ms}
    booked = {(gpu, t): ms for gpu, t, ms in lab.rows("SELECT gpu_id, t, sum(ms) FROM ledger_minute GROUP BY 1, 2")}
    last = max(t for _, t in booked)
    assert {key: ms for key, ms in observed.items() if key[1] < last} == {key: ms for key, ms in booked.items() if key[1] < last}
    settled = lab.rows("SELECT count(*) FROM ledger_minute WHERE t<? AND (final=0 OR bucket=?)", until - 17 * 60, int(Bucket.QUIET))
    assert settled == [(0,)]


def test_minutes_that_are_closed_late_know_how_their_quiet_runs_went_on(file_lab: Lab) -> None:
    """A recorder that was killed before it closed them: the rows after a minute are there, so no gap ended its run."""
    lab = file_lab
    nvml = Scripted("nvml", lambda now: gpu_batch(now, lambda at: 1.0 if at - START <= 30 or at - START > 500 else 0.0))
    lab.record(nvml, Scripted("procs", proc_batch, interval=2.0), close_minutes=False)
    lab.tick(560)
    lab.writer.commit()
    Closer(lab.writer).finish(round((START + 900) * 1000))
    booked = ledger(lab)
    assert booked[0] == {Bucket.BUSY_UNKNOWN: 30_000, Bucket.HELD_IDLE: 30_000}
    assert {n: booked[n] for n in range(1, 8)} == {n: {Bucket.HELD_IDLE: 60_000} for n in range(1, 8)}
