"""A terminal for tests: a pseudo-terminal, the answers a plain xterm gives, and a pyte screen that shows what arrived."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import pyte

PRIVATE = re.compile(rb"\x1b\[[<>=?][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$[a-z]")


class Terminal:
    """A program in a terminal of ``size`` (columns, rows). Always leave the ``with`` block: it ends the program."""

    def __init__(self, command: Sequence[str], size: tuple[int, int], env: Mapping[str, str]) -> None:
        self.size = size
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.code: int | None = None
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
                for descriptor in (0, 1, 2):
                    os.dup2(slave, descriptor)
                os.closerange(3, 256)
                os.execvpe(command[0], list(command), dict(env))
            finally:
                os._exit(127)
        os.close(slave)
        self.master = master

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.wait(0) is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self.master >= 0:
            os.close(self.master)

    def pump(self, seconds: float) -> bytes:
        """Read what comes within ``seconds``; the screen follows."""
        end = time.monotonic() + seconds
        got = b""
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self.master], [], [], left)
            if not ready:
                break
            try:
                data = os.read(self.master, 65_536)
            except OSError:
                break
            if not data:
                break
            got += data
            if b"\x1b[?2026$p" in data:
                os.write(self.master, b"\x1b[?2026;2$y")
            self._stream.feed(PRIVATE.sub(b"", data))
        self.raw += got
        return got

    def until(self, seen: str | Callable[[str], bool], seconds: float = 20.0) -> str:
        """Read until the screen's text has ``seen``; fails with the text after ``seconds``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            text = self.text()
            if seen in text if isinstance(seen, str) else seen(text):
                return text
            self.pump(0.05)
        raise AssertionError(f"{seen!r} did not appear:\n{self.text()}")

    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def send(self, keys: str) -> None:
        """Type ``keys``."""
        os.write(self.master, keys.encode())

    def hang_up(self) -> None:
        """Close the terminal as a lost connection does."""
        os.close(self.master)
        self.master = -1

    def wait(self, seconds: float) -> int | None:
        """The exit code, or None if the program still runs after ``seconds``; a signal is a negative number."""
        end = time.monotonic() + seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= end:
                break
            elif self.master >= 0:
                self.pump(0.02)
            else:
                time.sleep(0.02)
        return self.code


def python(*arguments: str) -> list[str]:
    """The command line of a Python program of these tests."""
    return [sys.executable, *arguments]
