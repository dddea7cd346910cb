"""Process lists, names and utilization of the fake driver: sizing, namespaces, broken drivers, hostile names.

Numbers are those of the project's list of driver behaviours.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
from fake_nvml import FakeDriver, fault, of_class
from support.nvml import code, gpu, seats

pynvml = pytest.importorskip("pynvml")
Play = Callable[..., FakeDriver]


@pytest.mark.parametrize("name", ["wsl2", "windows-wddm", "vgpu-guest"])
def test_12_process_memory_is_not_available(name: str, play: Play) -> None:
    play(of_class(name, values=["proc a kind=C", "pv a 0 mem 0 9000000"]), pids={"a": 5})
    assert seats(gpu()) == [(5, None, 0xFFFFFFFF)]


def test_12_one_process_without_memory_among_others(play: Play) -> None:
    play(of_class("hopper-h100", values=["proc a", "proc b", "pv a 0 mem 0 7", "pv b 0 mem 0 -2"]), pids={"a": 5, "b": 6})
    assert seats(gpu()) == [(5, 7, 0xFFFFFFFF), (6, None, 0xFFFFFFFF)]


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
