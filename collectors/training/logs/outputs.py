"""Which outputs of a process go to a file: the question that is asked of every training, and most often answered with none."""

from __future__ import annotations

import os
from pathlib import Path

_OUTPUTS = (1, 2)


def regular_outputs(pid: int, proc_root: Path = Path("/proc")) -> tuple[str, ...]:
    """Those of standard output and error that are files, as paths below ``proc_root``. Nothing is opened; a deleted file counts."""
    found = []
    for number in _OUTPUTS:
        path = f"{proc_root}/{pid}/fd/{number}"
        try:
            link = os.readlink(path)
        except OSError:
            continue
        if link.startswith("/") and (not link.startswith("/dev/") or link.startswith("/dev/shm/")):
            found.append(path)
    return tuple(found)
