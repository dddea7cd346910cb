"""How far each tier of a host is closed: one unix second per host and tier, written with the rows it speaks for.

A file may be recorded by one host after the other (a container that is made anew has another machine id). Their hot rows lie
together and one recorder closes their minutes, so the marks of its own tiers hold for all of them; each has its own hours and days.
"""

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
REOPENED_TIER = "reopened"
"""Not a time: how often closed hours were opened again."""
_RECORDED = "SELECT host_id FROM session UNION SELECT 0"
"""The hosts that recorded here; 0 before it is known."""


def current_host(db: sqlite3.Connection) -> int:
    """The host whose recorder writes here (0 before it is known)."""
    row = db.execute("SELECT host_id FROM session WHERE host_id IS NOT NULL ORDER BY session_id DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 0


def behind(db: sqlite3.Connection, tier: str) -> list[int]:
    """The hosts that recorded here and whose last rows a tier does not have yet, oldest first; the one that records now is the last."""
    sql = (
        "SELECT s.host_id FROM session s LEFT JOIN rollup_state r ON r.host_id=s.host_id AND r.tier=? WHERE s.host_id IS NOT NULL"
        " GROUP BY s.host_id HAVING max(r.done_s) IS NULL OR max(s.last_ms)>max(r.done_s)*1000 ORDER BY max(s.session_id)"
    )
    now = current_host(db)
    return [*(row[0] for row in db.execute(sql, (tier,)) if row[0] != now), now]


def watermark(db: sqlite3.Connection, tier: str, host_id: int | None = None) -> int | None:
    """The unix second up to which a tier is closed; ``None``: nothing is closed yet.

    Without ``host_id`` it is that of whoever recorded here; a host that was imported has its own.
    """
    if host_id is None:
        sql = f"SELECT max(done_s) FROM rollup_state WHERE tier=? AND host_id IN ({_RECORDED})"
        row = db.execute(sql, (tier,)).fetchone()
    else:
        row = db.execute("SELECT max(done_s) FROM rollup_state WHERE host_id=? AND tier=?", (host_id, tier)).fetchone()
    return None if row[0] is None else int(row[0])


def set_watermark(db: sqlite3.Connection, tier: str, done_s: int, host_id: int | None = None) -> None:
    """Say that a tier is closed up to ``done_s`` (never backwards); in the open transaction, if there is one.

    Without ``host_id`` it holds for all that recorded here.
    """
    host = current_host(db) if host_id is None else host_id
    with transaction(db):
        db.execute(
            "INSERT INTO rollup_state VALUES(?,?,?) ON CONFLICT(host_id,tier) DO UPDATE SET done_s=max(done_s,excluded.done_s)",
            (host, tier, done_s),
        )
        if host_id is None:
            sql = f"UPDATE rollup_state SET done_s=? WHERE tier=? AND done_s<? AND host_id IN ({_RECORDED})"
            db.execute(sql, (done_s, tier, done_s))


def lower_watermark(db: sqlite3.Connection, tier: str, done_s: int, host_id: int) -> None:
    """Say that a tier is to be closed again from ``done_s`` on; in the open transaction, if there is one."""
    with transaction(db):
        db.execute("UPDATE rollup_state SET done_s=min(done_s,?) WHERE host_id=? AND tier=?", (done_s, host_id, tier))


def count_reopened(db: sqlite3.Connection, host_id: int) -> None:
    """Say that rows of closed hours are gone, to whoever is just summing one of them; in the open transaction, if there is one."""
    with transaction(db):
        sql = "INSERT INTO rollup_state VALUES(?,?,1) ON CONFLICT(host_id,tier) DO UPDATE SET done_s=done_s+1"
        db.execute(sql, (host_id, REOPENED_TIER))


def marks(db: sqlite3.Connection, tier: str, host_id: int) -> tuple[int | None, int | None]:
    """How far a tier is closed, and how often it was opened again: what must not change while one of its buckets is summed."""
    return watermark(db, tier, host_id), watermark(db, REOPENED_TIER, host_id)
