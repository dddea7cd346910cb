"""A file that is either written whole or not there: it gets its name when its last byte is on the disk."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gpuwatch.errors import GpuwatchError, UsageError


@contextmanager
def whole_file(name: str, *, force: bool) -> Iterator[Path]:
    """The path to write to; on success it takes the name ``name``, else it is removed and what was there before still is.

    Something that is no ordinary file (a pipe, ``/dev/stdout``) is written to directly. Raises :class:`UsageError` for a file that
    is there already unless ``force``, :class:`GpuwatchError` in one line when it cannot be written.
    """
    target = Path(os.path.realpath(Path(name).expanduser()))
    try:
        if _is_there(target, force):
            yield target
            return
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            yield part
            _flush(part)
            _is_there(target, force)
            os.replace(part, target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    except BrokenPipeError:
        raise
    except OSError as error:
        raise GpuwatchError(f"{name} cannot be written: {_reason(error)}", "name another file with -o") from error


def _is_there(target: Path, force: bool) -> bool:
    """Whether the target is there and no ordinary file."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise UsageError(f"{target} is a directory", "name a file in it")
    if not stat.S_ISREG(mode):
        return True
    if not force:
        raise UsageError(f"{target} is there already", "write over it with --force, or name another file")
    return False


def _flush(path: Path) -> None:
    """On some file systems a full disk is noticed only now."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk or a quota is full; nothing was left behind"
    return error.strerror or str(error)
