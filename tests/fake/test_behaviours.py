"""Oddities of real GPU classes and drivers that the fake must be able to show.

Numbers are those of the project's list of driver behaviours.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
from fake_nvml import FakeDriver, fault, of_class
from support.nvml import code, entry, gpu, seats

pynvml = pytest.importorskip("pynvml")
Play = Callable[..., FakeDriver]


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
