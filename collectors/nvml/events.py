"""XID errors and MIG changes from NVML's event set, polled without waiting: a timeout is the normal answer."""

from __future__ import annotations

import ctypes
from typing import Any

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.devices import Device
from gpuwatch.collectors.nvml.library import Library
from gpuwatch.dataclass import dataclass
from gpuwatch.names import Severity

XID, MIG_CHANGE = 0x8, 0x100
_MOST_PER_TICK = 32

_XIDS: dict[int, tuple[Severity, str]] = {
    13: (Severity.WARNING, "graphics engine exception, usually an application's invalid access"),
    31: (Severity.WARNING, "memory page fault, usually an application's invalid access"),
    43: (Severity.WARNING, "the application's channel was stopped after an error"),
    45: (Severity.WARNING, "channel removed, usually after an application was killed"),
    48: (Severity.CRITICAL, "double-bit ECC error"),
    61: (Severity.CRITICAL, "internal micro-controller breakpoint"),
    62: (Severity.CRITICAL, "internal micro-controller halt"),
    63: (Severity.WARNING, "a memory row was remapped or a page retired"),
    64: (Severity.CRITICAL, "remapping a memory row failed"),
    68: (Severity.WARNING, "video processor exception"),
    74: (Severity.CRITICAL, "NVLink error"),
    79: (Severity.CRITICAL, "GPU has fallen off the bus"),
    92: (Severity.WARNING, "high rate of single-bit ECC errors"),
    94: (Severity.CRITICAL, "contained memory error: the application must end"),
    95: (Severity.CRITICAL, "uncontained memory error: the GPU needs a reset"),
    109: (Severity.WARNING, "context switch timed out"),
    119: (Severity.CRITICAL, "GPU system processor does not answer"),
    120: (Severity.CRITICAL, "GPU system processor error"),
    140: (Severity.CRITICAL, "uncorrected ECC error"),
}
"""Known XIDs: how bad, and what they mean (NVIDIA's XID catalogue)."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One event of the driver; ``device`` is ``None`` when its handle is not known."""

    device: Device | None
    kind: int
    data: int


def describe_xid(code: int) -> tuple[Severity, str]:
    """Severity and text of an XID."""
    severity, text = _XIDS.get(code, (Severity.WARNING, "see NVIDIA's XID catalogue"))
    return severity, f"XID {code}: {text}"


class EventSet:
    """The event set of all devices. A device that cannot register is healthy all the same."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._set: Any = None
        self._devices: dict[int, Device] = {}
        self._data = library.binding.c_nvmlEventData_t()

    def open(self, devices: list[Device]) -> None:
        """Register XIDs, and MIG changes where the driver allows it, on every device."""
        handle = self._library.binding.c_nvmlEventSet_t()
        if self._library.call("nvmlEventSetCreate", ctypes.byref(handle)) != nvml.SUCCESS:
            return
        self._set = handle
        for device in devices:
            self.add(device)
        if not self._devices:
            self.close()

    def add(self, device: Device) -> None:
        """Register one device, e.g. one that came back; harmless where events are not supported."""
        if self._set is not None and any(self._register(device, mask) for mask in (XID | MIG_CHANGE, XID)):
            self._devices[_address(device.handle)] = device

    def _register(self, device: Device, mask: int) -> bool:
        return self._library.call("nvmlDeviceRegisterEvents", device.handle, ctypes.c_ulonglong(mask), self._set) == nvml.SUCCESS

    def poll(self) -> list[Notice]:
        """What happened since the last poll; waits for nothing."""
        notices: list[Notice] = []
        while self._set is not None and len(notices) < _MOST_PER_TICK:
            if self._library.call("nvmlEventSetWait_v2", self._set, ctypes.byref(self._data), ctypes.c_uint(0)) != nvml.SUCCESS:
                break
            device = self._devices.get(_address(self._data.device))
            notices.append(Notice(device, int(self._data.eventType), int(self._data.eventData)))
        return notices

    def close(self) -> None:
        """Give the set back. To be called before NVML is shut down."""
        if self._set is not None:
            handle, self._set = self._set, None
            self._devices.clear()
            self._library.call("nvmlEventSetFree", handle)


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0
