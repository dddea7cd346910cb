"""Where a serving process listens, from what the kernel says of its own sockets: nothing is tried out, and no port is guessed.

A port is one to ask only if the process that serves holds the socket (or, where that cannot be seen, if its command line or its
engine's default names the port and the socket is its user's). So a connection that is made after ``still_owns`` said yes goes to
that process; one that stays open stays with it, whoever has the port by then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gpuwatch.collectors.inference.namespaces import addresses, leads_to, published
from gpuwatch.collectors.inference.sockets import Socket, held, holds, is_here, listening, reachable, same_namespace
from gpuwatch.dataclass import dataclass
from gpuwatch.names import ServerState
from gpuwatch.plugin import ServerProcess

ONE_PORT = frozenset(("llama.cpp", "ollama", "tgi", "tei", "infinity", "transformers"))
"""Engines whose server opens no port but the one that serves: whatever it listens on is that."""
BY_VARIABLE = frozenset(("dynamo",))
"""Engines whose port a variable may set. That of others stands on the command line, or in the file that --config there names."""
EPHEMERAL = 32768
"""From here on the kernel gives out ports to whoever does not care which; engines in Python talk to their own parts there. (Ray and
VLLM_PORT have them do so on lower ones.)"""
NAME_IT = "name its URL in [[inference.target]]"


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to ask a server. ``state`` is UP if there is an address to ask, else why there is none, with one line in ``detail``.

    ``fd`` is the descriptor of the process ``pid`` for the socket ``inode``; -1 where that cannot be seen.
    """

    host: str
    port: int
    state: ServerState
    detail: str = ""
    pid: int = 0
    fd: int = -1
    inode: int = 0

    @property
    def known(self) -> bool:
        """Whether there is an address to ask."""
        return self.state is ServerState.UP


def where(
    server: ServerProcess,
    proc_root: str = "/proc",
    *,
    default_port: int = 0,
    metrics_port: int = 0,
    before: Listening | None = None,
    claimed: Collection[int] = (),
) -> Listening:
    """Where ``server`` listens: on the port of its command line, else its engine's default, else the only one that it has.

    ``metrics_port`` is the engine's usual port of the page, if that is not the one that serves. ``before`` is what came of it when it
    was last looked up: a server that listened is not one that starts. ``claimed`` are ports that others may be meant to have. About
    100 us, and 5 us for each of its file descriptors up to the socket. Never raises.
    """
    found = _where(server, proc_root, default_port, metrics_port, before, claimed)
    listened = before is not None and before.state in (ServerState.UP, ServerState.UNREACHABLE)
    if listened and found.state is ServerState.STARTING:
        return Listening(
            "", 0, ServerState.UNREACHABLE, "it no longer listens" + (f" on port {server.port}" if server.port else "")
        )
    return found


def _where(
    server: ServerProcess,
    proc_root: str,
    default_port: int,
    metrics_port: int,
    before: Listening | None,
    claimed: Collection[int],
) -> Listening:
    if server.worker:
        return Listening("", 0, ServerState.PORT_UNKNOWN, "a worker is not asked")
    if "--uds" in server.flags:
        return Listening("", 0, ServerState.PORT_UNKNOWN, f"it listens on a Unix socket (--uds); {NAME_IT} if it has one")
    wanted = [port for port in (server.metrics_port or metrics_port, server.port, default_port) if port]
    table = listening(proc_root, "self")
    best = _choose(table, wanted)
    try:
        mine = held(proc_root, server.pid, (best.inode,) if best is not None else ())
    except OSError:
        return Listening("", 0, ServerState.UNREACHABLE, "the process has ended")
    own = [found for found in table if mine is not None and found.inode in mine]
    if not own and not same_namespace(proc_root, server.pid):
        return _published(server, proc_root, wanted, mine, table)
    if mine is None:
        return _of_user(server, table, [port for port in wanted if port == server.port or port not in claimed])
    chosen = _choose(own, wanted) or _only(server, own, before)
    if chosen is None:
        return _nowhere(server, own, default_port)
    return _address(server, chosen, mine[chosen.inode])


def still_owns(server: ServerProcess, where_it_was: Listening, proc_root: str = "/proc") -> bool:
    """Whether ``where_it_was`` still holds: to be asked before every new connection. 5 us, 100 us for another user's process."""
    if not where_it_was.known:
        return False
    if where_it_was.fd >= 0:
        return holds(proc_root, server.pid, where_it_was.fd, where_it_was.inode)
    return any(found.inode == where_it_was.inode for found in listening(proc_root, "self"))


def owner_of(
    port: int, servers: Sequence[ServerProcess], proc_root: str = "/proc", host: str = "127.0.0.1"
) -> ServerProcess | None:
    """Which of ``servers`` an address belongs to, for targets that the configuration names; ``None`` if none of them.

    Also the worker of a program that nobody recognised as a server (a script that embeds an engine): its workload is that of the
    program that listens. Where sockets cannot be seen, the only server whose command line names the port and whose user's it is.
    A ``host`` that is not this one's may be a container's here.
    """
    if not is_here(host):
        return _in_container(port, servers, proc_root, host)
    table = listening(proc_root, "self")
    inodes = {found.inode for found in table if found.port == port}
    by_name: list[ServerProcess] = []
    hosts = sorted(((one.pid, one) for one in servers if not one.worker), key=lambda pair: pair[0])
    hosts += [(one.parent_pid, one) for one in servers if one.worker and one.parent_pid]
    seen = set[int]()
    for pid, server in hosts:
        if pid in seen or not inodes:
            continue
        seen.add(pid)
        try:
            mine = held(proc_root, pid, inodes)
        except OSError:
            continue
        if mine is None:
            by_user = any(found.port == port and found.uid == server.uid for found in table)
            by_name += [server] if server.port == port and by_user and not server.worker else []
        elif inodes & mine.keys():
            return server
    return by_name[0] if len(by_name) == 1 else _in_container(port, servers, proc_root)


