"""A real process: its output is read where it is a file, and left alone where it is anything else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpuwatch.clock import SystemClock
from gpuwatch.collectors.training.logs.outputs import regular_outputs
from gpuwatch.collectors.training.logs.watch import LogWatch

SCRIPT = """
import sys, time
for step in range(0, 60, 10):
    print(f"iter {step}: loss 2.5000, time 10.00ms, mfu 1.00%", flush=True)
    sys.stdin.readline()
"""
ARGV = ("train.py", "--batch_size=4", "--block_size=8", "--gradient_accumulation_steps=2")


def until(question: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def start(stdout: object, stderr: object = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", SCRIPT, *ARGV], stdin=subprocess.PIPE, stdout=stdout, stderr=stderr)  # type: ignore[call-overload,no-any-return]


def test_a_process_that_writes_to_a_file_is_read_while_it_runs_and_after_its_end(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    clock = SystemClock()
    with open(log, "wb") as file, start(file, subprocess.STDOUT) as process:
        assert process.stdin is not None
        until(lambda: log.stat().st_size > 0)
        watch = LogWatch(process.pid, ARGV, [], clock, more_pids=[process.pid, os.getpid()])
        first = watch.read(clock.time())
        assert first is not None and (first.step, first.steps, first.tokens) == (0, None, None)
        log.unlink()  # the process still writes to it
        process.stdin.write(b"\n" * 6)
        process.stdin.close()
        process.wait()
    found = watch.read(clock.time())
    assert found is not None
    assert (found.step, found.steps, found.tokens, found.new_lines) == (50, 50, 50 * 64, 5)
    assert found.steps_seconds is not None and 0 < found.steps_seconds < 60
    watch.close()


def test_not_a_byte_is_taken_from_a_pipe() -> None:
    clock = SystemClock()
    with start(subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        watch = LogWatch(process.pid, ARGV, [f"/proc/{process.pid}/fd/1"], clock)
        assert regular_outputs(process.pid) == ()
        assert watch.read(clock.time()) is None
        assert list(watch.problems.values()) == ["a pipe"]
        process.stdin.write(b"\n" * 6)
        process.stdin.close()
        assert watch.read(clock.time()) is None
        assert len(process.stdout.read().splitlines()) == 6
    watch.close()


@pytest.mark.parametrize(
    ("link", "counts"),
    [
        ("/home/a/train.log", True), ("/home/a/train.log (deleted)", True), ("/dev/shm/train.log", True), ("/dev/null", False),
        ("/dev/pts/3", False), ("pipe:[123]", False), ("socket:[123]", False), ("anon_inode:[eventfd]", False),
    ],
)  # fmt: skip
def test_which_outputs_are_files_is_asked_without_opening_them(link: str, counts: bool, tmp_path: Path) -> None:
    folder = tmp_path / "7" / "fd"
    folder.mkdir(parents=True)
    (folder / "2").symlink_to(link)
    assert regular_outputs(7, tmp_path) == ((f"{folder}/2",) if counts else ())


def test_a_process_that_is_gone_has_no_outputs() -> None:
    assert regular_outputs(2**22 + 1) == ()
