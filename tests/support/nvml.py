"""Short questions to the real binding, for tests that play a driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pynvml


def gpu(index: int = 0) -> Any:
    """The handle of one GPU."""
    return pynvml.nvmlDeviceGetHandleByIndex(index)


def code(call: Callable[..., Any], *arguments: Any) -> int:
    """The return code of one call; 0 is success."""
    try:
        call(*arguments)
    except pynvml.NVMLError as error:
        return int(error.value)
    return 0


def entry(handle: Any, field: Any) -> Any:
    """One entry of a field batch; ``field`` is an id or (id, scope)."""
    return pynvml.nvmlDeviceGetFieldValues(handle, [field])[0]


def seats(handle: Any) -> list[tuple[int, int | None, int]]:
    """(pid, memory in bytes, GPU instance) of the compute processes on a GPU."""
    return [(p.pid, p.usedGpuMemory, p.gpuInstanceId) for p in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)]
