"""One-shot commands: ``status`` beside ``nvitop -1``, and ``--version`` beside an interpreter that does nothing."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from statistics import median

from bench import Bench, Row, ratio, spread, within
from scene import moving, watched

RUNS = 7


def run(command: Sequence[str], env: Mapping[str, str], runs: int = RUNS) -> tuple[list[float], list[float]]:
    """(CPU seconds, wall seconds) of each run; one more, before, is not counted."""
    cpus, walls = [], []
    for number in range(runs + 1):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr.decode(errors='replace')}")
        if number:
            cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            walls.append(time.monotonic() - began)
    return cpus, walls


def status(bench: Bench) -> list[Row]:
    """No recorder runs: one sample of the driver, with the second one that GPM needs."""
    rows = []
    for processes in (8, 128):
        with watched(moving(8, processes), processes) as fake:
            env = bench.env(fake)
            peer = run([*bench.nvitop, "-1"], env) if bench.nvitop else None
            for arguments in (["status"], ["status", "--json"]):
                cpu, wall = run(bench.ours(*arguments), env)
                other = median(peer[0]) if peer else None
                rows.append(
                    Row(
                        f"`{' '.join(arguments)}`, 8 GPUs, {processes} processes, CPU s",
                        f"{spread(cpu, 3)}{ratio(median(cpu), other)}, wall {median(wall):.2f}",
                        f"{spread(peer[0], 3)}, wall {median(peer[1]):.2f}" if peer else "",
                        "≤ 0.8x",
                        within(median(cpu), other, 0.8),
                        {"cpu": cpu, "wall": wall},
                    )
                )
    return rows


def version(bench: Bench) -> list[Row]:
    """The cost of the entry point."""
    cpu, _ = run(bench.ours("--version"), bench.env(), 15)
    base, _ = run([str(bench.python), "-c", "pass"], bench.env(), 15)
    times = median(cpu) / median(base)
    text = f"{median(cpu) * 1e3:.0f} ms ({times:.2f}x)"
    return [
        Row(
            "`--version`, CPU beside `python -c pass`",
            text,
            f"pass: {median(base) * 1e3:.0f} ms",
            "≤ 3.5x",
            times <= 3.5,
            {"cpu": cpu, "pass": base},
        )
    ]
