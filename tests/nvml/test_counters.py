"""Counters that wrap, restart or speak another unit; GPM; energy. Differences are never negative and never a spike."""

from __future__ import annotations

import ctypes
from operator import attrgetter

import pynvml
import pytest
from fake_nvml import fault
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch.collectors.nvml import layout
from gpuwatch.collectors.nvml.fields import WRAP, Counter
from gpuwatch.names import Missing

GPM = ["v 0 gpm.1 0 800", "v 0 gpm.2 0 640", "v 0 gpm.3 0 320", "v 0 gpm.5 0 410", "v 0 gpm.10 0 386"]


def test_energy_that_restarts_is_a_new_epoch(start):
    """Behaviour 36."""
    play = start(lines=["v 0 power_mw 0 500000", fault("reset", gpu=0, at_ms=4500, for_ms=10)])
    play.tick(5)
    assert play.sample().energy_joules == pytest.approx(500)
    play.tick()
    assert play.sample().energy_joules is None
    assert play.why("energy_joules") is Missing.STALE
    play.tick()
    assert play.sample().energy_joules == pytest.approx(500)


def test_restarted_byte_counters_are_no_wrap(start):
    lines = ["v 0 pcie_tx_kib_s 0 3000000", "v 0 pcie_tx_kib_s 4000 100", fault("reset", gpu=0, at_ms=4500, for_ms=10)]
    play = start("geforce-50", lines=[*lines, "set 0 nvmlGpmQueryDeviceSupport 0 0"])
    seen = []
    for _ in range(8):
        play.tick()
        seen.append(play.sample().pcie_tx_bytes)
    assert seen[5] is None
    assert max(value for value in seen if value is not None) == pytest.approx(3_000_000 * 1024, rel=0.01)


@pytest.mark.parametrize("rate_kib", [1_000_000, 3_000_000, 12_000_000, 60_000_000])
def test_pcie_bytes_over_a_counter_of_32_bits(rate_kib, start):
    """Behaviour 37: at 60 GB/s it wraps fourteen times a second; GPM tells how often."""
    play = start(attributes=f"pcie_wrap={WRAP}", lines=[f"v 0 pcie_tx_kib_s 0 {rate_kib}", *GPM])
    play.tick(3)
    assert play.sample().pcie_tx_bytes == pytest.approx(rate_kib * 1024, rel=1e-6)


def test_pcie_without_the_counters_comes_from_gpm(start):
    play = start(lines=["v 0 pcie_rx_kib_s 0 2048000", "set 0 FI:198/0 3", "set 0 FI:197/0 3", *GPM])
    play.tick(2)
    assert play.sample().pcie_rx_bytes == pytest.approx(2_048_000 * 1024)


def test_pcie_throughput_is_never_called(start):
    play = start(gpus=8)
    play.tick(30)
    assert "nvmlDeviceGetPcieThroughput" not in play.fake.calls()


def test_nvlink_bytes_over_all_links(start):
    play = start(lines=["v 0 nvlink_rx_kib_s 0 300000000"])
    play.tick(2)
    assert play.sample().nvlink_rx_bytes == pytest.approx(300_000_000 * 1024)


def test_throttled_time_never_exceeds_the_time(start):
    """Behaviour 37."""
    play = start(lines=["v 0 reasons 0 4"])
    play.tick(3)
    assert play.sample().power_throttled_seconds == pytest.approx(1.0)
    assert play.sample().clock_event_reasons == 4


def test_a_throttle_counter_in_another_unit_is_no_value(start):
    play = start(lines=["v 0 reasons 0 4"])
    play.tick(2)
    reader = play.collector._session.boards.all[0].reader
    values = {"energy_mj": 1, "power_cap_ns": 0}
    reader._deltas.settle(values, 1.0, None)
    reader._deltas.settle({"energy_mj": 2, "power_cap_ns": 5_000_000_000}, 1.0, None)
    assert reader.readings["power_throttled_seconds"] is None
    assert reader.readings.missing()["gpu", play.gpus[0].uuid, "power_throttled_seconds"] is Missing.DRIVER_ERROR


def test_a_hole_in_time_begins_anew(start):
    """A row speaks for at most three periods, so what grew over a longer hole belongs to none; energy belongs to the gap."""
    play = start(lines=["v 0 power_mw 0 200000", *GPM])
    play.tick(3)
    play.advance(10)
    play.tick()
    for name in ("pcie_tx_bytes", "sm_active_ratio"):
        assert getattr(play.sample(), name) is None
        assert play.why(name) is Missing.STALE
    assert play.sample().energy_joules == pytest.approx(2200)
    play.tick()
    assert play.sample().energy_joules == pytest.approx(200)


def test_a_slower_rhythm_is_no_hole(start):
    play = start(lines=["v 0 power_mw 0 200000", *GPM])
    play.collector.interval_seconds = 5.0
    play.tick(2, seconds=5)
    assert play.sample().energy_joules == pytest.approx(1000)
    assert play.sample().sm_active_ratio == pytest.approx(0.64)


def test_utilization_after_a_hole_is_that_of_the_last_second(start):
    play = start(lines=["v 0 util 0 100", "v 0 util 9000 20"])
    play.tick(2)
    play.advance(8.2)
    play.tick()
    assert play.sample().utilization_ratio == pytest.approx(0.20)


