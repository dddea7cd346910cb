"""What a recorder tick costs, all in: 8 GPU rows a second and 128 process rows every two, kept for good.

``python benchmarks/recorder_tick.py`` runs 2.5 hours of a recorder's life, so that hours are closed, sealed and trimmed as they
always will be, and prints the CPU of each part of a tick, what is written, how it is spread over the ticks, and the memory, beside
an ORM writer in the same run. It exits 1 when keeping a tick (all but the merge) is over its budget. Reading the driver is not in
it. Values have fresh noise in every tick, since what repeats is sealed for nothing. ``--ticks 400`` is a short look without hours.
``--servers 8`` adds inference servers, each with a row and 12 buckets of waiting times every two seconds, ``--ranks 8`` a training with
so many ranks, each with a row every second, beside the times of their steps.

A busy machine adds to CPU time (caches, a shared core): a fixed piece of work is timed every 50 ticks, and the last line says what
the figures are by the best of those times.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from served import Servers
from trained import Trainings

from gpuwatch.clock import FakeClock
from gpuwatch.model import Batch, Gpu, GpuSample, Host, HostSample, Process, ProcessSample
from gpuwatch.recorder import Closer, CostMeter, Recorder
from gpuwatch.recorder.historian import Historian
from gpuwatch.recorder.merge import Merger
from gpuwatch.store import rollup
from gpuwatch.store.writer import StoreWriter

GPUS, PER_GPU = 8, 16
START = 1_763_130_720.0
INSERT_BUDGET_MS, ALL_BUDGET_MS, BUDGET_KIB = 0.6, 1.5, 20.0
SERVER_KIB = 1.5
"""What a server may add to the bytes of a tick."""
RANK_KIB = 1.0
"""The same of a rank of a training."""
BUDGET_RSS_MB, BUDGET_STEP_MS = 30, 5
SHOWN, YARDSTICK_TICKS = 6, 50
PARTS = {
    "insert": "rows become tuples",
    "commit": "and go into the file, every 10 s",
    "minutes": "rollups of minutes",
    "ledger": "where each second went, and whose it was",
    "hours": "sums of hours and days",
    "seal": "hot rows of closed hours, distributions",
    "trim": "sealed hot rows deleted",
    "age": "retention, size cap",
}
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


class Stopwatch:
    """CPU seconds of this process by part; a part within another one counts once."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self.steps: dict[str, array[float]] = {}
        self._inner = 0.0

    def call(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time added under ``name``."""

        def measured(*values: Any, **named: Any) -> Any:
            began, outer, self._inner = time.process_time(), self._inner, 0.0
            try:
                return function(*values, **named)
            finally:
                took = time.process_time() - began
                self.spent[name] += took - self._inner  # type: ignore[assignment]
                self._inner = outer + took

        return measured

    def each(self, name: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The same generator function, the time of its steps added under ``name``."""

        def measured(*values: Any, **named: Any) -> Iterator[Any]:
            steps = function(*values, **named)
            step = self.call(name, lambda: next(steps, self))
            while True:
                before = self.spent[name]
                found = step()
                self.steps.setdefault(name, array("d")).append(self.spent[name] - before)
                if found is self:
                    return
                yield found

        return measured


def watch(stopwatch: Stopwatch, writer: Any, closer: Any) -> None:
    """Have every part of keeping a tick timed."""
    Merger.merge = stopwatch.call("merge", Merger.merge)  # type: ignore[method-assign]
    writer.add = stopwatch.call("insert", writer.add)
    writer.commit = stopwatch.call("commit", writer.commit)
    closer.work = stopwatch.call("ledger", closer.work)
    rollup.minute_steps = stopwatch.each("minutes", rollup.minute_steps)
    for name, method in (("hours", "_sum"), ("seal", "_seal"), ("trim", "_trim"), ("age", "_age")):
        setattr(Historian, method, stopwatch.each(name, getattr(Historian, method)))


def yardstick() -> float:
    """CPU seconds of a fixed piece of work, about a millisecond."""
    began = time.process_time()
    sum(len(str(number)) for number in range(6000))
    return time.process_time() - began


def written() -> int:
    """Bytes that this process has given to the kernel to write."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("wchar:")).split()[1])


def resident_kib() -> int:
    """Memory of this process now."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


class Run:
    """Ticks of a recorder, one after the other, and what each took."""

    def __init__(self, path: Path, process_seconds: int, servers: int, ranks: int) -> None:
        drivers, self.clock = Drivers(), FakeClock(START)
        self.writer = StoreWriter.open(path, clock=self.clock, tmpfs_fallback=False)
        closer = Closer(self.writer)
        seconds = {"nvml": 1, "procs": process_seconds, "inference": 2, "training": 1}
        if servers:
            drivers.make["inference"] = Servers(servers).batch
        if ranks:
            drivers.make["training"] = Trainings(ranks).batch
        self._collectors = [Ready(name, make, seconds[name]) for name, make in drivers.make.items()]
        self._recorder = Recorder(self._collectors, self.writer, self.clock, closer=closer, cost=CostMeter())
        self.stopwatch = Stopwatch()
        watch(self.stopwatch, self.writer, closer)
        self.whole = 0.0
        self.kept = array("d")
        """CPU seconds of each tick without the merge."""
        self.dearest: list[tuple[float, float, dict[str, float]]] = []
        """(CPU seconds, second of the hour, parts) of the dearest ticks."""
        self.yardsticks = [yardstick()]

    def tick(self) -> None:
        """One second."""
        for collector in self._collectors:
            collector.prepare(self.clock.time())
        before = self.stopwatch.spent.copy()
        began = time.process_time()
        self._recorder.run_once(self.clock.time())
        self.whole += time.process_time() - began
        spent = self.stopwatch.spent
        parts = {name: spent[name] - before[name] for name in PARTS}
        self.kept.append(sum(parts.values()))
        if len(self.dearest) < SHOWN or self.kept[-1] > self.dearest[-1][0]:
            mine = (self.kept[-1], self.clock.time() % 3600, parts)
            self.dearest = sorted([*self.dearest, mine], key=lambda one: -one[0])[:SHOWN]
        if len(self.kept) % YARDSTICK_TICKS == 0:
            self.yardsticks.append(yardstick())
        self.clock.advance(1)


def report(run: Run, kib: float, kib_budget: float, peer: float) -> bool:
    """Print what it took; whether the budgets are met."""
    ticks, spent = len(run.kept), run.stopwatch.spent
    by_part = {name: spent[name] / ticks * 1e3 for name in PARTS}
    for name, what in PARTS.items():
        print(f"  {name:<8}{by_part[name]:7.3f} ms CPU a tick   {what}")
    stored, kept = by_part["insert"] + by_part["commit"], sum(by_part.values())
    print(f"  insert + commit {stored:.3f} ms (budget {INSERT_BUDGET_MS}), all in {kept:.3f} ms (budget {ALL_BUDGET_MS}), {kib:.1f} KiB (budget {kib_budget:.0f})")  # fmt: skip
    print(f"  ORM objects, stored only: {peer:.3f} ms a tick, {peer / kept:.0f}x of all in")
    ordered = sorted(cost * 1e3 for cost in run.kept)
    middle, most = ordered[ticks // 2], ordered[ticks * 99 // 100]
    print(f"  a tick: p50 {middle:.2f} ms, p99 {most:.2f}, longest {ordered[-1]:.2f}; with the merge of what drivers said {run.whole / ticks * 1e3:.3f} on average")  # fmt: skip
    for cost, second, parts in run.dearest:
        told = ", ".join(f"{name} {part * 1e3:.1f}" for name, part in parts.items() if part > 2e-4)
        print(f"    {cost * 1e3:5.1f} ms at second {second:4.0f} of the hour: {told}")
    for name in ("seal", "trim", "hours", "minutes"):
        steps = sorted(took * 1e3 for took in run.stopwatch.steps.get(name, ()))
        if steps:
            over = sum(step > BUDGET_STEP_MS for step in steps)
            print(f"  {len(steps)} steps of {name}: median {steps[len(steps) // 2]:.2f} ms, longest {steps[-1]:.2f}, {over} over {BUDGET_STEP_MS} ms")  # fmt: skip
    best = min(run.yardsticks)
    busy = sum(run.yardsticks) / len(run.yardsticks) / best
    print(f"  the yardstick took {busy:.2f}x its best time ({best * 1e3:.2f} ms): on a quiet machine about {kept / busy:.2f} ms all in, insert + commit {stored / busy:.2f}")  # fmt: skip
    return stored / busy <= INSERT_BUDGET_MS and kept / busy <= ALL_BUDGET_MS and kib <= kib_budget


def orm() -> float:
    """CPU milliseconds a tick of the peer: it only stores."""
    import store_write  # only now: what it brings along is not the recorder's memory

    with tempfile.TemporaryDirectory() as folder:
        cost, _ = store_write.run_orm(list(store_write.ticks(40, round(START) * 1000)), Path(folder))
    return cost.median


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--ticks", type=int, default=9000, help="ticks to measure (default 9000: 2.5 hours)")
    parser.add_argument("--process-seconds", type=int, default=2, help="time between two looks at the processes (default 2)")
    parser.add_argument("--servers", type=int, default=0, help="inference servers beside them (default 0)")
    parser.add_argument("--ranks", type=int, default=0, help="ranks of a training beside them (default 0)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "bench.db", args.process_seconds, args.servers, args.ranks)
        run.tick()
        gc.freeze()  # as the recorder does after its first tick
        run.stopwatch.spent.clear()
        run.kept, run.whole, run.dearest = array("d"), 0.0, []
        wrote, early = written(), 0
        for number in range(args.ticks):
            run.tick()
            early = resident_kib() if number == args.ticks // 10 else early
        kib, late = (written() - wrote) / 1024 / args.ticks, resident_kib()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        chunks = run.writer.connection.execute("SELECT count(*), coalesce(sum(length(body)),0) FROM chunk").fetchone()
        run.writer.close()
    print(f"{args.ticks} ticks of {GPUS} GPU rows, {GPUS * PER_GPU} process rows every {args.process_seconds} s, {args.servers} servers, {args.ranks} ranks; {chunks[0]} chunks of {chunks[1] / 1e6:.2f} MB")  # fmt: skip
    met = report(run, kib, BUDGET_KIB + SERVER_KIB * args.servers + RANK_KIB * args.ranks, orm())
    print(
        f"  memory with this benchmark: {early / 1024:.1f} MB after a tenth, {late / 1024:.1f} at the end, peak {peak / 1024:.1f} "
    )
    print("budgets met" if met else "budgets MISSED")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
