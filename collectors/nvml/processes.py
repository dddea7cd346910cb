"""Who runs on a GPU: process lists in own buffers (one call, not two) and utilization per process.

Pids are joined only when both sides are known to speak of the same pid namespace (``PidTrust``): a wrong join would blame a
stranger. The first drivers of the 535 branch write 32-byte entries into a list of 24-byte ones; the written extent shows it.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Literal

from gpuwatch.collectors.nvml import layout
from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.devices import Device
from gpuwatch.collectors.nvml.library import Library
from gpuwatch.dataclass import dataclass

Kind = Literal["compute", "graphics", "mps", ""]
LISTS: dict[Kind, str] = {"compute": "nvmlDeviceGetComputeRunningProcesses", "graphics": "nvmlDeviceGetGraphicsRunningProcesses"}
_PATTERN = 0xA5
_PID_LIMIT = 1 << 22
"""The kernel's largest pid + 1; some Jetson builds answer garbage above it."""
_FIRST_LIST, _FIRST_RING = 64, 128
_PERCENT_LIMIT = 200
_FIRST_US = 3_000_000
"""The first reading gets all that the driver remembers, also of long ago."""


@dataclass(frozen=True, slots=True)
class PidTrust:
    """What may be believed about pids, by driver version and pid namespace (all of it outside a container).

    ``lists``: listed pids are ours; ``memory``: a memory of 0 is real; ``utilization``: its pids are ours;
    ``foreign``: processes of other namespaces may still appear in the utilization.
    """

    lists: bool = True
    memory: bool = True
    utilization: bool = True
    foreign: bool = False


def pid_trust(driver_version: str, *, namespaced: bool) -> PidTrust:
    """Drivers before 545 list host pids; 545 to 560 translate the list alone; 565 memory too; 570 and newer everything."""
    if not namespaced:
        return PidTrust()
    head = driver_version.partition(".")[0]
    major = int(head) if head.isdecimal() else 0
    return PidTrust(lists=major >= 545, memory=major >= 565, utilization=major >= 570, foreign=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """One process in a driver's list; ``memory`` is ``None`` where the driver does not say (WSL2, some containers)."""

    pid: int
    memory: int | None
    gi: int
    ci: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class ProcessUtilization:
    """Percent of the SMs' and of the memory's time, as the driver says; values above 100 are the caller's to clamp."""

    sm: int
    memory: int


Usage = dict[int, ProcessUtilization | None]


class ProcessReader:
    """Reads lists and utilization of all devices with two buffers that are kept and grow."""

    def __init__(self, library: Library, trust: PidTrust) -> None:
        self._library = library
        self._trust = trust
        self._stride: struct.Struct | None = None
        self._grow_list(_FIRST_LIST)
        self._grow_ring(_FIRST_RING)

    def _grow_list(self, capacity: int) -> None:
        self._capacity = capacity
        self._buffer = (ctypes.c_ubyte * (capacity * layout.LONG_PROCESS.size))()
        self._raw = layout.raw(self._buffer)

    def _grow_ring(self, capacity: int) -> None:
        self._ring_capacity = capacity
        self._ring = (self._library.binding.c_nvmlProcessUtilizationSample_t * capacity)()
        self._ring_raw = layout.raw(self._ring)

    def listed(self, device: Device, kind: Kind) -> tuple[int, list[Entry]]:
        """(code, processes of one kind). A list that grew meanwhile is asked for once more with room to spare."""
        code, count = self._ask_list(device, LISTS[kind])
        if code == nvml.INSUFFICIENT_SIZE:
            self._grow_list(2 * max(count, self._capacity) + 5)
            code, count = self._ask_list(device, LISTS[kind])
        if code != nvml.SUCCESS:
            return code, []
        return code, self._parse(min(count, self._capacity), kind)

    def _ask_list(self, device: Device, name: str) -> tuple[int, int]:
        count = ctypes.c_uint(self._capacity)
        if self._stride is None:
            ctypes.memset(self._buffer, _PATTERN, len(self._buffer))
        code = device.ask(f"{name}_v3", ctypes.byref(count), self._buffer)
        if code == nvml.FUNCTION_NOT_FOUND:
            code = device.ask(f"{name}_v2", ctypes.byref(count), self._buffer)
        return code, count.value

    def _parse(self, count: int, kind: Kind) -> list[Entry]:
        if not count:
            return []
        raw = self._raw
        if self._stride is None:
            beyond = raw[count * layout.PROCESS.size : count * layout.LONG_PROCESS.size]
            self._stride = layout.LONG_PROCESS if any(byte != _PATTERN for byte in beyond) else layout.PROCESS
        entries = []
        for pid, memory, gi, ci, *_ in self._stride.iter_unpack(raw[: count * self._stride.size]):
            if 0 < pid < _PID_LIMIT:
                unknown = memory == nvml.NOT_AVAILABLE or (memory == 0 and not self._trust.memory)
                entries.append(Entry(pid, None if unknown else memory, gi, ci, kind))
        return entries

    def utilization(self, device: Device, seen_us: int) -> tuple[int, Usage, int]:
        """(code, pid -> utilization since ``seen_us`` or ``None`` for a doubtful one, new ``seen_us``).

        A process that did nothing is absent, and nothing at all is NOT_FOUND: both are 0, not errors, and the code is then
        ``SUCCESS``. In a container with a driver that answers host pids the code is ``NOT_SUPPORTED``.
        """
        if not self._trust.utilization:
            return nvml.NOT_SUPPORTED, {}, seen_us
        code, count = self._ask_ring(device, seen_us)
        if code == nvml.INSUFFICIENT_SIZE:
            self._grow_ring(max(2 * self._ring_capacity, count))
            code, count = self._ask_ring(device, seen_us)
        if code == nvml.NOT_FOUND:
            return nvml.SUCCESS, {}, seen_us
        if code != nvml.SUCCESS:
            return code, {}, seen_us
        size = layout.PROCESS_UTILIZATION.size
        return (code, *self._merge(self._ring_raw[: min(count, self._ring_capacity) * size], seen_us))

    def _ask_ring(self, device: Device, seen_us: int) -> tuple[int, int]:
        count = ctypes.c_uint(self._ring_capacity)
        code = device.ask("nvmlDeviceGetProcessUtilization", self._ring, ctypes.byref(count), ctypes.c_ulonglong(seen_us))
        return code, count.value

    def _merge(self, ring: memoryview, seen_us: int) -> tuple[Usage, int]:
        rows = [row[:4] for row in layout.PROCESS_UTILIZATION.iter_unpack(ring) if row[1] > seen_us and row[0]]
        if not rows:
            return {}, seen_us
        newest = max(at for _, at, _, _ in rows)
        oldest = seen_us or newest - _FIRST_US
        sums: dict[int, list[int]] = {}
        instants: set[tuple[int, int]] = set()
        doubtful: set[int] = set()
        for pid, at, sm, memory in rows:
            if at < oldest:
                continue
            if self._trust.foreign and (pid, at) in instants:
                doubtful.add(pid)  # a foreign process keeps its host pid, which may equal one of ours
            instants.add((pid, at))
            total = sums.setdefault(pid, [0, 0, 0])
            if sm <= _PERCENT_LIMIT and memory <= _PERCENT_LIMIT:  # beyond is garbage, which is not 0 either
                total[0] += sm
                total[1] += memory
                total[2] += 1
        merged = {
            pid: ProcessUtilization(round(sm / n), round(memory / n)) if n and pid not in doubtful else None
            for pid, (sm, memory, n) in sums.items()
        }
        return merged, newest
