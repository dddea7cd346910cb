"""Going through time: the keys that show an instant of the past, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuwatch.tui.source import Feeder
    from gpuwatch.tui.state import UiState
    from gpuwatch.view.types import View

STEP_MS = 20_000
"""One cell of the strips."""


class Journey:
    """The part of the App that moves the instant that is shown."""

    feeder: Feeder | None
    view: View | None
    ui: UiState

    def action_step(self, cells: int) -> None:
        """Go so many cells through time; past the end of the recording it is live again."""
        if self.feeder is None:
            return
        start = self.view.at_ms if self.feeder.at_ms is None and self.view is not None else self.feeder.at_ms
        if start is None:
            return
        at_ms = ((start if cells > 0 else start + STEP_MS - 1) // STEP_MS + cells) * STEP_MS
        if self.view is None:  # the first instant cannot be read: away from it
            self._go(at_ms)
            return
        recording = self.view.recording
        if recording.first_ms is None or recording.last_tick_ms is None:
            return
        if cells > 0 and at_ms >= recording.last_tick_ms:
            self.action_live()
        else:  # back from now the first stop is the end of a recording that has ended
            self._go(max(min(at_ms, recording.last_tick_ms), recording.first_ms))

    def action_live(self) -> None:
        """Back to now, or to the end of a recording that has ended."""
        if self.feeder is not None and self.feeder.at_ms is not None:
            self._go(None)

    def _go(self, at_ms: int | None) -> None:
        assert self.feeder is not None
        self.ui.signal = None  # it was asked about what another picture showed
        self.ui.paused = self.feeder.paused = False
        self.feeder.go(at_ms)
