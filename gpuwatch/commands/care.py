"""``gpuwatch db prune`` and ``db forget --user``: what goes for good, said before and after."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch.commands.record import seconds
from gpuwatch.errors import UsageError

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime
    from gpuwatch.store.deleting import Keep
    from gpuwatch.store.forget import Forgotten, Found
    from gpuwatch.store.retention import Old

DAY_S = 86_400
_WORDS = {
    "chunk": "archived single values",
    "process_minute": "minutes of processes",
    "gpu_minute": "minutes of GPUs",
    "workload_minute": "minutes of workloads",
    "latency_minute": "minutes of waiting times",
    "ledger_minute": "minutes of the ledger",
    "ledger_span": "spans of the ledger",
    "process_hour": "hours of processes",
    "gpu_hour": "hours of GPUs",
    "workload_hour": "hours of workloads",
    "latency_hour": "hours of waiting times",
    "ledger_hour": "hours of the ledger",
    "hist_hour": "distributions of hours",
    "hist_day": "distributions of days",
    "event": "events",
    "gap": "gaps",
    "gap_energy": "energy over gaps",
    "missing": "reasons of missing values",
}
_KEEPS = (("raw", "chunk_days", "single values"), ("minutes", "minute_days", "minutes"), ("hours", "hour_days", "hours and events"))


def add_prune(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``prune``."""
    text = (
        "Delete what is older than the settings say and give the room back to the disk. A recorder does so by itself once an hour."
    )
    parser = actions.add_parser("prune", help="delete what is older than it is kept", description=text)
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    for name, _, what in _KEEPS:
        parser.add_argument(f"--keep-{name}", type=seconds, metavar="7d", help=f"keep {what} so long, this time")
    parser.add_argument("--max-mb", type=_megabytes, metavar="MB", help="size that the file may have, this time (0: no limit)")


