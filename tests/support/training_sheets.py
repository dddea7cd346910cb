"""Views with invented trainings, the past that their screens ask for, and drawing them without an App."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

from support.sample_servers import HOLE, server_ledger
from support.sample_trainings import TRAININGS
from support.sample_view import HOUR, NOW_MS, sample_view
from support.tui import context_of
from support.tui_views import HOSTILE

from gpuwatch.names import Phase
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.palette import Look
from gpuwatch.tui.panels.workload_question import request_for
from gpuwatch.tui.screens.workload import WorkloadScreen
from gpuwatch.tui.state import UiState
from gpuwatch.tui.workloads import key_of_work
from gpuwatch.view.training_types import TrainingHistory
from gpuwatch.view.types import DetailRequest, DetailView, View, WorkloadView


def with_trainings(*names: str, cells: int = 45) -> View:
    """The sample view whose trainings are these: the first one is that of process 57098."""
    view = sample_view(cells)
    first = view.workloads[0]
    works = []
    for number, name in enumerate(names):
        training = TRAININGS[name]
        foreign = HOSTILE if name == "hostile" else ""
        work = replace(
            first,
            name=foreign or f"{name}-{number}" if number else foreign or first.name,
            attached=training.attached,
            tokens_per_second=training.tokens_per_second,
            training=training,
        )
        if number:
            work = replace(work, root_pid=900_000 + number, gpu_indices=())
        works.append(work)
    return replace(view, workloads=(*works, *view.workloads[1:]))


def work_named(view: View, number: int = 0) -> WorkloadView:
    """The training at that place."""
    return [work for work in view.workloads if work.training is not None][number]


def sample_training_detail(view: View, request: DetailRequest) -> DetailView:
    """The answer to what a workload's screen asks."""
    work = next((w for w in view.workloads if (w.root_pid, w.root_start_ms, w.port) == request.workload), None)
    training = work.training if work is not None else None
    if work is None or training is None:
        return DetailView(request)
    n = request.cells
    wave = [0.93 + 0.07 * ((i * 7) % n - n / 2) ** 2 / (n * n / 4) for i in range(n)]
    value, unit = next(((v, u) for v, u in ((training.tokens_per_second, "tokens"), (training.samples_per_second, "samples"), (training.steps_per_second, "steps")) if v is not None), (13_000.0, "tokens"))  # fmt: skip
    history = None
    if training.step_number is not None:
        shares = {
            each.phase: tuple(None if i in HOLE else each.share * (5.0 if i % 20 == 7 else 0.5) if each.phase is Phase.CHECKPOINT else each.share * wave[i] for i in range(n))
            for each in training.phases
        }  # fmt: skip
        history = TrainingHistory(
            cell_seconds=request.cell_seconds,
            start_ms=NOW_MS - HOUR,
            unit=unit,
            per_second=tuple(None if i in HOLE else value * wave[i] for i in range(n)),
            phase_shares=shares,
            mean_per_second=value * 0.985,
            best_minute_per_second=value * 1.02,
        )
    return DetailView(request, training=history, workload_ledger=server_ledger() if work.gpu_indices else None)


def sheet(view: View, work: WorkloadView, size: tuple[int, int] = (120, 40), look: Look | None = None, *, answered: bool = True) -> Sheet:  # fmt: skip
    """The sheet of a training's screen, with its past if ``answered``."""
    context = replace(context_of(WorkloadScreen, view, size, look, UiState(workload=key_of_work(work))), tz=UTC)
    if answered:
        context = replace(context, detail=sample_training_detail(view, request_for(work)))
    return WorkloadScreen().draw(context)


def lines(name: str, size: tuple[int, int] = (120, 40), look: Look | None = None, **more: bool) -> list[str]:
    """The rows of the screen of the training of that name."""
    view = with_trainings(name)
    return sheet(view, work_named(view), size, look, **more).text().splitlines()
