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
FRESH_PROCESS_MS = 16 * 60_000
"""Longer ones ask for memory, cores, and runs of a state."""


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
    """A process, a quarter of an hour ago and more."""

    ms: int
    gpus: Mapping[int, tuple[float | None, float | None]]
    cpu: float | None
    run_state: str

    def __getattr__(self, name: str) -> None:
        return None


def worn_gpu(look: GpuLook) -> Any:
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


def worn_process(look: ProcessLook) -> Any:
    """What is kept of an old look of a process."""
    return WornProcessLook(look.ms, look.gpus, look.cpu, look.run_state)
