"""GPM on the fake driver: support, samples, metrics that are not numbers.

Numbers are those of the project's list of driver behaviours.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from fake_nvml import FakeDriver, of_class
from support.nvml import code, gpu

pynvml = pytest.importorskip("pynvml")
Play = Callable[..., FakeDriver]
Gpm = Callable[..., list[tuple[int, float]]]


def test_38_gpm_too_close_nan_and_failing_metrics(play: Play, gpm: Gpm) -> None:
    fake = play(of_class("hopper-h100", values=["v 0 gpm.2 0 500", "v 0 gpm.3 0 -1", "v 0 gpm.5 0 -2"]))
    (code2, sm), (code3, occupancy), (code5, _), (code10, _) = gpm(gpu(), fake, 0, 1000, 2, 3, 5, 10)
    assert (code2, sm, code3) == (0, 50.0, 0)
    assert math.isnan(occupancy)
    assert (code5, code10) == (pynvml.NVML_ERROR_UNKNOWN, pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert math.isnan(gpm(gpu(), fake, 2000, 2099, 2)[0][1])
    assert gpm(gpu(), fake, 2000, 2100, 2) == [(0, 50.0)]


def test_38_gpm_refuses_wrong_versions_and_samples(play: Play) -> None:
    play(of_class("hopper-h100", gpus=2))
    first, second = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
    request = pynvml.c_nvmlGpmMetricsGet_t(version=1, numMetrics=1, sample1=first, sample2=second)
    assert code(pynvml.nvmlGpmMetricsGet, request) == pynvml.NVML_ERROR_INVALID_ARGUMENT, "never taken"
    pynvml.nvmlGpmSampleGet(gpu(0), first)
    pynvml.nvmlGpmSampleGet(gpu(1), second)
    assert code(pynvml.nvmlGpmMetricsGet, request) == pynvml.NVML_ERROR_INVALID_ARGUMENT, "of two GPUs"
    pynvml.nvmlGpmSampleGet(gpu(0), second)
    assert code(pynvml.nvmlGpmMetricsGet, request) == 0
    request.version = 2
    assert code(pynvml.nvmlGpmMetricsGet, request) == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


@pytest.mark.parametrize("name", ["ada-l40s", "ampere-a100"])
def test_39_gpm_query_succeeds_with_no(name: str, play: Play) -> None:
    play(of_class(name))
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu()).isSupportedDevice == 0
    assert code(pynvml.nvmlGpmSampleGet, gpu(), pynvml.nvmlGpmSampleAlloc()) == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_39_gpm_may_be_turned_off_for_a_gpu(play: Play) -> None:
    play(of_class("hopper-h100", attributes="gpm=0"))
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu()).isSupportedDevice == 0
