"""Laptops: a sleeping GPU is not woken, an idle one is left alone so that it can fall asleep."""

from __future__ import annotations

import pytest

from gpuwatch.errors import Unavailable
from gpuwatch.names import Missing


@pytest.fixture
def laptop(roots):
    device = roots[1] / "bus/pci/devices/0000:10:00.0"
    (device / "power").mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030000\n")
    (device / "power/control").write_text("auto\n")
    (device / "power/runtime_suspended_time").write_text("81920\n")
    status = device / "power/runtime_status"
    status.write_text("active\n")
    return status


def test_a_sleeping_laptop_gpu_is_not_opened(laptop, start):
    """Behaviour 43."""
    laptop.write_text("suspended\n")
    play = start("geforce-30-laptop", opened=False)
    with pytest.raises(Unavailable, match="asleep"):
        play.collector.open()
    assert play.fake.calls() == {}


def test_a_gpu_that_falls_asleep_is_not_asked_until_it_wakes(laptop, start):
    """Behaviour 43."""
    play = start("geforce-30-laptop")
    play.tick(3)
    laptop.write_text("suspended\n")
    play.fake.reset_calls()
    play.tick(40)
    assert play.fake.calls() == {}
    assert play.sample().utilization_ratio is None
    assert play.why("power_watts") is Missing.STALE
    assert not play.sample().unavailable
    assert play.kinds() == ["gpu_asleep"]
    laptop.write_text("active\n")
    play.tick()
    assert play.sample().power_watts is not None
    assert play.sample().temperature_celsius is not None, "everything is due after a hole"
    assert play.why("sm_active_ratio") is Missing.NOT_SUPPORTED


IDLE = ["v 0 util 0 0"]


def test_an_idle_laptop_gpu_is_left_alone_until_something_wakes_it(laptop, start):
    play = start("geforce-30-laptop", lines=IDLE)
    play.tick(25)
    assert play.fake.calls()["nvmlShutdown"].count == 1, "an open driver would keep it awake"
    assert play.why("utilization_ratio") is Missing.STALE
    laptop.write_text("suspended\n")
    play.fake.reset_calls()
    play.tick(100)
    assert play.fake.calls() == {}
    laptop.write_text("active\n")
    play.tick()
    assert play.sample().power_watts is not None
    assert play.kinds() == ["gpu_left_alone"]


def test_a_gpu_that_does_not_fall_asleep_is_read_again_and_then_for_long(laptop, start):
    play = start("geforce-30-laptop", lines=IDLE)
    unread = 0
    for _ in range(600):
        play.tick()
        unread += play.sample().power_watts is None
    assert 10 <= unread <= 20
    assert play.kinds() == ["gpu_left_alone"]


@pytest.mark.parametrize("lines", [["v 0 util 0 3"], [*IDLE, "proc a kind=C", "pv a 0 mem 0 5"]])
def test_a_gpu_in_use_is_not_left_alone(lines, laptop, start):
    play = start("geforce-30-laptop", lines=lines)
    play.tick(60)
    assert play.sample().power_watts is not None
    assert "nvmlShutdown" not in play.fake.calls()


@pytest.mark.parametrize(
    ("control", "slept", "runtime_d3", "left_alone"),
    [
        ("on", "0", None, False),
        ("auto", "0", None, False),
        ("auto", "0", "Runtime D3 status:          Disabled by default\n", False),
        ("auto", "0", "Runtime D3 status:          Enabled (fine-grained)\n", True),
        ("auto", "5000", None, True),
        ("on", "5000", "Runtime D3 status:          Enabled (fine-grained)\n", False),
    ],
)
def test_only_a_gpu_that_really_sleeps_is_left_alone(control, slept, runtime_d3, left_alone, laptop, roots, start):
    """On many servers the kernel may suspend a GPU and never does; closing the driver there only costs rows."""
    (laptop.parent / "control").write_text(control + "\n")
    (laptop.parent / "runtime_suspended_time").write_text(slept + "\n")
    if runtime_d3:
        folder = roots[0] / "driver/nvidia/gpus/0000:10:00.0"
        folder.mkdir(parents=True)
        (folder / "power").write_text(runtime_d3)
    play = start("geforce-30-laptop", lines=IDLE)
    play.tick(25)
    assert ("gpu_left_alone" in play.kinds()) is left_alone


def test_closing_while_left_alone_and_opening_anew(laptop, start):
    play = start("geforce-30-laptop", lines=IDLE)
    play.tick(25)
    play.collector.close()
    play.collector.open()
    play.tick()
    assert play.sample().power_watts is not None
