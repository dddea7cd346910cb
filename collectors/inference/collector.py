"""The inference collector: asks each server that is there, at its own pace, and turns readings into samples.

A tick starts what is due, waits a moment for the answers and brings what is there; an answer that takes longer comes with the next
tick, and its sample says the true time that it speaks of. So no server, however slow or hostile, holds up a tick or the exit.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from gpuwatch.model import Batch, Event, InferenceSample, LatencyCounts, Server, Workload
from gpuwatch.names import Severity
from gpuwatch.plugin import CollectorContext

if TYPE_CHECKING:
    from gpuwatch.collectors.inference.discovery import Discovery, Found, Identity
    from gpuwatch.collectors.inference.group import Group
    from gpuwatch.collectors.inference.look import Look
    from gpuwatch.collectors.inference.target import Target
    from gpuwatch.collectors.inference.workers import Workers

WAIT_SECONDS, FIRST_SECONDS = 0.15, 0.8
"""How long a tick waits for answers; the first one longer, as it may be the only one (a look at a host that nobody records)."""
_NS = 1_000_000_000
Key = tuple[int, int, int]


class InferenceCollector:
    """See the package's docstring. What reads pages is imported with the first server: most hosts have none. Why a number is not there
    follows from the server's state and the list of its fields (``Server.fields``), so no reasons are told one by one.

    ``workers`` do the asking (threads by default), ``draw`` gives numbers from 0 to 1 for the spread of later attempts.
    """

    name = "inference"
    interval_seconds = 2.0
    follows = True
    """It asks the servers that the process collector finds."""

    def __init__(
        self, context: CollectorContext, *, workers: Workers | None = None, draw: Callable[[], float] | None = None
    ) -> None:
        self.context = context
        self._workers, self._draw = workers, draw
        self._arrived: deque[tuple[Group, Target, Look]] = deque()
        self._woken = threading.Event()
        self._events: list[Event] = []
        self._begin()

    def _begin(self) -> None:
        self._discovery: Discovery | None = None
        self._groups: dict[Key, Group] = {}
        self._names: dict[Key, str] = {}
        self._told: dict[Key, Workload] = {}

    def open(self) -> None:
        """Nothing to connect to."""

    def close(self) -> None:
        """Hang up and forget every server."""
        self._receive()
        for group in self._groups.values():
            group.close()
        self._begin()

    def collect(self, now: float) -> Batch:
        """One tick; takes no longer than ``WAIT_SECONDS`` (the first one ``FIRST_SECONDS``) and what it costs to read the pages."""
        clock = self.context.clock
        began = clock.monotonic_ns()
        if self._discovery is None and not self.context.options.get("targets") and not self.context.servers.current()[1]:
            return Batch(self.name, int(now), began)
        seconds = WAIT_SECONDS if self._discovery else FIRST_SECONDS
        self._receive()
        for group in self._groups.values():
            group.absorb(began)
        self._refresh(now, began)
        self._ask(began)
        self._wait(began + round(seconds * _NS))
        return self._batch(now, began)

    # -------------------------------------------------------------------------------------------------------------- asking

    def _refresh(self, now: float, now_ns: int) -> None:
        """Servers come and go; what goes on keeps its memory."""
        if self._discovery is None:
            self._discovery = self._make(now)
        failing = frozenset([key for key, group in self._groups.items() if key[0] and group.failing])
        found = self._discovery.changed(now_ns, failing, self.interval_seconds)
        if found is None:
            return
        for key in [key for key in self._groups if key not in found]:
            self._groups.pop(key).close()
            self._told.pop(key, None)
        for key, one in found.items():
            self._settle(key, one)
        self._names = {key: one.name for key, one in found.items() if one.name}

    def _make(self, now: float) -> Discovery:
        from gpuwatch.collectors.inference.configured import configured
        from gpuwatch.collectors.inference.discovery import Discovery
        from gpuwatch.collectors.inference.pace import chance
        from gpuwatch.collectors.inference.workers import Threads

        self._workers = self._workers or Threads()
        self._draw = self._draw or chance
        targets, problems = configured(self.context.options)
        for problem in problems:
            self.context.logger.warning("%s", problem)
            self._events.append(Event(round(now * 1000), "target_ignored", problem, Severity.WARNING))
        return Discovery(self.context, targets)

    def _settle(self, key: Key, found: Found) -> None:
        """Make the group's targets those that were found."""
        from gpuwatch.collectors.inference.group import Group
        from gpuwatch.collectors.inference.target import Target

        assert self._draw is not None
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, found.engine, self.context.clock, self.interval_seconds, self._draw)
            group.tells_model = self.context.options.get("command_lines", "redacted") == "redacted"
        group.state, group.detail = found.listening.state, found.listening.detail
        wanted = {endpoint.identity: endpoint for endpoint in found.endpoints}
        leaving = {identity: target for identity, target in group.targets.items() if identity not in wanted}
        targets: dict[Identity, Target] = {}
        for identity, endpoint in wanted.items():
            target = group.targets.get(identity)
            if target is None and (moved := next((old for old in leaving if endpoint.is_of(old)), None)) is not None:
                target = leaving.pop(moved)
                target.move(endpoint.address, endpoint.allowed)
            elif target is None:
                born = endpoint.process[1]
                target = Target(endpoint.address, endpoint.engine, self.context.clock, born_ms=born, allowed=endpoint.allowed)
                if group.targets:
                    target.begins_after(group.looked_ns, group.looked_wall)
            else:
                target.allow(endpoint.allowed)
            targets[identity] = target
        group.settle(targets)

    def _ask(self, now_ns: int) -> None:
        assert self._workers is not None
        for group in self._groups.values():
            due = group.due(now_ns)
            if not due:
                continue
            group.begin(due, now_ns)
            for target in due:
                self._workers.submit(partial(self._look, group, target))

    def _look(self, group: Group, target: Target) -> None:
        """In a worker's thread. Whatever happens, it is told that the look is over: else the server would never be asked again."""
        from gpuwatch.collectors.inference.look import failed_look

        found = failed_look("gpuwatch could not look at it")
        try:
            found = target.ask()
        finally:
            if group.closed:
                target.close()
            else:
                self._arrived.append((group, target, found))
                self._woken.set()

    def _receive(self) -> None:
        """Sort what workers brought."""
        while self._arrived:
            group, target, found = self._arrived.popleft()
            group.arrived(target, found)

    def _wait(self, until_ns: int) -> None:
        """Until all that was asked is back, or the time is up."""
        clock = self.context.clock
        while True:
            self._woken.clear()
            self._receive()
            left = (until_ns - clock.monotonic_ns()) / _NS
            if left <= 0 or not any(group.waits for group in self._groups.values()):
                return
            clock.wait(self._woken, left)

    # ------------------------------------------------------------------------------------------------------------- telling

    def _batch(self, now: float, began: int) -> Batch:
        clock = self.context.clock
        samples: list[InferenceSample] = []
        counts: list[LatencyCounts] = []
        servers: list[Server] = []
        events, self._events = self._events, []
        for group in self._groups.values():
            news = group.news(now, clock.monotonic_ns())
            samples += [news.sample] if news.sample is not None else []
            counts += news.latency_counts
            events += news.events
            if news.server is not None:
                servers.append(news.server)
        return Batch(
            self.name,
            int(now),
            monotonic_ns=began,
            duration_ns=clock.monotonic_ns() - began,
            workloads=self._workloads(),
            inference_samples=samples,
            latency_counts=counts,
            servers=servers,
            events=events,
        )

    def _workloads(self) -> list[Workload]:
        """Servers elsewhere, of which nobody else tells."""
        out = []
        for key, name in self._names.items():
            server = self._groups[key].server
            engine, version, model = (server.engine, server.engine_version, server.served_model) if server else ("", "", "")
            workload = Workload(*key, kind="inference", name=name, model=model, engine=engine, engine_version=version)
            if self._told.get(key) != workload:
                self._told[key] = workload
            out.append(self._told[key])
        return out
