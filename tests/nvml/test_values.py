"""What a healthy GPU's answers become: units, means, differences, and reasons for what is not there."""

from __future__ import annotations

import pytest
from fake_nvml import CLASSES, fault

from gpuwatch.collectors.nvml import factory
from gpuwatch.measure import measures, told
from gpuwatch.model import GpuSample
from gpuwatch.names import Missing
from gpuwatch.testing import check_batch, check_collector


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "hopper-h100-mig-device"])
def test_every_class_of_gpu_keeps_the_contract(name, start):
    play = start(name, 2, opened=False)
    batches = check_collector(factory, context=play.context, ticks=7, advance=lambda seconds: play.fake.set_clock(play.ms))
    assert len(batches) == 7
    assert len(batches[0].gpu_samples) >= 2


def test_values_of_a_busy_h100_in_base_units(start):
    lines = [
        "v 0 util 0 40",
        "v 0 memutil 0 21",
        "v 0 power_mw 0 612345",
        "v 0 memory_used 0 41000000000",
        "v 0 temp 0 61",
        "v 0 sm_clock 0 1755",
    ]
    play = start(lines=lines)
    play.tick(2)
    sample = play.sample()
    assert sample.utilization_ratio == pytest.approx(0.40)
    assert sample.memory_utilization_ratio == 0.21
    assert sample.power_watts == pytest.approx(612.345)
    assert sample.energy_joules == pytest.approx(612.345)
    assert sample.memory_used_bytes == 41_000_000_000
    assert sample.temperature_celsius == 61
    assert sample.sm_clock_hertz == 1_755_000_000
    assert sample.power_limit_watts == 700
    assert play.gpus[0].memory_reserved_bytes == 502_267_904


def test_utilization_is_the_mean_over_the_second_not_the_last_moment(start):
    """A square wave of 370 ms busy in each second reads 37 % over a minute, whatever the moment of reading."""
    wave = [f"v 0 util {second * 1000 + at} {value}" for second in range(62) for at, value in ((0, 100), (370, 0))]
    play = start(lines=wave)
    play.tick()
    total = 0.0
    for _ in range(60):
        play.tick()
        total += play.sample().utilization_ratio
    assert total / 60 == pytest.approx(0.37, abs=0.0037)


def test_memory_utilization_is_a_mean_as_well(start):
    wave = [f"v 0 memutil {second * 1000 + at} {value}" for second in range(32) for at, value in ((0, 80), (250, 0))]
    play = start(lines=[*wave, "v 0 util 0 50"])
    play.tick()
    seen = [play.tick() and play.sample().memory_utilization_ratio for _ in range(30)]
    assert sum(seen) / 30 == pytest.approx(0.20, abs=0.004)
    assert "nvmlDeviceGetUtilizationRates" not in play.fake.calls() or play.fake.calls()["nvmlDeviceGetUtilizationRates"].count <= 1


def test_utilization_stays_where_only_the_memory_part_is_refused(start):
    play = start(lines=["v 0 util 0 50", "set 0 nvmlDeviceGetUtilizationRates 3"])
    play.tick(2)
    assert play.sample().utilization_ratio == pytest.approx(0.5)
    assert play.sample().memory_utilization_ratio is None
    assert play.why("memory_utilization_ratio") is Missing.NOT_SUPPORTED


def test_first_tick_has_no_differences_and_says_why(start):
    play = start()
    play.tick()
    for name in ("energy_joules", "pcie_rx_bytes", "nvlink_tx_bytes", "power_throttled_seconds", "sm_active_ratio"):
        assert getattr(play.sample(), name) is None
        assert play.why(name) is Missing.STALE


def test_every_absent_field_has_a_reason_and_no_present_one_has(start):
    play = start("volta-v100")
    play.tick(2)
    for name in told(GpuSample):
        assert (getattr(play.sample(), name) is None) == (play.why(name) is not None), name
    check_batch(play.batch, collector="nvml", now=play.batch.t, known_gpus=[play.gpus[0].uuid])


