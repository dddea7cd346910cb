"""Every class answers every call as its table says: the code, and the example where nothing moves."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from fake_nvml import CLASSES, FakeDriver, of_class, profile

pynvml = pytest.importorskip("pynvml")

CLOCK = {"GRAPHICS": 0, "SM": 1, "MEM": 2, "VIDEO": 3}
THRESHOLD = {"SHUTDOWN": 0, "SLOWDOWN": 1, "MEM_MAX": 2, "GPU_MAX": 3, "ACOUSTIC_CURR": 5}


def _gpm(handle: Any) -> None:
    sample = pynvml.nvmlGpmSampleAlloc()
    try:
        pynvml.nvmlGpmSampleGet(handle, sample)
    finally:
        pynvml.nvmlGpmSampleFree(sample)


def _accounting_pids(handle: Any) -> None:
    """Without the binding's question for the buffer size, which some class answers differently."""
    call = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetAccountingPids")
    pynvml._nvmlCheckReturn(call(handle, pynvml.byref(pynvml.c_uint()), None))


def _register(handle: Any) -> None:
    events = pynvml.nvmlEventSetCreate()
    try:
        pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
    finally:
        pynvml.nvmlEventSetFree(events)


SPECIAL: dict[str, Callable[[Any], Any]] = {
    "nvmlDeviceGetMemoryInfo": lambda h: pynvml.nvmlDeviceGetMemoryInfo(h).total,
    "nvmlDeviceGetMemoryInfo_v2.total": lambda h: pynvml.nvmlDeviceGetMemoryInfo(h, pynvml.nvmlMemory_v2).total,
    "nvmlDeviceGetMemoryInfo_v2.reserved": lambda h: pynvml.nvmlDeviceGetMemoryInfo(h, pynvml.nvmlMemory_v2).reserved,
    "nvmlDeviceGetMemoryInfo_v2.used": lambda h: pynvml.nvmlDeviceGetMemoryInfo(h, pynvml.nvmlMemory_v2).used,
    "nvmlDeviceGetUtilizationRates.gpu": lambda h: pynvml.nvmlDeviceGetUtilizationRates(h).gpu,
    "nvmlDeviceGetUtilizationRates.memory": lambda h: pynvml.nvmlDeviceGetUtilizationRates(h).memory,
    "nvmlDeviceGetBAR1MemoryInfo.total": lambda h: pynvml.nvmlDeviceGetBAR1MemoryInfo(h).bar1Total,
    "nvmlDeviceGetPowerManagementLimitConstraints.min": lambda h: pynvml.nvmlDeviceGetPowerManagementLimitConstraints(h)[0],
    "nvmlDeviceGetPowerManagementLimitConstraints.max": lambda h: pynvml.nvmlDeviceGetPowerManagementLimitConstraints(h)[1],
    "nvmlDeviceGetPcieThroughput.TX": lambda h: pynvml.nvmlDeviceGetPcieThroughput(h, 0),
    "nvmlDeviceGetPcieThroughput.RX": lambda h: pynvml.nvmlDeviceGetPcieThroughput(h, 1),
    "nvmlDeviceGetTemperature": lambda h: pynvml.nvmlDeviceGetTemperature(h, 0),
    "nvmlDeviceGetTemperatureV": lambda h: pynvml.nvmlDeviceGetTemperatureV(h, 0),
    "nvmlDeviceGetTotalEccErrors.UNCORRECTED.VOLATILE": lambda h: pynvml.nvmlDeviceGetTotalEccErrors(h, 1, 0),
    "nvmlDeviceGetFanSpeed_v2": lambda h: pynvml.nvmlDeviceGetFanSpeed_v2(h, 0),
    "nvmlDeviceGetRetiredPages": lambda h: pynvml.nvmlDeviceGetRetiredPages(h, 0) or None,
    "nvmlDeviceGetViolationStatus.POWER": lambda h: pynvml.nvmlDeviceGetViolationStatus(h, 0) or None,
    "nvmlDeviceGetNvLinkErrorCounter": lambda h: pynvml.nvmlDeviceGetNvLinkErrorCounter(h, 0, 0),
    "nvmlDeviceRegisterEvents.XID": _register,
    "nvmlDeviceGetCudaComputeCapability": lambda h: "{}.{}".format(*pynvml.nvmlDeviceGetCudaComputeCapability(h)),
    "nvmlGpmQueryDeviceSupport": lambda h: pynvml.nvmlGpmQueryDeviceSupport(h).isSupportedDevice,
    "nvmlGpmSampleGet": _gpm,
    "nvmlDeviceGetRemappedRows_v2": lambda h: pynvml.nvmlDeviceGetRemappedRows_v2(h, pynvml.byref(pynvml.c_nvmlRemappedRowsInfo_v2_t())) or None,
    "nvmlDeviceGetSramEccErrorStatus": lambda h: pynvml.nvmlDeviceGetSramEccErrorStatus(h, pynvml.byref(pynvml.c_nvmlEccSramErrorStatus_v1_t())) or None,
    "nvmlDeviceGetGpuFabricInfoV": lambda h: pynvml.nvmlDeviceGetGpuFabricInfoV(h, pynvml.byref(pynvml.c_nvmlGpuFabricInfo_v2_t())) or None,
    "nvmlDeviceGetGpuInstanceProfileInfoV": lambda h: pynvml.nvmlDeviceGetGpuInstanceProfileInfo(h, 2) or None,
    "nvmlDeviceGetMigDeviceHandleByIndex": lambda h: pynvml.nvmlDeviceGetMigDeviceHandleByIndex(h, 0) or None,
    "nvmlDeviceGetRunningProcessDetailList": lambda h: pynvml.nvmlDeviceGetRunningProcessDetailList(h, pynvml.nvmlProcessDetailList_v1, 0) or None,
    "nvmlDeviceGetAccountingPids": _accounting_pids,
    "nvmlDeviceGetGpuInstances": lambda h: pynvml.nvmlDeviceGetGpuInstances(h, 9, None, pynvml.byref(pynvml.c_uint())) and None,
    "nvmlDeviceGetC2cModeInfoV": lambda h: pynvml.nvmlDeviceGetC2cModeInfoV(h).isC2cEnabled,
    "nvmlDeviceGetDriverModel_v2": lambda h: pynvml.nvmlDeviceGetDriverModel_v2(h)[0],
    "nvmlDeviceGetEncoderStats": lambda h: pynvml.nvmlDeviceGetEncoderStats(h)[0],
    "nvmlDeviceGetAPIRestriction": lambda h: pynvml.nvmlDeviceGetAPIRestriction(h, 0),
    "nvmlDeviceGetTopologyCommonAncestor": lambda h: pynvml.nvmlDeviceGetTopologyCommonAncestor(h, h),
    "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": lambda h: pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(h) and None,
    "nvmlDeviceGetMigMode": lambda h: pynvml.nvmlDeviceGetMigMode(h)[0],
    "nvmlDeviceGetEccMode": lambda h: pynvml.nvmlDeviceGetEccMode(h)[0],
}  # fmt: skip
PLAIN = [
    "Name", "Serial", "BoardPartNumber", "BoardId", "MinorNumber", "Architecture", "VbiosVersion", "InforomImageVersion",
    "VirtualizationMode", "GspFirmwareVersion", "ModuleId", "AddressingMode", "PersistenceMode", "ComputeMode", "DisplayActive",
    "DisplayMode", "PowerUsage", "EnforcedPowerLimit", "PowerManagementLimit", "PowerManagementDefaultLimit",
    "MarginTemperature", "CurrentClocksEventReasons", "PerformanceState", "CurrPcieLinkGeneration", "MaxPcieLinkGeneration",
    "GpuMaxPcieLinkGeneration", "CurrPcieLinkWidth", "MaxPcieLinkWidth", "PcieReplayCounter", "PcieSpeed", "AccountingMode",
    "AccountingBufferSize", "NumFans", "MaxMigDeviceCount", "SupportedClocksEventReasons", "NumaNodeId", "SupportedEventTypes",
]  # fmt: skip
SPECIAL |= {f"nvmlDeviceGet{name}": getattr(pynvml, f"nvmlDeviceGet{name}") for name in PLAIN}
ANSWERED_ONLY = {  # the value is not an example of the table: processes, links, samples
    f"nvmlDeviceGet{name}": (lambda h, call=getattr(pynvml, f"nvmlDeviceGet{name}"): call(h) or None)
    for name in ("ComputeRunningProcesses_v3", "GraphicsRunningProcesses_v3", "MPSComputeRunningProcesses_v3", "RemappedRows",
                 "RowRemapperHistogram", "ConfComputeMemSizeInfo", "EncoderUtilization", "DecoderUtilization", "JpgUtilization",
                 "OfaUtilization", "PciInfo_v3", "TotalEnergyConsumption", "RetiredPagesPendingStatus", "Attributes_v2",
                 "GpuInstanceId", "ComputeInstanceId")
}  # fmt: skip
ELSEWHERE = {
    f"nvmlDeviceGet{name}"
    for name in ("MemoryInfo_v2", "BAR1MemoryInfo", "Samples", "NvLinkState", "ProcessUtilization", "ProcessesUtilizationInfo")
} | {"nvmlGpmMigSampleGet"}
"""What needs a scenario: test_time and test_behaviours."""
OWN_VALUE = {"nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetMinorNumber"}
"""Keys whose value comes from the scenario, not from the table."""


