"""Servers as entities and samples: what a collector would read of each at a moment, and what it has counted since the look before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gpuwatch.collectors.simulated.compiled import Scenario
from gpuwatch.collectors.simulated.counting import Counts
from gpuwatch.collectors.simulated.rates import AMOUNTS
from gpuwatch.collectors.simulated.serving import ENDS, Serving
from gpuwatch.collectors.simulated.told import TOLD
from gpuwatch.dataclass import dataclass
from gpuwatch.model import Event, InferenceSample, LatencyCounts, Server
from gpuwatch.names import WAITS, Latency, ServerState, Severity

if TYPE_CHECKING:
    from gpuwatch.collectors.simulated.people import Axis, Life

INTERVAL_S = 2
"""The time between two looks."""
_COLUMN = {name: place for place, name in enumerate(AMOUNTS)}
_SUMMED: dict[str, tuple[str, ...]] = {
    "output_tokens_total": ("output",),
    "prefill_tokens_total": ("prefill",),
    "cached_tokens_total": ("cached",),
    "prompt_tokens_total": ("prefill", "cached"),
    "prefix_query_tokens_total": ("prefill", "cached"),
    "prefix_hit_tokens_total": ("cached",),
    "requests_total": ENDS,
    "finished_stop_total": ("stop",),
    "finished_length_total": ("length",),
    "finished_aborted_total": ("aborted",),
    "finished_error_total": ("error",),
    "preemptions_total": ("preemptions",),
    "drafts_total": ("drafts",),
    "draft_tokens_total": ("draft_tokens",),
    "accepted_tokens_total": ("accepted",),
}
"""Amount -> the columns that it is the sum of."""
_NAME_IT = "name its URL in [[inference.target]]"
_KEY = 'give the key: [[inference.target]] url = "http://127.0.0.1:PORT", token_env = "NAME OF A VARIABLE"'
_WORDS = {
    ServerState.STARTING: ("it does not listen yet", ""),
    ServerState.AUTH_NEEDED: ("it answers 401 to GET /metrics", _KEY),
    ServerState.UNREACHABLE: ("nobody listens there", ""),
    ServerState.OTHER_NAMESPACE: (f"in a network namespace of its own; {_NAME_IT}", ""),
    ServerState.PORT_UNKNOWN: (f"its command line names no port; {_NAME_IT}", ""),
    ServerState.FOREIGN_PAGE: ("what answers is not a page of metrics that gpuwatch knows", ""),
    ServerState.TOO_LARGE: ("its answer is larger than 4 MiB", ""),
    ServerState.NO_METRICS: ("this engine has no numbers of its own", ""),
}


_TROUBLE = frozenset(
    {ServerState.METRICS_OFF, ServerState.AUTH_NEEDED, ServerState.UNREACHABLE, ServerState.TOO_LARGE, ServerState.FOREIGN_PAGE}
)


class Look(NamedTuple):
    """One look at the servers: scenario time of the look before (None: there was none) and of this one, and the seconds between."""

    start_ms: int | None
    end_ms: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at all servers gave."""

    servers: tuple[Server, ...] = ()
    samples: tuple[InferenceSample, ...] = ()
    latencies: tuple[LatencyCounts, ...] = ()


Sampled = tuple[InferenceSample, Sequence[LatencyCounts]]
Share = Callable[[tuple[object, ...], Callable[[], Sampled]], Sampled]
"""Gives what the second argument builds, once for all calls with the same key over spans that look the same."""


