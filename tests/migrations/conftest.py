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