def caller(key: str) -> Callable[[Any], Any] | None:
    """How to ask the binding for one key of a table; None for keys that need a scenario (tested elsewhere)."""
    name, _, argument = key.partition(".")
    if name == "nvmlDeviceGetClockInfo":
        return lambda h: pynvml.nvmlDeviceGetClockInfo(h, CLOCK[argument])
    if name == "nvmlDeviceGetMaxClockInfo":
        return lambda h: pynvml.nvmlDeviceGetMaxClockInfo(h, CLOCK[argument])
    if name == "nvmlDeviceGetApplicationsClock":
        return lambda h: pynvml.nvmlDeviceGetApplicationsClock(h, CLOCK[argument])
    if name == "nvmlDeviceGetMaxCustomerBoostClock":
        return lambda h: pynvml.nvmlDeviceGetMaxCustomerBoostClock(h, CLOCK[argument])
    if name == "nvmlDeviceGetTemperatureThreshold":
        return lambda h: pynvml.nvmlDeviceGetTemperatureThreshold(h, THRESHOLD[argument])
    return SPECIAL.get(key) or ANSWERED_ONLY.get(key)


def field(handle: Any, key: str) -> tuple[int, int]:
    """Code and value of one field entry."""
    number, scope = map(int, re.findall(r"\d+", key))
    entry = pynvml.nvmlDeviceGetFieldValues(handle, [(number, scope)])[0]
    values = {pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal", pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal"}
    return entry.nvmlReturn, getattr(entry.value, values.get(entry.valueType, "ullVal"))


