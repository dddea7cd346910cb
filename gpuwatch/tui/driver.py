"""Textual's driver for Linux, on a terminal on which the first picture stands already, and asleep until there is a key.

Textual looks ten times a second whether it should end, which costs as much as a fifth of all that the screen does. Here whoever
ends the thread wakes it. The private names that this needs are Textual's; without them its own loop runs, and a test says so.
"""

from __future__ import annotations

import os
import select
import threading
from codecs import getincrementaldecoder
from typing import Any, ClassVar

from textual import constants
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from gpuwatch.tui.early import ALTERNATE, FirstPicture

LOOK_SECONDS = 0.1
"""While a key may not be complete (Esc, or the begin of a sequence?) time is looked at as often as Textual does."""
SETTLED_SECONDS = max(0.5, 3 * constants.ESCAPE_DELAY)
"""After this long without input no key is incomplete."""
READ_BYTES = 4096


class WakingEvent(threading.Event):
    """An event that a ``select`` can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Readable while the event is set."""
        return self._descriptor

    def set(self) -> None:
        """Set it and end every ``select``."""
        super().set()
        os.eventfd_write(self._descriptor, 1)

    def clear(self) -> None:
        """Take it back."""
        super().clear()
        try:
            os.eventfd_read(self._descriptor)
        except BlockingIOError:
            pass  # it was not set


class TakingOver(LinuxDriver):
    """Does not enter the alternate screen again where the first picture did: terminals clear it then."""

    picture: ClassVar[FirstPicture | None] = None

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.exit_event = WakingEvent()

    def write(self, data: str) -> None:
        """To the terminal, but for that one sequence."""
        if data == ALTERNATE and self.picture is not None and self.picture.taken_over():
            return
        super().write(data)

    def run_input_thread(self) -> None:
        """Read keys until the exit event is set; asleep while there are none."""
        bell = self.exit_event
        if not isinstance(bell, WakingEvent):
            super().run_input_thread()
            return
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")().decode
        looks = 0
        try:
            while not bell.is_set():
                ready = select.select([self.fileno, bell], [], [], LOOK_SECONDS if looks else None)[0]
                looks = round(SETTLED_SECONDS / LOOK_SECONDS) if self.fileno in ready else max(0, looks - 1)
                self._feed(parser, decode, ready, final=False)
            # What comes late, as answers of a terminal do, must not become a command in the shell.
            self._feed(parser, decode, select.select([self.fileno], [], [], LOOK_SECONDS)[0], final=True)
        finally:
            try:
                list(parser.feed(""))
            except EOFError:
                pass

    def _feed(self, parser: XTermParser, decode: Any, ready: list[Any], *, final: bool) -> None:
        if self.fileno in ready:
            text = decode(os.read(self.fileno, READ_BYTES), final=final)
            if text:  # empty: a part of a character, or the end of what is not a terminal
                for message in parser.feed(text):
                    self.process_message(message)
        for message in parser.tick():
            self.process_message(message)
