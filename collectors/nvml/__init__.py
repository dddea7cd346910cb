"""NVIDIA GPUs, read through NVML. ``factory`` is the door; the driver library is loaded only by ``open()``."""

from __future__ import annotations

from gpuwatch.collectors.nvml.collector import NvmlCollector
from gpuwatch.plugin import Collector, CollectorContext


def factory(context: CollectorContext) -> Collector:
    """A collector of all NVIDIA GPUs of this host; nothing is touched before ``open()``."""
    return NvmlCollector(context)
