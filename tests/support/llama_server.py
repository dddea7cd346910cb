"""A real llama.cpp server as a test's child: it is called ``llama-server`` in /proc, listens on loopback and ends with the test."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CHILD = Path(__file__).with_name("llama_child.py")


def installed() -> bool:
    """Whether the library that holds the server is there; it is not imported."""
    return importlib.util.find_spec("xllamacpp") is not None and importlib.util.find_spec("gguf") is not None


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Serve = Callable[..., "LlamaServer"]
"""``serve(parallel=1, metrics=False, …)``, the fixture of tests/inference_live, starts a server that ends with the test."""


class LlamaServer:
    """``pid`` is the process that listens. ``log`` holds what the server says; it is read when something failed."""

    def __init__(self, arguments: list[str], log: Path, environment: Mapping[str, str]) -> None:
        # Its argv[0] lies beside the Python that runs it: there Python looks for its environment.
        name = str(Path(sys.executable).with_name("llama-server"))
        # The shell stays above it, so that the tests' own Python is not taken for the root of the server's tree.
        line = 'name=$1 python=$2; shift 2; (exec -a "$name" "$python" "$@"); exit $?'
        with log.open("ab") as out:
            self._shell = subprocess.Popen(
                ["bash", "-c", line, "bash", name, sys.executable, str(CHILD), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        assert self._shell.stdout is not None
        address = self._shell.stdout.readline().decode().strip()
        if not address:
            self.stop()
            raise RuntimeError(f"llama-server did not start:\n{log.read_text(errors='replace')[-2000:]}")
        self.port = int(address.rpartition(":")[2])
        self.pid = only_child(self._shell.pid)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Let it end: its stdin closes, as it also does when the tests die; what does not end then is killed."""
        assert self._shell.stdin is not None and self._shell.stdout is not None
        self._shell.stdin.close()
        self._shell.stdout.close()
        try:
            self._shell.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, as a crash does."""
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait(10)


def only_child(pid: int) -> int:
    """The pid of the one child that ``pid`` has."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])


@contextmanager
def llama_server(
    model: Path,
    folder: Path,
    *,
    port: int | None = 0,
    parallel: int = 1,
    context: int = 4096,
    metrics: bool = True,
    slots: bool = True,
    api_key: str = "",
    environment: Mapping[str, str] | None = None,
) -> Iterator[LlamaServer]:
    """Serve ``model`` until the block ends; logs go to ``folder``.

    ``port`` 0 takes a free one, ``None`` gives none on the command line (the variable LLAMA_ARG_PORT in ``environment`` may). ``context``
    is shared by the ``parallel`` slots, as in llama.cpp.
    """
    arguments = ["-m", str(model)]
    if port is not None:
        arguments += ["--port", str(port or free_port())]
    arguments += ["--ctx-size", str(context), "--parallel", str(parallel)]
    arguments += ["--metrics"] * metrics + ["--no-slots"] * (not slots)
    arguments += ["--api-key", api_key] if api_key else []
    server = LlamaServer(arguments, folder / "llama-server.log", environment or {})
    try:
        yield server
    finally:
        server.stop()
