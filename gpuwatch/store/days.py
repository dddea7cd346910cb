"""Closing local days: sums over the closed hours of a host between its midnights, 23 to 25 of them where clocks change.

As with hours, a day is computed whole in one transaction with the watermark. A day has a row only when it is over. Each hour
belongs to the one day in which it begins; where a host has moved to another zone, its first day there begins where the last one ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import tzinfo

from gpuwatch.store.connection import transaction
from gpuwatch.store.hours import closed_s, first_bucket, hour_offset_s, hour_start_s, ledger_statement, merge_statements
from gpuwatch.store.watermarks import (
    DAY_TIER,
    HOUR_TIER,
    LEDGER_DAY_TIER,
    LEDGER_HOUR_TIER,
    current_host,
    lower_watermark,
    set_watermark,
    watermark,
)
from gpuwatch.zone import host_zone, midnight_s, next_midnight_s

_SHORTEST_DAY_S = 22 * 3600
"""No day needs to be looked for before so much time is closed beyond the last one."""


def zone_of(db: sqlite3.Connection, host_id: int) -> tzinfo:
    """The zone whose midnights begin the days of a host; UTC for one that is not known."""
    row = db.execute("SELECT timezone, utc_offset_seconds FROM host WHERE host_id=?", (host_id,)).fetchone()
    return host_zone(*row) if row else host_zone("", 0)


def close_days(db: sqlite3.Connection, now_ms: int, *, host_id: int | None = None, limit: int | None = None) -> list[int]:
    """Close the local days that ended by ``now_ms``, whose hours are all closed and that are not closed yet.

    Returns the starts of those that got rows, oldest first, at most ``limit``; call again while it is not empty. Each day is a
    transaction of its own.
    """
    return _close(db, now_ms, current_host(db) if host_id is None else host_id, limit, ledger=False)


def close_ledger_days(db: sqlite3.Connection, now_ms: int, *, host_id: int | None = None, limit: int | None = None) -> list[int]:
    """The same for the ledger's hours."""
    return _close(db, now_ms, current_host(db) if host_id is None else host_id, limit, ledger=True)


def _close(db: sqlite3.Connection, now_ms: int, host: int, limit: int | None, *, ledger: bool) -> list[int]:
    tier, finer = (LEDGER_DAY_TIER, LEDGER_HOUR_TIER) if ledger else (DAY_TIER, HOUR_TIER)
    statements = (ledger_statement("hour", "day"),) if ledger else merge_statements("hour", "day")
    limit_s = min(now_ms // 1000, closed_s(db, finer, host))
    done, closed = watermark(db, tier, host), list[int]()
    if done is not None and limit_s - done < _SHORTEST_DAY_S:
        return closed
    zone = zone_of(db, host)
    while limit is None or len(closed) < limit:
        first = first_bucket(db, "hour", done, host, ledger=ledger)
        if first is None:
            break
        end = next_midnight_s(first, zone)
        if end > limit_s:
            break
        start = midnight_s(first, zone)
        start = start if done is None else max(start, done)
        with transaction(db):
            for statement in statements:
                db.execute(statement, {"t": start, "t0": start, "t1": end, "host": host})
            set_watermark(db, tier, end, host)
        done = end
        closed.append(start)
    return closed


def reopen(db: sqlite3.Connection, minutes: Sequence[int], host_id: int | None = None) -> None:
    """Minutes behind the watermarks got rows, as after a clock that was set back: their hours and days are closed again later.

    Part of the open transaction, if there is one. ``minutes`` are starts of minutes, unix seconds.
    """
    if not minutes:
        return
    host = current_host(db) if host_id is None else host_id
    hour = hour_start_s(min(minutes), hour_offset_s(db, host))
    day = midnight_s(hour, zone_of(db, host))
    with transaction(db):
        for tier in (HOUR_TIER, LEDGER_HOUR_TIER):
            lower_watermark(db, tier, hour, host)
        for tier in (DAY_TIER, LEDGER_DAY_TIER):
            lower_watermark(db, tier, day, host)
