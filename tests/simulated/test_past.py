"""The past of a scenario: it joins the present without a seam, and equal spans are built once."""

from __future__ import annotations

from itertools import pairwise

import pytest

DAY, HOUR = 86_400, 3600


def test_a_day_in_minutes(opened, epoch):
    batches = list(opened("lab").backfill(epoch - DAY, epoch, 60))
    assert [b.t for b in batches] == list(range(epoch - DAY + 60, epoch + 1, 60))
    assert all(len(b.gpu_samples) == 8 for b in batches)
    assert len({id(s) for b in batches for s in b.gpu_samples}) < 1500, "the samples of equal minutes are one object"
    assert batches[0].host is not None and len(batches[0].gpus) == 8


def test_people_come_and_go(opened, epoch):
    batches = list(opened("lab").backfill(epoch - DAY, epoch, 60))
    told = [b for b in batches if b.processes is not None]
    assert len(told) < 20, "processes are listed when they change"
    for earlier, later in pairwise(told):
        assert {p.key for p in earlier.processes} != {p.key for p in later.processes}
    users = {p.user for p in told[0].processes}
    assert users == {"alice", "heidi", "svc", "bob", "dave", "root"}
    assert all(p.start_ms < b.t * 1000 for b in told for p in b.processes)
    births = {b.t - epoch for b in told for p in b.processes if p.pid == 57120}
    assert min(births) == pytest.approx(-10_269, abs=60)


def test_gpus_are_free_before_their_users_came(opened, epoch):
    at = {b.t - epoch: b for b in opened("lab").backfill(epoch - DAY, epoch, 60)}
    free = at[-4 * HOUR].gpu_samples[0]
    assert (free.utilization_ratio, free.memory_used_bytes, free.process_count, free.sm_active_ratio) == (0, 0, 0, 0)
    assert free.power_watts == pytest.approx(72) and free.clock_event_reasons == 1
    earlier = at[-8 * HOUR].gpu_samples[0]
    assert earlier.process_count == 1 and earlier.memory_used_bytes == pytest.approx(71.2 * 2**30, rel=1e-4)
    uncapped, capped = at[-HOUR].gpu_samples[7], at[-600].gpu_samples[7]
    assert (uncapped.power_limit_watts, capped.power_limit_watts) == (700, 400)
    assert (uncapped.clock_event_reasons, capped.clock_event_reasons) == (0, 4)
    held = at[-HOUR].gpu_samples[5]
    assert held.utilization_ratio == 0 and held.process_count == 1
    assert at[-2 * HOUR].gpu_samples[5].utilization_ratio > 0.3, "bob worked until 1 h 12 min ago"


def test_steps_of_any_length_show_the_same_energy(opened, epoch):
    def joules(step):
        batches = list(opened("lab").backfill(epoch - 1200, epoch, step))
        return [sum(b.gpu_samples[i].energy_joules for b in batches) for i in range(8)]

    minutes, seconds = joules(60), joules(5)
    assert minutes == pytest.approx(seconds)
    assert min(minutes) > 1200 * 70


def test_the_present_goes_on_where_the_past_ends(opened, epoch):
    collector = opened("lab", epoch=None)
    last = [*collector.backfill(epoch - 600, epoch - 60, 60), *collector.backfill(epoch - 60, epoch, 10)][-1]
    other = opened("lab", epoch=epoch)
    other.collect(epoch)
    now = collector.collect(epoch + 1)
    assert last.t == epoch and now.gpu_samples[0].energy_joules is not None
    assert now.processes[0].start_ms <= last.t * 1000


def test_the_past_is_the_same_however_often_it_is_asked(opened, epoch):
    one = list(opened("lab").backfill(epoch - DAY, epoch, 120))
    assert one == list(opened("lab").backfill(epoch - DAY, epoch, 120))
    fresh = opened("lab")
    middle = fresh._at(epoch).batch(epoch - 7320, epoch - 7200)
    shared = next(b for b in one if b.t == epoch - 7200)
    assert (middle.gpu_samples, middle.process_samples) == (list(shared.gpu_samples), list(shared.process_samples))


@pytest.mark.parametrize(("name", "hours"), [("serve", 13), ("train", 2), ("lost-gpu", 2)])
def test_what_is_built_once_is_what_each_moment_would_give(name, hours, opened, epoch):
    shared = {b.t: b for b in opened(name).backfill(epoch - hours * HOUR, epoch, 120)}
    fresh = opened(name)._at(epoch)
    for t in list(shared)[1::7]:
        alone = fresh.batch(t - 120, t, looks=True, looked=t - 120)
        for field in ("gpu_samples", "process_samples", "inference_samples", "latency_counts"):
            assert list(getattr(alone, field)) == list(getattr(shared[t], field)), (t, field)
        assert (alone.host_sample, alone.missing) == (shared[t].host_sample, shared[t].missing)


def test_faults_are_in_the_past_too(opened, epoch):
    batches = list(opened("lost-gpu").backfill(epoch - HOUR, epoch, 20))
    lost = sum(b.gpu_samples[3].unavailable for b in batches)
    assert lost == 6 * 240 / 20
    assert [e.kind for b in batches for e in b.events].count("xid") == 6


@pytest.mark.parametrize("name", ["train", "mig", "gb10"])
def test_short_lives_and_instances_have_a_past(name, opened, epoch):
    batches = list(opened(name).backfill(epoch - HOUR, epoch, 5))
    assert len(batches) == 720 and all(b.error is None for b in batches)
    keys = {p.key for b in batches for p in b.processes or ()}
    assert len(keys) == {"train": 9 + 6, "mig": 5, "gb10": 2}[name]


@pytest.mark.parametrize(
    "name, place, came_s",
    [("mig", "2", 9 * HOUR + 540), ("mig", "0.0", 4 * HOUR + 120), ("lab", "6", 28 * HOUR), ("lab", "7", 27 * HOUR + 600)],
)
def test_nothing_worked_before_its_process_came(name, place, came_s, opened, epoch):
    collector = opened(name)
    collector.collect(epoch)
    uuid = collector._at(epoch).gpus[place].uuid

    def then(seconds):
        batch = collector._at(epoch).batch(epoch - seconds - 60, epoch - seconds)
        return next(sample for sample in batch.gpu_samples if sample.gpu_uuid == uuid)

    before, after = then(came_s + 120), then(came_s - 120)
    assert (before.utilization_ratio, before.memory_used_bytes, before.process_count, before.sm_active_ratio) == (0, 0, 0, 0)
    assert after.utilization_ratio > 0.1 and after.process_count == 1
