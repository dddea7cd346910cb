"""The end of one growing file, followed without harm: read only, a bounded amount at a time, and never anything but a regular file.

What is behind a path is looked at before it is opened (``O_PATH`` opens nothing), so a pipe, a terminal or a device is never opened,
not even for a moment; the same handle is then opened for reading, so nothing can be put in its place. Links are followed, since
``/proc/PID/fd/1`` is one: what counts is what is there and who owns it. Reading asks the kernel for what it has in memory and never
waits for a disk, where the file system can do that; it leaves the time of the last access alone where it may.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from gpuwatch.clock import Clock
from gpuwatch.collectors.training.logs.line import MAX_LINE
from gpuwatch.dataclass import dataclass

START_BYTES = 64 * 1024
"""How much of the end of a file is read when it is opened."""
TICK_BYTES = 64 * 1024
"""The most that is read at a time. Of a file that grows faster only the last ``FLOOD_BYTES`` are read: no log is worth a core."""
FLOOD_BYTES = 16 * 1024
LOOK_SECONDS = 5.0
"""How often it is looked whether another file is behind the path now."""
_NS = 1e9
_ENDS = re.compile(rb"[\r\n]")
_SORTS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a terminal or another device"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a directory"),
)


class NotFollowed(Exception):
    """Why a path is not followed, in words after "it is"."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What came: whole lines, how many bytes were passed over before them, and whether the file is one that was just opened from its
    middle (``joined``: what is in it was written before anybody looked).
    """

    lines: tuple[bytes, ...] = ()
    skipped_bytes: int = 0
    joined: bool = False


def open_regular(path: str, owner: int | None) -> int:
    """A descriptor of the regular file behind ``path``, which ``owner`` owns (``None``: whoever does). Raises ``NotFollowed``, ``OSError``."""
    if not hasattr(os, "O_PATH"):
        raise NotFollowed("on a system where that is not supported")
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise NotFollowed(next((words for is_it, words in _SORTS if is_it(found.st_mode)), "no regular file"))
        if owner is not None and found.st_uid != owner:
            raise NotFollowed("another user's file")
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        try:
            return os.open(f"/proc/self/fd/{handle}", flags | os.O_NOATIME)
        except PermissionError:  # only who owns a file may read it without a trace
            return os.open(f"/proc/self/fd/{handle}", flags)
    finally:
        os.close(handle)


class Tail:
    """Follows what is behind ``path``: a file that is truncated, replaced, deleted or not there yet. Not thread-safe."""

    def __init__(self, path: str, clock: Clock, owner: int | None = None) -> None:
        self.path, self._clock, self._owner = path, clock, owner
        self.problem = ""
        """Why it is not followed at the moment."""
        self.identity: tuple[int, int] | None = None
        self.changed_at: float | None = None
        """When the file was last written, unix seconds by its file system."""
        self._fd = -1
        self._opened = False
        self._joined_to = 0
        self._looked_ns: int | None = None
        self._forget(0)

    def _forget(self, offset: int) -> None:
        """Go on at ``offset`` with nothing read before."""
        self._offset, self._partial, self._dropping = offset, b"", offset > 0

    def read(self) -> Chunk:
        """What was written since the last call. Never raises: a file that cannot be read gives nothing, and ``problem`` says why."""
        try:
            return self._read()
        except NotFollowed as reason:
            self.problem = str(reason)
        except OSError as error:
            self.problem = error.strerror or "unreadable"
        return Chunk()

    def _read(self) -> Chunk:
        replaced = self._is_time() and self._replaced()
        if self._fd < 0:
            return Chunk()
        chunk = self._rest()
        if replaced:
            try:
                self._open()
            except (NotFollowed, OSError):
                pass  # the old file is kept until there is another that may be followed
        return chunk

    def _is_time(self) -> bool:
        now = self._clock.monotonic_ns()
        due = self._looked_ns is None or now - self._looked_ns >= LOOK_SECONDS * _NS
        if due:
            self._looked_ns = now
        return due

    def _replaced(self) -> bool:
        """Open the file if there is none yet; True if another one is behind the path than the one that is open."""
        if self._fd < 0:
            self._open()
            return False
        try:
            found = os.stat(self.path)
        except OSError:
            return False  # deleted or not to be seen any more: what is open is read to its end
        return (found.st_dev, found.st_ino) != self.identity

    def _open(self) -> None:
        fd = open_regular(self.path, self._owner)
        self.close()
        self._fd, self.problem = fd, ""
        found = os.fstat(fd)
        self.identity = (found.st_dev, found.st_ino)
        grown = self._opened and found.st_size <= START_BYTES  # since the last look; else a link points to another old file now
        self._joined_to = 0 if grown else found.st_size
        self._opened = True
        self._forget(max(0, self._joined_to - START_BYTES))

    def _rest(self) -> Chunk:
        found = os.fstat(self._fd)
        self.changed_at = found.st_mtime
        joined = self._offset < self._joined_to
        skipped = 0
        if found.st_size < self._offset:
            self._forget(0)
            self._joined_to = 0
        if found.st_size - self._offset > TICK_BYTES:
            skipped = found.st_size - FLOOD_BYTES - self._offset
            self._forget(found.st_size - FLOOD_BYTES)
        if found.st_size <= self._offset:
            return Chunk(joined=joined)
        data = self._bytes(min(found.st_size - self._offset, TICK_BYTES))
        self._offset += len(data)
        return Chunk(self._lines(data), skipped, joined)

    def _bytes(self, wanted: int) -> bytes:
        buffer = bytearray(wanted)
        try:
            got = os.preadv(self._fd, [buffer], self._offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno == errno.EAGAIN:  # on the disk only: have it fetched, and look again at the next call
                self.problem = "on a disk that has not answered yet"
                os.posix_fadvise(self._fd, self._offset, wanted, os.POSIX_FADV_WILLNEED)
                return b""
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
            got = os.preadv(self._fd, [buffer], self._offset)
        self.problem = ""
        return bytes(buffer[:got])

    def _lines(self, data: bytes) -> tuple[bytes, ...]:
        """Whole lines, ended by a line feed or, as progress bars do, a carriage return; the beginning of the next one is kept."""
        *whole, last = _ENDS.split(self._partial + data)
        if self._dropping and whole:
            whole, self._dropping = whole[1:], False
        self._partial = b"" if self._dropping else last
        if len(self._partial) > MAX_LINE:
            self._partial, self._dropping = b"", True
        return tuple([line for line in whole if 0 < len(line) <= MAX_LINE])

    def close(self) -> None:
        """Let the file go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
