"""The feeder: one slot, one wake-up, a hung source that holds nothing."""

from __future__ import annotations

import threading

from support.sample_view import sample_view

from gpuwatch.clock import FakeClock
from gpuwatch.errors import StoreError
from gpuwatch.tui.options import tier_of
from gpuwatch.tui.source import Feeder
from gpuwatch.view.types import View

VIEW = sample_view()


class Source:
    """Counts its builds; ``news`` answers ``changed``."""

    def __init__(self, news: bool = True) -> None:
        self.news = news
        self.builds: list[int] = []
        self.fail = False

    def changed(self) -> bool:
        return self.news

    def build(self, at_ms: int | None, cells: int) -> View:
        if self.fail:
            raise StoreError("the store is gone", "gpuwatch db check")
        self.builds.append(cells)
        return VIEW


class Stopping(FakeClock):
    """Stops the feeder after so many seconds; counts its waits."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.until_ns = self.mono_ns + seconds * 1e9
        self.waits = 0
        self.feeder: Feeder | None = None

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits += 1
        found = super().wait(event, seconds)
        if self.mono_ns >= self.until_ns and self.feeder is not None:
            self.feeder._stop.set()
        return found


def feed(source: Source, seconds: float, **settings: object) -> tuple[Feeder, list[int]]:
    """Run the feeder's loop in this thread for so many seconds."""
    woken: list[int] = []
    clock = Stopping(seconds)
    feeder = Feeder(source, lambda: woken.append(1), clock)
    clock.feeder = feeder
    for name, value in settings.items():
        setattr(feeder, name, value)
    feeder._run()
    return feeder, woken


def test_one_view_a_second_and_one_wake_until_it_is_taken() -> None:
    source = Source()
    feeder, woken = feed(source, 10)
    assert 10 <= len(source.builds) <= 12
    assert woken == [1]
    assert feeder.take() == (VIEW, "")
    assert feeder.take() is None


def test_without_news_ages_still_move() -> None:
    source = Source(news=False)
    feed(source, 10)
    assert 8 <= len(source.builds) <= 10


class Recorder(Source):
    """Has news once a second, 0.3 s after the full one; remembers how late each was looked for."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(news=False)
        self.clock = clock
        self.seen = -1
        self.asked = 0
        self.lateness: list[float] = []

    def changed(self) -> bool:
        self.asked += 1
        second, late = divmod(self.clock.mono_ns / 1e9 - 0.3, 1)
        fresh = second != self.seen
        self.seen = second
        if fresh:
            self.lateness.append(late)
        return fresh


def test_the_feeder_keeps_step_with_the_recorder_and_seldom_looks_in_vain() -> None:
    clock = Stopping(60)
    source = Recorder(clock)
    clock.feeder = feeder = Feeder(source, lambda: None, clock)
    feeder._starting = 0
    feeder._run()
    assert 59 <= len(source.builds) <= 62
    assert max(source.lateness[10:]) <= 0.13
    assert source.asked <= 120
    assert clock.waits <= 130


def test_a_longer_interval_builds_less_and_a_pause_nothing() -> None:
    source = Source()
    feed(source, 10, interval=5.0)
    assert 2 <= len(source.builds) <= 3
    source = Source()
    feed(source, 10, paused=True)
    assert len(source.builds) == 1


def test_a_source_that_cannot_says_why() -> None:
    source = Source()
    source.fail = True
    feeder, _ = feed(source, 1)
    assert feeder.take() == (None, "the store is gone (gpuwatch db check)")


def test_a_hung_source_does_not_hold_the_program() -> None:
    hang = threading.Event()

    class Hung(Source):
        def build(self, at_ms: int | None, cells: int) -> View:
            hang.wait()
            return VIEW

    feeder = Feeder(Hung(), lambda: None)
    feeder.start()
    feeder.stop()
    assert feeder._thread.daemon
    assert feeder.take() is None
    hang.set()


def test_tiers_of_terminals() -> None:
    assert tier_of("auto", {"COLORTERM": "truecolor", "TERM": "xterm"}) == "truecolor"
    assert tier_of("auto", {"TERM": "screen-256color"}) == "256"
    assert tier_of("auto", {"TERM": "linux"}) == "16"
    assert tier_of("auto", {"TERM": "linux", "NO_COLOR": "1"}) == "none"
    assert tier_of("auto", {"TERM": "linux", "NO_COLOR": ""}) == "16"
    assert tier_of("256", {"NO_COLOR": "1"}) == "256"
