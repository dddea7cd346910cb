"""Opening, losing, coming back: one clear line per cause, other GPUs go on, nothing is opened twice or left open."""

from __future__ import annotations

import subprocess
import sys

import pynvml
import pytest
from fake_nvml import FakeDriver, fault, of_class

from gpuwatch.collectors.nvml import factory, opening
from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.errors import Unavailable
from gpuwatch.names import Missing, Severity
from gpuwatch.plugin import CollectorContext
from gpuwatch.testing import check_collector

OPEN_AND_SAY = """
from gpuwatch.collectors.nvml import factory
from gpuwatch.errors import Unavailable
from gpuwatch.plugin import CollectorContext
try:
    factory(CollectorContext()).open()
except Unavailable as reason:
    print(reason.message, "|", reason.hint)
"""


def refusal(play) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        play.collector.open()
    return caught.value


def test_no_library_no_module_and_mismatch_have_three_different_messages(start):
    """Behaviour 32."""
    messages = set()
    for code in (
        nvml.NO_BINDING,
        nvml.LIBRARY_NOT_FOUND,
        nvml.DRIVER_NOT_LOADED,
        nvml.MISMATCH,
        nvml.UNKNOWN,
        nvml.NO_PERMISSION,
        nvml.GPU_NOT_FOUND,
    ):
        reason = opening.explain(code, container=True, was_open=False)
        assert reason.hint
        assert "\n" not in reason.message
        messages.add(reason.message)
    assert len(messages) == 7


def test_a_machine_without_the_driver_library():
    """Behaviour 32, code 12, seen by a program of its own."""
    with FakeDriver(of_class("hopper-h100"), library=False) as fake:
        done = subprocess.run([sys.executable, "-c", OPEN_AND_SAY], env=fake.env, capture_output=True, text=True, check=True)
    assert "libnvidia-ml.so.1" in done.stdout
    assert done.stderr == ""


def test_a_machine_without_the_binding(start, monkeypatch):
    play = start(opened=False)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install nvidia-ml-py" in refusal(play).hint


def test_driver_not_loaded(start):
    """Behaviour 32, code 9."""
    reason = refusal(start(lines=[fault("driver_gone")], opened=False))
    assert "not loaded" in reason.message
    assert "modprobe" in reason.hint


def test_mismatch_on_a_fresh_start_asks_for_a_reboot(start):
    """Behaviour 32, code 18."""
    reason = refusal(start(lines=[fault("mismatch")], opened=False))
    assert "different versions" in reason.message
    assert "reboot" in reason.hint


def test_a_wrapper_that_finds_the_library_too_new_is_a_mismatch(start, monkeypatch):
    """Behaviour 21: an exception that is not an NVMLError."""

    def too_new():
        raise pynvml.NVMLLibraryMismatchError("unversioned function called")

    play = start(opened=False)
    monkeypatch.setattr(pynvml, "nvmlInit", too_new)
    assert "different versions" in refusal(play).message


def test_unknown_error_in_a_container_names_the_cause(start, container):
    """Behaviour 33."""
    reason = refusal(start(lines=[fault("call", "nvmlInitWithFlags", arg=999)], opened=False))
    assert "container" in reason.message
    assert "daemon-reload" in reason.hint


def test_unknown_error_outside_a_container_does_not(start):
    reason = refusal(start(lines=[fault("call", "nvmlInitWithFlags", arg=999)], opened=False))
    assert "container" not in str(reason)
    assert "999" in reason.message


def test_a_driver_without_gpus_is_one_clear_line(start):
    assert (
        "sees no GPU" in refusal(start(text="gpuwatch-scenario 1\nname none\ndriver 590.48.01\nloop_ms 0\n", opened=False)).message
    )


def test_contract_of_an_unavailable_source(start):
    play = start(lines=[fault("driver_gone")], opened=False)
    assert check_collector(factory, context=play.context) == []


def test_driver_unloaded_under_the_collector_then_back(start):
    """Behaviour 34: an error, a clean close, and a later open that says so."""
    play = start(lines=[fault("driver_gone", at_ms=2500, for_ms=3000)])
    play.tick(3)
    with pytest.raises(Unavailable, match="not loaded"):
        play.tick()
    play.collector.close()
    play.advance(1)
    refusal(play)
    play.advance(3)
    play.collector.open()
    play.tick(2)
    assert "driver_reopened" in play.kinds()
    assert play.sample().energy_joules is not None


def test_driver_upgraded_under_the_collector_asks_for_a_restart(start):
    """Behaviour 34: the process keeps the old library."""
    play = start(lines=[fault("mismatch", at_ms=1500, arg=18)])
    play.tick(2)
    with pytest.raises(Unavailable) as caught:
        play.tick()
    assert "restart gpuwatch" in caught.value.hint
    play.collector.close()
    assert "restart gpuwatch" in refusal(play).hint


def test_reading_what_is_not_open_is_an_error_and_closing_twice_is_none(start):
    play = start(opened=False)
    with pytest.raises(Unavailable):
        play.tick()
    play.collector.close()
    play.collector.open()
    play.collector.close()
    play.collector.close()
    calls = play.fake.calls()
    assert calls["nvmlInitWithFlags"].count == calls["nvmlShutdown"].count == 1


