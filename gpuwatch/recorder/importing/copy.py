"""From the scratch store into the real one, in one transaction: either all of a log is there or nothing of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path

from gpuwatch.dataclass import NamedTuple
from gpuwatch.recorder.importing.scratch import IDS, Ground, files_of, lowest_ids
from gpuwatch.store import connection
from gpuwatch.store.hours import HOUR_S

_TIERS = ("minute", "hour", "day")
_TABLES = (
    *(f"{what}_{tier}" for what in ("gpu", "process", "ledger") for tier in _TIERS),
    *("ledger_span", "chunk", "hist_hour", "hist_day", "gap", "gap_energy"),
)
_OF_GPU = "gpu_id IN (SELECT gpu_id FROM store.gpu WHERE host_id=?)"
_OF_PROCESS = "proc_id IN (SELECT proc_id FROM store.process WHERE host_id=?)"
_SPANS = (
    "INSERT INTO store.ledger_span(gpu_id,t0,t1) SELECT gpu_id, min(t), max(t)+60 FROM (SELECT gpu_id, t, t-60*row_number() OVER"
    " (PARTITION BY gpu_id ORDER BY t) AS run FROM (SELECT DISTINCT gpu_id, t FROM store.ledger_minute WHERE gpu_id IN"
    " (SELECT gpu_id FROM store.gpu WHERE host_id=?))) WHERE gpu_id IN (SELECT gpu_id FROM store.gpu WHERE host_id=?) GROUP BY gpu_id, run"
)
"""Runs of minutes without a hole, from the minutes that are there."""
_FILE = "sha256,name,format,zone,host_id,rows_read,rows_used,rows_left_out,first_ms,last_ms,imported_ms"


class Imported(NamedTuple):
    """A row of ``import_file``."""

    sha256: str
    name: str
    format: str
    zone: str
    host_id: int
    rows_read: int
    rows_used: int
    rows_left_out: int
    first_ms: int
    last_ms: int
    imported_ms: int


class Collision(Exception):
    """Meanwhile another import has taken the same row ids or joined the same host, or that was forgotten; this one must be made again."""


def copy(db: sqlite3.Connection, target: Path, known: Ground, remade: Collection[int], file: Imported) -> None:
    """Write all of ``db`` and the file's own row into the store at ``target``.

    ``remade`` are the hours (unix seconds) that take the place of what the store has of the host. ``known`` is what was there when
    the import began. Raises :class:`Collision` if it is something else now, and :class:`gpuwatch.errors.StoreError`; in both cases
    nothing was written.
    """
    try:
        db.execute("ATTACH DATABASE ? AS store", (str(target),))
        try:
            db.execute("PRAGMA store.synchronous=NORMAL")
            db.execute("PRAGMA wal_autocheckpoint=4000")
            db.execute("BEGIN IMMEDIATE")
            try:
                _copy(db, known, remade, file)
                db.execute("COMMIT")
            finally:
                connection.roll_back(db)
        finally:
            db.execute("DETACH DATABASE store")
    except sqlite3.Error as error:
        raise connection.explain(error, target) from error


def _copy(db: sqlite3.Connection, known: Ground, remade: Collection[int], file: Imported) -> None:
    machine_id = db.execute("SELECT machine_id FROM main.host").fetchone()[0]
    if lowest_ids(db, "store.") != known.lowest or files_of(db, machine_id, "store.") != known.files:
        raise Collision
    if remade:
        _clear(db, remade, file.host_id)
    for table, key in IDS.items():
        _entities(db, table, key)
    for table in _TABLES:
        names = ",".join(_columns(db, table))
        db.execute(f"INSERT OR REPLACE INTO store.{table}({names}) SELECT {names} FROM main.{table}")
    if remade:
        db.execute(_SPANS, (file.host_id, file.host_id))
    db.execute("INSERT OR IGNORE INTO store.hist_bin(bin,lo,mid,hi) SELECT bin,lo,mid,hi FROM main.hist_bin")
    db.execute(
        "INSERT INTO store.rollup_state(host_id,tier,done_s) SELECT host_id,tier,done_s FROM main.rollup_state WHERE true"
        " ON CONFLICT(host_id,tier) DO UPDATE SET done_s=max(done_s,excluded.done_s)"
    )
    db.execute(
        f"INSERT INTO store.import_file(import_id,{_FILE})"
        f" SELECT coalesce(max(import_id),0)+1{',?' * len(file)} FROM store.import_file",
        file,
    )


def _clear(db: sqlite3.Connection, hours: Collection[int], host_id: int) -> None:
    """Make room for hours and days that were made anew."""
    spans = [(t, t + HOUR_S) for t in hours]
    days = [
        row[0]
        for row in db.execute("SELECT t FROM main.gpu_day UNION SELECT t FROM main.ledger_day UNION SELECT t FROM main.hist_day")
    ]
    for what, whose in (("gpu", _OF_GPU), ("process", _OF_PROCESS), ("ledger", _OF_GPU)):
        db.executemany(f"DELETE FROM store.{what}_minute WHERE t>=? AND t<? AND {whose}", [(*span, host_id) for span in spans])
        db.executemany(f"DELETE FROM store.{what}_hour WHERE t=? AND {whose}", [(t, host_id) for t in hours])
        db.executemany(f"DELETE FROM store.{what}_day WHERE t=? AND {whose}", [(t, host_id) for t in days])
    for table, starts in (("hist_hour", hours), ("hist_day", days)):
        sql = f"DELETE FROM store.{table} WHERE t=? AND entity=0 AND {_OF_GPU.replace('gpu_id IN', 'entity_id IN')}"
        db.executemany(sql, [(t, host_id) for t in starts])
    db.executemany("DELETE FROM store.chunk WHERE host_id=? AND t0_ms=?", [(host_id, t * 1000) for t in hours])
    ends = [(host_id, start * 1000, end * 1000) for start, end in spans]
    ended = "SELECT 1 FROM store.gap g WHERE g.host_id=e.host_id AND g.t0_ms=e.t0_ms AND g.gpu_id IN (0,e.gpu_id) AND g.t1_ms>? AND g.t1_ms<=?"
    db.executemany(f"DELETE FROM store.gap_energy AS e WHERE host_id=? AND EXISTS ({ended})", ends)
    db.executemany("DELETE FROM store.gap WHERE host_id=? AND t1_ms>? AND t1_ms<=?", ends)
    db.execute("DELETE FROM main.ledger_span")
    db.execute(f"DELETE FROM store.ledger_span WHERE {_OF_GPU}", (host_id,))


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    """The names of a table's columns: their order may differ in a store that was upgraded."""
    return [row[1] for row in db.execute(f"PRAGMA main.table_info({table})")]


def _entities(db: sqlite3.Connection, table: str, key: str) -> None:
    """New ones, and what is known of others by now: a log that knows less takes nothing away."""
    names = _columns(db, table)
    changes = []
    for name in names:
        if name in ("first_ms", "last_ms"):
            changes.append(f"{name}={'min' if name == 'first_ms' else 'max'}({table}.{name},excluded.{name})")
        elif name not in (key, "host_id", "hour_offset_seconds"):
            changes.append(f"{name}=coalesce(nullif(excluded.{name},''),{table}.{name})")
    listed = ",".join(names)
    db.execute(
        f"INSERT INTO store.{table}({listed}) SELECT {listed} FROM main.{table} WHERE true"
        f" ON CONFLICT({key}) DO UPDATE SET {','.join(changes)}"
    )
