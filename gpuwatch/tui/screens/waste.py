"""Screen 4: what to do first, and why to believe it."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from gpuwatch.errors import GpuwatchError
from gpuwatch.tui import findings
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.options import MuteWish
from gpuwatch.tui.panels.starting import draw_starting
from gpuwatch.tui.panels.waste_advice import mute_keys, mute_words
from gpuwatch.tui.panels.waste_finding import draw_finding, draw_finding_narrow
from gpuwatch.tui.panels.waste_list import draw_open, draw_open_narrow, narrow_rows
from gpuwatch.tui.panels.waste_manual import draw_manual
from gpuwatch.tui.panels.waste_resolved import draw_resolved, draw_resolved_narrow
from gpuwatch.tui.panels.waste_unjudged import draw_unjudged, draw_unjudged_narrow
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.state import Context, ManualPage
from gpuwatch.tui.waste import TABLE, Listed, is_narrow, left_width, listed, request_for, selected
from gpuwatch.tui.workloads import key_of_work, work_of
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import DetailRequest, View

HOUR_MS = 3_600_000
SPANS: dict[str, tuple[int | None, str]] = {
    "h": (HOUR_MS, "for 1 hour"),
    "d": (24 * HOUR_MS, "for 24 hours"),
    "f": (None, "for ever"),
}


class WasteScreen(PanelScreen):
    """The open findings, what came of older ones, what was not judged; and the selected finding with all that is known of it."""

    NAME = "Waste"
    DIGIT = "4"
    TABLE = TABLE
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "GPU", tooltip="the finding where the list has its own screen; then its workload, process or GPU"),
        Binding("x", "copy", "copy", tooltip="copy the first thing to try"),
        Binding(
            "m", "mute", "mute", tooltip="do not tell it: for 1 hour, for 24 hours, of this command, for ever; or tell it again"
        ),
        Binding("M", "muted", "list muted findings too", show=False),
        Binding("e", "explain", "explain", tooltip="the manual page of its rule"),
        Binding("space", "app.pause", "keep this picture; the recording goes on", show=False),
    ]

    def body(self, sheet: Sheet, context: Context) -> None:
        """By width: the list and a finding side by side from 100 columns on."""
        view, ui = context.view, context.ui
        assert view is not None
        if not (view.past or view.recording.begun):
            draw_starting(sheet, context, view)
            return
        if ui.manual is not None:
            draw_manual(sheet, context, ui.manual)
            return
        bottom = context.height - 1
        if ui.notice:
            bottom -= 1
            sheet.put(bottom, 1, cut(ui.notice, context.width - 2), context.look.amber)
        found = selected(context, view)
        if is_narrow(context):
            if ui.mute_asked and found is not None and not ui.open_finding:
                bottom -= 1
                words = mute_words(context, found.finding, context.width, muted=found.rank == 0, asked=True)
                sheet.words(bottom, 0, words)
            _narrow(sheet, context, view, found, bottom)
        else:
            _boxed(sheet, context, view, bottom)

    def request(self) -> DetailRequest | None:
        """What rules say, and the course of the selected finding."""
        app = self.gpuwatch
        return request_for(app.context(self, app.size.width, app.size.height), app.view) if app.view is not None else None

    def footer_keys(self) -> tuple[tuple[str, str], ...]:
        """With the keys that select."""
        return (("↑↓", "select"), *super().footer_keys())

    # ------------------------------------------------------------------------------------------------------- keys

    def on_key(self, event: events.Key) -> None:
        """The mute prompt takes every key while it is open; any key takes the last notice away."""
        ui = self.gpuwatch.ui
        ui.notice = ""
        if not ui.mute_asked:
            super().on_key(event)
            return
        event.stop()
        event.prevent_default()
        found = self._chosen()
        if found is None or event.key in ("escape", "m", "q"):
            ui.mute_asked = False
        elif event.key in [key for key, _ in mute_keys(found.finding, muted=found.rank == 0)]:
            ui.mute_asked = False
            ui.notice = self.send(found.finding, event.key)
        self.repaint()

    def send(self, finding: FindingView, key: str) -> str:
        """Mute the finding (or tell it again) as ``key`` of the prompt says; returns what happened in one line."""
        app, name = self.gpuwatch, finding.name or finding.rule
        mute, view = app.options.mute, app.view
        if mute is None or view is None:
            return _off(app.options.mute_off)
        if key == "u":
            wish, said = MuteWish(finding.rule, finding.subject, finding.command, lift=True), f"{name} is told again."
        elif key == "c":
            wish, said = MuteWish(finding.rule, command=finding.command), f"Muted: {name} of {finding.command}. M lists it."
        else:
            length, word = SPANS[key]
            until = None if length is None else view.now_ms + length
            wish, said = MuteWish(finding.rule, finding.subject, until_ms=until), f"Muted {word}: {name}. M lists it."
        try:
            mute(wish)
        except GpuwatchError as error:
            return f"Nothing muted: {error}"
        return said

    def back(self) -> bool:
        """Close the prompt, the manual page, or the finding that covers the list."""
        ui = self.gpuwatch.ui
        if ui.mute_asked:
            ui.mute_asked = False
        elif ui.manual is not None:
            ui.manual = None
        elif ui.open_finding and self._is_narrow():
            ui.open_finding = False
        else:
            return False
        return True

    def move(self, rows: int) -> None:
        """Scroll the manual page, else select another finding."""
        page = self.gpuwatch.ui.manual
        if page is not None:
            page.top = max(0, page.top + rows)
            self.repaint()
        else:
            super().move(rows)

    def action_open(self) -> None:
        """The finding where the list has the screen; then the workload or the process that it names, else its GPU."""
        app, found = self.gpuwatch, self._chosen()
        if app.view is None or found is None or app.ui.manual is not None:
            return
        if self._is_narrow() and not app.ui.open_finding:
            app.ui.open_finding = True
            self.repaint()
            return
        finding, view = found.finding, app.view
        named = [process for process in view.processes if process.pid in finding.pids]
        works = [work_of(view, process.pid, process.start_ms) for process in named]
        work = next((work for work in works if work is not None and (work.inference or work.training)), None)
        position = next(
            (i for i, gpu in enumerate(view.gpus) if gpu.gpu_index in finding.gpu_indices and not gpu.parent_uuid), None
        )
        if work is not None:
            app.open_workload(key_of_work(work))
        elif position is not None:
            app.ui.gpu = position
            app.action_go("2")
        elif named:
            app.open_process(named[0].pid, named[0].start_ms)

    def action_copy(self) -> None:
        """The first thing to try, to the clipboard."""
        app, found = self.gpuwatch, self._chosen()
        app.copy_fix(found.finding if found is not None else None)
        self.repaint()

    def action_mute(self) -> None:
        """Ask for how long, or say why nothing can be muted."""
        app = self.gpuwatch
        if app.ui.manual is not None:
            return
        if app.view is not None and app.view.past:
            app.ui.notice = _off("Muting is off: this is the past.")
        elif app.options.mute is None:
            app.ui.notice = _off(app.options.mute_off)
        elif self._chosen() is None:
            app.ui.notice = "There is no finding to mute."
        else:
            app.ui.mute_asked = True
        self.repaint()

    def action_muted(self) -> None:
        """With or without the muted ones."""
        self.gpuwatch.ui.show_muted = not self.gpuwatch.ui.show_muted
        self.repaint()

    def action_explain(self) -> None:
        """The manual page of the selected finding's rule."""
        app, found = self.gpuwatch, self._chosen()
        if app.ui.manual is not None:
            app.ui.manual = None
        elif found is not None:
            rule, explain = found.finding.rule, app.options.explain
            text = explain(rule) if explain is not None else ""
            if text:
                app.ui.manual = ManualPage(rule, text)
            else:
                app.ui.notice = f"There is no manual page of {rule} here. See: gpuwatch explain {rule}"
        self.repaint()

    def _is_narrow(self) -> bool:
        app = self.gpuwatch
        return is_narrow(app.context(self, app.size.width, app.size.height))

    def _chosen(self) -> Listed | None:
        app = self.gpuwatch
        return selected(app.context(self, app.size.width, app.size.height), app.view) if app.view is not None else None


