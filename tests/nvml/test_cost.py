"""What watching costs the driver: calls per refresh, and time inside a slow driver."""

from __future__ import annotations

import pytest
from fake_nvml import SLOW

SECONDS = 60
EXTRA = {"nvmlDeviceGetSamples", "nvmlGpmSampleGet", "nvmlGpmMetricsGet"}


def lines(processes):
    made = [f"v {gpu} {what}" for gpu in range(8) for what in ("util 0 60", "memutil 0 20", "gpm.2 0 500")]
    for number in range(processes):
        made += [
            f"proc p{number} kind=C pid={5000 + number}",
            f"pv p{number} {number % 8} mem 0 1000000000",
            f"pv p{number} {number % 8} sm 0 40",
        ]
    return made


def steady(start, name, processes, *more):
    """Calls by name over a minute, after the first tick."""
    play = start(name, gpus=8, lines=[*lines(processes), *more])
    play.tick()
    play.fake.reset_calls()
    counted = sum(play.tick().driver_calls for _ in range(SECONDS))
    calls = {name: call.count for name, call in play.fake.calls().items()}
    assert counted == sum(calls.values()), "the batch says what it cost"
    return calls


def seconds_in_slow_driver(calls):
    """The time that the profile of a slow driver makes of these calls (``SLOW``: the first matching line counts)."""
    total = 0
    for name, count in calls.items():
        us = next(
            (us for pattern, us in SLOW.items() if name == pattern or (pattern[-1] == "*" and name.startswith(pattern[:-1]))), 0
        )
        total += count * us
    return total / 1e6


@pytest.mark.parametrize("processes", [8, 128])
@pytest.mark.parametrize("name", ["hopper-h100", "ampere-a100", "geforce-40"])
def test_calls_per_refresh_with_eight_gpus(name, processes, start):
    """Behaviour 46."""
    calls = steady(start, name, processes)
    everything = sum(calls.values()) / SECONDS
    basic = sum(count for name, count in calls.items() if name not in EXTRA) / SECONDS
    assert basic <= 60
    assert everything <= 96
    assert calls["nvmlDeviceGetFieldValues"] == 8 * SECONDS, "one batch per GPU and second"


def test_calls_per_refresh_where_there_are_no_samples_and_no_gpm(start):
    refused = ["set * nvmlDeviceGetSamples.GPU_UTIL 3", "set * nvmlGpmQueryDeviceSupport 0 0"]
    calls = steady(start, "hopper-h100", 128, *refused)
    assert not calls.keys() & EXTRA
    assert sum(calls.values()) / SECONDS <= 60


@pytest.mark.parametrize("processes", [8, 128])
def test_time_inside_a_slow_driver(processes, start):
    assert seconds_in_slow_driver(steady(start, "hopper-h100", processes)) / SECONDS <= 0.045


def test_no_call_per_process(start):
    assert "nvmlSystemGetProcessName" not in steady(start, "hopper-h100", 128)
