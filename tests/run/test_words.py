"""Which words of a command line are gpuwatch's and which are the command's."""

from __future__ import annotations

import argparse

import pytest

from gpuwatch.commands.run import WITH_VALUE, split
from gpuwatch.parser import build_parser, parse


@pytest.mark.parametrize(
    ("line", "ours", "command"),
    [
        ("run -- python x.py", "run", "python x.py"),
        ("run python x.py -- --store y", "run", "python x.py -- --store y"),
        ("--store a run --no-record --dir d -- -x -- run", "--store a run --no-record --dir d", "-x -- run"),
        ("run --store run run --debug", "run --store run", "run --debug"),
        ("--colors 16 run true", "--colors 16 run", "true"),
        ("run --store=a true", "run --store=a", "true"),
        ("run --", "run", ""),
        ("run --help", "run --help", ""),
        ("query run", "query run", ""),
        ("query -- run x", "query -- run x", ""),
        ("-- run x", "-- run x", ""),
        ("report --by run", "report --by run", ""),
    ],
)
def test_a_command_line_is_cut_where_the_command_begins(line: str, ours: str, command: str) -> None:
    assert split(line.split()) == (ours.split(), command.split())


def test_options_that_take_a_word_are_all_known() -> None:
    """Else the word after one would be taken for the command."""
    parser = build_parser(["run"])
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    actions = [*parser._actions, *commands.choices["run"]._actions]
    takes = {name for action in actions for name in action.option_strings if action.nargs is None}
    assert takes - {"--demo", "--debug"} == WITH_VALUE  # those two take a value only with a sign of equality


def test_options_are_read_and_the_command_is_not() -> None:
    args = parse(["--store", "a", "run", "--quiet", "--dir", "d", "--demo", "--", "--store", "b", "--demo", "--debug"])
    assert (args.command, args.store, args.quiet, args.dir, args.demo, args.no_record) == ("run", "a", True, "d", "lab", False)
    assert args.command_line == ["--store", "b", "--demo", "--debug"]
    assert parse(["run", "--no-record", "true"]).no_record and parse(["--no-record", "run", "true"]).no_record
