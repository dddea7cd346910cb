"""What happens at one instant of a scenario: XID errors, GPUs that are lost and come back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpuwatch.collectors.simulated.flat import Fault, FlatTable
from gpuwatch.collectors.simulated.people import Axis
from gpuwatch.model import Event, Gpu
from gpuwatch.names import Severity

GPU_LOST = ("lost", "reset")
"""Faults that make a GPU unavailable."""
_XIDS = {
    13: (Severity.WARNING, "graphics engine exception"),
    31: (Severity.WARNING, "memory page fault"),
    43: (Severity.WARNING, "the application's channel was stopped after an error"),
    48: (Severity.CRITICAL, "double-bit ECC error"),
    63: (Severity.WARNING, "a memory row was remapped"),
    74: (Severity.CRITICAL, "NVLink error"),
    79: (Severity.CRITICAL, "GPU has fallen off the bus"),
    94: (Severity.CRITICAL, "contained memory error"),
}
_UNKNOWN_XID = (Severity.WARNING, "see NVIDIA's XID catalogue")


def incidents(table: FlatTable, gpus: Mapping[str, Gpu], axis: Axis, start: int, end: int) -> Iterator[Event]:
    """Events in (start, end] of scenario time; ``gpus`` maps places to entities."""
    for xid in table.xids:
        gpu = gpus[str(xid.gpu)]
        severity, text = _XIDS.get(xid.code, _UNKNOWN_XID)
        for at in _moments(xid.t_ms, table.loop_ms, start, end):
            yield Event(axis.unix_ms(at), "xid", f"GPU {xid.gpu} XID {xid.code}: {text}", severity, gpu.uuid)
    for fault in table.faults:
        if fault.kind in GPU_LOST:
            for place, gpu in gpus.items():
                if "." not in place and fault.gpu in (-1, gpu.index):
                    yield from _outage(fault, gpu, table.loop_ms, axis, start, end)


def _outage(fault: Fault, gpu: Gpu, loop_ms: int, axis: Axis, start: int, end: int) -> Iterator[Event]:
    loop = loop_ms if fault.for_ms else 0
    for at in _moments(fault.t_ms, loop, start, end):
        yield Event(axis.unix_ms(at), "gpu_lost", f"GPU {gpu.index} {gpu.name}: GPU is lost", Severity.CRITICAL, gpu.uuid)
    if fault.for_ms:
        for at in _moments(fault.t_ms + fault.for_ms, loop, start, end):
            yield Event(axis.unix_ms(at), "gpu_recovered", f"GPU {gpu.index} {gpu.name} answers again", Severity.NOTICE, gpu.uuid)


def _moments(t_ms: int, loop_ms: int, start: int, end: int) -> Iterator[int]:
    """When something at ``t_ms`` of each loop happens within (start, end]."""
    if not loop_ms:
        if start < t_ms <= end:
            yield t_ms
        return
    for loop in range((start - t_ms) // loop_ms + 1, (end - t_ms) // loop_ms + 1):
        yield loop * loop_ms + t_ms
