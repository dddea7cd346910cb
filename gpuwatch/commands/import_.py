"""``gpuwatch import``: past logs into the store, each under a host of its own; what could not be used is named by line."""

from __future__ import annotations

import argparse
import gc
import json
import re
import sys
from typing import TYPE_CHECKING

from gpuwatch.errors import UsageError
from gpuwatch.output import is_unicode

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime
    from gpuwatch.view.imports import ImportView

_UNITS = {"ms": 1, "": 1000, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000}


def _interval(text: str) -> int:
    """Milliseconds of ``1s``, ``100ms``, ``0.3s``, ``5m``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h)?", text.strip())
    ms = round(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
    if not 0 < ms <= 86_400_000:
        raise argparse.ArgumentTypeError(f"'{text}' is not the time between two rows: write it as 1s, 100ms or 5m")
    return ms


def _watts(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*[wW]?", text.strip())
    if not found or not 0 < float(found[1]) < 100_000:
        raise argparse.ArgumentTypeError(f"'{text}' is not a power limit: write it in watts, as 700")
    return float(found[1])


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "import",
        help="read past logs into the store",
        description="Read logs of nvidia-smi (--query-gpu CSV, dmon, tables) and exports of gpuwatch into the store. Each file becomes a "
        "host of its own beside the recorded one, all or nothing; the same content is never imported twice. Nothing is guessed: "
        "what a log does not say is given by the options or stays unknown. --tz is the zone of times that have none.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a log, also packed (.gz, .xz, .bz2); - is standard input")
    parser.add_argument("--host", metavar="NAME", help="the host that the rows are of, instead of the name of each file")
    parser.add_argument("--power-limit", type=_watts, metavar="WATTS", help="the power limit of the GPUs, if the log has none")
    parser.add_argument("--start", metavar="TIME", help="when a log without dates or times began")
    parser.add_argument("--interval", type=_interval, dest="interval_ms", metavar="1s", help="the time between two rows of a GPU")
    parser.add_argument(
        "--date-order", choices=("ymd", "dmy", "mdy"), help="how dates are to be read that can be read in several ways"
    )
    parser.add_argument(
        "--fields", metavar="LIST", default="", help="columns of a CSV file without a header, as --query-gpu had them"
    )
    parser.add_argument("--dry-run", action="store_true", help="tell what would be imported, and write nothing")
    parser.add_argument("--json", action="store_true", help="print JSON (docs/schemas/import.json)")
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Import each file; the exit code is 0 if all of them are in the store then, else that of the worst trouble."""
    gc.disable()  # hundreds of thousands of rows wait in memory, none of them garbage: looking through them doubles the work
    try:
        return _run(args, runtime)
    finally:
        gc.enable()


def _run(args: argparse.Namespace, runtime: Runtime) -> int:
    from gpuwatch.imports import Importer

    if args.files.count("-") > 1:
        raise UsageError("standard input can be read only once")
    worst, found = 0, []
    importer = Importer(runtime, args)
    try:
        for name in args.files:
            view, code = importer.file(name)
            worst = max(worst, code)
            found.append(view)
            if not args.json:
                _print(view)
    finally:
        importer.close()
    if args.json:
        from gpuwatch.view.imports import import_json

        document = import_json(found, store=str(runtime.place.path))
        sys.stdout.write(json.dumps(document, ensure_ascii=not is_unicode(), indent=2 if sys.stdout.isatty() else None) + "\n")
    return worst


def _print(view: ImportView) -> None:
    from gpuwatch.report.import_text import import_text

    out = sys.stderr if view.state == "failed" else sys.stdout
    out.write(("gpuwatch: " if view.state == "failed" else "") + import_text(view))
    out.flush()
