"""The one place that touches ``pynvml``: loading, counting and timing of calls, and what each return code means.

``pynvml`` finds and loads the library and brings the struct classes; the calls themselves are made through its loaded library with
own buffers, because its wrappers ask the driver twice for every list and raise ``NVMLError(0)`` for an empty one.
Nothing here, and no NVML call used by this collector, creates a CUDA context.
"""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType
from typing import Any, Final

from gpuwatch.clock import Clock
from gpuwatch.names import Missing
from gpuwatch.text import clean_bytes

SUCCESS: Final = 0
UNINITIALIZED: Final = 1
INVALID_ARGUMENT: Final = 2
NOT_SUPPORTED: Final = 3
NO_PERMISSION: Final = 4
NOT_FOUND: Final = 6
INSUFFICIENT_SIZE: Final = 7
DRIVER_NOT_LOADED: Final = 9
TIMEOUT: Final = 10
LIBRARY_NOT_FOUND: Final = 12
FUNCTION_NOT_FOUND: Final = 13
GPU_IS_LOST: Final = 15
RESET_REQUIRED: Final = 16
MISMATCH: Final = 18
VERSION_MISMATCH: Final = 25
DEPRECATED: Final = 26
GPU_NOT_FOUND: Final = 28
UNKNOWN: Final = 999
NO_BINDING: Final = -1
"""Not a code of NVML: the Python module is not installed."""

DRIVER_GONE: Final = frozenset({UNINITIALIZED, DRIVER_NOT_LOADED, MISMATCH, GPU_NOT_FOUND})
"""Every handle is dead: only a new init can help."""
GPU_GONE: Final = frozenset({GPU_IS_LOST, RESET_REQUIRED})
FOR_GOOD: Final = frozenset({NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND, VERSION_MISMATCH, DEPRECATED})
"""Answers that cannot change while the library is open, so the call is not repeated."""
_NO_SUCH_THING: Final = frozenset({NOT_SUPPORTED, INVALID_ARGUMENT, NOT_FOUND, FUNCTION_NOT_FOUND, VERSION_MISMATCH, DEPRECATED})
_ORDINARY: Final = _NO_SUCH_THING | FOR_GOOD | GPU_GONE | {INSUFFICIENT_SIZE, TIMEOUT}

NOT_AVAILABLE: Final = 0xFFFF_FFFF_FFFF_FFFF
NO_INSTANCE: Final = 0xFFFF_FFFF


class NvmlFailure(Exception):
    """An NVML return code that ends more than one value; ``code`` is NVML's number."""

    def __init__(self, code: int, call: str) -> None:
        super().__init__(f"{call} answered {code}")
        self.code = code
        self.call = call


class DriverGone(NvmlFailure):
    """The driver was unloaded, reloaded or replaced: all handles are dead."""


class GpuGone(NvmlFailure):
    """One GPU is lost or needs a reset; the others go on."""


def why(code: int) -> Missing:
    """The reason for a missing value behind a return code."""
    if code == NO_PERMISSION:
        return Missing.NO_PERMISSION
    return Missing.NOT_SUPPORTED if code in _NO_SUCH_THING else Missing.DRIVER_ERROR


class Library:
    """The loaded driver library. ``calls`` and ``spent_ns`` grow for ever; the collector takes differences."""

    def __init__(self, clock: Clock) -> None:
        self._ns = clock.monotonic_ns
        self._functions: dict[str, Any] = {}
        self._open = False
        self.calls = 0
        self.spent_ns = 0
        self.refused = 0
        """Calls that did not succeed."""
        self.failed = 0
        """Calls that failed although the function exists and the GPU is there, e.g. with Unknown Error."""
        self.binding: Any = None
        """The module ``pynvml`` with its struct classes; set by :meth:`load`."""

    def load(self) -> None:
        """Load and initialise NVML. Raises :class:`NvmlFailure` with the code (``NO_BINDING`` without the Python module)."""
        try:
            pynvml = _import_binding()
        except ImportError as problem:
            raise NvmlFailure(NO_BINDING, "import pynvml") from problem
        self.binding = pynvml
        start = self._ns()
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as problem:
            raise NvmlFailure(int(problem.value), "nvmlInit") from None
        except _mismatch_of(pynvml):
            raise NvmlFailure(MISMATCH, "nvmlInit") from None
        finally:
            self.calls += 1
            self.spent_ns += self._ns() - start
        self._open = True

    def unload(self) -> None:
        """Shut NVML down; harmless when it is not open or already dead."""
        if not self._open:
            return
        self._open = False
        try:
            self.binding.nvmlShutdown()
        except (self.binding.NVMLError, _mismatch_of(self.binding)):
            pass  # a driver that is gone has nothing left to shut down

    def call(self, name: str, *args: Any) -> int:
        """Call one function and return its code; a symbol that this driver lacks answers ``FUNCTION_NOT_FOUND``.

        Raises :class:`DriverGone` when the whole driver is gone.
        """
        function = self._functions.get(name)
        if function is None:
            function = getattr(self.binding.nvmlLib, name, None) or _absent
            self._functions[name] = function
        if function is _absent:
            return FUNCTION_NOT_FOUND
        self.calls += 1
        start = self._ns()
        code: int = function(*args)
        self.spent_ns += self._ns() - start
        if code:
            self._count_refusal(code, name)
        return code

    def _count_refusal(self, code: int, name: str) -> None:
        self.refused += 1
        if code in DRIVER_GONE:
            raise DriverGone(code, name)
        if code not in _ORDINARY:
            self.failed += 1

    def system_text(self, name: str, size: int = 96) -> str:
        """One of the ``nvmlSystemGet…`` strings, or empty."""
        buffer = ctypes.create_string_buffer(size)
        return clean_bytes(buffer.value) if self.call(name, buffer, ctypes.c_uint(size)) == SUCCESS else ""

    def cuda_version(self) -> str:
        """The CUDA version that the driver supports, as ``13.1``, or empty."""
        number = ctypes.c_int()
        if self.call("nvmlSystemGetCudaDriverVersion_v2", ctypes.byref(number)) != SUCCESS:
            return ""
        return f"{number.value // 1000}.{number.value % 1000 // 10}"


def _import_binding() -> ModuleType:
    """``pynvml`` without ``ctypes.util``: it imports it for Windows' sake alone, and with it come subprocess, tempfile and three
    compressors (5 ms of CPU, 2 MB)."""
    known = sys.modules.get("ctypes.util")
    if known is None and sys.platform == "linux":
        stand_in = ModuleType("ctypes.util")
        stand_in.find_library = lambda name: None  # type: ignore[attr-defined]
        sys.modules["ctypes.util"] = stand_in
    try:
        import pynvml
    finally:
        if known is None:
            sys.modules.pop("ctypes.util", None)
    binding: ModuleType = pynvml
    return binding


def _absent(*_: Any) -> int:
    return FUNCTION_NOT_FOUND


def _mismatch_of(binding: ModuleType) -> type[Exception]:
    """Some wrappers raise ``NVMLLibraryMismatchError``, which is not an ``NVMLError``; older bindings do not have it."""
    found: type[Exception] = getattr(binding, "NVMLLibraryMismatchError", binding.NVMLError)
    return found
