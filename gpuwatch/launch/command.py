"""Start a command as a shell would, and end as it has ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping, Sequence

NOT_FOUND, NOT_EXECUTABLE = 127, 126
_RESET = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores and shells do not."""


class NotStarted(Exception):
    """The command could not be started; ``code`` is what a shell returns then."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def start(argv: Sequence[str], environment: Mapping[bytes, bytes], mask: Iterable[int]) -> int:
    """Start ``argv`` in this process' group, with its standard streams and open files; returns the pid. Raises :class:`NotStarted`.

    ``mask``: the signals that are blocked in it, as they were when this program was started.
    """
    try:
        return _spawn(argv[0], argv, environment, mask)
    except OSError as error:
        if error.errno == 8 and (path := _found(argv[0])):  # ENOEXEC: a script without a first line, which shells give to sh
            return _spawn("/bin/sh", ["sh", path, *argv[1:]], environment, mask)
        missing = error.errno == 2
        said = "command not found" if missing and "/" not in argv[0] else error.strerror
        raise NotStarted(NOT_FOUND if missing else NOT_EXECUTABLE, f"{argv[0]}: {said}") from None


def _spawn(program: str, argv: Sequence[str], environment: Mapping[bytes, bytes], mask: Iterable[int]) -> int:
    return os.posix_spawnp(program, list(argv), dict(environment), setsigmask=list(mask), setsigdef=_RESET)


def _found(program: str) -> str:
    if "/" in program:
        return program
    paths = (os.path.join(folder, program) for folder in os.get_exec_path())
    return next((path for path in paths if os.access(path, os.X_OK)), "")


def die_of(number: int) -> int:
    """End this process by the signal that the command died of, without a core of its own.

    Returns 128 + the signal's number where that cannot be done: the first process of a container does not die of signals.
    """
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    # a limit of one byte is too little for a file, and what the kernel takes as "none" where cores go to a program
    resource.setrlimit(resource.RLIMIT_CORE, (1 if most != 0 else 0, most))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    return 128 + number
