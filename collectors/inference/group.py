"""The server of one workload: its addresses are asked together, and what they told becomes one sample, one state, one line of facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gpuwatch.clock import Clock
from gpuwatch.collectors.inference import pace
from gpuwatch.collectors.inference.look import Look
from gpuwatch.collectors.inference.merging import joined, latencies, merged
from gpuwatch.collectors.inference.target import Target, Told
from gpuwatch.dataclass import dataclass, replace
from gpuwatch.measure import measures
from gpuwatch.model import Event, InferenceSample, LatencyCounts, Server
from gpuwatch.names import ServerState, Severity

if TYPE_CHECKING:
    from gpuwatch.collectors.inference.discovery import Identity

QUIET_SECONDS = 30.0
"""Between two rows of a server that tells nothing: so often its state is told."""
PATIENT_SECONDS = 0.5
"""So long the first answer of a server is waited for in silence."""
_LARGEST = 2.0**53
_NS = 1_000_000_000
_SCALES = {name: about.scale for name, about in measures(InferenceSample).items()}
_WORST_FIRST = (
    ServerState.AUTH_NEEDED,
    ServerState.METRICS_OFF,
    ServerState.UNREACHABLE,
    ServerState.TOO_LARGE,
    ServerState.FOREIGN_PAGE,
    ServerState.STARTING,
)
_TROUBLE = frozenset(_WORST_FIRST) - {ServerState.STARTING}


@dataclass(slots=True)
class News:
    """What a group has to say at one tick."""

    sample: InferenceSample | None = None
    latency_counts: Sequence[LatencyCounts] = ()
    server: Server | None = None
    events: Sequence[Event] = ()


class Group:
    """See the module's docstring. ``key`` is the workload's; ``engine`` what the process collector takes it for.

    ``targets`` are its addresses; without any, ``state`` says why and ``detail`` in which way.
    """

    def __init__(self, key: tuple[int, int, int], engine: str, clock: Clock, own_seconds: float, draw: Callable[[], float]) -> None:
        self.key, self.engine = key, engine
        self.targets: dict[Identity, Target] = {}
        self.state, self.detail = ServerState.STARTING, ""
        self.looked_ns, self.looked_wall = 0, 0.0
        """When its addresses were last asked."""
        self.closed = False
        self.tells_model = True
        """False where the user wants nothing kept of what command lines say: a page says the same."""
        self.interval = own_seconds
        self._clock, self._own, self._draw = clock, own_seconds, draw
        self._waiting: set[Target] = set()
        self._found: list[tuple[Target, Look]] = []
        self._next_ns = self._row_ns = 0
        self._busy_ns = clock.monotonic_ns()
        self._server: Server | None = None
        self._so_far: dict[Target, Told | None] = {}
        """What addresses told at looks at which not all of them did."""
        self._told: Told | None = None
        """What is still to be said."""
        self._last_told: Told | None = None

    @property
    def server(self) -> Server | None:
        """What was last told of it."""
        return self._server

    @property
    def waits(self) -> bool:
        """Somebody was asked and is not back."""
        return bool(self._waiting)

    @property
    def failing(self) -> bool:
        """One of its addresses did not answer when it was last asked."""
        return any(target.failures for target in self.targets.values())

    # ----------------------------------------------------------------------------------------------------------- looking

    def due(self, now_ns: int) -> list[Target]:
        """The addresses to be asked now."""
        if self._waiting or now_ns + self._own * _NS / 4 < self._next_ns:
            return []
        return [target for target in self.targets.values() if not target.in_flight and target.next_ns <= now_ns]

    def begin(self, targets: Sequence[Target], now_ns: int) -> None:
        """These are asked."""
        self._waiting = set(targets)
        self.looked_ns, self.looked_wall = now_ns, self._clock.time()
        for target in targets:
            target.in_flight = True
        self._next_ns = now_ns + round(self.interval * _NS)

    def arrived(self, target: Target, found: Look) -> None:
        """A worker is back."""
        target.in_flight = False
        self._waiting.discard(target)
        if target in self.targets.values():
            self._found.append((target, found))
        else:
            target.close()

    def close(self) -> None:
        """Hang up; who is still asked is left to its worker, who closes it when it is back."""
        self.closed = True
        self.settle({})

    def settle(self, targets: Mapping[Identity, Target]) -> None:
        """These are its addresses from now on; those that go on are in it already."""
        staying = set(targets.values())
        for target in self.targets.values():
            if target not in staying and not target.in_flight:
                target.close()
        self.targets = dict(targets)

    # ------------------------------------------------------------------------------------------------------------ telling

    def news(self, now: float, now_ns: int) -> News:
        """What there is to say now; called at each tick."""
        self.absorb(now_ns)
        if self._server is None and self.targets and not any(target.heard for target in self.targets.values()):
            return self._unheard(now_ns)
        told, self._told = self._told, None
        server = self._describe(told)
        news = News(events=self._events(server, now))
        changed = self._server is None or self._server.state is not server.state
        if _differs(self._server, server):
            self._server = news.server = server
        if told is not None:
            news.sample = self._sample(told)
            news.latency_counts = [
                LatencyCounts(*self.key, latency, waited.buckets)
                for latency, waited in told.waits.items()
                if waited.buckets and told.window_seconds is not None
            ]
            self._row_ns = now_ns
        elif changed or (server.state is not ServerState.UP and now_ns - self._row_ns >= QUIET_SECONDS * _NS):
            news.sample = InferenceSample(*self.key, interval_seconds=QUIET_SECONDS, server_state=int(server.state))
            self._row_ns = now_ns
        return news

    def _unheard(self, now_ns: int) -> News:
        """Before the first answer: that there is a server, once it was waited for; no row, since nothing is known of it."""
        if not self._waiting or now_ns - self.looked_ns < PATIENT_SECONDS * _NS:
            return News()
        return News(server=replace(self._describe(None), detail="it has not answered yet"))

    def absorb(self, now_ns: int) -> None:
        """Learn from the look that is done, if one is. One that came too late for its own tick is joined with that of the next."""
        told = self._take(now_ns) if self._found and not self._waiting else None
        if told is not None:
            self._told = joined(self._told, told)

    def _take(self, now_ns: int) -> Told | None:
        """What all addresses told; nothing while one of them has nothing due or is in doubt: then the next look tells of all that time,
        of each."""
        targets = self.targets.values()
        looks = {target: found for target, found in self._found if target in targets}
        self._found = []
        asked = {target: found for target, found in looks.items() if not found.nothing}
        before = {target: target.told for target in targets}
        for target, found in asked.items():
            told = target.take(found, self.interval)
            if told is not None:
                self._so_far[target] = joined(self._so_far.get(target), told)
            elif not target.in_doubt:
                self._so_far[target] = None
        if not asked or len(asked) < len(looks):
            return None
        if any(target.in_doubt for target in targets):
            self._plan(None, now_ns)
            return None
        parts = [(self._so_far.get(target), before[target]) for target in targets]
        self._so_far = {}
        found_now = merged(parts)
        self._plan(found_now, now_ns)
        return found_now

    def _plan(self, told: Told | None, now_ns: int) -> None:
        """When the next look is."""
        if told is not None and _busy(told):
            self._busy_ns = now_ns
        idle = now_ns - self._busy_ns >= pace.IDLE_AFTER_SECONDS * _NS
        cost = max(target.cost.seconds for target in self.targets.values())
        self.interval = pace.interval(self._own, idle=idle, cost_seconds=cost)
        failures = min(target.failures for target in self.targets.values())
        seconds = self.interval if told is not None else max(self.interval, pace.back_off(failures, self._own, self._draw))
        self._next_ns = self.looked_ns + round(seconds * _NS)

    def _sample(self, told: Told) -> InferenceSample:
        values: dict[str, float | None] = {**latencies(told.waits), **told.counts, **told.gauges}
        window = told.window_seconds
        known: dict[str, Any] = {
            name: value
            for name, value in values.items()
            if value is not None and _fits(name, value) and (window is not None or name in told.gauges)
        }
        pace_seconds = self.interval if self.interval > self._own else 0.0
        return InferenceSample(*self.key, pace_seconds, server_state=int(ServerState.UP), window_seconds=window, **known)

    def _describe(self, told: Told | None) -> Server:
        """All that is known now."""
        targets = list(self.targets.values())
        if told is not None:
            self._last_told = told
        known = self._last_told
        state, detail, hint = self._state(targets)
        first = next((target for target in targets if target.state is state), targets[0] if targets else None)
        facts = known.facts if known else {}
        engine = first.engine if first else None
        return Server(
            *self.key,
            state,
            detail=detail,
            hint=hint,
            url=first.address.url if first else "",
            engine=engine.name if engine else self.engine,
            engine_version=str(facts.get("engine_version", "")),
            served_model=str(facts.get("served_model", "")) if self.tells_model else "",
            verified=engine.verified if engine else True,
            max_model_tokens=_number(facts.get("max_model_tokens")),
            max_running_requests=_number(facts.get("max_running_requests")),
            kv_cache_tokens=_number(facts.get("kv_cache_tokens")),
            interval_seconds=self.interval,
            scrape_seconds=first.asked_seconds if first else None,
            page_bytes=first.page_bytes if first else None,
            fields=tuple(sorted(known.sources.values(), key=lambda source: source.field)) if known else (),
        )

    def _state(self, targets: Sequence[Target]) -> tuple[ServerState, str, str]:
        if not targets:
            return self.state, self.detail, ""
        up = [target for target in targets if target.state is ServerState.UP]
        rest = sorted((target for target in targets if target not in up), key=lambda target: _WORST_FIRST.index(target.state))
        if not up:
            return rest[0].state, rest[0].detail, rest[0].hint
        if rest:
            return (
                ServerState.UP,
                f"{len(up)} of {len(targets)} addresses answer: {rest[0].address.url}: {rest[0].detail}",
                rest[0].hint,
            )
        return ServerState.UP, up[0].detail, next((target.hint for target in up if target.hint), "")

    def _events(self, server: Server, now: float) -> list[Event]:
        """A change of state that people want to know of."""
        before = self._server.state if self._server else None
        if server.state is before:
            return []
        name = f"{server.engine or 'server'} {server.url}".strip()
        if server.state in _TROUBLE:
            detail = f"{name}: {server.detail}" + (f" ({server.hint})" if server.hint else "")
            return [Event(round(now * 1000), f"server_{server.state.label}", detail[:500], Severity.NOTICE, pid=self.key[0])]
        if server.state is ServerState.UP and before in _TROUBLE:
            return [Event(round(now * 1000), "server_up", f"{name} answers", Severity.INFO, pid=self.key[0])]
        return []


def _busy(told: Told) -> bool:
    """Whether it works, or nobody can tell."""
    signs = [told.gauges.get("running_requests"), told.gauges.get("waiting_requests")]
    signs += [told.counts.get("output_tokens_total"), told.counts.get("prefill_tokens_total")]
    known = [sign for sign in signs if sign is not None]
    return not known or any(known)


def _fits(name: str, value: float) -> bool:
    return 0 <= value * _SCALES.get(name, 1.0) < _LARGEST


def _number(value: str | int | None) -> int | None:
    return value if isinstance(value, int) else None


def _differs(before: Server | None, now: Server) -> bool:
    """Whether something worth telling has changed: the cost of a look moves all the time, and is told when it is quite another."""
    if before is None or replace(now, scrape_seconds=before.scrape_seconds, page_bytes=before.page_bytes) != before:
        return True
    pairs = ((before.scrape_seconds, now.scrape_seconds), (before.page_bytes, now.page_bytes))
    return any(old != new and (not old or not new or not 0.5 < new / old < 2.0) for old, new in pairs)
