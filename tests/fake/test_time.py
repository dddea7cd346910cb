"""What moves with time is the scenario's step function: instant values, exact means and exact integrals."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from fake_nvml import EPOCH_MS, FakeDriver, of_class
from support.nvml import gpu

pynvml = pytest.importorskip("pynvml")
Play = Callable[..., FakeDriver]

DUTY = [f"v 0 util {t} {value}" for k in range(30) for t, value in ((k * 1000, 100), (k * 1000 + 370, 0))]
"""A square wave: busy for 37 % of every second."""


def fields(handle: Any, *ids: Any) -> list[int]:
    entries = pynvml.nvmlDeviceGetFieldValues(handle, list(ids))
    assert [entry.nvmlReturn for entry in entries] == [0] * len(ids)
    return [entry.value.ullVal for entry in entries]


def test_instant_values_step_at_their_time(play: Play) -> None:
    fake = play(
        of_class("hopper-h100", values=["v 0 util 0 10", "v 0 util 5000 90", "v 0 power_mw 0 100000", "v 0 power_mw 5000 600000"])
    )
    seen = []
    for ms in (0, 4999, 5000, 90_000):
        fake.set_clock(ms)
        seen.append((pynvml.nvmlDeviceGetUtilizationRates(gpu()).gpu, pynvml.nvmlDeviceGetPowerUsage(gpu())))
    assert seen == [(10, 100_000), (10, 100_000), (90, 600_000), (90, 600_000)]


def test_time_wraps_with_the_loop_and_counters_go_on(play: Play) -> None:
    text = of_class("hopper-h100", values=["v 0 power_mw 0 100000", "v 0 power_mw 6000 300000"]).replace(
        "loop_ms 0", "loop_ms 10000"
    )
    fake = play(text)
    fake.set_clock(27_000)
    assert pynvml.nvmlDeviceGetPowerUsage(gpu()) == 300_000
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu()) == 2 * (600_000 + 1_200_000) + 600_000 + 300_000
    fake.set_clock(31_000)
    assert pynvml.nvmlDeviceGetPowerUsage(gpu()) == 100_000


def test_average_power_is_the_mean_of_the_last_second(play: Play) -> None:
    fake = play(of_class("hopper-h100", values=["v 0 power_mw 0 100000", "v 0 power_mw 5000 600000"]))
    fake.set_clock(5250)
    assert fields(gpu(), 185, 186) == [225_000, 600_000]


def test_counters_are_integrals(play: Play) -> None:
    values = ["v 0 pcie_tx_kib_s 0 1000", "v 0 pcie_rx_kib_s 0 2000", "v 0 nvlink_tx_kib_s 0 36000", "v 0 nvlink_rx_kib_s 0 18000"]
    values += ["v 0 reasons 0 0", "v 0 reasons 1000 4", "v 0 reasons 1500 36", "v 0 reasons 2500 1", "v 0 power_mw 0 500000"]
    fake = play(of_class("hopper-h100", values=values))
    fake.set_clock(4000)
    assert fields(gpu(), 197, 198) == [4 * 1000 * 1024, 4 * 2000 * 1024]
    assert fields(gpu(), (138, 0), (138, 17), (139, 3)) == [8000, 8000, 4000]
    assert fields(gpu(), (138, 0xFFFFFFFF)) == [144_000]
    assert fields(gpu(), 74, 75, 269, 270) == [1_500_000_000, 1_000_000_000, 1_000_000_000, 0]
    assert fields(gpu(), 83) == [2_000_000] == [pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu())]
    assert pynvml.nvmlDeviceGetViolationStatus(gpu(), 0).violationTime == 1_500_000_000
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(gpu()) == 1


def test_pcie_throughput_is_the_mean_of_the_last_20_ms(play: Play) -> None:
    fake = play(of_class("hopper-h100", values=["v 0 pcie_rx_kib_s 0 1000", "v 0 pcie_rx_kib_s 1000 9000"]))
    fake.set_clock(1010)
    assert pynvml.nvmlDeviceGetPcieThroughput(gpu(), pynvml.NVML_PCIE_UTIL_RX_BYTES) == 5000


def test_samples_are_a_ring_of_72_and_their_mean_is_the_duty(play: Play) -> None:
    fake = play(of_class("hopper-h100", values=DUTY))
    fake.set_clock(20_000)
    kind, samples = pynvml.nvmlDeviceGetSamples(gpu(), pynvml.NVML_GPU_UTILIZATION_SAMPLES, 0)
    assert (kind, len(samples)) == (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, 72)
    times = [sample.timeStamp for sample in samples]
    assert {b - a for a, b in pairwise(times)} == {139_000}
    assert 0 <= EPOCH_MS * 1000 + 20_000_000 - times[-1] < 139_000
    assert sum(sample.sampleValue.uiVal for sample in samples) / 72 == pytest.approx(37, abs=1)


def test_samples_start_after_the_last_seen_and_are_not_found_when_there_is_none(play: Play) -> None:
    fake = play(of_class("hopper-h100", values=DUTY))
    fake.set_clock(20_000)
    _, samples = pynvml.nvmlDeviceGetSamples(gpu(), 1, 0)
    seen = samples[-1].timeStamp
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetSamples(gpu(), 1, seen)
    fake.set_clock(21_000)
    _, fresh = pynvml.nvmlDeviceGetSamples(gpu(), 1, seen)
    assert [sample.timeStamp - seen for sample in fresh] == [139_000 * k for k in range(1, 9)]


def test_sample_is_the_mean_over_its_period(play: Play) -> None:
    fake = play(
        of_class("hopper-h100", values=["v 0 util 0 0", "v 0 util 1029 100", "v 0 util 1112 0"])
    )  # period 8 ends at 1112 ms
    fake.set_clock(1300)
    _, samples = pynvml.nvmlDeviceGetSamples(gpu(), 1, 0)
    assert [sample.sampleValue.uiVal for sample in samples] == [0] * 7 + [round(100 * (1112 - 1029) / 139), 0]


def test_process_utilization_looks_back_ten_seconds_at_most(play: Play) -> None:
    fake = play(of_class("hopper-h100", values=["proc a", "pv a 0 mem 0 1", "pv a 0 sm 0 80", "pv a 0 sm 15000 0"]))
    fake.set_clock(20_000)
    assert [s.smUtil for s in pynvml.nvmlDeviceGetProcessUtilization(gpu(), 0)] == [40]
    fake.set_clock(25_000)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetProcessUtilization(gpu(), 0)


def test_process_utilization_sizes_by_its_ring_and_averages_since_the_last_seen(play: Play) -> None:
    values = ["proc a kind=C", "proc idle kind=C", *(f"pv {slot} 0 mem 0 1000" for slot in ("a", "idle"))]
    values += ["pv a 0 sm 0 0", "pv a 0 sm 3000 80", "pv a 0 memutil 0 20", "pv idle 0 sm 0 0"]
    fake = play(of_class("hopper-h100", values=values), pids={"a": 77})
    fake.set_clock(4000)
    library, count = ctypes.CDLL(str(fake.library)), ctypes.c_uint(0)
    code = library.nvmlDeviceGetProcessUtilization(gpu(), None, ctypes.byref(count), ctypes.c_ulonglong(0))
    assert (code, count.value) == (pynvml.NVML_ERROR_INSUFFICIENT_SIZE, 100)
    samples = pynvml.nvmlDeviceGetProcessUtilization(gpu(), 0)
    assert [(s.pid, s.smUtil, s.memUtil) for s in samples] == [(77, 20, 20)]
    recent = pynvml.nvmlDeviceGetProcessUtilization(gpu(), (EPOCH_MS + 3000) * 1000)
    assert [(s.pid, s.smUtil, s.timeStamp) for s in recent] == [(77, 80, (EPOCH_MS + 4000) * 1000)]
    info = pynvml.nvmlDeviceGetProcessesUtilizationInfo(gpu(), (EPOCH_MS + 3000) * 1000)
    assert [(s.pid, s.smUtil, s.memUtil) for s in info] == [(77, 80, 20)]
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetProcessUtilization(gpu(), (EPOCH_MS + 4000) * 1000)


def test_gpm_is_the_mean_between_two_samples(play: Play, gpm: Callable[..., Any]) -> None:
    values = ["v 0 gpm.2 0 0", "v 0 gpm.2 1000 800", "v 0 gpm.5 0 412", "v 0 pcie_tx_kib_s 0 2048", "v 0 nvlink_rx_kib_s 0 1024"]
    fake = play(of_class("hopper-h100", values=values))
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu()).isSupportedDevice == 1
    assert gpm(gpu(), fake, 500, 1500, 2, 5, 20, 60) == [(0, 40.0), (0, 41.2), (0, 2.0), (0, 1.0)]


def test_manual_clock_file_may_be_written_by_hand(play: Play) -> None:
    fake = play(of_class("hopper-h100", values=["v 0 util 0 1", "v 0 util 100 2"]))
    clock = fake.folder / "clock"
    clock.write_text("100\n")
    assert pynvml.nvmlDeviceGetUtilizationRates(gpu()).gpu == 2
    clock.write_text("")
    assert pynvml.nvmlDeviceGetUtilizationRates(gpu()).gpu == 2, "an empty file is a write in progress"


def test_scenario_is_read_anew_after_a_full_shutdown(play: Play) -> None:
    fake = play(of_class("hopper-h100", gpus=2))
    assert pynvml.nvmlDeviceGetCount() == 2
    fake.scenario.write_text(of_class("ada-l4", gpus=16))
    pynvml.nvmlInit()
    pynvml.nvmlShutdown()
    assert pynvml.nvmlDeviceGetCount() == 2, "counted: one init is still open"
    pynvml.nvmlShutdown()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()
    pynvml.nvmlInit()
    assert (pynvml.nvmlDeviceGetCount(), pynvml.nvmlDeviceGetName(gpu(15))) == (16, "NVIDIA L4")


@pytest.mark.parametrize(
    "line", ["v 0 util 0", "v 9 util 0 1", "gpu 0 profile=no-such-card", "pv nobody 0 mem 0 1", "volts 3", "fault 0 0 0 eaten - 0"]
)
def test_wrong_line_stops_the_load(line: str, play: Play, tmp_path: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(pynvml.NVMLError_Unknown):
        play("\n".join(["gpuwatch-scenario 1", "loop_ms 0", *([] if line[:3] == "gpu" else ["gpu 0"]), line]))
    assert "cannot read this line" in capfd.readouterr().err
