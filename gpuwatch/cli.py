"""The command line: parses, runs one command, turns what goes wrong into one clear line and an exit code.

stdout is data, stderr is talk. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpuwatch import __version__, output
from gpuwatch.errors import EXIT_INTERRUPTED, EXIT_NOTHING, GpuwatchError

if TYPE_CHECKING:
    import argparse

    from gpuwatch.runtime import Runtime


def main(argv: Sequence[str] | None = None) -> int:
    """Run gpuwatch; returns the exit code (0 ok, 1 check failed, 2 usage, 3 nothing to observe, 130 interrupted)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    output.prepare()
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except GpuwatchError as error:
        print(f"gpuwatch: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  try: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        output.abandon()
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our pipe has left (head, less): that is no error
        output.abandon()
        return 0
    except Exception as error:  # noqa: BLE001 - the border to the user: a traceback here is a bug, it goes to the log file
        output.abandon()
        return _internal(error)


def _run(arguments: Sequence[str]) -> int:
    if arguments == ["--version"]:
        print(f"gpuwatch {__version__}")
        return 0
    gc.disable()  # while modules are loaded nothing becomes garbage, and looking for it takes a tenth of the time
    from gpuwatch.parser import parse

    try:
        args = parse(arguments)
    except SystemExit:
        sys.stdout.flush()
        raise
    if args.command == "run":
        from gpuwatch.commands import run

        try:
            return run.start(args, lambda: _runtime(args))
        finally:
            gc.freeze()  # as below
    runtime = _runtime(args)
    try:
        return int(args.run(args, runtime))
    finally:
        runtime.close()
        gc.freeze()  # the end of the process frees everything: the interpreter need not look through it first (20 ms)


def _runtime(args: argparse.Namespace) -> Runtime:
    from gpuwatch.logs import configure
    from gpuwatch.runtime import Runtime

    configure(args.debug, os.environ)
    gc.enable()
    return Runtime.from_args(args, os.environ)


def _internal(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        print("gpuwatch: the output could not be written: no space left on device", file=sys.stderr)
        return EXIT_NOTHING
    from gpuwatch.logs import log_path, note_crash

    note_crash(error)
    print(f"gpuwatch: internal error: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"  details are in {log_path(os.environ)}", file=sys.stderr)
    return EXIT_NOTHING
