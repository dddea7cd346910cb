"""Real processes that carry the command line of a server and open ports when they are told to; they count who connects."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpuwatch import procfs
from gpuwatch.plugin import ServerProcess

BTIME = procfs.boot_time("/proc")
CHILD = Path(__file__).with_name("serving_child.py")


class Serving:
    """One process. Ports are those of sockets that the test has bound for it, or that it binds itself."""

    def __init__(
        self, folder: Path, argv: Sequence[str], sockets: Sequence[socket.socket] = (), program: str = "", child: Path = CHILD
    ) -> None:
        """``argv[1]`` is a file's name: Python runs it, so that the command line is exactly ``argv``."""
        script = folder / argv[1]
        if not script.exists():
            script.symlink_to(child)
        executable = sys.executable
        if program:  # the kernel names a process after the file that it runs
            executable = str(folder / program)
            if not Path(executable).exists():
                Path(executable).symlink_to(Path(sys.executable).resolve())
        environment = {**os.environ, "GPUWATCH_TEST_SOCKETS": " ".join(str(one.fileno()) for one in sockets)}
        name = argv[0]
        if "::" in name:  # a title, no path: then Python does not find its library by it
            environment["PYTHONHOME"] = sys.base_prefix
        else:
            name = str(Path(sys.executable).with_name(name))
        self._process = subprocess.Popen(
            [name, *argv[1:]],
            executable=executable,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[one.fileno() for one in sockets],
            env=environment,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self("ready")
        for one in sockets:
            one.close()

    def __call__(self, *words: str | int) -> Any:
        """Tell the process to do something and wait until it has: see ``serving_child.py``."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def told(self, engine: str = "vllm", **what: Any) -> ServerProcess:
        """What the board of servers says of it, with ``what`` of its command line."""
        start_ms = procfs.start_ms(BTIME, procfs.read_stat("/proc", self.pid).start_ticks)
        key = (self.pid, start_ms, what.get("port", 0))
        return ServerProcess(self.pid, start_ms, os.getuid(), key, engine, **what)

    def end(self) -> None:
        """Close its input and wait for it."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def serving(
    folder: Path, *argv: str, sockets: Sequence[socket.socket] = (), program: str = "", child: Path = CHILD
) -> Iterator[Serving]:
    """A process with exactly that command line until the block ends; the kernel calls it ``program``, and it does what ``child`` does."""
    process = Serving(folder, argv, sockets, program, child)
    try:
        yield process
    finally:
        process.end()


def bound(host: str = "127.0.0.1", port: int = 0) -> tuple[socket.socket, int]:
    """A socket on that port, or on one that the kernel chooses. It does not listen yet."""
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that the port can be taken again
    try:
        one.bind((host, port))
    except OSError:
        one.close()
        raise
    return one, one.getsockname()[1]
