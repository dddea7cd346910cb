"""A little disk that gpuwatch holds for itself: SQLite needs room to delete, so on a full disk nothing could be made smaller.

A recorder lays 8 MB beside its store while there is plenty of room; care of the store that fails for want of room gives them up and
tries once more.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gpuwatch.errors import StoreError
from gpuwatch.store.connection import FULL, code_of

SIZE_BYTES = 8 * 1024 * 1024
T = TypeVar("T")


def ballast_path(store: Path) -> Path:
    """The file beside the store."""
    return store.with_name(store.name + ".ballast")


def lay(store: Path, free_bytes: int, kept_free_bytes: int) -> bool:
    """Take the room if it is not missed: twice what is left to others stays free. False where it is not there afterwards."""
    path = ballast_path(store)
    if path.exists():
        return True
    if free_bytes - SIZE_BYTES < 2 * kept_free_bytes:
        return False
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        os.posix_fallocate(descriptor, 0, SIZE_BYTES)
    except OSError:
        path.unlink()
        return False
    finally:
        os.close(descriptor)
    return True


def drop(store: Path) -> bool:
    """Give the room up; False if there was none."""
    try:
        ballast_path(store).unlink()
    except OSError:
        return False
    return True


def with_room(store: Path, work: Callable[[], T]) -> T:
    """Do the work, a second time without the ballast if the disk was full. Raises what the work raises."""
    try:
        return work()
    except StoreError as error:
        full = isinstance(error.__cause__, sqlite3.Error) and code_of(error.__cause__) == FULL
        if not full or not drop(store):
            raise
    return work()