def _choose(own: Sequence[Socket], wanted: Sequence[int]) -> Socket | None:
    """The socket on the first port of ``wanted`` that there is; IPv4 before IPv6."""
    return next((found for port in wanted for found in own if found.port == port), None)


def _only(server: ServerProcess, own: Sequence[Socket], before: Listening | None) -> Socket | None:
    """The socket of the only port that the process has, unless that may be one by which an engine talks to its parts.

    That is so while it starts: the port that its command line names, or its engine's default, is not open yet, but others may be.
    """
    if len({found.port for found in own}) != 1:
        return None
    if before is not None and before.known:
        left_alone = before.port < EPHEMERAL <= own[0].port and server.engine not in ONE_PORT  # it ends: its parts go last
        return None if left_alone else own[0]
    if server.engine in ONE_PORT:
        return None if server.port else own[0]
    elsewhere = "--config" in server.flags or server.engine in BY_VARIABLE
    return own[0] if elsewhere and not server.port and own[0].port < EPHEMERAL else None


def _nowhere(server: ServerProcess, own: Sequence[Socket], default_port: int) -> Listening:
    if server.port:
        return Listening("", 0, ServerState.STARTING, f"port {server.port} is not open yet")
    if not own:
        return Listening("", 0, ServerState.STARTING, "it does not listen yet")
    usual = f", and {default_port} is not open" if default_port else ""
    return Listening("", 0, ServerState.PORT_UNKNOWN, f"its command line names no port{usual}; {NAME_IT}")


def _address(server: ServerProcess, found: Socket, fd: int) -> Listening:
    host = reachable(found.host)
    if not host:
        detail = f"it listens on {found.host}, which is no address of this host; {NAME_IT}"
        return Listening("", 0, ServerState.UNREACHABLE, detail)
    if server.tls:
        return Listening("", 0, ServerState.UNREACHABLE, f"it speaks https on port {found.port}; {NAME_IT}")
    return Listening(host, found.port, ServerState.UP, "", server.pid, fd, found.inode)


def _of_user(server: ServerProcess, table: Sequence[Socket], wanted: Sequence[int]) -> Listening:
    """By port and user alone, since the sockets of another user's process are not shown."""
    chosen = _choose([found for found in table if found.uid == server.uid], wanted)
    if chosen is not None:
        return _address(server, chosen, -1)
    if any(found.port == server.port for found in table):
        return Listening("", 0, ServerState.PORT_UNKNOWN, f"port {server.port} belongs to another user's process; {NAME_IT}")
    if server.port:
        return Listening("", 0, ServerState.STARTING, f"port {server.port} is not open yet")
    detail = f"its command line names no port, and only root sees its sockets; {NAME_IT}"
    return Listening("", 0, ServerState.PORT_UNKNOWN, detail)


def _published(
    server: ServerProcess, root: str, wanted: Sequence[int], mine: dict[int, int] | None, table: Sequence[Socket]
) -> Listening:
    """Of a server in another network namespace: the port of this host that Docker leads there.

    Its own table of sockets takes 10 ms, so it is read only if something leads there at all.
    """
    open_here = {found.port: found for found in reversed(table)}
    ways = leads_to(root, server.pid, [way for way in published(root) if way.port in open_here])
    inside = [found for found in listening(root, server.pid) if mine is None or found.inode in mine] if ways else []
    ports = {found.port for found in inside}
    port = next((port for port in wanted if port in ports), ports.pop() if len(ports) == 1 and mine is not None else 0)
    here = [way.port for way in ways if way.inner_port == port]
    if here:
        return _address(server, open_here[min(here)], -1)
    if ways and not inside:
        return Listening("", 0, ServerState.STARTING, "it does not listen yet")
    return Listening("", 0, ServerState.OTHER_NAMESPACE, f"in a network namespace of its own; {NAME_IT}")


def _in_container(port: int, servers: Iterable[ServerProcess], root: str, host: str = "") -> ServerProcess | None:
    """The server behind a port that Docker publishes, or behind the container's own address ``host``."""
    apart = [server for server in servers if not server.worker and not same_namespace(root, server.pid)]
    ways = [way for way in published(root) if way.port == port] if apart and not host else []
    for server in apart:
        if host:
            inner = {port} if host in (addresses(root, server.pid) or ()) else set()
        else:
            inner = {way.inner_port for way in leads_to(root, server.pid, ways)}
        try:
            mine = held(root, server.pid)
        except OSError:
            continue
        for found in listening(root, server.pid):
            if found.port in inner and (found.inode in mine if mine is not None else found.port == server.port):
                return server
    return None
