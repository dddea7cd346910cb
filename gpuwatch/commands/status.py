"""``gpuwatch status``: what is so now, once, as text or JSON; from a live recorder's store, else from one sample."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gpuwatch.errors import EXIT_OK, UsageError
from gpuwatch.output import is_unicode

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime
    from gpuwatch.view.types import View

DEFAULT_WIDTH = 100


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "status",
        help="print what is so now, once",
        description="Print the GPUs, where their time went, and who uses them: from a live recorder's store, else from one sample.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON (docs/schemas/status.json)")
    parser.add_argument("--at", metavar="T", help="what was so then: -2h, 13:21, Thu 16:20, 2026-11-09 13:21:40 (needs a store)")
    parser.add_argument("--host", metavar="NAME", help="with --at: a host of the store other than the one that was recorded last")
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Print one view. Exit code 0, also on a host without a GPU."""
    gc.disable()  # it would walk through everything that is imported, several times, for nothing: 10 % of the whole
    try:
        return _print(args, runtime)
    finally:
        gc.enable()


def _view(args: argparse.Namespace, runtime: Runtime) -> View:
    if getattr(args, "at", None) is not None:
        from gpuwatch.commands.replay import view_at

        return view_at(args.at, runtime, args.host)
    if getattr(args, "host", None) is not None:
        raise UsageError("--host names a host of the past", "say when, too, as in: --at 13:21")
    from gpuwatch.view.build import build_view

    with runtime.observe() as window:
        return build_view(
            window,
            now_ms=runtime.now_ms(),
            tz=runtime.tz,
            holder_pid=runtime.lease_holder(),
            reason=runtime.recorder_notice(),
            terms=runtime.terms,
        )


def _print(args: argparse.Namespace, runtime: Runtime) -> int:
    view = _view(args, runtime)
    if args.json:
        import json

        from gpuwatch.view.json import status_json

        document = json.dumps(status_json(view), ensure_ascii=not is_unicode(), indent=2 if sys.stdout.isatty() else None)
        sys.stdout.write(document + "\n")
        return EXIT_OK
    from gpuwatch.report.status_text import status_text

    color = wants_color(runtime.environ, runtime.settings.screen.colors, tty=sys.stdout.isatty())
    sys.stdout.write(status_text(view, width=width(runtime.environ), tz=runtime.tz, color=color))
    return EXIT_OK


def wants_color(environ: Mapping[str, str], colors: str, *, tty: bool) -> bool:
    """Colours only on a terminal that has them, and never against NO_COLOR or the configuration."""
    return tty and colors != "none" and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") not in ("", "dumb")


def width(environ: Mapping[str, str]) -> int:
    """Cells in a line: ``COLUMNS``, else the terminal's, else 100."""
    columns = environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError):
        return DEFAULT_WIDTH
