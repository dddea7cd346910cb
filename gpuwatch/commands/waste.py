"""``gpuwatch waste``: what is wasted now and what to change, as text or JSON."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from gpuwatch.errors import EXIT_OK, UsageError
from gpuwatch.output import is_unicode

if TYPE_CHECKING:
    from gpuwatch.report.ink import Look
    from gpuwatch.runtime import Runtime
    from gpuwatch.store.window import Window
    from gpuwatch.view.finding_types import WasteView
    from gpuwatch.view.types import View


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "waste",
        help="what is wasted, and what to change",
        description="Print what is wasted now by the ledger, and what the rules say of it, the costliest first: the fact, the evidence, "
        "what it has cost, what to try first, what to expect of that, and when the finding is wrong. gpuwatch itself changes nothing.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON (docs/schemas/waste.json)")
    parser.add_argument(
        "--since", metavar="TIME", default="7d", help="tell what cleared since then: 7d, 24h, Thu 16:20, 2026-11-09; default 7d"
    )
    parser.add_argument("--all", action="store_true", help="also muted findings in full, and all that cleared or was not judged")
    parser.add_argument("--at", metavar="T", help="what was so then: -2h, 13:21, Thu 16:20, 2026-11-09 13:21:40")
    parser.add_argument("--host", metavar="NAME", help="with --at: a host of the store other than the one that was recorded last")
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Print it. Exit code 0, whatever is found (``gpuwatch check`` has another)."""
    if args.host is not None and args.at is None:
        raise UsageError("--host names a host of the past", "say when, too, as in: --at 13:21")
    view, waste, since_ms = _read(args, runtime)
    if args.json:
        import json

        from gpuwatch.view.json import waste_document

        document = waste_document(view, waste, since_ms=since_ms)
        sys.stdout.write(json.dumps(document, ensure_ascii=not is_unicode(), indent=2 if sys.stdout.isatty() else None) + "\n")
        return EXIT_OK
    from gpuwatch.commands.status import width
    from gpuwatch.report.waste_text import waste_text

    text = waste_text(
        view, waste, since_ms=since_ms, everything=args.all, width=width(runtime.environ), tz=runtime.tz, look=look(runtime)
    )
    sys.stdout.write(text)
    return EXIT_OK


def look(runtime: Runtime) -> Look:
    """What the output can show."""
    from gpuwatch.commands.report import color_tier
    from gpuwatch.report.ink import Look

    tier = color_tier(runtime.environ, runtime.settings.screen.colors, tty=sys.stdout.isatty())
    return Look(tier, bool(runtime.settings.screen.ascii) or not is_unicode())


def _read(args: argparse.Namespace, runtime: Runtime) -> tuple[View, WasteView, int]:
    """The view, what rules say of it, and from when on what cleared is told."""
    from gpuwatch.view.build import build_view

    if args.at is not None:
        from gpuwatch.commands.replay import instant_ms, named_host
        from gpuwatch.store.window import Window

        path = runtime.store_path()
        with Window(path, host_id=named_host(path, args.host)) as window:
            at_ms = instant_ms(args.at, window, runtime)
            view = build_view(window, at_ms, now_ms=runtime.now_ms(), tz=runtime.tz, terms=runtime.terms)
            return view, *_waste(window, view, args, runtime)
    with runtime.observe() as window:
        view = build_view(
            window,
            now_ms=runtime.now_ms(),
            tz=runtime.tz,
            holder_pid=runtime.lease_holder(),
            reason=runtime.recorder_notice(),
            terms=runtime.terms,
        )
        return view, *_waste(window, view, args, runtime)


def _waste(window: Window, view: View, args: argparse.Namespace, runtime: Runtime) -> tuple[WasteView, int]:
    from gpuwatch.view.waste import waste_view
    from gpuwatch.when import unix_s

    since_ms = unix_s(args.since, now=view.at_ms / 1000, tz=runtime.tz) * 1000
    if since_ms >= view.at_ms:
        raise UsageError(f"--since {args.since} is not before the instant that is shown", "write it as in: --since 7d")
    waste = waste_view(window, view, prices=runtime.terms.prices, resolved_ms=view.at_ms - since_ms)
    judges = view.recording.simulated and not view.past and runtime.advice.enabled and not window.outdated()
    if judges and not waste.known:
        from gpuwatch.ruled import replay_terms
        from gpuwatch.view.check import judged_waste

        waste = judged_waste(window, view, replay_terms(runtime.advice), runtime.terms.prices, view.at_ms - since_ms)
    return waste, since_ms
