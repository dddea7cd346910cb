"""One collector's life: open, collect, fail, back off, open again. It knows no thread; whoever calls ``step`` may block in it."""

from __future__ import annotations

import logging

from gpuwatch import plugin
from gpuwatch.clock import Clock
from gpuwatch.dataclass import dataclass
from gpuwatch.errors import GpuwatchError, Unavailable
from gpuwatch.model import Batch
from gpuwatch.plugin import Collector, CollectorContext
from gpuwatch.store.rows import SourceState
from gpuwatch.text import clean

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
_STALLED_PERIODS, _STALLED_SECONDS = 3, 3.0
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one call brought: a batch, or ``None`` when the source is down.

    ``grid`` is the unix second it was called for, ``late`` how many seconds after that it was there.
    """

    name: str
    grid: float
    batch: Batch | None
    late: float = 0.0


class Source:
    """A collector with its state. ``state`` may be read from any thread; ``step`` and ``close`` belong to one."""

    def __init__(self, collector: Collector, clock: Clock, logger: logging.Logger | None = None) -> None:
        self.name = collector.name
        self.interval = max(1.0, float(collector.interval_seconds))
        self.follows = bool(getattr(collector, "follows", False))
        """It goes by what other collectors find at the same tick."""
        self._collector = collector
        self._clock = clock
        self._log = logger or logging.getLogger("gpuwatch.recorder")
        self._detail = logging.getLogger(f"gpuwatch.collectors.{self.name}")
        self._open = False
        self._pause = 0.0
        self._retry_ns = 0
        self._busy_since_ns = 0
        self._told = ("off", "", "")
        self._last_ok_ms: int | None = None

    def step(self, grid: float) -> Delivery:
        """Open if need be and read once for the grid second ``grid``. Never raises for what a collector does."""
        now_ns = self._clock.monotonic_ns()
        if not self._open and now_ns < self._retry_ns:
            return Delivery(self.name, grid, None)
        self._busy_since_ns = now_ns
        try:
            if not self._open:
                self._collector.open()
                self._open = True
            batch = self._collector.collect(grid)
        except Exception as error:  # noqa: BLE001 - the border to strangers' code: one source fails, all others go on
            self._failed(error)
            return Delivery(self.name, grid, None)
        finally:
            self._busy_since_ns = 0
        self._pause = 0.0
        self._detail.debug("%d: %d driver calls in %.1f ms", batch.t, batch.driver_calls, batch.driver_ns / 1e6)
        if batch.error is None:
            self._told = ("ok", "", "")
            self._last_ok_ms = round(grid * 1000)
        else:
            self._told = ("error", clean(batch.error), clean(batch.hint or ""))
        return Delivery(self.name, grid, batch, self._clock.time() - grid)

    def _failed(self, error: Exception) -> None:
        """Close it and try again after 1, 2, 4 … 60 seconds; a source that never worked here is off, not broken."""
        self._pause = min(_LONGEST_PAUSE_SECONDS, self._pause * 2 or _FIRST_PAUSE_SECONDS)
        self._retry_ns = self._clock.monotonic_ns() + round(self._pause * _NS)
        if isinstance(error, GpuwatchError):
            detail, hint = error.message, error.hint
        else:
            detail, hint = f"{type(error).__name__}: {error}", ""
        state = "off" if isinstance(error, Unavailable) and self._last_ok_ms is None else "error"
        told = (state, clean(detail), clean(hint))
        if told != self._told:
            self._log.warning("collector %s: %s", self.name, told[1], exc_info=not isinstance(error, GpuwatchError))
        self._told = told
        self.close()

    def close(self) -> None:
        """Close the collector if it is open; whatever it does then is logged only."""
        if not self._open:
            return
        self._open = False
        try:
            self._collector.close()
        except Exception:  # noqa: BLE001 - the same border
            self._log.warning("collector %s: closing failed", self.name, exc_info=True)

    @property
    def busy(self) -> bool:
        """A call is under way."""
        return self._busy_since_ns != 0

    @property
    def stalled(self) -> bool:
        """A call has not come back for three periods (at least three seconds)."""
        return self._stalled_seconds() > 0

    def _stalled_seconds(self) -> float:
        since = self._busy_since_ns
        busy = (self._clock.monotonic_ns() - since) / _NS if since else 0.0
        return busy if busy > max(_STALLED_SECONDS, _STALLED_PERIODS * self.interval) else 0.0

    @property
    def state(self) -> SourceState:
        """How it is doing now."""
        if self._stalled_seconds():
            return SourceState(self.name, "stalled", self._last_ok_ms, "a call to it does not come back; its values are old", "")
        return SourceState(self.name, self._told[0], self._last_ok_ms, *self._told[1:])

    def due(self, grid: float) -> bool:
        """Whether the grid second is one of this source's."""
        return grid % self.interval < 1e-6


class BrokenPlugin:
    """Stands in for a collector that could not even be loaded: its ``open`` says so each time."""

    interval_seconds = 60.0

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self._error = error

    def open(self) -> None:
        """Raises :class:`GpuwatchError` with the reason."""
        raise GpuwatchError(
            f"collector {self.name} cannot be loaded: {type(self._error).__name__}: {self._error}",
            "reinstall the package that provides it",
        )

    def collect(self, now: float) -> Batch:
        """Never reached: ``open`` always fails."""
        raise GpuwatchError(self.name)

    def close(self) -> None:
        """Nothing to close."""


def load_collectors(names: list[str], contexts: dict[str, CollectorContext]) -> list[Collector]:
    """The collectors behind these names; one that cannot be loaded is replaced by one whose state says why."""
    found: list[Collector] = []
    for name in names:
        try:
            found.append(plugin.load(name)(contexts[name]))
        except Exception as error:
            logging.getLogger("gpuwatch.recorder").warning("collector %s cannot be loaded", name, exc_info=True)
            found.append(BrokenPlugin(name, error))
    return found
