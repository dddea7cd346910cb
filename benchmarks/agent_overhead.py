"""What the agent costs a training: within one process, hooks on and off in turns, and by whole runs with and without ``gpuwatch run``.

``python benchmarks/agent_overhead.py`` trains a tiny model on one core. In one process the agent is switched on and off every 50
steps, over ``--steps`` steps: the 10th percentiles of CPU time of both kinds of step are compared, which other load on the machine moves
least; the same with three micro-batches more a step gives the cost of one. Then ``--pairs`` whole runs are made with and without ``gpuwatch run
--no-record``, in turns, from the same seed. Needs torch. Exits 1 over a budget, 2 without torch.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
INJECT = CHECKOUT / "gpuwatch" / "inject"
EVERY, MORE = 50, 3
STEP_BUDGET, MICRO_BUDGET = 50.0, 10.0


def quantile(values: list[float], share: float) -> float:
    """By rank."""
    return sorted(values)[int(share * (len(values) - 1))]


def yardstick() -> float:
    """Nanoseconds, at best, of what a hook cannot do without: a Python call, a look at the clock and a store into memory."""
    place = memoryview(bytearray(8)).cast("Q")

    def hook(value: int) -> None:
        place[0] = value << 56 | time.monotonic_ns()

    best = math.inf
    for _ in range(200):
        begin = time.thread_time_ns()
        for value in range(100):
            hook(value)
        best = min(best, (time.thread_time_ns() - begin) / 100)
    return best


def loop(steps: int, micro: int, toggle: Any) -> list[tuple[int, float]]:
    """Train; (switched on, microseconds of CPU) of each step. ``toggle`` is told with each step whether the agent is on."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader

    torch.manual_seed(7)
    model = nn.Sequential(nn.Embedding(64, 16), nn.Linear(16, 64))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    data = torch.randint(0, 64, (16 * micro, 8))
    took: list[tuple[int, float]] = []
    stream = iter(())
    for step in range(steps):
        on = step // EVERY % 2
        toggle(on)
        begin = time.thread_time_ns()
        for _ in range(micro):
            ids = next(stream, None)
            if ids is None:  # a new epoch costs more than a step: it begins in a step that is not counted
                stream = iter(DataLoader(data, batch_size=4))
                ids, begin = next(stream), 0
            nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
        if begin and step % EVERY:
            took.append((on, (time.thread_time_ns() - begin) / 1e3))
    return took


def in_process(steps: int, micro: int) -> None:
    """The child: prints what steps took with the agent on and off."""
    import torch

    torch.set_num_threads(1)
    import gpuwatch_agent

    agent = gpuwatch_agent.AGENT

    def toggle(on: int) -> None:
        agent.off = not on

    toggle(1)
    loop(200, micro, lambda on: None)
    took = loop(steps, micro, toggle)
    assert agent.steps > steps // 3, "the agent has seen nothing"
    print(json.dumps([[us for on, us in took if on == which] for which in (0, 1)]))


def whole(steps: int) -> None:
    """The child of a pair: trains, and prints the digest of its weights."""
    import torch

    torch.set_num_threads(1)
    took = loop(steps, 1, lambda on: None)
    print(json.dumps(sum(us for _, us in took)))


def environment(folder: str, attach: bool) -> dict[str, str]:
    """With the agent as ``gpuwatch run`` brings it, or without."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(("GPUWATCH", "PYTHONPATH"))}
    found |= {"GPUWATCH_DIR": folder, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT)}
    return found | {"GPUWATCH_ATTACH": "1", "PYTHONPATH": str(INJECT)} if attach else found


def toggled(folder: str, steps: int, micro: int) -> tuple[float, float, float]:
    """(p10 without, p10 more with, median more with), microseconds a step."""
    command = [sys.executable, __file__, "--child", "toggled", "--steps", str(steps), "--micro", str(micro)]
    done = subprocess.run(command, env=environment(folder, True), capture_output=True, text=True, check=True)
    off, on = json.loads(done.stdout)
    return quantile(off, 0.1), quantile(on, 0.1) - quantile(off, 0.1), statistics.median(on) - statistics.median(off)


def one_run(folder: str, steps: int, watched: bool) -> tuple[float, float]:
    """(wall, CPU) seconds of a whole run, the start of Python included."""
    prefix = [sys.executable, "-m", "gpuwatch", "run", "--no-record", "--quiet", "--"] if watched else []
    command = [*prefix, sys.executable, __file__, "--child", "whole", "--steps", str(steps)]
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, env=environment(folder, False), capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - begin, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison within a process")
    parser.add_argument("--child", choices=("toggled", "whole"), help=argparse.SUPPRESS)
    parser.add_argument("--micro", type=int, default=1, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed (scripts/test --all)", file=sys.stderr)
        return 2
    if chosen.child:
        in_process(chosen.steps, chosen.micro) if chosen.child == "toggled" else whole(chosen.steps)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o700)
        print(f"load {os.getloadavg()[0]:.1f}; {chosen.steps} steps, the agent on and off every {EVERY}; CPU us a step")
        print(f"  yardstick: {yardstick():.0f} ns for a call and a store into memory")
        best: dict[int, float] = {}
        extra = 0.0
        for micro in (1, 1 + MORE) if chosen.rounds else ():
            found = [toggled(folder, chosen.steps, micro) for _ in range(chosen.rounds)]
            best[micro] = statistics.median(p10 for _, p10, _ in found)
            for base, p10, median in found:
                name = f"{micro} micro-batch{'es' if micro > 1 else ''}"
                print(f"  {name:<16}p10 {base:7.1f}  with the agent {p10:+6.1f}  median {median:+6.1f}", flush=True)
        if best:
            extra = (best[1 + MORE] - best[1]) / MORE
            print(
                f"  a step {best[1]:+.1f} (budget {STEP_BUDGET:.0f}); a further micro-batch {extra:+.1f} (budget {MICRO_BUDGET:.0f})"
            )
        pairs = [(one_run(folder, chosen.steps, True), one_run(folder, chosen.steps, False)) for _ in range(chosen.pairs)]
    if pairs:
        tell(pairs, chosen.steps)
    return int(bool(best) and (best[1] > STEP_BUDGET or extra > MICRO_BUDGET))


def tell(pairs: list[tuple[tuple[float, float], tuple[float, float]]], steps: int) -> None:
    """The differences of whole runs, with their standard error."""
    print(f"{len(pairs)} pairs of whole runs of {steps} steps, with gpuwatch run and without; seconds")
    for place, name in enumerate(("wall", "CPU")):
        more = [watched[place] - alone[place] for watched, alone in pairs]
        error = statistics.stdev(more) / math.sqrt(len(more)) if len(more) > 1 else math.nan
        base = statistics.mean(alone[place] for _, alone in pairs)
        print(
            f"  {name:<5} {base:6.2f} without; with {statistics.mean(more):+.3f} ± {error:.3f} ({1e6 * statistics.mean(more) / steps:+.0f} us a step)"
        )


if __name__ == "__main__":
    sys.exit(main())
