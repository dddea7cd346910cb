"""``gpuwatch explain``: the manual page of a rule, or all rules with what they say now."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gpuwatch.errors import EXIT_OK, GpuwatchError, UsageError

if TYPE_CHECKING:
    from gpuwatch.report.lines import Block
    from gpuwatch.runtime import Runtime

_LEAST = 30
"""Cells in which a sentence is folded; in fewer it is cut."""
_STYLES = {"open": "notice", "clear": "effective", "not evaluated": "dim", "off": "dim"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "explain",
        help="what a rule means, when it fires, what to do",
        description="Print the manual page of a rule; without one all rules, a sentence each, with what they say now if a recorder runs.",
    )
    parser.add_argument("rule", metavar="RULE", nargs="?", help="a rule, as in gpu-memory-held-idle, or its number, as in A2")
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Print it. A rule that there is not is a usage error."""
    from gpuwatch.commands.status import width
    from gpuwatch.commands.waste import look
    from gpuwatch.report.lines import rendered

    cells = max(60, width(runtime.environ))
    blocks = _all(runtime, cells) if args.rule is None else [_page(args.rule, runtime, cells)]
    sys.stdout.write(rendered(blocks, cells, look(runtime)))
    return EXIT_OK


def _page(word: str, runtime: Runtime, cells: int) -> Block:
    from gpuwatch.report.lines import wrapped
    from gpuwatch.rules.manual import find, page

    rule = find(word)
    if rule is None:
        from gpuwatch.ruled import near
        from gpuwatch.rules.catalogue import RULES

        raise UsageError(f"there is no rule '{word}'{near(word, RULES)}")
    out: Block = []
    for number, text in enumerate(page(rule, runtime.advice.limits).splitlines()):
        indent = len(text) - len(text.lstrip())
        style = "bold" if not number else "accent" if text.endswith(":") and not indent else ""
        out += wrapped(text.strip(), cells, indent=indent + 2 * bool(indent), first=" " * indent, style=style) if text else [[]]
    word_now = _words(runtime).get(rule.id)
    return out if word_now is None else [*out, [], [("Now: ", "accent"), (word_now, _STYLES.get(word_now, ""))]]


def _all(runtime: Runtime, cells: int) -> list[Block]:
    """A sentence for each rule, group by group; whole wherever there is room for a column of words."""
    from gpuwatch.format import cut
    from gpuwatch.report.lines import head, wrapped
    from gpuwatch.rules.catalogue import RULES
    from gpuwatch.rules.manual import groups, summary

    words = _words(runtime)
    wide = max(len(name) for name in RULES)
    state = 13 if words else 0
    before = wide + 7 + (state + 2 if state else 0)
    room = cells - before
    blocks: list[Block] = []
    for title, rules in groups():
        block: Block = [head(title, cells)]
        for rule in rules:
            word = words.get(rule.id, "")
            told = [(f"{word:<{state}}  ", _STYLES.get(word, ""))] if state else []
            first, *rest = wrapped(summary(rule), room) if room >= _LEAST else [[(cut(summary(rule), room), "")]]
            block.append([(f"{rule.code:<3}  ", "dim"), (f"{rule.id:<{wide}}  ", "bold"), *told, *first])
            block += [[(" " * before, ""), *more] for more in rest]
        blocks.append(block)
    blocks.append([[("A page of one: ", "dim"), ("gpuwatch explain RULE", "accent")]])
    return blocks


def _words(runtime: Runtime) -> Mapping[str, str]:
    """Rule -> what it says now; empty where no recorder says it."""
    from gpuwatch.rules.catalogue import RULES
    from gpuwatch.store import findings as stored
    from gpuwatch.store.connection import exists
    from gpuwatch.store.window import Window
    from gpuwatch.view.findings import FRESH_MS

    try:
        path = runtime.store_path()
        if not exists(path):
            return {}
        with Window(path) as window:
            said = stored.said(window) if stored.knows_findings(window) else None
            newest = window.newest_ms()
    except GpuwatchError:  # the pages are there without a store
        return {}
    if said is None or newest - said.t_ms > FRESH_MS or abs(runtime.now_ms() - newest) > FRESH_MS:
        return {}
    return {rule: said.rules.get(rule, "off").replace("_", " ") for rule in RULES}
