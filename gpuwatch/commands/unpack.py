"""``gpuwatch db unpack``: any span of the past as a store of its own with plain rows."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch.errors import EXIT_CHECK, EXIT_NOTHING, UsageError

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime
    from gpuwatch.store.archive.unpack import Unpacked

_FEW = 5


def add_unpack(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the action."""
    parser = actions.add_parser(
        "unpack",
        help="write a span of the past, second by second, into a store of its own",
        description="Write every row of a span into a new store, for plain SQL: gpuwatch query --store FILE 'SELECT * FROM v_gpu_raw'",
    )
    parser.add_argument("--since", metavar="T", required=True, help="from when: 7d, 2026-11-09, Thu 16:20, … (see gpuwatch replay)")
    parser.add_argument("--until", metavar="T", default="now", help="until when (default: now)")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="file to write; it must not exist")
    parser.add_argument("--force", action="store_true", help="write over a file that is there already")


def run(args: argparse.Namespace, runtime: Runtime, source: Path) -> int:
    """Write the file and say what is in it. Exit code 1 when damaged hours were left out, 3 when there was no row in the span.

    Without a row no file is written.
    """
    from gpuwatch.commands.outfile import whole_file
    from gpuwatch.store.archive.unpack import unpack
    from gpuwatch.when import span_s

    start, end = span_s(args.since, args.until, now=runtime.clock.time(), tz=runtime.tz)
    target = Path(args.output).expanduser()
    if target.exists() and not target.is_file():
        raise UsageError(f"{target} is no ordinary file", "name another one with -o")
    if target.exists() and target.samefile(source):
        raise UsageError(f"{target} is the store itself", "name another file with -o")
    done: Unpacked | None = None
    try:
        with whole_file(args.output, force=args.force) as part:
            done = unpack(source, part, start * 1000, end * 1000)
            if not any(done.rows.values()):
                raise _NothingThere
    except _NothingThere:
        _say_what_is_damaged(done, source)
        print("gpuwatch: no single row of that span is kept, and no file was written", file=sys.stderr)
        return EXIT_NOTHING
    print(f"{target}: {_rows(done)}")
    _say_what_was_not_there(done, runtime)
    return EXIT_CHECK if _say_what_is_damaged(done, source) else 0


class _NothingThere(Exception):
    """Nothing to write."""


def _rows(done: Unpacked) -> str:
    found = [f"{count:,} {table.removesuffix('_sample')}".replace(",", " ") for table, count in done.rows.items() if count]
    return ", ".join(found) + " rows"


def _say_what_is_damaged(done: Unpacked | None, source: Path) -> bool:
    from gpuwatch.format import counted

    if done is None or not done.damaged:
        return False
    hours = counted(done.damaged, "sealed hour")
    print(f"gpuwatch: {hours} of a GPU or of its processes cannot be read and were left out", file=sys.stderr)
    print(f"  try: gpuwatch db check --store {source}", file=sys.stderr)
    return True


def _say_what_was_not_there(done: Unpacked, runtime: Runtime) -> None:
    from gpuwatch.format import since

    now_ms = runtime.now_ms()
    for start, end in done.empty[:_FEW]:
        text = f"{since(start, now_ms, runtime.tz)} to {since(end, now_ms, runtime.tz)}"
        print(f"gpuwatch: no rows from {text}: not recorded, or older than single rows are kept", file=sys.stderr)
    if len(done.empty) > _FEW:
        print(f"gpuwatch: and {len(done.empty) - _FEW} more such spans", file=sys.stderr)
