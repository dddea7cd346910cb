"""An inference server from 100 columns on: seven boxed panels that share the height."""

from __future__ import annotations

from gpuwatch.dataclass import dataclass
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels.server_energy import draw_ended, draw_energy
from gpuwatch.tui.panels.server_latency import draw_latency
from gpuwatch.tui.panels.server_queue import draw_queue
from gpuwatch.tui.panels.server_rates import draw_rates
from gpuwatch.tui.panels.server_sources import draw_sources, rows_needed
from gpuwatch.tui.panels.workload_question import places_of
from gpuwatch.tui.panels.workload_time import draw_time
from gpuwatch.tui.state import Context
from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.types import DetailView, View, WorkloadView

LEAST = (9, 7, 5, 4)
GROWTH = (("latency", 8), ("energy", 8), ("rates", 11), ("time", 8), ("latency", 9), ("rates", 17))
"""Who gets spare rows, and up to how many."""


@dataclass(slots=True)
class Rows:
    """Heights of the panels, from top to bottom."""

    rates: int
    latency: int
    energy: int
    time: int
    sources: int = 0

    @property
    def sum(self) -> int:
        """All of them."""
        return self.rates + self.latency + self.energy + self.time + self.sources


def rows_for(height: int, sources: int) -> Rows:
    """Share ``height`` rows; the panel of ``sources`` rows only where all others have what they need."""
    rows = Rows(*LEAST)
    for name, most in GROWTH:
        spare = height - rows.sum
        setattr(rows, name, getattr(rows, name) + max(0, min(spare, most - getattr(rows, name))))
    spare = height - rows.sum
    if sources and spare >= 5:
        rows.sources = min(spare, sources)
    rows.time += height - rows.sum
    return rows


def draw_boxed(sheet: Sheet, context: Context, view: View, work: WorkloadView, server: InferenceView, detail: DetailView | None) -> None:  # fmt: skip
    """Everything below the two title rows."""
    places = places_of(context)
    rows = rows_for(context.height - 4, rows_needed(context, server))
    y = 3
    draw_rates(sheet, context, server, detail, y, rows.rates, places)
    draw_queue(sheet, context, server, y, rows.rates, places.split + 1)
    y += rows.rates
    draw_latency(sheet, context, server, detail, y, rows.latency)
    y += rows.latency
    draw_energy(sheet, context, view, work, server, y, rows.energy, places.split)
    draw_ended(sheet, context, server, y, rows.energy, places.split + 1)
    y += rows.energy
    draw_time(sheet, context, view, work, detail, y, rows.time)
    y += rows.time
    if rows.sources:
        draw_sources(sheet, context, server, y, rows.sources)
