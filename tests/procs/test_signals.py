"""A signal reaches the chosen process or nobody. Real children are signalled; the start times that differ are made of files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuwatch import procfs
from gpuwatch.signals import SignalRefused, send_signal

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux' /proc")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def started(pid: int) -> int:
    return procfs.start_ms(procfs.boot_time("/proc"), procfs.read_stat("/proc", pid).start_ticks)


def copied(tmp_path: Path, pid: int) -> Path:
    """A /proc with the real lines of one process, for a test to change."""
    (tmp_path / str(pid)).mkdir()
    shutil.copyfile("/proc/stat", tmp_path / "stat")
    (tmp_path / str(pid) / "stat").write_bytes(Path(f"/proc/{pid}/stat").read_bytes())
    return tmp_path


@pytest.mark.parametrize("pinned", [True, False])
def test_the_chosen_process_gets_it(child, monkeypatch, pinned):
    if not pinned:
        monkeypatch.delattr(os, "pidfd_open")
    send_signal(child.pid, started(child.pid), signal.SIGTERM)
    assert child.wait(timeout=10) == -signal.SIGTERM


def test_another_start_time_is_another_process(child):
    with pytest.raises(SignalRefused, match="another one now"):
        send_signal(child.pid, started(child.pid) - 5000, signal.SIGKILL)
    with pytest.raises(SignalRefused, match="another one now"):
        send_signal(child.pid, started(child.pid) + 10, signal.SIGKILL)
    assert child.poll() is None


def test_a_second_of_slewed_boot_time_is_forgiven(child):
    send_signal(child.pid, started(child.pid) + 1000, signal.SIGTERM)
    assert child.wait(timeout=10) == -signal.SIGTERM


@pytest.mark.parametrize(("pid", "reason"), [(1, "never"), (0, "never"), (-1, "never")])
def test_groups_and_init_are_never_signalled(pid, reason):
    with pytest.raises(SignalRefused, match=reason):
        send_signal(pid, 0, signal.SIGKILL)


def test_one_that_has_ended(child):
    start = started(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(SignalRefused, match="waits for its parent"):
        send_signal(child.pid, start, signal.SIGTERM)
    child.communicate()
    with pytest.raises(SignalRefused, match="has ended"):
        send_signal(child.pid, start, signal.SIGTERM)


def test_one_that_is_not_visible_or_not_readable_or_of_the_kernel(child, tmp_path):
    start = started(child.pid)
    with pytest.raises(SignalRefused, match="not visible"):
        send_signal(child.pid, start, signal.SIGKILL, proc_root=tmp_path)
    root = copied(tmp_path, child.pid)
    stat = root / str(child.pid) / "stat"
    words = stat.read_bytes().split()
    words[8] = str(procfs.PF_KTHREAD).encode()
    stat.write_bytes(b" ".join(words))
    with pytest.raises(SignalRefused, match="kernel"):
        send_signal(child.pid, start, signal.SIGKILL, proc_root=root)
    stat.write_bytes(b"?")
    with pytest.raises(SignalRefused, match="cannot be read"):
        send_signal(child.pid, start, signal.SIGKILL, proc_root=root)
    assert child.poll() is None


def test_one_of_another_user(child, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch, pytest.raises(SignalRefused, match="no permission to send SIGTERM") as caught:
        patch.setattr(signal, "pidfd_send_signal", refuse)
        patch.setattr(os, "kill", refuse)
        send_signal(child.pid, started(child.pid), signal.SIGTERM)
    assert caught.value.hint == "it belongs to another user"
