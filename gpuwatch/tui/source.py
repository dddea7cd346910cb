"""Where Views come from: a daemon thread that builds them off the event loop and keeps only the latest.

The thread never waits for the screen and the screen never waits for the thread: one slot, one wake-up. A source that hangs holds
neither a key nor the exit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from gpuwatch.clock import Clock, SystemClock
from gpuwatch.errors import GpuwatchError
from gpuwatch.view.types import DetailRequest, DetailView, View

POLL_SECONDS = 0.12
"""Between two looks for news that is due."""
EARLY_SECONDS, EARLIEST_SECONDS = 0.03, 0.12
"""News is first looked for so early. Found at the first look it may have waited for long: then earlier the next time."""
LATE_SECONDS = 0.25
"""Without any news the picture comes so late."""
LONGEST_SECONDS = 1.0
"""A wait that nobody ends: a shorter interval is heeded within it."""
STARTING_SECONDS, STARTING_POLLS = 0.05, 100
"""Until the first values are there (or five seconds have passed) news is looked for more often, and taken at once."""


class ViewSource(Protocol):
    """What the composition root hands to the screen."""

    def changed(self) -> bool:
        """Whether the store may hold something new since the last ``build``; cheap, asked when news is due, a few times a second."""
        ...

    def build(self, at_ms: int | None, cells: int) -> View:
        """The View at ``at_ms`` (``None``: now) with strips of ``cells`` cells; raises ``GpuwatchError`` when it cannot."""
        ...


class DetailSource(ViewSource, Protocol):
    """A source that also answers detail screens; one that does not leaves their charts empty."""

    def detail(self, request: DetailRequest, view: View) -> DetailView:
        """What ``request`` asks at the instant of ``view``."""
        ...


def has_values(view: View) -> bool:
    """Whether some GPU has something to say."""
    return any(gpu.power_watts is not None or gpu.utilization_ratio is not None for gpu in view.gpus)


class Feeder:
    """Polls a source and holds the latest View. ``wake`` is called from the thread, at most once until ``take``."""

    def __init__(self, source: ViewSource, wake: Callable[[], None], clock: Clock | None = None) -> None:
        self.source = source
        self.clock = clock or SystemClock()
        self.interval = 1.0
        self.cells = 45
        self.paused = False
        self.at_ms: int | None = None
        """The instant that is shown; ``None``: the end of the recording, as it grows."""
        self.request: DetailRequest | None = None
        self.detail: DetailView | None = None
        """The latest answer to a request; replaced as a whole, and before the View that it belongs to is offered."""
        self._view: View | None = None
        self.offered = threading.Event()
        """Set whenever there is something to take; whoever waits for it clears it."""
        self._starting = STARTING_POLLS
        self._early = EARLY_SECONDS
        self._hurried = False
        self._wake = wake
        self._lock = threading.Lock()
        self._latest: tuple[View | None, str] | None = None
        self._told = False
        self._now = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpuwatch-view", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it is never waited for."""
        self._stop.set()
        self._now.set()

    def hurry(self) -> None:
        """Build a View at the next chance (other cells, end of a pause, a retry)."""
        self._hurried = True
        self._now.set()

    def go(self, at_ms: int | None) -> None:
        """Show an instant (``None``: the end of the recording)."""
        self.at_ms = at_ms
        self.hurry()

    def ask(self, request: DetailRequest | None) -> None:
        """Answer ``request`` with every View from now on, and once at the next chance for the latest View."""
        if request != self.request:
            self.request = request
            self._now.set()

    def take(self) -> tuple[View | None, str] | None:
        """The latest View (or ``None`` with the reason why there is none) since the last call."""
        with self._lock:
            latest, self._latest, self._told = self._latest, None, False
        return latest

    def peek(self) -> tuple[View | None, str] | None:
        """What ``take`` would return, left where it is."""
        with self._lock:
            return self._latest

    def _run(self) -> None:
        last_ns: int | None = None
        while not self._stop.is_set():
            now_ns = self.clock.monotonic_ns()
            waited = None if last_ns is None else (now_ns - last_ns) / 1e9
            self._now.clear()
            if self._due(waited):
                self._hurried = False
                self._offer(*self._build())
                last_ns = now_ns
            elif self._view is not None and self._unanswered():
                self._offer(self._view, self._answer(self._view))
            self._starting = max(0, self._starting - 1)
            self.clock.wait(self._now, self._pause(last_ns))

    def _pause(self, last_ns: int | None) -> float:
        """Seconds until there may be something to do: each look wakes a sleeping processor, so none is taken in vain."""
        if self._starting:
            return STARTING_SECONDS
        if self.paused or self.at_ms is not None or last_ns is None:
            return LONGEST_SECONDS
        left = self.interval - self._early - (self.clock.monotonic_ns() - last_ns) / 1e9
        return min(left, LONGEST_SECONDS) if left > 0 else POLL_SECONDS

    def _due(self, waited: float | None) -> bool:
        """A new picture: the first, one asked for, one with news; without news after a full interval, since ages move."""
        if waited is None or self._hurried:
            return True
        if self.paused or self.at_ms is not None:  # an instant of the past stays as it is
            return False
        if self._starting:
            return waited >= self.interval or self._news()
        if waited < self.interval - self._early:
            return False
        if waited >= self.interval + LATE_SECONDS:
            return True
        found = self._news()
        self._early = min(1.4 * self._early, self.interval / 4, EARLIEST_SECONDS) if found else EARLY_SECONDS
        return found

    def _news(self) -> bool:
        try:
            return self.source.changed()
        except GpuwatchError:
            return True  # build() will say why

    def _build(self) -> tuple[View | None, str]:
        try:
            self._view = self.source.build(self.at_ms, self.cells)
        except GpuwatchError as error:
            self._view = None  # so that no answer about it hides what is wrong now
            return None, str(error)
        if has_values(self._view):
            self._starting = 0
        return self._view, self._answer(self._view)

    def _unanswered(self) -> bool:
        return self.request is not None and (self.detail is None or self.detail.request != self.request)

    def _answer(self, view: View) -> str:
        """Answer the request, if there is one; returns why that failed, or nothing."""
        request, answer = self.request, getattr(self.source, "detail", None)
        if request is None:
            return ""
        self.detail = DetailView(request)
        try:
            if answer is not None:
                self.detail = answer(request, view)
        except GpuwatchError as error:
            return str(error)
        return ""

    def _offer(self, view: View | None, problem: str) -> None:
        with self._lock:
            self._latest = (view, problem)
            tell, self._told = not self._told, True
        self.offered.set()
        if tell and not self._stop.is_set():
            self._wake()
