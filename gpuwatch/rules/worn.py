"""What is kept of looks that only the longest windows reach: the fields that rules ask for over more than half an hour.

Every other field of a worn look reads as ``None``, not known any more: a rule that asks for it so far back is not evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuwatch.dataclass import dataclass
from gpuwatch.names import Context
from gpuwatch.rules.looks import GpuLook, ProcessLook

FRESH_GPU_MS = 31 * 60_000
"""Longer windows (an hour for memory, two for pauses, starts, ECC errors) and unbroken runs read worn looks too."""
FRESH_PROCESS_MS = 15_000
"""Of a process only the newest look tells what its GPUs do; most looks before it say the same as others, and are one object."""


@dataclass(slots=True)
class WornGpuLook:
    """A GPU, half an hour ago and more."""

    ms: int
    known_ms: int
    quiet_ms: int
    context: Context | None
    utilization: float | None
    busy: float | None
    tensor: float | None
    dram: float | None
    fp32: float | None
    fp64: float | None
    memory_used: float | None
    power_fraction: float | None
    ecc_uncorrected: int | None

    def __getattr__(self, name: str) -> None:
        return None


@dataclass(slots=True)
class WornProcessLook:
    """A process at any look before the newest; ``gpus`` tell the memory alone."""

    ms: int
    gpus: Mapping[int, tuple[float | None, None]]
    cpu: float | None
    thread_cpu: float | None
    cpu_throttled: float | None
    read: float | None
    write: float | None
    run_state: str

    def __getattr__(self, name: str) -> None:
        return None


def worn_gpu(look: GpuLook, _before: WornGpuLook | None) -> Any:
    """What is kept of an old look of a GPU."""
    return WornGpuLook(
        look.ms,
        look.known_ms,
        look.quiet_ms,
        look.context,
        look.utilization,
        look.busy,
        look.tensor,
        look.dram,
        look.fp32,
        look.fp64,
        look.memory_used,
        look.power_fraction,
        look.ecc_uncorrected,
    )


def worn_process(look: ProcessLook, before: WornProcessLook | None) -> Any:
    """What is kept of an old look of a process, where ``before`` is what is kept of the look before it."""
    gpus: Mapping[int, tuple[float | None, None]] = {gpu_id: (memory, None) for gpu_id, (memory, _) in look.gpus.items()}
    if before is not None and before.gpus == gpus:
        gpus = before.gpus
    kept = WornProcessLook(look.ms, gpus, look.cpu, look.thread_cpu, look.cpu_throttled, look.read, look.write, look.run_state)
    return before if kept == before else kept
