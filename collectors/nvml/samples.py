"""Buffered utilization: the driver's own samples (about seven a second), so that no idle moment between two ticks is missed."""

from __future__ import annotations

import ctypes

from gpuwatch.collectors.nvml import layout
from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.devices import Device

GPU_UTILIZATION, MEMORY_UTILIZATION = 1, 2
"""NVML's sampling types."""
_FIRST_CAPACITY = 128
_LONGEST_US = 1_000_000
"""A sample speaks for at most one second (NVML: sample periods of 1/6 to 1 s), and so does the very first reading."""
_PERCENT_LIMIT = 200
"""Above this a value is garbage, not rounding."""


class UtilizationSamples:
    """The time-weighted mean of one kind of a GPU's samples since the last reading.

    Their time is the driver's own, never compared to ours.
    """

    def __init__(self, device: Device, kind: int) -> None:
        self._device = device
        self._kind = kind
        self._key = f"nvmlDeviceGetSamples.{kind}"
        self._seen_us = 0
        self._type, self._count = ctypes.c_uint(), ctypes.c_uint()
        self._refs = (ctypes.byref(self._type), ctypes.byref(self._count))
        self._grow(_FIRST_CAPACITY)

    def forget(self) -> None:
        """After a hole in time: what was sampled in it belongs to no row."""
        self._seen_us = 0

    def _grow(self, capacity: int) -> None:
        self._capacity = capacity
        self._buffer = (self._device.library.binding.c_nvmlSample_t * capacity)()
        self._raw = layout.raw(self._buffer)

    def read(self) -> tuple[int, float | None]:
        """(code, mean percent). ``NOT_FOUND`` means that nothing is newer than the last reading, which is not an error.

        The mean may exceed 100 when the driver's values do; the caller clamps and flags.
        """
        code = self._ask()
        if code == nvml.INSUFFICIENT_SIZE:
            self._grow(max(2 * self._capacity, self._count.value))
            code = self._ask()
        if code != nvml.SUCCESS:
            return code, None
        kind, seen_us = self._type.value, self._seen_us
        filled = layout.SAMPLE.iter_unpack(self._raw[: min(self._count.value, self._capacity) * layout.SAMPLE.size])
        pairs: list[tuple[int, float]]
        if kind == layout.UNSIGNED_INT:  # what drivers say; other types are possible
            pairs = [(at, bits & 0xFFFF_FFFF) for at, bits in filled if at > seen_us]
        else:
            pairs = [(at, layout.number(kind, bits)) for at, bits in filled if at > seen_us]
        return (nvml.SUCCESS, self._mean(sorted(pairs))) if pairs else (nvml.NOT_FOUND, None)

    def _ask(self) -> int:
        self._count.value = self._capacity
        since = ctypes.c_ulonglong(self._seen_us)
        return self._device.ask("nvmlDeviceGetSamples", self._kind, since, *self._refs, self._buffer, key=self._key)

    def _mean(self, pairs: list[tuple[int, float]]) -> float | None:
        newest = pairs[-1][0]
        before = self._seen_us or newest - _LONGEST_US
        self._seen_us = newest
        weight = total = 0.0
        for at, value in pairs:
            if at <= before:
                continue
            span = min(at - before, _LONGEST_US)
            before = at
            if value <= _PERCENT_LIMIT:
                weight += span
                total += span * value
        return total / weight if weight else None
