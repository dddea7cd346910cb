"""``gpuwatch db``: care of the store: where it is, bring it up to date, check it, back it up, make it smaller, forget people and past logs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch.commands import care, forget_host, unpack
from gpuwatch.errors import EXIT_CHECK, StoreError

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command and its actions."""
    parser = subparsers.add_parser(
        "db", help="where the store is; upgrade, check, back up, prune, forget", description="Care of the store."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("path", help="print the path of the store")
    actions.add_parser("upgrade", help="bring an older store to this version's schema")
    actions.add_parser("check", help="look for damage (reads the whole file)")
    backup = actions.add_parser("backup", help="copy the store to another file while a recorder runs")
    backup.add_argument("target", metavar="FILE", help="file to write; it must not exist")
    care.add_prune(actions)
    care.add_forget(actions)
    unpack.add_unpack(actions)
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Do one action."""
    does = {
        "path": _path,
        "upgrade": _upgrade,
        "check": _check,
        "backup": _backup,
        "prune": _prune,
        "forget": _forget,
        "unpack": _unpack,
    }
    return does[args.action](args, runtime)


def _path(args: argparse.Namespace, runtime: Runtime) -> int:
    print(runtime.place.path)
    if runtime.place.notice:
        print(runtime.place.notice, file=sys.stderr)
    return 0


def _existing(runtime: Runtime) -> Path:
    from gpuwatch.store import connection

    path = runtime.store_path()
    if not connection.exists(path):
        raise connection.NoStore(f"there is no store at {path}", "start a recorder with: gpuwatch record")
    return path


def _upgrade(args: argparse.Namespace, runtime: Runtime) -> int:
    from gpuwatch.store.lease import Lease, holder
    from gpuwatch.store.upgrade import upgrade

    path = _existing(runtime)
    lease = Lease.acquire(path, {"work": "upgrade"})
    if lease is None:
        found = holder(path)
        raise StoreError(
            f"a recorder (pid {found.pid if found else '?'}) holds {path}; only the holder may change the schema", "stop it first"
        )
    try:
        before, after = upgrade(path)
    finally:
        lease.release()
    print(f"{path}: schema {before}" + (", already current" if before == after else f" -> {after}"))
    return 0


def _check(args: argparse.Namespace, runtime: Runtime) -> int:
    from gpuwatch.store.check import check

    path = _existing(runtime)
    problems = check(path)
    for line in problems:
        print(line)
    if not problems:
        print(f"{path}: no damage found")
    return EXIT_CHECK if problems else 0


def _backup(args: argparse.Namespace, runtime: Runtime) -> int:
    from gpuwatch.store.backup import backup

    target = Path(args.target).expanduser()
    size = backup(_existing(runtime), target)
    print(f"{target}: {size} bytes")
    return 0


def _prune(args: argparse.Namespace, runtime: Runtime) -> int:
    return care.prune(args, runtime, _on_disk(runtime))


def _on_disk(runtime: Runtime) -> Path:
    """The store itself, also while its recorder had to move into memory because the disk is full."""
    from gpuwatch.store import connection

    asked = runtime.place.path
    return asked if connection.exists(asked) else _existing(runtime)


def _forget(args: argparse.Namespace, runtime: Runtime) -> int:
    if args.host is not None:
        return forget_host.run(args, _on_disk(runtime))
    return care.forget(args, runtime, [*_beside(runtime), _existing(runtime)])


def _beside(runtime: Runtime) -> list[Path]:
    """Other files with rows of this store: the store itself while its recorder writes elsewhere, a stand-in in memory, a side file."""
    from gpuwatch.store import connection
    from gpuwatch.store.columns import SCHEMA_VERSION
    from gpuwatch.store.location import fallback_path

    asked, written = runtime.place.path, runtime.store_path()
    side = asked.with_name(f"{asked.stem}.schema-{SCHEMA_VERSION}{asked.suffix}")
    return [path for path in (asked, fallback_path(os.getuid(), asked), side) if path != written and connection.exists(path)]


def _unpack(args: argparse.Namespace, runtime: Runtime) -> int:
    return unpack.run(args, runtime, _existing(runtime))
