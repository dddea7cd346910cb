"""Field values: one ``nvmlDeviceGetFieldValues`` per GPU and tick with an own, reused array; and counters that wrap or restart."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

from gpuwatch.collectors.nvml import layout
from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.devices import Device
from gpuwatch.dataclass import dataclass

ALL_LINKS = 0xFFFF_FFFF
"""Scope of the NVLink counters that means the sum over all links."""
_ABSENT = nvml.FOR_GOOD | {nvml.INVALID_ARGUMENT, nvml.NOT_FOUND}


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of the batch. ``slow`` ones are asked only in the ticks of the slow rhythm."""

    name: str
    id: int
    scope: int = 0
    slow: bool = False


FIELDS = (
    Field("power_mw", 186),
    Field("energy_mj", 83),
    Field("pcie_tx_bytes", 197),
    Field("pcie_rx_bytes", 198),
    Field("nvlink_tx_kib", 138, ALL_LINKS),
    Field("nvlink_rx_kib", 139, ALL_LINKS),
    Field("power_cap_ns", 74),
    Field("power_brake_ns", 271),
    Field("thermal_ns", 75),
    Field("thermal_software_ns", 269),
    Field("thermal_hardware_ns", 270),
    Field("memory_temperature_c", 82, slow=True),
    Field("ecc_uncorrected", 4, slow=True),
    Field("power_limit_mw", 190, slow=True),
    Field("remap_pending", 144, slow=True),
    Field("remap_failed", 145, slow=True),
    Field("recovery_action", 230, slow=True),
)


class FieldBatch:
    """The batch of one device. An entry that is refused for good leaves the array, so it costs nothing again."""

    def __init__(self, device: Device, fields: Iterable[Field] = FIELDS) -> None:
        self._device = device
        self.refused: dict[str, int] = {}
        """Name of a field that this device does not have -> code."""
        self.failed: dict[str, int] = {}
        """Name of a field whose last reading failed in passing -> code."""
        self._build(sorted(fields, key=lambda field: field.slow))

    def _build(self, fields: list[Field]) -> None:
        binding = self._device.library.binding
        self._fields = fields
        self._fast_count = sum(not field.slow for field in fields)
        self._array = (binding.c_nvmlFieldValue_t * max(1, len(fields)))()
        for entry, field in zip(self._array, fields, strict=False):
            entry.fieldId, entry.scopeId = field.id, field.scope
        self._array_ref = ctypes.byref(self._array)
        self._raw = layout.raw(self._array)

    def read(self, *, slow: bool) -> dict[str, float]:
        """Ask the driver once; name -> raw value of every entry that answered. Raises ``GpuGone``, ``DriverGone``."""
        count = len(self._fields) if slow else self._fast_count
        self.failed.clear()
        if not count:
            return {}
        code = self._device.ask("nvmlDeviceGetFieldValues", count, self._array_ref)
        if code != nvml.SUCCESS:
            outcome = self.refused if code in nvml.FOR_GOOD else self.failed
            outcome.update((field.name, code) for field in self._fields[:count])
            return {}
        values: dict[str, float] = {}
        gone = False
        answers = layout.FIELD_VALUE.iter_unpack(self._raw[: count * layout.FIELD_VALUE.size])
        for field, (timestamp, kind, answer, bits) in zip(self._fields, answers, strict=False):
            if answer == nvml.SUCCESS:
                if kind != layout.DOUBLE or timestamp or bits:
                    values[field.name] = bits if kind in layout.PLAIN else layout.number(kind, bits)
                    continue
                answer = nvml.NOT_SUPPORTED  # older drivers leave an entry untouched instead of refusing it
            if answer in _ABSENT:
                self.refused[field.name] = answer
                gone = True
            else:
                self.failed[field.name] = answer
        if gone:
            self._build([field for field in self._fields if field.name not in self.refused])
        return values

    def code(self, name: str) -> int:
        """Why ``name`` has no value: the code of its refusal or failure, ``SUCCESS`` if it has one or was not asked yet."""
        return self.refused.get(name) or self.failed.get(name) or nvml.SUCCESS


WRAP = 1 << 32


class Counter:
    """The growth of a counter between two readings. Smaller than before is a wrap at 2^32 or a new epoch, never negative."""

    __slots__ = ("_last", "_wraps")

    def __init__(self, *, wraps: bool = False) -> None:
        self._wraps = wraps
        self._last: int | None = None

    def reset(self) -> None:
        """Forget the last reading: the next one starts an epoch."""
        self._last = None

    def step(self, value: int, expected: float | None = None) -> int | None:
        """The amount since the last reading, ``None`` in the first of an epoch.

        ``expected`` is an independent estimate of that amount: a 32-bit counter of a fast link may have wrapped several times.
        """
        last, self._last = self._last, value
        if last is None:
            return None
        grown = value - last
        if grown < 0:
            if not self._wraps or last >= WRAP:
                return None
            grown += WRAP
        if expected is not None and self._wraps and value < WRAP:
            grown += max(0, round((expected - grown) / WRAP)) * WRAP
        return grown
