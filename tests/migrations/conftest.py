"""A kept store, unpacked, and the program that meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import kept
from support.program import Run


@pytest.fixture(params=kept.FILES, ids=lambda packed: packed.name.partition(".")[0])
def packed(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def store(packed: Path, tmp_path: Path) -> Path:
    """A store of an older version, on a disk of its own."""
    return kept.unpack(packed, tmp_path / "gpuwatch.db")


@pytest.fixture
def gpuwatch() -> Run:
    """The real program in a process of its own, without a terminal."""

    def run(*arguments: str, env: dict[str, str] | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gpuwatch", *arguments]
        given = {**os.environ, **(env or {})}
        return subprocess.run(
            command, env=given, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )

    return run


@pytest.fixture
def past_log(tmp_path: Path) -> Path:
    """Two seconds of a GPU as ``nvidia-smi --query-gpu`` writes them."""
    log = tmp_path / "past.csv"
    head = "timestamp, index, uuid, name, utilization.gpu [%], memory.used [MiB]"
    rows = [f"2026/01/05 10:00:0{second}.000, 0, GPU-1, NVIDIA H100, 50 %, 100 MiB" for second in (1, 2)]
    log.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    return log
