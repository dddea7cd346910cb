"""Tells a signal to one process from a signal to the whole group: a second process of the group that gets only the latter.

A terminal's ctrl-C, ``kill %1``, ``timeout`` and a scheduler that ends a job signal every process; the command has its own then,
and a second one could turn its orderly end into a hasty one. ``kill PID`` of ``gpuwatch run`` reaches that alone and is for the
command. The kernel says of a signal who sent it, not to how many. So the witness blocks all signals and sleeps; what is pending
there went to all. It ends with the process that made it, however that ends.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import NoReturn

from gpuwatch import procfs

GRACE_MS = 100
"""How long a signal to all may need to reach the witness too: who ends a job signals its processes one by one."""

_STEP_MS = 2


class Witness:
    """The process. Made while all signals that are asked about are blocked, before anything is opened that it must not hold open."""

    def __init__(self, pause_ms: Callable[[int], None]) -> None:
        self._pause_ms = pause_ms
        read, self._write = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:  # no room for a process: without a witness every signal is taken to be for this one alone
            self.pid = -1
        if self.pid == 0:
            _sleep(read)
        os.close(read)

    def saw(self, number: int) -> bool:
        """Whether the signal that has just come here came there as well; waits a moment for it. Forgets what it saw."""
        if not self._wait_until(lambda: self._pending() >> (number - 1) & 1):
            return False
        self._forget()
        return True

    def reaped(self, pid: int) -> None:
        """A child has ended: if it was the witness, its number may soon be another process'."""
        if pid == self.pid:
            self.pid = -1

    def tidy(self) -> None:
        """Forget a signal that came too late to be asked for."""
        if self.pid > 0 and self._pending():
            self._forget()

    def _pending(self) -> int:
        try:
            status = procfs.read_once(f"/proc/{self.pid}/status")
        except OSError:
            return 0
        at = status.find(b"\nShdPnd:")
        return int(status[at + 8 : at + 26], 16) if at >= 0 else 0

    def _forget(self) -> None:
        """Make it take what is pending, and wait until it has: the next signal of the same number is another one."""
        try:
            os.write(self._write, b"\n")
        except OSError:
            return
        self._wait_until(lambda: not self._pending())

    def _wait_until(self, true: Callable[[], object]) -> bool:
        for _ in range(GRACE_MS // _STEP_MS if self.pid > 0 else 0):
            if true():
                return True
            self._pause_ms(_STEP_MS)
        return False


def _sleep(read: int) -> NoReturn:
    """The life of the witness: let go of everything, sleep; a byte means to forget what is pending, an end to end."""
    try:
        keep = os.dup2(read, 3) if read != 3 else 3
        for number in (0, 1, 2):
            os.close(number)
        os.closerange(4, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") > 0 else 65536)
        everything = signal.valid_signals()
        signal.pthread_sigmask(signal.SIG_BLOCK, everything)
        while os.read(keep, 64):
            while signal.sigtimedwait(everything, 0) is not None:
                pass
    finally:
        os._exit(0)
