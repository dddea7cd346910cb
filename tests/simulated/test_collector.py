"""The collector of a simulated host: what a real one's collectors would say, second by second."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.simulated import factory
from gpuwatch.collectors.simulated.scenario import names
from gpuwatch.errors import Unavailable, UsageError
from gpuwatch.measure import told
from gpuwatch.model import GpuSample
from gpuwatch.names import Missing, Severity
from gpuwatch.plugin import CollectorContext
from gpuwatch.testing import check_collector

SIMULATED = names()


@pytest.mark.parametrize("name", SIMULATED)
def test_contract(name):
    batches = check_collector(factory, context=CollectorContext(clock=FakeClock(), options={"scenario": name}))
    assert len(batches) == 4


@pytest.mark.parametrize("name", SIMULATED)
def test_the_same_options_give_the_same_seconds(name, opened, epoch):
    one, two = opened(name), opened(name)
    for second in (1, 2, 3, 65, 66, 130, 131, 305):
        assert one.collect(epoch + second) == two.collect(epoch + second)
    assert opened(name, seed=8).collect(epoch + 1) != opened(name).collect(epoch + 1)


@pytest.mark.parametrize("name", SIMULATED)
def test_every_absent_value_has_a_reason_and_no_present_one_has(name, opened, epoch):
    collector = opened(name)
    for second in (1, 2, 70):
        batch = collector.collect(epoch + second)
        uuids = {gpu.uuid for gpu in batch.gpus}
        assert {key[1] for key in batch.missing if key[0] == "gpu"} <= uuids
        for sample in batch.gpu_samples:
            for field in told(GpuSample):
                absent = getattr(sample, field) is None
                assert absent == (("gpu", sample.gpu_uuid, field) in batch.missing), (second, sample.gpu_uuid, field)


def test_the_first_batch_speaks_for_no_time(opened, epoch):
    batch = opened("lab").collect(epoch)
    sample = batch.gpu_samples[0]
    assert sample.energy_joules is None and sample.sm_active_ratio is None
    assert sample.power_watts > 500
    assert batch.missing["gpu", sample.gpu_uuid, "energy_joules"] is Missing.STALE
    assert all(s.cpu_ratio is None for s in batch.process_samples)


def test_after_a_hole_or_a_step_back_a_reading_speaks_for_no_time(opened, epoch):
    collector = opened("train", interval=1.0)
    collector.collect(epoch)
    joules = [collector.collect(epoch + second).gpu_samples[0].energy_joules for second in (1, 4, 8, 9, 9, 2)]
    assert [value is None for value in joules] == [False, False, True, False, True, True]


def test_amounts_add_up_to_the_integral_across_loops_and_steps(opened, epoch):
    collector = opened("train")
    table = collector._at(epoch).table
    collector.collect(epoch)
    joules = kib = 0.0
    second = 0
    for step in [1] * 40 + [7] * 30 + [60] * 20:
        second += step
        sample = collector.collect(epoch + second).gpu_samples[2]
        joules += sample.energy_joules
        kib += sample.pcie_rx_bytes / 1024
    assert second * 1000 > 2 * table.loop_ms
    assert joules == pytest.approx(table.integral(table.gpu["2", "power_mw"], 0, second * 1000) / 1e6)
    assert kib == pytest.approx(table.integral(table.gpu["2", "pcie_rx_kib_s"], 0, second * 1000) / 1e3)


def test_a_loop_later_everything_is_as_it_was(opened, epoch):
    collector = opened("lab")
    collector.collect(epoch + 99)
    early = collector.collect(epoch + 100)
    collector.collect(epoch + 1299)
    late = collector.collect(epoch + 1300)
    assert late.gpu_samples == early.gpu_samples
    assert late.processes == early.processes
    assert late.t != early.t


def test_lab_is_the_picture(opened, epoch):
    collector = opened("lab")
    host = collector.collect(epoch).host
    assert (host.hostname, host.simulated, host.driver_version, host.cuda_version) == ("demo-01", True, "570.124.06", "12.8")
    batch = collector.collect(epoch + 100)
    memory = [round(s.memory_used_bytes / 2**30, 1) for s in batch.gpu_samples]
    assert memory == [71.2, 71.0, 44.8, 44.6, 74.9, 62.1, 38.4, 66.3]
    watts = sum(s.power_watts for s in batch.gpu_samples)
    assert watts == pytest.approx(2889, rel=0.03)
    assert sum(s.power_watts for s in batch.gpu_samples[5:7]) == pytest.approx(232, abs=3)
    assert batch.gpu_samples[7].clock_event_reasons == 4
    assert batch.gpu_samples[7].power_throttled_seconds == pytest.approx(100)
    users = {p.pid: (p.user, p.command) for p in batch.processes}
    assert users[48213] == ("bob", "jupyter kernel 9f2e")
    assert users[71002] == ("erin", "python serve_tmp.py")
    ages = {p.pid: epoch - p.start_ms / 1000 for p in batch.processes}
    assert (ages[57120], ages[48213], ages[51877]) == (10_269, 10_032, 22_360)
    bob = [s for s in batch.process_samples if s.pid == 48213]
    assert [round((s.gpu_memory_bytes or 0) / 2**30, 1) for s in bob] == [62.1, 38.4, 0.0]
    assert [bool(s.gpu_uuid) for s in bob] == [True, True, False]
    loaders = [p for p in batch.processes if p.role == "worker" and p.parent_pid == 51877]
    assert len(loaders) == 4 and {p.workload_pid for p in loaders} == {51877}
    assert {w.name: (w.kind, w.root_pid, w.port) for w in batch.workloads}["qwen-72b"] == ("inference", 33071, 8000)


SHARES = {0: (51, 31, 6, 12), 2: (24, 12, 6, 58), 4: (48, 11, 24, 14), 5: (0, 0, 0, 100), 7: (51, 34, 11, 5)}
"""GPU -> effective, stalled SM, empty SM, wait (with overhead) in percent of its time, clocks aside: the design's data set."""


