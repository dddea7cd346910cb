"""``gpuwatch db forget --host``: a host of past logs goes with all that the store has of it, so that its logs can be imported anew.

It goes in short slices beside a recorder. The first one renames the host, so that nobody who looks meanwhile, or after a kill in the
middle, takes what is left for the whole; a row goes before the one that tells whose it is, so that doing it again finds all that is
left; and the last one takes the host and its files, until when their content counts as imported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from gpuwatch.dataclass import NamedTuple
from gpuwatch.errors import UsageError
from gpuwatch.store.archive.shapes import SHAPES
from gpuwatch.store.connection import transaction
from gpuwatch.store.deleting import SLICE_ROWS, delete_chunks, delete_rows, run

HALF, BEING_FORGOTTEN = "forgotten:", " (being forgotten)"
"""Before the ``machine_id`` and after the name of a host that goes."""
_OF_GPU = "gpu_id IN (SELECT gpu_id FROM gpu WHERE host_id={host})"
_OF_PROCESS = "proc_id IN (SELECT proc_id FROM process WHERE host_id={host})"
_OF_WORKLOAD = "workload_id IN (SELECT workload_id FROM workload WHERE host_id={host})"
_OF_ENTITY = (
    "(entity=0 AND entity_id IN (SELECT gpu_id FROM gpu WHERE host_id={host})"
    " OR entity=1 AND entity_id IN (SELECT workload_id FROM workload WHERE host_id={host}))"
)
_OWN = "host_id={host}"
_TIERS = ("minute", "hour", "day")
_BY_TIME = (
    *((f"process_{tier}", "t", _OF_PROCESS) for tier in _TIERS),
    *((f"{what}_{tier}", "t", _OF_WORKLOAD) for what in ("workload", "latency") for tier in _TIERS),
    *((f"{what}_{tier}", "t", _OF_GPU) for what in ("gpu", "ledger") for tier in _TIERS),
    ("ledger_span", "t0", _OF_GPU),
    *((f"hist_{tier}", "t", _OF_ENTITY) for tier in ("hour", "day")),
    ("gap_energy", "t0_ms", _OWN),
    ("gap", "t0_ms", _OWN),
)
"""Tables in order of time, with the condition for rows of a host."""
_BY_ID = (
    ("event", "event_id", _OWN),
    ("missing", "missing_id", _OWN),
    ("finding_minute", "finding_id", "finding_id IN (SELECT finding_id FROM finding WHERE host_id={host})"),
    ("finding", "finding_id", _OWN),
    ("mute", "mute_id", _OWN),
    ("run", "run_id", _OF_WORKLOAD),
    ("owner", "owner_id", _OWN),
    ("server_field", "workload_id", _OF_WORKLOAD),
    ("server", "workload_id", _OF_WORKLOAD),
    ("trainer", "proc_id", _OF_PROCESS),
    ("process", "proc_id", _OWN),
    ("workload", "workload_id", _OWN),
    ("user_account", "user_id", _OWN),
    ("gpu", "gpu_id", _OWN),
)
"""The rest, what is told of entities before they themselves."""
_LAST = ("session", "source_state", "rollup_state", "import_file", "host")


class PastHost(NamedTuple):
    """A host of past logs: how many files it came from, and how many of their rows were used. ``half``: a part of it is gone."""

    host_id: int
    name: str
    files: int
    rows: int
    half: bool


def find_host(db: sqlite3.Connection, name: str) -> PastHost:
    """The host of past logs with this name; one that is half gone first. Raises :class:`UsageError` for any other name."""
    sql = (
        "SELECT h.host_id, h.machine_id GLOB ?||'*' AS half, count(f.import_id), coalesce(sum(f.rows_used),0) FROM host h"
        " LEFT JOIN import_file f ON f.host_id=h.host_id WHERE h.host_id<0 AND h.hostname IN (?,?)"
        " GROUP BY h.host_id ORDER BY half DESC, h.host_id LIMIT 1"
    )
    found = db.execute(sql, (HALF, name, name + BEING_FORGOTTEN)).fetchone()
    if found is None:
        if db.execute("SELECT 1 FROM host WHERE hostname=?", (name,)).fetchone():
            raise UsageError(f"{name} was recorded here, not imported: only hosts of past logs can be forgotten")
        raise UsageError(f"no past log was imported as host '{name}'", "gpuwatch query 'SELECT DISTINCT host FROM v_import'")
    host_id, half, files, rows = found
    return PastHost(host_id, name.removesuffix(BEING_FORGOTTEN), files, rows, bool(half))


def half_forgotten(db: sqlite3.Connection, name: str) -> bool:
    """Whether a host of this name was left half gone."""
    sql = "SELECT 1 FROM host WHERE hostname=? AND machine_id GLOB ?||'*'"
    return db.execute(sql, (name.removesuffix(BEING_FORGOTTEN) + BEING_FORGOTTEN, HALF)).fetchone() is not None


def forget_host(db: sqlite3.Connection, host: PastHost) -> Iterator[int]:
    """Delete it in short transactions; gives the rows that each one deleted. ``db`` comes from ``beside.open_beside``."""
    own = (host.host_id,)
    rename = f"UPDATE host SET machine_id=?||machine_id, hostname=hostname||? WHERE host_id=? AND machine_id NOT GLOB '{HALF}*'"
    with transaction(db):
        db.execute(rename, (HALF, BEING_FORGOTTEN, *own))
    for kind in SHAPES:
        yield from delete_chunks(db, "kind=? AND host_id=?", (kind, *own))
    for table, column, whose in _BY_TIME:
        where = whose.format(host=host.host_id)
        first, last = db.execute(f"SELECT min({column}), max({column}) FROM {table} WHERE {where}").fetchone()
        if first is not None:
            yield from delete_rows(db, table, column, (first, last + 1), where)
    for table, key, whose in _BY_ID:
        where = whose.format(host=host.host_id)
        while gone := run(db, f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {where} LIMIT {SLICE_ROWS})"):
            yield gone
    with transaction(db):
        gone = sum(db.execute(f"DELETE FROM {table} WHERE host_id=?", own).rowcount for table in _LAST)
    yield gone
