"""Reading one GPU at one tick: what is asked every second, what less often, and how raw answers become values.

Rhythm (seconds): 1 field batch, memory, utilization, SM clock, clock reasons, GPM; 3 temperature; 5 limit and the slow fields; 6 one
NVLink after the other; 10 PCIe link, performance state; 15 the video engines while they are idle; 30 memory clock, ECC where it is no
field, persistence.
Slow readings of the GPUs are spread over the seconds. A value stays until it is read again; a failed reading removes it.
"""

from __future__ import annotations

import ctypes

from gpuwatch.collectors.nvml import devices, layout
from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.deltas import Deltas
from gpuwatch.collectors.nvml.devices import Device
from gpuwatch.collectors.nvml.fields import FieldBatch
from gpuwatch.collectors.nvml.gpm import RATIOS, Gpm, GpmRequest
from gpuwatch.collectors.nvml.links import Links
from gpuwatch.collectors.nvml.reasons import Readings
from gpuwatch.collectors.nvml.utilization import Flag, Utilization
from gpuwatch.dataclass import replace
from gpuwatch.measure import told
from gpuwatch.model import Gpu, GpuSample
from gpuwatch.names import Missing

_CLOCK_SM, _CLOCK_MEMORY = 1, 2
_UNCORRECTED, _VOLATILE = 1, 0
_NO_PERFORMANCE_STATE = 32
_ON_INSTANCES = {"utilization_ratio", "memory_used_bytes", "process_count", *RATIOS.values()}
_NOT_ON_INSTANCES = tuple(name for name in told(GpuSample) if name not in _ON_INSTANCES)
_HEALTH = ("remap_pending", "remap_failed", "recovery_action")


class Rhythm:
    """Which periods are due at a grid second; every period is due in the first tick. ``offset`` spreads GPUs over the seconds."""

    def __init__(self, offset: int = 0) -> None:
        self._offset = offset
        self._next: dict[str, int] = {}

    def due(self, what: str, period: int, second: int) -> bool:
        """True once per ``period``; late ticks do not shift the grid, a clock that was set back does not stop it."""
        upcoming = self._next.get(what)
        if upcoming is not None and upcoming - period <= second < upcoming:
            return False
        self._next[what] = second - (second - self._offset) % period + period
        return True


