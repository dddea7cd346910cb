"""The size cap: when the file has grown beyond it, the oldest days go first, single values before sums, processes before GPUs.

The last wall is SQLite's own ``max_page_count``, a little above the cap: if even that is reached, a commit fails with one clear
line and recording goes on in memory, as when the disk is full.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime

from gpuwatch.store.days import zone_of
from gpuwatch.store.deleting import Keep, delete_chunks, delete_rows
from gpuwatch.store.hours import closed_s
from gpuwatch.store.watermarks import HOUR_TIER, LEDGER_HOUR_TIER, current_host
from gpuwatch.zone import midnight_s, next_midnight_s

MB = 1_000_000
_UNTOUCHED_S = 3 * 3600
"""The newest values stay whatever the cap is: a screen shows them."""
WALL = 1.1
"""``max_page_count`` stands at so many times the cap: there is an hour until the cap is looked at again."""
VACUUM_PAGES = 100
RESERVE_PAGES = 4096
"""Free pages that stay in the file: hot rows come and go, and giving their room back to the disk each time would cost writes."""
_STAGES = (
    ("process values", "chunk", "t0_ms", "kind=1", ""),
    ("GPU, workload and host values", "chunk", "t0_ms", "kind<>1", ""),
    ("process minutes", "process_minute", "t", "", HOUR_TIER),
    ("GPU minutes", "gpu_minute", "t", "", HOUR_TIER),
    ("workload minutes", "workload_minute", "t", "", HOUR_TIER),
    ("minutes of waiting times", "latency_minute", "t", "", HOUR_TIER),
    ("ledger minutes", "ledger_minute", "t", "", LEDGER_HOUR_TIER),
)
"""What goes, in this order within a day: (words, table, its time, condition, tier that must have the sums)."""


def used_bytes(db: sqlite3.Connection) -> int:
    """What the file holds, without its free pages."""
    pages = int(db.execute("PRAGMA page_count").fetchone()[0]) - free_pages(db)
    return pages * int(db.execute("PRAGMA page_size").fetchone()[0])


def free_pages(db: sqlite3.Connection) -> int:
    """Pages of the file that hold nothing."""
    return int(db.execute("PRAGMA freelist_count").fetchone()[0])


def set_wall(db: sqlite3.Connection, max_mb: int) -> None:
    """Let this connection never make the file larger than a little beyond the cap (0: without a limit)."""
    if max_mb:
        page = int(db.execute("PRAGMA page_size").fetchone()[0])
        db.execute(f"PRAGMA max_page_count={round(max_mb * MB * WALL) // page}")


def at_wall(db: sqlite3.Connection) -> bool:
    """Whether the file cannot grow because of the wall."""
    most = int(db.execute("PRAGMA max_page_count").fetchone()[0])
    return int(db.execute("PRAGMA page_count").fetchone()[0]) >= most - VACUUM_PAGES


def fit(db: sqlite3.Connection, now_ms: int, keep: Keep, told: Callable[[str], None]) -> Iterator[int]:
    """Delete the oldest days until the file is not beyond the cap; ``told`` hears a sentence for each thing that was dropped.

    Single values of a day go before its minutes; minutes only when no single values but the newest are left. Works in
    short transactions and gives the rows that each one deleted.
    """
    zone = zone_of(db, current_host(db))
    for stages in (_STAGES[:2], _STAGES[2:]):
        while _beyond(db, keep):
            oldest = _oldest(db, stages)
            if oldest is None:
                break
            span = midnight_s(oldest, zone), min(next_midnight_s(oldest, zone), now_ms // 1000 - _UNTOUCHED_S)
            gone = 0
            for stage in stages:
                if _beyond(db, keep):
                    dropped = 0
                    for count in _drop(db, stage, span):
                        dropped += count
                        yield count
                    if dropped:
                        day = datetime.fromtimestamp(oldest, zone).strftime("%Y-%m-%d")
                        told(
                            f"The store passed its size cap of {keep.max_mb} MB ([store] max_mb): {stage[0]} of {day} were dropped."
                        )
                    gone += dropped
            if not gone:
                break  # the rest is too young, or its hours have no sums yet


def _beyond(db: sqlite3.Connection, keep: Keep) -> bool:
    return keep.max_mb > 0 and used_bytes(db) > keep.max_mb * MB


def _oldest(db: sqlite3.Connection, stages: tuple[tuple[str, ...], ...]) -> int | None:
    found = []
    for table, column in dict.fromkeys((stage[1], stage[2]) for stage in stages):
        first = db.execute(f"SELECT min({column}) FROM {table}").fetchone()[0]
        if first is not None:
            found.append(first // (1000 if column.endswith("_ms") else 1))
    return min(found, default=None)


def _drop(db: sqlite3.Connection, stage: tuple[str, ...], span: tuple[int, int]) -> Iterator[int]:
    _, table, column, condition, tier = stage
    if table == "chunk":
        yield from delete_chunks(db, f"{column}>=? AND {column}<? AND {condition}", (span[0] * 1000, span[1] * 1000))
    else:
        yield from delete_rows(db, table, column, (span[0], min(span[1], closed_s(db, tier, current_host(db)))))


def shrink(db: sqlite3.Connection, reserve: int = RESERVE_PAGES) -> Iterator[int]:
    """Give free pages back to the disk, so many at a time, until ``reserve`` are left; gives what is still to do.

    ``execute`` would free a single page, and ``executescript`` ends an open transaction: there must be none.
    """
    while (left := free_pages(db)) > reserve and not db.in_transaction:
        db.executescript(f"PRAGMA incremental_vacuum({min(VACUUM_PAGES, left - reserve)})")
        if free_pages(db) >= left:
            return  # a file that was not made for it
        yield free_pages(db) - reserve
