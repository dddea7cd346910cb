"""Processes: lists in one call, joins only where pids mean the same, utilization of those that did nothing."""

from __future__ import annotations

import ctypes
import struct

import pytest
from fake_nvml import fault

from gpuwatch.collectors.nvml import layout
from gpuwatch.collectors.nvml.processes import PidTrust, pid_trust
from gpuwatch.names import Missing

TRAINER = ["proc a kind=C name=python3", "pv a 0 mem 0 19000000000", "pv a 0 sm 0 80", "pv a 0 memutil 0 33"]


def many(count, gpus=1):
    lines = []
    for number in range(count):
        lines += [
            f"proc p{number} kind=C pid={5000 + number}",
            f"pv p{number} {number % gpus} mem 0 {1_000_000_000 + number}",
            f"pv p{number} {number % gpus} sm 0 7",
        ]
    return lines


def test_a_process_with_memory_and_utilization(start):
    play = start(lines=TRAINER, pids={"a": 4242})
    play.tick(3)
    sample = play.process(4242)
    assert (sample.start_ms, sample.kind, sample.gpu_uuid) == (0, "compute", play.gpus[0].uuid)
    assert sample.gpu_memory_bytes == 19_000_000_000
    assert sample.sm_utilization_ratio == pytest.approx(0.80)
    assert sample.memory_utilization_ratio == pytest.approx(0.33)
    assert play.sample().process_count == 1
    assert play.context.gpu_pids.current() == {4242}


def test_lists_are_read_every_two_seconds_on_even_seconds(start):
    play = start(lines=TRAINER, pids={"a": 4242})
    play.advance(-play.clock.time() % 2)
    seen = []
    for _ in range(6):
        batch = play.tick()
        seen.append((batch.t % 2, len(batch.process_samples)))
    assert seen == [(0, 1), (1, 0)] * 3
    assert play.sample().process_count == 1, "the count stays in between"


def test_one_call_per_list_without_sizing(start):
    play = start(lines=many(8))
    play.tick(20)
    calls = play.fake.calls()
    assert calls["nvmlDeviceGetComputeRunningProcesses_v3"].count == 10
    assert calls["nvmlDeviceGetProcessUtilization"].count == 10
    assert calls["nvmlDeviceGetGraphicsRunningProcesses_v3"].count <= 2


def test_two_thousand_processes(start):
    play = start(lines=many(2000))
    play.tick()
    assert play.sample().process_count == 2000
    assert len(play.batch.process_samples) == 2000
    assert play.process(6999).gpu_memory_bytes == 1_000_001_999


def test_a_list_that_grows_between_two_calls_is_asked_once_more(start):
    """Behaviour 23."""
    refusal = fault("call", "nvmlDeviceGetComputeRunningProcesses_v3", arg=7, first=1)
    play = start(lines=[*TRAINER, refusal], pids={"a": 4242})
    play.tick()
    assert play.process(4242).gpu_memory_bytes == 19_000_000_000
    assert play.fake.calls()["nvmlDeviceGetComputeRunningProcesses_v3"].count == 2


def test_a_list_that_keeps_growing_is_no_empty_list(start):
    play = start(lines=[*TRAINER, fault("call", "nvmlDeviceGetComputeRunningProcesses_v3", arg=7)], pids={"a": 4242})
    play.tick()
    assert play.sample().process_count is None
    assert play.why("process_count") is Missing.DRIVER_ERROR


def test_an_idle_process_is_zero_not_unknown(start):
    """Behaviour 25: nothing newer is NOT_FOUND."""
    play = start(lines=["proc a kind=C", "pv a 0 mem 0 1000000000"], pids={"a": 4242})
    play.tick(3)
    assert play.process(4242).sm_utilization_ratio == 0


def test_a_driver_without_a_sample_yet_is_not_idle(start):
    play = start(lines=["v 0 util 0 90", *TRAINER], pids={"a": 4242})
    play.tick()
    assert play.process(4242).sm_utilization_ratio is None
    assert play.batch.missing["process", "4242:0", "sm_utilization_ratio"] is Missing.STALE
    play.tick(2)
    assert play.process(4242).sm_utilization_ratio == pytest.approx(0.80)


