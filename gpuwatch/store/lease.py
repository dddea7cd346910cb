"""Who may write samples: an ``flock`` on ``<db>.lock``, which the kernel gives back however its holder dies.

Viewers hold a shared lock on ``<db>.viewers``, so that the recorder knows whether anybody watches and commits faster.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuwatch.dataclass import dataclass
from gpuwatch.errors import StoreError
from gpuwatch.store.location import fallback_path, fallback_store

_ATTEMPTS, _PAUSE_SECONDS = 5, 0.01  # a viewer that only asks holds the lock for microseconds


@dataclass(frozen=True, slots=True)
class Holder:
    """The recorder that holds the lease; ``info`` is what it wrote (session, period, the file it writes to)."""

    pid: int
    info: Mapping[str, Any]

    def store(self, asked: Path) -> Path:
        """The file that it writes for the store that was ``asked`` for: a side file or one in memory, where that was needed."""
        named = self.info.get("path")
        return Path(named) if isinstance(named, str) and named else asked


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _open(path: Path, mode: int, make: bool = True) -> int:
    """Open a lock file, made if need be; read permission is enough to lock."""
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_RDWR | (os.O_CREAT if make else 0), mode)
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

        Where no lock file can be made beside the store, it is made beside the store in memory that stands in for it. Raises
        :class:`StoreError` if that fails as well.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return cls._acquire(path, info, mode)
        except OSError:
            pass
        stand_in = fallback_store(os.getuid(), path)
        try:
            return cls._acquire(stand_in, info, mode)
        except OSError as error:
            raise StoreError(f"no lock file can be made for {path}: {error.strerror}", "name another file with --store") from error

    @classmethod
    def _acquire(cls, path: Path, info: Mapping[str, Any], mode: int) -> Lease | None:
        lock = _beside(path, ".lock")
        descriptor = os.open(lock, os.O_NOFOLLOW | os.O_CLOEXEC | os.O_RDWR | os.O_CREAT, mode)
        if not _try_lock(descriptor, fcntl.LOCK_EX) or not _same_file(descriptor, lock):
            os.close(descriptor)
            return None
        lease = cls(path, descriptor, _open(_beside(path, ".viewers"), mode))
        lease.update(info)
        return lease

    def update(self, info: Mapping[str, Any]) -> None:
        """Write who holds the lease: one JSON line with the pid. The lock files get the store's permissions."""
        import json  # a command without a recorder near it does without

        line = json.dumps({"pid": os.getpid(), **info}).encode() + b"\n"
        os.pwrite(self._descriptor, line, 0)
        os.ftruncate(self._descriptor, len(line))
        try:
            mode = self._path.stat().st_mode & 0o666
            for descriptor in (self._descriptor, self._viewers):
                os.fchmod(descriptor, mode)
        except OSError:
            pass  # no store yet, or a lock file of somebody else

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
    """Who holds the lease of the store at ``path`` (or of its stand-in in memory) now, or ``None``. Never disturbs the holder."""
    return _holder(path) or _holder(fallback_path(os.getuid(), path))


def is_held(path: Path) -> bool:
    """Whether a recorder holds the lease of exactly this file."""
    return _holder(path) is not None


def _holder(path: Path) -> Holder | None:
    try:
        descriptor = os.open(_beside(path, ".lock"), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
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
    import json

    try:
        info = json.loads(raw)
        return Holder(int(info["pid"]), info)
    except (ValueError, KeyError, TypeError):
        return Holder(0, {})


class ViewerLock:
    """Says "somebody watches" for as long as it is held; a viewer without permission simply is not counted.

    Beside the store in memory only a recorder makes the file: nobody would ever remove one for each store that was watched.
    """

    def __init__(self, path: Path) -> None:
        self._descriptors: list[int] = []
        for place, make in ((path, True), (fallback_path(os.getuid(), path), False)):
            try:
                descriptor = _open(_beside(place, ".viewers"), 0o600, make)
            except OSError:
                continue
            _try_lock(descriptor, fcntl.LOCK_SH)
            self._descriptors.append(descriptor)

    def close(self) -> None:
        """Stop watching. Doing it twice is no error."""
        while self._descriptors:
            os.close(self._descriptors.pop())
