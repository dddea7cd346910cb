"""``gpuwatch`` without a command: the live screen, or ``status`` where there is no terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the screen; they stand before any command."""
    group = parser.add_argument_group("screen")
    group.add_argument("--ascii", action="store_true", default=None, help="draw with ASCII characters only")
    group.add_argument("--colors", choices=("auto", "truecolor", "256", "16", "none"), help="depth of colour")
    group.add_argument("--read-only", action="store_true", default=None, help="no signals can be sent from the screen")
    group.add_argument("--no-record", action="store_true", help="do not start a recorder; only read the store")
    group.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")


def has_terminal(environ: Mapping[str, str]) -> bool:
    """Whether a screen can be drawn. Textual draws on stderr, so both ends are looked at."""
    return sys.stdin.isatty() and sys.stderr.isatty() and environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Open the screen and stay until the user leaves."""
    if not has_terminal(runtime.environ):
        from gpuwatch.commands import status

        args.json = False
        return status.run(args, runtime)
    return runtime.show_screen()
