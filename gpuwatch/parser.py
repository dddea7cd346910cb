"""Every option and command of gpuwatch, declared once: the parser, the man page and the completions come from here."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from gpuwatch import __version__
from gpuwatch.commands import COMMANDS, MODULES

DEFAULT_SCENARIO = "lab"
TOPICS = ("collectors", "recorder", "sql", "runtime")
"""What ``--debug`` can write more of: the names of loggers below ``gpuwatch``."""
_TIMES = ("--at", "--since", "--until")

# argparse searches the file system for translations at each of its words; there are none, and it is a tenth of a short command's work
argparse._ = lambda text: text  # type: ignore[attr-defined]

_EPILOG = """\
Without a command gpuwatch opens the live screen; without a terminal it prints `gpuwatch status` once.
Exit codes: 0 ok, 1 check failed, 2 usage or configuration, 3 nothing to observe or no store, 130 interrupted.
"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Asks the terminal for its width directly: argparse makes a formatter for every option, and the way it asks imports shutil."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (OSError, ValueError):
        return 80


class _Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Help, **options})

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"{self.prog}: {message}\n  try: {self.prog} --help\n")


def normalise(arguments: Sequence[str]) -> list[str]:
    """``--demo`` and ``--debug`` take a value only with ``=``: a bare one becomes ``--demo=lab``, ``--debug=`` (before ``--``).

    A time may begin with a minus: ``--at -2h`` becomes ``--at=-2h``, which argparse would take for an option.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    out: list[str] = []
    for word in arguments[:end]:
        if out and out[-1] in _TIMES and word[:1] == "-" and word[1:2].isdigit():
            out[-1] = f"{out[-1]}={word}"
        else:
            out.append({"--demo": f"--demo={DEFAULT_SCENARIO}", "--debug": "--debug="}.get(word, word))
    return [*out, *arguments[end:]]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line. Of ``gpuwatch run`` only gpuwatch's own words: the command stands in ``command_line`` as it was given."""
    words, command_line = list(arguments), None
    if "run" in words:
        from gpuwatch.commands.run import split

        words, command_line = split(words)
    words = normalise(words)
    args = build_parser(words).parse_args(words)
    if args.command == "run":
        args.command_line = command_line
    return args


def _speed(text: str) -> float:
    try:
        value = float(text.removesuffix("x"))
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"'{text}' is not a speed: write it as 60x, at most 3600x")
    return value


def _debug(text: str) -> str:
    for topic in filter(None, text.split(",")):
        if topic not in TOPICS:
            raise argparse.ArgumentTypeError(f"unknown topic '{topic}'; known: {', '.join(TOPICS)}")
    return text


def add_common(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """Options that may stand before and after the command. Below the top their default is 'not given'."""

    def default(value: object) -> object:
        return value if top else argparse.SUPPRESS

    group = parser.add_argument_group("everywhere")
    group.add_argument("--store", metavar="PATH", default=default(None), help="the store to read or write")
    group.add_argument("--config", metavar="FILE", default=default(None), help="configuration file instead of the usual ones")
    group.add_argument("--tz", metavar="ZONE", default=default(None), help="time zone of every clock shown, as in Europe/Berlin")
    group.add_argument(
        "--demo",
        metavar="SCENARIO",
        default=default(None),
        help="a simulated host instead of this one; write --demo or --demo=SCENARIO",
    )
    group.add_argument("--seed", type=int, default=default(7), help="seed of the simulated host")
    group.add_argument("--speed", type=_speed, default=default(1.0), help="how fast simulated time runs, as in 60x")
    group.add_argument(
        "--debug",
        type=_debug,
        metavar="TOPICS",
        default=default(None),
        help=f"write more to the log file; topics: {', '.join(TOPICS)}",
    )


def build_parser(words: Iterable[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The command line. ``args.run(args, runtime)`` runs what was asked for.

    ``words`` are the words that may name a command: only those commands are loaded, the others are there by name.
    """
    from gpuwatch.commands import screen

    wanted = set(words)

    parser = _Parser(
        prog="gpuwatch",
        description="Where every GPU-second went, who spent it, and what it cost in time and energy.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"gpuwatch {__version__}")
    add_common(parser, top=True)
    screen.add_options(parser)
    parser.set_defaults(run=screen.run, command=None)
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", parser_class=_Parser, prog=parser.prog)
    for name, text in COMMANDS.items():
        if name not in wanted:
            subparsers.add_parser(name, help=text)
            continue
        module = import_module(f"gpuwatch.commands.{MODULES.get(name, name)}")
        child = module.add_parser(subparsers)
        child.set_defaults(run=module.run)
        for each in (child, *_actions(child)):
            add_common(each, top=False)
    return parser


def _actions(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The parsers of a command's own actions (``db path``)."""
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [child for action in nested for child in action.choices.values()]
