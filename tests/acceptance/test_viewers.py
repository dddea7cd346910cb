"""Many programs on one store: one recorder asks the driver, whoever watches; when it dies, viewers say so and another goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyte
import pytest
from fake_nvml import FakeDriver
from pty_measure import DRIVER, Terminal, descendants
from scene import home, moving, watched

from gpuwatch.store.lease import holder

TICKS = 5
"""What is read least often is read each 5 s."""
PATIENCE_SECONDS = 3.0


class Picture:
    """What a terminal shows now."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal, self._read = terminal, 0
        self._screen = pyte.Screen(120, 40)
        self._stream = pyte.ByteStream(self._screen)

    def __contains__(self, text: str) -> bool:
        fresh = bytes(self._terminal.output[self._read :])
        self._read += len(fresh)
        self._stream.feed(fresh)
        return any(text in line for line in self._screen.display)


class Host:
    """One host with GPUs, one store, and the programs that a test starts there."""

    def __init__(self, stack: ExitStack, fake: FakeDriver, folder: Path) -> None:
        self._stack, self.fake, self.store = stack, fake, folder / "store.db"
        self.env = home(folder, fake.env) | {"GPUWATCH_STORE": str(self.store)}
        self.terminals: list[Terminal] = []
        self.recorders: list[subprocess.Popen[bytes]] = []

    def view(self, *arguments: str) -> Terminal:
        """A live screen in a terminal."""
        terminal = self._stack.enter_context(Terminal([sys.executable, "-m", "gpuwatch", *arguments], self.env))
        self.terminals.append(terminal)
        return terminal

    def record(self) -> subprocess.Popen[bytes]:
        """A ``gpuwatch record``."""
        command = [sys.executable, "-m", "gpuwatch", "record"]
        process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.recorders.append(process)
        self._stack.callback(_end, process)
        return process

    def status(self) -> dict[str, Any]:
        """``status --json``."""
        command = [sys.executable, "-m", "gpuwatch", "status", "--json"]
        done = subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def holder(self) -> int | None:
        """Pid of the recorder that holds the store."""
        found = holder(self.store)
        return found.pid if found else None

    def pump(self) -> None:
        """Take what the screens write, so that none of them waits."""
        for terminal in self.terminals:
            terminal.pump(0.01)
        if not self.terminals:
            time.sleep(0.01)

    def until(self, condition: Callable[[], bool], seconds: float) -> float | None:
        """Seconds until the condition holds; None when it did not in time."""
        began = time.monotonic()
        while (spent := time.monotonic() - began) <= seconds:
            if condition():
                return spent
            self.pump()
        return None

    def calls(self) -> dict[str, int]:
        """NVML calls of all programs in whole ticks of the grid, from the middle of a second to the middle of another."""
        self.until(lambda: 0.6 < time.time() % 1 < 0.8, 2)
        self.fake.reset_calls()
        end = time.time() + TICKS
        self.until(lambda: time.time() >= end, TICKS + 1)
        return {name: call.count for name, call in self.fake.calls().items()}

    def driver_users(self) -> set[int]:
        """The processes of ours that have the driver loaded."""
        pids = [pid for terminal in self.terminals for pid in descendants(terminal.pid)] + [p.pid for p in self.recorders]
        return {pid for pid in pids if DRIVER in _maps(pid)}


def _maps(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ExitStack() as stack:
        fake = stack.enter_context(watched(moving(8, 8), 8))
        yield Host(stack, fake, tmp_path)


@pytest.mark.slow
def test_three_viewers_and_two_records_cost_the_driver_what_one_viewer_does(host: Host) -> None:
    first = host.view()
    assert first.wait_for(r"\d/700")
    assert host.until(lambda: host.holder() is not None, 5) is not None
    alone = host.calls()
    for _ in range(2):
        host.view()
        host.record()
    assert all(terminal.wait_for(r"\d/700", timeout=terminal.now + 20) for terminal in host.terminals)
    together = host.calls()
    pid = host.holder()
    assert host.driver_users() == {pid}, "one process has the driver open"
    assert sum(together.values()) == pytest.approx(sum(alone.values()), rel=0.1)
    assert host.status()["recording"]["pid"] == pid

    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    took = host.until(lambda: host.holder() not in (None, pid), PATIENCE_SECONDS)
    assert took is not None, "another recorder takes over"
    reading = host.until(lambda: len(host.driver_users()) == 1 and host.driver_users() == {host.holder()}, 5)
    assert reading is not None, "and again only one has the driver open"
    assert all(terminal.leave(timeout=15) is not None and terminal.status == 0 for terminal in host.terminals)
    host.terminals.clear()


@pytest.mark.slow
def test_a_viewer_says_that_the_recorder_is_gone_and_goes_on_when_one_comes(host: Host) -> None:
    recorder = host.record()
    assert host.until(host.store.exists, 10) is not None
    viewer = host.view("--no-record")
    assert viewer.wait_for("LIVE", timeout=20)
    assert host.status()["recording"]["live"] is True
    picture = Picture(viewer)
    assert "LIVE" in picture
    _end(recorder)
    said = host.until(lambda: "recorder gone" in picture, PATIENCE_SECONDS)
    assert said is not None, "the screen says so"
    recording = host.status()["recording"]
    assert recording["live"] is False and recording["pid"] is None
    assert "LIVE" not in picture
    again = host.record()
    assert host.until(lambda: host.holder() == again.pid, 5) is not None
    assert host.until(lambda: "LIVE" in picture, 5) is not None, "the screen goes on"
    assert viewer.leave(timeout=15) is not None
