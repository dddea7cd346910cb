"""The hour of a server for its screen, and the GPU time of its processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.served import ROOT_MS, Serves, held, served_story, view_of

from gpuwatch.model import OPEN_US
from gpuwatch.names import Latency
from gpuwatch.store.window import Window
from gpuwatch.view.detail import build_detail
from gpuwatch.view.types import DetailRequest

REQUEST = DetailRequest(workload=(100, ROOT_MS, 8000))


def told(second: int) -> dict[str, float | None]:
    """Ten tokens a second in the first minute, twenty in the second, and so on."""
    return {"output_tokens_total": 20.0 * (1 + (second - 1) // 60), "prefill_tokens_total": 2.0}


def waits(second: int) -> dict[Latency, dict[tuple[int, int], int]]:
    slow = (500_000, 1_000_000) if second <= 120 else (1_000_000, OPEN_US)
    return {Latency.TTFT: {slow: 2}, Latency.ITL: {(0, 10_000): 30}}


def test_minutes_of_the_last_hour_with_the_open_ones_from_single_rows(tmp_path: Path) -> None:
    serves = Serves(100, tells=told, buckets=waits)
    story = served_story(tmp_path / "s.db", serves)
    held(story, serves)
    story.close_minutes()
    story.run(200)
    with Window(tmp_path / "s.db") as window:
        for at_ms in (None, story.now_ms - 10_000):
            found = build_detail(window, REQUEST, view_of(story, at_ms, window))
            history = found.inference
            assert history is not None
            assert (history.cell_seconds, len(history.output_tokens_per_second)) == (60, 60)
            assert history.output_tokens_per_second[:56] == (None,) * 56
            assert history.output_tokens_per_second[56:] == pytest.approx((10.0, 20.0, 30.0, 40.0))
            assert history.prefill_tokens_per_second[56:] == pytest.approx((1.0,) * 4)
            assert history.p95_seconds[Latency.TTFT][56:58] == pytest.approx((0.975, 0.975))
            assert history.p95_seconds[Latency.TTFT][58:] == pytest.approx((1.0, None if at_ms else 1.0))
            assert history.p95_seconds[Latency.ITL] == (None,) * 60
        fresh = build_detail(window, REQUEST, view_of(story, None, window))
        story.run(67)
        live = build_detail(window, REQUEST, view_of(story, None, window))
        assert fresh != live
        with Window(tmp_path / "s.db") as anew:
            assert live == build_detail(anew, REQUEST, view_of(story, None, anew))


def test_the_ledger_of_a_workload_is_that_of_its_processes(tmp_path: Path) -> None:
    one, other = Serves(100), Serves(200, port=8001)
    story = served_story(tmp_path / "s.db", one, other, gpus=3)
    held(story, one, 0)
    held(story, one, 1, pid=103)
    held(story, other, 2)
    story.close_minutes()
    story.run(300)
    with Window(tmp_path / "s.db") as window:
        found = build_detail(window, REQUEST, view_of(story, None, window))
        assert found.workload_ledger is not None
        assert found.workload_ledger.capacity_ms == pytest.approx(2 * 300_000, rel=0.02)
        assert sum(part.ms for part in found.workload_ledger.parts) == found.workload_ledger.capacity_ms


def test_a_workload_that_nobody_knows_has_no_past(tmp_path: Path) -> None:
    story = served_story(tmp_path / "s.db", Serves(100))
    story.run(10)
    with Window(tmp_path / "s.db") as window:
        found = build_detail(window, DetailRequest(workload=(7, 7, 7)), view_of(story, None, window))
    assert (found.inference, found.workload_ledger) == (None, None)
