"""A device handle that remembers what it cannot do, and the facts of a GPU that change rarely (``Gpu``)."""

from __future__ import annotations

import ctypes
from typing import Any

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.library import GpuGone, Library
from gpuwatch.dataclass import dataclass, field
from gpuwatch.model import Gpu
from gpuwatch.text import clean_bytes

_CLOCK_SM, _CLOCK_MEMORY = 1, 2
_THRESHOLD_SLOWDOWN = 1
_LINK_COUNT_LIMIT = 36
_NOT_A_SERIAL = frozenset({"", "0", "N/A", "[N/A]", "Unknown"})
_ARCHITECTURES = {
    2: "Kepler",
    3: "Maxwell",
    4: "Pascal",
    5: "Volta",
    6: "Turing",
    7: "Ampere",
    8: "Ada",
    9: "Hopper",
    10: "Blackwell",
    13: "Rubin",
}


@dataclass(slots=True, eq=False)
class Device:
    """One NVML handle: a GPU, or a MIG device of ``parent`` with its GPU instance ``gi`` and compute instance ``ci``.

    ``refused`` maps a call (with its argument where that matters) to the answer that will not change until the next open.
    """

    library: Library
    handle: Any
    index: int
    uuid: str
    bus_id: str = ""
    parent: Device | None = None
    gi: int = nvml.NO_INSTANCE
    ci: int = nvml.NO_INSTANCE
    refused: dict[str, int] = field(default_factory=dict)
    _out: Any = field(default_factory=ctypes.c_uint)
    _out2: Any = field(default_factory=ctypes.c_uint)

    def ask(self, name: str, *args: Any, key: str = "") -> int:
        """Call ``name(handle, …)`` and return the code. A final refusal is remembered under ``key`` or ``name``.

        Raises :class:`GpuGone` when this GPU is lost, ``DriverGone`` when the driver is.
        """
        key = key or name
        known = self.refused.get(key)
        if known is not None:
            return known
        code = self.library.call(name, self.handle, *args)
        if code:
            if code in nvml.FOR_GOOD:
                self.refused[key] = code
            elif code in nvml.GPU_GONE:
                raise GpuGone(code, name)
        return code

    def number(self, name: str, *args: int) -> tuple[int, int]:
        """(code, value) of a call whose last argument is one unsigned integer."""
        key = f"{name}.{args[0]}" if args else name
        return self.ask(name, *args, ctypes.byref(self._out), key=key), self._out.value

    def pair(self, name: str) -> tuple[int, int, int]:
        """(code, first, second) of a call that fills two unsigned integers."""
        return self.ask(name, ctypes.byref(self._out), ctypes.byref(self._out2)), self._out.value, self._out2.value

    def value(self, name: str, *args: int) -> int | None:
        """The value of :meth:`number`, or ``None`` for any refusal."""
        code, value = self.number(name, *args)
        return value if code == nvml.SUCCESS else None

    def text(self, name: str, size: int = 96) -> str:
        """A cleaned string, or empty."""
        buffer = ctypes.create_string_buffer(size)
        return clean_bytes(buffer.value) if self.ask(name, buffer, ctypes.c_uint(size)) == nvml.SUCCESS else ""


def bus_id_of(library: Library, handle: Any) -> str:
    """The PCI address as sysfs writes it (``0000:1b:00.0``), or empty."""
    info = library.binding.nvmlPciInfo_t()
    if library.call("nvmlDeviceGetPciInfo_v3", handle, ctypes.byref(info)) != nvml.SUCCESS:
        return ""
    text = info.busId  # bytes in some versions of the binding, text in others
    domain, _, rest = clean_bytes(text if isinstance(text, bytes) else text.encode()).lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def describe(device: Device) -> Gpu:
    """Every rarely changing fact of a whole GPU; about thirty calls, made when the driver is opened."""
    minimum_watts, limit_max = _limit_range(device)
    memory_total, reserved = _memory(device)
    return Gpu(
        uuid=device.uuid,
        index=device.index,
        name=device.text("nvmlDeviceGetName"),
        mig_enabled=mig_enabled(device),
        memory_total_bytes=memory_total,
        memory_reserved_bytes=reserved,
        power_limit_watts=_watts(device.value("nvmlDeviceGetEnforcedPowerLimit")),
        power_limit_default_watts=_watts(device.value("nvmlDeviceGetPowerManagementDefaultLimit")),
        power_limit_max_watts=limit_max if minimum_watts is not None else None,
        sm_clock_max_hertz=_hertz(device.value("nvmlDeviceGetMaxClockInfo", _CLOCK_SM)),
        memory_clock_max_hertz=_hertz(device.value("nvmlDeviceGetMaxClockInfo", _CLOCK_MEMORY)),
        pci_bus_id=device.bus_id,
        pcie_generation_max=device.value("nvmlDeviceGetMaxPcieLinkGeneration"),
        pcie_width_max=device.value("nvmlDeviceGetMaxPcieLinkWidth"),
        nvlink_count=active_links(device),
        architecture=_ARCHITECTURES.get(device.value("nvmlDeviceGetArchitecture") or 0, ""),
        compute_capability=_capability(device),
        serial=serial(device),
        ecc_enabled=_ecc(device),
        persistence_mode=persistence(device),
        gpm_supported=gpm_supported(device),
        temperature_limit_celsius=device.value("nvmlDeviceGetTemperatureThreshold", _THRESHOLD_SLOWDOWN),
    )


