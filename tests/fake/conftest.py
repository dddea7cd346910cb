"""Plays a scenario on the real nvidia-ml-py within this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fake_nvml import FakeDriver, compiler

pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")

Play = Callable[..., FakeDriver]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Start a scenario with a manual clock and initialise pynvml on it; shut down and unload at the end."""
    if compiler() is None:
        pytest.skip("no C compiler")
    with ExitStack() as stack:

        def start(scenario: str | list[str], **options: Any) -> FakeDriver:
            options.setdefault("manual", True)
            fake = stack.enter_context(FakeDriver(scenario, folder=tmp_path, **options))
            stack.enter_context(fake.loaded())
            pynvml.nvmlInit()
            stack.callback(pynvml.nvmlShutdown)
            return fake

        yield start


@pytest.fixture
def gpm() -> Callable[..., list[tuple[int, float]]]:
    """``gpm(handle, fake, from_ms, to_ms, *ids, gi=None)``: (code, value) of GPM metrics between two instants."""
    return _gpm


def _gpm(handle: Any, fake: FakeDriver, from_ms: int, to_ms: int, *ids: int, gi: int | None = None) -> list[tuple[int, float]]:
    request = pynvml.c_nvmlGpmMetricsGet_t(version=pynvml.NVML_GPM_METRICS_GET_VERSION, numMetrics=len(ids))
    samples = [pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()]
    for sample, ms in zip(samples, (from_ms, to_ms)):
        fake.set_clock(ms)
        if gi is None:
            pynvml.nvmlGpmSampleGet(handle, sample)
        else:
            pynvml.nvmlGpmMigSampleGet(handle, gi, sample)
    request.sample1, request.sample2 = samples
    for metric, number in zip(request.metrics, ids):
        metric.metricId = number
    pynvml.nvmlGpmMetricsGet(request)
    for sample in samples:
        pynvml.nvmlGpmSampleFree(sample)
    return [(request.metrics[i].nvmlReturn, request.metrics[i].value) for i in range(len(ids))]
