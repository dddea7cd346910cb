"""Ticks for tests of the store: a small lab whose values are easy to add up by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuwatch.measure import quantise
from gpuwatch.model import Gpu, GpuSample, Host, Process, ProcessSample
from gpuwatch.names import Context
from gpuwatch.store.rows import GpuRow, ProcessRow, Tick

T0 = 1_763_130_720_000
"""A whole minute, unix milliseconds."""
HOST = Host("m-1", "lab", boot_id="boot", cpu_count=8)


def gpu(index: int, **more: Any) -> Gpu:
    return Gpu(f"GPU-{index}", index, "H100", **more)


def process(pid: int, **more: Any) -> Process:
    given: dict[str, Any] = {"uid": 1000, "user": "alice", "command": f"python3 train.py --rank {pid}", **more}
    return Process(pid, T0 - 5000, "python3", **given)


def gpu_row(index: int = 0, dt_ms: int = 1000, *, quiet: bool | None = False, context: Context | None = Context.PROCESS, **values: Any) -> GpuRow:  # fmt: skip
    facts: dict[str, Any] = {"quiet_ms": 0, "kappa_pm": 1000, "unavailable": False}
    facts.update({name: values.pop(name) for name in list(values) if name in facts})
    return GpuRow(
        f"GPU-{index}",
        dt_ms,
        quiet,
        context,
        facts["quiet_ms"],
        facts["kappa_pm"],
        facts["unavailable"],
        quantise(GpuSample("", **values)),
    )


def process_row(pid: int, index: int | None = 0, dt_ms: int = 1000, **values: Any) -> ProcessRow:
    on = "" if index is None else f"GPU-{index}"
    return ProcessRow(pid, T0 - 5000, on, dt_ms, quantise(ProcessSample(pid, **values)))


def tick(second: float, *rows: GpuRow, held: Sequence[ProcessRow] = (), **more: Any) -> Tick:
    """``second`` counts from ``T0``; ``held`` are process rows, everything else goes to :class:`Tick` as it is."""
    return Tick(T0 + round(second * 1000), gpu_rows=rows, process_rows=held, **more)


def first_tick(*gpus: Gpu, people: Sequence[Process] = (), second: float = 0, **more: Any) -> Tick:
    """The tick that introduces everybody."""
    return tick(second, host=HOST, gpus=gpus or (gpu(0),), processes=people, **more)
