"""A training from 100 columns on: six boxed panels that share the height."""

from __future__ import annotations

from gpuwatch.dataclass import dataclass
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels import training_ranks, training_step
from gpuwatch.tui.panels.training_cost import draw_cost
from gpuwatch.tui.panels.training_mfu import draw_mfu
from gpuwatch.tui.panels.training_ranks import draw_ranks
from gpuwatch.tui.panels.training_rates import draw_rates
from gpuwatch.tui.panels.training_step import draw_step
from gpuwatch.tui.panels.workload_question import places_of
from gpuwatch.tui.panels.workload_time import draw_time
from gpuwatch.tui.state import Context
from gpuwatch.view.training_types import TrainingView
from gpuwatch.view.types import DetailView, View, WorkloadView


@dataclass(slots=True)
class Rows:
    """Heights of the panels, from top to bottom."""

    rates: int
    step: int
    ranks: int
    time: int

    @property
    def sum(self) -> int:
        """All of them."""
        return self.rates + self.step + self.ranks + self.time


def rows_for(height: int, step: int, ranks: int) -> Rows:
    """Share ``height`` rows; the step's panel wants ``step`` of them, that of the ranks ``ranks``."""
    rows = Rows(7, min(step, 8), 5, 4)
    growth = (
        ("step", step - 1),
        ("ranks", min(ranks, 7)),
        ("rates", 9),
        ("step", step),
        ("time", 5),
        ("rates", 10),
        ("time", 6),
        ("ranks", max(7, min(ranks, 13))),
        ("time", 9),
        ("rates", 17),
        ("ranks", max(7, ranks)),
    )
    for name, most in growth:
        spare = height - rows.sum
        setattr(rows, name, getattr(rows, name) + max(0, min(spare, most - getattr(rows, name))))
    rows.time += height - rows.sum
    return rows


def draw_boxed(sheet: Sheet, context: Context, view: View, work: WorkloadView, training: TrainingView, detail: DetailView | None) -> None:  # fmt: skip
    """Everything below the two title rows."""
    places = places_of(context)
    rows = rows_for(context.height - 4, training_step.rows_wanted(training), training_ranks.rows_wanted(training))
    y = 3
    draw_rates(sheet, context, training, detail, y, rows.rates, places)
    draw_mfu(sheet, context, view, work, training, y, rows.rates, places.split + 1)
    y += rows.rates
    draw_step(sheet, context, view, work, training, detail, y, rows.step)
    y += rows.step
    draw_ranks(sheet, context, view, training, y, rows.ranks, places.split)
    draw_cost(sheet, context, training, y, rows.ranks, places.split + 1)
    y += rows.ranks
    draw_time(sheet, context, view, work, detail, y, rows.time)
