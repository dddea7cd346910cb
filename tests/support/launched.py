"""``gpuwatch run`` as people start it, on a small command that tells what it was given, what it is, and which signals come."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

PROBE = str(Path(__file__).parent / "probe_child.py")
PYTHON = (sys.executable, "-I", "-S")
"""An interpreter that starts quickly."""

WITHOUT: list[str] = []


def gpuwatch_run(*options: str) -> list[str]:
    """The words before a command."""
    return [sys.executable, "-m", "gpuwatch", "run", "--no-record", *options, "--"]


def run(*command: str | bytes, prefix: list[str] | None = None, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command, below ``gpuwatch run`` unless ``prefix`` says otherwise."""
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, **options}
    return subprocess.run([*(gpuwatch_run() if prefix is None else prefix), *command], check=False, timeout=60, **options)


def probe(*arguments: str | bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the probe."""
    return run(*PYTHON, PROBE, *arguments, **options)


def environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """This process' environment with changes; ``None`` takes a variable away."""
    found = {**os.environ, **changes}
    return {name: value for name, value in found.items() if value is not None}


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something to be true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


class Listening:
    """A command that tells each signal it gets. Leave the ``with`` block: it ends it."""

    def __init__(self, prefix: list[str] | None = None, **options: Any) -> None:
        words = [*(gpuwatch_run() if prefix is None else prefix), *PYTHON, PROBE, "listen"]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        self.pid = self.process.pid
        self._rest = b""
        said, pid = self.heard().split()
        assert said == "ready"
        self.command = int(pid)

    def heard(self, seconds: float = 10.0) -> str:
        """The next line."""
        assert self.process.stdout
        while b"\n" not in self._rest:
            assert select.select([self.process.stdout], [], [], seconds)[0], "nothing was said"
            more = os.read(self.process.stdout.fileno(), 4096)
            assert more, "it has ended"
            self._rest += more
        found, _, self._rest = self._rest.partition(b"\n")
        return found.decode()

    def end(self) -> tuple[int, str]:
        """End its input, so that it ends; (exit code, what else it said)."""
        rest, _ = self.process.communicate(timeout=20)
        return self.process.returncode, (self._rest + rest).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.end()
