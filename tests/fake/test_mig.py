"""MIG on the fake driver: parents, instances, their memory, processes and reused ids.

Numbers are those of the project's list of driver behaviours.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
from fake_nvml import FakeDriver, of_class
from support.nvml import code, gpu, seats

pynvml = pytest.importorskip("pynvml")
Play = Callable[..., FakeDriver]
Gpm = Callable[..., list[tuple[int, float]]]
MIB = 1 << 20

MIG = [
    "mig 0 0 gi=2 ci=0 profile=3g.40gb memory=42412802048 slices=3",
    "mig 0 1 gi=3 ci=0 profile=2g.20gb memory=21072183296 slices=2",
    "mig 0 4 gi=9 ci=0 profile=1g.10gb memory=10468982784 slices=1",
    "mig 0 6 gi=10 ci=0 profile=1g.10gb memory=10468982784 slices=1",
]


def test_1_mig_parent_has_power_but_no_utilization(play: Play) -> None:
    play(of_class("hopper-h100", attributes="mig=1", values=["v 0 power_mw 0 432000", "v 0 util 0 50", *MIG]))
    for call in (pynvml.nvmlDeviceGetUtilizationRates, pynvml.nvmlDeviceGetEncoderUtilization, pynvml.nvmlDeviceGetRemappedRows):
        assert code(call, gpu()) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert code(pynvml.nvmlDeviceGetProcessUtilization, gpu(), 0) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert code(pynvml.nvmlDeviceGetSamples, gpu(), 1, 0) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert pynvml.nvmlDeviceGetPowerUsage(gpu()) == 432_000
    assert pynvml.nvmlDeviceGetMigMode(gpu()) == [1, 1]


def test_2_mig_devices_lie_at_scattered_indexes(play: Play) -> None:
    play(of_class("hopper-h100", attributes="mig=1", values=[*MIG, "v 0.4 memory_used 0 500"]))
    found, missing = {}, []
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu())):
        try:
            found[index] = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), index)
        except pynvml.NVMLError_NotFound:
            missing.append(index)
    assert missing == [2, 3, 5]
    assert [pynvml.nvmlDeviceGetGpuInstanceId(mig) for mig in found.values()] == [2, 3, 9, 10]
    assert [pynvml.nvmlDeviceGetComputeInstanceId(mig) for mig in found.values()] == [0] * 4
    assert [pynvml.nvmlDeviceGetMemoryInfo(mig).total // MIB for mig in found.values()] == [40448, 20096, 9984, 9984]
    share = pynvml.nvmlDeviceGetAttributes_v2(found[0])
    assert (share.gpuInstanceSliceCount, share.computeInstanceSliceCount, share.memorySizeMB) == (3, 3, 40448)
    assert pynvml.nvmlDeviceGetMemoryInfo(found[4]).used == 500
    assert pynvml.nvmlDeviceGetName(found[0]).endswith("MIG 3g.40gb")
    assert pynvml.nvmlDeviceGetUUID(found[0]).startswith("MIG-")
    assert pynvml.nvmlDeviceIsMigDeviceHandle(found[0]).value == 1
    assert pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(found[6])) == 0
    assert code(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, found[0], 0) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    ref = ctypes.c_uint(0)
    assert code(pynvml.nvmlDeviceGetGpuInstances, gpu(), 9, None, ctypes.byref(ref)) == pynvml.NVML_ERROR_NO_PERMISSION


def test_3_compute_instances_of_one_gpu_instance_share_its_memory(play: Play) -> None:
    values = [
        "mig 0 0 gi=1 ci=0 memory=1000",
        "mig 0 1 gi=1 ci=1 memory=1000",
        "mig 0 2 gi=2 ci=0 memory=500",
        "v 0.0 memory_used 0 70",
    ]
    play(of_class("hopper-h200", attributes="mig=1", values=values))
    migs = [pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), index) for index in range(3)]
    assert [pynvml.nvmlDeviceGetMemoryInfo(mig).used for mig in migs[:2]] == [70, 70]
    assert [pynvml.nvmlDeviceGetComputeInstanceId(mig) for mig in migs] == [0, 1, 0]


def test_4_container_with_mig_may_not_read_the_parents_memory(play: Play) -> None:
    play(of_class("hopper-h100", attributes="mig=1", values=MIG), extra=["set 0 nvmlDeviceGetMemoryInfo 4"])
    assert code(pynvml.nvmlDeviceGetMemoryInfo, gpu()) == pynvml.NVML_ERROR_NO_PERMISSION
    assert pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 0)).total == 42412802048


def test_40_gi_id_is_reused_by_another_instance(play: Play, gpm: Gpm) -> None:
    values = [
        "mig 0 0 gi=2 ci=0 uuid=MIG-old to=5000",
        "mig 0 1 gi=2 ci=0 uuid=MIG-new from=6000",
        "v 0.0 gpm.2 0 900",
        "v 0.1 gpm.2 0 100",
    ]
    fake = play(of_class("hopper-h100", attributes="mig=1", values=values))
    assert gpm(gpu(), fake, 0, 1000, 2, gi=2) == [(0, 90.0)]
    old = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 0)
    fake.set_clock(5500)
    assert code(pynvml.nvmlGpmMigSampleGet, gpu(), 2, pynvml.nvmlGpmSampleAlloc()) == pynvml.NVML_ERROR_NOT_FOUND
    assert gpm(gpu(), fake, 6000, 7000, 2, gi=2) == [(0, 10.0)]
    assert code(pynvml.nvmlDeviceGetUUID, old) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 1)) == "MIG-new"


def test_40_processes_of_mig_instances(play: Play) -> None:
    values = [*MIG, "proc a", "proc b", "pv a 0.0 mem 0 10", "pv b 0.4 mem 0 20"]
    play(of_class("hopper-h100", attributes="mig=1", values=values), pids={"a": 5, "b": 6})
    assert seats(gpu()) == [(5, 10, 2), (6, 20, 9)]
    assert seats(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 4)) == [(6, 20, 9)]
    assert pynvml.nvmlSystemGetProcessName(6) == "b"
