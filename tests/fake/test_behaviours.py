"""Oddities of real drivers that the fake must be able to show. Numbers are those of the project's list of driver behaviours."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import pytest
from fake_nvml import FakeDriver, fault, of_class

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


def gpu(index: int = 0) -> Any:
    return pynvml.nvmlDeviceGetHandleByIndex(index)


def code(call: Callable[..., Any], *arguments: Any) -> int:
    """The return code of one call."""
    try:
        call(*arguments)
    except pynvml.NVMLError as error:
        return int(error.value)
    return 0


def entry(handle: Any, field: Any) -> Any:
    return pynvml.nvmlDeviceGetFieldValues(handle, [field])[0]


def seats(handle: Any) -> list[tuple[int, int | None, int]]:
    return [(p.pid, p.usedGpuMemory, p.gpuInstanceId) for p in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)]


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


def test_5_first_utilization_after_init_is_100(play: Play) -> None:
    play(of_class("ada-l40s", attributes="first_util=100", values=["v 0 util 0 0"]))
    assert [pynvml.nvmlDeviceGetUtilizationRates(gpu()).gpu for _ in range(3)] == [100, 0, 0]


def test_6_memory_utilization_at_idle(play: Play) -> None:
    play(of_class("geforce-40-4080s", values=["v 0 util 0 0", "v 0 memutil 0 37", "v 0 mem_clock 0 405"]))
    rates = pynvml.nvmlDeviceGetUtilizationRates(gpu())
    assert (rates.gpu, rates.memory, pynvml.nvmlDeviceGetClockInfo(gpu(), 2)) == (0, 37, 405)


def test_7_idle_blackwell_has_the_power_cap_bit_and_its_counter(play: Play) -> None:
    play(of_class("geforce-50"))
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(gpu()) & 0x5 == 0x4
    assert pynvml.nvmlDeviceGetUtilizationRates(gpu()).gpu == 0


def test_7_power_cap_counter_of_an_idle_workstation_card_rises(play: Play) -> None:
    fake = play(of_class("blackwell-rtx-pro-6000", values=["v 0 reasons 0 4", "v 0 util 0 0"]))
    fake.set_clock(9000)
    assert entry(gpu(), 74).value.ullVal == 9_000_000_000


def test_8_idle_bit_in_p0(play: Play) -> None:
    play(of_class("hopper-h100", values=["v 0 reasons 0 1", "v 0 sm_clock 0 345", "v 0 pstate 0 0"]))
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(gpu()) == 1
    assert (pynvml.nvmlDeviceGetClockInfo(gpu(), 1), pynvml.nvmlDeviceGetPerformanceState(gpu())) == (345, 0)


def test_9_geforce_20_has_no_average_power(play: Play) -> None:
    play(of_class("geforce-20", values=["v 0 power_mw 0 20000"]))
    assert entry(gpu(), 185).nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert entry(gpu(), 186).value.uiVal == 20_000 == pynvml.nvmlDeviceGetPowerUsage(gpu())


def test_10_gb10_has_no_memory_total_but_processes_with_memory(play: Play) -> None:
    play(of_class("gb10", values=["v 0 util 0 60", "proc a kind=C", "pv a 0 mem 0 9000000"]), pids={"a": 5})
    assert code(pynvml.nvmlDeviceGetMemoryInfo, gpu()) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert code(pynvml.nvmlDeviceGetMemoryInfo, gpu(), pynvml.nvmlMemory_v2) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert code(pynvml.nvmlDeviceGetEnforcedPowerLimit, gpu()) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert seats(gpu()) == [(5, 9_000_000, 0xFFFFFFFF)]
    assert pynvml.nvmlDeviceGetUtilizationRates(gpu()).gpu == 60
    assert (pynvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu()), pynvml.nvmlDeviceGetCurrPcieLinkWidth(gpu())) == (1, 1)


def test_11_vgpu_guest_answers_zero_degrees_and_zero_mhz_with_success(play: Play) -> None:
    play(of_class("vgpu-guest"))
    assert pynvml.nvmlDeviceGetTemperature(gpu(), 0) == 0
    assert [pynvml.nvmlDeviceGetClockInfo(gpu(), kind) for kind in range(3)] == [0, 0, 0]
    assert code(pynvml.nvmlDeviceGetPowerUsage, gpu()) == pynvml.NVML_ERROR_NOT_SUPPORTED


@pytest.mark.parametrize("name", ["wsl2", "windows-wddm", "vgpu-guest"])
def test_12_process_memory_is_not_available(name: str, play: Play) -> None:
    play(of_class(name, values=["proc a kind=C", "pv a 0 mem 0 9000000"]), pids={"a": 5})
    assert seats(gpu()) == [(5, None, 0xFFFFFFFF)]


def test_12_one_process_without_memory_among_others(play: Play) -> None:
    play(of_class("hopper-h100", values=["proc a", "proc b", "pv a 0 mem 0 7", "pv b 0 mem 0 -2"]), pids={"a": 5, "b": 6})
    assert seats(gpu()) == [(5, 7, 0xFFFFFFFF), (6, None, 0xFFFFFFFF)]


def test_13_orin_has_a_name_and_little_else(play: Play) -> None:
    play(of_class("jetson-orin"))
    assert pynvml.nvmlDeviceGetCount() == 1
    assert "Orin" in pynvml.nvmlDeviceGetName(gpu())
    for call in (pynvml.nvmlDeviceGetUtilizationRates, pynvml.nvmlDeviceGetMemoryInfo, pynvml.nvmlDeviceGetPowerUsage,
                 pynvml.nvmlDeviceGetComputeRunningProcesses, pynvml.nvmlDeviceGetTotalEnergyConsumption):  # fmt: skip
        assert code(call, gpu()) == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_14_serial_zero(play: Play) -> None:
    play(of_class("geforce-50"))
    assert pynvml.nvmlDeviceGetSerial(gpu()) == "0"


@pytest.mark.parametrize("name", ["ada-l4", "hopper-h100", "blackwell-rtx-pro-6000"])
def test_15_margin_falls_as_the_gpu_heats_and_thresholds_are_negative(name: str, play: Play) -> None:
    fake = play(of_class(name, values=["v 0 temp 0 40", "v 0 temp 1000 65"]))
    cool = pynvml.nvmlDeviceGetMarginTemperature(gpu())
    fake.set_clock(1000)
    assert pynvml.nvmlDeviceGetMarginTemperature(gpu()) == cool - 25
    assert (entry(gpu(), 194).nvmlReturn, entry(gpu(), 194).value.siVal) == (0, -2)
    assert code(pynvml.nvmlDeviceGetTemperatureThreshold, gpu(), 1) == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_16_remap_pending(play: Play) -> None:
    play(of_class("ampere-a10-remap-pending"))
    assert pynvml.nvmlDeviceGetRemappedRows(gpu()) == (4, 0, 1, 0)


def test_16_rows_and_pages_follow_the_scenario(play: Play) -> None:
    fake = play(
        of_class("hopper-h100", values=["v 0 remap_uncorrectable 0 0", "v 0 remap_uncorrectable 500 2", "v 0 remap_pending 500 1"])
    )
    assert pynvml.nvmlDeviceGetRemappedRows(gpu()) == (0, 0, 0, 0)
    fake.set_clock(500)
    assert pynvml.nvmlDeviceGetRemappedRows(gpu()) == (0, 2, 1, 0)


def test_16_retired_pages_before_ampere(play: Play) -> None:
    play(of_class("volta-v100", values=["v 0 retired_pages 0 3", "v 0 ecc_uncorrected 0 8"]))
    assert len(pynvml.nvmlDeviceGetRetiredPages(gpu(), pynvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR)) == 3
    count, pages = ctypes.c_uint(2), (ctypes.c_ulonglong * 2)()
    short = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetRetiredPages")
    assert (short(gpu(), 1, ctypes.byref(count), pages), count.value) == (pynvml.NVML_ERROR_INSUFFICIENT_SIZE, 3)
    assert pynvml.nvmlDeviceGetRetiredPages(gpu(), pynvml.NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS) == []
    assert pynvml.nvmlDeviceGetTotalEccErrors(gpu(), pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_AGGREGATE_ECC) == 8


def test_17_replays_on_a_healthy_card(play: Play) -> None:
    play(of_class("hopper-h100", gpus=2, values=["v 1 replays 0 67"]))
    assert [pynvml.nvmlDeviceGetPcieReplayCounter(gpu(i)) for i in range(2)] == [9, 67]


def test_18_pcie_generation_falls_at_idle(play: Play) -> None:
    fake = play(of_class("blackwell-rtx-pro-6000", values=["v 0 pcie_gen 0 1", "v 0 pcie_gen 1000 4"]))
    assert pynvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu()) == 1
    fake.set_clock(1000)
    assert pynvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu()) == 4 == pynvml.nvmlDeviceGetMaxPcieLinkGeneration(gpu())


def test_19_application_clocks_are_deprecated(play: Play) -> None:
    play(of_class("hopper-h100"))
    assert code(pynvml.nvmlDeviceGetApplicationsClock, gpu(), 0) == pynvml.NVML_ERROR_DEPRECATED


@pytest.mark.parametrize(("driver", "expected"), [("590.48.01", 13), ("610.57.04", 0)])
def test_20_new_symbol_is_there_only_on_a_new_driver(driver: str, expected: int, play: Play) -> None:
    play(of_class("hopper-h100", driver=driver, values=["v 0 remap_correctable 0 7"]))
    info = pynvml.c_nvmlRemappedRowsInfo_v2_t()
    assert code(pynvml.nvmlDeviceGetRemappedRows_v2, gpu(), ctypes.byref(info)) == expected
    assert info.corrActiveRemaps == (0 if expected else 7)


def test_21_missing_symbol_may_come_as_an_exception_that_is_no_nvml_error(play: Play) -> None:
    play(of_class("hopper-h100"), extra=[fault("call", "nvmlDeviceGetGpuFabricInfo", arg=13)])
    wrapped = pynvml.throwOnVersionMismatch(pynvml.nvmlDeviceGetGpuFabricInfo)
    with pytest.raises(pynvml.NVMLLibraryMismatchError) as caught:
        wrapped(gpu(), ctypes.byref(pynvml.c_nvmlGpuFabricInfo_t()))
    assert not isinstance(caught.value, pynvml.NVMLError)


def test_22_one_cell_fails_while_its_neighbours_answer(play: Play) -> None:
    play(of_class("geforce-40", gpus=8), extra=["set 4 nvmlDeviceGetFanSpeed_v2 999"])
    codes = [code(pynvml.nvmlDeviceGetFanSpeed_v2, gpu(i), 0) for i in range(8)]
    assert codes == [0, 0, 0, 0, 999, 0, 0, 0]
    assert code(pynvml.nvmlDeviceGetAddressingMode, gpu()) == 999


def test_23_list_that_grew_is_refused_once(play: Play) -> None:
    grew = fault("call", "nvmlDeviceGetComputeRunningProcesses_v3", arg=7, after=1, first=2)
    play(of_class("hopper-h100", values=["proc a", "pv a 0 mem 0 1"]), extra=[grew])
    assert code(pynvml.nvmlDeviceGetComputeRunningProcesses, gpu()) == pynvml.NVML_ERROR_INSUFFICIENT_SIZE
    assert len(seats(gpu())) == 1


def test_23_sizing_answers_the_count_and_a_short_buffer_is_refused(play: Play) -> None:
    fake = play(of_class("hopper-h100", values=[f"proc p{i}\npv p{i} 0 mem 0 {i}" for i in range(9)]))
    library, count = ctypes.CDLL(str(fake.library)), ctypes.c_uint(0)
    call, room = library.nvmlDeviceGetComputeRunningProcesses_v3, (pynvml.c_nvmlProcessInfo_v2_t * 4)()
    assert (call(gpu(), ctypes.byref(count), None), count.value) == (7, 9)
    count.value = 4
    assert (call(gpu(), ctypes.byref(count), room), count.value, room[0].pid) == (7, 9, 0)


def test_24_process_that_left_has_no_name(play: Play) -> None:
    fake = play(of_class("hopper-h100", values=["proc a name=python3", "pv a 0 mem 0 1", "pv a 0 mem 1000 -1"]), pids={"a": 5})
    assert pynvml.nvmlSystemGetProcessName(5) == "python3"
    fake.set_clock(1000)
    assert seats(gpu()) == []
    assert code(pynvml.nvmlSystemGetProcessName, 5) == pynvml.NVML_ERROR_NOT_FOUND


def test_26_garbage_utilization_goes_out_as_it_is(play: Play) -> None:
    values = ["proc a", "pv a 0 mem 0 1", "pv a 0 sm 0 0", "pv a 0 sm 1000 146", "v 0 util 0 4294967295"]
    fake = play(of_class("ampere-a100", values=values))
    fake.set_clock(2000)
    assert pynvml.nvmlDeviceGetProcessUtilization(gpu(), 0)[0].smUtil == 146
    assert pynvml.nvmlDeviceGetUtilizationRates(gpu()).gpu == 4294967295


@pytest.mark.parametrize(("driver", "straight"), [("535.54.03", False), ("535.129.03", True)])
def test_27_early_535_drivers_wrote_wide_process_entries(driver: str, straight: bool, play: Play) -> None:
    values = ["proc a", "proc b", "pv a 0 mem 0 1000", "pv b 0 mem 0 2000"]
    play(of_class("ampere-a100", driver=driver, values=values), pids={"a": 5, "b": 6})
    assert pynvml.nvmlSystemGetDriverVersion() == driver
    assert (
        [(p.pid, p.usedGpuMemory) for p in pynvml.nvmlDeviceGetComputeRunningProcesses(gpu())] == [(5, 1000), (6, 2000)]
    ) == straight


@pytest.mark.parametrize(
    ("driver", "listed", "busy"),
    [("535.129.03", [], [900]), ("550.54.15", [(5, 0)], [900]), ("565.57.01", [(5, 1000)], [900]), ("570.86.10", [(5, 1000)], [5])],
)
def test_28_container_sees_what_its_driver_translates(
    driver: str, listed: list[tuple[int, int]], busy: list[int], play: Play
) -> None:
    own = ["namespace container", "proc a hostpid=900", "pv a 0 mem 0 1000", "pv a 0 sm 0 50"]
    foreign = ["proc other", "pv other 0 mem 0 5000", "v 0 memory_used 0 6000"]
    fake = play(["gpuwatch-scenario 1", f"driver {driver}", "gpu 0 profile=hopper-h100", *own, *foreign], pids={"a": 5})
    fake.set_clock(2000)
    assert [(pid, memory) for pid, memory, _ in seats(gpu())] == listed
    assert [sample.pid for sample in pynvml.nvmlDeviceGetProcessUtilization(gpu(), 0)] == busy
    assert pynvml.nvmlDeviceGetMemoryInfo(gpu(), pynvml.nvmlMemory_v2).used == 6000


def test_36_counters_start_anew_after_a_reset(play: Play) -> None:
    fake = play(
        of_class("hopper-h100", gpus=2, values=[f"v {i} power_mw 0 100000" for i in range(2)]),
        extra=[fault("reset", gpu=0, at_ms=5000, for_ms=1000)],
    )
    seen = []
    for ms in (4000, 7000):
        fake.set_clock(ms)
        seen.append([pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu(i)) for i in range(2)])
    assert seen == [[400_000, 400_000], [100_000, 700_000]]
    fake.set_clock(5500)
    assert code(pynvml.nvmlDeviceGetHandleByIndex, 0) == pynvml.NVML_ERROR_RESET_REQUIRED


def test_37_byte_counter_wraps(play: Play) -> None:
    fake = play(of_class("hopper-h100", attributes="pcie_wrap=4294967296", values=["v 0 pcie_tx_kib_s 0 3000000"]))
    seen = []
    for ms in (1000, 2000):
        fake.set_clock(ms)
        seen.append(entry(gpu(), 197).value.ullVal)
    assert seen[0] == 3_072_000_000 > seen[1]
    assert (seen[1] - seen[0]) % (1 << 32) == 3_072_000_000


def test_38_gpm_too_close_nan_and_failing_metrics(play: Play, gpm: Gpm) -> None:
    fake = play(of_class("hopper-h100", values=["v 0 gpm.2 0 500", "v 0 gpm.3 0 -1", "v 0 gpm.5 0 -2"]))
    (code2, sm), (code3, occupancy), (code5, _), (code10, _) = gpm(gpu(), fake, 0, 1000, 2, 3, 5, 10)
    assert (code2, sm, code3) == (0, 50.0, 0)
    assert math.isnan(occupancy)
    assert (code5, code10) == (pynvml.NVML_ERROR_UNKNOWN, pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert math.isnan(gpm(gpu(), fake, 2000, 2099, 2)[0][1])
    assert gpm(gpu(), fake, 2000, 2100, 2) == [(0, 50.0)]


def test_38_gpm_refuses_wrong_versions_and_samples(play: Play) -> None:
    play(of_class("hopper-h100", gpus=2))
    first, second = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
    request = pynvml.c_nvmlGpmMetricsGet_t(version=1, numMetrics=1, sample1=first, sample2=second)
    assert code(pynvml.nvmlGpmMetricsGet, request) == pynvml.NVML_ERROR_INVALID_ARGUMENT, "never taken"
    pynvml.nvmlGpmSampleGet(gpu(0), first)
    pynvml.nvmlGpmSampleGet(gpu(1), second)
    assert code(pynvml.nvmlGpmMetricsGet, request) == pynvml.NVML_ERROR_INVALID_ARGUMENT, "of two GPUs"
    pynvml.nvmlGpmSampleGet(gpu(0), second)
    assert code(pynvml.nvmlGpmMetricsGet, request) == 0
    request.version = 2
    assert code(pynvml.nvmlGpmMetricsGet, request) == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


@pytest.mark.parametrize("name", ["ada-l40s", "ampere-a100"])
def test_39_gpm_query_succeeds_with_no(name: str, play: Play) -> None:
    play(of_class(name))
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu()).isSupportedDevice == 0
    assert code(pynvml.nvmlGpmSampleGet, gpu(), pynvml.nvmlGpmSampleAlloc()) == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_39_gpm_may_be_turned_off_for_a_gpu(play: Play) -> None:
    play(of_class("hopper-h100", attributes="gpm=0"))
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu()).isSupportedDevice == 0


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


def test_41_nvlinks_are_counted_by_asking(play: Play) -> None:
    play(of_class("hopper-h100", values=["v 0 nvlink_tx_kib_s 0 1"]))
    codes = [code(pynvml.nvmlDeviceGetNvLinkState, gpu(), link) for link in range(36)]
    assert codes == [0] * 18 + [pynvml.NVML_ERROR_INVALID_ARGUMENT] * 18
    assert pynvml.nvmlDeviceGetNvLinkState(gpu(), 17) == 1
    assert [entry(gpu(), (138, link)).nvmlReturn for link in (17, 18)] == [0, pynvml.NVML_ERROR_INVALID_ARGUMENT]
    assert [entry(gpu(), field).value.uiVal for field in (90, 91)] == [26562, 18]


def test_41_inactive_links(play: Play) -> None:
    play(of_class("geforce-20"))
    assert pynvml.nvmlDeviceGetNvLinkState(gpu(), 0) == 0


def test_44_enforced_limit_without_a_requested_one(play: Play) -> None:
    play(of_class("wsl2"))
    assert code(pynvml.nvmlDeviceGetPowerManagementLimit, gpu()) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu()) > 0


def test_44_laptop_draws_power_without_any_limit(play: Play) -> None:
    play(of_class("geforce-30-laptop"))
    assert pynvml.nvmlDeviceGetPowerUsage(gpu()) > 0
    assert code(pynvml.nvmlDeviceGetPowerManagementLimit, gpu()) == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_46_calls_are_counted_per_function_and_gpu(play: Play) -> None:
    fake = play(of_class("hopper-h100", gpus=3))
    fake.reset_calls()
    for index in (0, 2, 2):
        pynvml.nvmlDeviceGetFieldValues(gpu(index), [185, 186])
    calls = fake.calls()
    assert (calls["nvmlDeviceGetFieldValues"].count, calls["nvmlDeviceGetFieldValues"].gpus) == (3, {0: 1, 2: 2})
    assert calls.keys() == {"nvmlDeviceGetFieldValues", "nvmlDeviceGetHandleByIndex_v2"}


def test_memory_v1_counts_the_reserve_as_used_and_v2_does_not(play: Play) -> None:
    play(of_class("hopper-h100", attributes="memory=1000 reserved=100", values=["v 0 memory_used 0 300"]))
    old, new = pynvml.nvmlDeviceGetMemoryInfo(gpu()), pynvml.nvmlDeviceGetMemoryInfo(gpu(), pynvml.nvmlMemory_v2)
    assert (old.total, old.used, old.free) == (1000, 400, 600)
    assert (new.total, new.used, new.reserved, new.free) == (1000, 300, 100, 600)


def test_versioned_structs_are_refused_with_a_wrong_version(play: Play) -> None:
    play(of_class("hopper-h100"))
    assert code(pynvml.nvmlDeviceGetMemoryInfo, gpu(), 0x01000028) == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


def test_graphics_and_mps_processes_have_their_own_lists(play: Play) -> None:
    values = [
        "proc a kind=C",
        "proc x kind=G",
        "proc m kind=M",
        "proc both kind=CG",
        *(f"pv {slot} 0 mem 0 1" for slot in ("a", "x", "m", "both")),
    ]
    play(of_class("geforce-30", values=values), pids={"a": 1, "x": 2, "m": 3, "both": 4})
    lists = (
        pynvml.nvmlDeviceGetComputeRunningProcesses,
        pynvml.nvmlDeviceGetGraphicsRunningProcesses,
        pynvml.nvmlDeviceGetMPSComputeRunningProcesses,
    )
    assert [[p.pid for p in call(gpu())] for call in lists] == [[1, 4], [2, 4], [3]]


def test_detail_list_has_the_same_processes(play: Play) -> None:
    play(of_class("hopper-h100", values=["proc a", "pv a 0 mem 0 11"]), pids={"a": 5})
    found = pynvml.nvmlDeviceGetRunningProcessDetailList(gpu(), pynvml.nvmlProcessDetailList_v1, 0)
    assert [(p.pid, p.usedGpuMemory, p.gpuInstanceId) for p in found] == [(5, 11, 0xFFFFFFFF)]


def test_sixteen_gpus_and_two_thousand_processes(play: Play) -> None:
    values = [line for n in range(2000) for line in (f"proc p{n}", f"pv p{n} {n % 16} mem 0 {n}")]
    play(of_class("hopper-h100", gpus=16, values=values), pids={f"p{n}": 1_000_000 + n for n in range(2000)})
    lists = [[p.pid - 1_000_000 for p in pynvml.nvmlDeviceGetComputeRunningProcesses(gpu(i))] for i in range(16)]
    assert lists == [list(range(i, 2000, 16)) for i in range(16)]
    assert (
        len({pynvml.nvmlDeviceGetUUID(gpu(i)) for i in range(16)})
        == len({pynvml.nvmlDeviceGetPciInfo(gpu(i)).busId for i in range(16)})
        == 16
    )


@pytest.mark.parametrize("name", ["\x1b[2J\x1b]0;owned\x07", "[/unclosed", "\u202egnp.exe", "\udcff\udcfe bad"])
def test_hostile_names_go_out_unchanged(name: str, play: Play) -> None:
    scenario = f"gpuwatch-scenario 1\nloop_ms 0\ngpu 0 name={name}\nproc a name={name.split(' ')[0]}\npv a 0 mem 0 1"
    fake = play(scenario, pids={"a": 5})
    text, raw = ctypes.create_string_buffer(96), name.encode(errors="surrogateescape")
    library = ctypes.CDLL(str(fake.library))
    assert (library.nvmlDeviceGetName(gpu(), text, 96), text.value) == (0, raw)
    assert (library.nvmlSystemGetProcessName(5, text, 96), text.value) == (0, raw.split(b" ")[0])
    assert (library.nvmlDeviceGetName(gpu(), text, 3), text.value) == (pynvml.NVML_ERROR_INSUFFICIENT_SIZE, raw.split(b" ")[0])
