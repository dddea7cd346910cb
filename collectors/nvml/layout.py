"""Memory layouts of NVML's records (C ABI), to read whole arrays at once: the binding's attribute access costs more than a call.

Parts that nobody reads are padding here: unpacking makes no object of them.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any, Final

FIELD_VALUE: Final = struct.Struct("@8xq8xIIQ")
"""(fieldId, scopeId,) timestamp (us), (latency,) valueType, nvmlReturn, value."""
SAMPLE: Final = struct.Struct("@QQ")
"""timeStamp (us), sampleValue."""
PROCESS_UTILIZATION: Final = struct.Struct("@IQIIII")
"""pid, timeStamp (us), smUtil, memUtil, encUtil, decUtil."""
GPM_METRIC: Final = struct.Struct(f"@4xId{3 * struct.calcsize('P')}x")
"""(metricId,) nvmlReturn, value (, three names)."""
MEMORY: Final = struct.Struct("@I4xQQQQ")
"""version, total, reserved, free, used (version 2)."""
PROCESS: Final = struct.Struct("@IQII")
"""pid, usedGpuMemory, gpuInstanceId, computeInstanceId."""
LONG_PROCESS: Final = struct.Struct("@IQIIQ")
"""The same with protected memory, as the first drivers of the 535 branch write it."""

_DOUBLE, _UNSIGNED_INT, _SIGNED_LONG_LONG, _SIGNED_INT, _UNSIGNED_SHORT = 0, 1, 4, 5, 6
DOUBLE: Final = _DOUBLE
PLAIN: Final = frozenset({2, 3})
"""Value types (unsigned long, unsigned long long) whose 64 bits are the number itself."""
UNSIGNED_INT: Final = _UNSIGNED_INT


def raw(record: Any, offset: int = 0, size: int | None = None) -> memoryview:
    """The bytes of a ctypes array or struct, shared, from ``offset`` on."""
    size = ctypes.sizeof(record) - offset if size is None else size
    return memoryview((ctypes.c_ubyte * size).from_buffer(record, offset)).cast("B")


def number(kind: int, value: int) -> float | int:
    """The number in an ``nvmlValue_t`` (given as its 64 bits) of NVML's value type ``kind``."""
    if kind == _UNSIGNED_INT:
        return value & 0xFFFF_FFFF
    if kind == _DOUBLE:
        return float(struct.unpack("d", struct.pack("Q", value))[0])
    if kind == _SIGNED_LONG_LONG:
        return value - (1 << 64) if value >> 63 else value
    if kind == _SIGNED_INT:
        value &= 0xFFFF_FFFF
        return value - (1 << 32) if value >> 31 else value
    return value & 0xFFFF if kind == _UNSIGNED_SHORT else value