def _off(why: str) -> str:
    return why or "Muting is off here."


def _boxed(sheet: Sheet, context: Context, view: View, bottom: int) -> None:
    """Three panels at the left in fixed shares of the height, the finding at the right of them."""
    rows = bottom - 1
    right = left_width(context.width) - 1
    resolved = max(4, min(15, rows * 9 // 38))
    opened = max(7, rows * 13 // 38 // 2 * 2 + 1)
    draw_open(sheet, context, view, 1, opened, right)
    draw_resolved(sheet, context, view, 1 + opened, resolved, right)
    draw_unjudged(sheet, context, 1 + opened + resolved, rows - opened - resolved, right)
    draw_finding(sheet, context, view, selected(context, view), 1, rows, right + 1)


def _narrow(sheet: Sheet, context: Context, view: View, found: Listed | None, bottom: int) -> None:
    """The finding alone where it was opened; else the list with what came of older ones and what was not judged below it."""
    if context.ui.open_finding and found is not None:
        # The list is settled all the same: its keys select the next finding here too.
        keys = [findings.key_of(row.finding) for row in listed(context, view)]
        context.ui.table(TABLE).settle(keys, 1)
        draw_finding_narrow(sheet, context, view, selected(context, view) or found, 1, bottom)
        return
    rows = bottom - 1
    opened = narrow_rows(context, view, max(3, rows - 8))
    draw_open_narrow(sheet, context, view, 1, 1 + opened)
    rest = rows - opened
    if rest >= 4:
        resolved = max(2, min(rest - 4, 1 + rest // 3)) if rest >= 6 else 0
        if resolved:
            draw_resolved_narrow(sheet, context, view, 1 + opened, 1 + opened + resolved)
        draw_unjudged_narrow(sheet, context, 1 + opened + resolved, bottom)
