"""Opening what a selected row stands for: a process, or the workload that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch.tui.screens.registry import WORKLOAD
from gpuwatch.tui.workloads import find, key_of_work, work_of

if TYPE_CHECKING:
    from gpuwatch.tui.state import UiState
    from gpuwatch.view.types import View


class Opening:
    """The part of the App that goes from a row to the screen of what it shows."""

    view: View | None
    ui: UiState

    def action_go(self, digit: str) -> None:
        """Switch to a screen."""
        raise NotImplementedError

    def shown_digit(self) -> str:
        """The digit of the screen that is shown."""
        raise NotImplementedError

    def open_process(self, pid: int, start_ms: int) -> None:
        """Show one process on its screen, whatever was filtered there."""
        ui = self.ui
        table = ui.table("processes")
        process = next((p for p in self.view.processes if (p.pid, p.start_ms) == (pid, start_ms)), None) if self.view else None
        if process is None:
            return
        ui.filter, ui.filter_open, ui.user, ui.show_all, ui.open_process = "", False, "", True, True
        table.selected = (pid, start_ms, process.holds[0].gpu_uuid if process.holds else "")
        self.action_go("3")

    def open_workload(self, key: object) -> None:
        """Show one workload; Esc comes back to the screen that is shown now."""
        work = find(self.view, key) if self.view is not None else None
        if work is None:
            return
        self.ui.workload, self.ui.below_workload = key_of_work(work), self.shown_digit()
        self.action_go(WORKLOAD)

    def open_work_or_process(self, pid: int, start_ms: int) -> None:
        """A process of a server or of a training: that; any other one: the process."""
        work = work_of(self.view, pid, start_ms) if self.view is not None else None
        if work is not None and (work.inference is not None or work.training is not None):
            self.open_workload(key_of_work(work))
        else:
            self.open_process(pid, start_ms)
