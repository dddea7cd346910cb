"""A workload, opened from a row of another screen: what a server makes and who waits for it, or where the steps of a training go."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from gpuwatch.dataclass import replace
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels.server_boxed import draw_boxed
from gpuwatch.tui.panels.server_narrow import draw_narrow
from gpuwatch.tui.panels.server_words import ever_told
from gpuwatch.tui.panels.starting import draw_starting
from gpuwatch.tui.panels.training_boxed import draw_boxed as draw_training
from gpuwatch.tui.panels.training_narrow import draw_narrow as draw_training_narrow
from gpuwatch.tui.panels.training_title import draw_title as draw_training_title
from gpuwatch.tui.panels.training_words import attach_command
from gpuwatch.tui.panels.workload_finding import finding_of
from gpuwatch.tui.panels.workload_question import answer, chosen, is_narrow, other, request_for
from gpuwatch.tui.panels.workload_silent import draw_silent
from gpuwatch.tui.panels.workload_title import address_of, draw_title
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.state import Context
from gpuwatch.tui.workloads import key_of_work, root_key, tells_steps
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import DetailRequest

GONE = "It has ended, or it is not seen at this instant. Esc goes back, . shows another one."


class WorkloadScreen(PanelScreen):
    """One workload. It stands under the digit of the GPUs, whose screen it belongs to."""

    NAME = "workload"
    DIGIT = "2"
    TABLE = "throughput"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("comma", "other(-1)", "previous workload", show=False),
        Binding("full_stop", "other(1)", "other", tooltip="next workload"),
        Binding("enter", "open_process", "process", tooltip="its root process"),
        Binding("y", "copy", "copy what would give its numbers, else its name, model and address", show=False),
        Binding("space", "app.pause", "keep this picture; the recording goes on", show=False),
    ]

    def draw(self, context: Context) -> Sheet:
        """With the key of its finding where there is one."""
        view = context.view
        work = chosen(context, view) if view is not None else None
        if view is not None and work is not None and finding_of(view, work) is not None:
            context = replace(context, keys=(*context.keys, ("4", "finding")))
        return super().draw(context)

    def body(self, sheet: Sheet, context: Context) -> None:
        """By what it tells: the panels of a server or of a training, or why there are none."""
        view, look = context.view, context.look
        assert view is not None
        if not (view.past or view.recording.begun):
            draw_starting(sheet, context, view)
            return
        work = chosen(context, view)
        if work is None:
            box(sheet, 1, context.height - 2, "Workload")
            sheet.put(3, 4, GONE[: context.width - 8], look.fg)
            return
        server, detail = work.inference, answer(context, work)
        training = work.training if server is None else None
        if training is not None:
            draw_training_title(sheet, context, view, work, training)
            if not tells_steps(training):
                draw_silent(sheet, context, view, work, detail)
            elif is_narrow(context):
                draw_training_narrow(sheet, context, view, work, training, detail)
            else:
                draw_training(sheet, context, view, work, training, detail)
            return
        draw_title(sheet, context, view, work)
        if server is None or not ever_told(server):
            draw_silent(sheet, context, view, work, detail)
        elif is_narrow(context):
            draw_narrow(sheet, context, view, work, server, detail)
        else:
            draw_boxed(sheet, context, view, work, server, detail)

    def request(self) -> DetailRequest | None:
        """The last hour of the chosen workload in as many cells as this width has."""
        app = self.gpuwatch
        if app.view is None:
            return None
        context = app.context(self, app.size.width, app.size.height)
        work = chosen(context, app.view)
        return request_for(work) if work is not None else None

    def finding(self) -> FindingView | None:
        """The costliest one that explains it."""
        app = self.gpuwatch
        work = chosen(app.context(self, app.size.width, app.size.height), app.view) if app.view is not None else None
        found = finding_of(app.view, work) if app.view is not None and work is not None else None
        return found[1] if found is not None else None

    def back(self) -> bool:
        """Back to where it was opened."""
        self.gpuwatch.action_go(self.gpuwatch.ui.below_workload)
        return True

    def move(self, rows: int) -> None:
        """Down and up are the next and the previous workload."""
        self.action_other(1 if rows > 0 else -1)

    def action_other(self, step: int) -> None:
        """Another workload, around the end."""
        app = self.gpuwatch
        if app.view is None:
            return
        context = app.context(self, app.size.width, app.size.height)
        work = other(app.view, chosen(context, app.view), step)
        if work is not None:
            app.ui.workload = key_of_work(work)
            self.repaint()

    def action_open_process(self) -> None:
        """Its root process on the process screen."""
        app = self.gpuwatch
        work = chosen(app.context(self, app.size.width, app.size.height), app.view) if app.view is not None else None
        if work is not None:
            app.open_process(*root_key(work))

    def action_copy(self) -> None:
        """The hint if there is one, else name, model and address."""
        app = self.gpuwatch
        work = chosen(app.context(self, app.size.width, app.size.height), app.view) if app.view is not None else None
        if work is None or app.view is None:
            return
        server, training = work.inference, work.training
        hint = server.hint if server is not None else ""
        if training is not None and not training.attached:
            hint = attach_command(app.view, work, 400)
        host, port = address_of(work)
        address = server.url if server is not None and server.url else f"{host}:{port}" if host else port
        app.copied = hint or " ".join(word for word in (work.name, work.model, address) if word)
        app.copy_to_clipboard(app.copied)
