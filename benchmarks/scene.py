"""What the benchmarks watch: GPUs of the fake driver whose values move each second, and real sleeping processes on them.

The processes are a ten-line C program that waits, with command lines as trainings have them, so that every monitor reads them
from ``/proc`` as it would read real ones, at no cost to the machine.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT / "tests"))

from fake_nvml import FakeDriver, compiler, fault, of_class, slow_driver

__all__ = ["CHECKOUT", "GIB", "FakeDriver", "fault", "home", "moving", "of_class", "sleepers", "slow_driver", "training", "watched"]

GIB = 1 << 30
LOOP_SECONDS = 60
_SLEEPER = """\
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>
int main(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); for (;;) pause(); }
"""
MOVING_GPM = (1, 2, 3, 5, 10)
"""GPM metrics that move: graphics, SM, occupancy, tensor and DRAM activity."""


@contextmanager
def sleepers(commands: Sequence[Sequence[str]]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Real processes with these command lines that do nothing; the name of each is the base name of its first word."""
    cc = compiler()
    if cc is None:
        raise RuntimeError("no C compiler found")
    with tempfile.TemporaryDirectory(prefix="sleepers-") as folder:
        source = Path(folder) / "sleeper.c"
        source.write_text(_SLEEPER)
        program = Path(folder) / "sleeper"
        subprocess.run([cc, "-O1", "-o", str(program), str(source)], check=True)
        running = []
        try:
            for command in commands:
                named = Path(folder) / os.path.basename(command[0])
                if not named.exists():
                    shutil.copy(program, named)
                running.append(subprocess.Popen(list(command), executable=named, stdin=subprocess.DEVNULL))
            yield running
        finally:
            for process in running:
                process.kill()
                process.wait()


def training(rank: int) -> list[str]:
    """The command line of one rank."""
    return ["python3", "train.py", "--config", "llama-8b.yaml", "--rank", str(rank), "--output", f"runs/llama-8b/{rank:03d}"]


def moving(gpus: int, processes: int, *, seed: int = 1, still: bool = False, seconds: int = LOOP_SECONDS) -> list[str]:
    """A scenario: every value of every GPU and process moves each second (or none does), and comes again after ``seconds``."""
    dice = random.Random(seed)
    lines: list[str] = of_class("hopper-h100", gpus).replace("loop_ms 0", f"loop_ms {seconds * 1000}").splitlines()
    moments = range(0, 1000 if still else seconds * 1000, 1000)
    for gpu in range(gpus):
        base = {
            "util": (40, 99),
            "memutil": (10, 60),
            "power_mw": (300_000, 690_000),
            "temp": (45, 80),
            "memory_used": (40 * GIB, 60 * GIB),
        }
        base |= {f"gpm.{metric}": (300, 950) for metric in MOVING_GPM}
        lines += [f"v {gpu} {name} {ms} {dice.randint(*span)}" for name, span in base.items() for ms in moments]
    lines += [f"proc p{n} kind=C name=python3" for n in range(processes)]
    for n in range(processes):
        lines += [f"pv p{n} {n % gpus} mem 0 {(1 + n % 3) * GIB}"]
        lines += [f"pv p{n} {n % gpus} sm {ms} {dice.randint(1, 60)}" for ms in moments]
    return lines


@contextmanager
def watched(lines: Iterable[str], processes: int, extra: Iterable[str] = ()) -> Iterator[FakeDriver]:
    """The fake driver on a scenario whose slots ``p0…`` are real sleeping processes."""
    with sleepers([training(n) for n in range(processes)]) as running:
        pids = {f"p{n}": process.pid for n, process in enumerate(running)}
        with FakeDriver(lines, extra=extra, pids=pids, epoch_ms=int(time.time() * 1000)) as fake:
            yield fake


def home(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """``env`` with a home of its own, so that no configuration of the person who measures counts."""
    made = {name: value for name, value in env.items() if not name.startswith("GPUWATCH_") or name.startswith("GPUWATCH_FAKE_")}
    made["HOME"] = str(folder)
    for name in ("COLUMNS", "LINES"):
        made.pop(name, None)
    for name in ("STATE", "CONFIG", "DATA", "CACHE"):
        made[f"XDG_{name}_HOME"] = str(folder / name.lower())
    made["XDG_RUNTIME_DIR"] = str(folder)
    return made
