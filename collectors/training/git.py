"""The commit that a working directory has checked out, by reading ``.git``. git itself is never run: a repository can make it run anything.

Nothing is kept or told but a commit's number: whatever file a link in a repository may point to, its content goes nowhere else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection

from gpuwatch.text import lazy

MAX_LEVELS = 12
_SMALL, _PACKED = 4096, 4 << 20
_COMMIT = lazy(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = lazy(rb"refs/[!-~]{1,250}")


def commit_of(folder: str, owners: Collection[int]) -> str:
    """The commit of the repository that ``folder`` lies in, empty if there is none, it cannot be read, or is of none of ``owners``."""
    if not os.path.isabs(folder):
        return ""
    for _ in range(MAX_LEVELS):
        marker = os.path.join(folder, ".git")
        try:
            found = os.stat(marker)
        except OSError:
            found = None
        if found is not None:
            if found.st_uid not in owners:
                return ""
            place = marker if stat.S_ISDIR(found.st_mode) else _pointed(marker, folder, b"gitdir:")
            return _commit(place) if place else ""
        above = os.path.dirname(folder)
        if above == folder:
            break
        folder = above
    return ""


def _commit(place: str) -> str:
    """What HEAD of this git directory means. That of another work tree has its branches elsewhere."""
    head = _read(f"{place}/HEAD", _SMALL)
    if not head.startswith(b"ref:"):
        return _number(head)
    name = head[4:].strip()
    if not _REF.fullmatch(name) or b".." in name:
        return ""
    ref = os.fsdecode(name)
    shared = _pointed(f"{place}/commondir", place) or place
    for where in dict.fromkeys((place, shared)):
        if found := _number(_read(f"{where}/{ref}", _SMALL)):
            return found
    for line in _read(f"{shared}/packed-refs", _PACKED).splitlines():
        number, _, packed = line.partition(b" ")
        if packed.strip() == name:
            return _number(number)
    return ""


def _pointed(path: str, relative_to: str, word: bytes = b"") -> str:
    """The directory that a small file names, empty if it names none."""
    raw = _read(path, _SMALL)
    if not raw.startswith(word):
        return ""
    named = raw[len(word) :].strip()
    return os.path.join(relative_to, os.fsdecode(named)) if named and b"\0" not in named else ""


def _number(raw: bytes) -> str:
    raw = raw.strip()
    return raw.decode("ascii") if _COMMIT.fullmatch(raw) else ""


def _read(path: str, limit: int) -> bytes:
    """A plain file, if it is no longer than ``limit``; empty if not."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return b""
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            return b""
        return os.read(fd, limit)
    except OSError:
        return b""
    finally:
        os.close(fd)
