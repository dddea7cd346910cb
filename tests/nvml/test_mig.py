"""MIG: instances are GPUs with a parent; layouts change while running; nothing of one instance is mixed with another's."""

from __future__ import annotations

import pytest
from fake_nvml import fault

from gpuwatch.names import Missing

GIB = 1024**3
PARENT = "gpuwatch-scenario 1\nname mig\ndriver 590.48.01\nloop_ms 0\ngpu 0 profile=hopper-h100-mig-parent mig=1 gpm=1\n"
LAYOUT = [
    "mig 0 0 gi=2 ci=0 profile=3g.40gb uuid=MIG-aaaa memory=42412802048 slices=3 name=NVIDIA H100 80GB HBM3 MIG 3g.40gb",
    "mig 0 2 gi=9 ci=0 profile=1g.10gb uuid=MIG-bbbb memory=10468982784 slices=1 name=NVIDIA H100 80GB HBM3 MIG 1g.10gb",
]
USED = ["v 0.0 memory_used 0 5000000000"]
BUSY = ["v 0.0 gpm.1 0 700", "v 0.0 gpm.2 0 500", "v 0.2 gpm.1 0 100", "v 0.2 gpm.2 0 50"]


@pytest.fixture
def mig(start):
    def _mig(*lines, layout=LAYOUT, **options):
        busy = [line for line in BUSY if any(f"mig {line.split()[1].replace('.', ' ')} " in one for one in layout)]
        return start(text=PARENT, lines=[*layout, *USED, *busy, *lines], **options)

    return _mig


def row(play, uuid):
    (found,) = [sample for sample in play.batch.gpu_samples if sample.gpu_uuid == uuid]
    return found


def test_the_scan_goes_on_after_a_missing_index(mig):
    """Behaviour 2."""
    play = mig()
    play.tick()
    assert [gpu.uuid for gpu in play.gpus[1:]] == ["MIG-aaaa", "MIG-bbbb"]
    assert [gpu.index for gpu in play.gpus[1:]] == [0, 2]


def test_instances_have_a_parent_a_weight_and_their_own_memory(mig):
    play = mig()
    play.tick()
    parent, big, small = play.gpus
    assert parent.mig_enabled
    assert not big.mig_enabled
    assert big.parent_uuid == small.parent_uuid == parent.uuid
    assert (big.mig_profile, small.mig_profile) == ("3g.40gb", "1g.10gb")
    assert (big.compute_fraction, small.compute_fraction) == (pytest.approx(3 / 7), pytest.approx(1 / 7))
    assert big.memory_total_bytes == pytest.approx(42412802048, rel=1e-3)
    assert row(play, "MIG-aaaa").memory_used_bytes == 5_000_000_000


def test_a_parent_has_power_but_no_utilization(mig):
    """Behaviour 1."""
    play = mig("v 0 power_mw 0 432000")
    play.tick(2)
    assert play.sample(0).power_watts == 432
    assert play.sample(0).utilization_ratio is None
    assert play.why("utilization_ratio", 0) is Missing.NOT_SUPPORTED


def test_utilization_of_an_instance_is_its_own_from_gpm(mig):
    play = mig()
    play.tick()
    assert row(play, "MIG-aaaa").utilization_ratio is None
    assert play.batch.missing["gpu", "MIG-aaaa", "utilization_ratio"] is Missing.STALE
    play.tick()
    assert row(play, "MIG-aaaa").utilization_ratio == pytest.approx(0.70)
    assert row(play, "MIG-aaaa").sm_active_ratio == pytest.approx(0.50)
    assert row(play, "MIG-bbbb").utilization_ratio == pytest.approx(0.10)
    assert row(play, "MIG-bbbb").power_watts is None