def serial(device: Device) -> str:
    """The board's serial number; GeForce boards answer "0" with success, which is none."""
    found = device.text("nvmlDeviceGetSerial", 30)
    return "" if found in _NOT_A_SERIAL else found


def persistence(device: Device) -> bool | None:
    """Whether the driver stays initialised without clients."""
    found = device.value("nvmlDeviceGetPersistenceMode")
    return None if found is None else bool(found)


def mig_enabled(device: Device) -> bool:
    """Whether the GPU is cut into MIG instances now (not merely after the next reset)."""
    code, current, _pending = device.pair("nvmlDeviceGetMigMode")
    return code == nvml.SUCCESS and current == 1


def gpm_supported(device: Device) -> bool | None:
    """Whether GPM counters exist; an older driver lacks the call, an older GPU answers 0 with success."""
    support = device.library.binding.c_nvmlGpmSupport_t()
    support.version = device.library.binding.NVML_GPM_SUPPORT_VERSION
    code = device.ask("nvmlGpmQueryDeviceSupport", ctypes.byref(support))
    return bool(support.isSupportedDevice) if code == nvml.SUCCESS else False


def link_state(device: Device, link: int) -> bool | None:
    """Whether an NVLink is up; ``None`` if the GPU has no link of that number (absent ones answer INVALID_ARGUMENT)."""
    if link >= _LINK_COUNT_LIMIT:
        return None
    code = device.ask("nvmlDeviceGetNvLinkState", link, ctypes.byref(device._out))
    return device._out.value == 1 if code == nvml.SUCCESS else None


def active_links(device: Device) -> int | None:
    """Number of NVLinks that are up; ``None`` where there are none."""
    states: list[bool] = []
    while (state := link_state(device, len(states))) is not None:
        states.append(state)
    return sum(states) if states else None


def _memory(device: Device) -> tuple[int | None, int | None]:
    info = device.library.binding.c_nvmlMemory_v2_t()
    info.version = memory_version(info)
    if device.ask("nvmlDeviceGetMemoryInfo_v2", ctypes.byref(info)) == nvml.SUCCESS:
        return _bytes(info.total), _bytes(info.reserved)
    first = device.library.binding.c_nvmlMemory_t()
    if device.ask("nvmlDeviceGetMemoryInfo", ctypes.byref(first)) == nvml.SUCCESS:
        return _bytes(first.total), None
    return None, None


def memory_version(info: Any) -> int:
    """NVML's version word of a versioned struct, here version 2: size | version << 24."""
    return ctypes.sizeof(info) | 2 << 24


def _bytes(value: int) -> int | None:
    return None if value in (0, nvml.NOT_AVAILABLE) else value


def _limit_range(device: Device) -> tuple[int | None, float | None]:
    code, low, high = device.pair("nvmlDeviceGetPowerManagementLimitConstraints")
    return (low, high / 1000) if code == nvml.SUCCESS and high else (None, None)


def _watts(milliwatts: int | None) -> float | None:
    return milliwatts / 1000 if milliwatts else None


def _hertz(megahertz: int | None) -> int | None:
    return megahertz * 1_000_000 if megahertz else None


def _capability(device: Device) -> str:
    code, major, minor = device.pair("nvmlDeviceGetCudaComputeCapability")
    return f"{major}.{minor}" if code == nvml.SUCCESS else ""


def _ecc(device: Device) -> bool | None:
    code, current, _pending = device.pair("nvmlDeviceGetEccMode")
    return bool(current) if code == nvml.SUCCESS else None
