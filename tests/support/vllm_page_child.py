"""A process that serves vLLM's page of metrics: tokens at a steady rate from its start on. Commands as in ``serving_child``."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

PAGE = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="m"}} {running}
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{engine="0",model_name="m"}} 0.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{engine="0",model_name="m"}} 0.25
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{{engine="0",model_name="m"}} {prompt}
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{{engine="0",model_name="m"}} {tokens}
"""
began, rate = time.monotonic(), 0.0
servers: dict[int, ThreadingHTTPServer] = {}
connections: list[socket.socket] = []
children: list[subprocess.Popen[bytes]] = []


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        connections.append(self.request)
        super().setup()

    def do_GET(self) -> None:
        tokens = round(rate * (time.monotonic() - began))
        text = PAGE.format(running=rate / 100, prompt=10 * tokens, tokens=tokens) if self.path == "/metrics" else "{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Somebody hung up."""


def makes(tokens_a_second: float) -> None:
    """Tokens from now on, counted from 0."""
    global began, rate
    began, rate = time.monotonic(), tokens_a_second


def listen(port: int, given: int = -1) -> int:
    """On a new socket, or on one that was given."""
    server = Server(("127.0.0.1", port), Page, bind_and_activate=given < 0)
    if given >= 0:
        server.socket = socket.socket(fileno=given)
        server.server_address = server.socket.getsockname()
        server.server_activate()
    port = server.server_address[1]
    servers[port] = server
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return port


def close(port: int, hang_up: bool) -> None:
    """Listen no more; connections that are open go on unless they are hung up."""
    server = servers.pop(port)
    server.shutdown()
    server.server_close()
    while hang_up and connections:
        one = connections.pop()
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def engine() -> int:
    """A child with the title of vLLM's engine, which would be the one on the GPU."""
    code = "import sys; sys.stdin.read()"
    argv = ["VLLM::EngineCore", "-c", code]
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
    children.append(subprocess.Popen(argv, executable="/proc/self/exe", stdin=subprocess.PIPE, env=environment))
    return children[-1].pid


COMMANDS = {
    "ready": lambda: [listen(0, int(number)) for number in os.environ.get("GPUWATCH_TEST_SOCKETS", "").split()],
    "makes": makes,
    "listen": listen,
    "close": close,
    "engine": engine,
}

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
for line in sys.stdin:
    name, *words = json.loads(line)
    print(json.dumps(COMMANDS[name](*words)), flush=True)
