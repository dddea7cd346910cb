"""Screen 1: in ten seconds, how much of this host works, who wastes what, what to do first (design 2)."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels.overview import draw_overview
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.state import Context


class OverviewScreen(PanelScreen):
    """Ledger, GPUs, waste, throughput, processes."""

    NAME = "Overview"
    DIGIT = "1"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "app.open_filter", "filter", tooltip="rows whose user, command or pid has all the words"),
        Binding("s", "app.cycle_sort", "sort", tooltip="sort by the next column"),
        Binding("r", "app.reverse", "reverse the order", show=False),
        Binding("t", "app.toggle_tree", "tree", tooltip="processes under their parents, or flat"),
        Binding("a", "app.toggle_all", "all processes", show=False, tooltip="all watched processes, or those that work with a GPU"),
        Binding("space", "app.pause", "pause", tooltip="keep this picture; the recording goes on"),
        Binding(
            "tab",
            "other_table",
            "GPUs or processes",
            show=False,
            tooltip="select among the GPUs or the processes",
            key_display="Tab",
        ),
        Binding("enter", "open", "detail", show=False, tooltip="everything about the selected GPU or process"),
    ]

    @property
    def table_name(self) -> str:
        """The GPUs after Tab, while there are any."""
        view, ui = self.gpuwatch.view, self.gpuwatch.ui
        if ui.focus == "gpus" and (view is None or not view.gpus):
            ui.focus = "processes"
        return ui.focus

    def action_other_table(self) -> None:
        """Move among the GPUs or among the processes."""
        self.gpuwatch.ui.focus = "gpus" if self.table_name == "processes" else "processes"
        self.gpuwatch.ui.focus = self.table_name
        self.repaint()

    def action_open(self) -> None:
        """The selected GPU or process on its own screen."""
        ui = self.gpuwatch.ui
        if self.table_name == "gpus":
            ui.gpu = ui.table("gpus").index
            self.gpuwatch.action_go("2")
            return
        key = ui.table(self.TABLE).selected
        if isinstance(key, tuple):
            self.gpuwatch.open_process(key[0], key[1])

    def body(self, sheet: Sheet, context: Context) -> None:
        """Ledger, GPUs, waste, throughput, processes."""
        draw_overview(sheet, context)