def test_a_lost_gpu_says_so_and_the_others_go_on(start):
    """Behaviour 30, and 31: handles are found by index, never by UUID."""
    play = start(gpus=4, lines=[fault("lost", gpu=2, at_ms=1500, for_ms=12_000), "v 3 power_mw 0 300000"])
    play.tick(3)
    assert [sample.unavailable for sample in play.batch.gpu_samples] == [False, False, True, False]
    assert play.sample(2).utilization_ratio is None
    assert play.why("utilization_ratio", 2) is play.why("sm_active_ratio", 2) is Missing.DRIVER_ERROR
    assert play.sample(3).power_watts == 300
    assert [gpu.index for gpu in play.gpus] == [0, 1, 2, 3]
    before = play.fake.calls()["nvmlDeviceGetMemoryInfo_v2"].gpus[2]
    play.tick(8)
    assert play.fake.calls()["nvmlDeviceGetMemoryInfo_v2"].gpus[2] == before, "a lost GPU is asked rarely"
    assert play.kinds().count("gpu_lost") == 1
    (lost,) = [event for event in play.events if event.kind == "gpu_lost"]
    assert lost.severity is Severity.CRITICAL
    assert lost.gpu_uuid == play.gpus[2].uuid
    play.tick(10)
    assert play.kinds().count("gpu_recovered") == 1
    assert play.sample(2).energy_joules is not None
    assert "nvmlDeviceGetHandleByUUID" not in play.fake.calls()


def test_a_gpu_that_needs_a_reset_is_unavailable(start):
    play = start(gpus=2, lines=[fault("reset", gpu=1, at_ms=500, for_ms=3000)])
    play.tick(2)
    assert play.sample(1).unavailable


def test_a_gpu_lost_before_the_second_open_keeps_its_identity(start):
    play = start(gpus=3, lines=[fault("lost", gpu=1, at_ms=2500)])
    play.tick(2)
    uuids = [gpu.uuid for gpu in play.gpus]
    play.collector.close()
    play.advance(1)
    play.collector.open()
    play.tick()
    assert [gpu.uuid for gpu in play.gpus] == uuids
    assert [sample.unavailable for sample in play.batch.gpu_samples] == [False, True, False]
    assert "gpu_removed" not in play.kinds()


def test_a_gpu_that_may_not_be_opened_does_not_hide_the_others(start):
    """Behaviour 45."""
    play = start(gpus=3, lines=[fault("call", "nvmlDeviceGetHandleByIndex_v2", gpu=1, arg=4)])
    play.tick(40)
    assert [gpu.index for gpu in play.gpus] == [0, 2]
    assert play.kinds().count("gpu_refused") == 1


def test_a_changed_set_of_gpus_is_noticed_by_the_next_open(start):
    play = start(gpus=2)
    play.tick()
    play.collector.close()
    play.fake.scenario.write_text(of_class("hopper-h100", 3))
    play.collector.open()
    play.tick()
    assert len(play.gpus) == 3
    assert play.kinds().count("gpu_added") == 1


def test_a_gpu_that_is_plugged_in_is_found_while_running(start):
    play = start(gpus=1)
    play.tick()
    fake_count = play.collector._library._functions["nvmlDeviceGetCount_v2"]
    play.collector._library._functions["nvmlDeviceGetCount_v2"] = lambda out: setattr(out._obj, "value", 2) or 0
    play.tick(31)
    play.collector._library._functions["nvmlDeviceGetCount_v2"] = fake_count
    assert play.fake.calls()["nvmlDeviceGetName"].count == 2, "looked at anew"
    assert [gpu.index for gpu in play.gpus] == [0]
    assert "gpu_refused" in play.kinds()


def test_a_count_that_fails_in_passing_changes_nothing(start):
    play = start(gpus=2, lines=[fault("call", "nvmlDeviceGetCount_v2", arg=999, at_ms=500, for_ms=60_000)])
    play.tick(40)
    assert len(play.batch.gpu_samples) == 2
    assert play.kinds() == []


def test_a_count_that_fails_at_open_says_why(start):
    reason = refusal(start(lines=[fault("call", "nvmlDeviceGetCount_v2", arg=999)], opened=False))
    assert "999" in reason.message


def test_a_container_that_lost_its_devices_is_an_error_not_an_empty_host(start, container):
    play = start(gpus=2, lines=[fault("call", "nvml*", arg=999, at_ms=1500)])
    play.tick(2)
    with pytest.raises(Unavailable, match="container lost its access"):
        play.tick(2)
    play.collector.close()


def test_a_hung_call_hangs_its_thread_alone_and_no_second_call_is_stacked(start):
    """Behaviour 35: the collector makes no thread of its own, so the one caller waits and nobody else calls."""
    import threading

    play = start(gpus=2, lines=[fault("hang", "nvmlDeviceGetUtilizationRates", gpu=1, at_ms=500, for_ms=1000)])
    play.tick()
    done = threading.Event()

    def read():
        play.collector.collect(play.clock.time())
        done.set()

    before = threading.active_count()
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert not done.wait(0.2)
    assert threading.active_count() == before + 1
    play.advance(2)
    assert done.wait(10)
    assert play.fake.calls()["nvmlDeviceGetUtilizationRates"].gpus[1] == 2
    thread.join()


def test_no_cuda_library_is_loaded_and_no_context_made():
    """The monitor must not appear in its own process list."""
    look = """
import sys
print([line.split("/")[-1] for line in open("/proc/self/maps") if "libcuda" in line], "torch" in sys.modules)
"""
    with FakeDriver(of_class("hopper-h100")) as fake:
        done = subprocess.run([sys.executable, "-c", OPEN_AND_SAY + look], env=fake.env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False"


def test_the_factory_touches_nothing(start):
    play = start(opened=False)
    factory(CollectorContext())
    assert play.fake.calls() == {}
