"""``gpuwatch check``: judge waste now or over a span, and say so by the exit code; for CI, cron and trying other limits."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gpuwatch.errors import EXIT_CHECK, EXIT_OK
from gpuwatch.output import is_unicode

if TYPE_CHECKING:
    from gpuwatch.names import Severity
    from gpuwatch.runtime import Runtime
    from gpuwatch.store.replay_rules import Terms
    from gpuwatch.view.check_types import CheckView

LEVELS = ("info", "notice", "warning", "critical")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "check",
        help="judge waste and say so by the exit code",
        description="Judge what is wasted now, or was since a time: exit code 0 if nothing is found at --fail-on or above, 1 if something "
        "is, 3 if there is nothing to judge. Muted findings do not count.",
    )
    parser.add_argument(
        "--fail-on",
        choices=LEVELS,
        default="warning",
        metavar="LEVEL",
        help=f"least severity that fails: {', '.join(LEVELS)}; default warning",
    )
    parser.add_argument(
        "--since", metavar="TIME", help="everything found since then: 24h, 7d, Thu 16:20, 2026-11-09; default: now alone"
    )
    parser.add_argument(
        "--what-if",
        metavar="RULE.LIMIT=VALUE",
        action="append",
        default=[],
        help="judge the rows that are kept by this limit, too, and show both; may be given several times (the last 24 h without --since)",
    )
    parser.add_argument(
        "--replay", action="store_true", help="judge the rows that are kept once more, even where findings are stored"
    )
    parser.add_argument("--json", action="store_true", help="print JSON (docs/schemas/check.json)")
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Print the verdict; 1 if it fails."""
    check = _judged(args, runtime)
    if args.json:
        import json

        from gpuwatch.view.finding_json import check_document

        document = check_document(check, made_ms=runtime.now_ms())
        sys.stdout.write(json.dumps(document, ensure_ascii=not is_unicode(), indent=2 if sys.stdout.isatty() else None) + "\n")
    else:
        from gpuwatch.commands.status import width
        from gpuwatch.commands.waste import look
        from gpuwatch.report.check_text import check_text

        sys.stdout.write(check_text(check, width=width(runtime.environ), tz=runtime.tz, look=look(runtime)))
    return EXIT_CHECK if check.failed else EXIT_OK


def _judged(args: argparse.Namespace, runtime: Runtime) -> CheckView:
    from gpuwatch.configured import limit
    from gpuwatch.ruled import checked_limits, replay_terms
    from gpuwatch.store.window import Window
    from gpuwatch.view.check import check_view, tried
    from gpuwatch.when import unix_s

    given = dict(limit(text, "--what-if") for text in args.what_if)
    checked_limits(given, "--what-if")
    since = args.since or ("24h" if given else None)
    start_ms = None if since is None else unix_s(since, now=runtime.clock.time(), tz=runtime.tz) * 1000

    def terms() -> Terms:
        return replay_terms(runtime.advice)

    with Window(runtime.store_path()) as window:
        return check_view(
            window,
            now_ms=runtime.now_ms(),
            start_ms=start_ms,
            fail_on=_level(args.fail_on),
            prices=runtime.terms.prices,
            terms=terms,
            other=(lambda: tried(terms(), given)) if given else None,
            limits=_told(given, runtime.advice.limits),
            again=args.replay,
        )


def _level(word: str) -> Severity:
    from gpuwatch.names import Severity

    return next(each for each in Severity if each.label == word)


def _told(given: Mapping[str, float], in_force: Mapping[str, float]) -> Mapping[str, tuple[float, float]]:
    """Each other limit with the one in force."""
    if not given:
        return {}
    from gpuwatch.rules.catalogue import LIMITS

    return {key: (in_force.get(key, LIMITS[key].default), value) for key, value in given.items()}
