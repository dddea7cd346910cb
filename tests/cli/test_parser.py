"""The parser declares each command once, and loads only the one that is named."""

from __future__ import annotations

import argparse

import pytest

from gpuwatch.commands import COMMANDS
from gpuwatch.parser import build_parser, normalise


def _commands(parser: argparse.ArgumentParser) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    return next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))


def test_the_list_of_commands_says_what_each_command_says_of_itself() -> None:
    said = {action.dest: action.help for action in _commands(build_parser())._choices_actions}
    assert said == COMMANDS


def test_the_help_says_nothing_where_there_is_nothing_to_say() -> None:
    assert "None" not in build_parser(["db"]).format_help()


def test_a_command_that_is_not_named_is_there_by_name_only() -> None:
    choices = _commands(build_parser(["status"])).choices
    assert list(choices) == list(COMMANDS)
    assert choices["status"].get_default("run") is not None and choices["record"].get_default("run") is None


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--demo", "status"], ["--demo=lab", "status"]),
        (["status", "--demo"], ["status", "--demo=lab"]),
        (["--demo=mig"], ["--demo=mig"]),
        (["--debug", "status"], ["--debug=", "status"]),
        (["query", "--", "--demo"], ["query", "--", "--demo"]),
    ],
)
def test_demo_and_debug_take_a_value_only_with_an_equals_sign(given: list[str], read: list[str]) -> None:
    assert normalise(given) == read


def test_an_option_after_the_command_wins_and_one_before_is_kept() -> None:
    args = build_parser().parse_args(["--store", "a", "--seed", "3", "status", "--store", "b"])
    assert (args.store, args.seed, args.speed) == ("b", 3, 1.0)
