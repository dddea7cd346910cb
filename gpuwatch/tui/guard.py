"""Everything that touches what Textual does not promise, in one place, so that an upgrade can break only this file.

A terminal that reads slowly fills Textual's writer queue (30 items) and then blocks the event loop. Drawing is skipped while the
queue holds more than a frame, so keys keep their answer. Periodic pictures go to the same queue as one item, past Textual's
compositor. If the private names are gone there is no guard and Textual paints everything; a test says so.
"""

from __future__ import annotations

from typing import Any

from rich.color import ColorSystem
from textual.app import App
from textual.screen import Screen
from textual.widget import Widget

from gpuwatch.tui.painter import COLOR_SYSTEMS

MOST_WAITING = 4
"""Items in the queue above which no new frame is drawn; one frame is three items (begin, lines, end)."""


def waiting_writes(app: App[Any]) -> int | None:
    """How many writes wait for the terminal; ``None`` where that cannot be known."""
    thread = getattr(getattr(app, "_driver", None), "_writer_thread", None)
    queue = getattr(thread, "_queue", None)
    return int(queue.qsize()) if queue is not None else None


SYNC_BEGIN, SYNC_END = "\x1b[?2026h", "\x1b[?2026l"
SYNC_ABOVE = 256
"""Characters of a frame up to which it reaches a terminal in one piece anyway."""


def lies_bare(widget: Widget) -> bool:
    """Whether ``widget`` fills the shown screen, nothing lies over it and Textual holds no picture back; no where that is not known."""
    app, screen = widget.app, widget.screen
    seen = getattr(getattr(screen, "_compositor", None), "visible_widgets", None)
    if seen is None or getattr(app, "_batch_count", True) or app.screen is not screen or not widget.is_attached:
        return False
    return set(seen) == {screen, widget} and seen[widget][0] == screen.size.region


def paint_once(screen: Screen[Any]) -> None:
    """After a batch: the layout that is still asked for paints everything; without one ask for a painting."""
    if getattr(screen, "_layout_required", False):
        screen.check_idle()
    else:
        screen.refresh()


class DrawGuard:
    """Says when a frame may be drawn and when the link is slow."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._skipped = 0
        self.suspended = False

    @property
    def slow_link(self) -> bool:
        """More frames were skipped than drawn lately, by three at least."""
        return self._skipped >= 3

    def may_draw(self) -> bool:
        """Whether a frame may be drawn now."""
        if self.suspended:
            return False
        waiting = waiting_writes(self._app)
        if waiting is not None and waiting > MOST_WAITING:
            self._skipped = min(10, self._skipped + 1)
            return False
        self._skipped = max(0, self._skipped - 1)
        return True


class Link:
    """The short way to the terminal, for a widget whose cells are known (``tui.painter``)."""

    def __init__(self, app: App[Any], guard: DrawGuard) -> None:
        self._app = app
        self._guard = guard

    @property
    def colors(self) -> ColorSystem | None:
        """The terminal's, as Textual found it; None for no colours."""
        return None if self._app.no_color else COLOR_SYSTEMS.get(self._app.console.color_system or "")

    def free(self, widget: Widget) -> bool:
        """Whether what is written now lands on ``widget`` and nowhere else."""
        app = self._app
        driver = getattr(app, "_driver", None)
        if driver is None or self._guard.suspended or app.is_headless or app.is_inline or not app.is_running:
            return False
        waiting = waiting_writes(app)
        # A filter changes colours on Textual's way; without colours there is nothing left for it to change.
        return waiting is not None and waiting <= MOST_WAITING and not _filtered(app) and lies_bare(widget)

    def write(self, frame: str) -> None:
        """Send ``frame`` in one piece; what is long the terminal shows at once where it can."""
        if not frame:
            return
        x, y = self._app.cursor_position
        home = f"\x1b[{y + 1};{x + 1}H" if x or y else "\x1b[H"
        if len(frame) > SYNC_ABOVE and getattr(self._app, "_sync_available", False):
            frame, home = SYNC_BEGIN + frame, home + SYNC_END
        driver = getattr(self._app, "_driver", None)
        if driver is not None:
            driver.write(frame + home)


def _filtered(app: App[Any]) -> bool:
    return any(type(each).__name__ not in ("NoColor", "Monochrome") for each in app.get_line_filters())
