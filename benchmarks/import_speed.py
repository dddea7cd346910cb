"""A million rows of ``nvidia-smi --query-gpu`` CSV into a store: ``python benchmarks/import_speed.py [--noisy] [ROWS]``; CPU time by stage.

The log (8 GPUs at 1 Hz, 6 columns) is made in a temporary folder from a seed. ``--noisy`` is the worst case: 9 columns, of which
memory, power and clocks are random in every row, so that nothing repeats. Its reader alone and the whole import run in one
process each; the difference is what the store's rows, minutes, ledger, hours, chunks and the one transaction cost.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

HEADER = "timestamp, index, utilization.gpu [%], memory.used [MiB], power.draw [W], temperature.gpu, clocks.current.sm [MHz]"
NOISY_HEADER = (
    "timestamp, index, utilization.gpu [%], utilization.memory [%], memory.used [MiB], power.draw [W], temperature.gpu,"
    " clocks.current.sm [MHz], clocks.current.memory [MHz]"
)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
BUDGET_SECONDS = 20.0
READ = """
import sys, time
from gpuwatch.collectors.importers.detect import detect
from gpuwatch.collectors.importers.types import ImportOptions
log = detect(sys.argv[1], ImportOptions(tz="UTC"))
print(sum(1 for _ in log.rows), time.process_time())
"""
IMPORT = """
import sys, time, resource
from gpuwatch.cli import main
code = main(["import", "--tz", "UTC", "--store", sys.argv[2], sys.argv[1]])
print(code, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def write_log(path: Path, rows: int, *, noisy: bool = False) -> None:
    """8 GPUs that are busy, held and free by turns; ``noisy``: every row unlike all others."""
    rnd = random.Random(7)
    with path.open("w", encoding="utf-8") as out:
        out.write((NOISY_HEADER if noisy else HEADER) + "\n")
        for second in range(rows // 8):
            at = (BEGIN + timedelta(seconds=second)).strftime("%Y/%m/%d %H:%M:%S.") + f"{rnd.randrange(1000):03}"
            for gpu in range(8):
                if noisy:
                    load, copies, memory, heat = (
                        rnd.randrange(101),
                        rnd.randrange(101),
                        rnd.randrange(81_000),
                        rnd.randrange(30, 90),
                    )
                    watts, clock, faster = rnd.uniform(60, 700), rnd.randrange(210, 1981), rnd.randrange(405, 2620)
                    cells = f"{load} %, {copies} %, {memory} MiB, {watts:.2f} W, {heat}, {clock} MHz, {faster} MHz"
                    out.write(f"{at}, {gpu}, {cells}\n")
                    continue
                phase = (second // 900 + gpu) % 4
                busy = rnd.randrange(60, 101) if phase in (1, 2) else 0
                memory = 41_000 + second // 600 if phase else 4
                watts = rnd.gauss(640, 20) if busy else rnd.gauss(110, 1)
                heat = rnd.randrange(55, 60) if busy else 33
                out.write(f"{at}, {gpu}, {busy} %, {memory} MiB, {watts:.2f} W, {heat}, {1980 if busy else 345} MHz\n")


def run(script: str, *arguments: str) -> list[str]:
    """The last line that a process of its own prints."""
    done = subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1].split()


def main() -> int:
    """Print the figures; 1 if the budget for a million rows is exceeded."""
    noisy = "--noisy" in sys.argv
    rows = next((int(word) for word in sys.argv[1:] if word.isdigit()), 1_000_000)
    with tempfile.TemporaryDirectory(prefix="gpuwatch-import-") as folder:
        log, store = Path(folder) / "log.csv", Path(folder) / "gpuwatch.db"
        write_log(log, rows, noisy=noisy)
        size = log.stat().st_size
        count, reading = run(READ, str(log))
        code, whole, peak = run(IMPORT, str(log), str(store))
        stored = store.stat().st_size
    per_row = float(whole) / int(count) * 1e6
    print(f"rows              {int(count):>12,}   {size / 1e6:.1f} MB of text, {stored / 1e6:.1f} MB in the store")
    print(f"reading           {float(reading):>10.2f} s   {float(reading) / int(count) * 1e6:6.2f} us a row")
    print(f"all in            {float(whole):>10.2f} s   {per_row:6.2f} us a row, exit code {code}")
    print(f"a million rows    {per_row:>10.2f} s   budget {BUDGET_SECONDS:.0f} s of CPU; peak memory {int(peak) / 1024:.0f} MiB")
    return int(per_row > BUDGET_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
