"""What keeping costs: an unwatched recorder on the fake driver, the two in-process benchmarks of the store, and jumps into the past."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench import Bench, Row
from pty_measure import cpu_seconds, rss_mb
from scene import CHECKOUT, moving, watched

WARM_SECONDS = 11
JUMPS, CELLS = 60, 60
HOT_MS = 7_000_000
"""Seconds are kept for two hours."""


def written(pid: int) -> int:
    """Bytes that a process gave to ``write`` calls."""
    text = Path(f"/proc/{pid}/io").read_text()
    return int(re.search(r"wchar: (\d+)", text)[1])  # type: ignore[index]


def recorder(bench: Bench) -> list[Row]:
    """``gpuwatch record`` with 8 GPUs and 128 processes that nobody watches: commits each 10 s, so the window is a multiple."""
    seconds = max(20, round(bench.seconds / 10) * 10)
    with watched(moving(8, 128), 128) as fake:
        running = subprocess.Popen(bench.ours("record"), env=bench.env(fake), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(WARM_SECONDS)
            cpu, size = cpu_seconds(running.pid), float(written(running.pid))
            time.sleep(seconds)
            cpu, size = (cpu_seconds(running.pid) - cpu) / seconds * 1000, (written(running.pid) - size) / seconds / 1024
            rss = rss_mb(running.pid)
        finally:
            running.terminate()
            running.wait()
    return [
        Row(
            "`record` unwatched, 8 GPUs, 128 processes: CPU ms a tick, reading included",
            f"{cpu:.1f}",
            "",
            "",
            None,
            {"cpu_ms": cpu},
        ),
        Row("the same, KiB written a tick", f"{size:.1f}", "", "≤ 20", size <= 20),
        Row("the same, RSS MB without the driver's library", f"{rss:.1f}", "", "≤ 30", rss <= 30),
    ]


def writing(bench: Bench) -> list[Row]:
    """The in-process benchmarks, run as programs."""
    said = {name: _run(name) for name in ("store_write.py", "recorder_tick.py")}
    stored = re.search(r"gpuwatch insert \+ commit\s+([\d.]+)\s+[\d.]+\s+([\d.]+)", said["store_write.py"])
    orm = re.search(r"SQLAlchemy ORM objects\s+([\d.]+)", said["store_write.py"])
    total = re.search(r", all in ([\d.]+) ms", said["recorder_tick.py"])
    whole = re.search(r"what drivers said ([\d.]+) on average", said["recorder_tick.py"])
    if not (stored and orm and total and whole):
        raise RuntimeError("the store benchmarks speak another language")
    insert, kib, all_in = float(stored[1]), float(stored[2]), float(total[1])
    return [
        Row(
            "store: insert and commit a tick, 8 GPU + 128 process rows, CPU ms",
            f"{insert:.2f}",
            f"SQLAlchemy ORM: {orm[1]}",
            "≤ 0.6",
            insert <= 0.6,
        ),
        Row("store: the same with rollups, ledger, sealing and deleting, CPU ms", f"{all_in:.2f}", "", "≤ 1.5", all_in <= 1.5),
        Row("recorder: the whole tick, merging included, reading not, CPU ms", whole[1]),
        Row("store: KiB a tick, commit every 10", f"{kib:.1f}", "", "≤ 20", kib <= 20),
    ]


def _run(name: str) -> str:
    done = subprocess.run([sys.executable, str(CHECKOUT / "benchmarks" / name)], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr)
    return done.stdout


def replay(bench: Bench) -> list[Row]:
    """Build the picture of random seconds of a demo's last two hours."""
    from gpuwatch.store.window import Window
    from gpuwatch.view.build import build_view

    path = bench.folder / "replay.db"
    command = bench.ours("--demo=lab", "record", "--store", str(path), "--for", "2s")
    subprocess.run(command, env=bench.env(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    now_ms, dice = round(time.time() * 1000), random.Random(1)
    window = Window(path)
    cpu, wall = [], []
    for _ in range(JUMPS):
        moment = now_ms - dice.randrange(60_000, HOT_MS)
        began, spent = time.perf_counter(), time.process_time()
        view = build_view(window, moment, now_ms=now_ms, cells=CELLS)
        cpu.append((time.process_time() - spent) * 1000)
        wall.append((time.perf_counter() - began) * 1000)
        if len(view.gpus) != 8:
            raise RuntimeError(f"nothing is shown {(now_ms - moment) / 1000:.0f} s ago")
    window.close()
    text = f"{median(cpu):.1f} ({max(cpu):.1f}), wall {median(wall):.1f}"
    return [
        Row(
            "replay: jump to any second kept at 1 Hz, CPU ms, median (worst)",
            text,
            "",
            "≤ 50",
            median(cpu) <= 50,
            {"cpu": cpu, "wall": wall},
        )
    ]
