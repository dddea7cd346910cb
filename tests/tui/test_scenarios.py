"""The detail screens on the store of real scenarios: what they show is what the store holds, and nothing is cut, at three sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from support.tui import context_of, faults

from gpuwatch.clock import FakeClock
from gpuwatch.format import gib, percent_sign
from gpuwatch.names import State
from gpuwatch.parser import build_parser
from gpuwatch.runtime import Runtime
from gpuwatch.store.window import Window
from gpuwatch.tui.palette import TIERS, Look
from gpuwatch.tui.panels.gpu_question import SPANS, request_for
from gpuwatch.tui.panels.process_table import choice_of, table_of
from gpuwatch.tui.screens.gpu import GpuScreen
from gpuwatch.tui.screens.processes import ProcessesScreen
from gpuwatch.tui.screens.processes import request_for as process_request
from gpuwatch.tui.state import TableState, UiState
from gpuwatch.view.build import build_view
from gpuwatch.view.detail import build_detail
from gpuwatch.view.types import View

NOW = 1_763_130_727.0
SIZES = ((80, 24), (120, 40), (200, 60))
LOOKS = [Look(tier, ascii_only=ascii_only) for tier in TIERS for ascii_only in (False, True)]


@contextmanager
def store_of(scenario: str) -> Iterator[Window]:
    args = build_parser().parse_args([f"--demo={scenario}", "--tz", "UTC"])
    runtime = Runtime.from_args(args, {"HOME": "/nonexistent"}, FakeClock(NOW))
    with Window(runtime.store_path()) as window:
        yield window
    runtime.close()


@pytest.fixture(scope="module", params=["lab", "nccl-hang"])
def window(request: pytest.FixtureRequest) -> Iterator[Window]:
    with store_of(request.param) as found:
        yield found


def view_of(window: Window) -> View:
    return build_view(window, now_ms=round(NOW * 1000), cells=45, holder_pid=1)


@pytest.mark.parametrize("size", SIZES)
def test_every_gpu_at_every_zoom(window: Window, size: tuple[int, int]) -> None:
    view = view_of(window)
    for position, gpu in enumerate(view.gpus):
        zoom = position % len(SPANS)
        look = LOOKS[position % len(LOOKS)]
        context = context_of(GpuScreen, view, size, look, UiState(gpu=position, zoom=zoom))
        detail = build_detail(window, request_for(context, gpu), view)
        sheet = GpuScreen().draw(replace(context, detail=detail))
        assert faults(sheet) == []
        text = sheet.text()
        assert f"Last {SPANS[zoom][1]}" in text
        assert detail.ledger is not None and sum(part.ms for part in detail.ledger.parts) == detail.ledger.capacity_ms
        assert percent_sign(gpu.sm_active_ratio) in text and f"{gib(gpu.memory_used_bytes)} GiB" in text
        assert all(str(holder.pid) in text for holder in detail.holders[:3])


@pytest.mark.parametrize("size", SIZES)
def test_every_process(window: Window, size: tuple[int, int]) -> None:
    view = view_of(window)
    for number, process in enumerate(view.processes):
        look = LOOKS[number % len(LOOKS)]
        context = context_of(ProcessesScreen, view, size, look, UiState(show_all=True, open_process=number % 2 == 0))
        uuid = process.holds[0].gpu_uuid if process.holds else ""
        context.ui.tables["processes"] = TableState(selected=(process.pid, process.start_ms, uuid))
        detail = build_detail(window, process_request(context, process), view)
        assert detail.process is not None and detail.process.pid == process.pid
        sheet = ProcessesScreen().draw(replace(context, detail=detail))
        assert faults(sheet) == []
        if context.ui.open_process or size[0] >= 100:
            assert f"pid {process.pid} " in sheet.text()


def test_all_processes_of_the_view_are_rows_and_the_widest_screen_shows_them(window: Window) -> None:
    view = view_of(window)
    context = context_of(ProcessesScreen, view, (200, 60), None, UiState(show_all=True, unfolded=True))
    rows = table_of(view, choice_of(context), "").rows
    assert {row.process.pid for row in rows} == {process.pid for process in view.processes}


def test_a_held_gpu_of_the_lab_is_held_in_all_three_places() -> None:
    with store_of("lab") as window:
        view = view_of(window)
        gpu = next(gpu for gpu in view.gpus if gpu.state is State.HELD_IDLE)
        context = context_of(GpuScreen, view, (120, 40), None, UiState(gpu=view.gpus.index(gpu)))
        detail = build_detail(window, request_for(context, gpu), view)
        rows = GpuScreen().draw(replace(context, detail=detail)).text().splitlines()
    assert "▌HELD IDLE" in rows[1] and "no work for" in rows[1] and "held by bob" in rows[1]
    assert "held idle 100%" in rows[32]
    assert detail.holders[0].user == "bob" and set(detail.holders[0].cells) == {State.HELD_IDLE}
