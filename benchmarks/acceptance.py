"""Real input, end to end: real processes on the fake driver, recorded, killed, recorded again; then every reader against the truth.

``python benchmarks/acceptance.py --minutes 5 --seed 1`` runs two real PyTorch trainings on the CPU (``--plain``: plain Python) and
a sleeping notebook; ``gpuwatch record`` is killed with SIGKILL after 60 % and started again after a pause; a process lives 7 s.
Utilization, memory, power and processes of 8 GPUs as ``status --json``, the screen's text in tmux and ``query`` give them are
compared with the scenario second by second. Prints a table and exits 1 when a line is not met.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from readers import compare, screen_lag
from scene import CHECKOUT, FakeDriver, home, sleepers
from truth import PERIOD_MS, SHORT, SHORT_SECONDS, SQUARE, START_MS, Lab, Tally, lab

KILL_AT, LEAD_SECONDS = 0.6, 12
LOST_SECONDS, IDLE_ERROR = 10.0, 0.01
"""Seconds of rows that are not in the file yet when nobody watches; the second that is under way has no row."""
EDGE_SECONDS = 0.5
"""What the two ends of the recording may be off in all: a second is read some milliseconds late."""
IDLE = ("wait", "held_idle", "idle_unattributed", "quiet")
"""Buckets of time in which a held GPU did nothing."""
TRAIN = """\
import sys, time
try:
    if {plain}: raise ImportError
    import torch
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 64))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    while True:
        loss = (model(torch.randn(32, 64)) ** 2).mean()
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        time.sleep(0.1)
except ImportError:
    while True:
        sum(i * i for i in range(20_000))
        time.sleep(0.1)
