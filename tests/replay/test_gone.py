"""What is said of an instant without a single row: a gap with its reason, seconds that are no longer kept, nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from support.story import START, Story, gpu

from gpuwatch.names import GapReason, State
from gpuwatch.store import connection
from gpuwatch.store.archive.seal import seal_all
from gpuwatch.store.columns import HOT_TABLES
from gpuwatch.store.rows import GapRow, Tick
from gpuwatch.store.window import Window
from gpuwatch.view.build import build_view
from gpuwatch.view.types import View

BEGAN_MS = round(START * 1000)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14:32 to 14:36, nothing until 15:16, four minutes with one GPU more; sealed, and no second is hot."""
    path = tmp_path_factory.mktemp("gone") / "store.db"
    story = Story(path, 1)
    story.close_minutes()
    story.run(240)
    story.gap(2400)
    story.writer.add(Tick(story.now_ms, gaps=[GapRow(BEGAN_MS + 240_000, story.now_ms, GapReason.OFF)]))
    story.entities.append(gpu(1))
    story.gpus.append(replace(story.gpus[0]))
    story.tell_again()
    story.run(240)
    assert story.closer is not None
    story.closer.finish(story.now_ms)
    story.writer.commit()
    db = story.writer.connection
    seal_all(db, BEGAN_MS + 7_200_000)
    for table in (*HOT_TABLES, "tick"):
        db.execute(f"DELETE FROM {table}")
    story.writer.close()
    return path


@pytest.fixture
def window(store: Path) -> Iterator[Window]:
    with Window(store) as opened:
        yield opened


def view_at(window: Window, seconds: float) -> View:
    return build_view(window, BEGAN_MS + round(seconds * 1000), now_ms=BEGAN_MS + 90 * 86_400_000, tz=UTC)


def test_a_gpu_that_came_later_is_not_there(window: Window) -> None:
    assert [g.gpu_index for g in view_at(window, 120).gpus] == [0]
    assert [g.gpu_index for g in view_at(window, 2800).gpus] == [0, 1]
    assert view_at(window, 120).gpus[0].state is State.FREE
    assert view_at(window, 120).notices == ()


def test_a_long_gap_says_why(window: Window) -> None:
    view = view_at(window, 2000)
    assert [(g.gpu_index, g.state) for g in view.gpus] == [(0, State.NO_DATA)]
    assert view.processes == ()
    assert view.notices == ("Nothing was recorded then: off, for 40 min.",)


def test_seconds_that_are_no_longer_kept(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(store.read_bytes())
    db = connection.open_write(copy)
    db.execute("DELETE FROM chunk WHERE t0_ms<?", (BEGAN_MS,))
    connection.close_cleanly(db)
    with Window(copy) as window:
        view = view_at(window, 120)
    assert view.gpus[0].state is State.NO_DATA
    assert view.gpus[0].power_watts is None
    assert "no longer kept" in view.notices[0]


def test_a_copy_that_cannot_be_written_and_one_in_memory(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(store.read_bytes())
    copy.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        with Window(store) as window, Window(copy) as frozen:
            assert view_at(frozen, 120).gpus == view_at(window, 120).gpus
            expected = view_at(window, 120)
    finally:
        tmp_path.chmod(0o700)
    memory = connection.connect(":memory:")
    source = connection.open_read(store)
    source.backup(memory)
    source.close()
    assert view_at(Window(memory), 120) == expected
    memory.close()
