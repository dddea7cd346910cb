"""One hook file that is read each second: its bytes, and the times of the steps that are new in its ring."""

from __future__ import annotations

import os

from gpuwatch.collectors.training import layout, ring
from gpuwatch.collectors.training.folders import Folders, Place
from gpuwatch.collectors.training.reader import HEAD_BYTES

KEEP_OPEN = 64
"""Files that stay open, of as many trainings as are read at once on any ordinary host; more are opened each time."""


class HookFile:
    """Opened at the first read; ``close`` when it is not read any more. Never written."""

    __slots__ = ("_fd", "_folders", "owner", "place")

    def __init__(self, folders: Folders, place: Place) -> None:
        self.place = place
        self._folders = folders
        self._fd = -1
        self.owner = -1
        """Whose file it is, once it was read."""

    def head(self) -> bytes:
        """All but the ring; raises ``OSError``, also where the file is not to be trusted or too short."""
        return self._read(((0, HEAD_BYTES),))

    def steps(self, after: int, last: int) -> list[ring.Times]:
        """Times of the steps after ``after`` up to ``last`` that are still there; raises ``OSError``."""
        pieces = ring.spans(after, last)
        return ring.records(self._read(pieces), after, last) if pieces else []

    def _read(self, pieces: list[tuple[int, int]] | tuple[tuple[int, int], ...]) -> bytes:
        fd = self._fd
        if fd < 0:
            fd = self._folders.open(self.place, layout.FILE_BYTES)
            self.owner = os.fstat(fd).st_uid
        data = b""
        try:
            for at, size in pieces:
                data += os.pread(fd, size, at)
        finally:
            if fd != self._fd:
                self._keep_or_close(fd)
        if len(data) != sum(size for _, size in pieces):
            raise OSError("the file has become shorter")
        return data

    def _keep_or_close(self, fd: int) -> None:
        if self._folders.kept_open < KEEP_OPEN:
            self._folders.kept_open += 1
            self._fd = fd
        else:
            os.close(fd)

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._folders.kept_open -= 1
            self._fd = -1
