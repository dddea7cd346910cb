"""A short recording told second by second, written through the real writer: what tests of readers read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpuwatch.clock import FakeClock
from gpuwatch.ledger.runs import next_quiet_ms
from gpuwatch.measure import quantise
from gpuwatch.model import Event, Gpu, GpuSample, Host, HostSample, MissingKey, Process, ProcessSample
from gpuwatch.names import Context, Missing
from gpuwatch.recorder.closer import Closer
from gpuwatch.store.rows import GpuRow, ProcessRow, SourceState, Tick
from gpuwatch.store.writer import StoreWriter

START = 1_763_130_720.0
"""Fri 14 Nov 2025 14:32:00 UTC, a whole minute."""
MIB = 1024**2


@dataclass(slots=True)
class Hold:
    """One process on one GPU."""

    process: Process
    gpu: int
    memory_mib: int | None = 1000
    sm: float | None = None


@dataclass(slots=True)
class Gpu1:
    """What a GPU does until it is told otherwise; ``util`` may be a function of the second."""

    util: float | None | Callable[[int], float] = 0.0
    context: Context | None = Context.NONE
    kappa_pm: int = 1000
    unavailable: bool = False
    sample: Mapping[str, float | int | None] = field(default_factory=dict)


class Story:
    """``story.gpus[0].util = 0.9; story.run(60)`` writes a minute of one busy GPU. Each ``run`` commits."""

    def __init__(self, path: Path | str, gpus: int = 1, *, entities: Sequence[Gpu] = (), simulated: bool = False) -> None:
        self.clock = FakeClock(START)
        self.writer = StoreWriter.open(
            path, clock=self.clock, version="1", simulated=simulated, scenario="lab" if simulated else ""
        )
        self.writer.begin_session(self.now_ms, 1000, "boot")
        self.entities = list(entities) or [gpu(index) for index in range(gpus)]
        self.gpus = [Gpu1() for _ in self.entities]
        self.holds: list[Hold] = []
        self.host_only: list[Process] = []
        self.missing: dict[MissingKey, Missing | None] = {}
        self.events: list[Event] = []
        self.sources = [SourceState("nvml", "ok", self.now_ms)]
        self.host_sample = HostSample(cpu_ratio=0.25, memory_used_bytes=8 * 1024 * MIB, process_count=200)
        self.host = Host("machine", "node-07", cpu_count=32, memory_total_bytes=64 * 1024 * MIB, driver_version="590.48.01")
        self.closer: Closer | None = None
        self._told = False
        self._facts: dict[int, tuple[int, tuple[bool | None, Context | None], int]] = {}
        self._second = 0

    @property
    def now_ms(self) -> int:
        return round(self.clock.time() * 1000)

    def tell_again(self) -> None:
        """The next tick lists host and GPUs anew."""
        self._told = False

    def close_minutes(self) -> None:
        """From now on minutes are closed as a recorder does."""
        self.closer = Closer(self.writer)

    def gap(self, seconds: float) -> None:
        """Nothing is recorded for a while."""
        self.clock.advance(seconds)
        self._facts.clear()

    def run(self, seconds: int) -> Story:
        """Record so many seconds."""
        for _ in range(seconds):
            self.clock.advance(1)
            self._second += 1
            self.writer.add(self._tick())
            if self.closer is not None:
                if self.closer.due(self.now_ms):
                    self.writer.commit()
                self.closer.work(self.now_ms)
        self.writer.commit()
        return self

    def _tick(self) -> Tick:
        ts, first = self.now_ms, not self._told
        self._told = True
        tick = Tick(
            ts_ms=ts,
            host=self.host if first else None,
            gpus=self.entities if first else (),
            processes=[hold.process for hold in self.holds] + self.host_only,
            gpu_rows=[self._gpu_row(index, ts) for index in range(len(self.entities))],
            process_rows=self._process_rows() if self._second % 2 == 0 else (),
            host_dt_ms=1000,
            host_values=quantise(self.host_sample),
            events=list(self.events),
            missing=dict(self.missing),
            sources=list(self.sources),
        )
        self.events.clear()
        self.missing.clear()
        self.sources.clear()
        return tick

    def _gpu_row(self, index: int, ts: int) -> GpuRow:
        does, uuid = self.gpus[index], self.entities[index].uuid
        util = does.util(self._second) if callable(does.util) else does.util
        quiet = None if util is None or does.unavailable else util < 0.05
        quiet_ms, before, last = self._facts.get(index, (0, (None, None), 0))
        dt = ts - last if last and ts - last <= 3000 else 0
        quiet_ms = next_quiet_ms(quiet_ms, before, quiet, does.context, dt)
        self._facts[index] = (quiet_ms, (quiet, does.context), ts)
        values: dict[str, float | int | None] = {"utilization_ratio": util, "power_watts": 100.0, "memory_used_bytes": 2000.0 * MIB}
        sample = GpuSample(uuid, unavailable=does.unavailable, **(values | dict(does.sample)))  # type: ignore[arg-type]
        return GpuRow(uuid, dt, quiet, does.context, quiet_ms, does.kappa_pm, does.unavailable, quantise(sample))

    def _process_rows(self) -> list[ProcessRow]:
        rows, seen = [], set()
        for hold in self.holds:
            p, uuid = hold.process, self.entities[hold.gpu].uuid
            own = {} if p.pid in seen else {"cpu_ratio": 0.5, "rss_bytes": 300.0 * MIB, "read_bytes": 2.0 * MIB}
            seen.add(p.pid)
            memory = None if hold.memory_mib is None else hold.memory_mib * MIB
            sample = ProcessSample(p.pid, p.start_ms, uuid, gpu_memory_bytes=memory, sm_utilization_ratio=hold.sm, **own)  # type: ignore[arg-type]
            rows.append(ProcessRow(p.pid, p.start_ms, uuid, 2000, quantise(sample)))
        for p in self.host_only:
            sample = ProcessSample(p.pid, p.start_ms, cpu_ratio=1.0, rss_bytes=100.0 * MIB)
            rows.append(ProcessRow(p.pid, p.start_ms, "", 2000, quantise(sample)))
        return rows


def gpu(index: int, **facts: object) -> Gpu:
    """A whole GPU of 80 GiB."""
    known: dict[str, object] = {
        "memory_total_bytes": 80 * 1024 * MIB,
        "power_limit_watts": 700.0,
        "power_limit_default_watts": 700.0,
        "sm_clock_max_hertz": 1_980_000_000,
        "gpm_supported": False,
    }
    return Gpu(f"GPU-{index}", index, "NVIDIA H100 80GB HBM3", **(known | facts))  # type: ignore[arg-type]


def process(pid: int, user: str = "alice", **facts: object) -> Process:
    """A python process that started 100 s before the story."""
    known: dict[str, object] = {"name": "python", "command": f"python train.py --rank {pid}", "user": user, "uid": 1000}
    return Process(pid, round(START * 1000) - 100_000, **(known | facts))  # type: ignore[arg-type]
