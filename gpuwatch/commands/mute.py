"""``gpuwatch mute``: do not be told of a rule's findings, on a GPU or of a command line, for a time or for ever."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from gpuwatch.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from gpuwatch.rules.rule import Rule
    from gpuwatch.runtime import Runtime
    from gpuwatch.store.window import Window

EVER = "ever"
_LONGEST_S = 100 * 365 * 86_400
_MOST = 2**63 - 1
"""No id in a store is greater."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "mute",
        help="do not be told of a finding, for a time or for ever",
        description="Do not be told of what a rule finds: on one GPU, of one command line, or anywhere. The ledger counts it all the same, "
        "and gpuwatch waste --all shows it.",
    )
    parser.add_argument("rule", metavar="RULE", nargs="?", help="the rule, as in gpu-memory-held-idle (gpuwatch explain lists all)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--gpu", type=int, metavar="N", help="on this GPU alone")
    what.add_argument("--command", dest="command_text", metavar="TEXT", help="where the command line has this text in it")
    parser.add_argument("--for", dest="how_long", metavar="TIME", help="how long: 1h, 24h, 7d, or ever")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why, for whoever lists the mutes")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--list", action="store_true", help="list the mutes in force")
    other.add_argument("--lift", type=int, metavar="ID", help="end a mute of the list")
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Mute, list or lift."""
    if args.list or args.lift is not None:
        if args.rule is not None or args.how_long is not None:
            raise UsageError("--list and --lift take no rule and no --for", "gpuwatch mute --list")
        return _list(runtime) if args.list else _lift(args.lift, runtime)
    if args.rule is None:
        raise UsageError(
            "which rule?", "gpuwatch mute RULE --for 24h; gpuwatch explain lists the rules, gpuwatch mute --list the mutes"
        )
    if args.how_long is None:
        raise UsageError("for how long?", f"gpuwatch mute {args.rule} --for 1h, 24h or ever")
    return _mute(args, runtime)


def _mute(args: argparse.Namespace, runtime: Runtime) -> int:
    from gpuwatch.format import counted
    from gpuwatch.ruled import keep_mute
    from gpuwatch.rules.types import Mute
    from gpuwatch.store.window import Window

    rule, path, now_ms = _rule(args.rule), _store(runtime), runtime.now_ms()
    until_ms = _until(args.how_long, now_ms)
    with Window(path) as window:
        subject = _subject(args.gpu, rule, window)
        made = Mute(rule.id, subject, _text(args.command_text, "--command"), until_ms, _text(args.reason, "--reason"))
        hidden = _hidden(made, window)
    number = keep_mute(path, made, now_ms)
    where = f" on GPU {args.gpu}" if args.gpu is not None else f" where the command has '{made.command}'" if made.command else ""
    print(f"Muted {rule.id}{where} {_until_words(until_ms, runtime)}: {counted(hidden, 'open finding')} hidden from now on.")
    print(f"Undo: gpuwatch mute --lift {number}")
    return EXIT_OK


def _rule(word: str) -> Rule:
    from gpuwatch.rules.manual import find

    rule = find(word)
    if rule is None:
        from gpuwatch.ruled import near
        from gpuwatch.rules.catalogue import RULES

        raise UsageError(f"there is no rule '{word}'{near(word, RULES)}")
    return rule


def _store(runtime: Runtime) -> Path:
    if runtime.simulated and runtime.args.store is None:
        raise UsageError(
            "the store of a demo ends with the command: nothing can be muted in it", "give it a place with --store PATH"
        )
    from gpuwatch.store.connection import NoStore, exists

    path = runtime.store_path()
    if not exists(path):
        raise NoStore(f"there is no store at {path}", "start a recorder with: gpuwatch record")
    return path


def _until(text: str, now_ms: int) -> int | None:
    if text in (EVER, "forever", "for-ever"):
        return None
    from gpuwatch.when import seconds_of

    try:
        seconds = seconds_of(text)
    except (UsageError, OverflowError):
        raise UsageError(f"'{text}' is not how long", "write it as 1h, 24h, 7d or ever") from None
    if seconds <= 0:
        raise UsageError("a mute of no time mutes nothing", "write it as 1h, 24h, 7d or ever")
    if seconds > _LONGEST_S:
        raise UsageError(f"'{text}' is longer than a hundred years", "write it as 1h, 24h, 7d or ever")
    return now_ms + seconds * 1000


def _text(text: str | None, option: str) -> str:
    """Foreign text made harmless. Raises :class:`UsageError` for one that would fit everything by mistake."""
    from gpuwatch.text import MAX_LENGTH, clean

    if len(text or "") > MAX_LENGTH:
        raise UsageError(f"{option} is longer than {MAX_LENGTH} characters", "name a part of it")
    if text is not None and not text.strip() and option == "--command":
        raise UsageError("--command is empty and would fit every command line", "leave it out, or name a part of one")
    return clean(text or "").strip()


def _subject(index: int | None, rule: Rule, window: Window) -> str:
    if index is None:
        return ""
    if rule.about != "gpu":
        what = "jobs" if rule.about == "job" else "the host"
        raise UsageError(f"rule '{rule.id}' is about {what}, not about single GPUs", "mute it by --command TEXT, or without either")
    boards = [row for row in window.gpus().values() if row["gpu_index"] == index and not row["parent_uuid"]]
    if not boards:
        known = sorted({int(row["gpu_index"]) for row in window.gpus().values()})
        raise UsageError(f"there is no GPU {index} in the store", f"it has: {', '.join(map(str, known)) or 'none'}")
    return f"gpu:{max(boards, key=lambda row: row['last_ms'])['uuid']}"


def _hidden(mute: object, window: Window) -> int:
    """How many findings that are open now it speaks of."""
    from gpuwatch.rules.mutes import fits
    from gpuwatch.view.findings import findings_at

    found = findings_at(window, window.newest_ms(), live=True)
    return sum(not one.muted and fits(mute, one.rule, one.subject, one.command) for one in found)  # type: ignore[arg-type]


def _until_words(until_ms: int | None, runtime: Runtime) -> str:
    from gpuwatch.format import since

    return "for ever" if until_ms is None else f"until {since(until_ms, runtime.now_ms(), runtime.tz)}"


def _lift(number: int, runtime: Runtime) -> int:
    from gpuwatch.store import mutes
    from gpuwatch.store.beside import open_beside
    from gpuwatch.store.window import Window

    path = _store(runtime)
    with Window(path) as window:
        host_id = window.host_id
    with open_beside(path) as db:
        lifted = 0 < number <= _MOST and mutes.lift_one(db, host_id, number, runtime.now_ms())
    if not lifted:
        raise UsageError(f"there is no mute {number} in force", "gpuwatch mute --list")
    print(f"Mute {number} is lifted.")
    return EXIT_OK


def _list(runtime: Runtime) -> int:
    from gpuwatch.commands.status import width
    from gpuwatch.format import since
    from gpuwatch.report.table import Column, table
    from gpuwatch.store import findings as stored
    from gpuwatch.store.window import Window

    now_ms = runtime.now_ms()
    with Window(_store(runtime)) as window:
        rows = [row for row in stored.mutes(window) if row.holds(now_ms)] if stored.knows_findings(window) else []
        places = {f"gpu:{row['uuid']}": f"GPU {row['gpu_index']}" for row in window.gpus().values()}
    if not rows:
        print("No mute is in force.")
        return EXIT_OK
    columns = [
        Column("ID", [str(row.mute_id) for row in rows]),
        Column("Rule", [row.rule or "any" for row in rows], align="left"),
        Column(
            "Where",
            [places.get(row.subject, row.subject) or (f"'{row.command}'" if row.command else "anywhere") for row in rows],
            align="left",
        ),
        Column(
            "Until", ["for ever" if row.until_ms is None else since(row.until_ms, now_ms, runtime.tz) for row in rows], align="left"
        ),
        Column("Since", [since(row.made_ms, now_ms, runtime.tz) for row in rows], align="left", drop=1),
        Column("Reason", [row.reason for row in rows], align="left"),
    ]
    sys.stdout.write("\n".join(table(columns, width(runtime.environ))) + "\n")
    return EXIT_OK
