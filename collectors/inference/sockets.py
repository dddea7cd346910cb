"""Listening TCP sockets from /proc: which there are in a process' network namespace, and which of them a process holds open."""

from __future__ import annotations

import os
import socket
import sys

from gpuwatch.dataclass import NamedTuple

LISTENS = b"0A"
CHUNK, LIMIT = 65536, 1 << 20


class Socket(NamedTuple):
    """A socket that listens. ``host`` is the address that it is bound to, ``uid`` the user who made it."""

    host: str
    port: int
    uid: int
    inode: int


def listening(root: str, pid: int | str) -> list[Socket]:
    """The listening sockets of the network namespace of ``pid`` (``self``: ours), IPv4 first. Empty where /proc refuses."""
    return [found for name in ("tcp", "tcp6") for found in _table(f"{root}/{pid}/net/{name}")]


def _table(path: str) -> list[Socket]:
    """One of the kernel's tables. It begins with what listens: reading ends at a page without, before thousands of connections."""
    found: list[Socket] = []
    rest, size = b"", 0
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return found
    try:
        while size < LIMIT and (chunk := os.read(fd, CHUNK)):
            size += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            before = len(found)
            found += [one for line in lines if (one := _listener(line.split(None, 10))) is not None]
            if len(found) == before and len(lines) > 1:
                break
    except OSError:
        pass
    finally:
        os.close(fd)
    return found


def _listener(cells: list[bytes]) -> Socket | None:
    """The socket of one line of the table if it listens."""
    if len(cells) < 10 or cells[3] != LISTENS:
        return None
    try:
        address, _, port = cells[1].partition(b":")
        return Socket(_address(address.decode()), int(port, 16), int(cells[7]), int(cells[9]))
    except ValueError:
        return None


def _address(digits: str) -> str:
    """The kernel prints each four bytes of an address as one number of the machine's own byte order."""
    raw = b"".join(int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8))
    if len(raw) == 4 or raw.startswith(b"\0" * 10 + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, raw[-4:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def held(root: str, pid: int) -> dict[int, int] | None:
    """Inode -> file descriptor of every socket that a process holds open; ``None`` if that must not be seen (another user's).

    Raises ``FileNotFoundError`` for a process that is gone. About 2 us a descriptor.
    """
    folder = f"{root}/{pid}/fd"
    try:
        names = os.listdir(folder)
    except PermissionError:
        return None
    found: dict[int, int] = {}
    for name in names:
        try:
            link = os.readlink(f"{folder}/{name}")
        except OSError:
            continue
        if link.startswith("socket:["):
            found.setdefault(int(link[8:-1]), int(name))
    return found


def holds(root: str, pid: int, fd: int, inode: int) -> bool:
    """Whether a process still holds that socket under that descriptor: one call, 5 us."""
    try:
        return os.readlink(f"{root}/{pid}/fd/{fd}") == f"socket:[{inode}]"
    except OSError:
        return False


def same_namespace(root: str, pid: int) -> bool:
    """Whether the network of ``pid`` is ours; True where nothing tells.

    The link of another user's process is refused; then the file of its table of sockets tells, since each namespace has its own.
    """
    try:
        return os.readlink(f"{root}/{pid}/ns/net") == os.readlink(f"{root}/self/ns/net")
    except OSError:
        pass
    try:
        return os.path.samefile(f"{root}/{pid}/net/tcp", f"{root}/self/net/tcp")
    except OSError:
        return True


def reachable(host: str) -> str:
    """The address to ask for what is bound to ``host``: loopback for all addresses, else itself if it is this host's; else empty."""
    if host == "0.0.0.0":
        return "127.0.0.1"
    if host == "::":
        return "::1" if _is_local("::1") else "127.0.0.1"
    return host if _is_local(host) else ""


def _is_local(host: str) -> bool:
    """Whether the kernel lets a socket have this address; nothing is sent."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
            return True
    except OSError:
        return False
