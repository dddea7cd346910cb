"""One truth: what the project's scenarios say in Python is what the fake driver answers in C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_nvml import FakeDriver, of_class

from gpuwatch.collectors.simulated.compile import compile_plan
from gpuwatch.collectors.simulated.flat import FlatTable
from gpuwatch.collectors.simulated.scenario import load, names
from gpuwatch.collectors.simulated.text import dumps

pynvml = pytest.importorskip("pynvml")
Play = Callable[..., FakeDriver]

SOME_TIMES = (0, 1_000, 61_003, 299_999, 600_500, 1_199_999, 1_260_000, 4_000_077)
"""Milliseconds, some beyond the loop."""


@pytest.fixture(scope="module", params=names())
def table(request: pytest.FixtureRequest) -> FlatTable:
    return compile_plan(load(request.param), 7).table


def ask(call: Callable[..., Any], *arguments: Any) -> Any:
    """The answer, or None where this class has none (or the GPU is lost now)."""
    try:
        return call(*arguments)
    except pynvml.NVMLError:
        return None


def gauges(handle: Any) -> dict[str, int | None]:
    rates, memory = (
        ask(pynvml.nvmlDeviceGetUtilizationRates, handle),
        ask(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2),
    )
    return {
        "util": rates and rates.gpu,
        "memutil": rates and rates.memory,
        "memory_used": memory and memory.used,
        "power_mw": ask(pynvml.nvmlDeviceGetPowerUsage, handle),
        "temp": ask(pynvml.nvmlDeviceGetTemperature, handle, 0),
        "sm_clock": ask(pynvml.nvmlDeviceGetClockInfo, handle, 1),
        "reasons": ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle),
    }


def test_gauges_and_processes_are_the_tables_at_any_time(table: FlatTable, play: Play) -> None:
    fake = play(dumps(table), pids={slot.slot: 1000 + i for i, slot in enumerate(table.slots)})
    handles = [pynvml.nvmlDeviceGetHandleByIndex(device.index) for device in table.devices]
    compared = 0
    for ms in SOME_TIMES:
        fake.set_clock(ms)
        for device, handle in zip(table.devices, handles):
            for quantity, value in gauges(handle).items():
                series = table.gpu.get((str(device.index), quantity))
                if series is not None and value is not None:
                    assert value == table.at(series, ms), (device.index, quantity, ms)
                    compared += 1
            listed = ask(pynvml.nvmlDeviceGetComputeRunningProcesses, handle)
            if listed is not None and not device.mig:
                expected = {
                    1000 + i: table.at(series, ms)
                    for i, slot in enumerate(table.slots)
                    if "C" in slot.kind
                    and (series := table.process.get((slot.slot, str(device.index), "mem"))) is not None
                    and table.at(series, ms) >= 0
                }
                assert {process.pid: process.usedGpuMemory for process in listed} == expected
    assert compared >= len(SOME_TIMES) * 3


def test_energy_is_the_tables_integral_across_loops(table: FlatTable, play: Play) -> None:
    fake = play("\n".join(line for line in dumps(table).splitlines() if not line.startswith("fault ")))
    for ms in SOME_TIMES:
        fake.set_clock(ms)
        for device in table.devices:
            energy = ask(pynvml.nvmlDeviceGetTotalEnergyConsumption, pynvml.nvmlDeviceGetHandleByIndex(device.index))
            if energy is not None:
                exact = table.integral(table.gpu[str(device.index), "power_mw"], 0, ms) / 1000
                assert energy == pytest.approx(exact, abs=1, rel=1e-12)


def test_mig_devices_are_the_tables(play: Play) -> None:
    table = compile_plan(load("mig"), 7).table
    assert table.instances
    fake = play(dumps(table))
    fake.set_clock(61_003)
    for instance in table.instances:
        mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(pynvml.nvmlDeviceGetHandleByIndex(instance.gpu), instance.device)
        memory = pynvml.nvmlDeviceGetMemoryInfo(mig)
        assert (pynvml.nvmlDeviceGetUUID(mig), memory.total, memory.used) == (
            instance.uuid, instance.memory, table.at(table.gpu[instance.place, "memory_used"], 61_003),
        )  # fmt: skip


def test_fault_with_a_span_recurs_and_one_without_lasts(play: Play) -> None:
    text = of_class("hopper-h100", gpus=2).replace("loop_ms 0", "loop_ms 10000")
    fake = play(text, extra=["fault 2000 1000 0 lost - 0", "fault 5000 0 1 lost - 0"])
    handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(2)]
    seen = []
    for ms in (1000, 2500, 3000, 6000, 11_000, 12_500, 13_000):
        fake.set_clock(ms)
        seen.append([ask(pynvml.nvmlDeviceGetIndex, handle) for handle in handles])
    assert seen == [[0, 1], [None, 1], [0, 1], [0, None], [0, None], [None, None], [0, None]]
