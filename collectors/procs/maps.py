"""Whether a process has an ML library in memory, from the file names in /proc/PID/maps."""

from __future__ import annotations

import os

MARKERS = (
    b"libtorch_cpu",
    b"libtorch_python",
    b"/jaxlib/",
    b"libtensorflow",
    b"_pywrap_tensorflow",
    b"libllama.",
    b"libggml",
    b"libpaddle",
    b"libcuda.so",
)
LIMIT = 4 << 20


def imports_ml(root: str, pid: int) -> bool:
    """True when one of the markers is mapped; False when none is, or the file is refused (another user's) or gone."""
    tail = b""
    read = 0
    try:
        fd = os.open(f"{root}/{pid}/maps", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        while read < LIMIT and (chunk := os.read(fd, 65536)):
            read += len(chunk)
            text = tail + chunk
            if any(marker in text for marker in MARKERS):
                return True
            tail = text[-32:]
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
