"""A server long ago: its rows come from sealed hours and its waiting times from minutes, and say what they said when they were hot."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

import pytest
from support.archived import FIRST_BORDER_MS, HOUR_MS, seal
from support.served import ROOT_MS, Serves, busy, held, served_story
from support.story import START

from gpuwatch.store.window import Window
from gpuwatch.view.build import build_view
from gpuwatch.view.detail import build_detail
from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.types import DetailRequest

SECONDS = 1800
END_MS = FIRST_BORDER_MS + HOUR_MS + 120_000


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Window, Window]]:
    """As it was recorded, and without any single row of waiting times before the end."""
    folder = tmp_path_factory.mktemp("sealed")
    serves: Serves = busy(100, 8000, 3)
    story = served_story(folder / "hot.db", serves)
    held(story, serves)
    story.gpus[0].sample = {"energy_joules": 310.0}
    story.close_minutes()
    story.run(SECONDS)
    story.gap(END_MS / 1000 - story.clock.time() - 60)
    story.run(60)
    assert story.closer is not None
    story.closer.finish(story.now_ms)
    story.writer.commit()
    story.writer.close()
    none = seal(folder / "hot.db", folder / "none.db", END_MS, END_MS - 30_000)
    with Window(folder / "hot.db") as hot, Window(none) as sealed:
        yield hot, sealed


def told(window: Window, at_ms: int) -> InferenceView:
    view = build_view(window, at_ms, now_ms=END_MS, tz=UTC)
    assert [workload.port for workload in view.workloads] == [8000]
    found = view.workloads[0].inference
    assert found is not None
    assert view.workloads[0].gpu_indices == (0,)
    return found


@pytest.mark.parametrize("minute", [6, 15, 27, 29])
def test_at_a_whole_minute_sealed_rows_tell_the_same(windows: tuple[Window, Window], minute: int) -> None:
    at_ms = round(START * 1000) + minute * 60_000
    hot, sealed = (told(window, at_ms) for window in windows)
    assert hot == sealed
    assert hot.output_tokens_per_second is not None
    assert hot.energy_per_output_token_joules is not None
    assert hot.latencies and hot.latencies[0].p95_seconds is not None or hot.latencies[0].above_seconds is not None


def test_within_a_minute_waiting_times_are_those_of_the_whole_minutes_before(windows: tuple[Window, Window]) -> None:
    at_ms = round(START * 1000) + 15 * 60_000
    whole, later = told(windows[1], at_ms), told(windows[1], at_ms + 30_000)
    assert later.latencies == whole.latencies
    assert later.requests_per_second == whole.requests_per_second
    assert later.output_tokens_per_second != whole.output_tokens_per_second
    assert later.output_tokens_per_second == told(windows[0], at_ms + 30_000).output_tokens_per_second


def test_the_hour_of_its_screen_comes_from_minutes(windows: tuple[Window, Window]) -> None:
    at_ms = round(START * 1000) + 20 * 60_000
    request = DetailRequest(workload=(100, ROOT_MS, 8000))
    both = [build_detail(window, request, build_view(window, at_ms, now_ms=END_MS, tz=UTC)) for window in windows]
    assert both[0].inference == both[1].inference
    assert both[0].inference is not None
    assert sum(cell is not None for cell in both[0].inference.output_tokens_per_second) == 20
    assert both[0].workload_ledger == both[1].workload_ledger
    assert both[0].workload_ledger is not None
