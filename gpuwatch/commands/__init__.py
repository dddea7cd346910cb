"""One file a command: ``add_parser(subparsers)`` declares it, ``run(args, runtime) -> int`` does it."""

from __future__ import annotations

from gpuwatch.commands import db, doctor, query, record, status

COMMANDS = (status, record, query, doctor, db)
