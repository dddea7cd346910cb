"""A real vLLM on the CPU as a test's child. It takes gigabytes and minutes to install, so tests use it only where it is named."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.llama_server import free_port, only_child

from gpuwatch.dataclass import dataclass

VARIABLE = "GPUWATCH_TEST_VLLM"
"""Names a Python that has vLLM, or the folder that it lies in."""
MODEL_MAKER = Path(__file__).with_name("tiny_vllm.py")
READY_SECONDS = 240.0
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}


def binaries() -> Path | None:
    """The folder with ``vllm`` and its ``python``, if the variable names one."""
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named)
    return path if path.is_dir() else path.parent


@dataclass(frozen=True, slots=True)
class VllmServer:
    """``pid`` is the API server, which listens and is the root of its tree."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def page(self) -> str:
        """Its statistics."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            return str(answer.read().decode())


def make_model(folder: Path, programs: Path) -> Path:
    """The model that it serves."""
    subprocess.run([programs / "python", MODEL_MAKER, folder], check=True, capture_output=True)
    return folder


@contextmanager
def vllm_server(folder: Path, programs: Path, *more: str, niceness: int = 0) -> Iterator[VllmServer]:
    """Serve the tiny model until the block ends; model and log lie in ``folder``. ``more`` are options of ``vllm serve``."""
    port, model = free_port(), folder / "model"
    if not model.exists():
        make_model(model, programs)
    command = ["nice", "-n", str(niceness), str(programs / "vllm"), "serve", str(model), "--served-model-name", "tiny-random"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", "2048", "--enforce-eager"]
    command += ["--gpu-memory-utilization", "0.2", *more]  # on a CPU: of the free memory
    log = folder / "vllm.log"
    # The shell stays above it, so that the tests' own Python is not taken for the root of the server's tree.
    with log.open("ab") as out:
        shell = subprocess.Popen(
            ["bash", "-c", '("$@"); exit $?', "bash", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **QUIET},
            start_new_session=True,
        )
    try:
        _wait_until_ready(port, shell, log)
        yield VllmServer(only_child(shell.pid), port)
    finally:
        _stop(shell)


def _wait_until_ready(port: int, shell: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and shell.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError(f"vLLM did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _stop(shell: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
        try:
            os.killpg(shell.pid, number)
            shell.wait(patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def bounds(page: str, family: str) -> Sequence[float]:
    """Upper bounds (s) of a histogram's buckets as its server tells them."""
    found = {
        line.partition('le="')[2].partition('"')[0]
        for line in page.splitlines()
        if line.startswith(f"{family}_bucket{{") and 'le="' in line
    }
    return sorted(float(bound) for bound in found)
