"""Listening TCP sockets: which there are in a process' network namespace, and which of them a process holds open."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Collection, Iterator

from gpuwatch.dataclass import NamedTuple

CHUNK, LIMIT = 65536, 1 << 20
_LISTEN = 10
"""The state of a socket that listens (TCP_LISTEN of linux/tcp_states.h)."""
_SOCK_DIAG, _BY_FAMILY, _DUMP, _DONE, _HEADER = 4, 20, 0x301, 3, struct.Struct("=IHHII")
_REQUEST, _ANSWER = struct.Struct("=BBBxI48x"), struct.Struct("=BBxxH2x16s28x12xII")
"""inet_diag_req_v2 and inet_diag_msg of linux/inet_diag.h."""


class Socket(NamedTuple):
    """A socket that listens. ``host`` is the address that it is bound to, ``uid`` the user who made it."""

    host: str
    port: int
    uid: int
    inode: int


def listening(root: str, pid: int | str) -> list[Socket]:
    """The listening sockets of the network namespace of ``pid`` (``self``: ours), IPv4 first. Empty where they are refused.

    Ours come from the kernel's socket monitor (sock_diag(7)), about 50 us. The table in /proc takes 10 ms, since the kernel walks
    through all places that a connection could have: it is read for other namespaces only, and where there is no monitor.
    """
    if root == "/proc" and pid == "self":
        try:
            return [found for family in (socket.AF_INET, socket.AF_INET6) for found in _monitored(family)]
        except (OSError, AttributeError, struct.error):
            pass
    return [found for name in ("tcp", "tcp6") for found in _table(f"{root}/{pid}/net/{name}")]


def _monitored(family: int) -> Iterator[Socket]:
    """What the kernel's monitor lists of our own namespace; raises ``OSError`` where it does not answer."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as monitor:
        monitor.settimeout(1.0)
        monitor.send(_HEADER.pack(72, _BY_FAMILY, _DUMP, 0, 0) + _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << _LISTEN))
        while True:
            answer, at = monitor.recv(CHUNK), 0
            while at < len(answer):
                size, kind, *_ = _HEADER.unpack_from(answer, at)
                if kind != _BY_FAMILY:
                    if kind != _DONE:
                        raise OSError("the socket monitor refuses")
                    return
                found, _state, port, raw, uid, inode = _ANSWER.unpack_from(answer, at + _HEADER.size)
                yield Socket(_text(raw[:4] if found == socket.AF_INET else raw), socket.ntohs(port), uid, inode)
                at += (size + 3) & ~3


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
    if len(cells) < 10 or cells[3] != b"0A":
        return None
    try:
        address, _, port = cells[1].partition(b":")
        return Socket(_text(_bytes(address.decode())), int(port, 16), int(cells[7]), int(cells[9]))
    except ValueError:
        return None


def _bytes(digits: str) -> bytes:
    """The table has each four bytes of an address as one number of the machine's own byte order."""
    return b"".join(int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8))


def _text(raw: bytes) -> str:
    """An address as one writes it; one of IPv4 inside IPv6 as IPv4."""
    if len(raw) == 4 or raw.startswith(b"\0" * 10 + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, raw[-4:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def held(root: str, pid: int, enough: Collection[int] = ()) -> dict[int, int] | None:
    """Inode -> file descriptor of the sockets that a process holds open; ``None`` if that must not be seen (another user's).

    Stops at the first inode of ``enough``, if there is one. Raises ``FileNotFoundError`` for a process that is gone. 5 us for each
    descriptor.
    """
    folder = f"{root}/{pid}/fd"
    try:
        numbers = sorted(map(int, os.listdir(folder)))
    except PermissionError:
        return None
    found: dict[int, int] = {}
    for number in numbers:
        try:
            link = os.readlink(f"{folder}/{number}")
        except OSError:
            continue
        if link.startswith("socket:["):
            inode = int(link[8:-1])
            found.setdefault(inode, number)
            if inode in enough:
                break
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


def is_here(host: str) -> bool:
    """Whether an address, not a name but ``localhost``, is one of this host's. Nothing is resolved."""
    if host == "localhost":
        return True
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except (OSError, ValueError):
        return False
    return bool(reachable(host))


def _is_local(host: str) -> bool:
    """Whether the kernel lets a socket have this address; nothing is sent."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
            return True
    except OSError:
        return False
