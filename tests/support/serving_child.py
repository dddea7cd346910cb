"""The process that ``serving_process`` starts: one command a line, one answer a line, until its input ends."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
import threading

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP = 0x8914, 0x8916, 1
INNER_ADDRESS = "198.51.100.7"

bound = {}
for number in os.environ.get("GPUWATCH_TEST_SOCKETS", "").split():
    given = socket.socket(fileno=int(number))
    bound[given.getsockname()[1]] = given
connections = []


def accept(one: socket.socket, port: int) -> None:
    while True:
        try:
            one.accept()
        except OSError:
            return
        connections.append(port)


def listen(port: int, host: str = "") -> int:
    """On a socket that was given, or on a new one if there is a host."""
    one = bound.get(port)
    if host or one is None:
        one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, port))
        port = one.getsockname()[1]
        bound[port] = one
    one.listen()
    threading.Thread(target=accept, args=(one, port), daemon=True).start()
    return port


def close(port: int) -> None:
    one = bound.pop(port)
    one.shutdown(socket.SHUT_RDWR)
    one.close()


def leave() -> bool:
    """Into a network of its own, where loopback is up and has one more address; False where that is not allowed."""
    flags = CLONE_NEWNET | (CLONE_NEWUSER if os.getuid() else 0)
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        return False
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
        address = struct.pack("16sHH4s16x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(INNER_ADDRESS))
        fcntl.ioctl(any_socket, SIOCSIFADDR, address)
    return True


COMMANDS = {
    "ready": lambda: True,
    "listen": listen,
    "close": close,
    "connections": lambda: connections,
    "leave": leave,
    "title": lambda text: ctypes.CDLL(None).prctl(15, text.encode(), 0, 0, 0),
}

if __name__ == "__main__":
    for line in sys.stdin:
        name, *words = json.loads(line)
        print(json.dumps(COMMANDS[name](*words)), flush=True)
