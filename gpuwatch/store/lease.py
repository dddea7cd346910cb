"""Who may write samples: an ``flock`` on ``<db>.lock``, which the kernel gives back however its holder dies.

Viewers hold a shared lock on ``<db>.viewers``, so that the recorder knows whether anybody watches and commits faster.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuwatch.errors import StoreError

_ATTEMPTS, _PAUSE_SECONDS = 5, 0.01  # a viewer that only asks holds the lock for microseconds


@dataclass(frozen=True, slots=True)
class Holder:
    """The recorder that holds the lease; ``info`` is what it wrote (session, period, the file it writes to)."""

    pid: int
    info: Mapping[str, Any]


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _open(path: Path, mode: int) -> int:
    """Open a lock file, made if need be; read permission is enough to lock."""
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_RDWR | os.O_CREAT, mode)
    except OSError:
        return os.open(path, flags | os.O_RDONLY)


def _try_lock(descriptor: int, operation: int, attempts: int = _ATTEMPTS) -> bool:
    for attempt in range(attempts):
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if attempt + 1 < attempts:
                threading.Event().wait(_PAUSE_SECONDS)
    return False


class Lease:
    """The right to write samples and to migrate. Held until ``release`` or the end of the process."""

    def __init__(self, path: Path, descriptor: int, viewers: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._viewers = viewers

    @classmethod
    def acquire(cls, path: Path, info: Mapping[str, Any], *, mode: int = 0o600) -> Lease | None:
        """Take the lease of the store at ``path``; ``None`` if another recorder has it.

        Raises :class:`StoreError` if the lock file cannot be made.
        """
        lock = _beside(path, ".lock")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_NOFOLLOW | os.O_CLOEXEC | os.O_RDWR | os.O_CREAT, mode)
        except OSError as error:
            raise StoreError(f"{lock} cannot be made: {error.strerror}", "name another file with --store") from error
        if not _try_lock(descriptor, fcntl.LOCK_EX) or not _same_file(descriptor, lock):
            os.close(descriptor)
            return None
        lease = cls(path, descriptor, _open(_beside(path, ".viewers"), mode))
        lease.update(info)
        return lease

    def update(self, info: Mapping[str, Any]) -> None:
        """Write who holds the lease: one JSON line with the pid."""
        line = json.dumps({"pid": os.getpid(), **info}).encode() + b"\n"
        os.pwrite(self._descriptor, line, 0)
        os.ftruncate(self._descriptor, len(line))

    def watched(self) -> bool:
        """True while at least one viewer is open (3 microseconds)."""
        if not _try_lock(self._viewers, fcntl.LOCK_EX, attempts=1):
            return True
        fcntl.flock(self._viewers, fcntl.LOCK_UN)
        return False

    def release(self) -> None:
        """Give the lease back. Doing it twice is no error."""
        for descriptor in (self._descriptor, self._viewers):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._viewers = -1


def _same_file(descriptor: int, path: Path) -> bool:
    """False when the lock file was replaced while it was being locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def holder(path: Path) -> Holder | None:
    """Who holds the lease of the store at ``path`` now, or ``None``. Never disturbs the holder."""
    try:
        descriptor = os.open(_beside(path, ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if _try_lock(descriptor, fcntl.LOCK_SH, attempts=1):
            return None
        return _parse(os.pread(descriptor, 4096, 0))
    finally:
        os.close(descriptor)


def _parse(raw: bytes) -> Holder:
    """What the holder wrote; pid 0 in the instant before it has written."""
    try:
        info = json.loads(raw)
        return Holder(int(info["pid"]), info)
    except (ValueError, KeyError, TypeError):
        return Holder(0, {})


class ViewerLock:
    """Says "somebody watches" for as long as it is held; a viewer without permission simply is not counted."""

    def __init__(self, path: Path) -> None:
        self._descriptor = -1
        try:
            self._descriptor = _open(_beside(path, ".viewers"), 0o600)
            _try_lock(self._descriptor, fcntl.LOCK_SH)
        except OSError:
            pass

    def close(self) -> None:
        """Stop watching. Doing it twice is no error."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