def test_lab_has_the_shares_of_the_design(opened, epoch):
    collector = opened("lab")
    parts = {gpu: [0.0] * 4 for gpu in SHARES}
    seconds = range(1, 1201)
    collector.collect(epoch)
    for second in seconds:
        samples = collector.collect(epoch + second).gpu_samples
        for gpu, sums in parts.items():
            s = samples[gpu]
            busy = s.utilization_ratio
            sm = min(s.sm_active_ratio, busy)
            fill = min(sm, max(s.tensor_active_ratio / 0.93, s.dram_active_ratio / 0.80))
            for i, part in enumerate((fill, sm - fill, busy - sm, 1 - busy)):
                sums[i] += part
    for gpu, shares in SHARES.items():
        assert [100 * p / len(seconds) for p in parts[gpu]] == pytest.approx(shares, abs=3), gpu


def test_a_gpu_falls_off_the_bus_and_comes_back(opened, epoch):
    collector = opened("lost-gpu")
    seen = {}
    events = []
    for second in range(55, 70):
        batch = collector.collect(epoch + second)
        seen[second] = batch.gpu_samples[3]
        events += [(second, e.kind, e.detail, e.severity, e.ts_ms) for e in batch.events]
    assert [second for second, sample in seen.items() if sample.unavailable] == list(range(60, 70))
    assert seen[61].utilization_ratio is None and seen[61].memory_used_bytes is None
    at = (epoch + 60) * 1000
    assert events == [
        (60, "xid", "GPU 3 XID 79: GPU has fallen off the bus", Severity.CRITICAL, at),
        (60, "gpu_lost", "GPU 3 NVIDIA H100 80GB HBM3: GPU is lost", Severity.CRITICAL, at),
    ]
    assert batch.missing["gpu", batch.gpus[3].uuid, "power_watts"] is Missing.DRIVER_ERROR
    on_lost = {s.gpu_uuid for s in batch.process_samples}
    assert batch.gpus[3].uuid not in on_lost and batch.gpus[2].uuid in on_lost
    assert len(batch.processes) == 5, "the process itself lives on"
    assert len(batch.gpus) == 8
    collector.collect(epoch + 299)
    back = collector.collect(epoch + 300)
    assert not back.gpu_samples[3].unavailable and back.gpu_samples[3].utilization_ratio > 0.9
    assert [e.kind for e in back.events] == ["gpu_recovered"]


