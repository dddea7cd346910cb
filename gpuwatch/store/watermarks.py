"""How far each tier of a host is closed: one unix second per host and tier, written with the rows it speaks for."""

from __future__ import annotations

import sqlite3

from gpuwatch.store.connection import transaction

MINUTE_TIER = "minute"
LEDGER_TIER = "ledger"
HOUR_TIER, DAY_TIER = "hour", "day"
LEDGER_HOUR_TIER, LEDGER_DAY_TIER = "ledger_hour", "ledger_day"
HIST_DAY_TIER = "hist_day"
SEAL_TIER = "seal"
SEAL_TICK_TIER = "seal_tick"
"""Not a time: up to which tick all rows of sealed hours are sealed."""


def current_host(db: sqlite3.Connection) -> int:
    """The host whose recorder writes here (0 before it is known)."""
    row = db.execute("SELECT host_id FROM session WHERE host_id IS NOT NULL ORDER BY session_id DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 0


def watermark(db: sqlite3.Connection, tier: str, host_id: int | None = None) -> int | None:
    """The unix second up to which a tier is closed; ``None``: nothing is closed yet.

    ``host_id`` defaults to the host that records here; a host that was imported has its own.
    """
    host = current_host(db) if host_id is None else host_id
    row = db.execute("SELECT done_s FROM rollup_state WHERE host_id=? AND tier=?", (host, tier)).fetchone()
    return int(row[0]) if row else None


def set_watermark(db: sqlite3.Connection, tier: str, done_s: int, host_id: int | None = None) -> None:
    """Say that a tier is closed up to ``done_s`` (never backwards); in the open transaction, if there is one."""
    host = current_host(db) if host_id is None else host_id
    with transaction(db):
        db.execute(
            "INSERT INTO rollup_state VALUES(?,?,?) ON CONFLICT(host_id,tier) DO UPDATE SET done_s=max(done_s,excluded.done_s)",
            (host, tier, done_s),
        )


def lower_watermark(db: sqlite3.Connection, tier: str, done_s: int, host_id: int) -> None:
    """Say that a tier is to be closed again from ``done_s`` on; in the open transaction, if there is one."""
    with transaction(db):
        db.execute("UPDATE rollup_state SET done_s=min(done_s,?) WHERE host_id=? AND tier=?", (done_s, host_id, tier))
