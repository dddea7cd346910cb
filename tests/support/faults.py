"""What stands in for broken machines: a user without rights, a tiny disk, a damaged file, a store with a few rows."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.store_rows import first_tick, gpu_row, tick

from gpuwatch.store.writer import StoreWriter

NOBODY = 65534


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Permissions do not bind root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def filled(writer: StoreWriter, seconds: int = 5) -> None:
    """One row a second, committed."""
    writer.add(first_tick())
    for second in range(1, seconds + 1):
        writer.add(tick(second, gpu_row(utilization_ratio=0.5)))
    assert writer.commit()


def count(db: sqlite3.Connection) -> int:
    """GPU rows that are kept."""
    return int(db.execute("SELECT count(*) FROM gpu_sample").fetchone()[0])


def damage(path: Path, how: str) -> None:
    """Break a file: its header, its middle, or its tail."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        if how == "header":
            file.write(b"\x00garbage" * 20)
        elif how == "middle":
            file.seek(4096)
            file.write(os.urandom(64) * ((size - 4096) // 64))
        else:
            file.truncate(size // 2 + 100)
