"""The recorder beside a command: where nobody records, and never in the command's way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.launched import run, until

from gpuwatch.commands import record
from gpuwatch.launch import recorder
from gpuwatch.launch.recorder import Beside
from gpuwatch.store.connection import exists
from gpuwatch.store.lease import Lease, holder
from gpuwatch.store.window import Window

IDLE = (sys.executable, "-I", "-S", "-c", "import os, sys; open(sys.argv[1], 'a').write('x'); os.read(0, 1)")
SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.ns = SECOND

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> Iterator[Clock]:
    yield Clock()


def starts(path: Path) -> int:
    return len(path.read_text()) if path.exists() else 0


def test_one_is_started_where_nobody_records_and_only_one(tmp_path: Path, clock: Clock) -> None:
    started = tmp_path / "started"
    beside = Beside(tmp_path / "gpuwatch.db", [*IDLE, str(started)], clock)
    assert beside.look() == recorder.LOOK_SECONDS
    until(lambda: starts(started) == 1)
    clock.ns += 100 * SECOND
    assert beside.look() == recorder.LOOK_SECONDS and starts(started) == 1
    beside._child.close()


def test_none_is_started_beside_another(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "gpuwatch.db"
    lease = Lease.acquire(path, {})
    assert lease is not None
    beside = Beside(path, [*IDLE, str(tmp_path / "started")], clock)
    assert beside.look() == recorder.LOOK_SECONDS and beside._child.pid is None
    lease.release()  # a screen that was closed, say
    beside.look()
    assert beside._child.pid is not None
    beside._child.close()


@pytest.mark.parametrize("command", ["/nonexistent/gpuwatch", "/bin/false"])
def test_one_that_fails_is_tried_ever_more_rarely(command: str, tmp_path: Path, clock: Clock) -> None:
    beside = Beside(tmp_path / "gpuwatch.db", [command], clock)
    pauses = []
    for _ in range(8):
        pauses.append(beside.look())
        until(lambda: beside._child.pid is None)
        clock.ns += round(pauses[-1] * SECOND)
    beside._child.close()
    assert pauses[-1] == 60.0 and pauses == sorted(pauses)


def test_the_recorder_outlives_the_command_and_holds_nobody_up(tmp_path: Path) -> None:
    """It ends when it is told to as well: the signals that gpuwatch run blocks are not blocked in it."""
    path = tmp_path / "gpuwatch.db"
    prefix = [sys.executable, "-m", "gpuwatch", "run", "--store", str(path), "--"]
    script = f"echo out; while ! test -s {path}.lock; do sleep 0.05; done; exit 3"
    done = run("sh", "-c", script, prefix=prefix)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"")
    found = holder(path)
    assert found is not None and os.getsid(found.pid) == found.pid
    until(lambda: exists(path))
    os.kill(found.pid, signal.SIGTERM)
    until(lambda: holder(path) is None)
    with Window(path) as window:
        assert window.data_version() >= 0


def test_its_time_after_the_command_is_a_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []

    class Stop:
        def wait(self, seconds: float) -> None:
            waited.append(seconds)

        def set(self) -> None:
            waited.append("set")

    monkeypatch.setattr(os, "read", lambda number, size: b"")
    record._stop_with_parent(Stop(), 5.0)  # type: ignore[arg-type]
    assert waited == [5.0, "set"]


def test_a_store_that_cannot_be_stops_no_training() -> None:
    done = run("echo", "trained", prefix=[sys.executable, "-m", "gpuwatch", "run", "--store", "postgresql://x/y", "--"])
    assert (done.returncode, done.stdout) == (0, b"trained\n")
    assert done.stderr.decode() == "gpuwatch run: not recorded: postgresql://x/y is a URL; this version keeps its store in a file\n"


def test_nothing_is_recorded_where_that_is_not_wished(tmp_path: Path) -> None:
    path = tmp_path / "gpuwatch.db"
    words = [sys.executable, "-m", "gpuwatch", "run", "--no-record", "--store", str(path), "true"]
    assert subprocess.run(words, check=False).returncode == 0 and list(tmp_path.glob("gpuwatch.db*")) == []
