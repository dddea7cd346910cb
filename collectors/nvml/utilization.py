"""How busy a GPU is: the means of the driver's buffered samples, or where it has none, the last values that it computed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.devices import Device
from gpuwatch.collectors.nvml.reasons import Readings
from gpuwatch.collectors.nvml.samples import GPU_UTILIZATION, MEMORY_UTILIZATION, UtilizationSamples
from gpuwatch.model import Gpu
from gpuwatch.names import Missing

_GARBAGE_PERCENT = 200
_EMPTY = 0.02
_CODECS = {
    "encoder_utilization_ratio": "nvmlDeviceGetEncoderUtilization",
    "decoder_utilization_ratio": "nvmlDeviceGetDecoderUtilization",
}

Flag = Callable[[Device, str, int], None]
"""Told about an impossible value: device, what, raw value."""


class Utilization:
    """The percentages of one whole GPU. Above 100 they are cut and flagged, far above they are no value."""

    def __init__(self, device: Device, readings: Readings, flag: Flag) -> None:
        self._device = device
        self._readings = readings
        self._flag = flag
        self._gpu = UtilizationSamples(device, GPU_UTILIZATION)
        self._memory = UtilizationSamples(device, MEMORY_UTILIZATION)
        self._rates = device.library.binding.c_nvmlUtilization_t()

    def forget(self) -> None:
        """After a hole in time: what was sampled in it belongs to no row."""
        self._gpu.forget()
        self._memory.forget()

    def read(self, gpu: Gpu, *, first: bool) -> None:
        """Put utilization of the GPU and of its memory; memory in use must have been read before."""
        readings = self._readings
        busy = self._gpu.read()[1]
        memory = None if busy is None else self._memory.read()[1]
        code, rates = nvml.SUCCESS, self._rates
        if busy is None or memory is None:
            code = self._device.ask("nvmlDeviceGetUtilizationRates", ctypes.byref(rates))
        self._percent("utilization_ratio", code if busy is None else nvml.SUCCESS, rates.gpu if busy is None else busy)
        self._percent("memory_utilization_ratio", code, rates.memory if memory is None else memory)
        if code == nvml.SUCCESS and gpu.memory_total_bytes is None and readings["memory_used_bytes"] is None:
            readings.lack("memory_utilization_ratio", Missing.NOT_SUPPORTED)  # unified memory answers a constant 0
        if first and gpu.persistence_mode is False and self._looks_like_start(gpu):
            readings.lack("utilization_ratio", Missing.STALE)

    def _looks_like_start(self, gpu: Gpu) -> bool:
        """Without persistence the first reading after init shows the driver's own start (100 %, ECC scrub) on an empty GPU."""
        used, total = self._readings["memory_used_bytes"], gpu.memory_total_bytes
        return used is not None and total is not None and used < _EMPTY * total

    @property
    def codecs_are_busy(self) -> bool:
        """Whether a video engine worked when they were last read."""
        return any(self._readings[name] for name in _CODECS)

    def read_codecs(self) -> None:
        """Put utilization of the video encoder and decoder."""
        for name, call in _CODECS.items():
            code, percent, _period = self._device.pair(call)
            self._percent(name, code, percent)

    def _percent(self, name: str, code: int, percent: float) -> None:
        if code == nvml.SUCCESS and percent > 100:
            self._flag(self._device, name, int(percent))
        if code != nvml.SUCCESS:
            self._readings.lack(name, nvml.why(code))
        elif percent > _GARBAGE_PERCENT:
            self._readings.lack(name, Missing.DRIVER_ERROR)
        else:
            self._readings.put(name, min(1.0, percent / 100))