def test_a_process_of_seven_seconds_is_a_new_process_in_each_loop(opened, epoch):
    collector = opened("train")
    lives = {}
    for second in [*range(125, 140), *range(725, 740)]:
        for process in collector.collect(epoch + second).processes:
            if process.command.startswith("python sample.py"):
                lives.setdefault(process.key, []).append(second)
    assert list(lives.values()) == [list(range(130, 137)), list(range(730, 737))]
    assert [start for _, start in lives] == [(epoch + 130) * 1000, (epoch + 730) * 1000]
    assert len({pid for pid, _ in lives}) == 2


def test_a_hung_collective_looks_busy_and_does_nothing(opened, epoch):
    collector = opened("nccl-hang")
    collector.collect(epoch)
    for sample in collector.collect(epoch + 10).gpu_samples:
        assert sample.utilization_ratio == 1.0 and sample.sm_active_ratio > 0.97
        assert sample.tensor_active_ratio < 0.02 and sample.dram_active_ratio < 0.02
        assert 80 < sample.power_watts < 92


def test_unified_memory_has_no_total_but_processes_have_memory(opened, epoch):
    batch = opened("gb10").collect(epoch + 1)
    gpu, sample = batch.gpus[0], batch.gpu_samples[0]
    assert gpu.memory_total_bytes is None and gpu.power_limit_watts is None
    assert sample.memory_used_bytes is None
    assert batch.missing["gpu", gpu.uuid, "memory_used_bytes"] is Missing.NOT_SUPPORTED
    assert {s.kind for s in batch.process_samples if s.gpu_uuid} == {"compute", "graphics"}
    assert sample.process_count == 1, "the desktop computes nothing"
    assert max(s.gpu_memory_bytes or 0 for s in batch.process_samples) > 60 * 2**30


def test_mig_instances_have_parents_and_the_parents_no_utilization(opened, epoch):
    collector = opened("mig")
    collector.collect(epoch)
    batch = collector.collect(epoch + 5)
    gpus, samples = {g.uuid: g for g in batch.gpus}, {s.gpu_uuid: s for s in batch.gpu_samples}
    parents = [g for g in batch.gpus if g.mig_enabled]
    assert len(parents) == 2
    for parent in parents:
        assert samples[parent.uuid].utilization_ratio is None and samples[parent.uuid].power_watts > 50
        assert batch.missing["gpu", parent.uuid, "utilization_ratio"] is Missing.NOT_SUPPORTED
    instances = [g for g in batch.gpus if g.parent_uuid]
    assert [g.mig_profile for g in instances] == ["3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb", "3g.40gb", "3g.40gb"]
    assert [round(7 * g.compute_fraction) for g in instances] == [3, 2, 1, 1, 3, 3]
    utilization = [samples[g.uuid].utilization_ratio for g in instances]
    assert utilization[0] > 0.8 and utilization[2] == 0 and utilization[4] is None, "GPM's graphics activity, where there is GPM"
    shared = [s for s in batch.process_samples if s.gpu_uuid == instances[0].uuid]
    assert shared[0].sm_utilization_ratio is None
    assert batch.missing["process", f"{shared[0].pid}:{shared[0].start_ms}", "sm_utilization_ratio"] is Missing.NOT_SUPPORTED
    with_fill = [samples[g.uuid].sm_active_ratio is not None for g in instances]
    assert with_fill == [True] * 4 + [False] * 2
    held = sum(samples[g.uuid].memory_used_bytes for g in instances if g.parent_uuid == parents[0].uuid)
    assert held == samples[parents[0].uuid].memory_used_bytes
    assert gpus[instances[0].parent_uuid].index == 0


def test_heat_is_told_from_power(opened, epoch):
    collector = opened("throttle")
    hot = brake = 0.0
    collector.collect(epoch)
    for second in range(1, 961):
        samples = collector.collect(epoch + second).gpu_samples
        hot += samples[2].thermal_throttled_seconds
        brake += samples[3].clock_event_reasons == 0x88
        assert samples[0].power_throttled_seconds == samples[0].thermal_throttled_seconds == 0
    assert hot == pytest.approx(600, abs=10)
    assert brake == 40


