"""What it costs to find servers and where they listen: microseconds of CPU time each, of a process with few and with many open files."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

from gpuwatch.collectors.inference import namespaces, sockets
from gpuwatch.collectors.inference.listening import owner_of, still_owns, where
from gpuwatch.collectors.procs.programs import classify
from gpuwatch.plugin import ServerProcess

ROUNDS, TIMES = 5, 100
LINE = "/v/bin/python /v/bin/vllm serve Qwen/Qwen3-8B --port 8001 --max-model-len 8192 --gpu-memory-utilization 0.9 --api-key x"


def cost(what: Callable[[], object]) -> float:
    """The least of a few rounds, in microseconds of this process' CPU time."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        for _ in range(TIMES):
            what()
        best = min(best, (time.process_time_ns() - began) / TIMES / 1000)
    return best


def main() -> None:
    """Measure on this machine and print."""
    argv = LINE.split()
    print(f"judge a server's command line          {cost(lambda: classify(argv, 'vllm')):8.0f} us, once a process")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        port = one.getsockname()[1]
        server = ServerProcess(os.getpid(), 0, os.getuid(), (os.getpid(), 0, port), "vllm", port=port)
        found = where(server)
        print(f"find where a server listens            {cost(lambda: where(server)):8.0f} us, every 30 s")
        others = [socket.socket() for _ in range(500)]
        print(f"  with 500 more sockets in the process {cost(lambda: where(server)):8.0f} us")
        print(f"  and on a port that is not named      {cost(lambda: where(ServerProcess(**_unnamed(server)))):8.0f} us")
        print(f"whether it still holds that socket     {cost(lambda: still_owns(server, found)):8.0f} us, every new connection")
        print(f"whose a configured port is             {cost(lambda: owner_of(port, [server])):8.0f} us")
        del others
    print(f"what listens here, by the monitor      {cost(lambda: sockets.listening('/proc', 'self')):8.0f} us")
    print(
        f"  by the table in /proc                {cost(lambda: sockets.listening('/proc/', 'self')):8.0f} us, other namespaces only"
    )
    processes = len([name for name in os.listdir("/proc") if name.isdigit()])
    print(
        f"Docker's proxies among {processes:4} processes   {cost(lambda: namespaces.published('/proc')):8.0f} us, containers only"
    )


def _unnamed(server: ServerProcess) -> dict[str, object]:
    return {name: getattr(server, name) for name in server.__slots__} | {"port": 0, "engine": "llama.cpp"}


if __name__ == "__main__":
    main()
