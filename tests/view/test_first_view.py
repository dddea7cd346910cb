"""A view that opens a store in the middle says what the recorder says of the same time."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

from support.story import Story

from gpuwatch.names import Bucket, Context
from gpuwatch.store.window import Window
from gpuwatch.view.build import build_view

MINUTE = 60


def buckets(path: Path, now_ms: int) -> dict[Bucket, int]:
    with Window(path) as window:
        view = build_view(window, None, now_ms=now_ms, tz=UTC, holder_pid=7)
    assert view.ledger is not None
    out: dict[Bucket, int] = {}
    for part in view.ledger.parts:
        out[part.bucket] = out.get(part.bucket, 0) + part.ms
    return out


def test_a_quiet_run_of_an_unknown_holder_that_began_before_the_single_rows_is_wait_between_two_active_ones(tmp_path: Path):
    story = Story(tmp_path / "store.db", 1)
    story.close_minutes()
    (gpu,) = story.gpus
    gpu.util, gpu.context = 1.0, None
    story.run(5 * MINUTE)
    gpu.util = 0.0
    story.run(4 * MINUTE)
    gpu.util = 1.0
    story.run(MINUTE + 10)
    seen = buckets(tmp_path / "store.db", story.now_ms)
    assert seen == {Bucket.WAIT: 240_000, Bucket.BUSY_UNKNOWN: 5 * 60_000 - 1000 + 70_000}


def test_without_an_active_row_before_it_the_run_is_of_nobody(tmp_path: Path):
    story = Story(tmp_path / "store.db", 1)
    story.close_minutes()
    (gpu,) = story.gpus
    gpu.util, gpu.context = 1.0, None
    story.run(5 * MINUTE)
    story.gap(10)
    gpu.util = 0.0
    story.run(4 * MINUTE)
    gpu.util = 1.0
    story.run(MINUTE + 10)
    assert buckets(tmp_path / "store.db", story.now_ms)[Bucket.IDLE_UNATTRIBUTED] == 239_000


def test_a_holder_that_is_unknown_in_the_middle_of_a_quiet_run_leaves_it_a_wait(tmp_path: Path):
    story = Story(tmp_path / "store.db", 1)
    story.close_minutes()
    (gpu,) = story.gpus
    gpu.util, gpu.context = 1.0, Context.PROCESS
    story.run(50)
    gpu.util = 0.0
    story.run(15)
    gpu.context = None
    story.run(10)
    gpu.util = 1.0
    story.run(75)
    assert buckets(tmp_path / "store.db", story.now_ms)[Bucket.WAIT] == 25_000
    assert story.closer is not None
    story.closer.finish(story.now_ms)
    booked = "SELECT bucket, sum(ms) FROM ledger_minute GROUP BY 1"
    assert dict(story.writer.connection.execute(booked)).get(int(Bucket.IDLE_UNATTRIBUTED)) is None
