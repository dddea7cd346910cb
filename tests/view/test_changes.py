"""The view while things change under it: GPUs that come, go, are cut or fall silent, and a clock that is set back."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest
from support.story import START, Gpu1, Story, gpu

from gpuwatch.names import Bucket, Context, State
from gpuwatch.store.window import Window
from gpuwatch.view.build import build_view
from gpuwatch.view.detail import gpu_ledger
from gpuwatch.view.parts import bucket_ms
from gpuwatch.view.types import View


def view_of(story: Story, window: Window | None = None, at_ms: int | None = None, **options: object) -> View:
    if window is None:
        with Window(Path(str(story.writer.path))) as opened:
            return view_of(story, opened, at_ms, **options)
    settings: dict[str, object] = {"now_ms": story.now_ms, "tz": UTC, "holder_pid": 7}
    return build_view(window, at_ms, **(settings | options))  # type: ignore[arg-type]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path / "store.db", 3)


@pytest.mark.parametrize("minutes", [2, 5, 14, 19])
def test_a_gpu_that_fell_silent_while_the_host_goes_on_is_shown_as_it_was(story: Story, minutes: int) -> None:
    """The driver went away minutes ago; a view that begins now shows what one that was there all the time shows."""
    story.close_minutes()
    story.gpus[0].util = 0.9
    story.run(200)
    with Window(Path(str(story.writer.path))) as window:
        view_of(story, window)
        entities, story.entities = story.entities, []
        story.run(60 * minutes)
        for view in (view_of(story, window), view_of(story)):
            assert [gpu.state for gpu in view.gpus] == [State.NO_DATA] * 3
            assert [gpu.waste_gpus for gpu in view.gpus] == [None] * 3
            if minutes < 17:
                assert [gpu.age_seconds for gpu in view.gpus] == [60.0 * minutes] * 3
                assert [gpu.utilization_ratio for gpu in view.gpus] == [0.9, 0.0, 0.0]
    assert len(entities) == 3


def test_the_quiet_run_of_a_gpu_that_is_no_more_has_ended(story: Story) -> None:
    """Nothing will follow that could name it: it was a wait, as the recorder books it."""
    story.gpus[0].util, story.gpus[2].context = 0.9, Context.PROCESS
    with Window(Path(str(story.writer.path))) as window:
        view_of(story.run(61), window)
        story.entities.pop()
        at_ms = story.now_ms
        for seconds, name in ((10, Bucket.QUIET), (10, Bucket.WAIT)):
            story.run(seconds)
            shown = gpu_ledger(window, "GPU-2", 0, view_of(story, window).at_ms)
            assert shown is not None
            assert bucket_ms(shown.parts)[name] == 60_000
    past = view_of(story, at_ms=at_ms).ledger
    assert past is not None
    assert bucket_ms(past.parts)[Bucket.WAIT] >= 60_000


def test_a_board_that_is_cut_into_instances_keeps_only_the_rest(tmp_path: Path) -> None:
    story = Story(tmp_path / "store.db", 1)
    with Window(Path(str(story.writer.path))) as window:
        story.run(21)
        whole = view_of(story, window)
        story.entities += [gpu(10 + i, parent_uuid="GPU-0", mig_profile="3g.40gb", compute_fraction=3 / 7) for i in range(2)]
        story.gpus += [Gpu1(), Gpu1()]
        story.tell_again()
        story.run(21)
        cut = view_of(story, window)
    assert whole.ledger is not None
    assert cut.ledger is not None
    assert whole.ledger.capacity_ms == 20_000
    assert len(cut.gpus) == 3
    assert cut.ledger.capacity_ms == pytest.approx(41_000, abs=3)


def test_the_ledger_of_a_board_is_whole_however_often_it_is_cut(tmp_path: Path) -> None:
    """The view that grew with the store equals a fresh one, and neither forgets the instances that are no more."""
    story = Story(tmp_path / "store.db", 1)
    story.close_minutes()
    story.gpus[0].util, story.gpus[0].context = 1.0, Context.PROCESS
    whole, slices = story.entities, [gpu(10 + i, parent_uuid="GPU-0", compute_fraction=3 / 7) for i in range(2)]
    with Window(Path(str(story.writer.path))) as window:
        for cut in (False, True, False, False):
            story.entities = whole + slices if cut else whole
            story.gpus = [story.gpus[0], *(Gpu1(util=1.0, context=Context.PROCESS) for _ in story.entities[1:])]
            story.tell_again()
            story.run(120)
            grown, fresh = view_of(story, window).ledger, view_of(story).ledger
            assert grown is not None
            assert fresh is not None
            assert grown.capacity_ms == fresh.capacity_ms == round(story.clock.time() - START - 1) * 1000
            for bucket, ms in bucket_ms(fresh.parts).items():
                assert bucket_ms(grown.parts)[bucket] == pytest.approx(ms, abs=20)
        one = gpu_ledger(window, "GPU-0", round(START * 1000), story.now_ms)
    assert bucket_ms(fresh.parts)[Bucket.BUSY_UNKNOWN] == pytest.approx(
        479_000 - 6000 / 7, abs=20
    )  # the instances begin with a second of nothing
    assert one is not None
    assert one.capacity_ms == pytest.approx(360_000 + 120_000 / 7, abs=1010)


@pytest.mark.parametrize("step", [-3600, -40, -3, -0.7])
def test_a_clock_that_is_set_back_neither_freezes_nor_empties_the_view(story: Story, step: float) -> None:
    story.gpus[0].context = story.gpus[1].context = Context.PROCESS
    story.gpus[0].util = 0.9
    story.run(100)
    with Window(Path(str(story.writer.path))) as window:
        assert view_of(story, window).gpus[0].state is State.BUSY
        story.gap(0)
        story.clock.advance(0, step=step)
        story.writer.begin_session(story.now_ms, 1000, "boot")
        story.gpus[0].util, story.gpus[1].util = 0.0, 0.9
        for seconds in (15, 30):
            story.run(seconds)
            for view in (view_of(story, window), view_of(story)):
                assert [gpu.state for gpu in view.gpus] == [State.QUIET, State.BUSY, State.FREE]
                assert [gpu.age_seconds for gpu in view.gpus] == [0.0] * 3
                assert view.ledger is not None
                booked = bucket_ms(view.ledger.parts)
                assert sum(booked.values()) == view.ledger.capacity_ms
                assert booked[Bucket.QUIET] >= (seconds - 4) * 1000


def test_a_short_slip_of_the_clock_leaves_the_time_before_it_alone(story: Story) -> None:
    """Ten seconds at a minute ago and back: only those ten are told twice."""
    story.run(100)
    for step in (-60, 61):
        story.gap(0)
        story.clock.advance(0, step=step)
        story.writer.begin_session(story.now_ms, 1000, "boot")
        story.run(10)
    view = view_of(story)
    assert view.ledger is not None
    assert 3 * 95_000 <= bucket_ms(view.ledger.parts)[Bucket.UNALLOCATED] <= 3 * 110_000


def test_a_gpu_that_comes_later_counts_from_then_on(story: Story) -> None:
    story.run(100)
    story.entities.append(gpu(3))
    story.gpus.append(Gpu1())
    story.tell_again()
    story.run(30)
    view = view_of(story)
    assert view.ledger is not None
    assert view.ledger.capacity_ms == 3 * 129_000 + 29_000
    assert bucket_ms(view.ledger.parts) == {Bucket.UNALLOCATED: 3 * 129_000 + 29_000}