def test_unified_memory_has_no_total_and_processes_still_have_memory(start):
    """Behaviour 10: GB10."""
    play = start("gb10", lines=["proc a kind=C", "pv a 0 mem 0 19000000000"], pids={"a": 4242})
    play.tick()
    assert play.gpus[0].memory_total_bytes is None
    assert play.sample().memory_used_bytes is None
    assert play.why("memory_used_bytes") is Missing.NOT_SUPPORTED
    assert play.sample().memory_utilization_ratio is None, "its constant 0 is no measurement"
    assert play.sample().memory_temperature_celsius is None
    assert play.process(4242).gpu_memory_bytes == 19_000_000_000


def test_memory_of_a_driver_without_version_2(start):
    play = start("volta-v100", lines=["set 0 nvmlDeviceGetMemoryInfo_v2 13", "v 0 memory_used 0 700000000"])
    play.tick()
    assert play.gpus[0].memory_total_bytes is not None
    assert play.gpus[0].memory_reserved_bytes is None
    assert play.sample().memory_used_bytes >= 700_000_000


def test_memory_of_version_1_is_given_without_the_known_reserve(start):
    """Version 2 answers at first, so that the reserve is known, then fails in passing."""
    refusal = fault("call", "nvmlDeviceGetMemoryInfo_v2", arg=999, at_ms=1500, for_ms=2000)
    play = start(lines=[refusal, "v 0 memory_used 0 41000000000"])
    play.tick(3)
    assert play.sample().memory_used_bytes == 41_000_000_000
    assert play.fake.calls()["nvmlDeviceGetMemoryInfo"].count == 1


def test_zeros_of_a_vgpu_guest_are_no_values(start):
    """Behaviour 11."""
    play = start("vgpu-guest")
    play.tick()
    for name in ("temperature_celsius", "sm_clock_hertz", "memory_clock_hertz"):
        assert getattr(play.sample(), name) is None
        assert play.why(name) is Missing.NOT_SUPPORTED
    assert play.sample().utilization_ratio is not None


def test_a_clock_of_zero_is_real_where_the_highest_clock_is_known(start):
    play = start("geforce-30", lines=["v 0 sm_clock 0 0"])
    play.tick()
    assert play.sample().sm_clock_hertz == 0


def test_jetson_answers_nothing_and_is_still_shown(start):
    """Behaviour 13."""
    play = start("jetson-orin")
    play.tick(3)
    assert play.gpus[0].name == "Orin (nvgpu)"
    assert all(getattr(play.sample(), name) is None for name in measures(GpuSample))
    assert not play.sample().unavailable
    assert play.batch.driver_calls == 0, "what is not supported is not asked again"


@pytest.mark.parametrize("serial", ["0", "N/A", ""])
def test_a_serial_that_is_none(serial, start):
    """Behaviour 14."""
    play = start(lines=[f"set 0 nvmlDeviceGetSerial 0 {serial}"])
    play.tick()
    assert play.gpus[0].serial == ""


def test_power_of_a_turing_card_without_the_average_field(start):
    """Behaviour 9."""
    play = start("geforce-20", lines=["v 0 power_mw 0 123000"])
    play.tick()
    assert play.sample().power_watts == 123


def test_power_where_no_field_answers_comes_from_the_call(start):
    play = start(lines=["set 0 FI:186/0 3", "v 0 power_mw 0 50000"])
    play.tick(2)
    assert play.sample().power_watts == 50
    assert play.fake.calls()["nvmlDeviceGetPowerUsage"].count == 2


