"""The App on a real terminal: signals, a lost terminal, the exit."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from textual.drivers.linux_driver import LinuxDriver

from gpuwatch.tui.app import GpuwatchApp
from gpuwatch.tui.driver import TakingOver
from gpuwatch.tui.early import FirstPicture
from gpuwatch.tui.options import TuiOptions
from gpuwatch.tui.palette import ColorTier
from gpuwatch.tui.source import Feeder

EXIT_HANGUP = 128 + signal.SIGHUP
EXIT_TERM = 128 + signal.SIGTERM


class Waker(Protocol):
    """Holds the function that wakes the event loop."""

    call: object


class LiveApp(GpuwatchApp):
    """The App with its signal handlers; tests use the App without them."""

    def __init__(self, options: TuiOptions, tier: ColorTier, feeder: Feeder, waker: Waker) -> None:
        super().__init__(options, tier, feeder)
        self._waker = waker

    def on_mount(self) -> None:
        """Install the handlers; Textual calls the handler of the base class by itself."""
        loop = asyncio.get_running_loop()
        # A handler on the loop also replaces an ignored SIGHUP (nohup): a program without its terminal must end.
        loop.add_signal_handler(signal.SIGHUP, self.hang_up)
        loop.add_signal_handler(signal.SIGTERM, self.action_leave, EXIT_TERM)
        self._waker.call = self.waker()

    def hang_up(self) -> None:
        """The terminal is gone: nothing can be restored or drawn."""
        if self.options.on_hangup is not None:
            self.options.on_hangup()
        os._exit(EXIT_HANGUP)


def _exit_without_terminal(app: LiveApp) -> Callable[[threading.ExceptHookArgs], None]:
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if isinstance(args.exc_value, OSError) and args.exc_value.errno in (errno.EIO, errno.EPIPE, errno.ENXIO):
            app.hang_up()
        before(args)

    return hook


def run_app(feeder: Feeder, waker: Waker, options: TuiOptions, tier: ColorTier, picture: FirstPicture | None = None) -> int:
    """Run until the user leaves; returns the exit code. ``picture`` stands on the terminal already, if it stands."""
    app = LiveApp(options, tier, feeder, waker)
    if app.driver_class is LinuxDriver:
        TakingOver.picture = picture
        app.driver_class = TakingOver
    threading.excepthook = _exit_without_terminal(app)
    code = app.run(mouse=options.mouse)
    feeder.stop()
    if app.copied:
        print(f"copied: {app.copied}", file=sys.stderr)
    return 0 if code is None else int(code)
