"""``gpuwatch db forget --host``: a host of past logs goes, said before and after; its logs can be imported again then."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch.commands.care import count_text, size_text
from gpuwatch.errors import UsageError

if TYPE_CHECKING:
    from gpuwatch.store.forget_host import PastHost


def run(args: argparse.Namespace, path: Path) -> int:
    """Forget the host in the store at ``path``."""
    from gpuwatch.store.ballast import with_room
    from gpuwatch.store.beside import open_beside
    from gpuwatch.store.forget_host import find_host

    with open_beside(path) as db:
        host = find_host(db, args.host)
    if not args.yes:
        _confirm(host, path)
    before = path.stat().st_size
    rows = with_room(path, lambda: _forget(path, host))
    after = path.stat().st_size
    went = f"{_files(host)} and {count_text(rows, 'row')} of the store went"
    print(
        f"{path}: host {host.name} is forgotten: {went}; the file shrank by {size_text(max(0, before - after))} to {size_text(after)}."
    )
    print(
        f"{'It' if host.files == 1 else 'They'} may be imported again. Not touched: backups, exports, the {'log itself' if host.files == 1 else 'logs themselves'}."
    )
    return 0


def _files(host: PastHost) -> str:
    return f"{count_text(host.files, 'file')} ({count_text(host.rows, 'sample')})"


def _confirm(host: PastHost, path: Path) -> None:
    command = f"gpuwatch db forget --host {shlex.quote(host.name)} --yes"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("forgetting cannot be undone and nobody can be asked here", command)
    print(f"{path}: {_files(host)}{', half forgotten already' if host.half else ''}")
    if input(f"Forget all that was imported as {host.name}? It cannot be undone. Type yes: ").strip().lower() != "yes":
        raise UsageError("nothing was changed")


def _forget(path: Path, host: PastHost) -> int:
    """The rows that were deleted; the file has its new size then, unless a reader holds an old state."""
    from gpuwatch.store.beside import open_beside
    from gpuwatch.store.capacity import shrink
    from gpuwatch.store.forget_host import forget_host

    with open_beside(path) as db:
        deleted = sum(forget_host(db, host))
        for _ in shrink(db, 0):
            pass
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return deleted
