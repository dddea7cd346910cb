"""One address of a server that is asked: what is known of it, what its counters have grown by, and what state it is in.

All but the asking itself happens in the collector's own thread. A target belongs to one process (by its start), whose address may change:
a restarted server is another target, whose first reading tells no growth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpuwatch.clock import Clock
from gpuwatch.collectors.inference import pace
from gpuwatch.collectors.inference.buckets import Histograms, Waited
from gpuwatch.collectors.inference.counters import SHORTEST_SECONDS, Counters, restarted
from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.http import TOTAL_SECONDS, Connection
from gpuwatch.collectors.inference.look import AUTH, OFF, Look, all_said, look
from gpuwatch.collectors.inference.reading import Reader, Reading
from gpuwatch.collectors.inference.recognise import reader_of
from gpuwatch.dataclass import dataclass, replace
from gpuwatch.model import FieldSource
from gpuwatch.names import Latency, ServerState

YOUNG_SECONDS = 600.0
"""So long a server may take from its start until it answers."""
EMPTY_SECONDS = 30.0
"""Between two looks at a page that has no figures yet: some servers have none before their first request."""
BREAK_SECONDS, BREAK_INTERVALS = 15.0, 5
_NEVER_NS = 2**63
_NS = 1_000_000_000
_STARTS = 8


@dataclass(frozen=True, slots=True)
class Told:
    """What one good look told: growth since the look before, ``None`` where it is not known, and what is so now."""

    window_seconds: float | None
    counts: Mapping[str, float | None]
    waits: Mapping[Latency, Waited]
    gauges: Mapping[str, float]
    facts: Mapping[str, str | int]
    sources: Mapping[str, FieldSource]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a target is and how it is asked. ``path`` is the one that a configured URL names, ``key`` what the user gave for it."""

    host: str
    port: int
    tls: bool = False
    path: str = ""
    key: str = ""
    key_name: str = ""
    """The environment variable that ``key`` comes from."""
    elsewhere: bool = False
    """It belongs to no process that is seen here."""

    @property
    def url(self) -> str:
        """Without anything secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' * self.tls}://{host}:{self.port}"


class Target:
    """See the module's docstring. ``born_ms`` is the start of its process, 0 where that is not known; ``allowed`` is asked before
    each new connection whether the address is still that process's."""

    def __init__(
        self, address: Address, engine: Engine | None, clock: Clock, *, born_ms: int = 0, allowed: Callable[[], bool] = lambda: True
    ) -> None:
        self.address, self.engine = address, engine
        self.state, self.detail, self.hint = ServerState.STARTING, "", ""
        self.cost = pace.Cost()
        self.asked_seconds: float | None = None
        self.page_bytes: int | None = None
        self.told: Told | None = None
        """The last good look."""
        self.failures = 0
        self.next_ns = 0
        self.in_flight = False
        self.heard = False
        """Some look at it is over."""
        self._clock, self._born_ms = clock, born_ms
        self._connection = self._connected(allowed)
        self._reader: Reader = _Any(address.path) if engine is None else reader_of(engine, address.path)
        self._begin()

    def _begin(self) -> None:
        self._counters, self._histograms = Counters(), Histograms()
        self._last_ns: int | None = None
        self._last_wall = 0.0
        self._start: float | None = None
        self._starts: list[float] = []
        self._turns = False

    def begins_after(self, last_ns: int, last_wall: float) -> None:
        """The server's other addresses were asked then, and this process began later: its first reading has counted from 0 since."""
        if self._born_ms >= last_wall * 1000:
            self._last_ns, self._last_wall = last_ns, last_wall

    def _connected(self, allowed: Callable[[], bool]) -> Connection:
        address, engine = self.address, self.engine
        return Connection(
            address.host,
            address.port,
            self._clock,
            tls=address.tls,
            key=address.key,
            total_seconds=engine.answer_seconds if engine else TOTAL_SECONDS,
            keep=engine.keep_alive if engine else False,
            allowed=allowed,
        )

    def move(self, address: Address, allowed: Callable[[], bool]) -> None:
        """The same process is to be asked elsewhere: what it counted before still counts."""
        before, self.address = self._connection, address
        self._connection = self._connected(allowed)
        self.failures = self.next_ns = 0
        if not self.in_flight:
            before.close()

    def ask(self) -> Look:
        """In a worker's thread: look once."""
        connection = self._connection
        found = look(self._reader, connection, self._clock)
        if connection is not self._connection:
            connection.close()
        return found

    def allow(self, allowed: Callable[[], bool]) -> None:
        """Ask this from now on before each new connection."""
        self._connection.allowed = allowed

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    # ----------------------------------------------------------------------------------------------------- what came of it

    def take(self, found: Look, interval_seconds: float) -> Told | None:
        """Learn from a look; what it told, or ``None`` where it was of no use. The next one is for the caller to plan, unless
        ``next_ns`` was set to later."""
        self.heard = True
        if found.answers and found.answers[0].status:
            self.cost.add(max(found.asked_seconds, found.read_seconds))
        reading = found.reading
        if reading is None:
            self._refused(found)
            return None
        if not reading.recognised or found.other not in (None, self.engine):
            self._foreign(found)
            return None
        self.failures = 0
        self.asked_seconds, self.page_bytes = found.asked_seconds, found.bytes
        self._say(ServerState.UP, reading.detail, reading.hint)
        told = self._growth(reading, found.middle_ns, interval_seconds)
        self.told = told or self.told
        return told

    def _growth(self, reading: Reading, middle_ns: int, interval_seconds: float) -> Told | None:
        last_ns = self._last_ns
        window = None if last_ns is None else (middle_ns - last_ns) / _NS
        if window is not None and window < SHORTEST_SECONDS:
            return None
        if window is not None and window > max(BREAK_INTERVALS * interval_seconds, BREAK_SECONDS):
            window = None
        again = restarted(self._start, reading.start_seconds, self._starts, self._last_wall)
        self._turns = self._turns or (again is None and reading.start_seconds in self._starts)
        if self._turns:
            self.detail = "several servers answer here by turns: what they count cannot be told"
        if again is None or window is None:
            window = None
            self._counters.forget()
            self._histograms.forget()
        from_zero = window is not None and (again is True or self.told is None)
        counts = self._counters.next(reading.counters, from_zero=from_zero)
        waits = self._histograms.next(reading, from_zero=from_zero)
        for name, amount in reading.amounts.items():
            counts[name] = amount if window is not None else None
        self._last_ns, self._last_wall = middle_ns, self._clock.time()
        if reading.start_seconds is not None and reading.start_seconds != self._start:
            self._start = reading.start_seconds
            self._starts = [*self._starts[1 - _STARTS :], self._start]
        return Told(window, counts, waits, reading.gauges, reading.facts, reading.sources)

    def _refused(self, found: Look) -> None:
        engine = self.engine
        if found.too_large:
            self._say(ServerState.TOO_LARGE, found.error)
            self._later(pace.SELDOM_SECONDS)
        elif all_said(found.answers, OFF):
            self._say(ServerState.METRICS_OFF, found.error, engine.metrics_off if engine else "")
            self._later(pace.SELDOM_SECONDS)
        elif all_said(found.answers, (*AUTH, *OFF)):
            self._needs_key(found)
        else:
            self._failed(found)

    def _needs_key(self, found: Look) -> None:
        if self.address.key:
            hint = f"the key in {self.address.key_name} is not the one that it wants"
        elif self.address.key_name:
            hint = f"set the variable {self.address.key_name} for the recorder and start it again"
        else:
            hint = f'under [[inference.target]] write url = "{self.address.url}" and token_env = "VARIABLE THAT HOLDS THE KEY"'
        self._say(ServerState.AUTH_NEEDED, found.error, hint)
        self._give_up()

    def _failed(self, found: Look) -> None:
        self.failures += 1
        began = found.answers[0] if found.answers else None
        starting = (began is not None and (began.refused or began.status == 503)) and self._young
        if starting and self.told is None:
            self.failures = 0
            self._say(ServerState.STARTING, found.error)
        elif self.told is None or self.failures >= pace.PATIENCE:
            self._say(ServerState.UNREACHABLE, found.error)

    @property
    def in_doubt(self) -> bool:
        """It did not answer just now, and may well do so at the next look, which then tells of all the time since its last answer."""
        return self.told is not None and 0 < self.failures < pace.PATIENCE

    @property
    def _young(self) -> bool:
        return self._born_ms > 0 and self._clock.time() * 1000 - self._born_ms < YOUNG_SECONDS * 1000

    def _foreign(self, found: Look) -> None:
        """Nothing on its page is of the engine that it was taken for. One that told something may have been replaced by another, which
        is believed once it has said so several times."""
        engine, other = self.engine, found.other
        if self.told is not None and (other is None or other is engine or self.failures + 1 < pace.PATIENCE):
            self._failed(replace(found, error="what answers is not its page of metrics"))
        elif other is not None and other is not engine:
            self.engine, self._reader = other, reader_of(other, self.address.path)
            self.told, self.failures = None, 0
            self._begin()
        elif engine is not None and found.is_page:
            self._say(ServerState.METRICS_OFF, f"its page has no figures of {engine.title}", engine.metrics_off)
            self._later(EMPTY_SECONDS)
        else:
            self._say(ServerState.FOREIGN_PAGE, "what answers is not a page of metrics that gpuwatch knows")
            self._give_up()

    def _give_up(self) -> None:
        """Nothing changes before the process does, which cannot be seen of a server elsewhere."""
        if self.address.elsewhere:
            self._later(pace.SELDOM_SECONDS)
        else:
            self.next_ns = _NEVER_NS

    def _say(self, state: ServerState, detail: str = "", hint: str = "") -> None:
        self.state, self.detail, self.hint = state, detail, hint

    def _later(self, seconds: float) -> None:
        self.next_ns = self._clock.monotonic_ns() + round(seconds * _NS)


class _Any:
    """Stands in for a reader until a page tells which engine it is of."""

    def __init__(self, path: str) -> None:
        self._path = path or "/metrics"

    def paths(self, now_ns: int) -> tuple[str, ...]:
        """The one that all have."""
        return (self._path,)

    def read(self, answers: object, now_ns: int) -> Reading:
        """Not recognised yet."""
        return Reading(recognised=False)
