"""Drawing the screen of an invented server without an App."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

from support.sample_servers import sample_inference_detail, with_servers, work_named
from support.tui import context_of, sheet_of

from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.palette import Look
from gpuwatch.tui.panels.workload_question import request_for
from gpuwatch.tui.screens.overview import OverviewScreen
from gpuwatch.tui.screens.workload import WorkloadScreen
from gpuwatch.tui.state import UiState
from gpuwatch.tui.workloads import key_of_work
from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.types import View, WorkloadView


def sheet(view: View, work: WorkloadView, size: tuple[int, int] = (120, 40), look: Look | None = None, *, answered: bool = True) -> Sheet:  # fmt: skip
    """The sheet of a workload's screen, with its past if ``answered``."""
    context = replace(context_of(WorkloadScreen, view, size, look, UiState(workload=key_of_work(work))), tz=UTC)
    if answered:
        context = replace(context, detail=sample_inference_detail(view, request_for(work)))
    return WorkloadScreen().draw(context)


def lines(name: str, size: tuple[int, int] = (120, 40), look: Look | None = None, **more: bool) -> list[str]:
    """The rows of the screen of the server of that name."""
    view = with_servers(name)
    return sheet(view, work_named(view), size, look, **more).text().splitlines()


def panel(view: View, size: tuple[int, int] = (120, 40), ui: UiState | None = None) -> list[str]:
    """The rows inside the overview's panel of throughput, at 120x40 or 200x60."""
    left, top, rows = (77, 18, 8) if size[0] < 200 else (150, 7, 11)
    drawn = sheet_of(OverviewScreen, view, size, ui=ui).text().splitlines()
    return [row[left + 2 : size[0] - 2] for row in drawn[top + 1 : top + rows - 1]]


def changed(server: InferenceView, size: tuple[int, int] = (120, 40)) -> list[str]:
    """The screen of that server."""
    view = with_servers("rich")
    work = replace(work_named(view), inference=server, tokens_per_second=server.output_tokens_per_second)
    view = replace(view, workloads=tuple(work if each.inference is not None else each for each in view.workloads))
    return sheet(view, work, size).text().splitlines()
