"""A terminal that measures: runs a program in a real pseudo-terminal, answers its questions as xterm would, and counts what it
costs (bytes, CPU of the whole process tree, memory). Standard library only; Linux.

``python benchmarks/pty_measure.py [--seconds 15] [--match REGEX] -- COMMAND…`` prints one JSON object; the other benchmarks
import :class:`Terminal`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

ESCAPES = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[P^_X][^\x1b]*\x1b\\|\x1b[()*+].|\x1b[ -/]*[0-~]", re.DOTALL
)
MOVES = re.compile(rb"\x1b\[\d*(?:;\d*)?[HfGdABCDE]")
QUESTIONS = re.compile(
    rb"\x1b\[(?:0?(?P<device>c)|>0?(?P<second>c)|>0?(?P<version>q)|(?P<status>[56])n|\?(?P<mode>\d+)\$p|(?P<kitty>\?)u)"
    rb"|\x1b\](?P<colour>1[01]);\?(?:\x07|\x1b\\)"
)
DRIVER = "libnvidia-ml"
BURST_SECONDS = 0.05
"""Output that comes closer together than this is one refresh."""


def answers(data: bytes) -> bytes:
    """What a plain xterm that knows synchronized output replies to the questions in ``data``."""
    out = b""
    for found in QUESTIONS.finditer(data):
        match found.lastgroup:
            case "device":
                out += b"\x1b[?62;22c"
            case "second":
                out += b"\x1b[>41;390;0c"
            case "version":
                out += b"\x1bP>|XTerm(390)\x1b\\"
            case "status":
                out += b"\x1b[0n" if found["status"] == b"5" else b"\x1b[1;1R"
            case "mode":
                out += b"\x1b[?%s;%s$y" % (found["mode"], b"2" if found["mode"] == b"2026" else b"0")
            case "colour":
                out += b"\x1b]%s;rgb:0000/0000/0000\x1b\\" % found["colour"]
    return out


def plain(data: bytes) -> bytes:
    """The text in terminal output: cursor moves become a blank, other escapes nothing."""
    return ESCAPES.sub(b"", MOVES.sub(b" ", data))


# ----------------------------------------------------------------------------------------------------------------- processes


def descendants(pid: int) -> list[int]:
    """``pid`` and the live processes below it."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents.setdefault(int(file.read().rsplit(b")", 1)[1].split()[1]), []).append(int(name))
            except OSError:
                continue
    found = [pid]
    for each in found:
        found.extend(parents.get(each, ()))
    return found


def cpu_seconds(pid: int) -> float:
    """CPU of one process since its start: all its threads to the nanosecond, and children that it has waited for."""
    try:
        own = time.clock_gettime((~pid << 3) | 2)  # the kernel's number of that process's CPU clock
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return 0.0
    return own + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident megabytes (10^6) of one process without the driver library's own mappings."""
    total, counted = 0, True
    try:
        with open(f"/proc/{pid}/smaps") as file:
            for line in file:
                if line[0] in "0123456789abcdef" and "-" in line.split(" ", 1)[0]:
                    counted = DRIVER not in line
                elif counted and line.startswith("Rss:"):
                    total += int(line.split()[1])
    except OSError:
        return 0.0
    return total * 1024 / 1e6


