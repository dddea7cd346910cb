"""Looking for damage: SQLite's own check of every page, then of what the tables say about each other, then of every sealed hour.

A sealed hour is inflated as a whole, which checks each of its bytes by zlib's sum, and its times are compared with what its row says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gpuwatch.errors import StoreError
from gpuwatch.store import connection
from gpuwatch.store.archive import codec
from gpuwatch.store.watermarks import DAY_TIER, HOUR_TIER, LEDGER_DAY_TIER, LEDGER_HOUR_TIER, LEDGER_TIER, MINUTE_TIER

_REFERENCES = (
    ("gpu_sample", "tick_id", "tick", "tick_id"),
    ("process_sample", "tick_id", "tick", "tick_id"),
    ("gpu_sample", "gpu_id", "gpu", "gpu_id"),
    ("process_sample", "proc_id", "process", "proc_id"),
    ("gpu_minute", "gpu_id", "gpu", "gpu_id"),
    ("process_minute", "proc_id", "process", "proc_id"),
    ("inference_sample", "tick_id", "tick", "tick_id"),
    ("inference_sample", "workload_id", "workload", "workload_id"),
    ("latency_sample", "tick_id", "tick", "tick_id"),
    ("latency_sample", "workload_id", "workload", "workload_id"),
    ("workload_minute", "workload_id", "workload", "workload_id"),
    ("latency_minute", "workload_id", "workload", "workload_id"),
    ("server", "workload_id", "workload", "workload_id"),
    ("server_field", "workload_id", "server", "workload_id"),
    ("training_sample", "tick_id", "tick", "tick_id"),
    ("training_sample", "workload_id", "workload", "workload_id"),
    ("trainer", "proc_id", "process", "proc_id"),
    ("trainer", "workload_id", "workload", "workload_id"),
    ("run", "workload_id", "workload", "workload_id"),
)
_BELOW = {HOUR_TIER: MINUTE_TIER, DAY_TIER: HOUR_TIER, LEDGER_HOUR_TIER: LEDGER_TIER, LEDGER_DAY_TIER: LEDGER_HOUR_TIER}
_HOUR_MS = 3_600_000


def check(path: Path | str, *, limit: int = 20) -> list[str]:
    """What is wrong with the store, one line each, empty if nothing is. Reads the whole file (seconds for a gigabyte).

    Raises :class:`gpuwatch.errors.StoreError` if it cannot be opened at all for another reason than damage.
    """
    try:
        db = connection.open_read(path)
    except connection.DamagedStore as error:
        return [str(error)]
    try:
        lines = [row[0] for row in db.execute(f"PRAGMA quick_check({limit})") if row[0] != "ok"]
        if not lines:
            lines = [*_dangling(db), *_watermarks(db), *_chunks(db)][:limit]
        return [f"{path}: {line}" for line in lines]
    except sqlite3.Error as error:
        return [str(connection.explain(error, path))]
    finally:
        db.close()


def _dangling(db: sqlite3.Connection) -> Iterator[str]:
    """Rows that point to nothing."""
    there = _tables(db)
    for table, column, target, key in _REFERENCES:
        if table not in there:  # of a later schema
            continue
        sql = f"SELECT count(*) FROM {table} s WHERE NOT EXISTS (SELECT 1 FROM {target} t WHERE t.{key}=s.{column})"
        count = db.execute(sql).fetchone()[0]
        if count:
            yield f"{count} rows of {table} name a {target} that is not there"


def _watermarks(db: sqlite3.Connection) -> Iterator[str]:
    """A tier cannot be closed further than the one it is made from, nor have sums of a time that it has not reached."""
    done = {(host, tier): t for host, tier, t in db.execute("SELECT host_id, tier, done_s FROM rollup_state")}
    for (host, tier), until in sorted(done.items()):
        below = done.get((host, _BELOW.get(tier, "")))
        if below is not None and until > below:
            yield f"the {tier} tier of host {host} is closed to {until}, beyond the {_BELOW[tier]} tier ({below})"
    there = _tables(db)
    for name, entity, key in (("gpu", "gpu", "gpu_id"), ("workload", "workload", "workload_id")):
        for table, tier in ((f"{name}_hour", HOUR_TIER), (f"{name}_day", DAY_TIER)):
            if table not in there:
                continue
            sql = (
                f"SELECT e.host_id, count(*) FROM {table} s JOIN {entity} e ON e.{key}=s.{key} LEFT JOIN rollup_state r"
                " ON r.host_id=e.host_id AND r.tier=? WHERE s.t>=coalesce(r.done_s,0) GROUP BY 1"
            )
            for host, count in db.execute(sql, (tier,)).fetchall():
                yield f"{count} rows of {table} of host {host} lie beyond what is closed"


def _tables(db: sqlite3.Connection) -> set[str]:
    return {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}


def _chunks(db: sqlite3.Connection) -> Iterator[str]:
    """Sealed hours whose bytes are damaged or whose rows are not those that they say they hold."""
    sql = "SELECT kind, host_id, entity_id, t0_ms, t1_ms, n, cols, body FROM chunk ORDER BY kind, host_id, entity_id, t0_ms"
    for kind, host, entity, t0_ms, t1_ms, count, cols, body in db.execute(sql):
        name = f"the sealed hour {t0_ms // 1000} (kind {kind}, host {host}, entity {entity})"
        try:
            times = codec.decode(cols, body, (codec.TIME,))[codec.TIME]
        except StoreError as error:
            yield f"{name}: {error.message}"
            continue
        if len(times) != count:
            yield f"{name} says {count} rows and holds {len(times)}"
        elif times and (max(times) != t1_ms or min(times) <= t0_ms or t1_ms > t0_ms + _HOUR_MS):
            yield f"{name} holds rows of another time"
