"""A server at an instant is the same whether it was read live, row by row, or long after."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.served import ServedStory, busy, held, served_story, view_of

from gpuwatch.dataclass import replace
from gpuwatch.store.window import Window
from gpuwatch.view.inference_types import InferenceView


def told(story: ServedStory, window: Window, at_ms: int | None = None) -> list[InferenceView | None]:
    """What the servers tell; how long ago the newest row was depends on when it is asked."""
    views = [w.inference for w in view_of(story, at_ms, window).workloads]
    return [None if view is None else replace(view, age_seconds=0.0) for view in views]


@pytest.fixture
def story(tmp_path: Path) -> ServedStory:
    servers = busy(100, 8000, 1), busy(200, 8001, 2)
    story = served_story(tmp_path / "store.db", *servers, gpus=2)
    for index, serves in enumerate(servers):
        held(story, serves, index)
        story.gpus[index].sample = {"energy_joules": 300.0 + index}
    story.close_minutes()
    return story


def test_rows_read_one_by_one_tell_the_same_as_all_at_once(story: ServedStory) -> None:
    story.run(30)
    with Window(Path(str(story.writer.path))) as window:
        for _ in range(25):
            story.run(17)
            with Window(Path(str(story.writer.path))) as fresh:
                assert told(story, window) == told(story, fresh)


def test_an_instant_tells_the_same_as_it_did_live(story: ServedStory) -> None:
    live = {}
    story.run(100)
    with Window(Path(str(story.writer.path))) as window:
        for _ in range(12):
            story.run(31)
            live[story.now_ms] = told(story, window)
        story.run(200)
        for at_ms, then in live.items():
            now = told(story, window, at_ms)
            assert now == then
        assert all(view is not None and view.latencies for then in live.values() for view in then)


def test_a_row_that_comes_late_into_a_tick_is_counted(story: ServedStory) -> None:
    story.run(60)
    path = Path(str(story.writer.path))
    with Window(path) as window:
        told(story, window)
        story.run(2)
        missing = story.writer.connection.execute("SELECT max(tick_id) FROM inference_sample").fetchone()[0]
        late = story.writer.connection.execute("SELECT * FROM inference_sample WHERE tick_id=?", (missing,)).fetchall()
        story.writer.connection.execute("DELETE FROM inference_sample WHERE tick_id=?", (missing,))
        story.writer.connection.commit()
        told(story, window)
        marks = ",".join("?" * len(late[0]))
        story.writer.connection.executemany(f"INSERT INTO inference_sample VALUES({marks})", late)
        story.writer.connection.commit()
        story.run(1)
        with Window(path) as fresh:
            assert told(story, window) == told(story, fresh)


def test_servers_that_came_and_went_are_not_kept(story: ServedStory) -> None:
    story.run(30)
    with Window(Path(str(story.writer.path))) as window:
        told(story, window)
        servers = window.memo["servers"]
        assert len(servers.made) == 2
        first = next(iter(servers.made))
        servers.advance((first, 99), story.now_ms, 0)
        assert not servers.made
