"""Screen 3: find one process among hundreds and see everything about it (design 6)."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType

from gpuwatch.errors import GpuwatchError
from gpuwatch.tui.draw.frame import box, words_width
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.process_detail import FULL_ROWS, SPAN_SECONDS, draw_detail, place_for
from gpuwatch.tui.panels.process_table import Table, choice_of, columns_for, draw_heads, draw_rows, sortable, table_of
from gpuwatch.tui.panels.processes import empty_text
from gpuwatch.tui.panels.signal import ROWS, SIGNALS, draw_signal, name_of
from gpuwatch.tui.rows import SORTS
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.state import Context, SignalDialog
from gpuwatch.view.types import DetailRequest, ProcessHistory, ProcessView, View

Words = list[tuple[str, Style]]
LEAST_TABLE = 10
"""Rows that the table keeps beside the detail pane."""


class ProcessesScreen(PanelScreen):
    """The table, the selected process below it, and the signal dialog in its place."""

    NAME = "Procs"
    DIGIT = "3"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "detail", tooltip="the selected process alone"),
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
            _table(sheet, context, view, table, 1, dialog_top - 1)
        elif boxed and pane:
            _table(sheet, context, view, table, 1, last - pane)
            process = selected(context, view, table)
            if process is not None:
                draw_detail(sheet, context, view, process, history(context, process), last + 1 - pane, last)
            else:
                box(sheet, last + 1 - pane, last, "No process selected")
        else:
            _table(sheet, context, view, table, 1, last)
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
        """The selected process alone, or the table again."""
        self.gpuwatch.ui.open_process = not self.gpuwatch.ui.open_process
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

    def action_signal(self) -> None:
        """Ask which signal to send, or say why none can be sent."""
        app = self.gpuwatch
        process = self._chosen()
        if app.options.signal is None or app.ui.read_only:
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


# ------------------------------------------------------------------------------------------------------------ the table


def _table(sheet: Sheet, context: Context, view: View, table: Table, top: int, bottom: int) -> None:
    """Filter, heads and rows between ``top`` and ``bottom`` (inclusive)."""
    look, ui = context.look, context.ui
    boxed = context.width >= 100
    filtered = bool(ui.filter_open or ui.filter)
    if boxed and filtered and bottom - top >= 12:
        note = f"{table.matching} of {len(view.processes)} match · with their workers; grey rows are parents"
        box(sheet, top, top + 2, "Filter", note=[(note if ui.filter else "type words", look.dim)])
        _filter(sheet, context, top + 1, 2)
        top, filtered = top + 3, False
    columns = columns_for(context.width)
    if boxed:
        box(sheet, top, bottom, _title(context), note=_note(context, view), foot=[(_foot(context), look.dim)])
    y, left = (top + 1, 2) if boxed else (top, 0)
    if filtered:
        _filter(sheet, context, y, left)
        y += 1
    draw_heads(sheet, y, columns, context)
    if not boxed:
        sheet.ground(y, 0, context.width - 1, "bar")
    end = bottom if boxed else bottom + 1
    if not draw_rows(sheet, context, table, columns, y + 1, end):
        sheet.put(y + 1, left, cut(_nothing(context, view), context.width - 2 * left), look.fg)


def _filter(sheet: Sheet, context: Context, y: int, x: int) -> None:
    look, ui = context.look, context.ui
    hint = "user, command, pid, job or gpu2; all words · Enter keeps · Esc clears" if ui.filter_open else "Esc clears"
    room = context.width - 2 * x - 2
    at = sheet.words(y, x, [("/ ", look.title), (cut(ui.filter, room - 4), look.white)])
    if ui.filter_open:
        at = sheet.put(y, at, " ", look.fill("ink", "acc"))
    if at + 3 + len(hint) <= context.width - x:
        sheet.put(y, at + 3, hint, look.dim)


def _title(context: Context) -> str:
    ui = context.ui
    words = ["Processes", *([] if ui.flat else ["tree"]), *([cut(ui.user, 20)] if ui.user else [])]
    return " · ".join(words)


def _note(context: Context, view: View) -> Words:
    look = context.look
    if view.recording.simulated:
        return [("SIMULATED", look.amber)]
    return [(f"only {cut(context.ui.user, 20)}, u shows all", look.dim)] if context.ui.user else []


def _foot(context: Context) -> str:
    ui, look = context.ui, context.look
    arrow = look.glyphs.down if SORTS[ui.sort][2] != ui.reverse else look.glyphs.up
    parts = [f"sort {SORTS[ui.sort][0]} {arrow}"]
    if not ui.flat:
        parts.append("a row includes the rows below it")
    parts += [f"t {'tree' if ui.flat else 'flat'}", "a GPU only" if ui.show_all else "a all"]
    text = " · ".join(parts)
    return text if words_width([(text, look.dim)]) < context.width - 10 else parts[0]


def _nothing(context: Context, view: View) -> str:
    if context.ui.user and not context.ui.filter:
        return f"No process of {cut(context.ui.user, 20)} works with a GPU. u shows all users."
    return empty_text(context, view)