def test_gpm_ratios_between_two_samples(start):
    play = start(lines=GPM)
    play.tick()
    assert play.sample().sm_active_ratio is None
    play.tick()
    sample = play.sample()
    assert sample.graphics_active_ratio == pytest.approx(0.80)
    assert (sample.sm_active_ratio, sample.sm_occupancy_ratio) == (pytest.approx(0.64), pytest.approx(0.32))
    assert (sample.tensor_active_ratio, sample.dram_active_ratio) == (pytest.approx(0.41), pytest.approx(0.386))
    assert sample.fp64_active_ratio is None
    assert play.why("fp64_active_ratio") is Missing.NOT_SUPPORTED


def test_gpm_is_not_asked_within_100_ms(start):
    """Behaviour 38."""
    play = start(lines=GPM)
    play.tick(seconds=0.05)
    before = play.fake.calls()["nvmlGpmSampleGet"].count
    play.tick(seconds=0.07)
    assert play.fake.calls()["nvmlGpmSampleGet"].count == before
    assert play.why("sm_active_ratio") is Missing.STALE
    play.tick()
    assert play.sample().sm_active_ratio == pytest.approx(0.64), "120 ms after the first sample"


def test_gpm_not_a_number_and_failing_metrics_are_no_values(start):
    """Behaviour 38."""
    play = start(lines=["v 0 gpm.2 0 640", "v 0 gpm.3 0 -1", "v 0 gpm.5 0 -2"])
    play.tick(2)
    assert play.sample().sm_active_ratio == pytest.approx(0.64)
    assert play.sample().sm_occupancy_ratio is None
    assert play.why("sm_occupancy_ratio") is Missing.DRIVER_ERROR
    assert play.why("tensor_active_ratio") is Missing.DRIVER_ERROR


def test_a_gpu_without_gpm_falls_back_to_utilization(start):
    """Behaviour 39: support is asked with success and answered with 0."""
    play = start("ada-l4", lines=["v 0 util 0 55"])
    play.tick(2)
    assert play.gpus[0].gpm_supported is False
    assert play.why("sm_active_ratio") is Missing.NOT_SUPPORTED
    assert play.sample().utilization_ratio == pytest.approx(0.55)
    assert "nvmlGpmSampleGet" not in play.fake.calls()


@pytest.mark.parametrize("code", [3, 4])
def test_gpm_that_is_refused_is_switched_off(code, start):
    play = start(lines=[fault("call", "nvmlGpmSampleGet", arg=code)])
    play.tick(5)
    assert play.fake.calls()["nvmlGpmSampleGet"].count == 1
    assert play.why("sm_active_ratio") is (Missing.NO_PERMISSION if code == 4 else Missing.NOT_SUPPORTED)


def test_samples_of_gpm_are_given_back(start):
    play = start(gpus=2, lines=GPM)
    play.tick(3)
    play.collector.close()
    calls = play.fake.calls()
    assert calls["nvmlGpmSampleAlloc"].count == calls["nvmlGpmSampleFree"].count == 4


def test_an_untouched_field_of_an_old_driver_is_no_zero(start):
    play = start(lines=[])
    batch = play.collector._session.boards.all[0].reader._batch
    ctypes.memset(batch._array, 0, ctypes.sizeof(batch._array))
    batch._device.refused.clear()
    batch._device.library._functions["nvmlDeviceGetFieldValues"] = lambda *_: 0
    assert batch.read(slow=True) == {}
    assert set(batch.refused.values()) == {3}


@given(st.lists(st.integers(0, 2**31), max_size=30), st.booleans())
def test_counter_sums_what_was_added_over_wraps(steps, wraps):
    counter, value = Counter(wraps=wraps), 0
    counter.step(0)
    for step in steps:
        value += step
        assert counter.step(value % WRAP if wraps else value) == step


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.booleans())
def test_counter_is_never_negative(values, wraps):
    counter = Counter(wraps=wraps)
    assert all(grown is None or grown >= 0 for grown in map(counter.step, values))


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        (layout.FIELD_VALUE, pynvml.c_nvmlFieldValue_t, "timestamp valueType nvmlReturn value.ullVal"),
        (layout.SAMPLE, pynvml.c_nvmlSample_t, "timeStamp sampleValue.ullVal"),
        (layout.PROCESS_UTILIZATION, pynvml.c_nvmlProcessUtilizationSample_t, "pid timeStamp smUtil memUtil encUtil decUtil"),
        (layout.GPM_METRIC, pynvml.c_nvmlGpmMetric_t, "nvmlReturn value"),
        (layout.PROCESS, pynvml.c_nvmlProcessInfo_v3_t, "pid usedGpuMemory gpuInstanceId computeInstanceId"),
    ],
)
def test_layouts_are_those_of_the_binding(ours, theirs, names):
    assert ours.size == ctypes.sizeof(theirs)
    numbers = tuple(range(1, len(ours.unpack(bytes(ours.size))) + 1))
    record = theirs.from_buffer_copy(ours.pack(*numbers))
    assert attrgetter(*names.split())(record) == numbers


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [
        (0, "dVal", 2.5),
        (1, "uiVal", 4294967295),
        (2, "ulVal", 2**40),
        (3, "ullVal", 2**63),
        (4, "sllVal", -5),
        (5, "siVal", -7),
        (6, "usVal", 65535),
    ],
)
def test_numbers_of_every_value_type(kind, member, value):
    union = pynvml.c_nvmlValue_t()
    if not hasattr(union, member):
        pytest.skip("this version of the binding has no such member")
    setattr(union, member, value)
    assert layout.number(kind, union.ullVal) == value
