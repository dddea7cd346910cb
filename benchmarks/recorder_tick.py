"""What a recorder tick costs: 8 GPU and 128 process rows merged, stored, rolled up, booked in the ledger and sealed.

``python benchmarks/recorder_tick.py [--ticks 400] [--process-seconds 1]`` prints CPU milliseconds and KiB written per tick by stage
and the dearest single ticks, and exits 1 when keeping it (insert, commit, minutes with the ledger, history) is over its budget.
``--ticks 10800`` are three hours, so that hours are closed, sealed and trimmed as they always will be. Every tick has process
rows, which is twice what a recorder writes by default: ``--process-seconds 2`` is that. Reading the driver is not in it. Values
have fresh noise in every tick, since what repeats is sealed for nothing.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpuwatch.clock import FakeClock
from gpuwatch.model import Batch, Gpu, GpuSample, Host, HostSample, Process, ProcessSample
from gpuwatch.recorder import Closer, CostMeter, Recorder
from gpuwatch.recorder.merge import Merger
from gpuwatch.store.writer import StoreWriter

GPUS, PER_GPU = 8, 16
START = 1_763_130_720.0
INSERT_BUDGET_MS, ALL_BUDGET_MS, BUDGET_KIB = 0.6, 1.5, 20.0
SHOWN = 8
_MIB, _GIB = 1024**2, 1024**3


class Drivers:
    """Batches as the nvml, procs and host collectors give them."""

    def __init__(self) -> None:
        self.gpus = [
            Gpu(f"GPU-{n}", n, "H100", memory_total_bytes=80 * _GIB, sm_clock_max_hertz=1_980_000_000) for n in range(GPUS)
        ]
        self.processes = [Process(1000 + n, 5000, "python3", user=f"user{n % 5}", uid=n % 5) for n in range(GPUS * PER_GPU)]
        self.make = {"nvml": self._nvml, "procs": self._procs}
        self._chance = random.Random(7)

    def _nvml(self, second: int) -> Batch:
        samples = [self._gpu(n, second) for n in range(GPUS)]
        held = [
            ProcessSample(
                p.pid,
                gpu_uuid=f"GPU-{n // PER_GPU}",
                gpu_memory_bytes=(300 + n) * _MIB,
                sm_utilization_ratio=self._chance.randrange(50) / 100 if n % 8 < 2 else 0.0,
            )
            for n, p in enumerate(self.processes)
        ]
        return Batch("nvml", 0, gpus=self.gpus, gpu_samples=samples, process_samples=held)

    def _gpu(self, n: int, second: int) -> GpuSample:
        busy = 0.0 if n == 7 else 0.5 + self._chance.randrange(50) / 100
        noise = self._chance.random
        return GpuSample(
            f"GPU-{n}",
            utilization_ratio=busy,
            memory_utilization_ratio=busy / 2,
            graphics_active_ratio=busy,
            sm_active_ratio=busy * 0.9,
            sm_occupancy_ratio=busy * 0.4,
            tensor_active_ratio=busy * 0.3,
            dram_active_ratio=busy * 0.5,
            memory_used_bytes=70 * _GIB,
            power_watts=100 + 500 * busy + 100 * noise(),
            power_limit_watts=700.0,
            energy_joules=100 + 500 * busy + 100 * noise(),
            temperature_celsius=60 + second // 20 % 3,
            sm_clock_hertz=1.8e9,
            memory_clock_hertz=2.6e9,
            pcie_rx_bytes=1e9 * busy * noise(),
            pcie_tx_bytes=2e8 * busy * noise(),
            nvlink_rx_bytes=1e10 * busy * noise(),
            nvlink_tx_bytes=1e10 * busy * noise(),
            clock_event_reasons=0,
            performance_state=0,
            process_count=PER_GPU,
        )

    def _procs(self, second: int) -> Batch:
        sides = [ProcessSample(p.pid, p.start_ms, cpu_ratio=self._chance.random() if n % 8 < 2 else 0.0, rss_bytes=n * _GIB, read_bytes=4096, write_bytes=0) for n, p in enumerate(self.processes)]  # fmt: skip
        host = HostSample(cpu_ratio=0.5, memory_used_bytes=100 * _GIB)
        return Batch("procs", 0, host=Host("bench", "bench"), processes=self.processes, process_samples=sides, host_sample=host)


class Ready:
    """A collector that hands out what was made before the time is taken."""

    def __init__(self, name: str, make: Callable[[int], Batch], seconds: float) -> None:
        self.name = name
        self.interval_seconds = seconds
        self._make = make
        self._next: Batch

    def prepare(self, now: float) -> None:
        if now % self.interval_seconds == 0:
            self._next = self._make(int(now))

    def open(self) -> None: ...

    def collect(self, now: float) -> Batch:
        return self._next

    def close(self) -> None: ...


def timed(spent: dict[str, float], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, its CPU time added under ``name``."""

    def measured(*values: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return call(*values, **named)
        finally:
            spent[name] = spent.get(name, 0.0) + time.process_time() - began

    return measured


def written() -> int:
    """Bytes that this process has given to the kernel to write."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("wchar:")).split()[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=400, help="ticks to measure (default 400)")
    parser.add_argument("--process-seconds", type=int, default=1, help="time between two looks at the processes (default 1)")
    args = parser.parse_args()
    ticks, seconds = args.ticks, {"nvml": 1, "procs": args.process_seconds}
    drivers = Drivers()
    clock = FakeClock(START)
    spent: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        writer = StoreWriter.open(Path(folder) / "bench.db", clock=clock)
        closer = Closer(writer)
        collectors = [Ready(name, make, seconds[name]) for name, make in drivers.make.items()]
        recorder = Recorder(
            collectors,
            writer,
            clock,
            closer=closer,
            cost=CostMeter(),
        )
        Merger.merge = timed(spent, "merge", Merger.merge)  # type: ignore[method-assign]
        writer.add = timed(spent, "insert", writer.add)  # type: ignore[method-assign]
        writer.commit = timed(spent, "commit", writer.commit)  # type: ignore[method-assign]
        closer.work = timed(spent, "minutes", closer.work)  # type: ignore[method-assign]
        history = closer._history
        history.work = timed(spent, "history", history.work)  # type: ignore[method-assign]
        for collector in collectors:
            collector.prepare(0)
        recorder.run_once(clock.time())
        spent.clear()
        each, dearest = [], [(0.0, 0.0, {})]
        wrote = written()
        for _ in range(ticks):
            clock.advance(1)
            for collector in collectors:
                collector.prepare(clock.time())
            before = dict(spent)
            began = time.process_time()
            recorder.run_once(clock.time())
            each.append(time.process_time() - began)
            if each[-1] > dearest[-1][0]:
                parts = {name: round((spent[name] - before.get(name, 0)) * 1e3, 1) for name in spent}
                dearest = sorted([*dearest, (each[-1], clock.time() % 3600, parts)], key=lambda one: -one[0])[:SHOWN]
        kib = (written() - wrote) / 1024 / ticks
        chunks = writer.connection.execute("SELECT count(*), coalesce(sum(length(body)),0) FROM chunk").fetchone()
        writer.close()
    spent["minutes"] -= spent.get("history", 0.0)
    for name in ("merge", "insert", "commit", "minutes", "history"):
        print(f"{name:8} {spent.get(name, 0.0) / ticks * 1e3:6.3f} ms CPU a tick")
    stored = (spent["insert"] + spent["commit"]) / ticks * 1e3
    kept = stored + (spent["minutes"] + spent.get("history", 0.0)) / ticks * 1e3
    print(
        f"insert + commit {stored:6.3f} ms (budget {INSERT_BUDGET_MS}); with minutes and ledger {kept:6.3f} ms (budget {ALL_BUDGET_MS}), "
        f"{kib:.1f} KiB (budget {BUDGET_KIB:.0f})"
    )
    print(f"{chunks[0]} chunks of {chunks[1] / 1e6:.2f} MB")
    print(
        f"whole recorder {sum(each) / ticks * 1e3:6.3f} ms; median tick {sorted(each)[ticks // 2] * 1e3:6.3f} ms, dearest {max(each) * 1e3:6.3f} ms"
    )
    for seconds_cpu, second, parts in dearest:
        print(f"dear tick {seconds_cpu * 1e3:6.1f} ms at {second:.0f} s of the hour: {parts}")
    return int(stored > INSERT_BUDGET_MS or kept > ALL_BUDGET_MS or kib > BUDGET_KIB)


if __name__ == "__main__":
    sys.exit(main())
