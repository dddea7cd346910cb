"""The note of a run beside its hook files: ``<pid>-<start time in ticks>.run``, written at the start, when something is learnt, at the end.

It says what nobody else can know later: how the command ended. It holds the command line redacted, and nothing of the environment.
"""

from __future__ import annotations

import os
from typing import Any

from gpuwatch import procfs

VERSION = 1
SUFFIX = ".run"
LIMIT = 64 * 1024
_LONGEST_PATH = 4096
_KEPT_MS = 7 * 86_400_000


class Note:
    """The note of the command ``pid``. Never raises: what cannot be written is not written."""

    def __init__(self, directory: str, pid: int, started_ms: int) -> None:
        self._facts: dict[str, Any] = {"version": VERSION, "pid": pid, "wrapper_pid": os.getpid(), "started_ms": started_ms}
        self._facts["cwd"] = _working_directory()
        self.path = ""
        try:
            start_ticks = procfs.read_stat("/proc", pid).start_ticks
        except (OSError, ValueError):
            return  # without a start time nobody could tell whose note it is
        self._facts["starttime"] = start_ticks
        if directory:
            self.path = f"{directory}/{pid}-{start_ticks}{SUFFIX}"

    def tell(self, **facts: Any) -> None:
        """Add or replace facts, and write the note anew if any has changed."""
        if not self.path or all(self._facts.get(name) == value and name in self._facts for name, value in facts.items()):
            return
        self._facts |= facts
        import json

        text = json.dumps(self._facts).encode() + b"\n"
        if len(text) <= LIMIT:
            self._write(text)

    def _write(self, text: bytes) -> None:
        unfinished = f"{self.path}.{os.getpid()}"
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            try:
                whole = os.write(descriptor, text) == len(text)
            finally:
                os.close(descriptor)
            if whole:
                os.replace(unfinished, self.path)
                return
        except OSError:
            pass
        try:
            os.unlink(unfinished)
        except OSError:
            pass


def tidy(directory: str, now_ms: int) -> None:
    """Remove notes of commands that ended a week ago: where nobody ever records, nobody else does."""
    try:
        names = [name for name in os.listdir(directory) if name.endswith(SUFFIX)]
    except OSError:
        return
    for name in names:
        path = f"{directory}/{name}"
        try:
            if os.lstat(path).st_mtime * 1000 < now_ms - _KEPT_MS and b'"ended_ms"' in procfs.read(path, LIMIT):
                os.unlink(path)
        except OSError:
            pass


def _working_directory() -> str:
    try:
        return os.getcwd()[:_LONGEST_PATH]
    except OSError:
        return ""


def shown_command(argv: list[str], command_lines: str) -> str:
    """What may be kept of a command line under ``[privacy] command_lines``."""
    from gpuwatch.text import clean

    if command_lines == "none" or not argv:
        return ""
    if command_lines == "name":
        return clean(os.path.basename(argv[0]), 64)
    from gpuwatch.collectors.procs.redact import redact_argv

    return clean(redact_argv(argv))
