"""``gpuwatch replay``: the live screen at a moment of the past."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch.errors import GpuwatchError, UsageError
from gpuwatch.when import unix_s

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime
    from gpuwatch.store.window import Window
    from gpuwatch.view.types import View

_AGO_MS = 3_600_000

_DESCRIPTION = """\
Open the screen at a moment of the past. The left and right arrow go 20 s back and on, with shift 200 s; L or End goes to now.

T is a duration (7d, 24h, -90m: so long ago), a clock time (13:21, 13:21:40: the latest that has been), a weekday or a day, with or
without a clock time (Thu 16:20, yesterday, 2026-11-09, "2026-11-09 13:21:40"), or RFC 3339 (2026-11-09T13:21:40Z).
Clock times are those of --tz."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("replay", help="the live screen at a moment of the past", description=_DESCRIPTION)
    parser.add_argument("--at", metavar="T", help="the moment (default: an hour ago, or the end of an older recording)")
    parser.add_argument(
        "--host", metavar="NAME", help="a host of the store other than the one that was recorded last, as of an import"
    )
    parser.add_argument("--json", action="store_true", help="print that moment as JSON instead (docs/schemas/status.json)")
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Open the screen there; with ``--json`` or without a terminal print that moment once."""
    from gpuwatch.commands.screen import has_terminal
    from gpuwatch.store.window import Window

    if args.json or not has_terminal(runtime.environ):
        from gpuwatch.commands import status

        args.at = args.at or ""
        return status.run(args, runtime)
    path = runtime.store_path()
    host_id = named_host(path, args.host)
    with Window(path, host_id=host_id) as window:
        at_ms = instant_ms(args.at or "", window, runtime)
    return runtime.replay(at_ms, host_id)


def named_host(path: Path, name: str | None) -> int | None:
    """The id of the host of that name; ``None`` for no name. Raises :class:`UsageError` for one that the store does not have."""
    if name is None:
        return None
    from gpuwatch.store.window import Window

    with Window(path) as window:
        known = dict(window.rows("SELECT hostname, host_id FROM host ORDER BY last_ms", ()))
    if name not in known:
        raise UsageError(f"the store has no host '{name}'", f"it has: {', '.join(sorted(known)) or 'none'}")
    return int(known[name])


def view_at(text: str, runtime: Runtime, host: str | None = None) -> View:
    """The view of the moment that ``text`` names; empty: what ``replay`` shows first."""
    from gpuwatch.store.window import Window
    from gpuwatch.view.build import build_view

    path = runtime.store_path()
    with Window(path, host_id=named_host(path, host)) as window:
        at_ms = instant_ms(text, window, runtime)
        return build_view(window, at_ms, now_ms=runtime.now_ms(), tz=runtime.tz, terms=runtime.terms)


def instant_ms(text: str, window: Window, runtime: Runtime) -> int:
    """The moment that ``text`` names in unix milliseconds. Raises :class:`GpuwatchError` for one before the recording."""
    first_ms, last_ms = recorded(window)
    if not text:
        return max(first_ms, min(last_ms, runtime.now_ms() - _AGO_MS))
    at_ms = unix_s(text, now=runtime.clock.time(), tz=runtime.tz) * 1000
    if at_ms < first_ms:
        from gpuwatch.format import since

        begins = since(first_ms, runtime.now_ms(), runtime.tz)
        others = [
            name for (name,) in window.rows("SELECT hostname FROM host WHERE host_id<>? ORDER BY hostname", (window.host_id,))
        ]
        hint = "name a later moment with --at" + (f", or another host with --host: {', '.join(others)}" if others else "")
        host = window.host()
        of = f" of {host['hostname']}" if others and host else ""
        raise GpuwatchError(f"nothing was recorded at '{text}': the recording{of} begins at {begins}", hint)
    return min(at_ms, max(last_ms, runtime.now_ms()))


def recorded(window: Window) -> tuple[int, int]:
    """Start and end of all that a store holds of its host, unix milliseconds. Raises :class:`GpuwatchError` if it is empty."""
    host = window.host()
    if host is None:
        raise GpuwatchError("nothing was ever recorded in this store", "start a recorder with: gpuwatch record")
    return int(host["first_ms"]), int(host["last_ms"]) if window.imported else max(int(host["last_ms"]), window.newest_ms())
