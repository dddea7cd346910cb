"""Which servers there are and where each is asked: from the serving processes on the board and the targets that the user names.

A configured address that belongs to a process here stands for that process, whatever its command line says; one that does not is a
server elsewhere, of which only its page is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from gpuwatch.collectors.inference.configured import Configured
from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.engines import engine
from gpuwatch.collectors.inference.listening import Listening, owner_of, still_owns, where
from gpuwatch.collectors.inference.target import Address
from gpuwatch.dataclass import dataclass, replace
from gpuwatch.names import ServerState
from gpuwatch.plugin import CollectorContext, ServerProcess

LOOK_AGAIN_SECONDS = 10.0
"""Between two looks at where a process listens that has no address, unless it is about to start."""
CHECK_SECONDS = 30.0
"""Between two looks at whether processes still listen where they did; a connection that stays open does not ask."""
_NS = 1_000_000_000
Key = tuple[int, int, int]
Process = tuple[int, int]
Identity = tuple[Process, Address, str]
ELSEWHERE: Process = (0, 0)
NO_FIGURES = Listening("", 0, ServerState.NO_METRICS, "this engine has no figures of its own")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to ask, of which workload it is, and by which table; ``allowed`` is asked before each new connection."""

    workload: Key
    process: Process
    address: Address
    engine: Engine | None
    allowed: Callable[[], bool]

    @property
    def identity(self) -> Identity:
        """What makes another target of it if it changes."""
        return self.process, self.address, self.engine.name if self.engine else ""

    def is_of(self, other: Identity) -> bool:
        """Whether ``other`` is the same server, that was asked at another address."""
        return self.process != ELSEWHERE and (self.process, self.identity[2]) == (other[0], other[2])


@dataclass(slots=True)
class Found:
    """What there is of one workload. ``listening`` says why there is no address when there is none."""

    engine: str
    listening: Listening
    endpoints: list[Endpoint]
    name: str = ""
    """What the user calls a server elsewhere."""


class Discovery:
    """Remembers where servers listen, so that a tick at which nothing changes costs nothing."""

    def __init__(self, context: CollectorContext, targets: Sequence[Configured]) -> None:
        self._context, self._root, self._targets = context, str(context.proc_root), targets
        self._version = -1
        self._servers: tuple[ServerProcess, ...] = ()
        self._places: dict[Process, Listening] = {}
        self._owners: list[ServerProcess | None] = [None] * len(targets)
        self._again_ns = 0

    def changed(self, now_ns: int, failing: frozenset[Key], own_seconds: float) -> dict[Key, Found] | None:
        """All servers, or ``None`` when nothing is to be looked up. Those of ``failing`` are looked up again at each tick, as are
        those about to start."""
        version, servers = self._context.servers.current()
        anew = version != self._version
        if not anew and not failing and now_ns < self._again_ns:
            return None
        self._version, self._servers = version, servers
        self._look_up(anew, failing)
        self._again_ns = now_ns + round(self._patience(own_seconds) * _NS)
        return self._found()

    def _look_up(self, anew: bool, failing: frozenset[Key]) -> None:
        claims = _Claims(self._servers)
        places: dict[Process, Listening] = {}
        for server in self._servers:
            if server.worker:
                continue
            process, table = (server.pid, server.start_ms), engine(server.engine)
            before = self._places.get(process)
            if table is None or not table.paths:
                places[process] = NO_FIGURES
            elif not table.default_port:  # its processes have no page: somebody else on the host has
                places[process] = Listening("", 0, ServerState.PORT_UNKNOWN, table.metrics_off)
            elif before is not None and not anew and server.workload not in failing and still_owns(server, before, self._root):
                places[process] = before
            else:
                ports = table.default_port, table.metrics_port
                places[process] = where(
                    server,
                    self._root,
                    default_port=ports[0],
                    metrics_port=ports[1],
                    before=before,
                    claimed=[port for port in ports if claims.others(server, port)],
                )
        self._places = places
        for at, target in enumerate(self._targets):
            owner = self._owners[at]
            if anew or owner is None or owner.workload in failing:
                self._owners[at] = owner_of(target.address.port, self._servers, self._root, target.address.host)

    def _patience(self, own_seconds: float) -> float:
        """How long what was found holds."""
        states = {place.state for place in self._places.values()}
        if ServerState.STARTING in states:
            return own_seconds / 2
        strangers = any(owner is None and target.local for owner, target in zip(self._owners, self._targets, strict=True))
        if strangers or states - {ServerState.UP, ServerState.NO_METRICS}:
            return LOOK_AGAIN_SECONDS
        return CHECK_SECONDS if ServerState.UP in states else 2.0**30

    # ------------------------------------------------------------------------------------------------------------- together

    def _found(self) -> dict[Key, Found]:
        found: dict[Key, Found] = {}
        for server in sorted(self._servers, key=lambda server: (server.parent_pid != 0, server.pid)):
            target = next((self._targets[at] for at, owner in enumerate(self._owners) if owner is server), None)
            place = self._places.get((server.pid, server.start_ms))
            if place is None and target is None:
                continue  # a worker
            of = found.setdefault(server.workload, Found(server.engine, place or NO_FIGURES, []))
            for endpoint in self._endpoints(server, place, target):
                same = any(
                    (known.address.host, known.address.port) == (endpoint.address.host, endpoint.address.port)
                    or (
                        known.engine is not None
                        and known.engine.repeats
                        and endpoint.engine is not None
                        and endpoint.engine.repeats
                    )
                    for known in of.endpoints
                )
                if not same:
                    of.endpoints.append(endpoint)
        for target, owner in zip(self._targets, self._owners, strict=True):
            if owner is None:
                address = replace(target.address, elsewhere=True)
                endpoint = Endpoint(target.key, ELSEWHERE, address, target.engine, _always)
                name = target.name or f"{address.host}:{address.port}"
                found[target.key] = Found(target.engine.name if target.engine else "", NO_FIGURES, [endpoint], name)
        return found

    def _endpoints(self, server: ServerProcess, place: Listening | None, target: Configured | None) -> Iterator[Endpoint]:
        process, table = (server.pid, server.start_ms), engine(server.engine)
        if target is not None:
            allowed = partial(_belongs, server, target.address, self._root)
            yield Endpoint(server.workload, process, target.address, target.engine or table, allowed)
        elif place is not None and place.known:
            allowed = partial(still_owns, server, place, self._root)
            yield Endpoint(server.workload, process, Address(place.host, place.port), table, allowed)


class _Claims:
    """Which workloads a port may be meant for: those whose command lines name it, and those of a user whose engine has it by default."""

    def __init__(self, servers: Sequence[ServerProcess]) -> None:
        self._by: dict[tuple[int | None, int], set[Key]] = {}
        for server in servers:
            table = None if server.worker else engine(server.engine)
            if table is not None:
                named = [(None, server.port), (None, server.metrics_port)]
                usual = [(server.uid, 0 if server.port else table.default_port), (server.uid, table.metrics_port)]
                for claim in (*named, *usual):
                    self._by.setdefault(claim, set()).add(server.workload)

    def others(self, server: ServerProcess, port: int) -> bool:
        """Whether another workload than that of ``server`` may be meant: then only the socket itself tells whose it is."""
        return any(self._by.get(claim, set()) - {server.workload} for claim in ((None, port), (server.uid, port)))


def _belongs(server: ServerProcess, address: Address, root: str) -> bool:
    return owner_of(address.port, (server,), root, address.host) is server


def _always() -> bool:
    return True
