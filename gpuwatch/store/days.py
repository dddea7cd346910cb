"""Closing local days: sums over the closed hours of a host between its midnights, 23 to 25 of them where clocks change.

As with hours, a day is computed whole in one transaction with the watermark. A day has a row only when it is over. Each hour
belongs to the one day in which it begins; where a host has moved to another zone, its first day there begins where the last one ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo

from gpuwatch.dataclass import NamedTuple
from gpuwatch.store.columns import HIST
from gpuwatch.store.connection import transaction
from gpuwatch.store.hours import (
    NEVER_S,
    closed,
    closed_s,
    first_bucket,
    hour_offset_s,
    hour_start_s,
    ledger_statement,
    merge_statements,
    open_statements,
)
from gpuwatch.store.latency_tiers import sum_pieces
from gpuwatch.store.watermarks import (
    DAY_TIER,
    HIST_DAY_TIER,
    HOUR_TIER,
    LEDGER_DAY_TIER,
    LEDGER_HOUR_TIER,
    SEAL_TIER,
    count_reopened,
    current_host,
    lower_watermark,
    marks,
    set_watermark,
    watermark,
)
from gpuwatch.zone import host_zone, midnight_s, next_midnight_s

_SHORTEST_DAY_S = 22 * 3600
"""No day needs to be looked for before so much time is closed beyond the last one."""
_HIST_OF = (
    "(m.entity=0 AND m.entity_id IN (SELECT gpu_id FROM gpu WHERE host_id=:host)"
    " OR m.entity=1 AND m.entity_id IN (SELECT workload_id FROM workload WHERE host_id=:host))"
)
_NO_HIST = f"DELETE FROM hist_day AS m WHERE m.t=:t AND {_HIST_OF}"
_HIST = (
    f"INSERT INTO hist_day({','.join(HIST)}) SELECT :t,m.entity,m.entity_id,m.metric,m.bin,sum(m.weight) "
    f"FROM hist_hour m WHERE m.t>=:t0 AND m.t<:t1 AND {_HIST_OF} GROUP BY m.entity,m.entity_id,m.metric,m.bin"
)
_FIRST_HIST = f"SELECT m.t FROM hist_hour m WHERE m.t>=:since AND {_HIST_OF} ORDER BY m.t LIMIT 1"


def zone_of(db: sqlite3.Connection, host_id: int) -> tzinfo:
    """The zone whose midnights begin the days of a host; UTC for one that is not known."""
    row = db.execute("SELECT timezone, utc_offset_seconds FROM host WHERE host_id=?", (host_id,)).fetchone()
    return host_zone(*row) if row else host_zone("", 0)


def close_days(db: sqlite3.Connection, now_ms: int, *, host_id: int | None = None, limit: int | None = None) -> list[int]:
    """Close the local days that ended by ``now_ms``, whose hours are all closed and that are not closed yet.

    Returns the starts of those that got rows, oldest first, at most ``limit``; call again while it is not empty. Each day is a
    transaction of its own, but for the waiting times that come before it.
    """
    return closed(day_steps(db, now_ms, host_id=host_id), limit)


def day_steps(db: sqlite3.Connection, now_ms: int, *, host_id: int | None = None) -> Iterator[int | None]:
    """The same in pieces of a few milliseconds: gives the start of each day that is closed, ``None`` after a piece of one."""
    return _close(db, now_ms, current_host(db) if host_id is None else host_id, _MEASURED)


def close_ledger_days(db: sqlite3.Connection, now_ms: int, *, host_id: int | None = None, limit: int | None = None) -> list[int]:
    """The same for the ledger's hours."""
    return closed(_close(db, now_ms, current_host(db) if host_id is None else host_id, _LEDGER), limit)


def close_hist_days(db: sqlite3.Connection, now_ms: int, *, host_id: int | None = None, limit: int | None = None) -> list[int]:
    """The same for distributions, whose hours are there when they are sealed."""
    return closed(_close(db, now_ms, current_host(db) if host_id is None else host_id, _DISTRIBUTIONS), limit)


class _Kind(NamedTuple):
    """What is closed: its tier, the one that must be closed before, the statements of a day, and the first hour with rows."""

    tier: str
    finer: str
    statements: Callable[[], Sequence[str]]
    first: Callable[[sqlite3.Connection, int | None, int], int | None]


def _first_hist(db: sqlite3.Connection, since_s: int | None, host: int) -> int | None:
    row = db.execute(_FIRST_HIST, {"since": NEVER_S if since_s is None else since_s, "host": host}).fetchone()
    return int(row[0]) if row else None


_MEASURED = _Kind(
    DAY_TIER,
    HOUR_TIER,
    lambda: merge_statements("hour", "day"),
    lambda db, since, host: first_bucket(db, "hour", since, host, ledger=False),
)
_LEDGER = _Kind(
    LEDGER_DAY_TIER,
    LEDGER_HOUR_TIER,
    lambda: (ledger_statement("hour", "day"),),
    lambda db, since, host: first_bucket(db, "hour", since, host, ledger=True),
)
_DISTRIBUTIONS = _Kind(HIST_DAY_TIER, SEAL_TIER, lambda: (_NO_HIST, _HIST), _first_hist)


def _close(db: sqlite3.Connection, now_ms: int, host: int, kind: _Kind) -> Iterator[int | None]:
    limit_s = min(now_ms // 1000, closed_s(db, kind.finer, host))
    done = watermark(db, kind.tier, host)
    if done is not None and limit_s - done < _SHORTEST_DAY_S:
        return
    zone = zone_of(db, host)
    while True:
        known = marks(db, kind.tier, host)
        done = known[0]
        first = kind.first(db, done, host)
        if first is None:
            break
        end = next_midnight_s(first, zone)
        if end > limit_s:
            break
        start = midnight_s(first, zone)
        start = start if done is None else max(start, done)
        if kind is _MEASURED:
            for _ in sum_pieces(db, "hour", "day", host, start, (start, end)):
                yield None
        with transaction(db):
            if marks(db, kind.tier, host) != known:
                continue  # hours were opened again meanwhile: all is looked at anew
            for statement in kind.statements():
                db.execute(statement, {"t": start, "t0": start, "t1": end, "host": host})
            set_watermark(db, kind.tier, end, host)
        yield start


def reopen(db: sqlite3.Connection, minutes: Sequence[int], host_id: int | None = None) -> None:
    """Minutes behind the watermarks got rows, as after a clock that was set back: their hours and days are closed again later.

    Until then they, and what a clock that was ahead has closed after them, have no rows. Part of the open transaction, if there is one. ``minutes`` are starts of minutes, unix seconds.
    """
    if not minutes:
        return
    host = current_host(db) if host_id is None else host_id
    hour = hour_start_s(min(minutes), hour_offset_s(db, host))
    day = midnight_s(hour, zone_of(db, host))
    with transaction(db):
        count_reopened(db, host)
        for period, t, tiers in (("hour", hour, (HOUR_TIER, LEDGER_HOUR_TIER)), ("day", day, (DAY_TIER, LEDGER_DAY_TIER))):
            for tier in tiers:
                lower_watermark(db, tier, t, host)
            for statement in open_statements(period):
                db.execute(statement, {"t": t, "host": host})


def reopen_hist(db: sqlite3.Connection, t: int, host_id: int) -> None:
    """The distributions of the hour that starts at unix second ``t`` were made anew: its day is closed again later.

    Part of the open transaction, if there is one.
    """
    if t < closed_s(db, HIST_DAY_TIER, host_id):
        lower_watermark(db, HIST_DAY_TIER, midnight_s(t, zone_of(db, host_id)), host_id)
