"""The part of the App that deals with findings whatever screen is shown: it copies a fix, and selects a finding for the waste screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch.tui.findings import fix_of, key_of
from gpuwatch.tui.waste import TABLE

if TYPE_CHECKING:
    from gpuwatch.tui.state import UiState
    from gpuwatch.view.finding_types import FindingView

NOTHING_TO_COPY = "There is nothing to copy: no finding names a first thing to try."


class Advice:
    """What screens do with a finding."""

    ui: UiState
    copied: str

    if TYPE_CHECKING:

        def copy_to_clipboard(self, text: str) -> None:
            """Textual's own."""

    def copy_fix(self, finding: FindingView | None) -> None:
        """The first thing to try against ``finding``, to the clipboard, and say so: a terminal that refuses gives no sign."""
        text = fix_of(finding) if finding is not None else ""
        self.ui.notice = NOTHING_TO_COPY
        if text:
            self.copied = text
            self.copy_to_clipboard(text)
            self.ui.notice = f"Copied, if the terminal allows it: {text}"

    def select_finding(self, finding: FindingView | None) -> None:
        """The one that the waste screen shows next; None leaves its selection as it is."""
        if finding is not None:
            self.ui.table(TABLE).selected = key_of(finding)
