"""``gpuwatch run -- CMD…``: a command with the PyTorch agent attached, recorded, and otherwise as if gpuwatch were not there."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime

WITH_VALUE = frozenset(("--store", "--config", "--tz", "--seed", "--speed", "--colors", "--dir"))
"""Options of gpuwatch that may stand before the command and take the next word."""


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(gpuwatch's own words, the command's) of a command line of ``gpuwatch run``; no command where it is another command line.

    The command begins after ``--``, or at the first word that is no option. Nothing of it is read, so that nothing of it can be
    misread: not an option that gpuwatch has too, not an abbreviation, not a second ``--``.
    """
    named, skip = False, False
    for index, word in enumerate(arguments):
        if skip:
            skip = False
        elif word == "--":
            return (list(arguments[:index]), list(arguments[index + 1 :])) if named else (list(arguments), [])
        elif word.startswith("-"):
            skip = word in WITH_VALUE
        elif named:
            return list(arguments[:index]), list(arguments[index:])
        elif word == "run":
            named = True
        else:
            break
    return list(arguments), []


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "run",
        help="run a training with the agent attached",
        usage="gpuwatch run [options] -- CMD...",
        description="Run CMD with the PyTorch agent attached to every Python process below it.\nIts arguments, streams, signals and exit "
        "code are passed through.\nIf nobody records, a recorder runs beside it until a few seconds after its end.",
    )
    parser.add_argument("--no-record", action="store_true", default=argparse.SUPPRESS, help="do not start a recorder beside it")
    parser.add_argument("--dir", metavar="DIR", help="folder for what the agent measures, instead of /dev/shm/gpuwatch-UID")
    parser.add_argument("--quiet", action="store_true", help="say nothing, not even that the agent could not be attached")
    parser.add_argument("command_line", metavar="CMD", nargs="*", help="the command and its arguments, after --")
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Run the command; its exit code, or an end by the signal that it ended by."""
    return start(args, lambda: runtime)


def start(args: argparse.Namespace, runtime: Callable[[], Runtime]) -> int:
    """As :func:`run`; the settings are loaded when the command runs already, and a mistake in them does not stop it."""
    from gpuwatch.errors import UsageError

    if not args.command_line:
        raise UsageError("run needs a command", "gpuwatch run -- python train.py")
    if args.demo is not None:
        raise UsageError("run starts a real command: it has no demo", "gpuwatch --demo")
    from gpuwatch.launch.launch import Launch

    options = {"config": args.config, "directory": args.dir, "record": not args.no_record, "quiet": args.quiet}
    return Launch(args.command_line, runtime, **options).run()
