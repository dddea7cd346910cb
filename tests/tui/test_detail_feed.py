"""What detail screens ask reaches the source's thread, is answered for the View that is shown, and hides no trouble."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.sample_detail import sample_detail
from support.sample_view import gpu_uuid, sample_view
from support.tui import mounted, text_of

from gpuwatch.clock import FakeClock
from gpuwatch.errors import StoreError
from gpuwatch.tui.source import Feeder
from gpuwatch.view.types import DetailRequest, DetailView, View

SEVEN, TWO = DetailRequest(gpu_uuid(7)), DetailRequest(gpu_uuid(2))


class Source:
    """Builds the sample view, each one a second later; answers requests."""

    def __init__(self) -> None:
        self.built = 0
        self.fail = False
        self.answered: list[tuple[str, int]] = []

    def changed(self) -> bool:
        return True

    def build(self, at_ms: int | None, cells: int) -> View:
        if self.fail:
            raise StoreError("the store is gone", "")
        self.built += 1
        view = sample_view(cells)
        return replace(view, at_ms=view.at_ms + 1000 * self.built)

    def detail(self, request: DetailRequest, view: View) -> DetailView:
        self.answered.append((request.gpu_uuid, view.at_ms))
        return sample_detail(view, request)


class Script(FakeClock):
    """Does something at each wait of the feeder, then stops it."""

    def __init__(self, *steps: Callable[[Feeder], None]) -> None:
        super().__init__()
        self.steps = list(steps)
        self.feeder: Feeder | None = None

    def wait(self, event: threading.Event, seconds: float) -> bool:
        assert self.feeder is not None
        if self.steps:
            self.steps.pop(0)(self.feeder)
        else:
            self.feeder._stop.set()
        return super().wait(event, min(seconds, 0.25))  # a wait may end early


def feed(source: object, *steps: Callable[[Feeder], None]) -> Feeder:
    clock = Script(*steps)
    feeder = Feeder(source, lambda: None, clock)  # type: ignore[arg-type]
    clock.feeder = feeder
    feeder._run()
    return feeder


def nothing(_: Feeder) -> None:
    """Let a quarter of a second pass."""


def test_a_question_is_answered_at_once_for_the_view_that_is_there_and_with_each_new_one() -> None:
    source = Source()
    feeder = feed(source, lambda f: f.ask(SEVEN), nothing, nothing, nothing, nothing, nothing)
    assert source.built == 2
    first = sample_view().at_ms + 1000
    assert source.answered == [(gpu_uuid(7), first), (gpu_uuid(7), first + 1000)]
    assert feeder.detail is not None and feeder.detail.request == SEVEN


def test_only_the_latest_question_is_answered_and_none_costs_nothing() -> None:
    source = Source()
    feed(source, nothing, nothing)
    assert source.answered == []

    def both(feeder: Feeder) -> None:
        feeder.ask(SEVEN)
        feeder.ask(TWO)

    feed(source, both, nothing)
    assert [uuid for uuid, _ in source.answered] == [gpu_uuid(2)]
    source = Source()
    feed(source, lambda f: f.ask(SEVEN), lambda f: f.ask(None), *[nothing] * 6)
    assert len(source.answered) == 1


def test_a_paused_picture_still_gets_its_answers_but_no_new_view() -> None:
    source = Source()

    def pause(feeder: Feeder) -> None:
        feeder.paused = True
        feeder.ask(SEVEN)

    feeder = feed(source, pause, *[nothing] * 8)
    assert source.built == 1 and len(source.answered) == 1
    assert feeder.detail is not None and feeder.detail.gpu is not None


def test_an_answer_does_not_hide_that_the_store_is_gone() -> None:
    source = Source()

    def lose(feeder: Feeder) -> None:
        source.fail = True
        feeder.hurry()

    feeder = feed(source, lose, nothing, lambda f: f.ask(SEVEN), nothing)
    latest = feeder.take()
    assert latest is not None and latest[0] is None and latest[1] == "the store is gone"


def test_an_answer_that_fails_is_empty_and_says_why() -> None:
    class Broken(Source):
        def detail(self, request: DetailRequest, view: View) -> DetailView:
            raise StoreError("the file is damaged", "")

    feeder = feed(Broken(), lambda f: f.ask(SEVEN), nothing)
    assert feeder.detail == DetailView(SEVEN)
    latest = feeder.take()
    assert latest is not None and latest[1] == "the file is damaged"


def test_a_source_without_details_leaves_the_charts_empty() -> None:
    class Plain:
        changed, build = Source.changed, Source.build
        built, fail = 0, False

    feeder = feed(Plain(), lambda f: f.ask(SEVEN), nothing)
    assert feeder.detail == DetailView(SEVEN)


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        ([], None),
        (["2"], DetailRequest(gpu_uuid(0), 90, 40)),
        (["2", "full_stop", "z"], DetailRequest(gpu_uuid(1), 90, 960)),
        (["2", "1"], None),
        (["3"], DetailRequest("", 90, 20, (48_213, sample_view().now_ms - 10_032_000))),
    ],
)
def test_each_screen_asks_for_what_it_shows_and_takes_it_back(keys: list[str], asked: DetailRequest | None) -> None:
    async def run() -> DetailRequest | None:
        async with mounted(sample_view()) as (app, pilot):
            questions: list[DetailRequest | None] = [None]
            app.ask = questions.append
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
            return questions[-1]

    assert asyncio.run(run()) == asked


def test_the_answer_is_drawn_when_it_comes() -> None:
    async def run() -> tuple[str, str]:
        async with mounted(sample_view()) as (app, pilot):
            await pilot.press("2")
            await pilot.pause()
            before = text_of(app)
            app.detail = sample_detail(sample_view(), app.screen.request())
            app.repaint()
            await pilot.pause()
            return before, text_of(app)

    before, after = asyncio.run(run())
    assert "reading …" in before and "SM active" not in before
    assert "SM active        87%" in after and "57120 alice train" in after
