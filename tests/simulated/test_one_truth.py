"""One truth: the NVML collector on the fake driver and the simulated collector tell the same of the same scenario."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_nvml import FakeDriver

from gpuwatch.clock import FakeClock
from gpuwatch.collectors import nvml
from gpuwatch.collectors.simulated.people import People
from gpuwatch.collectors.simulated.text import dumps
from gpuwatch.measure import measures
from gpuwatch.model import GpuSample
from gpuwatch.plugin import CollectorContext

pytest.importorskip("pynvml")

EXACT = (
    "memory_used_bytes",
    "power_limit_watts",
    "clock_event_reasons",
    "process_count",
    "performance_state",
    "ecc_uncorrected_total",
    "pcie_link_generation",
    "pcie_link_width",
    "nvlink_active_count",
)
"""Fields that both read at the end of the second."""
CLOSE = {
    "utilization_ratio": 0.16,
    "sm_active_ratio": 0.002,
    "tensor_active_ratio": 0.002,
    "dram_active_ratio": 0.002,
    "graphics_active_ratio": 0.002,
}
"""Means over the second. The driver's utilization samples are 139 ms long and end up to one sample early."""


@pytest.mark.parametrize("name", ["lab", "train", "throttle", "starved-loader", "nccl-hang", "gb10", "mig"])
def test_driver_and_simulation_agree(name, compiled, opened, epoch):
    scenario = compiled(name)
    pids = {life.slot: life.pid for life in People(scenario).alive(0)}
    clock = FakeClock(float(epoch))
    simulated = opened(name)
    with FakeDriver(dumps(scenario.table), manual=True, epoch_ms=epoch * 1000, pids=pids) as fake, fake.loaded():
        real = nvml.factory(CollectorContext(clock=clock, proc_root=Path("/nonexistent"), sys_root=Path("/nonexistent")))
        real.open()
        try:
            for second in range(31):
                measured, told = real.collect(epoch + second), simulated.collect(epoch + second)
                if second % 10 == 0 and second:  # everything, however rarely it is read, has just been read
                    _compare(measured, told)
                clock.advance(1.0)
                fake.set_clock((second + 1) * 1000)
        finally:
            real.close()


def _compare(measured, told):
    expected = {s.gpu_uuid: s for s in told.gpu_samples}
    assert {s.gpu_uuid for s in measured.gpu_samples} == set(expected)
    for sample in measured.gpu_samples:
        twin = expected[sample.gpu_uuid]
        absent = {f for f in measures(GpuSample) if getattr(sample, f) is None}
        assert absent == {f for f in measures(GpuSample) if getattr(twin, f) is None}
        for field in EXACT:
            assert getattr(sample, field) == getattr(twin, field), field
        for field, tolerance in CLOSE.items():
            assert _close(getattr(sample, field), getattr(twin, field), tolerance), field
        for field in ("energy_joules", "pcie_rx_bytes", "nvlink_tx_bytes", "thermal_throttled_seconds"):
            assert _close(getattr(sample, field), getattr(twin, field), 1.0), field
    held = {(s.pid, s.gpu_uuid): (s.gpu_memory_bytes, s.kind) for s in told.process_samples if s.gpu_uuid}
    assert {(s.pid, s.gpu_uuid): (s.gpu_memory_bytes, s.kind) for s in measured.process_samples} == held
    assert [g.uuid for g in told.gpus] == [g.uuid for g in measured.gpus or told.gpus]


def _close(one, two, tolerance):
    return one is two or one == pytest.approx(two, rel=0.01, abs=tolerance)
