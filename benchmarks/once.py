"""One-shot commands: ``status`` beside ``nvitop -1``, ``--version`` beside an interpreter that does nothing, ``run`` beside nothing."""

from __future__ import annotations

import resource
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from statistics import median

from bench import Bench, Row, ratio, spread, within
from scene import moving, watched

RUNS = 7


def run(env: Mapping[str, str], *commands: Sequence[str], runs: int = RUNS) -> list[tuple[list[float], list[float]]]:
    """(CPU seconds, wall seconds) of each run of each command, in turn; a first round is not counted."""
    found: list[tuple[list[float], list[float]]] = [([], []) for _ in commands]
    for number in range(runs + 1):
        for command, (cpus, walls) in zip(commands, found):
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
    return found


def status(bench: Bench) -> list[Row]:
    """No recorder runs: one sample of the driver, with the second one that GPM needs."""
    rows = []
    ours = (["status"], ["status", "--json"])
    peers = [[*bench.nvitop, "-1"]] if bench.nvitop else []
    for processes in (8, 128):
        with watched(moving(8, processes), processes) as fake:
            *found, last = run(bench.env(fake), *(bench.ours(*arguments) for arguments in ours), *peers)
        if not peers:
            found.append(last)
        other = median(last[0]) if peers else None
        said = f"{spread(last[0], 3)}, wall {median(last[1]):.2f}" if peers else ""
        for arguments, (cpu, wall) in zip(ours, found):
            what = f"`{' '.join(arguments)}`, 8 GPUs, {processes} processes, CPU s"
            text = f"{spread(cpu, 3)}{ratio(median(cpu), other)}, wall {median(wall):.2f}"
            rows.append(Row(what, text, said, "≤ 0.8x", within(median(cpu), other, 0.8), {"cpu": cpu, "wall": wall}))
    return rows


def version(bench: Bench) -> list[Row]:
    """The cost of the entry point."""
    (cpu, _), (base, _) = run(bench.env(), bench.ours("--version"), [str(bench.python), "-c", "pass"], runs=15)
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


def launch(bench: Bench) -> list[Row]:
    """What ``gpuwatch run`` costs before and after a command; an interpreter that does nothing is most of it."""
    ours = bench.ours("run", "--no-record", "--", "true")
    with tempfile.TemporaryDirectory() as hooks:
        env = {**bench.env(), "GPUWATCH_DIR": f"{hooks}/hooks"}
        (cpu, wall), (base, without), (alone, _) = run(env, ours, ["true"], [str(bench.python), "-c", "pass"], runs=15)
    text = f"{median(cpu) * 1e3:.0f} ms, wall {median(wall) * 1e3:.0f}"
    said = f"true: {median(base) * 1e3:.1f} ms, wall {median(without) * 1e3:.0f}; python -c pass: {median(alone) * 1e3:.0f} ms"
    what = "`run --no-record -- true`, CPU beside `true`"
    return [Row(what, text, said, "≤ 80 ms", median(cpu) <= 0.08, {"cpu": cpu, "true": base, "pass": alone})]