class Servers:
    """All servers of a scenario on an absolute time axis."""

    def __init__(self, scenario: Scenario, axis: Axis) -> None:
        self._axis, self._loop_ms = axis, scenario.plan.loop_ms
        self._servings = [
            Serving(scenario, person, person.plan.server)
            for person in scenario.people.values()
            if person.plan.server is not None and not person.past
        ]
        self._known: dict[tuple[str, int, ServerState], Server] = {}

    def __bool__(self) -> bool:
        return bool(self._servings)

    def seen(self, lives: Sequence[Life], look: Look, share: Share | None = None) -> Seen:
        """What the look gives of the servers of ``lives``; ``share`` builds once what looks the same."""
        by_slot = {life.slot: life for life in lives}
        servers, samples = list[Server](), list[InferenceSample]()
        latencies: list[LatencyCounts] = []
        for serving in self._servings:
            life = by_slot.get(serving.person.slot)
            if life is not None:
                state = self._state(serving, life, look.end_ms)
                server = self._entity(serving, life, state)
                servers.append(server)
                counted = state is ServerState.UP and self._was_up(serving, life, look.start_ms)
                build = partial(self._sample, serving, server, look, counted)
                sample, counts = share((life, "server", state, counted), build) if share else build()
                samples.append(sample)
                latencies += counts
        return Seen(tuple(servers), tuple(samples), tuple(latencies))

    def _was_up(self, serving: Serving, life: Life, t_ms: int | None) -> bool:
        """Whether the same process was read at the look before."""
        return t_ms is not None and life.start_ms <= t_ms and self._state(serving, life, t_ms) is ServerState.UP

    def _state(self, serving: Serving, life: Life, t_ms: int) -> ServerState:
        plan = serving.plan
        if life.start_ms <= t_ms < life.start_ms + plan.starts_ms:
            return ServerState.STARTING
        now = t_ms % self._loop_ms if self._loop_ms else t_ms
        return next((outage.state for outage in plan.outages if outage.at_ms <= now < outage.at_ms + outage.for_ms), plan.state)

    def _entity(self, serving: Serving, life: Life, state: ServerState) -> Server:
        known = (life.slot, life.start_ms, state)
        if known not in self._known:
            self._known[known] = _server(serving, life, self._axis.unix_ms(life.start_ms), state)
        return self._known[known]

    def _sample(self, serving: Serving, server: Server, look: Look, counted: bool) -> Sampled:
        if server.state is not ServerState.UP:
            return InferenceSample(*server.key, server_state=int(server.state)), ()
        told = _told(server.engine, bool(serving.plan.draft_tokens))
        values: dict[str, Any] = {name: value for name, value in _gauges(serving, look.end_ms) if name in told.names}
        latencies: list[LatencyCounts] = []
        if counted and look.start_ms is not None:
            before, after = self._counts(serving, look.start_ms), self._counts(serving, look.end_ms)
            counts = [new - old for old, new in zip(before, after)]
            values["window_seconds"] = look.seconds
            for name, columns in told.amounts:
                values[name] = sum([counts[column] for column in columns]) if len(columns) > 1 else counts[columns[0]]
            for latency in told.timed:
                place, spread = serving.latencies[latency]
                buckets = tuple([(lower, upper, counts[at]) for at, lower, upper in spread if counts[at]])
                values[f"{latency.label}_count_total"] = sum([bucket[2] for bucket in buckets])
                values[f"{latency.label}_sum_seconds"] = counts[place] / 1e6
                if buckets and latency in told.spread:
                    latencies.append(LatencyCounts(*server.key, latency, buckets))
        return InferenceSample(*server.key, server_state=int(server.state), **values), latencies

    def _counts(self, serving: Serving, t_ms: int) -> Counts:
        """Counts by real time: scenario time that runs faster brings no more tokens a second."""
        counts = serving.counts(t_ms)
        if self._axis.speed == 1 or t_ms < 0:
            return counts
        return [int(count // self._axis.speed) for count in counts]


def changes(before: Server | None, server: Server, ts_ms: int) -> Iterator[Event]:
    """What people want to know of when the state of a server changes."""
    name = f"{server.engine} {server.url}".strip()
    if before is None or before.state is server.state:
        return
    if server.state in _TROUBLE:
        detail = f"{name}: {server.detail}" + (f" ({server.hint})" if server.hint else "")
        yield Event(ts_ms, f"server_{server.state.label}", detail, Severity.NOTICE, pid=server.root_pid)
    elif server.state is ServerState.UP and before.state in _TROUBLE:
        yield Event(ts_ms, "server_up", f"{name} answers", Severity.INFO, pid=server.root_pid)


def _server(serving: Serving, life: Life, start_ms: int, state: ServerState) -> Server:
    process, plan = serving.person.plan, serving.plan
    told = TOLD[process.engine]
    known = plan.state is ServerState.UP and state is not ServerState.STARTING  # what it told before, it still is
    detail, hint = _WORDS.get(state, ("", ""))
    hint = hint.replace("PORT", str(process.port))
    if state is ServerState.METRICS_OFF:
        detail, hint = "it answers 404 to GET /metrics", told.metrics_off
    speculates = bool(plan.draft_tokens)
    fields = tuple(field for field in told.fields if speculates or field.field not in _SPECULATION)
    return Server(
        life.pid,
        start_ms,
        process.port,
        state,
        detail,
        hint,
        url=f"http://127.0.0.1:{process.port}" if process.port else "",
        engine=process.engine,
        engine_version=process.engine_version if known else "",
        served_model=process.model if known else "",
        max_model_tokens=plan.max_model_tokens or None if known else None,
        max_running_requests=plan.max_running_requests or None if known else None,
        kv_cache_tokens=plan.kv_cache_tokens or None if known else None,
        interval_seconds=float(INTERVAL_S),
        scrape_seconds=told.scrape_seconds if known else None,
        page_bytes=told.page_bytes if known else None,
        fields=fields if known else (),
    )


_SPECULATION = frozenset({"drafts_total", "draft_tokens_total", "accepted_tokens_total"})


class _Told(NamedTuple):
    """What an engine tells: the fields of a sample, the columns that each amount adds up, the latencies, those with histograms."""

    names: frozenset[str]
    amounts: tuple[tuple[str, tuple[int, ...]], ...]
    timed: tuple[Latency, ...]
    spread: frozenset[Latency]


@cache
def _told(engine: str, speculates: bool) -> _Told:
    names = frozenset(field.field for field in TOLD[engine].fields) - (frozenset() if speculates else _SPECULATION)
    amounts = tuple((name, tuple(_COLUMN[column] for column in columns)) for name, columns in _SUMMED.items() if name in names)
    return _Told(
        names,
        amounts,
        tuple(latency for latency in WAITS if names & {latency.label, f"{latency.label}_count_total"}),
        TOLD[engine].latencies,
    )


def _gauges(serving: Serving, t_ms: int) -> Iterator[tuple[str, float]]:
    """Whole requests, right in the mean; the cache is filled by those that run."""
    now, chance = serving.now(t_ms), serving.chance(t_ms)
    running = float(int(now.running + chance))
    yield "running_requests", running
    yield "waiting_requests", float(int(now.waiting + 1 - chance)) if now.waiting else 0.0
    each = now.kv_tokens / now.running if now.running else 0.0
    if serving.plan.kv_cache_tokens:
        filled = min(running * each / serving.plan.kv_cache_tokens, 1.0)
        yield "kv_cache_ratio", filled
        yield "kv_cache_fullest_ratio", filled
