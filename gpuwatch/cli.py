"""The command line: parses, runs one command, turns what goes wrong into one clear line and an exit code.

stdout is data, stderr is talk. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from gpuwatch import __version__
from gpuwatch.errors import EXIT_INTERRUPTED, EXIT_NOTHING, GpuwatchError


def main(argv: Sequence[str] | None = None) -> int:
    """Run gpuwatch; returns the exit code (0 ok, 1 check failed, 2 usage, 3 nothing to observe, 130 interrupted)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        print(f"gpuwatch {__version__}")
        return 0
    from gpuwatch.parser import build_parser, normalise

    words = normalise(arguments)
    args = build_parser(words).parse_args(words)
    from gpuwatch.logs import configure, log_path, note_crash
    from gpuwatch.runtime import Runtime

    configure(args.debug, os.environ)
    try:
        runtime = Runtime.from_args(args, os.environ)
        try:
            return int(args.run(args, runtime))
        finally:
            runtime.close()
    except GpuwatchError as error:
        print(f"gpuwatch: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  try: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our pipe has left (head, less): that is no error, but Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the border to the user: a traceback here is a bug, it goes to the log file
        note_crash(error)
        where = log_path(os.environ)
        print(f"gpuwatch: internal error: {type(error).__name__}: {error}", file=sys.stderr)
        print(f"  details are in {where}", file=sys.stderr)
        return EXIT_NOTHING
