"""Collectors that do as they are told, and a recorder over a store in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpuwatch.clock import FakeClock
from gpuwatch.model import Batch, Gpu, GpuSample, Host, HostSample, Process, ProcessSample
from gpuwatch.recorder import Closer, Recorder
from gpuwatch.store.writer import StoreWriter

GIB = 1024**3
START = 1_763_130_720.0
"""A whole minute."""


class Scripted:
    """A collector whose batches come from a function of the grid second; an exception from it is a failure."""

    def __init__(self, name: str, batch: Callable[[float], Batch], interval: float = 1.0, *, follows: bool = False) -> None:
        self.name, self.follows = name, follows
        self.interval_seconds = interval
        self._batch = batch
        self.opened = self.closed = 0
        self.asked: list[float] = []

    def open(self) -> None:
        self.opened += 1

    def collect(self, now: float) -> Batch:
        self.asked.append(now)
        return self._batch(now)

    def close(self) -> None:
        self.closed += 1


class CountingWriter(StoreWriter):
    """Counts commits and says when they were."""

    def commit(self) -> bool:
        self.commits = [*getattr(self, "commits", []), self._opener.clock.time()]
        return super().commit()


class Lab:
    """One clock, one store, one recorder."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self.path = path
        self.clock = FakeClock(START)
        self.writer = CountingWriter.open(path, clock=self.clock)
        self.recorder: Recorder

    def reopen(self) -> None:
        """Another recorder's writer on the same file; what the old one had not committed is lost."""
        self.writer.connection.close()
        self.writer = CountingWriter.open(self.path, clock=self.clock)

    @property
    def db(self) -> sqlite3.Connection:
        return self.writer.connection

    def record(self, *collectors: Scripted, close_minutes: bool = False, **more: Any) -> Recorder:
        closer = Closer(self.writer) if close_minutes else None
        self.recorder = Recorder(collectors, self.writer, self.clock, closer=closer, **more)
        return self.recorder

    def tick(self, times: int = 1) -> None:
        """One grid second after the other."""
        for _ in range(times):
            self.recorder.run_once(self.clock.time())
            self.clock.advance(1)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        self.writer.commit()
        return self.db.execute(sql, values).fetchall()


GPUS = (Gpu("GPU-a", 0, "H100", memory_total_bytes=80 * GIB), Gpu("GPU-b", 1, "H100", memory_total_bytes=80 * GIB))


def gpu_batch(
    now: float, util: Callable[[float], float | None] = lambda now: 1.0, *, processes: int = 1, name: str = "nvml"
) -> Batch:
    """Two GPUs; GPU-a is held by ``processes`` processes with pids from 100, GPU-b is free."""
    return Batch(
        name,
        int(now),
        gpus=GPUS,
        gpu_samples=[
            GpuSample("GPU-a", utilization_ratio=util(now), process_count=processes, energy_joules=300.0),
            GpuSample("GPU-b", utilization_ratio=0.0, process_count=0, energy_joules=70.0),
        ],
        process_samples=[
            ProcessSample(100 + n, gpu_uuid="GPU-a", gpu_memory_bytes=GIB * (n + 1), sm_utilization_ratio=0.5)
            for n in range(processes)
        ],
    )


def proc_batch(now: float, pids: tuple[int, ...] = (100,), start_ms: int = 5000) -> Batch:
    """These pids, each with half a core."""
    return Batch(
        "procs",
        int(now),
        processes=[Process(pid, start_ms, f"p{pid}") for pid in pids],
        process_samples=[ProcessSample(pid, start_ms, cpu_ratio=0.5) for pid in pids],
    )


def host_batch(now: float) -> Batch:
    return Batch("host", int(now), host=Host("m1", "box"), host_sample=HostSample(cpu_ratio=0.25))
