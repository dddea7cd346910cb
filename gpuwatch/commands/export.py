"""``gpuwatch export``: rows of any span as CSV or Parquet, under the names and units of the public views."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from gpuwatch import __version__
from gpuwatch.errors import EXIT_OK, UsageError
from gpuwatch.output import as_data

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime
    from gpuwatch.store.export import Source

WHAT = ("gpu", "process", "workload", "training", "latency", "host", "ledger", "findings", "mutes", "events", "gaps")
EVERY = ("second", "minute", "hour", "day")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "export",
        help="write rows as CSV or Parquet",
        description="Write the rows of a span, by default every single row of the GPUs of the last 24 hours, archived ones too. "
        "Columns are those of the public views (docs/schema.md); gpuwatch import reads what this writes.",
    )
    parser.add_argument("--what", choices=WHAT, default="gpu", help="which rows")
    parser.add_argument(
        "--every", choices=EVERY, help="how fine: single rows (second), or sums and means; the default is the finest"
    )
    parser.add_argument(
        "--since", metavar="TIME", default="24h", help="start: how long ago (7d, 90m), or a date and time; default 24h"
    )
    parser.add_argument("--until", metavar="TIME", default="now", help="end, exclusive; default now")
    parser.add_argument("--host", metavar="NAME", help="one host of the store instead of all")
    parser.add_argument("--format", choices=("csv", "parquet"), help="csv, or what the file's name ends with")
    parser.add_argument("-o", "--output", metavar="FILE", default="-", help="the file to write; standard output without it")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Write the rows. A missing store exits with 3; a span without rows is an empty table, and said."""
    from gpuwatch.store import connection, export
    from gpuwatch.when import span_s

    form = args.format or ("parquet" if args.output.endswith(".parquet") else "csv")
    if form == "parquet":
        from gpuwatch.report import parquet

        parquet.require()
        if args.output == "-":
            raise UsageError("Parquet cannot be written to standard output", "name a file: -o rows.parquet")
    source = export.source(args.what, args.every)
    start, end = span_s(args.since, args.until, now=runtime.clock.time(), tz=runtime.tz)
    path = runtime.store_path()
    with closing(connection.open_read(path)) as db:
        try:
            known = export.known_hosts(db)
            host = args.host if args.host in known or args.host != "all" else None  # as a report takes it
            if host is not None and host not in known:
                raise UsageError(f"the store has no host '{args.host}'", f"it has: {', '.join(known) or 'none'}")
            meta = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('simulated', 'scenario')"))
            simulated = meta.get("simulated") == "1"
            if simulated:
                print(f"gpuwatch: SIMULATED data, scenario {meta.get('scenario', '?')}", file=sys.stderr)
            rows = export.rows(db, source, start, end, host)
            facts = {"what": args.what, "since": str(start), "until": str(end), "version": __version__}
            count = _write(args, form, source, rows, facts, simulated, meta.get("scenario", ""))
        except sqlite3.Error as error:
            raise connection.explain(error, path) from error
    if not count:
        print(f"gpuwatch: no rows of '{args.what}' between {args.since} and {args.until}", file=sys.stderr)
    return EXIT_OK


def _write(
    args: argparse.Namespace, form: str, source: Source, rows: Iterator[Any], facts: dict[str, str], simulated: bool, scenario: str
) -> int:
    """Write all rows in one of the forms; returns how many. What is simulated says so in the last column of each row."""
    from gpuwatch.commands.outfile import whole_file
    from gpuwatch.report import sheet

    columns = list(source.columns)
    if simulated:
        from gpuwatch.store.viewkit import Col

        columns.append(Col("simulated", "", "flag", "1: nothing of this was measured"))
        rows = ((*row, 1) for row in rows)
    names = [column.name for column in columns]
    if args.output == "-":
        as_data()
        return sheet.write(sys.stdout, names, rows)
    with whole_file(args.output, force=args.force) as path:
        if form == "parquet":
            from gpuwatch.report import parquet

            facts |= {"simulated": str(int(simulated)), "scenario": scenario}
            return parquet.write(path, columns, rows, {f"gpuwatch.{key}": value for key, value in facts.items()})
        with open(path, "w", encoding="utf-8", newline="") as out:
            return sheet.write(out, names, rows)
