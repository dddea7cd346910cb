"""Bringing rows home that had to be recorded into memory: into the file that the recorder had left, once that can be written again.

It is safe only where one recorder gave out all ids: the memory store says at which tick it continues its file, and nothing was
recorded there since. Past logs that were imported meanwhile have ids of their own. If people were forgotten in the file meanwhile,
the rows in memory still name them: those do not come, and their time is a gap.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gpuwatch.names import GapReason
from gpuwatch.store.columns import HOT_TABLES, insert_sql
from gpuwatch.store.connection import FORGETS, forgets, transaction
from gpuwatch.store.server_rows import field_sql, server_sql
from gpuwatch.store.trainer_rows import RUN, TRAINER, run_sql, trainer_sql

CONTINUES = "continues"
"""In the ``meta`` of a store in memory: the newest tick of the file that it continues."""
_NEW = ("host", "gpu", "user_account", "workload", "process", "tick", *HOT_TABLES)
_LATER = ("session", "event", "gap", "gap_energy", "missing", "source_state")
_NEWEST = "SELECT tick_id, ts_ms FROM tick ORDER BY tick_id DESC LIMIT 1"
_HOLE_PERIODS = 3
_GONE_FIELDS = (  # a server that tells less than when the file was left
    "DELETE FROM main.server_field WHERE workload_id IN (SELECT workload_id FROM memory.server)"
    " AND (workload_id, field) NOT IN (SELECT workload_id, field FROM memory.server_field)"
)


def newest_tick(db: sqlite3.Connection) -> int:
    """The newest tick of a store; 0: none."""
    row = db.execute(_NEWEST).fetchone()
    return int(row[0]) if row else 0


def say_continues(memory: sqlite3.Connection, tick_id: int | None, forgotten: str = "") -> None:
    """The store in memory goes on after that tick of its file, where people were ``forgotten`` so often; ``None``: its ids are its own."""
    with transaction(memory):
        memory.execute("DELETE FROM meta WHERE key IN (?,?)", (CONTINUES, FORGETS))
        if tick_id is not None:
            memory.execute("INSERT INTO meta VALUES(?,?)", (CONTINUES, str(tick_id)))
        if forgotten:
            memory.execute("INSERT INTO meta VALUES(?,?)", (FORGETS, forgotten))


def bring_home(db: sqlite3.Connection, memory: Path) -> int | None:
    """Take over the rows of the store at ``memory`` in one transaction; gives the ticks, ``None`` where that is not safe.

    Raises ``sqlite3.Error`` with nothing changed. Half a million rows take about two seconds.
    """
    db.execute("ATTACH DATABASE ? AS memory", (str(memory),))
    try:
        with transaction(db):
            row = db.execute("SELECT value FROM memory.meta WHERE key=?", (CONTINUES,)).fetchone()
            if row is None or int(row[0]) != newest_tick(db):
                return None
            before = db.execute(_NEWEST).fetchone()
            if forgets(db) != forgets(db, "memory"):
                if before is not None:
                    _tell_hole(db, before[1], "max")
                return 0
            for how, tables in (("IGNORE", _NEW), ("REPLACE", _LATER)):
                for table in tables:
                    if names := _columns(db, table):
                        db.execute(f"INSERT OR {how} INTO main.{table}({names}) SELECT {names} FROM memory.{table}")
            if _columns(db, "server"):
                db.execute(_GONE_FIELDS)
                for table, sql in (("server", server_sql), ("server_field", field_sql)):
                    db.execute(sql(f"SELECT * FROM memory.{table} WHERE true"))
            if _columns(db, "trainer"):
                for table, own, sql in (("trainer", TRAINER, trainer_sql), ("run", RUN, run_sql)):
                    db.execute(sql(f"SELECT {','.join(own)} FROM memory.{table} WHERE true"))
            if before is not None:
                _tell_hole(db, before[1], "min")
            return int(db.execute("SELECT count(*) FROM memory.tick").fetchone()[0])
    finally:
        db.execute("DETACH DATABASE memory")


def _columns(db: sqlite3.Connection, table: str) -> str:
    """The columns of a table in memory; none where an older gpuwatch, which did not have it yet, has left the store."""
    return ",".join(row[1] for row in db.execute(f"PRAGMA memory.table_info({table})"))


def _tell_hole(db: sqlite3.Connection, last_ms: int, until: str) -> None:
    """Rows that grew too old in memory, or may not come, are gone: the time up to the first or last one is a gap like any other."""
    first = db.execute(f"SELECT {until}(ts_ms) FROM memory.tick").fetchone()[0]
    host, session, period = db.execute(
        "SELECT host_id, session_id, period_ms FROM session ORDER BY session_id DESC LIMIT 1"
    ).fetchone()
    if first is not None and host is not None and first - last_ms > _HOLE_PERIODS * period:
        names = ("host_id", "gpu_id", "t0_ms", "t1_ms", "reason", "session_id")
        db.execute(insert_sql("gap", names), (host, 0, last_ms, first, int(GapReason.STALL), session))