def test_limits_of_any_kind_may_be_absent_while_power_is_there(start):
    """Behaviour 44."""
    gone = ("nvmlDeviceGetPowerManagementDefaultLimit", "nvmlDeviceGetPowerManagementLimitConstraints")
    play = start(
        "geforce-30-laptop",
        lines=[*(f"set 0 {call} 3" for call in gone), "set 0 nvmlDeviceGetEnforcedPowerLimit 3", "v 0 power_mw 0 40000"],
    )
    play.tick()
    gpu = play.gpus[0]
    assert (gpu.power_limit_watts, gpu.power_limit_default_watts, gpu.power_limit_max_watts) == (None, None, None)
    assert play.sample().power_limit_watts is None
    assert play.sample().power_watts == 40


def test_a_requested_limit_may_be_absent_while_the_enforced_one_is_known(start):
    """Behaviour 44."""
    play = start("wsl2")
    play.tick()
    assert play.sample().power_limit_watts == pytest.approx(61.24)


@pytest.mark.parametrize(("name", "celsius"), [("volta-v100", 87), ("geforce-20", 97), ("hopper-h100", None), ("geforce-50", None)])
def test_absolute_temperature_limits_only_where_they_exist(name, celsius, start):
    """Behaviour 15: from Ada on the driver gives a distance instead, which is never mixed with a temperature."""
    play = start(name)
    play.tick()
    assert play.gpus[0].temperature_limit_celsius == celsius


@pytest.mark.parametrize(("name", "links"), [("hopper-h100", 18), ("geforce-20", 0), ("geforce-40", None)])
def test_inactive_and_absent_links_are_no_error(name, links, start):
    """Behaviour 41."""
    play = start(name)
    play.tick()
    assert play.gpus[0].nvlink_count == links


def test_utilization_above_100_is_cut_and_flagged_and_garbage_is_none(start):
    """Behaviour 26."""
    play = start("gb10", gpus=2, lines=["v 0 util 0 104", "v 1 util 0 4294967295"])
    play.tick(3)
    assert play.sample(0).utilization_ratio == 1.0
    assert play.sample(1).utilization_ratio is None
    assert play.why("utilization_ratio", 1) is Missing.DRIVER_ERROR
    flagged = [event for event in play.events if event.kind == "impossible_value"]
    assert {event.gpu_uuid for event in flagged} == {gpu.uuid for gpu in play.gpus}
    assert len(flagged) <= 4, "each is told once"


def test_first_reading_after_init_without_persistence_is_not_believed(start):
    """Behaviour 5: the driver's own start shows as 100 % on an empty GPU."""
    play = start(
        "ada-l40s",
        attributes="first_util=100",
        lines=["v 0 util 0 0", "v 0 memory_used 0 0", "set 0 nvmlDeviceGetPersistenceMode 0 0"],
    )
    play.tick()
    assert play.sample().utilization_ratio is None
    assert play.why("utilization_ratio") is Missing.STALE
    play.tick()
    assert play.sample().utilization_ratio == 0


def test_one_cell_may_fail_while_its_neighbours_answer(start):
    """Behaviour 22."""
    play = start(lines=[fault("call", "nvmlDeviceGetTemperature", arg=999, at_ms=3000, for_ms=3000)])
    play.tick(3)
    assert play.sample().temperature_celsius == 59
    play.tick()
    assert play.sample().temperature_celsius is None
    assert play.why("temperature_celsius") is Missing.DRIVER_ERROR
    assert play.sample().power_watts is not None
    play.tick(3)
    assert play.sample().temperature_celsius == 59, "a passing failure is asked again"


def test_forbidden_is_told_apart_from_not_supported(start):
    play = start(lines=["set 0 nvmlDeviceGetCurrentClocksEventReasons 4"])
    play.tick(5)
    assert play.why("clock_event_reasons") is Missing.NO_PERMISSION
    assert play.fake.calls()["nvmlDeviceGetCurrentClocksEventReasons"].count == 1