def test_utilization_that_the_driver_refuses_is_unknown(start):
    play = start(lines=[*TRAINER, "set 0 nvmlDeviceGetProcessUtilization 3"], pids={"a": 4242})
    play.tick(3)
    assert play.process(4242).sm_utilization_ratio is None
    assert play.batch.missing["process", "4242:0", "sm_utilization_ratio"] is Missing.NOT_SUPPORTED
    assert play.fake.calls()["nvmlDeviceGetProcessUtilization"].count == 1


def test_utilization_above_100_is_cut_and_flagged(start):
    """Behaviour 26."""
    play = start(lines=["proc a kind=C", "pv a 0 mem 0 1", "pv a 0 sm 0 112"], pids={"a": 4242})
    play.tick(3)
    assert play.process(4242).sm_utilization_ratio == 1.0
    assert "impossible_value" in play.kinds()


def test_garbage_utilization_of_a_process_is_unknown(start):
    """Behaviour 26: neither 100 % nor 0 %."""
    play = start(lines=["proc a kind=C", "pv a 0 mem 0 1", "pv a 0 sm 0 4294967295"], pids={"a": 4242})
    play.tick(3)
    assert play.process(4242).sm_utilization_ratio is None
    assert play.batch.missing["process", "4242:0", "sm_utilization_ratio"] is Missing.DRIVER_ERROR


@pytest.mark.usefixtures("container")
def test_a_foreign_process_with_our_pid_makes_its_utilization_unknown(start):
    """Behaviour 28: from 570 on utilization is translated, but foreign processes keep their host pid."""
    lines = ["namespace container", "proc a kind=C pid=17 hostpid=90210", "pv a 0 mem 0 5", "pv a 0 sm 0 10"]
    play = start(lines=lines)
    play.tick(2)
    ring = layout.PROCESS_UTILIZATION
    rows = ring.pack(17, 10**17, 10, 1, 0, 0) + ring.pack(17, 10**17, 90, 9, 0, 0) + ring.pack(18, 10**17, 7, 1, 0, 0)

    def foreign(_handle, buffer, count, _since):
        ctypes.memmove(buffer, rows, len(rows))
        count._obj.value = 3
        return 0

    play.collector._library._functions["nvmlDeviceGetProcessUtilization"] = foreign
    play.tick()
    assert play.process(17).sm_utilization_ratio is None
    assert play.batch.missing["process", "17:0", "sm_utilization_ratio"] is Missing.DRIVER_ERROR


def test_memory_that_the_driver_does_not_know_is_none(start):
    """Behaviour 12: WSL2 answers 2^64-1."""
    play = start("wsl2", lines=["proc a kind=C", "pv a 0 mem 0 -2"], pids={"a": 4242})
    play.tick()
    assert play.process(4242).gpu_memory_bytes is None
    key = ("process", "4242:0", "gpu_memory_bytes")
    assert play.batch.missing[key] is Missing.NOT_SUPPORTED
    play.tick()
    assert play.batch.missing[key] is Missing.NOT_SUPPORTED, "it holds between two lists as well"


def test_a_process_may_hold_several_gpus_and_draw_as_well(start):
    lines = ["proc a kind=CG", "pv a 0 mem 0 5", "pv a 1 mem 0 6", "proc x kind=G", "pv x 0 mem 0 7"]
    play = start(gpus=2, lines=lines, pids={"a": 4242, "x": 77})
    play.tick()
    assert {(one.pid, one.kind, one.gpu_memory_bytes) for one in play.batch.process_samples} == {
        (4242, "compute", 5),
        (4242, "compute", 6),
        (77, "graphics", 7),
    }
    assert [play.sample(0).process_count, play.sample(1).process_count] == [1, 1]


