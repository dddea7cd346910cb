"""A GPU's day: cells from closed minutes and from the View's strip say the same, sums are the ledger's, nothing unseen is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.story import START, Story

from gpuwatch.names import Bucket, Context, State
from gpuwatch.store.window import Window
from gpuwatch.view.build import build_view
from gpuwatch.view.detail import build_detail, gpu_ledger
from gpuwatch.view.parts import bucket_ms
from gpuwatch.view.strip import state_of_buckets
from gpuwatch.view.types import DayView, DetailRequest

MIDNIGHT = round(START * 1000) - 12 * 60_000
"""The recording begins in the middle of the third cell of five minutes."""
ASKED = DetailRequest(cells=0, cell_seconds=300, day_start_ms=MIDNIGHT)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """GPU 0 is busy for 13 minutes, then held without work for 30; nobody has GPU 1."""
    told = Story(tmp_path_factory.mktemp("day") / "store.db", 2)
    told.close_minutes()
    told.gpus[0].util, told.gpus[0].context = 0.9, Context.PROCESS
    told.run(13 * 60)
    told.gpus[0].util = 0.0
    told.run(30 * 60)
    return told


def days(window: Window, now_ms: int, cells: int = 75) -> tuple[DayView, ...]:
    view = build_view(window, now_ms=now_ms, cells=cells, holder_pid=1)
    return build_detail(window, ASKED, view).days


def open_window(story: Story) -> Window:
    return Window(Path(str(story.writer.path)))


@pytest.mark.parametrize("cells", [45, 75])
def test_cells_have_the_state_that_took_most_and_the_mean_height(story: Story, cells: int) -> None:
    with open_window(story) as window:
        busy, free = days(window, story.now_ms, cells)
    assert len(busy.cells) == 11
    assert [cell.state for cell in busy.cells] == [State.NO_DATA] * 2 + [State.BUSY] * 3 + [State.HELD_IDLE] * 6
    assert [cell.height for cell in busy.cells][:4] == [None, None, pytest.approx(0.9), pytest.approx(0.9)]
    assert [cell.state for cell in free.cells] == [State.NO_DATA] * 2 + [State.FREE] * 9


def test_sums_are_the_ledgers(story: Story) -> None:
    with open_window(story) as window:
        found = days(window, story.now_ms)
        for day in found:
            ledger = gpu_ledger(window, day.gpu_uuid, MIDNIGHT, story.now_ms)
            assert ledger is not None
            whole = bucket_ms(ledger.parts)
            assert (day.held_ms, day.free_ms) == (whole.get(Bucket.HELD_IDLE, 0), whole.get(Bucket.UNALLOCATED, 0))
            assert day.unused_ms == 0
    assert found[0].held_ms == 30 * 60_000
    assert found[1].free_ms == (43 * 60 - 1) * 1000


def test_a_day_that_grows_says_what_one_that_is_read_at_once_says(tmp_path: Path) -> None:
    told = Story(tmp_path / "store.db", 1)
    told.close_minutes()
    told.gpus[0].context = Context.PROCESS
    with open_window(told) as growing:
        for seconds in (400, 900, 61, 301, 11):
            told.run(seconds)
            grown = days(growing, told.now_ms)
    with open_window(told) as fresh:
        assert days(fresh, told.now_ms) == grown


def test_within_ten_seconds_the_same_answer_is_given_again(story: Story) -> None:
    with open_window(story) as window:
        assert days(window, story.now_ms) is days(window, story.now_ms)


def test_nothing_is_known_of_a_day_without_rows(tmp_path: Path) -> None:
    told = Story(tmp_path / "store.db", 1)
    told.gpus[0].util, told.gpus[0].context = None, None
    told.run(1)
    with open_window(told) as window:
        (day,) = days(window, told.now_ms)
    assert {cell.state for cell in day.cells} == {State.NO_DATA}
    assert (day.held_ms, day.unused_ms, day.free_ms) == (None, None, None)


def test_who_does_not_ask_for_days_gets_none(story: Story) -> None:
    with open_window(story) as window:
        view = build_view(window, now_ms=story.now_ms, holder_pid=1)
        assert build_detail(window, DetailRequest(gpu_uuid="GPU-0"), view).days == ()


@pytest.mark.parametrize(
    ("milliseconds", "state"),
    [
        ({Bucket.EFFECTIVE: 30, Bucket.STALLED_SM: 20, Bucket.EMPTY_SM: 10, Bucket.WAIT: 40}, State.BUSY),
        ({Bucket.EFFECTIVE: 30, Bucket.EMPTY_SM: 10, Bucket.WAIT: 60}, State.WAITING),
        ({Bucket.EFFECTIVE: 76, Bucket.THROTTLED: 19, Bucket.WAIT: 5}, State.THROTTLED),
        ({Bucket.EFFECTIVE: 990, Bucket.THROTTLED: 10}, State.BUSY),
        ({Bucket.HELD_IDLE: 51, Bucket.UNALLOCATED: 49}, State.HELD_IDLE),
        ({Bucket.UNAVAILABLE: 51, Bucket.BUSY_UNKNOWN: 49}, State.UNAVAILABLE),
        ({}, State.NO_DATA),
    ],
)
def test_the_parts_of_a_busy_second_count_together(milliseconds: dict[Bucket, int], state: State) -> None:
    assert state_of_buckets(dict(milliseconds)) is state
