"""The first picture, drawn before Textual is imported: values stand on the screen in half the time.

Textual takes the picture over as it stands: its driver must not enter the alternate screen a second time, which would clear it.
Until then whatever ends the program leaves the terminal as it was.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from gpuwatch.tui.options import TuiOptions
from gpuwatch.tui.palette import ColorTier, Look
from gpuwatch.tui.source import Feeder, has_values
from gpuwatch.tui.state import CELLS, WIDE, WIDE_CELLS, Context, UiState
from gpuwatch.view.types import View

ALTERNATE = "\x1b[?1049h"
ENTER, LEAVE = ALTERNATE + "\x1b[?25l", "\x1b[?25h\x1b[?1049l"
WAIT_SECONDS = 1.5
"""So long is waited for values; a recorder that starts with the screen needs a third of it."""
WAIT_ON_SECONDS = 0.4
"""So long at most once something is recorded: a host without GPUs, or a driver that does not answer."""


class FirstPicture:
    """A context around the import and the life of Textual: restores the terminal if Textual never came to own it.

    Within, SIGTERM ends the program by way of ``__exit__`` and SIGHUP after a flush, until Textual's loop handles both.
    """

    def __init__(self, options: TuiOptions, tier: ColorTier) -> None:
        self._options = options
        self._look = Look(tier, ascii_only=options.ascii_only)
        self.stands = False
        """The picture is on the alternate screen, and nobody else has it yet."""
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._handlers = {number: signal.signal(number, self._end) for number in (signal.SIGTERM, signal.SIGHUP)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self.taken_over():
            _write(LEAVE)

    def taken_over(self) -> bool:
        """Whether the picture stood until now; from here on the terminal belongs to the caller."""
        stood, self.stands = self.stands, False
        return stood

    def show(self, feeder: Feeder) -> None:
        """Wait a moment for values and draw them; without a View, or without a terminal that tells its size, do nothing."""
        try:
            width, height = os.get_terminal_size(sys.__stderr__.fileno() if sys.__stderr__ else 2)
        except OSError:
            return
        if width < 1 or height < 1:
            return
        feeder.cells = WIDE_CELLS if width >= WIDE else CELLS
        view = first_view(feeder)
        if view is not None:
            self.stands = True
            _write(ENTER + self._frame(view, width, height) + "\x1b[H")

    def _frame(self, view: View, width: int, height: int) -> str:
        from gpuwatch.tui.painter import COLOR_SYSTEMS, Painter
        from gpuwatch.tui.panels.overview import draw_overview
        from gpuwatch.tui.panels.page import draw_page

        options = self._options
        ui = UiState(interval=options.interval, read_only=options.read_only)
        sheet = draw_page(Context(view, width, height, self._look, ui, options.tz), draw_overview)
        return Painter(COLOR_SYSTEMS[self._look.tier]).whole(sheet.cells(y) for y in range(height))

    def _end(self, number: int, _: object) -> None:
        if number == signal.SIGHUP:  # the terminal is gone: nothing can be restored
            if self._options.on_hangup is not None:
                self._options.on_hangup()
            os._exit(128 + number)
        raise SystemExit(128 + number)


@contextmanager
def not_stopped() -> Iterator[None]:
    """Within, ctrl+z does nothing: a shell must not find itself on the alternate screen."""
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)


def first_view(feeder: Feeder) -> View | None:
    """The first View with values; None when none is to be expected soon."""
    clock = feeder.clock
    end_ns, recorded = clock.monotonic_ns() + round(WAIT_SECONDS * 1e9), False
    while (left_ns := end_ns - clock.monotonic_ns()) > 0:
        feeder.offered.clear()
        view, problem = feeder.peek() or (None, "")
        if problem:
            return None
        if view is not None and has_values(view):
            return view
        if view is not None and view.recording.begun and not recorded:
            recorded = True
            end_ns = min(end_ns, clock.monotonic_ns() + round(WAIT_ON_SECONDS * 1e9))
            continue
        clock.wait(feeder.offered, left_ns / 1e9)
    return None


def _write(text: str) -> None:
    stream = sys.__stderr__
    if stream is not None:
        stream.write(text)
        stream.flush()