def test_a_process_that_ends_leaves_the_list_and_the_watched_pids(start):
    play = start(lines=[*TRAINER, "pv a 0 mem 3500 -1"], pids={"a": 4242})
    play.tick(3)
    play.tick(3)
    assert play.context.gpu_pids.current() == frozenset()
    assert play.sample().process_count == 0


@pytest.mark.usefixtures("container")
def test_a_container_with_an_old_driver_counts_but_does_not_name(start):
    """Behaviour 28: before 545 the pids are the host's, and one of them may equal a stranger's here."""
    play = start("geforce-40", lines=["namespace container", "proc a kind=C pid=4242 hostpid=4242", "pv a 0 mem 0 5"])
    play.tick()
    assert play.batch.process_samples == []
    assert play.context.gpu_pids.current() == frozenset()
    assert "pids_not_ours" in play.kinds()


@pytest.mark.usefixtures("container")
def test_a_container_on_550_joins_no_foreign_utilization(start):
    """Behaviour 28: the list holds pids of this namespace, memory is 0, utilization has host pids."""
    lines = [
        "namespace container",
        "proc a kind=C pid=17 hostpid=90210",
        "proc b kind=C pid=18 hostpid=17",
        "pv a 0 mem 0 5000000000",
    ]
    play = start("volta-v100", lines=[*lines, "pv b 0 mem 0 6000000000", "pv a 0 sm 0 30", "pv b 0 sm 0 90"])
    play.tick(3)
    for sample in play.batch.process_samples:
        assert sample.pid in (17, 18)
        assert sample.sm_utilization_ratio is None, "90 % belongs to the other one"
        assert sample.gpu_memory_bytes is None, "0 is not what it holds"
        assert play.batch.missing["process", f"{sample.pid}:0", "gpu_memory_bytes"] is Missing.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("535.129.03", PidTrust(lists=False, memory=False, utilization=False, foreign=True)),
        ("550.54.15", PidTrust(lists=True, memory=False, utilization=False, foreign=True)),
        ("565.57.01", PidTrust(lists=True, memory=True, utilization=False, foreign=True)),
        ("590.48.01", PidTrust(lists=True, memory=True, utilization=True, foreign=True)),
        ("", PidTrust(lists=False, memory=False, utilization=False, foreign=True)),
    ],
)
def test_what_each_driver_may_be_believed_in_a_container(version, expected):
    assert pid_trust(version, namespaced=True) == expected
    assert pid_trust(version, namespaced=False) == PidTrust()


@pytest.mark.usefixtures("container")
def test_no_visible_process_while_memory_is_used_is_left_visible(start):
    """Behaviour 29: the count is 0 and the memory stays, so that a reader can say that the holder is not visible."""
    play = start(lines=["namespace container", "v 0 memory_used 0 40000000000"])
    play.tick()
    assert play.sample().process_count == 0
    assert play.sample().memory_used_bytes == 40_000_000_000


@pytest.mark.parametrize("entries", [1, 2, 5])
def test_long_entries_of_the_first_535_drivers_do_not_shuffle_pids(entries, start):
    """Behaviour 27: 32-byte entries where 24 are declared; the bytes that the driver wrote show it."""
    play = start()
    reader = play.collector._session._processes
    listing = [(1000 + number, 5_000_000_000 + number, 0xFFFFFFFF, 0xFFFFFFFF, 0) for number in range(entries)]

    def long_entries(_handle, count, buffer):
        raw = b"".join(struct.pack("@IQIIQ", *entry) for entry in listing)
        ctypes.memmove(buffer, raw, len(raw))
        count._obj.value = entries
        return 0

    play.collector._library._functions["nvmlDeviceGetComputeRunningProcesses_v3"] = long_entries
    code, found = reader.listed(play.collector._session.boards.all[0].device, "compute")
    assert code == 0
    assert [(entry.pid, entry.memory) for entry in found] == [(pid, memory) for pid, memory, *_ in listing]


def test_garbage_pids_are_no_processes(start):
    play = start(lines=["proc a kind=C pid=3000000000", "pv a 0 mem 0 5"])
    play.tick()
    assert play.batch.process_samples == []
