"""``gpuwatch doctor``: what can be measured here, what not, why, and what would change it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gpuwatch.commands import checks
from gpuwatch.commands.checks import Check
from gpuwatch.output import is_unicode

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime

_MARK = {"ok": "ok", "missing": "--", "warn": "! ", "info": "  "}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="what can be measured here, what not, and why",
        description="Check the driver, permissions, the store, the configuration and the terminal. Reads only; changes nothing.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Print all checks; exit code 0 even where much is missing: that is an answer, not a failure."""
    found = checks.collect(runtime)
    settings = checks.settings_rows(runtime)
    if args.json:
        _print_json(found, settings, runtime)
    else:
        _print_text(found, settings)
    return 0


def _print_json(found: Sequence[Check], settings: Sequence[tuple[str, Any, str]], runtime: Runtime) -> None:
    import json

    from gpuwatch.view.json import iso

    document = {
        "schema": 1,
        "kind": "doctor",
        "generated_at": iso(runtime.now_ms()),
        "simulated": runtime.simulated,
        "checks": [{"id": c.id, "state": c.state, "title": c.title, "result": c.result, "fix": c.fix or None} for c in found],
        "settings": [{"key": key, "value": value, "source": source} for key, value, source in settings],
    }
    json.dump(document, sys.stdout, indent=2, ensure_ascii=not is_unicode(), default=list)
    print()


def _print_text(found: Sequence[Check], settings: Sequence[tuple[str, Any, str]]) -> None:
    group = ""
    width = max(len(c.title) for c in found) + 2
    for check in found:
        if check.group != group:
            group = check.group
            print(f"{'' if check is found[0] else chr(10)}{group}")
        print(f"  {_MARK[check.state]} {check.title:<{width}}{check.result}")
        if check.fix:
            print(f"     {'':<{width}}do: {check.fix}")
    print("\nsettings (default unless a source is named)")
    wide = max(len(key) for key, _, _ in settings) + 2
    for key, value, source in settings:
        shown = _shown(value)
        print(f"     {key:<{wide}}{shown or '(standard)'}{f'   from {source}' if source else ''}")
    missing = sum(1 for c in found if c.state == "missing")
    print(f"\n{len(found)} checks, {missing} missing. Stable ids: gpuwatch doctor --json")


def _shown(value: Any) -> str:
    """A setting in one line: lists with commas, tables as ``name=value``."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={each:g}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
