"""Faults: what happens to the calls of a driver that is slow, hangs, loses a GPU, goes away or was never there."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_nvml import SLOW, FakeDriver, compiler, fault, of_class, slow_driver
from support.nvml import code, gpu

pynvml = pytest.importorskip("pynvml")
Play = Callable[..., FakeDriver]


def run(fake: FakeDriver, command: str) -> str:
    """What a program of its own prints."""
    program = [sys.executable, "-c", f"from pynvml import *\n{command}"]
    done = subprocess.run(program, env=fake.env, check=False, capture_output=True, text=True, timeout=60)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


INIT = "try: nvmlInit(); print('ok')\nexcept NVMLError as error: print(error.value, error)"


def test_30_lost_gpu_answers_15_while_others_go_on(play: Play) -> None:
    fake = play(of_class("hopper-h100", gpus=3), extra=[fault("lost", gpu=1, at_ms=1000, for_ms=2000)])
    handles = [gpu(i) for i in range(3)]
    assert [code(pynvml.nvmlDeviceGetPowerUsage, h) for h in handles] == [0, 0, 0]
    fake.set_clock(1000)
    for call in (
        pynvml.nvmlDeviceGetPowerUsage,
        pynvml.nvmlDeviceGetName,
        pynvml.nvmlDeviceGetComputeRunningProcesses,
        pynvml.nvmlDeviceGetBridgeChipInfo,
    ):
        assert code(call, handles[1]) == pynvml.NVML_ERROR_GPU_IS_LOST
    assert [code(pynvml.nvmlDeviceGetHandleByIndex, i) for i in range(3)] == [0, 15, 0]
    assert pynvml.nvmlDeviceGetCount() == 3
    assert [code(pynvml.nvmlDeviceGetPowerUsage, h) for h in handles] == [0, 15, 0]
    fake.set_clock(3000)
    assert code(pynvml.nvmlDeviceGetPowerUsage, handles[1]) == 0


def test_31_no_uuid_is_found_while_any_gpu_is_lost(play: Play) -> None:
    fake = play(of_class("hopper-h100", gpus=2), extra=[fault("lost", gpu=1, at_ms=1000)])
    uuid = pynvml.nvmlDeviceGetUUID(gpu())
    assert pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetHandleByUUID(uuid)) == 0
    fake.set_clock(1000)
    assert code(pynvml.nvmlDeviceGetHandleByUUID, uuid) == pynvml.NVML_ERROR_GPU_IS_LOST


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ({"extra": [fault("mismatch")]}, "18 RM has detected an NVML/RM version mismatch."),
        ({"extra": [fault("driver_gone")]}, "9 Driver Not Loaded"),
        ({"library": False}, "12 NVML Shared Library Not Found"),
        ({"extra": [fault("call", "nvmlInit*", arg=999)]}, "999 Unknown Error"),
        ({"extra": []}, "ok"),
    ],
)
def test_32_33_init_says_why_it_fails(options: dict[str, Any], printed: str, tmp_path: Path) -> None:
    if compiler() is None:
        pytest.skip("no C compiler")
    assert run(FakeDriver(of_class("hopper-h100"), folder=tmp_path, **options), INIT) == printed


def test_34_driver_goes_away_and_an_upgrade_refuses_new_inits_only(play: Play) -> None:
    fake = play(
        of_class("hopper-h100"),
        extra=[
            fault("mismatch", at_ms=1000, for_ms=1000),
            fault("mismatch", arg=18, at_ms=2000, for_ms=1000),
            fault("driver_gone", at_ms=3000),
        ],
    )
    handle = gpu()
    seen = []
    for ms in (0, 1000, 2000, 3000):
        fake.set_clock(ms)
        seen.append((code(pynvml.nvmlDeviceGetPowerUsage, handle), code(pynvml.nvmlInit)))
    assert seen == [(0, 0), (0, 18), (18, 18), (9, 9)]
    fake.set_clock(0)
    pynvml.nvmlShutdown()


def test_35_hung_call_ends_with_its_fault_and_blocks_no_other_gpu(play: Play) -> None:
    fake = play(of_class("hopper-h100", gpus=2), extra=[fault("hang", "nvmlDeviceGetTemperature", gpu=1, for_ms=20_000)])
    handles = [gpu(0), gpu(1)]
    done = threading.Event()
    thread = threading.Thread(target=lambda: (pynvml.nvmlDeviceGetTemperature(handles[1], 0), done.set()))
    thread.start()
    assert pynvml.nvmlDeviceGetTemperature(handles[0], 0) > 0
    assert pynvml.nvmlDeviceGetPowerUsage(handles[1]) > 0
    assert not done.wait(0.05)
    fake.set_clock(20_000)
    assert done.wait(30)
    thread.join()


def test_call_fault_hits_one_gpu_for_its_time(play: Play) -> None:
    fake = play(
        of_class("hopper-h100", gpus=2), extra=[fault("call", "nvmlDeviceGetTemperature", gpu=0, arg=999, at_ms=1000, for_ms=500)]
    )
    seen = []
    for ms in (999, 1000, 1499, 1500):
        fake.set_clock(ms)
        seen.append([code(pynvml.nvmlDeviceGetTemperature, gpu(i), 0) for i in range(2)])
    assert seen == [[0, 0], [999, 0], [999, 0], [0, 0]]


def test_call_fault_may_hit_the_first_calls_or_those_after(play: Play) -> None:
    play(
        of_class("hopper-h100"),
        extra=[fault("call", "nvmlDeviceGetName", arg=4, first=2), fault("call", "nvmlDeviceGetSerial", arg=4, after=1)],
    )
    assert [code(pynvml.nvmlDeviceGetName, gpu()) for _ in range(4)] == [4, 4, 0, 0]
    assert [code(pynvml.nvmlDeviceGetSerial, gpu()) for _ in range(4)] == [0, 4, 4, 4]


def test_any_function_may_be_forbidden_also_those_without_an_answer(play: Play) -> None:
    play(of_class("hopper-h100"), extra=[fault("call", "nvmlDeviceGetBridge*", arg=4), fault("call", "FI:186/0", arg=15)])
    assert code(pynvml.nvmlDeviceGetBridgeChipInfo, gpu()) == pynvml.NVML_ERROR_NO_PERMISSION
    assert code(pynvml.nvmlDeviceGetMultiGpuBoard, gpu()) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert [entry.nvmlReturn for entry in pynvml.nvmlDeviceGetFieldValues(gpu(), [185, 186])] == [0, 15]


def test_45_gpu_that_may_not_be_opened_is_counted(play: Play) -> None:
    play(of_class("hopper-h100", gpus=3), extra=["set 1 nvmlDeviceGetHandleByIndex_v2 4"])
    assert pynvml.nvmlDeviceGetCount() == 3
    assert [code(pynvml.nvmlDeviceGetHandleByIndex, i) for i in range(3)] == [0, 4, 0]


def test_slow_driver_spends_its_time_where_a_real_one_does(play: Play) -> None:
    fake = play(of_class("hopper-h100"), extra=slow_driver())
    handle = gpu()
    for call in (pynvml.nvmlDeviceGetComputeRunningProcesses, pynvml.nvmlDeviceGetMemoryInfo, pynvml.nvmlDeviceGetTemperature):
        call(handle, 0) if call is pynvml.nvmlDeviceGetTemperature else call(handle)
    pynvml.nvmlDeviceGetPcieThroughput(handle, 0)
    calls = fake.calls()
    at_least = {
        "nvmlDeviceGetComputeRunningProcesses_v3": 4_500,
        "nvmlDeviceGetMemoryInfo": 12,
        "nvmlDeviceGetTemperature": 45,
        "nvmlDeviceGetPcieThroughput": 20_000,
    }
    assert all(calls[name].seconds >= us / 1e6 for name, us in at_least.items())
    assert max(SLOW.values()) == SLOW["nvmlDeviceGetPcieThroughput"]


def test_slow_calls_of_two_threads_queue_behind_one_lock(play: Play) -> None:
    play(of_class("hopper-h100", gpus=2), extra=[fault("slow", "nvmlDeviceGetPowerUsage", arg=20_000)])
    handles = [gpu(i) for i in range(2)]
    threads = [threading.Thread(target=pynvml.nvmlDeviceGetPowerUsage, args=(handle,)) for handle in handles for _ in range(2)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 4 * 0.020


def test_handles_are_checked(play: Play) -> None:
    play(of_class("hopper-h100"))
    assert code(pynvml.nvmlDeviceGetHandleByIndex, 1) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert code(pynvml.nvmlDeviceGetName, None) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert code(pynvml.nvmlDeviceGetName, pynvml.c_nvmlDevice_t()) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert code(pynvml.nvmlDeviceGetHandleByUUID, b"GPU-none") == pynvml.NVML_ERROR_NOT_FOUND
    bus = pynvml.nvmlDeviceGetPciInfo(gpu()).busId
    assert pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetHandleByPciBusId(bus.encode())) == 0


def test_stale_handle_of_an_earlier_session_is_refused(play: Play) -> None:
    play(of_class("hopper-h100"))
    old = gpu()
    pynvml.nvmlShutdown()
    assert code(pynvml.nvmlDeviceGetName, old) == pynvml.NVML_ERROR_UNINITIALIZED
    pynvml.nvmlInit()
    assert code(pynvml.nvmlDeviceGetName, old) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_42_events_come_once_and_only_after_registration(play: Play) -> None:
    fake = play(of_class("hopper-h100", gpus=2), extra=["xid 500 0 31", "xid 2000 0 79", "xid 2000 1 48", "xid 3000 1 13"])
    fake.set_clock(1000)
    events = pynvml.nvmlEventSetCreate()
    for i in range(2):
        pynvml.nvmlDeviceRegisterEvents(gpu(i), pynvml.nvmlEventTypeXidCriticalError, events)
    assert code(pynvml.nvmlEventSetWait_v2, events, 0) == pynvml.NVML_ERROR_TIMEOUT
    fake.set_clock(2500)
    seen = []
    while True:
        try:
            event = pynvml.nvmlEventSetWait_v2(events, 0)
        except pynvml.NVMLError_Timeout:
            break
        seen.append((pynvml.nvmlDeviceGetIndex(event.device), event.eventType, event.eventData, event.gpuInstanceId))
    assert seen == [(0, 8, 79, 0xFFFFFFFF), (1, 8, 48, 0xFFFFFFFF)]
    fake.set_clock(3000)
    assert pynvml.nvmlEventSetWait_v2(events, 0).eventData == 13
    pynvml.nvmlEventSetFree(events)


def test_42_each_gpu_is_heard_from_its_own_registration_on(play: Play) -> None:
    fake = play(of_class("hopper-h100", gpus=2), extra=["xid 1000 0 31", "xid 1000 1 79"])
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu(0), pynvml.nvmlEventTypeXidCriticalError, events)
    fake.set_clock(1500)
    pynvml.nvmlDeviceRegisterEvents(gpu(1), pynvml.nvmlEventTypeXidCriticalError, events)
    assert pynvml.nvmlEventSetWait_v2(events, 0).eventData == 31
    assert code(pynvml.nvmlEventSetWait_v2, events, 0) == pynvml.NVML_ERROR_TIMEOUT


def test_42_late_registration_hears_the_next_loop(play: Play) -> None:
    fake = play(of_class("hopper-h100").replace("loop_ms 0", "loop_ms 1000"), extra=["xid 400 0 79"])
    fake.set_clock(2500)
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu(), pynvml.nvmlEventTypeXidCriticalError, events)
    fake.set_clock(3399)
    assert code(pynvml.nvmlEventSetWait_v2, events, 0) == pynvml.NVML_ERROR_TIMEOUT
    fake.set_clock(3400)
    assert pynvml.nvmlEventSetWait_v2(events, 0).eventData == 79


def test_42_events_recur_with_the_loop(play: Play) -> None:
    fake = play(of_class("hopper-h100").replace("loop_ms 0", "loop_ms 1000"), extra=["xid 400 0 79"])
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu(), pynvml.nvmlEventTypeXidCriticalError, events)
    fake.set_clock(2500)
    codes = [code(pynvml.nvmlEventSetWait_v2, events, 0) for _ in range(4)]
    assert codes == [0, 0, 0, pynvml.NVML_ERROR_TIMEOUT]


def test_42_registration_that_is_not_supported(play: Play) -> None:
    play(of_class("wsl2"))
    events = pynvml.nvmlEventSetCreate()
    assert code(pynvml.nvmlDeviceRegisterEvents, gpu(), 8, events) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert code(pynvml.nvmlDeviceGetPowerUsage, gpu()) == 0


def test_42_wait_fails_at_once_while_a_registered_gpu_is_lost(play: Play) -> None:
    fake = play(of_class("hopper-h100", gpus=2), extra=["xid 1000 1 79", fault("lost", gpu=1, at_ms=1000)])
    watched, other = pynvml.nvmlEventSetCreate(), pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu(1), pynvml.nvmlEventTypeXidCriticalError, watched)
    pynvml.nvmlDeviceRegisterEvents(gpu(0), pynvml.nvmlEventTypeXidCriticalError, other)
    fake.set_clock(1000)
    assert pynvml.nvmlEventSetWait_v2(watched, 0).eventData == 79
    assert code(pynvml.nvmlEventSetWait_v2, watched, 600_000) == pynvml.NVML_ERROR_GPU_IS_LOST
    assert code(pynvml.nvmlEventSetWait_v2, other, 0) == pynvml.NVML_ERROR_TIMEOUT


def test_init_is_counted_and_one_shutdown_too_many_is_no_error(play: Play) -> None:
    play(of_class("hopper-h100"))
    pynvml.nvmlInit()
    assert [code(pynvml.nvmlShutdown) for _ in range(3)] == [0, 0, 0]
    assert code(pynvml.nvmlDeviceGetCount) == pynvml.NVML_ERROR_UNINITIALIZED


def test_wait_wakes_when_the_event_happens_elsewhere(play: Play) -> None:
    fake = play(of_class("hopper-h100"), extra=["xid 1000 0 79"])
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu(), pynvml.nvmlEventTypeXidCriticalError, events)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(pynvml.nvmlEventSetWait_v2(events, 30_000).eventData))
    thread.start()
    fake.set_clock(1000)
    thread.join(30)
    assert codes == [79]


def test_examples_of_the_documentation_work() -> None:
    import doctest

    import fake_nvml

    if compiler() is None:
        pytest.skip("no C compiler")
    results = [doctest.testmod(module) for module in (fake_nvml, sys.modules["fake_nvml._driver"])]
    assert [(result.failed, result.attempted > 0) for result in results] == [(0, True)] * 2


def test_programs_share_time_pids_and_counters(tmp_path: Path) -> None:
    if compiler() is None:
        pytest.skip("no C compiler")
    values = ["v 0 util 0 1", "v 0 util 5000 2", "proc a", "pv a 0 mem 0 1"]
    fake = FakeDriver(of_class("hopper-h100", values=values), manual=True, pids={"a": 4242}, folder=tmp_path)
    fake.set_clock(5000)
    ask = "nvmlInit(); h = nvmlDeviceGetHandleByIndex(0); print(nvmlDeviceGetUtilizationRates(h).gpu, nvmlDeviceGetComputeRunningProcesses(h)[0].pid)"
    assert [run(fake, ask), run(fake, ask)] == ["2 4242"] * 2
    assert fake.calls()["nvmlDeviceGetUtilizationRates"].count == 2


def test_real_clock_counts_from_the_epoch(tmp_path: Path) -> None:
    if compiler() is None:
        pytest.skip("no C compiler")
    values = ["v 0 util 0 1", "v 0 util 3600000 2"]
    fake = FakeDriver(of_class("hopper-h100", values=values), epoch_ms=1_700_000_000_000, folder=tmp_path)
    assert run(fake, "nvmlInit(); print(nvmlDeviceGetUtilizationRates(nvmlDeviceGetHandleByIndex(0)).gpu)") == "2"
