"""What a reader could not use, merged by reason, so that a million bad lines cost as much memory as one."""

from __future__ import annotations

from gpuwatch.collectors.importers.types import Problem
from gpuwatch.text import clean

MANY = 100
"""So many different reasons are kept apart."""


class Unreadable(ValueError):
    """A text that cannot be used; the message says why, without the line number."""


class Problems:
    """Collects reasons with the first line of each and how often it came."""

    def __init__(self) -> None:
        self._found: dict[str, list[int]] = {}

    def add(self, line: int, reason: str, count: int = 1) -> None:
        """``line`` counts from 1; ``reason`` may hold foreign text."""
        found = self._found.get(reason)
        if found is None:
            if len(self._found) >= MANY:
                reason = "other lines that cannot be used"
            found = self._found.setdefault(reason, [line, 0])
        found[1] += count

    def listed(self) -> list[Problem]:
        """In the order of their first lines."""
        return [Problem(line, clean(reason), count) for reason, (line, count) in sorted(self._found.items(), key=lambda e: e[1][0])]


def quoted(text: str, limit: int = 60) -> str:
    """Foreign text as it may stand in a message."""
    return clean(text.strip(), limit)


def message(line: str) -> str:
    """What nvidia-smi, a shell or a driver said between rows; empty for anything else."""
    text = line.strip()
    for start in MESSAGES:
        if start in text:
            return f"no row: {quoted(text, 100)}"
    if text and not any(c.isdigit() for c in text) and " " in text and "," not in text:
        return f"no row: {quoted(text, 100)}"
    return ""


MESSAGES = (
    "Unable to determine the device handle", "Failed to initialize NVML", "NVIDIA-SMI has failed", "No devices were found",
    "GPU is lost", "Unknown Error", "command not found", "is not a valid field", "Terminated", "Killed", "Timeout",
)  # fmt: skip