def _megabytes(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is not a size in MB: write it as 500, or 0 for no limit")
    return int(text)


def add_forget(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``forget``."""
    text = (
        "Remove what identifies a person: the account becomes forgotten-N, its GPU time and energy stay, so that no sum changes."
        " Or remove a host of past logs with all its data, so that they can be imported again, for example with another --tz."
        " Backups, exports and files that were set aside are not touched."
    )
    parser = actions.add_parser("forget", help="remove what identifies a person, or an imported host", description=text)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--user", metavar="NAME", help="user name, or a uid without a name")
    which.add_argument("--host", metavar="NAME", help="a host of past logs (gpuwatch import); all that is known of it goes")
    parser.add_argument("--yes", action="store_true", help="do not ask")


# --------------------------------------------------------------------------------------------------------------- prune


def prune(args: argparse.Namespace, runtime: Runtime, path: Path) -> int:
    """Delete what is too old, or say what would go."""
    from gpuwatch.store.ballast import with_room
    from gpuwatch.store.beside import open_beside
    from gpuwatch.store.retention import plan

    keep, before = _keep(args, runtime), path.stat().st_size
    with open_beside(path) as db:
        old = plan(db, runtime.now_ms(), keep)
        hosts = dict(db.execute("SELECT host_id, hostname FROM host").fetchall())
    for line in _plan_lines(old, hosts, runtime):
        print(line)
    if args.dry_run:
        print(f"{path}: {size_text(before)}; nothing was deleted." if old else _nothing(path, before))
        return 0
    deleted = with_room(path, lambda: _prune(path, runtime.now_ms(), keep))
    after = path.stat().st_size
    if not deleted and after >= before:
        print(_nothing(path, after))
    else:
        print(
            f"{path}: {count_text(deleted, 'row')} deleted; the file shrank by {size_text(max(0, before - after))} to {size_text(after)}."
        )
    return 0


def _prune(path: Path, now_ms: int, keep: Keep) -> int:
    """The rows that were deleted; the file has its new size then, unless a reader holds an old state."""
    from gpuwatch.store.beside import open_beside
    from gpuwatch.store.retention import prune

    with open_beside(path) as db:
        deleted = prune(db, now_ms, keep, print)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return deleted


def _keep(args: argparse.Namespace, runtime: Runtime) -> Keep:
    keep = runtime.keep()
    for name, field, _ in _KEEPS:
        given = getattr(args, f"keep_{name}")
        if given is not None:
            keep = keep._replace(**{field: given / DAY_S})
    return keep if args.max_mb is None else keep._replace(max_mb=args.max_mb)


def _plan_lines(old: Sequence[Old], hosts: dict[int, str], runtime: Runtime) -> list[str]:
    rows = []
    for part in old:
        until = datetime.fromtimestamp(part.until_s, runtime.tz).strftime("%Y-%m-%d %H:%M")
        what = _WORDS.get(part.table, part.table) + (f" of {hosts.get(part.host_id, '?')}" if len(hosts) > 1 else "")
        rows.append((what, f"before {until}", f"{part.rows:,}".replace(",", " "), size_text(part.size_bytes)))
    wide = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    return [f"  {a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}} rows  {d:>{wide[3]}}" for a, b, c, d in rows]


def _nothing(path: Path, size: int) -> str:
    return f"{path}: {size_text(size)}; nothing is older than it is kept."


def size_text(size: int) -> str:
    """``12.3 MB``, ``45 kB``."""
    return f"{size / 1e6:,.1f} MB".replace(",", " ") if size >= 10_000_000 else f"{size / 1e3:,.0f} kB".replace(",", " ")


def count_text(number: int, word: str) -> str:
    """``2 processes``."""
    many = word if number == 1 else word + ("es" if word.endswith("s") else "s")
    return f"{number:,} {many}".replace(",", " ")


# -------------------------------------------------------------------------------------------------------------- forget


def forget(args: argparse.Namespace, runtime: Runtime, paths: Sequence[Path]) -> int:
    """Forget a person in the store and in what stands in for it."""
    from gpuwatch.store.ballast import with_room
    from gpuwatch.store.beside import open_beside
    from gpuwatch.store.forget import find, wipe
    from gpuwatch.store.forget import forget as forget_in

    known: list[tuple[Path, Found]] = []
    for path in paths:
        with open_beside(path) as db:
            try:
                known.append((path, find(db, args.user)))
            except UsageError:
                if path == paths[-1] and not known:
                    raise
    _confirm(args, known)

    def forgotten(path: Path) -> Forgotten:
        with open_beside(path) as db:
            return forget_in(db, args.user)

    def wiped(path: Path) -> bool:
        with open_beside(path) as db:
            return wipe(db)

    for path, _ in known:
        done = with_room(path, partial(forgotten, path))
        for line in _told(args.user, path, done, wiped=with_room(path, partial(wiped, path))):
            print(line)
    print("Not touched: backups, exports, files set aside (.corrupt-…), logs of other programs.")
    return 0


def _confirm(args: argparse.Namespace, known: Sequence[tuple[Path, Found]]) -> None:
    if args.yes:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("forgetting cannot be undone and nobody can be asked here", f"gpuwatch db forget --user {args.user} --yes")
    for path, found in known:
        print(f"{path}: {_what(found)}")
    if input(f"Forget {args.user}? It cannot be undone. Type yes: ").strip().lower() != "yes":
        raise UsageError("nothing was changed")


def _what(found: Found) -> str:
    counts = zip(
        (found.accounts, found.processes, found.workloads, found.jobs), ("account", "process", "workload", "job"), strict=True
    )
    return ", ".join(count_text(number, word) for number, word in counts)


def _told(user: str, path: Path, done: Forgotten, *, wiped: bool) -> list[str]:
    lines = [f"{path}: {user} is {done.alias} from now on ({_what(done.found)}). All sums are unchanged."]
    if done.remains:
        lines.append(f"  '{user}' is still part of other texts, which stay: {', '.join(done.remains)}")
    if not wiped:
        lines.append(
            f"  A reader holds an older state: the name leaves {path.name}-wal when the reader ends and the recorder writes on."
        )
    return lines
