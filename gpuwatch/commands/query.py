"""``gpuwatch query``: one read-only SELECT on the public views, as a table, CSV or JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from gpuwatch.errors import EXIT_OK
from gpuwatch.output import as_data, is_unicode

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "query",
        help="run SQL on the public views",
        description="Run one SELECT on the public views. They and their columns are listed by: gpuwatch query 'SELECT * FROM v_schema'",
    )
    parser.add_argument("sql", metavar="SELECT", help="the statement")
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table", help="how to print the rows")
    parser.add_argument("--json", action="store_const", dest="format", const="json", help="the same as --format json")
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Print the rows. A wrong statement is a usage error (2), a missing store exits with 3."""
    from gpuwatch.store.reader import open_reader, query

    connection = open_reader(runtime.store_path())
    try:
        columns, rows = query(connection, args.sql)
        meta = dict(connection.execute("SELECT key, value FROM main.meta WHERE key IN ('simulated', 'scenario')"))
    finally:
        connection.close()
    simulated = meta.get("simulated") == "1"
    if simulated:
        print(f"gpuwatch: SIMULATED data, scenario {meta.get('scenario', '?')}", file=sys.stderr)
    if args.format == "csv":
        as_data()
    write(sys.stdout, args.format, columns, rows, simulated=simulated)
    return EXIT_OK


def write(out: TextIO, form: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, simulated: bool) -> None:
    """Write the answer; NULL is empty in CSV, null in JSON and ``–`` in a table, bytes are hexadecimal.

    CSV marks texts that a spreadsheet would calculate; JSON has no infinity (null) and gives columns of one name different ones.
    """
    rows = [[cell.hex() if isinstance(cell, bytes) else cell for cell in row] for row in rows]
    if form == "csv":
        from gpuwatch.report import sheet

        sheet.write(out, columns, rows)
    elif form == "json":
        import json

        from gpuwatch.view.json import query_json

        finite = [[None if isinstance(cell, float) and cell - cell != 0 else cell for cell in row] for row in rows]
        out.write(json.dumps(query_json(_unique(columns), finite, simulated=simulated), ensure_ascii=not is_unicode()) + "\n")
    else:
        out.write(_table(columns, rows))


def _unique(columns: Sequence[str]) -> list[str]:
    """Keys for all columns: the second ``a`` is ``a_2``."""
    out: list[str] = []
    for name in columns:
        key, number = name, 1
        while key in out:
            number += 1
            key = f"{name}_{number}"
        out.append(key)
    return out


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    from gpuwatch.format import NOTHING
    from gpuwatch.report.table import Column, table
    from gpuwatch.text import clean

    found = []
    for number, name in enumerate(columns):
        values = [row[number] for row in rows]
        words = any(isinstance(value, str) for value in values)
        texts = [NOTHING if value is None else clean(str(value), 4096) for value in values]
        found.append(Column(name, texts, align="left" if words else "right"))
    return "\n".join(table(found, sys.maxsize)) + "\n"