def test_a_faster_clock_shows_the_same_host_later(opened, epoch):
    slow, fast = opened("train"), opened("train", speed=60)
    fast.collect(epoch + 1)
    batch = fast.collect(epoch + 2)
    slow.collect(epoch + 60)
    expected = slow.collect(epoch + 120).gpu_samples[0]
    sample = batch.gpu_samples[0]
    assert sample.utilization_ratio == expected.utilization_ratio
    assert sample.energy_joules == pytest.approx(expected.energy_joules / 60), "watts times true seconds"
    eval_start = [p.start_ms for p in fast.collect(epoch + 2.2).processes if p.command.startswith("python sample.py")]
    assert eval_start == [epoch * 1000 + round(130_000 / 60)]


FAULTY = """
loop = "10m"
[[gpus]]
profile = "hopper-h100"
count = 2
[[faults]]
at = "10s"
for = "10s"
gpu = 0
kind = "call"
call = "nvmlDeviceGetTemperature"
arg = 999
[[faults]]
at = "15s"
for = "2s"
gpu = 0
kind = "call"
call = "nvmlDeviceGetPowerUsage"
arg = 4
[[faults]]
at = "30s"
for = "5s"
gpu = 1
kind = "hang"
[[faults]]
at = "40s"
for = "5s"
kind = "driver_gone"
[[faults]]
at = "50s"
kind = "lost"
gpu = 1
"""


def test_faults(tmp_path, opened, epoch):
    path = tmp_path / "faulty.toml"
    path.write_text(FAULTY)
    collector = opened(str(path))
    at = {}
    for second in (9, 10, 16, 20, 31, 41, 46, 51, 700):
        at[second] = collector.collect(epoch + second)
    first = at[9].gpus[0].uuid
    celsius = {s: at[s].gpu_samples[0].temperature_celsius for s in (9, 10, 20)}
    assert celsius[9] is not None and celsius[10] is None and celsius[20] is not None
    assert at[10].missing["gpu", first, "temperature_celsius"] is Missing.DRIVER_ERROR
    assert at[16].missing["gpu", first, "power_watts"] is Missing.NO_PERMISSION
    assert ("gpu", first, "power_watts") not in at[20].missing
    assert [s.gpu_uuid for s in at[31].gpu_samples] == [first], "a hanging GPU has no row"
    assert at[31].missing["gpu", at[31].gpus[1].uuid, "power_watts"] is Missing.STALE
    assert at[41].error == "the NVIDIA driver is not loaded" and at[41].hint and not at[41].gpu_samples
    assert at[46].error is None and len(at[46].gpu_samples) == 2
    assert at[51].gpu_samples[1].unavailable and at[700].gpu_samples[1].unavailable


def test_wrong_options_are_clear():
    def open_with(**options):
        factory(CollectorContext(options=options)).open()

    with pytest.raises(Unavailable) as caught:
        open_with(scenario="labb")
    assert caught.value.hint == "did you mean 'lab'?"
    with pytest.raises(UsageError, match="speed: 'fast' is not a number"):
        open_with(speed="fast")
    with pytest.raises(UsageError, match="speed 0 is not above 0"):
        open_with(speed=0)
    open_with(speed="60x", scenario="train")


def test_foreign_looking_text_is_clean(tmp_path, opened, epoch):
    path = tmp_path / "odd.toml"
    path.write_text('[[gpus]]\nprofile = "hopper-h100"\n[[processes]]\nslot = "a"\ncommand = "evil \\u001b[31m\\u202e"\n')
    assert opened(str(path)).collect(epoch).processes[0].command == "evil ·[31m·"


def test_finding_the_collector_costs_nothing_and_opening_it_little():
    code = (
        "import sys; import gpuwatch.collectors.simulated as s; from gpuwatch.plugin import CollectorContext\n"
        "c = s.factory(CollectorContext()); early = set(sys.modules); c.open(); late = set(sys.modules)\n"
        "assert 'tomllib' not in early and 'random' not in early, early\n"
        "assert not late & {'textual', 'rich', 'sqlalchemy', 'pydantic', 'pynvml', 'difflib', 'gpuwatch.store'}, late\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
