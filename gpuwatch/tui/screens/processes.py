"""Screen 3: find one process among hundreds and see everything about it."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from gpuwatch.errors import GpuwatchError
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.process_detail import FULL_ROWS, SPAN_SECONDS, draw_detail, finding_of, place_for
from gpuwatch.tui.panels.process_list import draw_list
from gpuwatch.tui.panels.process_table import Table, choice_of, sortable, table_of
from gpuwatch.tui.panels.signal import ROWS, SIGNALS, draw_signal, name_of
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.state import Context, SignalDialog
from gpuwatch.tui.workloads import key_of_work, work_of
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import DetailRequest, ProcessHistory, ProcessView, View

LEAST_TABLE = 10
"""Rows that the table keeps beside the detail pane."""


class ProcessesScreen(PanelScreen):
    """The table, the selected process below it, and the signal dialog in its place."""

    NAME = "Procs"
    DIGIT = "3"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "detail", tooltip="the selected process alone; once more: its workload"),
        Binding("slash", "app.open_filter", "filter", tooltip="rows whose user, command, pid, job or gpu (gpu2) has all the words"),
        Binding("t", "flat", "flat", tooltip="processes under their parents, or flat"),
        Binding("s", "app.cycle_sort", "sort", tooltip="sort by the next column"),
        Binding("less_than_sign", "column(-1)", "sort by the column to the left", show=False),
        Binding("greater_than_sign", "column(1)", "sort by the column to the right", show=False),
        Binding("r", "app.reverse", "reverse the order", show=False),
        Binding("f", "fold", "fold", tooltip="more than eight equal children in one row, or each on its own"),
        Binding("u", "only_user", "only the selected row's user, or all", show=False),
        Binding("a", "app.toggle_all", "all watched processes, or those that work with a GPU", show=False),
        Binding("K", "signal", "signal", tooltip="send TERM, INT or KILL to the selected process; asks first", key_display="K"),
        Binding("y", "copy", "copy the selected row", show=False),
        Binding("space", "app.pause", "keep this picture; the recording goes on", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._kept: tuple[object, ...] = ()
        self._table: Table | None = None

    # ---------------------------------------------------------------------------------------------------- drawing

    def body(self, sheet: Sheet, context: Context) -> None:
        """The table, and below it from 100 columns on the selected process; it alone when it was opened."""
        view, ui = context.view, context.ui
        assert view is not None
        table = self.table(context, view)
        last = context.height - 2
        if ui.notice:
            sheet.put(last, 1, cut(ui.notice, context.width - 2), context.look.amber)
            last -= 1
        dialog_top = last + 1 - ROWS if ui.signal is not None else last + 1
        pane = _pane_rows(context)
        boxed = context.width >= 100
        if ui.open_process and (alone := selected(context, view, table)) is not None:
            ui.table("processes").settle([row.key for row in table.rows], ui.table("processes").page)
            draw_detail(sheet, context, view, alone, history(context, alone), 1, dialog_top - 1)
        elif ui.signal is not None:
            draw_list(sheet, context, view, table, 1, dialog_top - 1)
        elif boxed and pane:
            draw_list(sheet, context, view, table, 1, last - pane)
            process = selected(context, view, table)
            if process is not None:
                draw_detail(sheet, context, view, process, history(context, process), last + 1 - pane, last)
            else:
                box(sheet, last + 1 - pane, last, "No process selected")
        else:
            draw_list(sheet, context, view, table, 1, last)
        if ui.signal is not None:
            draw_signal(sheet, context, ui.signal, dialog_top)

    def table(self, context: Context, view: View) -> Table:
        """The rows for what is chosen; built once for a View, since moving the selection changes none."""
        key = (view, choice_of(context), context.ui.user)
        if self._table is None or self._kept[0] is not view or self._kept[1:] != key[1:]:
            self._kept, self._table = key, table_of(view, choice_of(context), context.ui.user)
        return self._table

    def request(self) -> DetailRequest | None:
        """The last half hour of the selected process, where its pane is shown."""
        app = self.gpuwatch
        if app.view is None:
            return None
        context = app.context(self, app.size.width, app.size.height)
        if not (app.ui.open_process or _pane_rows(context)):
            return None
        process = selected(context, app.view, self.table(context, app.view))
        return request_for(context, process) if process is not None else None

    # ------------------------------------------------------------------------------------------------------- keys

    def on_key(self, event: events.Key) -> None:
        """The dialog takes every key while it is open; any key takes the last notice away."""
        ui = self.gpuwatch.ui
        if ui.signal is not None:
            event.stop()
            event.prevent_default()
            if event.key in ("up", "k", "down", "j"):
                ui.signal.choice = (ui.signal.choice + (1 if event.key in ("down", "j") else -1)) % len(SIGNALS)
            elif event.key == "y":
                ui.notice, ui.signal = self.send(ui.signal), None
            elif event.key in ("escape", "n", "q", "K"):
                ui.signal = None
            self.repaint()
            return
        ui.notice = ""
        super().on_key(event)

    def send(self, dialog: SignalDialog) -> str:
        """Send the chosen signal; returns what happened in one line."""
        number = SIGNALS[dialog.choice][0]
        send = self.gpuwatch.options.signal
        if send is None:
            return _off(self.gpuwatch.options.signal_off)
        try:
            send(dialog.pid, dialog.start_ms, number)
        except GpuwatchError as error:
            return f"Nothing sent: {error}"
        return f"{name_of(number)} sent to pid {dialog.pid}"

    def finding(self) -> FindingView | None:
        """The costliest one that names the selected process or one below it, or its GPUs."""
        view, process = self.gpuwatch.view, self._chosen()
        found = finding_of(view, process) if view is not None and process is not None else None
        return found[1] if found is not None else None

    def back(self) -> bool:
        """Close the dialog, else the opened process, else show all users again."""
        ui = self.gpuwatch.ui
        if ui.signal is not None:
            ui.signal = None
        elif ui.open_process:
            ui.open_process = False
        elif ui.user and not (ui.filter or ui.filter_open):
            ui.user = ""
        else:
            return False
        return True

    def action_open(self) -> None:
        """The selected process alone; then its workload, or the table again where it has none."""
        app, process = self.gpuwatch, self._chosen()
        if app.ui.open_process and app.view is not None and process is not None:
            work = work_of(app.view, process.pid, process.start_ms)
            if work is not None:
                app.open_workload(key_of_work(work))
                return
        app.ui.open_process = not app.ui.open_process
        self.repaint()

    def action_flat(self) -> None:
        """With or without the tree."""
        self.gpuwatch.ui.flat = not self.gpuwatch.ui.flat
        self.repaint()

    def action_fold(self) -> None:
        """Many equal children in one row, or each on its own."""
        self.gpuwatch.ui.unfolded = not self.gpuwatch.ui.unfolded
        self.repaint()

    def action_column(self, step: int) -> None:
        """Sort by the column beside the present one."""
        ui = self.gpuwatch.ui
        names = sortable(self.app.size.width)
        at = names.index(ui.sort) if ui.sort in names else 0
        ui.sort, ui.reverse = names[(at + step) % len(names)], False
        self.repaint()

    def action_only_user(self) -> None:
        """Only the selected row's user; once more: all."""
        ui = self.gpuwatch.ui
        process = self._chosen()
        ui.user = "" if ui.user else process.user if process is not None else ""
        self.repaint()

    def action_copy(self) -> None:
        """The selected process as text to the clipboard, and say so: a terminal that refuses gives no sign."""
        app = self.gpuwatch
        app.action_copy_row()
        app.ui.notice = f"Copied, if the terminal allows it: {app.copied}" if app.copied else ""
        self.repaint()

    def action_signal(self) -> None:
        """Ask which signal to send, or say why none can be sent."""
        app = self.gpuwatch
        process = self._chosen()
        if app.view is not None and app.view.past:
            app.ui.notice = _off("Signals are off: this is the past.")
        elif app.options.signal is None or app.ui.read_only:
            app.ui.notice = _off(app.options.signal_off)
        elif process is None:
            app.ui.notice = "No process is selected."
        elif not process.start_known:
            app.ui.notice = f"No signal to pid {process.pid}: its start time is not known, so it could be another one."
        else:
            app.ui.signal = SignalDialog(
                process.pid, process.start_ms, process.start_known, process.user, process.command or process.name
            )
        self.repaint()

    def _chosen(self) -> ProcessView | None:
        app = self.gpuwatch
        if app.view is None:
            return None
        context = app.context(self, app.size.width, app.size.height)
        return selected(context, app.view, self.table(context, app.view))


