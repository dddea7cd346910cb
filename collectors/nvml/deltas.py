"""From growing counters to amounts within a row: energy, bytes over PCIe and NVLink, time with lowered clocks."""

from __future__ import annotations

import ctypes

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.devices import Device
from gpuwatch.collectors.nvml.fields import Counter, FieldBatch
from gpuwatch.collectors.nvml.reasons import Readings
from gpuwatch.names import Missing

_TRAFFIC = {
    "pcie_tx_bytes": ("pcie_tx_bytes", 1),
    "pcie_rx_bytes": ("pcie_rx_bytes", 1),
    "nvlink_tx_bytes": ("nvlink_tx_kib", 1024),
    "nvlink_rx_bytes": ("nvlink_rx_kib", 1024),
}
"""Field of ``GpuSample`` -> (field of the batch, its unit in bytes)."""
_THROTTLES = {
    "power_throttled_seconds": ("power_cap_ns", "power_brake_ns"),
    "thermal_throttled_seconds": ("thermal_ns", "thermal_hardware_ns", "thermal_software_ns"),
}
"""Field of ``GpuSample`` -> counters of nanoseconds; they overlap, so the largest growth counts."""
_INDISPENSABLE = "power_cap_ns"
"""A GPU that counts only the rare power brake does not tell how long its power was capped."""
_SLACK = 1.5
"""A counter that is updated late may show a little more than the span; much more means another unit."""


class Deltas:
    """The counters of one GPU and the instant of their last reading."""

    def __init__(self, device: Device, batch: FieldBatch, readings: Readings) -> None:
        self._device, self._batch, self._readings = device, batch, readings
        self._energy = Counter()
        self._traffic = {source: Counter(wraps=True) for source, _ in _TRAFFIC.values()}
        self._throttles = {source: Counter() for sources in _THROTTLES.values() for source in sources}
        self._total_mj = ctypes.c_ulonglong()

    def reset(self, *, energy: bool = True) -> None:
        """Begin anew: the next reading gives no amounts. Without ``energy`` that counter goes on, over a hole in time too."""
        if energy:
            self._energy.reset()
        for counter in (*self._traffic.values(), *self._throttles.values()):
            counter.reset()

    def settle(self, values: dict[str, float], span: float | None, rates: dict[str, float] | None) -> None:
        """Put the amounts since the last reading, ``span`` seconds ago (``None``: no span for a row).

        ``rates`` are bytes per second from GPM (``None``: no GPM here): a second opinion on counters that wrap, and the
        replacement of absent ones.
        """
        if span is None:
            self.reset(energy=False)
        self._settle_energy(values.get("energy_mj"))
        for name, (source, unit) in _TRAFFIC.items():
            self._settle_traffic(name, source, unit, values.get(source), span, rates)
        for name, sources in _THROTTLES.items():
            self._settle_throttle(name, sources, values, span)

    def _settle_energy(self, total: float | None) -> None:
        code = nvml.SUCCESS
        if total is None:
            code = self._device.ask("nvmlDeviceGetTotalEnergyConsumption", ctypes.byref(self._total_mj))
            total = self._total_mj.value
        if code != nvml.SUCCESS:
            self._readings.lack("energy_joules", nvml.why(code))
            return
        used = self._energy.step(int(total))
        if used is None:  # a driver reload or GPU reset sets all counters to zero, also those that may wrap
            for counter in (*self._traffic.values(), *self._throttles.values()):
                counter.reset()
            self._readings.lack("energy_joules", Missing.STALE)
        else:
            self._readings.put("energy_joules", used / 1000)

    def _settle_traffic(
        self, name: str, source: str, unit: int, raw: float | None, span: float | None, rates: dict[str, float] | None
    ) -> None:
        rate = rates.get(name) if rates else None
        amount = rate * span if rate is not None and span is not None else None
        if raw is not None:
            grown = self._traffic[source].step(int(raw), None if amount is None else amount / unit)
            amount = None if grown is None else grown * unit
        if amount is not None:
            self._readings.put(name, amount)
        elif raw is not None or (rates is not None and span is None):
            self._readings.lack(name, Missing.STALE)
        else:
            self._readings.lack(name, nvml.why(self._batch.code(source)))

    def _settle_throttle(self, name: str, sources: tuple[str, ...], values: dict[str, float], span: float | None) -> None:
        known = [source for source in sources if source in values]
        if not known or (_INDISPENSABLE in sources and _INDISPENSABLE not in values):
            self._readings.lack(name, nvml.why(self._batch.code(sources[0])))
            return
        longest = -1.0
        for source in known:
            grown = self._throttles[source].step(int(values[source]))
            if grown is not None:
                longest = max(longest, grown / 1e9)
        if longest < 0 or span is None:
            self._readings.lack(name, Missing.STALE)
        elif longest > span * _SLACK:
            self._readings.lack(name, Missing.DRIVER_ERROR)
        else:
            self._readings.put(name, min(span, longest))
