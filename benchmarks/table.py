"""Every budget as one Markdown table, measured side by side with nvitop on the fake driver in one run.

Run it with ``benchmarks/run``; ``benchmarks/README.md`` says what the rows mean. A figure of CPU is that of the whole process tree.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import driver
import live
import once
import store
from bench import Bench, Row
from install import install
from scene import CHECKOUT

GROUPS: dict[str, Callable[[Bench], list[Row]]] = {
    "live": live.steady,
    "still": live.still,
    "status": once.status,
    "version": once.version,
    "launch": once.launch,
    "calls": driver.calls,
    "slow": driver.slow,
    "hang": driver.hang,
    "recorder": store.recorder,
    "store": store.writing,
    "replay": store.replay,
}


TITLE = "## The last run\n\n"


def machine() -> str:
    """What measured, without names of hosts."""
    try:
        model = next(
            line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
        )
    except (OSError, StopIteration):
        model = platform.machine()
    return f"{os.cpu_count()} cores of {model}, Linux, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"


def markdown(rows: list[Row]) -> str:
    """The table."""
    lines = ["| what | gpuwatch | nvitop | budget | met |", "|---|---|---|---|---|"]
    verdict = {True: "yes", False: "**no**", None: ""}
    lines += [f"| {row.what} | {row.ours} | {row.peer} | {row.budget} | {verdict[row.met]} |" for row in rows]
    return "\n".join(lines)


def main() -> int:
    """Measure the groups that are asked for; exit 1 when a budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        default=20,
        help="length of a steady window, a multiple of 5 as the slowest readings are (default 20)",
    )
    parser.add_argument("--only", metavar="GROUP,…", help=f"some of: {', '.join(GROUPS)}")
    parser.add_argument("--readme", action="store_true", help="put the table into benchmarks/README.md as the last run")
    args = parser.parse_args()
    chosen = args.only.split(",") if args.only else list(GROUPS)
    if unknown := set(chosen) - GROUPS.keys():
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # it would make our program compile itself at each start
    peer = os.environ.get("GPUWATCH_TEST_PEERS")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="gpuwatch-bench-") as folder:
        bench = Bench(install(Path(folder)), peer, max(5, round(args.seconds / 5) * 5), Path(folder))
        for name in chosen:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            try:
                rows += GROUPS[name](bench)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                rows.append(Row(f"{name}: could not be measured", str(error)[:200], met=False))
    text = f"Machine: {machine()}\n\n{markdown(rows)}\n"
    print(text, end="")
    if args.readme:
        page = CHECKOUT / "benchmarks" / "README.md"
        before, _, rest = page.read_text().partition(TITLE)
        page.write_text(f"{before}{TITLE}{text}\n## {rest.partition('## ')[2]}")
    results = CHECKOUT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    document = {"machine": machine(), "seconds": args.seconds, "rows": [row.document() for row in rows]}
    (results / f"{stamp}.json").write_text(json.dumps(document, indent=1) + "\n")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
