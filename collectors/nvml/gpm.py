"""GPM: hardware counters of Hopper and newer, as the difference of two driver samples at least 100 ms apart.

Two samples per GPU (or GPU instance) take turns; one request struct is shared by all. The first tick has no value.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

from gpuwatch.collectors.nvml import layout
from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.devices import Device
from gpuwatch.collectors.nvml.library import Library

RATIOS = {
    1: "graphics_active_ratio",
    2: "sm_active_ratio",
    3: "sm_occupancy_ratio",
    5: "tensor_active_ratio",
    10: "dram_active_ratio",
    11: "fp64_active_ratio",
    12: "fp32_active_ratio",
    13: "fp16_active_ratio",
}
"""GPM metric id -> field of ``GpuSample``; the driver answers percent."""
RATES = {20: "pcie_tx_bytes", 21: "pcie_rx_bytes", 60: "nvlink_rx_bytes", 61: "nvlink_tx_bytes"}
"""GPM metric id -> field; the driver answers MiB per second."""
_IDS = (*RATIOS, *RATES)
_MIN_GAP_NS = 100_000_000
_MIB = 1024 * 1024
_PERCENT_LIMIT = 110
"""Up to here a percentage above 100 is rounding; beyond it is no value."""
_SLOTS = tuple([(name, _PERCENT_LIMIT, True) for name in RATIOS.values()] + [(name, math.inf, False) for name in RATES.values()])
"""Field, limit, and whether it is a ratio, of each metric in the request, in its order."""


class GpmRequest:
    """The one request struct (19 KiB in the present binding), with the metric ids filled in once."""

    def __init__(self, library: Library) -> None:
        self.struct = library.binding.c_nvmlGpmMetricsGet_t()
        self.struct.version = library.binding.NVML_GPM_METRICS_GET_VERSION
        self.struct.numMetrics = len(_IDS)
        for slot, metric_id in enumerate(_IDS):
            self.struct.metrics[slot].metricId = metric_id
        self._put_first, self._put_second = type(self.struct).sample1.__set__, type(self.struct).sample2.__set__
        self.ref = ctypes.byref(self.struct)
        self.answers = layout.raw(self.struct, type(self.struct).metrics.offset, len(_IDS) * layout.GPM_METRIC.size)

    def between(self, first: Any, second: Any) -> None:
        """The two samples to compare; by the fields themselves, for the binding's own attributes pass through Python."""
        self._put_first(self.struct, first)
        self._put_second(self.struct, second)


class Gpm:
    """The pair of samples of one device. ``values`` and ``codes`` hold the last reading."""

    def __init__(self, device: Device, request: GpmRequest) -> None:
        self._device = device
        self._library = device.library
        self._request = request
        self._samples: list[Any] = []
        self._taken_ns: int | None = None
        self.values: dict[str, float] = {}
        """Field of ``GpuSample`` -> ratio, or bytes per second."""
        self.codes: dict[str, int] = {}
        """Field -> code of its own refusal."""
        self.off = nvml.SUCCESS
        """The final refusal of the whole device, or ``SUCCESS``."""

    def read(self, now_ns: int) -> None:
        """Take a sample and, if the previous one is at least 100 ms old, the values between the two.

        Sooner than that nothing is asked: the driver's values would be invalid.
        """
        self.values.clear()
        self.codes.clear()
        if self.off or (self._taken_ns is not None and now_ns - self._taken_ns < _MIN_GAP_NS):
            return
        if len(self._samples) < 2 and not self._allocate():
            return
        code = self._take(self._samples[1])
        if code != nvml.SUCCESS:
            if code in nvml.FOR_GOOD or code == nvml.INVALID_ARGUMENT:
                self.off = code
            self._taken_ns = None
            self.codes = dict.fromkeys((*RATIOS.values(), *RATES.values()), code)
            return
        if self._taken_ns is not None:
            self._compare()
        self._taken_ns = now_ns
        self._samples.reverse()

    def forget(self) -> None:
        """Drop the previous sample: what follows has nothing to do with it."""
        self._taken_ns = None

    def close(self) -> None:
        """Give the samples back. To be called before NVML is shut down."""
        for sample in self._samples:
            self._library.call("nvmlGpmSampleFree", sample)
        self._samples.clear()

    def _allocate(self) -> bool:
        while len(self._samples) < 2:
            sample = self._library.binding.c_nvmlGpmSample_t()
            code = self._library.call("nvmlGpmSampleAlloc", ctypes.byref(sample))
            if code != nvml.SUCCESS:
                self.off = code
                return False
            self._samples.append(sample)
        return True

    def _take(self, sample: Any) -> int:
        parent = self._device.parent
        if parent is None:
            return self._device.ask("nvmlGpmSampleGet", sample)
        return parent.ask(
            "nvmlGpmMigSampleGet", ctypes.c_uint(self._device.gi), sample, key=f"nvmlGpmMigSampleGet.{self._device.gi}"
        )

    def _compare(self) -> None:
        self._request.between(*self._samples)
        code = self._library.call("nvmlGpmMetricsGet", self._request.ref)
        values = self.values
        for (name, limit, is_ratio), (answer, value) in zip(_SLOTS, layout.GPM_METRIC.iter_unpack(self._request.answers)):
            if code or answer:
                self.codes[name] = code or answer
            elif not 0 <= value <= limit or value == math.inf:
                self.codes[name] = nvml.UNKNOWN
            elif is_ratio:
                values[name] = min(1.0, value / 100)
            else:
                values[name] = value * _MIB
