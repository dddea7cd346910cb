"""The lease: one recorder, however the one before it ended; and whether anybody watches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gpuwatch.errors import StoreError
from gpuwatch.store import lease as lease_module
from gpuwatch.store import location
from gpuwatch.store.lease import Lease, ViewerLock, holder

HOLD = """
import sys, time
from pathlib import Path
from gpuwatch.store.lease import Lease
lease = Lease.acquire(Path(sys.argv[1]), {"path": "x"})
print(lease is not None, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir()


def _other(path: Path) -> subprocess.Popen[str]:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    return other


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


def test_only_one_holds_it_and_others_see_who(path: Path) -> None:
    assert holder(path) is None
    first = Lease.acquire(path, {"path": str(path)})
    assert first is not None
    assert Lease.acquire(path, {}) is None
    found = holder(path)
    assert found is not None and found.pid == os.getpid() and found.info["path"] == str(path)
    first.update({"path": "elsewhere"})
    found = holder(path)
    assert found is not None and found.info["path"] == "elsewhere"
    first.release()
    first.release()
    assert holder(path) is None
    second = Lease.acquire(path, {})
    assert second is not None
    second.release()


def test_a_killed_recorder_gives_it_back_at_once(path: Path) -> None:
    other = _other(path)
    found = holder(path)
    assert found is not None and found.pid == other.pid
    assert Lease.acquire(path, {}) is None
    _end(other)
    assert holder(path) is None
    mine = Lease.acquire(path, {})
    assert mine is not None
    mine.release()


def test_asking_who_holds_it_never_makes_a_recorder_lose_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    import fcntl

    fcntl.flock(asked, fcntl.LOCK_SH)  # a viewer in the middle of asking
    waits: list[float] = []

    class Pause:
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            fcntl.flock(asked, fcntl.LOCK_UN)
            return False

    monkeypatch.setattr(lease_module.threading, "Event", Pause)
    mine = Lease.acquire(path, {})
    assert mine is not None and len(waits) == 1
    mine.release()
    os.close(asked)


def test_the_recorder_knows_whether_anybody_watches(path: Path) -> None:
    lease = Lease.acquire(path, {})
    assert lease is not None
    assert not lease.watched()
    one, two = ViewerLock(path), ViewerLock(path)
    assert lease.watched()
    one.close()
    assert lease.watched()
    two.close()
    two.close()
    assert not lease.watched()
    lease.release()


def test_a_store_that_cannot_be_locked_is_locked_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = os.open

    def refuse(name: object, *rest: object) -> int:
        if str(name).startswith(str(path)):
            raise PermissionError(13, "Permission denied")
        return real_open(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    lease = Lease.acquire(path, {})
    assert lease is not None and holder(path) is not None
    assert Lease.acquire(path, {}) is None
    viewer = ViewerLock(path)
    assert lease.watched()
    viewer.close()
    lease.release()
    assert holder(path) is None


def test_no_place_for_a_lock_is_one_clear_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "MEMORY", path.parent / "nowhere" / "at all")
    path.with_name(path.name + ".lock").mkdir()
    with pytest.raises(StoreError, match="cannot make"):
        Lease.acquire(path, {})


def test_a_link_in_place_of_the_lock_is_not_followed(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("keep me")
    path.with_name(path.name + ".lock").symlink_to(target)
    lease = Lease.acquire(path, {"a": 1})
    assert lease is not None  # beside the stand-in in memory
    assert target.read_text() == "keep me"
    lease.release()


def test_the_lock_files_get_the_stores_permissions(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    lease = Lease.acquire(path, {})
    assert lease is not None
    modes = {p.name: p.stat().st_mode & 0o777 for p in path.parent.glob("gpuwatch.db.*")}
    assert modes == {"gpuwatch.db.lock": 0o640, "gpuwatch.db.viewers": 0o640}
    lease.release()


def test_watching_leaves_nothing_in_memory(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir(exist_ok=True)
    place = location.fallback_store(os.getuid(), path)
    ViewerLock(path).close()
    assert list(place.parent.iterdir()) == []