class Terminal:
    """One program in a pseudo-terminal of ``size`` (columns, rows). Leaves it with SIGKILL at the end if it is still there."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], size: tuple[int, int] = (120, 40), *, term: str = "xterm-256color"
    ) -> None:
        environment = {**env, "TERM": term, "COLORTERM": "truecolor"}
        environment.pop("COLUMNS", None)
        environment.pop("LINES", None)
        gate_read, gate_write = os.pipe()  # holds the program back until the clock has started
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            try:
                os.read(gate_read, 1)
                os.closerange(3, 64)
                os.execvpe(command[0], list(command), environment)
            finally:
                os._exit(127)
        os.close(gate_read)
        self.resize(*size)
        self.output = bytearray()
        """Everything that the program wrote."""
        self.bursts: list[list[float]] = []
        """[start, end, bytes] of each refresh, in seconds since the start."""
        self.status: int | None = None
        """Exit code, negative for a signal; None while it runs."""
        self._open = True
        self._base = cpu_seconds(self.pid)
        self.began = time.monotonic()
        os.write(gate_write, b"x")
        os.close(gate_write)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def now(self) -> float:
        """Seconds since the program started."""
        return time.monotonic() - self.began

    @property
    def ended(self) -> bool:
        """Whether the program has ended (``status`` is its exit code then)."""
        if self.status is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def cpu(self) -> float:
        """CPU seconds so far of the program and all processes below it."""
        return sum(cpu_seconds(pid) for pid in descendants(self.pid)) - self._base

    def pump(self, seconds: float) -> int:
        """Wait for output up to ``seconds``, take it, answer it; returns how many bytes came."""
        if not self._open:
            time.sleep(min(seconds, 0.01))
            return 0
        ready, _, _ = select.select([self._master], [], [], max(0.0, seconds))
        if not ready:
            return 0
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            self._open = False
            return 0
        now = self.now
        if self.bursts and now - self.bursts[-1][1] < BURST_SECONDS:
            self.bursts[-1][1] = now
            self.bursts[-1][2] += len(data)
        else:
            self.bursts.append([now, now, len(data)])
        self.output += data
        reply = answers(data)
        if reply:
            os.write(self._master, reply)
        return len(data)

    def wait(self, seconds: float) -> None:
        """Let it run for ``seconds`` (or until it ends), taking its output."""
        until = self.now + seconds
        while (left := until - self.now) > 0 and not self.ended:
            self.pump(min(left, 0.05))

    def wait_for(self, pattern: str, timeout: float = 30, start: int = 0) -> bool:
        """Wait until the text written since output byte ``start`` matches; False when it did not come."""
        wanted, seen = re.compile(pattern.encode()), -1
        while True:
            if len(self.output) != seen:
                seen = len(self.output)
                if wanted.search(plain(bytes(self.output[start:]))):
                    return True
            if self.now > timeout or (not self._open and self.ended):
                return False
            self.pump(0.02)

    def send(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def key_ms(self, keys: str, timeout: float = 2.5) -> float | None:
        """Milliseconds from a key to the first byte of its answer; None when none came."""
        begin = self.now
        self.send(keys)
        while self.now < begin + timeout and not self.ended:
            if self.pump(0.002):
                return (self.now - begin) * 1000
        return None

    def leave(self, keys: str = "q", timeout: float = 3.0) -> float | None:
        """Milliseconds from a key to the end of the program; None when it did not end."""
        begin = self.now
        self.send(keys)
        while self.now < begin + timeout:
            self.pump(0.002)
            if self.ended:
                took = (self.now - begin) * 1000
                while self.pump(0.02):
                    continue
                return took
        return None

    def close(self) -> None:
        """End the program, if it still runs, and the terminal. Doing it twice is no error."""
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1


def main() -> int:
    """Measure one command as the table's rows do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15, help="length of the steady window")
    parser.add_argument("--warmup", type=float, default=3, help="seconds before it")
    parser.add_argument("--match", default="%", help="text that counts as the first picture")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        parser.error("no command")
    with Terminal(command, os.environ) as terminal:
        found: dict[str, Any] = {
            "matched": terminal.wait_for(args.match),
            "first_seconds": terminal.now,
            "first_cpu_seconds": terminal.cpu(),
        }
        terminal.wait(args.warmup)
        cpu, size, since = terminal.cpu(), len(terminal.output), terminal.now
        terminal.wait(args.seconds)
        span = terminal.now - since
        found |= {
            "cpu_seconds_per_minute": (terminal.cpu() - cpu) / span * 60,
            "bytes_per_second": (len(terminal.output) - size) / span,
        }
        found["rss_mb"] = {pid: rss_mb(pid) for pid in descendants(terminal.pid)}
        found["leave_ms"] = terminal.leave()
        found["exit"] = terminal.status
    json.dump(found, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
