"""Servers in containers: which port of this host leads to a port in another network namespace, by Docker's own proxies."""

from __future__ import annotations

from gpuwatch import procfs
from gpuwatch.dataclass import NamedTuple

PROXIES = (b"docker-proxy", b"rootlesskit-doc")
"""Names of the processes; the kernel keeps 15 bytes of a name."""


class Published(NamedTuple):
    """``host``:``port`` of this host leads to ``inner_port`` of the container that has the address ``inner_host``."""

    host: str
    port: int
    inner_host: str
    inner_port: int


def published(root: str) -> list[Published]:
    """All ports that Docker publishes through a process of its own. One read for each process of the host: ask seldom."""
    found = []
    for pid in _pids(root):
        try:
            if procfs.read_once(f"{root}/{pid}/comm", 64).strip() in PROXIES:
                argv = procfs.read_once(f"{root}/{pid}/cmdline").decode("utf-8", "replace").split("\0")
                found += _of_arguments(argv)
        except OSError:
            continue
    return found


def leads_to(root: str, pid: int, ports: list[Published]) -> list[Published]:
    """Those that lead into the network namespace of ``pid``; where its addresses cannot be read, the only one there is."""
    inside = addresses(root, pid)
    if inside is None:
        return ports if len(ports) == 1 else []
    return [port for port in ports if port.inner_host in inside]


def addresses(root: str, pid: int) -> set[str] | None:
    """The IPv4 addresses that the network namespace of ``pid`` has itself; ``None`` where they cannot be read.

    In the kernel's listing each address is followed by what kind it is.
    """
    try:
        trie = procfs.read(f"{root}/{pid}/net/fib_trie", 1 << 18).decode("ascii", "replace")
    except OSError:
        return None
    found, last = set[str](), ""
    for line in trie.splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            last = words[1]
        elif words[-1:] == ["LOCAL"]:
            found.add(last)
    return found


def _pids(root: str) -> list[int]:
    try:
        return procfs.pids(root)
    except OSError:
        return []


def _of_arguments(argv: list[str]) -> list[Published]:
    """What one proxy publishes: nothing if it is not TCP over IPv4 inside."""
    values: dict[str, str] = {}
    for index, arg in enumerate(argv):
        name, equals, value = arg.lstrip("-").partition("=")
        if arg.startswith("-"):
            values.setdefault(name, value if equals else argv[index + 1] if index + 1 < len(argv) else "")
    try:
        port, inner_port = int(values["host-port"]), int(values["container-port"])
        inner_host = values["container-ip"]
    except (KeyError, ValueError):
        return []
    tcp = values.get("proto", "tcp") == "tcp"
    return [Published(values.get("host-ip", "0.0.0.0"), port, inner_host, inner_port)] if tcp else []