def _off(why: str) -> str:
    return why or "Signals are off: gpuwatch runs as root or with --read-only."


def selected(context: Context, view: View, table: Table) -> ProcessView | None:
    """The process whose row is selected, or will be when the table is drawn next."""
    state = context.ui.table("processes")
    if isinstance(state.selected, tuple):
        found = next((p for p in view.processes if (p.pid, p.start_ms) == state.selected[:2]), None)
        if found is not None and not state.move:
            return found
    if not table.rows:
        return None
    return table.rows[max(0, min(len(table.rows) - 1, state.index + state.move))].process


def request_for(context: Context, process: ProcessView) -> DetailRequest:
    """What the pane wants to know about ``process``."""
    cells = place_for(context.width).cells
    return DetailRequest(cells=cells, cell_seconds=SPAN_SECONDS // cells, process=(process.pid, process.start_ms))


def history(context: Context, process: ProcessView) -> ProcessHistory | None:
    """The past of ``process`` if it is what was answered last."""
    detail = context.detail
    return detail.process if detail is not None and detail.request == request_for(context, process) else None


def _pane_rows(context: Context) -> int:
    """Rows of the pane under the table; 0 where there is no room for it."""
    if context.width < 100:
        return 0
    rest = context.height - 2 - LEAST_TABLE
    if rest >= FULL_ROWS + 8:
        return FULL_ROWS + 2
    return FULL_ROWS if rest >= FULL_ROWS else rest if rest >= 10 else 0