@pytest.mark.parametrize("code", [3, 13, 25, 26])
def test_what_is_refused_for_good_is_asked_once_until_the_next_open(code, start):
    """Behaviours 19 and 20: not supported, absent, wrong version, deprecated."""
    play = start(lines=[fault("call", "nvmlDeviceGetEncoderUtilization", arg=code, for_ms=60_000)])
    play.tick(30)
    assert play.fake.calls()["nvmlDeviceGetEncoderUtilization"].count == 1
    assert play.why("encoder_utilization_ratio") is Missing.NOT_SUPPORTED
    play.advance(60)
    play.collector.close()
    play.collector.open()
    play.tick()
    assert play.sample().encoder_utilization_ratio is not None


def test_gpus_are_listed_when_they_change_and_not_otherwise(start):
    play = start(lines=["v 0 power_limit_mw 0 700000", "v 0 power_limit_mw 12500 450000"])
    listed = [play.tick().gpus is not None for _ in range(20)]
    assert listed[0]
    assert sum(listed) == 2
    assert play.gpus[0].power_limit_watts == 450
    assert play.sample().power_limit_watts == 450


def test_a_symbol_that_the_library_lacks_is_not_supported_and_costs_no_call(start):
    """Behaviour 20."""
    library = start().collector._library
    before = library.calls
    assert library.call("nvmlDeviceGetRemappedRows_v99", None) == 13
    assert library.calls == before


def test_the_driver_is_told_with_the_gpus(start):
    play = start()
    host = play.tick().host
    assert (host.driver_version, host.cuda_version) == ("590.48.01", "13.1")
    assert host.machine_id == "", "who the machine is, others know"
    assert play.tick().host is None


def test_the_pcie_link_is_read_every_ten_seconds_and_holds_in_between(start):
    """Idle cards lower their link; the rows say the link of the last ten seconds."""
    play = start(lines=["v 0 pcie_gen 0 1", "v 0 pcie_width 0 16", "v 0 pcie_gen 13000 5", "v 0 pcie_width 13000 8"])
    seen = []
    for _ in range(31):
        play.tick()
        seen.append((play.sample().pcie_link_generation, play.sample().pcie_link_width))
    changes = [second for second in range(1, 31) if seen[second] != seen[second - 1]]
    assert seen[0] == (1, 16) and seen[-1] == (5, 8)
    assert len(changes) == 1 and 13 <= changes[0] <= 23
    assert play.fake.calls()["nvmlDeviceGetCurrPcieLinkGeneration"].count <= 4
    assert play.gpus[0].pcie_generation_max == 5


def test_nvlinks_that_go_down_are_seen_after_two_rounds_at_most(start):
    play = start(lines=["v 0 nvlinks_up 0 18", "v 0 nvlinks_up 5000 16"])
    play.tick()
    counted = play.fake.calls()["nvmlDeviceGetNvLinkState"].count
    assert play.sample().nvlink_active_count == play.gpus[0].nvlink_count == 18
    play.tick(2 * 19 * 6)
    assert play.sample().nvlink_active_count == 16
    assert play.fake.calls()["nvmlDeviceGetNvLinkState"].count <= counted + 2 * 19, "one call in six seconds"


def test_where_there_are_no_links_nothing_is_asked_for_them(start):
    play = start("geforce-40", lines=[])
    play.tick()
    play.fake.reset_calls()
    play.tick(130)
    assert play.sample().nvlink_active_count is None and play.why("nvlink_active_count") is Missing.NOT_SUPPORTED
    assert "nvmlDeviceGetNvLinkState" not in {name for name, call in play.fake.calls().items() if call.count}


def test_a_guest_without_a_pcie_link_says_so(start):
    play = start("vgpu-guest")
    play.tick()
    assert play.sample().pcie_link_width is None and play.why("pcie_link_width") is Missing.NOT_SUPPORTED


def test_what_no_driver_tells_has_no_reason(start):
    play = start()
    play.tick()
    assert play.sample().overhead_ratio is None and play.why("overhead_ratio") is None
