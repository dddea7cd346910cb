"""``gpuwatch report``: where the GPU time of a span went, as text, Markdown, CSV or JSON."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from gpuwatch.errors import EXIT_OK, UsageError
from gpuwatch.output import as_data, is_unicode

if TYPE_CHECKING:
    from gpuwatch.report.ink import Tier
    from gpuwatch.runtime import Runtime
    from gpuwatch.view.period.types import Report

BY = ("gpu", "user", "process", "host", "model", "run", "day", "hour")
FORMS = ("text", "md", "csv", "json")
_MOST_TOLD = 8


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "report",
        help="where the GPU time of a span went, and who had it",
        description="Where the GPU time of a span went, who had it, and how far the figures can be trusted; by default the last 7 days.",
    )
    parser.add_argument(
        "--since", metavar="TIME", default="7d", help="start: how long ago (7d, 24h), or a date and time; default 7d"
    )
    parser.add_argument("--until", metavar="TIME", default="now", help="end, exclusive; default now")
    parser.add_argument(
        "--by", choices=BY, default="gpu", metavar="WHAT", help=f"what the main table is about: {', '.join(BY)}; default gpu"
    )
    parser.add_argument("--host", metavar="NAME", action="append", help="a host of the store, or all; default the recorder's own")
    parser.add_argument("--format", choices=FORMS, help="text, or what the file's name ends with; csv is the main table alone")
    parser.add_argument(
        "--json", action="store_const", dest="format", const="json", help="the same as --format json (docs/schemas/report.json)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", default="-", help="the file to write; standard output without it")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    parser.add_argument(
        "--width", type=_width, metavar="N", help="columns of the text form, 60 to 200; default the terminal's, else 100"
    )
    parser.add_argument("--ascii", action="store_true", default=argparse.SUPPRESS, help="draw with ASCII characters only")
    return parser


def _width(text: str) -> int:
    if not text.isdecimal() or not 60 <= int(text) <= 200:
        raise argparse.ArgumentTypeError(f"'{text}' is not a width: write a number from 60 to 200")
    return int(text)


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Print or write one report. A missing store exits with 3; a span without data says so in words and exits with 0."""
    form = args.format or _form_of(args.output)
    report = _build(args, runtime)
    text = _formed(report, form, args, runtime)
    if args.output == "-":
        if form in ("md", "csv"):
            as_data()
        sys.stdout.write(text)
        if report.span.simulated and form == "csv":
            print(f"gpuwatch: SIMULATED data, scenario {report.span.scenario}", file=sys.stderr)
        return EXIT_OK
    from gpuwatch.commands.outfile import whole_file

    with whole_file(args.output, force=args.force) as path:
        path.write_text(text, encoding="utf-8", newline="")
    return EXIT_OK


def _build(args: argparse.Namespace, runtime: Runtime) -> Report:
    from gpuwatch.store.window import Window
    from gpuwatch.view.period.build import build_report
    from gpuwatch.view.period.types import ReportRequest
    from gpuwatch.when import span_s
    from gpuwatch.zone import zone_name

    start, end = span_s(args.since, args.until, now=runtime.clock.time(), tz=runtime.tz)
    request = ReportRequest(
        start_ms=start * 1000,
        end_ms=None if args.until == "now" else end * 1000,
        by=args.by,
        hosts=tuple(args.host or ()),
        command=_command(args, start, end, runtime.tz),
    )
    with Window(runtime.store_path()) as window:
        known = {row[0] for row in window.rows("SELECT hostname FROM host", ())}
        _check_hosts(args.host or (), known)
        zone = "" if runtime.tz else zone_name(runtime.environ)
        report = build_report(window, request, now_ms=runtime.now_ms(), tz=runtime.tz, zone=zone, terms=runtime.terms)
    others = sorted(known.difference(report.span.hosts))
    if others and not args.host and not report.total.capacity_gpu_ms:
        told = ", ".join(others[:_MOST_TOLD]) + (f" and {len(others) - _MOST_TOLD} more" if len(others) > _MOST_TOLD else "")
        print(f"gpuwatch: the store has other hosts: {told}; ask for one with --host NAME, or --host all", file=sys.stderr)
    return report


def _check_hosts(asked: Sequence[str], known: Collection[str]) -> None:
    unknown = [name for name in asked if name not in known and name != "all"]
    if unknown:
        raise UsageError(f"the store has no host '{unknown[0]}'", f"it has: {', '.join(sorted(known)) or 'none'}")


def _command(args: argparse.Namespace, start: int, end: int, tz: tzinfo | None) -> str:
    """The command line that makes the same report of the same store again, also tomorrow.

    A demo's store ends with the demo: its times are those that were asked for, and its figures those of a new one.
    """
    since, until = (datetime.fromtimestamp(t, tz).astimezone(tz).isoformat() for t in (start, end))
    words = ["gpuwatch", *(["--store", args.store] if args.store else []), *(["--tz", args.tz] if args.tz else [])]
    if args.demo:
        since, until = args.since, args.until
        words += [f"--demo={args.demo}", "--seed", str(args.seed)]
    words.append("report")
    for name, time in (("--since", since), ("--until", until)):
        words += [f"{name}={time}"] if time.startswith("-") else [name, time]
    words += ["--by", args.by]
    for host in args.host or ():
        words += ["--host", host]
    return shlex.join(words)


def _form_of(output: str) -> str:
    return next((form for form in FORMS if output.endswith(f".{form}")), "text")


def _formed(report: Report, form: str, args: argparse.Namespace, runtime: Runtime) -> str:
    if form == "md":
        from gpuwatch.report.period_markdown import report_markdown

        return report_markdown(report)
    if form == "csv":
        from gpuwatch.report.period_csv import report_csv

        return report_csv(report)
    if form == "json":
        import json

        from gpuwatch.view.period.json import report_json

        unicode = args.output != "-" or is_unicode()
        return json.dumps(report_json(report), ensure_ascii=not unicode, indent=2 if sys.stdout.isatty() else None) + "\n"
    from gpuwatch.commands.status import width
    from gpuwatch.report.ink import Look
    from gpuwatch.report.period_text import report_text

    tty = args.output == "-" and sys.stdout.isatty()
    ascii = bool(runtime.settings.screen.ascii) or (args.output == "-" and not is_unicode())
    look = Look(color_tier(runtime.environ, runtime.settings.screen.colors, tty=tty), ascii)
    return report_text(report, width=args.width or width(runtime.environ), look=look)


def color_tier(environ: Mapping[str, str], colors: str, *, tty: bool) -> Tier:
    """Colours only on a terminal that has them, and never against NO_COLOR or the configuration."""
    from gpuwatch.commands.status import wants_color

    if not wants_color(environ, colors, tty=tty):
        return "none"
    if colors in ("truecolor", "256") or (colors == "auto" and environ.get("COLORTERM", "") in ("truecolor", "24bit")):
        return "truecolor"
    return "16"
