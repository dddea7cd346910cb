"""What being watched costs a real vLLM: CPU of its processes with and without gpuwatch, at the same load, taking turns.

``GPUWATCH_TEST_VLLM=… python benchmarks/scrape_load.py`` starts vLLM on the CPU and ``gpuwatch record`` with the interval that it has
by default. The recorder is stopped and goes on in turns of ``--seconds``, once with nobody asking the server and once under a paced
load, so that what the machine does besides falls on both sides. The API server answers the look for metrics between its requests: its
CPU is the figure that counts. Exits 1 when that is more than 1 % of a core in either part.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import mean, stdev

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from pty_measure import cpu_seconds
from support.live_recorder import LiveRecorder
from support.load import VLLM, Load
from support.vllm_server import VARIABLE, VllmServer, binaries, vllm_server

from gpuwatch.dataclass import dataclass
from gpuwatch.names import ServerState

BUDGET_PERCENT = 1.0
WARM_SECONDS, SETTLE_SECONDS, UP_SECONDS = 8.0, 3.0, 60.0
CLIENTS, PER_SECOND = 4, 6.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Percent of a core over one turn: of the API server, of all processes of the server, of the recorder."""

    api: float
    tree: float
    recorder: float


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        for thread in Path(f"/proc/{one}/task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def turn(server: VllmServer, recorder: LiveRecorder, seconds: float) -> Turn:
    """Let time pass and see what it cost."""
    pids = tree(server.pid)
    watched = [server.pid, recorder.pid]

    def cpu() -> list[float]:
        return [*(cpu_seconds(pid) for pid in watched), sum(cpu_seconds(pid) for pid in pids)]

    before, began = cpu(), time.monotonic()
    time.sleep(seconds)
    after, span = cpu(), time.monotonic() - began
    api, own, whole = (100 * (later - earlier) / span for earlier, later in zip(before, after, strict=True))
    return Turn(api, whole, own)


def part(server: VllmServer, recorder: LiveRecorder, pairs: int, seconds: float, load: bool) -> bool:
    """Print one part of the table; whether its budget is met."""
    clients = Load(server.port, VLLM, concurrency=CLIENTS, per_second=PER_SECOND) if load else nullcontext()
    with_us, without = [], []
    with clients:
        time.sleep(WARM_SECONDS)
        for number in range(2 * pairs):
            watching = number % 4 in (0, 3)  # ABBA: what drifts falls on both sides
            os.kill(recorder.pid, signal.SIGCONT if watching else signal.SIGSTOP)
            time.sleep(SETTLE_SECONDS)
            (with_us if watching else without).append(turn(server, recorder, seconds))
        os.kill(recorder.pid, signal.SIGCONT)
    extra = [a.api - b.api for a, b in zip(with_us, without, strict=True)]
    known = recorder.server(server.pid) or {}
    error = stdev(extra) / len(extra) ** 0.5 if len(extra) > 1 else 0.0
    what = f"{CLIENTS} clients, {PER_SECOND:g} requests/s" if load else "nobody asks"
    print(
        f"| {what} | {mean(t.api for t in without):.2f} | {mean(t.api for t in with_us):.2f} | {mean(extra):+.2f} ± {error:.2f} "
        f"| {mean(t.tree for t in with_us) - mean(t.tree for t in without):+.2f} | {mean(t.recorder for t in with_us):.2f} "
        f"| {(known.get('interval_ms') or 0) / 1000:g} s, {(known.get('scrape_us') or 0) / 1000:.1f} ms |",
        flush=True,
    )
    return mean(extra) <= BUDGET_PERCENT


def main() -> int:
    """Measure both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a turn (default 20)")
    parser.add_argument("--pairs", type=int, default=4, help="turns with and as many without, in each part (default 4)")
    args = parser.parse_args()
    programs = binaries()
    if programs is None:
        print(f"{VARIABLE} is not set: name a Python that has vLLM", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="gpuwatch-load-") as name:
        folder = Path(name)
        with vllm_server(folder, programs) as server, LiveRecorder(folder) as recorder:
            recorder.wait("vLLM is up", lambda: (recorder.server(server.pid) or {}).get("state") == ServerState.UP, UP_SECONDS)
            print(f"load average {os.getloadavg()[0]:.1f}; percent of a core; {args.pairs} turns of {args.seconds:g} s each way\n")
            print(
                "| load | API server alone | with gpuwatch | more | more, all processes | gpuwatch record | interval, time of a look |"
            )
            print("|---|---|---|---|---|---|---|")
            met = [part(server, recorder, args.pairs, args.seconds, load) for load in (False, True)]
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
