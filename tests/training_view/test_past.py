"""A training at an instant is the same whether it was read live, row by row, at once, or long after out of sealed hours."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest
from support.archived import FIRST_BORDER_MS, HOUR_MS, seal
from support.story import START
from support.trained import Told, TrainedStory, Trains, even, held, trained_story, view_of

from gpuwatch.dataclass import replace
from gpuwatch.names import Latency, Phase
from gpuwatch.store.window import Window
from gpuwatch.view.build import build_view
from gpuwatch.view.training_types import TrainingView

END_MS = FIRST_BORDER_MS + HOUR_MS + 120_000
BOUNDS = [(90_000, 110_000), (900_000, 1_000_000), (1_000_000, 1_100_000), (1_100_000, 2_000_000)]


def lively(pid: int, rank: int, seed: int) -> Trains:
    """A rank whose rows look like those of a real one."""
    chance = random.Random(seed)
    told: list[Told] = []
    for _ in range(2200):
        steps = float(chance.randrange(4))
        told.append(
            even(steps, 512.0, data_wait_seconds=chance.random() / 5)
            | {
                "loss": chance.random() if chance.random() < 0.2 else None,
                "checkpoint_seconds": float(chance.random() < 0.02),
                "eval_seconds": 0.0,
                "other_seconds": chance.random() / 10,
                "counted_tokens_total": 64.0,
                "nonpad_tokens_total": float(chance.randrange(64)),
                "attached_seconds": 0.9 + chance.random() / 5,
                "allocated_bytes": float(chance.randrange(8) * 1024**3),
                "phase": float(chance.randrange(1, 9)),
            }
        )
    counts = [{chance.choice(BOUNDS): chance.randrange(1, 5)} for _ in range(2200)]
    facts = {"world": 2, "data_parallel": 2, "data_parallel_source": "assumed", "gpu_uuid": f"GPU-{rank}"}
    return Trains(pid, rank, lambda s: told[s], 100, facts, lambda s: {Latency.STEP: counts[s], Latency.STEP_DATA: counts[-s]})


def told(story: TrainedStory, window: Window, at_ms: int | None = None) -> TrainingView:
    """What is told; how long ago the newest row was depends on when it is asked, and what the ledger books on how much is closed."""
    found = view_of(story, at_ms, window).workloads[0].training
    assert found is not None and found.run is not None
    return replace(found, age_seconds=0.0, run=replace(found.run, gpu_seconds=None, energy_joules=None))


@pytest.fixture
def story(tmp_path: Path) -> TrainedStory:
    ranks = lively(100, 0, 1), lively(101, 1, 2)
    story = trained_story(tmp_path / "store.db", *ranks, gpus=2)
    story.runs = {100: story.runs[100]}
    for index, one in enumerate(ranks):
        held(story, one, index)
        story.gpus[index].sample = {"energy_joules": 300.0 + index, "sm_active_ratio": 0.5}
    story.close_minutes()
    return story


def test_rows_read_one_by_one_tell_the_same_as_all_at_once(story: TrainedStory) -> None:
    story.run(30)
    path = Path(str(story.writer.path))
    with Window(path) as window:
        for _ in range(12):
            story.run(17)
            with Window(path) as fresh:
                assert told(story, window) == told(story, fresh)


def test_an_instant_tells_the_same_as_it_did_live(story: TrainedStory) -> None:
    live = {}
    story.run(100)
    with Window(Path(str(story.writer.path))) as window:
        for _ in range(10):
            story.run(31)
            live[story.now_ms] = told(story, window)
        story.run(200)
        for at_ms, then in live.items():
            assert told(story, window, at_ms) == then
        assert all(then.step_p95_seconds is not None and then.mfu_missing for then in live.values())


def test_a_row_that_comes_late_into_a_tick_is_counted(story: TrainedStory) -> None:
    story.run(60)
    path, db = Path(str(story.writer.path)), story.writer.connection
    with Window(path) as window:
        told(story, window)
        story.run(2)
        missing = db.execute("SELECT max(tick_id) FROM training_sample").fetchone()[0]
        late = db.execute("SELECT * FROM training_sample WHERE tick_id=? AND proc_id=(SELECT max(proc_id) FROM training_sample)", (missing,)).fetchall()  # fmt: skip
        db.execute("DELETE FROM training_sample WHERE tick_id=? AND proc_id=(SELECT max(proc_id) FROM training_sample)", (missing,))
        db.commit()
        told(story, window)
        db.executemany(f"INSERT INTO training_sample VALUES({','.join('?' * len(late[0]))})", late)
        db.commit()
        story.run(1)
        with Window(path) as fresh:
            assert told(story, window) == told(story, fresh)


def test_steps_longer_than_the_window_are_told_by_the_newest_whole_one(tmp_path: Path) -> None:
    """A step each 200 s: in the five minutes there is a whole one now and then only."""

    def long(second: int) -> Told:
        ended = float(second % 200 == 0)
        return even(0.0) | {
            "rank_steps_total": ended,
            "tokens_total": 8000 * ended,
            "forward_seconds": 1.0,
            "phase_age_seconds": second % 200,
        }

    story = trained_story(tmp_path / "s.db", Trains(100, 0, long))
    with Window(tmp_path / "s.db") as window:
        live = {}
        for seconds in (430, 60, 60, 60, 30, 60, 60):
            story.run(seconds)
            found = live[story.now_ms] = told(story, window)
            with Window(tmp_path / "s.db") as fresh:
                assert told(story, fresh) == found
            assert (found.step_seconds, found.tokens_per_second, found.rate_seconds) == (200.0, 40.0, 200.0)
            assert [(part.phase, part.seconds) for part in found.phases] == [(Phase.FORWARD, 200.0)]
            assert found.stalled == "", "each of its phases lasts long"
            assert found.window_seconds is not None and 300 <= found.window_seconds < 400
        assert {at_ms: told(story, window, at_ms) for at_ms in live} == live


def test_a_hang_is_told_by_no_step_of_long_ago(tmp_path: Path) -> None:
    hangs = dict.fromkeys(even(), 0.0) | {"data_wait_seconds": 1.0, "phase": int(Phase.DATA)}
    story = trained_story(
        tmp_path / "s.db", Trains(100, 0, lambda s: even() if s <= 60 else hangs | {"phase_age_seconds": s - 60.0})
    )
    story.run(200)
    with Window(tmp_path / "s.db") as window:
        assert told(story, window).step_seconds == 1.0
        story.run(200)
        told(story, window)
        story.run(20)
        with Window(tmp_path / "s.db") as fresh:
            assert told(story, fresh) == told(story, window)
        assert (told(story, window).step_seconds, told(story, window).tokens_per_second) == (None, 0.0)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Window, Window]]:
    """As it was recorded, and without any single row before the end."""
    folder = tmp_path_factory.mktemp("sealed")
    trains = lively(100, 0, 3)
    story = trained_story(folder / "hot.db", trains)
    held(story, trains)
    story.gpus[0].sample = {"energy_joules": 310.0}
    story.close_minutes()
    story.run(1000)
    story.gap(END_MS / 1000 - story.clock.time() - 60)
    story.run(60)
    assert story.closer is not None
    story.closer.finish(story.now_ms)
    story.writer.commit()
    story.writer.close()
    none = seal(folder / "hot.db", folder / "none.db", END_MS, END_MS - 30_000)
    with Window(folder / "hot.db") as hot, Window(none) as sealed:
        yield hot, sealed


@pytest.mark.parametrize("minute", [6, 15])
def test_at_a_whole_minute_sealed_rows_tell_the_same(windows: tuple[Window, Window], minute: int) -> None:
    at_ms = round(START * 1000) + minute * 60_000
    hot, sealed = (build_view(window, at_ms, now_ms=END_MS, tz=UTC).workloads[0].training for window in windows)
    assert hot is not None and hot == sealed
    assert hot.tokens_per_second is not None and hot.energy_per_token_joules is not None
    assert hot.phases and hot.phases[0].phase is Phase.DATA and hot.step_p95_seconds is not None
    assert hot.run is not None and hot.run.gpu_seconds is not None
