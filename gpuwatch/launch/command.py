"""Start a command as a shell would, and end as it has ended."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

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
    if not argv[0]:
        raise NotStarted(NOT_FOUND, "'': command not found")
    pid, error = _spawn(argv[0], argv, environment, mask)
    if error == errno.ENOEXEC and (path := _found(argv[0])):  # a script without a first line: shells give it to sh
        pid, error = _spawn("/bin/sh", ["sh", path, *argv[1:]], environment, mask)
    if not error:
        return pid
    missing = error == errno.ENOENT
    said = "command not found" if missing and "/" not in argv[0] else os.strerror(error)
    raise NotStarted(NOT_FOUND if missing else NOT_EXECUTABLE, f"{argv[0]}: {said}")


def _spawn(program: str, argv: Sequence[str], environment: Mapping[bytes, bytes], mask: Iterable[int]) -> tuple[int, int]:
    """(pid, 0), or (0, error number). By fork and exec: the C library's posix_spawn leaves two signals ignored."""
    said, say = os.pipe()
    children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where they are ignored, nobody learns how they end
    try:
        pid = os.fork()
    except OSError as error:
        pid, number = 0, error.errno or errno.EAGAIN
        os.close(say)
        os.close(said)
        return pid, number
    if pid == 0:
        signal.signal(signal.SIGCHLD, children)
        _become(program, argv, environment, mask, say)
    os.close(say)
    told = os.read(said, 8)  # nothing, when exec closes the other end
    os.close(said)
    if told:
        os.waitpid(pid, 0)
    return (0, int.from_bytes(told, "big")) if told else (pid, 0)


def _become(program: str, argv: Sequence[str], environment: Mapping[bytes, bytes], mask: Iterable[int], say: int) -> NoReturn:
    """What the new process does until it is the command: undo what Python did to signals."""
    try:
        ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        for number in _RESET if ignored else (*_RESET, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvpe(program, list(argv), dict(environment))
    except OSError as error:
        os.write(say, (error.errno or errno.EIO).to_bytes(4, "big"))
    finally:
        os._exit(NOT_EXECUTABLE)


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
