"""A store in a temporary directory, its clock standing still."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.store_rows import T0

from gpuwatch.clock import FakeClock
from gpuwatch.store.writer import StoreWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gpuwatch.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(T0 / 1000)


Opener = Callable[..., StoreWriter]


@pytest.fixture
def open_writer(path: Path, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    """Open a writer with a session begun; the stand-in in memory lies in the test's own directory."""
    monkeypatch.setattr("gpuwatch.store.location.MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir(exist_ok=True)
    opened: list[StoreWriter] = []

    def make(where: Path | str = path, *, session: bool = True, **more: Any) -> StoreWriter:
        writer = StoreWriter.open(where, clock=clock, version="1", **more)
        opened.append(writer)
        if session:
            writer.begin_session(round(clock.time() * 1000), 1000, "boot")
        return writer

    yield make
    for writer in opened:
        writer.connection.close()


@pytest.fixture
def writer(open_writer: Opener) -> StoreWriter:
    return open_writer()


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that an ordinary user can reach."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; skipped where mounting is not allowed."""
    place = tmp_path / "tiny"
    place.mkdir()
    if shutil.which("mount") is None or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tiny", place], capture_output=True, check=False).returncode:  # fmt: skip
        pytest.skip("mounting is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
