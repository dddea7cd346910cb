"""Screen 1: in ten seconds, how much of this host works, who wastes what, what to do first."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from gpuwatch.dataclass import replace
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels.overview import draw_overview, shows_throughput, shows_today, steps_shown
from gpuwatch.tui.panels.today import day_request
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.state import Context
from gpuwatch.view.types import DetailRequest


class OverviewScreen(PanelScreen):
    """Ledger, GPUs, waste, throughput, processes."""

    NAME = "Overview"
    DIGIT = "1"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "app.open_filter", "filter", tooltip="rows whose user, command or pid has all the words"),
        Binding("s", "app.cycle_sort", "sort", tooltip="sort by the next column"),
        Binding("r", "reverse", "reverse the order", show=False, tooltip="reverse the order; without a GPU: ask the driver again"),
        Binding("t", "app.toggle_tree", "tree", tooltip="processes under their parents, or flat"),
        Binding("a", "app.toggle_all", "all processes", show=False, tooltip="all watched processes, or those that work with a GPU"),
        Binding("space", "app.pause", "pause", tooltip="keep this picture; the recording goes on"),
        Binding(
            "tab",
            "other_table",
            "processes, GPUs or workloads",
            show=False,
            tooltip="select among the processes, the GPUs or the workloads",
            key_display="Tab",
        ),
        Binding("enter", "open", "detail", show=False, tooltip="everything about the selected GPU, training, server or process"),
        Binding("x", "copy_fix", "copy the first fix", show=False, tooltip="copy the first thing to try against the first finding"),
    ]

    def _tables(self) -> list[str]:
        """What can be selected among at this size, in the order of Tab."""
        app = self.gpuwatch
        if app.view is None:
            return ["processes"]
        context = app.context(self, app.size.width, app.size.height)
        workloads = shows_throughput(context, app.view)
        return ["processes", *(["gpus"] if app.view.gpus else []), *(["throughput"] if workloads else [])]

    @property
    def table_name(self) -> str:
        """What Tab chose, while that is shown."""
        ui = self.gpuwatch.ui
        if ui.focus != "processes" and ui.focus not in self._tables():
            ui.focus = "processes"
        return ui.focus

    def action_other_table(self) -> None:
        """Move among the processes, the GPUs or the workloads."""
        tables = self._tables()
        self.gpuwatch.ui.focus = tables[(tables.index(self.table_name) + 1) % len(tables)]
        self.repaint()

    def action_open(self) -> None:
        """The selected GPU, workload or process on its own screen; a process of a server there."""
        ui, table = self.gpuwatch.ui, self.table_name
        if table == "gpus":
            ui.gpu = ui.table("gpus").index
            self.gpuwatch.action_go("2")
            return
        key = ui.table(table).selected
        if table == "throughput":
            self.gpuwatch.open_workload(key)
        elif isinstance(key, tuple):
            self.gpuwatch.open_work_or_process(key[0], key[1])

    def action_copy_fix(self) -> None:
        """What the first finding says to try, to the clipboard."""
        app = self.gpuwatch
        app.copy_fix(next(iter(app.view.findings), None) if app.view is not None else None)
        self.repaint()

    def action_reverse(self) -> None:
        """The other order; where there is no GPU, ask for one."""
        app = self.gpuwatch
        if app.view is None or app.view.gpus or not app.view.recording.begun:
            app.action_reverse()
        elif app.options.retry is not None:
            app.ui.notice = app.options.retry()
            self.repaint()

    def out(self) -> None:
        """Hide the first steps for good."""
        app = self.gpuwatch
        if app.view is None or not steps_shown(app.context(self, app.size.width, app.size.height), app.view):
            return
        app.ui.first_steps = False
        if app.options.hide_first_steps is not None:
            app.options.hide_first_steps()
        self.repaint()

    def on_key(self, event: events.Key) -> None:
        """Any key takes the last notice away."""
        self.gpuwatch.ui.notice = ""
        super().on_key(event)

    def request(self) -> DetailRequest | None:
        """Every GPU's day, where its panel is shown."""
        app = self.gpuwatch
        if app.view is None:
            return None
        context = app.context(self, app.size.width, app.size.height)
        return day_request(context, app.view) if shows_today(context, app.view) else None

    def draw(self, context: Context) -> Sheet:
        """With the keys that exist for a moment only."""
        view = context.view
        if view is None or not (view.past or view.recording.begun):
            return super().draw(context)
        now = (("r", "retry"),) if not view.gpus else (("Esc", "hide steps"),) if steps_shown(context, view) else ()
        return super().draw(replace(context, keys=(*context.keys, *now)))

    def body(self, sheet: Sheet, context: Context) -> None:
        """Ledger, GPUs, waste, throughput, processes."""
        draw_overview(sheet, context)
