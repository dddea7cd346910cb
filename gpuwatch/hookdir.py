"""The folder in memory where training processes leave their hook files and ``gpuwatch run`` its notes: which one, and whether it is safe.

``$GPUWATCH_DIR`` alone if it is set; else the first that can be used of ``/dev/shm/gpuwatch-UID`` (it survives a logout),
``$XDG_RUNTIME_DIR/gpuwatch`` and ``/tmp/gpuwatch-UID``. It belongs to its user and to nobody else: 0700, no link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

VARIABLE = "GPUWATCH_DIR"
MEMORY = "/dev/shm"


def standard(uid: int) -> str:
    """The folder that is tried first where none is named."""
    return f"{MEMORY}/gpuwatch-{uid}"


def candidates(environ: Mapping[str, str], uid: int) -> list[str]:
    """The folders to try, best first."""
    named = environ.get(VARIABLE, "")
    if named:
        return [os.path.abspath(named)]
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    between = [f"{runtime}/gpuwatch"] if os.path.isabs(runtime) else []
    return [standard(uid), *between, f"/tmp/gpuwatch-{uid}"]


def trouble(path: str, uid: int) -> str:
    """Why this folder cannot be used, as an end of a sentence; empty if it can. Makes nothing."""
    try:
        found = os.lstat(path)
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    if stat.S_ISLNK(found.st_mode):
        return "is a link"
    if not stat.S_ISDIR(found.st_mode):
        return "is no folder"
    if found.st_uid != uid:
        return f"belongs to another user (uid {found.st_uid})"
    if found.st_mode & 0o077:
        return f"is open to others (mode {found.st_mode & 0o777:04o}): chmod 700 it"
    return "" if os.access(path, os.W_OK | os.X_OK) else "cannot be written to"


def make(path: str, uid: int, *, parents: bool = False) -> str:
    """Make the folder if it is not there; what :func:`trouble` says of it then. ``parents``: make those as well."""
    try:
        if parents:
            os.makedirs(path, 0o700, exist_ok=True)
        else:
            os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        return f"cannot be made: {error.strerror}"
    return trouble(path, uid)


def choose(environ: Mapping[str, str], uid: int) -> tuple[str, str]:
    """(the folder to use, made if need be; empty if there is none, why)."""
    reasons = []
    named = bool(environ.get(VARIABLE))
    for path in candidates(environ, uid):
        reason = make(path, uid, parents=named)
        if not reason:
            return path, ""
        reasons.append(f"{path} {reason}")
    return "", "; ".join(reasons)
