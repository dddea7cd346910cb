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
    """Stops the feeder after so many waits."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.waits = waits
        self.feeder: Feeder | None = None

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits -= 1
        if self.waits <= 0 and self.feeder is not None:
            self.feeder._stop.set()
        return super().wait(event, seconds)


def feed(source: Source, waits: int, **settings: object) -> tuple[Feeder, list[int]]:
    """Run the feeder's loop in this thread for ``waits`` quarter seconds."""
    woken: list[int] = []
    clock = Stopping(waits)
    feeder = Feeder(source, lambda: woken.append(1), clock)
    clock.feeder = feeder
    for name, value in settings.items():
        setattr(feeder, name, value)
    feeder._run()
    return feeder, woken


def test_one_view_a_second_and_one_wake_until_it_is_taken() -> None:
    source = Source()
    feeder, woken = feed(source, 40)
    assert len(source.builds) == 10
    assert woken == [1]
    assert feeder.take() == (VIEW, "")
    assert feeder.take() is None


def test_without_news_ages_still_move() -> None:
    source = Source(news=False)
    feed(source, 40)
    assert 8 <= len(source.builds) <= 10


def test_a_longer_interval_builds_less_and_a_pause_nothing() -> None:
    source = Source()
    feed(source, 40, interval=5.0)
    assert len(source.builds) == 2
    source = Source()
    feed(source, 40, paused=True)
    assert len(source.builds) == 1


def test_a_source_that_cannot_says_why() -> None:
    source = Source()
    source.fail = True
    feeder, _ = feed(source, 4)
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
