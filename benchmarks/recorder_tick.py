"""What a recorder tick costs: 8 GPU and 128 process rows merged, stored, rolled up and booked in the ledger.

``python benchmarks/recorder_tick.py [--ticks 400] [--process-seconds 1]`` prints CPU milliseconds per tick by stage and the dearest
single tick, and exits 1 when keeping it (insert, commit, minutes with the ledger) is over its budget. Every tick has process rows,
which is twice what a recorder writes by default: ``--process-seconds 2`` is that. Reading the driver is not in it.
"""

from __future__ import annotations

import argparse
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
INSERT_BUDGET_MS, ALL_BUDGET_MS = 0.6, 1.5
_MIB, _GIB = 1024**2, 1024**3


class Drivers:
    """Batches as the nvml, procs and host collectors give them; made before the clock starts, a minute of them in turn."""

    def __init__(self) -> None:
        self.gpus = [
            Gpu(f"GPU-{n}", n, "H100", memory_total_bytes=80 * _GIB, sm_clock_max_hertz=1_980_000_000) for n in range(GPUS)
        ]
        self.processes = [Process(1000 + n, 5000, "python3", user=f"user{n % 5}", uid=n % 5) for n in range(GPUS * PER_GPU)]
        self.made = {name: [make(second) for second in range(60)] for name, make in (("nvml", self._nvml), ("procs", self._procs))}

    def _nvml(self, second: int) -> Batch:
        samples = [self._gpu(n, second) for n in range(GPUS)]
        held = [
            ProcessSample(
                p.pid,
                gpu_uuid=f"GPU-{n // PER_GPU}",
                gpu_memory_bytes=(300 + n) * _MIB,
                sm_utilization_ratio=(n + second) % 50 / 100,
            )
            for n, p in enumerate(self.processes)
        ]
        return Batch("nvml", 0, gpus=self.gpus, gpu_samples=samples, process_samples=held)

    def _gpu(self, n: int, second: int) -> GpuSample:
        busy = 0.0 if n == 7 else 0.5 + (second * 7 + n) % 50 / 100
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
            power_watts=100 + 600 * busy,
            power_limit_watts=700.0,
            energy_joules=100 + 600 * busy,
            temperature_celsius=60,
            sm_clock_hertz=1.8e9,
            memory_clock_hertz=2.6e9,
            pcie_rx_bytes=1e9 * busy,
            pcie_tx_bytes=2e8 * busy,
            nvlink_rx_bytes=1e10 * busy,
            nvlink_tx_bytes=1e10 * busy,
            clock_event_reasons=0,
            performance_state=0,
            process_count=PER_GPU,
        )

    def _procs(self, second: int) -> Batch:
        sides = [ProcessSample(p.pid, p.start_ms, cpu_ratio=(n + second) % 9 / 10, rss_bytes=n * _GIB, read_bytes=4096, write_bytes=0) for n, p in enumerate(self.processes)]  # fmt: skip
        host = HostSample(cpu_ratio=0.5, memory_used_bytes=100 * _GIB)
        return Batch("procs", 0, host=Host("bench", "bench"), processes=self.processes, process_samples=sides, host_sample=host)


class Ready:
    """A collector that hands out what was made."""

    def __init__(self, name: str, made: list[Batch], seconds: float) -> None:
        self.name = name
        self.interval_seconds = seconds
        self._made = made

    def open(self) -> None: ...

    def collect(self, now: float) -> Batch:
        return self._made[int(now) % 60]

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
        recorder = Recorder(
            [Ready(name, made, seconds[name]) for name, made in drivers.made.items()],
            writer,
            clock,
            closer=closer,
            cost=CostMeter(),
        )
        Merger.merge = timed(spent, "merge", Merger.merge)  # type: ignore[method-assign]
        writer.add = timed(spent, "insert", writer.add)  # type: ignore[method-assign]
        writer.commit = timed(spent, "commit", writer.commit)  # type: ignore[method-assign]
        closer.work = timed(spent, "minutes", closer.work)  # type: ignore[method-assign]
        recorder.run_once(clock.time())
        spent.clear()
        each = []
        for _ in range(ticks):
            clock.advance(1)
            began = time.process_time()
            recorder.run_once(clock.time())
            each.append(time.process_time() - began)
        writer.close()
    for name in ("merge", "insert", "commit", "minutes"):
        print(f"{name:8} {spent.get(name, 0.0) / ticks * 1e3:6.3f} ms CPU a tick")
    stored = (spent["insert"] + spent["commit"]) / ticks * 1e3
    kept = stored + spent["minutes"] / ticks * 1e3
    print(
        f"insert + commit {stored:6.3f} ms (budget {INSERT_BUDGET_MS}); with minutes and ledger {kept:6.3f} ms (budget {ALL_BUDGET_MS})"
    )
    print(
        f"whole recorder {sum(each) / ticks * 1e3:6.3f} ms; median tick {sorted(each)[ticks // 2] * 1e3:6.3f} ms, dearest {max(each) * 1e3:6.3f} ms"
    )
    return int(stored > INSERT_BUDGET_MS or kept > ALL_BUDGET_MS)


if __name__ == "__main__":
    sys.exit(main())
