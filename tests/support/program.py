"""The type of the ``gpuwatch`` fixture: runs the real program and returns the finished process."""

from __future__ import annotations

import subprocess
from typing import Protocol


class Run(Protocol):
    """``gpuwatch("status", "--json", env={…})``."""

    def __call__(
        self, *arguments: str, env: dict[str, str] | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]: ...
