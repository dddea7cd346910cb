"""Run a command of gpuwatch inside the test's own process, as ``cli.main`` does but for the interpreter's settings."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout

from gpuwatch.clock import Clock
from gpuwatch.dataclass import dataclass
from gpuwatch.errors import GpuwatchError
from gpuwatch.parser import build_parser, normalise
from gpuwatch.runtime import Runtime


@dataclass(slots=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


class _Utf8(io.StringIO):
    """A stream that takes every character, as a terminal does."""

    encoding = "utf-8"


def run_program(*arguments: str, env: Mapping[str, str] = os.environ, clock: Clock | None = None) -> Done:
    """What the program would print and return; ``clock`` is its clock."""
    out, err = _Utf8(), _Utf8()
    words = normalise(arguments)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            args = build_parser(words).parse_args(words)
            runtime = Runtime.from_args(args, env, clock)
            try:
                code = int(args.run(args, runtime))
            finally:
                runtime.close()
        except GpuwatchError as error:
            print(f"gpuwatch: {error.message}\n  try: {error.hint}", file=sys.stderr)
            code = error.exit_code
        except SystemExit as error:
            code = int(error.code or 0)
    return Done(code, out.getvalue(), err.getvalue())
