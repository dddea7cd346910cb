"""Everything that touches what Textual does not promise, in one place, so that an upgrade can break only this file.

A terminal that reads slowly fills Textual's writer queue (30 items) and then blocks the event loop. Drawing is skipped while the
queue holds more than a frame, so keys keep their answer. If the private names are gone there is no guard, and a test says so.
"""

from __future__ import annotations

from typing import Any

from textual.app import App
from textual.screen import Screen

MOST_WAITING = 4
"""Items in the queue above which no new frame is drawn; one frame is three items (begin, lines, end)."""


def waiting_writes(app: App[Any]) -> int | None:
    """How many writes wait for the terminal; ``None`` where that cannot be known."""
    thread = getattr(getattr(app, "_driver", None), "_writer_thread", None)
    queue = getattr(thread, "_queue", None)
    return int(queue.qsize()) if queue is not None else None


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