class GpuReader:
    """The reader of one GPU or MIG device. Keeps its buffers, counters and latest readings."""

    def __init__(self, device: Device, gpu: Gpu, request: GpmRequest, flag: Flag, *, lone_instance: bool = True) -> None:
        self.device = device
        self.gpu = gpu
        self.readings = Readings(device.uuid)
        self.health: dict[str, int] = {}
        """Latest of remap_pending, remap_failed, recovery_action, where the driver has them."""
        self.handle_is_stale = False
        """A MIG device whose handle answers no more: the GPU was cut anew."""
        self._whole = device.parent is None
        self._rhythm = Rhythm(device.index)
        self._memory = device.library.binding.c_nvmlMemory_v2_t()
        self._memory.version = devices.memory_version(self._memory)
        self._memory_raw = layout.raw(self._memory)
        self._memory_v1 = device.library.binding.c_nvmlMemory_t()
        self._mask, self._count = ctypes.c_ulonglong(), ctypes.c_ulonglong()
        self._batch = FieldBatch(device)
        self._deltas = Deltas(device, self._batch, self.readings)
        self._utilization = Utilization(device, self.readings, flag)
        self._links = Links(device, self.readings, gpu.nvlink_count)
        # two compute instances of one GPU instance share its counters: they would count each other's work
        self._gpm = Gpm(device, request) if gpu.gpm_supported and lone_instance else None
        self._read_ns: int | None = None
        self._first = True

    def tick(self, second: int, now_ns: int, longest_seconds: float) -> None:
        """Read what is due; a row speaks for at most ``longest_seconds``, so counters that grew for longer begin anew.

        Raises ``GpuGone`` and ``DriverGone``; any other refusal becomes a reason.
        """
        last, self._read_ns = self._read_ns, now_ns
        span = None if last is None else (now_ns - last) / 1e9
        if span is not None and not 0 < span <= longest_seconds:
            span = None
            self.forget(energy=False)  # what was used meanwhile is known, and belongs to the gap
            self._read_ns = now_ns
        self._read_memory()
        self._read_gpm(now_ns)
        if self._whole:
            slow = self._rhythm.due("slow", 5, second)
            values = self._batch.read(slow=slow)
            self._read_power(values)
            self._deltas.settle(values, span, self._gpm.values if self._gpm else None)
            self._utilization.read(self.gpu, first=self._first)
            self._read_clocks(second)
            self._read_temperature(second)
            if self._rhythm.due("codecs", 2 if self._utilization.codecs_are_busy else 15, second):
                self._utilization.read_codecs()
            if slow:
                self._read_slow(values)
            if self._rhythm.due("board", 10, second):
                self._links.read_pcie()
                self._read_performance_state()
            if self._rhythm.due("rare", 30, second):
                self._read_rare()
            if self._rhythm.due("nvlink", 6, second):
                self._links.read_next_nvlink()
        else:
            self._settle_instance()
        self._first = False

    def forget(self, *, energy: bool = True) -> None:
        """After a hole in time (lost, asleep): counters and GPM begin anew, and everything is due."""
        self._read_ns = None
        self._first = True
        self._rhythm = Rhythm(self.device.index)
        self._deltas.reset(energy=energy)
        self._utilization.forget()
        if self._gpm:
            self._gpm.forget()

    def close(self) -> None:
        """Give back what the driver lent."""
        if self._gpm:
            self._gpm.close()

    def _read_memory(self) -> None:
        code = first = self.device.ask("nvmlDeviceGetMemoryInfo_v2", ctypes.byref(self._memory))
        used = layout.MEMORY.unpack_from(self._memory_raw)[4]
        if code != nvml.SUCCESS:
            code = self.device.ask("nvmlDeviceGetMemoryInfo", ctypes.byref(self._memory_v1))
            used = self._memory_v1.used
            if used != nvml.NOT_AVAILABLE:  # version 1 counts the driver's reserve as used
                used = max(0, used - (self.gpu.memory_reserved_bytes or 0))
        self.handle_is_stale = not self._whole and code in (nvml.INVALID_ARGUMENT, nvml.NOT_FOUND)
        if code != nvml.SUCCESS:
            self.readings.lack("memory_used_bytes", nvml.why(first if first == nvml.NO_PERMISSION else code))
        elif used == nvml.NOT_AVAILABLE:
            self.readings.lack("memory_used_bytes", Missing.NOT_SUPPORTED)
        else:
            self.readings.put("memory_used_bytes", used)

    def _read_gpm(self, now_ns: int) -> None:
        gpm = self._gpm
        if gpm is None:
            if self._first:
                for name in RATIOS.values():
                    self.readings.lack(name, Missing.NOT_SUPPORTED)
            return
        gpm.read(now_ns)
        values = gpm.values
        if values and not gpm.codes:
            self.readings.put_all({name: values[name] for name in RATIOS.values()})
            return
        for name in RATIOS.values():
            if name in values:
                self.readings.put(name, values[name])
            else:
                code = gpm.off or gpm.codes.get(name)
                self.readings.lack(name, nvml.why(code) if code else Missing.STALE)

    def _read_power(self, values: dict[str, float]) -> None:
        code, milliwatts = nvml.SUCCESS, values.get("power_mw")
        if milliwatts is None:
            code, milliwatts = self.device.number("nvmlDeviceGetPowerUsage")
        self.readings.settle("power_watts", code, milliwatts / 1000)

    def _read_clocks(self, second: int) -> None:
        self._clock("sm_clock_hertz", _CLOCK_SM, self.gpu.sm_clock_max_hertz)
        if self._rhythm.due("memory clock", 30, second):
            self._clock("memory_clock_hertz", _CLOCK_MEMORY, self.gpu.memory_clock_max_hertz)
        mask = ctypes.byref(self._mask)
        code = self.device.ask("nvmlDeviceGetCurrentClocksEventReasons", mask)
        if code == nvml.FUNCTION_NOT_FOUND:  # its name before driver 535
            code = self.device.ask("nvmlDeviceGetCurrentClocksThrottleReasons", mask)
        self.readings.settle("clock_event_reasons", code, self._mask.value)

    def _clock(self, name: str, which: int, highest: int | None) -> None:
        """0 MHz is real on some idle GPUs, but not where the highest clock is 0 as well (vGPU)."""
        code, megahertz = self.device.number("nvmlDeviceGetClockInfo", which)
        if code == nvml.SUCCESS and megahertz == 0 and not highest:
            self.readings.lack(name, Missing.NOT_SUPPORTED)
        else:
            self.readings.settle(name, code, megahertz * 1_000_000)

    def _read_temperature(self, second: int) -> None:
        if self._rhythm.due("temperature", 3, second):
            code, celsius = self.device.number("nvmlDeviceGetTemperature", 0)
            self._positive("temperature_celsius", code, celsius)

    def _read_slow(self, values: dict[str, float]) -> None:
        batch = self._batch
        self._positive("memory_temperature_celsius", batch.code("memory_temperature_c"), values.get("memory_temperature_c", 0))
        code, limit = nvml.SUCCESS, values.get("power_limit_mw")
        if limit is None:
            code, limit = self.device.number("nvmlDeviceGetEnforcedPowerLimit")
        self._positive("power_limit_watts", code, limit / 1000)
        if code == nvml.SUCCESS and limit and self.gpu.power_limit_watts != limit / 1000:
            self.gpu = replace(self.gpu, power_limit_watts=limit / 1000)
        if "ecc_uncorrected" in values:
            self.readings.put("ecc_uncorrected_total", int(values["ecc_uncorrected"]))
        self.health |= {name: int(values[name]) for name in _HEALTH if name in values}

    def _read_performance_state(self) -> None:
        code, state = self.device.number("nvmlDeviceGetPerformanceState")
        unknown = code == nvml.SUCCESS and state >= _NO_PERFORMANCE_STATE
        self.readings.settle("performance_state", nvml.NOT_SUPPORTED if unknown else code, state)

    def _positive(self, name: str, code: int, value: float) -> None:
        """A quantity that cannot be 0 on a running GPU: some drivers answer 0 with success where they know nothing (vGPU)."""
        self.readings.settle(name, nvml.NOT_SUPPORTED if code == nvml.SUCCESS and value <= 0 else code, value)

    def _read_rare(self) -> None:
        if self.readings["ecc_uncorrected_total"] is None or "ecc_uncorrected" in self._batch.refused:
            code = self.device.ask("nvmlDeviceGetTotalEccErrors", _UNCORRECTED, _VOLATILE, ctypes.byref(self._count))
            self.readings.settle("ecc_uncorrected_total", code, self._count.value)
        self._read_remapped_rows()
        persistent, reserved = devices.persistence(self.device), self._memory.reserved or None
        if "nvmlDeviceGetMemoryInfo_v2" in self.device.refused or reserved == nvml.NOT_AVAILABLE:
            reserved = self.gpu.memory_reserved_bytes
        if (persistent, reserved) != (self.gpu.persistence_mode, self.gpu.memory_reserved_bytes):
            self.gpu = replace(self.gpu, persistence_mode=persistent, memory_reserved_bytes=reserved)

    def _read_remapped_rows(self) -> None:
        """The row remapper's state, where it is no field."""
        if "remap_pending" in self._batch.refused:
            rows = [ctypes.c_uint() for _ in range(4)]  # correctable, uncorrectable, pending, failed
            if self.device.ask("nvmlDeviceGetRemappedRows", *map(ctypes.byref, rows)) == nvml.SUCCESS:
                self.health |= {"remap_pending": rows[2].value, "remap_failed": rows[3].value}

    def _settle_instance(self) -> None:
        """A MIG device has memory, GPM and processes; the rest belongs to its parent."""
        active = self.readings["graphics_active_ratio"]
        if active is not None:
            self.readings.put("utilization_ratio", active)
        else:
            reason = Missing.STALE if self._gpm and not self._gpm.off else Missing.NOT_SUPPORTED
            self.readings.lack("utilization_ratio", reason)
        if self._first:
            for name in _NOT_ON_INSTANCES:
                self.readings.lack(name, Missing.NOT_SUPPORTED)
