"""A recorder as a child of this program: started where nobody records, told to end by the end of a pipe."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence

logger = logging.getLogger("gpuwatch.runtime")

LEAVE_SECONDS = 0.3
"""How long leaving waits for the child recorder's clean end before it goes on by itself."""


class ChildRecorder:
    """A ``gpuwatch record`` that lives as long as this process: it ends when the pipe to it closes, however that happens."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def ensure(self) -> None:
        """Start it, or again if it has ended."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self.close()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # ctrl-c and a hangup of the terminal are the screen's to handle
        )

    @property
    def pid(self) -> int | None:
        """The process that was started, if it has not ended."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def restart(self) -> None:
        """End it and start another one; one that comes before the lease is free ends, and ``ensure`` starts the next."""
        self.close()
        self._process = None
        self.ensure()

    def close(self) -> None:
        """Close the pipe and wait a moment; a recorder stuck in its driver ends by itself later."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("the recorder (pid %d) has not ended yet", self._process.pid)