def test_two_compute_instances_of_one_gpu_instance(mig):
    """Behaviour 3: both report the shared memory; the shared GPM counters belong to neither."""
    layout = [
        "mig 0 0 gi=2 ci=0 profile=1c.3g.40gb uuid=MIG-c0 memory=42412802048 slices=1 name=NVIDIA H100 MIG 1c.3g.40gb",
        "mig 0 2 gi=2 ci=1 profile=2c.3g.40gb uuid=MIG-c1 memory=42412802048 slices=2 name=NVIDIA H100 MIG 2c.3g.40gb",
    ]
    play = mig("v 0.2 memory_used 0 5000000000", "v 0 memory_used 0 5100000000", layout=layout)
    play.tick(2)
    assert row(play, "MIG-c0").memory_used_bytes == row(play, "MIG-c1").memory_used_bytes == 5_000_000_000
    assert play.sample(0).memory_used_bytes == 5_100_000_000, "the parent has the true sum"
    assert row(play, "MIG-c0").sm_active_ratio is None
    assert sum(gpu.compute_fraction for gpu in play.gpus[1:]) == pytest.approx(3 / 7)


def test_a_parent_whose_memory_is_forbidden(mig):
    """Behaviour 4: in a container the instance answers, the parent does not."""
    play = mig("set 0 nvmlDeviceGetMemoryInfo_v2 4", "set 0 nvmlDeviceGetMemoryInfo 4")
    play.tick()
    assert play.sample(0).memory_used_bytes is None
    assert play.why("memory_used_bytes", 0) is Missing.NO_PERMISSION
    assert row(play, "MIG-aaaa").memory_used_bytes == 5_000_000_000


PROCS = ["proc a kind=C pid=11", "proc b kind=C pid=12", "pv a 0.0 mem 0 4000000000", "pv b 0.2 mem 0 900000000"]


def test_processes_belong_to_their_instance_with_one_call(mig):
    play = mig(*PROCS)
    play.tick(3)
    assert {(one.pid, one.gpu_uuid) for one in play.batch.process_samples} == {(11, "MIG-aaaa"), (12, "MIG-bbbb")}
    assert [sample.process_count for sample in play.batch.gpu_samples] == [2, 1, 1]
    assert play.process(11).sm_utilization_ratio is None, "no utilization per process with MIG"
    assert play.fake.calls()["nvmlDeviceGetComputeRunningProcesses_v3"].count == 2


def test_processes_of_a_parent_that_may_not_be_asked_come_from_the_instances(mig):
    play = mig(*PROCS, fault("call", "nvmlDeviceGetComputeRunningProcesses_v3", gpu=0, arg=4, first=1))
    play.tick()
    assert {(one.pid, one.gpu_uuid) for one in play.batch.process_samples} == {(11, "MIG-aaaa"), (12, "MIG-bbbb")}
    assert play.why("process_count", 0) is Missing.NO_PERMISSION


CHANGING = [
    f"{LAYOUT[0].replace('name=', 'from=0 to=5500 name=')}",
    f"{LAYOUT[1].replace('name=', 'from=0 to=5500 name=')}",
    "mig 0 1 gi=2 ci=0 profile=4g.40gb uuid=MIG-new memory=42412802048 slices=4 from=5500 name=NVIDIA H100 80GB HBM3 MIG 4g.40gb",
]


def test_a_new_layout_with_a_used_instance_id_is_not_mixed_with_the_old_one(mig):
    """Behaviour 40: GI 2 comes back with another UUID; its first tick has no GPM value."""
    play = mig("v 0.1 memory_used 0 7000000000", "v 0.1 gpm.1 0 900", "v 0.1 gpm.2 0 800", layout=CHANGING)
    play.tick(5)
    assert row(play, "MIG-aaaa").sm_active_ratio == pytest.approx(0.5)
    play.tick(3)
    assert [gpu.uuid for gpu in play.gpus[1:]] == ["MIG-new"]
    assert "mig_changed" in play.kinds()
    assert play.gpus[1].compute_fraction == pytest.approx(4 / 7)
    assert all(sample.gpu_uuid != "MIG-aaaa" for sample in play.batch.gpu_samples)
    play.tick(2)
    assert row(play, "MIG-new").sm_active_ratio == pytest.approx(0.8)
    assert row(play, "MIG-new").memory_used_bytes == 7_000_000_000


def test_the_first_row_of_a_new_instance_has_no_gpm_value(mig):
    play = mig("v 0.1 gpm.2 0 800", layout=CHANGING)
    seen = {}
    for _ in range(20):
        play.tick()
        for sample in play.batch.gpu_samples:
            seen.setdefault(sample.gpu_uuid, sample.sm_active_ratio)
    assert "MIG-new" in seen
    assert seen["MIG-new"] is None
