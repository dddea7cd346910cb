"""A recorder beside the command, where nobody records its store. Whatever happens to it, the command does not notice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gpuwatch.childrecorder import ChildRecorder
from gpuwatch.store.lease import holder

LOOK_SECONDS = 2.0
"""How often it is asked whether somebody records: a screen that had the recorder may have been closed."""

LINGER_SECONDS = 5
"""How long the recorder goes on after the command, by itself, so that the end of the run is seen and kept."""

_LONGEST_PAUSE = 60.0
_LIVED_NS = 30_000_000_000


class Beside:
    """Starts a recorder when there is none; one that ends soon after its start is tried again ever more rarely."""

    def __init__(self, path: Path, command: Sequence[str], monotonic_ns: Callable[[], int]) -> None:
        self._path = path
        self._child = ChildRecorder(command)
        self._monotonic_ns = monotonic_ns
        self._started_ns = self._alive_ns = 0
        self._pause = LOOK_SECONDS

    def look(self) -> float:
        """Start one if need be; seconds until the next look."""
        now = self._monotonic_ns()
        try:
            if self._child.pid is not None:
                self._alive_ns = now
                return LOOK_SECONDS
            if holder(self._path) is not None:
                return LOOK_SECONDS
            if self._started_ns:
                self._pause = (
                    LOOK_SECONDS if self._alive_ns - self._started_ns > _LIVED_NS else min(_LONGEST_PAUSE, self._pause * 2)
                )
            self._started_ns = now
            self._child.ensure()
        except OSError:  # no room for a process, say
            self._pause = _LONGEST_PAUSE
        return self._pause
