"""Screen 2: what one GPU did, who held it, where its time went."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from gpuwatch.tui import findings
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels.gpu_boxed import draw_boxed
from gpuwatch.tui.panels.gpu_narrow import draw_narrow
from gpuwatch.tui.panels.gpu_question import SPANS, answer, chosen, request_for
from gpuwatch.tui.panels.no_gpu import draw_no_gpu
from gpuwatch.tui.panels.starting import draw_starting
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.state import Context
from gpuwatch.tui.waste import TABLE
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import DetailRequest


class GpuScreen(PanelScreen):
    """One GPU."""

    NAME = "GPUs"
    DIGIT = "2"
    TABLE = "holders"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("comma", "other(-1)", "previous GPU", show=False),
        Binding("full_stop", "other(1)", "other GPU", tooltip="next GPU"),
        Binding("enter", "open_holder", "process", tooltip="the selected process, or the server that it belongs to"),
        Binding("v", "direction", "read or written on the links", show=False),
        Binding("z", "zoom", "zoom", tooltip="15 min, 60 min, 24 h, 7 d"),
        Binding("space", "app.pause", "pause", tooltip="keep this picture; the recording goes on"),
    ]

    def body(self, sheet: Sheet, context: Context) -> None:
        """By width: lanes of one row without borders below 100."""
        view = context.view
        assert view is not None
        if not (view.past or view.recording.begun):
            draw_starting(sheet, context, view)
            return
        if not view.gpus:
            draw_no_gpu(sheet, context, view)
            return
        gpu = chosen(context, view)
        detail = answer(context, gpu)
        if context.width < 100 or context.height < 28:
            draw_narrow(sheet, context, view, gpu, detail)
        else:
            draw_boxed(sheet, context, view, gpu, detail)

    def request(self) -> DetailRequest | None:
        """The past of the chosen GPU in as many cells as this width has."""
        app = self.gpuwatch
        if app.view is None or not app.view.gpus:
            return None
        context = app.context(self, app.size.width, app.size.height)
        return request_for(context, chosen(context, app.view))

    def finding(self) -> FindingView | None:
        """The one on this GPU that was selected last, else the costliest."""
        app = self.gpuwatch
        if app.view is None or not app.view.gpus:
            return None
        index = chosen(app.context(self, app.size.width, app.size.height), app.view).gpu_index
        here = [each for each in app.view.findings if index in each.gpu_indices]
        last = app.ui.table(TABLE).selected
        return next((each for each in here if findings.key_of(each) == last), here[0] if here else None)

    def action_other(self, step: int) -> None:
        """Another GPU, around the end."""
        view = self.gpuwatch.view
        if view is not None and view.gpus:
            self.gpuwatch.ui.gpu = (self.gpuwatch.ui.gpu + step) % len(view.gpus)
            self.repaint()

    def action_zoom(self) -> None:
        """The next span."""
        self.gpuwatch.ui.zoom = (self.gpuwatch.ui.zoom + 1) % len(SPANS)
        self.repaint()

    def action_direction(self) -> None:
        """What is read over the links, or what is written."""
        self.gpuwatch.ui.write = not self.gpuwatch.ui.write
        self.repaint()

    def action_open_holder(self) -> None:
        """The selected holder: its server, else its process."""
        selected = self.gpuwatch.ui.table("holders").selected
        if isinstance(selected, tuple):
            self.gpuwatch.open_work_or_process(*selected)