def ask(handle: Any, key: str) -> tuple[int, Any]:
    """Code and value of one key through the binding."""
    if key.startswith("FI:"):
        return field(handle, key)
    call = caller(key)
    assert call
    try:
        return 0, call(handle)
    except pynvml.NVMLError as error:
        return error.value, None


def _scenario(name: str) -> str:
    if name == "hopper-h100-mig-device":
        return of_class("hopper-h100-mig-parent", values=["mig 0 0 gi=2 ci=0 profile=3g.40gb"])
    return of_class(name, values=["mig 0 0 gi=2 ci=0 profile=3g.40gb"] if name.endswith("mig-parent") else [])


def _wrong(name: str, handle: Any) -> list[str]:
    found = []
    for key, (code, example) in profile(name).items():
        if not key.startswith("FI:") and caller(key) is None:
            continue
        got, value = ask(handle, key)
        shown = isinstance(value, (int, str)) and example and "," not in example and not got and key not in OWN_VALUE
        if got != code or (shown and str(value) != example):
            found.append(f"{key}: table {code} {example!r}, driver {got} {value!r}")
    return found


@pytest.mark.parametrize("name", CLASSES)
def test_class_answers_as_its_table_says(name: str, play: Callable[..., FakeDriver]) -> None:
    play(_scenario(name))
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    if name == "hopper-h100-mig-device":
        handle = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, 0)
    assert _wrong(name, handle) == []


def test_no_answer_of_a_table_is_left_out() -> None:
    unasked = {key.split(".")[0] for name in CLASSES for key in profile(name) if key.startswith("nvml") and caller(key) is None}
    assert unasked <= ELSEWHERE


def test_there_are_29_classes_and_each_asks_many_questions() -> None:
    assert len(CLASSES) == 29
    for name in CLASSES:
        keys = [key for key in profile(name) if key.startswith("FI:") or caller(key)]
        assert len(keys) > 100, name


def test_field_that_no_driver_has_fails_alone(play: Callable[..., FakeDriver]) -> None:
    play(of_class("hopper-h100"))
    known, unknown = pynvml.nvmlDeviceGetFieldValues(pynvml.nvmlDeviceGetHandleByIndex(0), [186, 9999])
    assert (known.nvmlReturn, known.value.uiVal) == (0, 588390)
    assert unknown.nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_symbol_is_absent_on_a_driver_older_than_it(play: Callable[..., FakeDriver]) -> None:
    play("gpuwatch-scenario 1\ndriver 470.57.02\nloop_ms 0\ngpu 0 profile=ampere-a100")
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    for call in (
        pynvml.nvmlDeviceGetComputeRunningProcesses_v3,
        pynvml.nvmlGpmQueryDeviceSupport,
        pynvml.nvmlDeviceGetMarginTemperature,
    ):
        with pytest.raises(pynvml.NVMLError_FunctionNotFound):
            call(handle)
    assert pynvml.nvmlDeviceGetComputeRunningProcesses_v2(handle) == []


def test_exceptions_overrule_the_class_for_one_gpu(play: Callable[..., FakeDriver]) -> None:
    play(
        of_class("hopper-h100", gpus=2),
        extra=["set 1 nvmlDeviceGetSerial 0 42", "set 1 nvmlDeviceGetFanSpeed_v2 999", "set 1 FI:230/0 0 1"],
    )
    first, second = map(pynvml.nvmlDeviceGetHandleByIndex, range(2))
    assert pynvml.nvmlDeviceGetSerial(second) == "42" != pynvml.nvmlDeviceGetSerial(first)
    with pytest.raises(pynvml.NVMLError_Unknown):
        pynvml.nvmlDeviceGetFanSpeed_v2(second, 0)
    assert [field(gpu, "FI:230/0") for gpu in (first, second)] == [(0, 0), (0, 1)]


@pytest.mark.parametrize(("name", "total"), [("kepler-gtx680", 2_097_152_000), ("ampere-a100", None)])
def test_total_memory_is_told_also_by_a_driver_that_knows_version_1_alone(
    name: str, total: int | None, play: Callable[..., FakeDriver]
) -> None:
    play(of_class(name))
    found = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).total
    assert found == (total or int(profile(name)["nvmlDeviceGetMemoryInfo_v2.total"][1]))
