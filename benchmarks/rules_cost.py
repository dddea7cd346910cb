"""What the rules cost: CPU a tick beside a recorder, its memory with and without them, and a replayed day.

``python benchmarks/rules_cost.py [--ticks 9000]`` runs the recorder of ``recorder_tick.py`` (8 GPUs at 1 Hz, 64 processes every two
seconds, or ``--per-gpu``) twice, each in a process of its own, without and with rules, and prints the CPU of the advisor per tick (mean, p99, longest),
what each look takes to make and to judge, and the resident memory of both. Then it replays what was recorded through the rules and
prints CPU seconds per day of history. Reading the driver is not in it. A fixed piece of work is timed beside it: the last figures are
by its best time, as on a quiet machine. ``--servers 8`` and ``--ranks 8`` add them.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import recorder_tick
from recorder_tick import START, Drivers, Ready, resident_kib, yardstick
from served import Servers
from trained import Trainings

from gpuwatch.clock import FakeClock
from gpuwatch.recorder import Closer, CostMeter, Recorder
from gpuwatch.recorder.advice_settings import AdviceSettings
from gpuwatch.recorder.advisor import Advisor
from gpuwatch.store import connection
from gpuwatch.store.writer import StoreWriter

DAY_S, LOOK_S = 86_400, 10
YARDSTICK_TICKS = 50


class Told:
    """CPU seconds of the pieces of a generator function, by name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.longest: dict[str, float] = {}

    def each(self, name: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The same function with its time added under ``name``."""

        def measured(*values: Any, **named: Any) -> Iterator[Any]:
            steps = function(*values, **named)
            while True:
                began = time.process_time()
                found = next(steps, self)
                took = time.process_time() - began
                self.spent[name] = self.spent.get(name, 0.0) + took
                self.longest[name] = max(self.longest.get(name, 0.0), took)
                if found is self:
                    return
                yield found

        return measured


class Quick(FakeClock):
    """A clock whose monotonic time goes on by CPU within a tick, so that the advisor takes no more than its share."""

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + round(time.process_time() * 1e9)


def record(path: Path, ticks: int, per_gpu: int, servers: int, ranks: int, *, rules: bool) -> dict[str, Any]:
    """A life of a recorder; what it took."""
    recorder_tick.PER_GPU = per_gpu
    drivers, clock = Drivers(), Quick(START)
    if servers:
        drivers.make["inference"] = Servers(servers).batch
    if ranks:
        drivers.make["training"] = Trainings(ranks).batch
    seconds = {"nvml": 1, "procs": 2, "inference": 2, "training": 1}
    writer = StoreWriter.open(path, clock=clock, tmpfs_fallback=False)
    sources = [Ready(name, make, seconds[name]) for name, make in drivers.make.items()]
    told = Told()
    advisor = Advisor(writer, clock, AdviceSettings()) if rules else None
    recorder = Recorder(sources, writer, clock, closer=Closer(writer), advisor=advisor, cost=CostMeter())
    spent, yards = array("d"), [yardstick()]
    if advisor is not None:
        _watch(advisor, told, spent)
    whole = 0.0
    for number in range(ticks):
        for source in sources:
            source.prepare(clock.time())
        began = time.process_time()
        recorder.run_once(clock.time())
        whole += time.process_time() - began
        clock.advance(1)
        if number == 1:
            gc.freeze()
        if number % YARDSTICK_TICKS == 0:
            yards.append(yardstick())
    writer.close()
    busy = sum(yards) / len(yards) / min(yards)
    return {
        "whole": whole,
        "rss": resident_kib() / 1024,
        "busy": busy,
        "spent": list(spent),
        "parts": told.spent,
        "longest": told.longest,
    }


def _watch(advisor: Advisor, told: Told, spent: array[float]) -> None:
    from gpuwatch.rules.engine import Engine
    from gpuwatch.store.look_facts import FactsReader
    from gpuwatch.store.looks import LookReader

    LookReader.steps = told.each("looks", LookReader.steps)  # type: ignore[method-assign]
    FactsReader.steps = told.each("who", FactsReader.steps)  # type: ignore[method-assign]
    Engine.steps = told.each("rules", Engine.steps)  # type: ignore[method-assign]
    work = advisor.work

    def measured(ts_ms: int, committed_ms: int) -> None:
        began = time.process_time()
        work(ts_ms, committed_ms)
        spent.append(time.process_time() - began)

    advisor.work = measured  # type: ignore[method-assign]


def replayed(path: Path) -> float:
    """CPU seconds of a replayed day, by what is in the store."""
    from gpuwatch.store.replay_rules import changes

    db = connection.open_read(path)
    first, last = db.execute("SELECT min(ts_ms), max(ts_ms) FROM tick").fetchone()
    began = time.process_time()
    for _ in changes(db, 1, first, last):
        pass
    took = time.process_time() - began
    db.close()
    return took * DAY_S * 1000 / (last - first)


def report(name: str, found: dict[str, Any], ticks: int) -> None:
    """One recorder's figures."""
    print(
        f"{name}: {found['whole'] / ticks * 1e3:.3f} ms CPU a tick, all in; {found['rss']:.1f} MB; yardstick {found['busy']:.2f}x its best"
    )
    if found["spent"]:
        cost = sorted(each * 1e3 for each in found["spent"])
        mean = sum(cost) / len(cost)
        print(f"  rules: {mean:.3f} ms a tick (quiet machine about {mean / found['busy']:.3f}), p50 {cost[len(cost) // 2]:.2f}, p99 {cost[len(cost) * 99 // 100]:.2f}, longest {cost[-1]:.2f}")  # fmt: skip
        for part, took in found["parts"].items():
            print(f"    {part:<6}{took / ticks * LOOK_S * 1e3:7.2f} ms a look, longest piece {found['longest'][part] * 1e3:.2f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--ticks", type=int, default=9000, help="ticks to measure (default 9000: 2.5 hours)")
    parser.add_argument("--per-gpu", type=int, default=8, help="processes on each of 8 GPUs (default 8)")
    parser.add_argument("--servers", type=int, default=0, help="inference servers beside them (default 0)")
    parser.add_argument("--ranks", type=int, default=0, help="ranks of a training beside them (default 0)")
    parser.add_argument("--one", choices=("with", "without"), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(record(args.store, args.ticks, args.per_gpu, args.servers, args.ranks, rules=args.one == "with")))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for one in ("without", "with"):
            path = Path(folder) / f"{one}.db"
            given = [
                "--ticks",
                args.ticks,
                "--per-gpu",
                args.per_gpu,
                "--servers",
                args.servers,
                "--ranks",
                args.ranks,
                "--one",
                one,
                "--store",
                path,
            ]
            done = subprocess.run([sys.executable, __file__, *map(str, given)], capture_output=True, text=True, check=True)
            report(f"{one} rules", json.loads(done.stdout.splitlines()[-1]), args.ticks)
        print(f"a replayed day: {replayed(path):.1f} s CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
