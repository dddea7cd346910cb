"""The driver's events: XIDs with a meaning, health that changes, and silence where nothing happens."""

from __future__ import annotations

import pytest
from fake_nvml import fault

from gpuwatch.names import Severity


def test_an_xid_becomes_one_event_with_its_meaning(start):
    play = start(gpus=2, lines=["xid 2500 1 79", "xid 3500 0 13"])
    play.tick(6)
    xids = [event for event in play.events if event.kind == "xid"]
    assert [(event.gpu_uuid, event.severity) for event in xids] == [
        (play.gpus[1].uuid, Severity.CRITICAL),
        (play.gpus[0].uuid, Severity.WARNING),
    ]
    assert xids[0].detail == "GPU 1 XID 79: GPU has fallen off the bus"
    assert xids[0].ts_ms == round(play.fake.epoch_ms + 3000)


def test_an_unknown_xid_is_told_all_the_same(start):
    play = start(lines=["xid 500 0 777"])
    play.tick(2)
    assert "XID 777" in next(event.detail for event in play.events if event.kind == "xid")


def test_nothing_happened_is_no_event(start):
    """Behaviour 42: the timeout is the normal answer."""
    play = start()
    play.tick(5)
    assert play.kinds() == []
    assert play.fake.calls()["nvmlEventSetWait_v2"].count == 5


def test_a_gpu_that_cannot_register_is_healthy(start):
    """Behaviour 42."""
    play = start("jetson-orin", gpus=1)
    play.tick(3)
    assert play.kinds() == []
    assert not play.sample().unavailable
    assert "nvmlEventSetWait_v2" not in play.fake.calls()


def test_a_row_that_waits_for_its_remapping_is_told_once_as_health(start):
    """Behaviour 16."""
    play = start("ampere-a10-remap-pending")
    play.tick(60)
    told = [event for event in play.events if event.kind == "remap_pending"]
    assert len(told) == 1
    assert told[0].severity is Severity.WARNING


def test_a_recovery_action_is_told_when_it_changes(start):
    play = start(lines=["v 0 recovery 7000 1", "v 0 recovery 20000 0"])
    play.tick(40)
    assert [event.detail for event in play.events if event.kind == "recovery_action"] == [
        "GPU 0 needs a reset",
        "GPU 0 needs no recovery any more",
    ]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("geforce-40-4080s", ["v 0 memutil 0 37", "v 0 util 0 0"]),  # behaviour 6
        ("blackwell-rtx-pro-6000", ["v 0 reasons 0 4", "v 0 util 0 0"]),  # behaviour 7
        ("hopper-h100", ["v 0 reasons 0 1", "v 0 pstate 0 0", "v 0 sm_clock 0 345"]),  # behaviour 8
        ("hopper-h100", ["v 0 replays 0 67"]),  # behaviour 17
        ("blackwell-rtx-pro-6000", ["v 0 pcie_gen 0 1"]),  # behaviour 18
    ],
)
def test_what_healthy_idle_cards_do_makes_no_event(name, lines, start):
    play = start(name, lines=lines)
    play.tick(12)
    assert play.kinds() == []


def test_events_of_a_lost_gpu_do_not_stop_the_others(start):
    play = start(gpus=2, lines=[fault("lost", gpu=0, at_ms=500), "xid 600 0 79", "xid 2500 1 48"])
    play.tick(5)
    assert [event.detail for event in play.events if event.kind == "xid"] == [
        "GPU 0 XID 79: GPU has fallen off the bus",
        "GPU 1 XID 48: double-bit ECC error",
    ]
