"""A board in seven instances: each has a row on the overview and on the board's own screen, at every size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.sample_detail import sample_detail
from support.tui import context_of, faults, sheet_of
from support.tui_views import mig

from gpuwatch.names import State
from gpuwatch.tui.panels.gpu_question import chosen, request_for
from gpuwatch.tui.screens.gpu import GpuScreen
from gpuwatch.tui.screens.overview import OverviewScreen
from gpuwatch.tui.state import UiState
from gpuwatch.view.sliced import with_instances
from gpuwatch.view.types import View


def seven() -> View:
    view = mig()
    board, part = view.gpus[:2]
    parts = [
        replace(part, gpu_index=i, gpu_uuid=f"MIG-{i}", mig_profile="1g.10gb", state=State.FREE if i else State.BUSY)
        for i in range(7)
    ]
    return replace(view, gpus=with_instances((replace(board, state=State.FREE), *parts)))


@pytest.mark.parametrize("size", [(120, 40), (160, 45), (200, 60)])
def test_the_boards_screen_has_a_row_for_each(size: tuple[int, int]) -> None:
    view = seven()
    context = context_of(GpuScreen, view, size, None, UiState(gpu=0))
    sheet = GpuScreen().draw(replace(context, detail=sample_detail(view, request_for(context, chosen(context, view)))))
    text = sheet.text()
    assert faults(sheet) == []
    assert [i for i in range(7) if f"└{i} 1g.10gb" in text] == list(range(7))
    assert "Its time is counted in its instances" in text


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_the_overview_never_calls_a_board_free_while_an_instance_works(size: tuple[int, int]) -> None:
    rows = sheet_of(OverviewScreen, seven(), size).text().splitlines()
    board = next(row for row in rows if row.strip("│ ").startswith("0 "))
    assert "busy" in board and "free" not in board
    assert sum("1g.10gb" in row for row in rows) == 7