"""


class Run:
    """One acceptance run: the watched processes, the recorder, the readers, what they said."""

    def __init__(self, stack: ExitStack, seconds: int, pause: int, seed: int, *, plain: bool) -> None:
        self.seconds, self.pause = seconds, pause
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpuwatch-acceptance-")))
        self.lab: Lab = lab(seconds + pause + 60, seed)
        script = self.folder / "train.py"
        script.write_text(TRAIN.format(plain=plain))
        pids: dict[str, int | str] = {"short": f"@{self.folder / 'short.pid'}"}
        for slot in ("train-a", "train-b"):
            process = subprocess.Popen(
                [sys.executable, str(script), "--config", f"{slot}.yaml"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(_end, process)
            pids[slot] = process.pid
        [notebook] = stack.enter_context(sleepers([["python3", "-m", "ipykernel_launcher", "-f", "kernel-9f2e.json"]]))
        pids["notebook"] = notebook.pid
        self.epoch_ms = round(time.time() * 1000)
        self.fake = stack.enter_context(FakeDriver(self.lab.lines, pids=pids, epoch_ms=self.epoch_ms))
        self.env = home(self.folder, self.fake.env)
        self.env["GPUWATCH_STORE"] = str(self.folder / "store.db")
        self.statuses: list[dict[str, Any]] = []
        self.screens: list[tuple[float, str]] = []
        self.killed_ms = self.restarted_ms = 0.0
        self.short_pid, self.short_seconds = 0, 0.0

    def command(self, *arguments: str) -> list[str]:
        """A command line of the program under test."""
        return [sys.executable, "-m", "gpuwatch", *arguments]

    def ms(self) -> float:
        """Scenario time."""
        return time.time() * 1000 - self.epoch_ms

    # -------------------------------------------------------------------------------------------------------------- live

    def play(self) -> None:
        """The whole run, in real time."""
        kill_after = round(self.seconds * KILL_AT)
        with _recorder(self) as first:
            self.watch(max(kill_after - LEAD_SECONDS, kill_after // 2), short_at=min(20, kill_after // 3))
            self.poll_until(time.time() + kill_after - max(kill_after - LEAD_SECONDS, kill_after // 2))
            first.send_signal(signal.SIGKILL)
            first.wait()
            self.killed_ms = time.time() * 1000
        time.sleep(self.pause)
        self.restarted_ms = time.time() * 1000
        with _recorder(self) as second:
            self.watch(self.seconds - kill_after)
            second.terminate()
            second.wait(20)

    def watch(self, seconds: float, short_at: float | None = None) -> None:
        """Let a screen and a poller read for a while; start the short process in between."""
        until = time.time() + seconds
        with screen(self) as capture:
            if short_at is not None:
                self.poll_until(time.time() + short_at, capture)
                self.short_life(capture)
            self.poll_until(until, capture)

    def short_life(self, capture: Any) -> None:
        """A real process that lives 7 s and is on its GPU all that time."""
        file = self.folder / "short.pid"
        with sleepers([["python3", "eval.py", "--quick"]]) as [process]:
            self.short_pid = process.pid
            born = self.ms()
            file.write_text(str(process.pid))
            self.poll_until(time.time() + SHORT_SECONDS, capture)
            file.unlink()
            died = self.ms()
        self.lab.add_short(born, died)
        self.short_seconds = (died - born) / 1000

    def poll_until(self, until: float, capture: Any = None) -> None:
        """Each second: ``status --json`` and the screen's text."""
        while (left := until - time.time()) > 0:
            time.sleep(min(left, 1 - time.time() % 1))
            if capture is not None:
                self.screens.append((time.time() * 1000, capture()))
            done = subprocess.run(
                self.command("status", "--json"),
                env=self.env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode == 0:
                self.statuses.append(json.loads(done.stdout))

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of the public views, by the program's own ``query``."""
        done = subprocess.run(
            self.command("query", "--format", "json", sql),
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
        return found

    # -------------------------------------------------------------------------------------------------------------- truth

    def span(self, gpu: int, quantity: str, start_ms: float, end_ms: float) -> tuple[float, float]:
        """The least and greatest true value of a span of unix ms, in the unit of the views."""
        factor = {"utilization": 100, "memory": 1, "power": 1000, "processes": 1}[quantity]
        low, high = getattr(self.lab.gpus[gpu], quantity).span(start_ms - self.epoch_ms, end_ms - self.epoch_ms)
        return low / factor, high / factor


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@contextmanager
def _recorder(run: Run) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(run.command("record"), env=run.env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        _end(process)


@contextmanager
def screen(run: Run) -> Iterator[Any]:
    """The live screen in tmux, as a viewer only; yields a function that captures its text (None without tmux)."""
    if not shutil.which("tmux"):
        yield None
        return
    tmux = ["tmux", "-L", f"gpuwatch-{os.getpid()}", "-f", "/dev/null"]
    command = " ".join(run.command("--no-record"))
    subprocess.run([*tmux, "new-session", "-d", "-x", "120", "-y", "40", command], env={**run.env, "LC_ALL": "C.UTF-8"}, check=True)
    try:
        yield lambda: _settled([*tmux, "capture-pane", "-p"], run.env)
    finally:
        subprocess.run([*tmux, "kill-server"], env=run.env, check=False, stderr=subprocess.DEVNULL)


def _settled(capture: list[str], env: dict[str, str]) -> str:
    """The screen once three captures in a row agree, else nothing: tmux may be asked in the middle of a refresh."""
    seen, same = "", 0
    for _ in range(12):
        text = subprocess.run(capture, env=env, capture_output=True, text=True, check=False).stdout
        same = same + 1 if text == seen else 1
        if same == 3:
            return text
        seen = text
        time.sleep(0.02)
    return ""


# ------------------------------------------------------------------------------------------------------------------ comparing


def facts(run: Run, least_seconds: int) -> list[tuple[str, str, bool]]:
    """(what, figure, met) of the rest: idle time, the short process, what the kill cost, the gap."""
    rows = run.query(f"SELECT ts_ms, duration_seconds FROM v_gpu_raw WHERE gpu_index = {SQUARE} ORDER BY ts_ms")
    buckets = run.query(
        f"SELECT t, bucket, sum(ms) / 1000.0 AS s FROM v_ledger_minute WHERE gpu_index = {SQUARE} GROUP BY t, bucket"
    )
    idle = _true_idle(run, rows, {row["t"] for row in buckets})
    booked = sum(row["s"] for row in buckets if row["bucket"] in IDLE)
    error = abs(booked - idle) / idle if idle else 1.0
    said_of = {
        bucket: sum(row["s"] for row in buckets if row["bucket"] == bucket) for bucket in sorted({row["bucket"] for row in buckets})
    }
    parts = ", ".join(f"{bucket} {total:.1f}" for bucket, total in said_of.items())
    seconds = len({row["ts_ms"] for row in rows})
    before = [row["ts_ms"] for row in rows if row["ts_ms"] <= run.killed_ms]
    lost = (run.killed_ms - max(before, default=run.epoch_ms)) / 1000
    after = min((row["ts_ms"] for row in rows if row["ts_ms"] > run.restarted_ms - 1000), default=0)
    gaps = run.query("SELECT start_ms, end_ms, reason FROM v_gap ORDER BY start_ms")
    covering = [gap for gap in gaps if gap["start_ms"] <= run.killed_ms + 1000 and gap["end_ms"] >= run.restarted_ms - 1000]
    said = "; ".join(f"{gap['reason']} {(gap['end_ms'] - gap['start_ms']) / 1000:.1f} s" for gap in gaps) or "none"
    known = run.query(f"SELECT name, first_ms, last_ms FROM v_process WHERE pid = {run.short_pid}")
    held = run.query(f"SELECT duration_seconds AS s FROM v_gpu_raw WHERE gpu_index = {SHORT} AND process_count > 0")
    seen, edge = sum(row["s"] for row in held), max((row["s"] for row in held), default=0.0) + EDGE_SECONDS
    return [
        ("seconds recorded", f"{seconds} (at least {least_seconds})", seconds >= least_seconds),
        (
            f"idle seconds of a 37 % square wave of {PERIOD_MS / 1000:.0f} s",
            f"{booked:.2f}, true {idle:.2f}: {error:.2%} off ({parts})",
            error <= IDLE_ERROR or abs(booked - idle) <= EDGE_SECONDS,
        ),
        (
            f"a process of {run.short_seconds:.1f} s is recorded",
            f"{len(known)} row, on its GPU in {seen:.0f} seconds",
            len(known) == 1 and abs(seen - run.short_seconds) <= edge,
        ),
        ("lost at kill -9", f"{lost:.1f} s", 0 <= lost < LOST_SECONDS + 1),
        ("recording again after", f"{(after - run.restarted_ms) / 1000:.1f} s", 0 < after <= run.restarted_ms + START_MS),
        ("a live screen was behind by at most", f"{screen_lag(run):.1f} s", screen_lag(run) * 1000 <= START_MS),
        ("the pause is a gap", said, len(covering) == 1 and covering[0]["reason"] == "crash"),
    ]


def _true_idle(run: Run, rows: list[dict[str, Any]], minutes: set[int]) -> float:
    """Idle seconds of the square wave in the observed parts of these minutes (those that the ledger has)."""
    wave, total = run.lab.gpus[SQUARE].utilization, 0.0
    for row in rows:
        end, start = row["ts_ms"], row["ts_ms"] - row["duration_seconds"] * 1000
        for minute in minutes:
            low, high = max(start, minute * 1000), min(end, minute * 1000 + 60_000)
            if low < high:
                total += (100 - wave.mean(low - run.epoch_ms, high - run.epoch_ms)) / 100 * (high - low)
    return total / 1000


def report(tallies: dict[str, dict[str, Tally]], lines: list[tuple[str, str, bool]]) -> bool:
    """Print both tables; True when every line is met."""
    print("| source | value | last digit | largest difference | still | with an edge | outside | missing | met | example |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    met = True
    for source, by_name in tallies.items():
        for name, tally in by_name.items():
            met &= tally.met
            print(
                f"| {source} | {name} | {tally.unit:g} | {tally.worst:.2f} | {tally.still} | {tally.moving} | {tally.outside} | {tally.missing} | {'yes' if tally.met else '**no**'} | {tally.example} |"
            )
    print("\n| what | figure | met |\n|---|---|---|")
    for what, figure, ok in lines:
        met &= ok
        print(f"| {what} | {figure} | {'yes' if ok else '**no**'} |")
    return met


def main() -> int:
    """Play and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--pause", type=int, default=10, help="seconds between the kill and the new start (default 10)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="plain Python loops in place of PyTorch")
    args = parser.parse_args()
    seconds = round(args.minutes * 60)
    with ExitStack() as stack:
        run = Run(stack, seconds, args.pause, args.seed, plain=args.plain)
        run.play()
        tallies, lines = compare(run), facts(run, min(120, round(seconds * 0.7)))
        if not shutil.which("tmux"):
            del tallies["screen"]
        print(f"seed {args.seed}, {seconds} s, {len(run.statuses)} answers of status, {len(run.screens)} pictures\n")
        met = report(tallies, lines)
        results = CHECKOUT / "benchmarks" / "results"
        results.mkdir(exist_ok=True)
        (results / "acceptance-screens.txt").write_text(
            "\n".join(f"{(at - run.epoch_ms) / 1000:.2f} s\n{text}" for at, text in run.screens)
        )
        shutil.copy(run.folder / "store.db", results / f"acceptance-{args.seed}.db")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
