"""Closing hours: sums over the closed minutes of a host, and hours of its ledger over final minutes.

An hour is always computed whole from its minutes, in one transaction with the watermark, so doing it twice changes nothing and no
sum of a tier differs from that of another. Hours begin where the host's do (``hour_offset_seconds``: 1800 in India, 900 in
Nepal), so that local days are whole hours. Time without a minute row is in no sum: an hour with the recorder off has no row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from gpuwatch.dataclass import NamedTuple
from gpuwatch.model import GpuSample, InferenceSample, ProcessSample
from gpuwatch.store.columns import (
    GPU_ROLLUP,
    GPU_ROLLUP_FACTS,
    LATENCY,
    LEDGER,
    PROCESS_ROLLUP,
    PROCESS_ROLLUP_FACTS,
    WORKLOAD_ROLLUP_FACTS,
    rolled_columns,
)
from gpuwatch.store.connection import transaction
from gpuwatch.store.latency_tiers import sum_pieces
from gpuwatch.store.watermarks import (
    HOUR_TIER,
    LEDGER_HOUR_TIER,
    LEDGER_TIER,
    MINUTE_TIER,
    current_host,
    marks,
    set_watermark,
    watermark,
)
from gpuwatch.training import TrainingSample

HOUR_S = 3600
FINAL_AFTER_S = 16 * 60
"""A ledger minute is final so long after its end; the longest look-back is 15 minutes."""
NEVER_S = -(2**62)
_NO_MORE = -1
_STUCK_S = 86_400
"""A ledger minute that did not become final in a day never will."""


class Rolling(NamedTuple):
    """One family of rollup tables: ``name_minute``, ``name_hour``, ``name_day`` with the same columns."""

    name: str
    entity: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    merged: tuple[str, ...]
    """How each column that is neither the time nor a key is merged, as SQL over ``m``; empty for what is summed in pieces."""


def _merged(facts: Sequence[str], sample_types: Iterable[type]) -> tuple[str, ...]:
    """Sums add up, peaks are peaks of peaks, and what energy came from is what any part came from."""
    out = ["max(m.energy_src&1)+max(m.energy_src&2)" if name == "energy_src" else f"sum(m.{name})" for name in facts]
    out.extend(f"{c.how if c.how in ('max', 'min') else 'sum'}(m.{c.name})" for c in rolled_columns(*sample_types))
    return tuple(out)


@cache
def rollings() -> tuple[Rolling, ...]:
    """The families of rollup tables beside the ledger's."""
    workload_types = (TrainingSample, InferenceSample)
    workload = ("t", "workload_id", *WORKLOAD_ROLLUP_FACTS, *(c.name for c in rolled_columns(*workload_types)))
    return (
        Rolling("gpu", "gpu", ("gpu_id",), GPU_ROLLUP, _merged(GPU_ROLLUP_FACTS, [GpuSample])),
        Rolling("process", "process", ("proc_id", "gpu_id"), PROCESS_ROLLUP, _merged(PROCESS_ROLLUP_FACTS, [ProcessSample])),
        Rolling("workload", "workload", ("workload_id",), workload, _merged(WORKLOAD_ROLLUP_FACTS, workload_types)),
        Rolling("latency", "workload", ("workload_id", "latency", "lower_us", "upper_us"), LATENCY, ()),
    )


@cache
def merge_statements(source: str, target: str) -> tuple[str, ...]:
    """What recomputes the bucket ``:t`` of a tier from the rows of ``[:t0, :t1)`` of the finer one, for the host ``:host``.

    The host is asked once per entity, after the sums.
    """
    out = []
    for family in (family for family in rollings() if family.merged):
        ids = ",".join(f"m.{name}" for name in family.key)
        host = f"EXISTS (SELECT 1 FROM {family.entity} e WHERE e.{family.key[0]}=m.{family.key[0]} AND e.host_id=:host)"
        out.append(
            f"INSERT OR REPLACE INTO {family.name}_{target}({','.join(family.columns)}) SELECT :t,{ids},{','.join(family.merged)} "
            f"FROM {family.name}_{source} m WHERE m.t>=:t0 AND m.t<:t1 GROUP BY {ids} HAVING {host}"
        )
    return tuple(out)


@cache
def ledger_statement(source: str, target: str) -> str:
    """The same for the ledger."""
    ids = "m.gpu_id,m.owner_id,m.bucket,m.cause,m.tier"
    return (
        f"INSERT OR REPLACE INTO ledger_{target}({','.join(LEDGER)}) SELECT :t,{ids},sum(m.ms),sum(m.energy_mj) "
        f"FROM ledger_{source} m WHERE m.t>=:t0 AND m.t<:t1 AND m.gpu_id IN (SELECT gpu_id FROM gpu WHERE host_id=:host) "
        f"GROUP BY {ids}"
    )


@cache
def open_statements(period: str) -> tuple[str, ...]:
    """What deletes the rows of a tier from ``:t`` on, for the host ``:host``: its buckets are open again."""
    families = [*((family.name, family.entity, family.key[0]) for family in rollings()), ("ledger", "gpu", "gpu_id")]
    return tuple(
        f"DELETE FROM {name}_{period} WHERE t>=:t AND {key} IN (SELECT {key} FROM {entity} WHERE host_id=:host)"
        for name, entity, key in families
    )


def closed_s(db: sqlite3.Connection, tier: str, host_id: int) -> int:
    """The watermark as a limit for the tier above; before all time if nothing is closed."""
    done = watermark(db, tier, host_id)
    return NEVER_S if done is None else done


def hour_offset_s(db: sqlite3.Connection, host_id: int) -> int:
    """Seconds after a whole UTC hour at which the hours of a host begin."""
    row = db.execute("SELECT hour_offset_seconds FROM host WHERE host_id=?", (host_id,)).fetchone()
    return int(row[0]) % HOUR_S if row else 0


def hour_start_s(t: int, offset_s: int) -> int:
    """Unix second of the start of the hour that the bucket ``t`` lies in."""
    return t - (t - offset_s) % HOUR_S


def first_bucket(db: sqlite3.Connection, period: str, since_s: int | None, host_id: int, *, ledger: bool) -> int | None:
    """The first bucket of a host that has rows in a tier at or after ``since_s`` (``None``: at all); ``None`` if none has."""
    found = []
    for table, entity, key in (
        [("ledger", "gpu", "gpu_id")] if ledger else [(family.name, family.entity, family.key[0]) for family in rollings()]
    ):
        sql = (
            f"SELECT m.t FROM {table}_{period} m WHERE m.t>=? AND EXISTS "
            f"(SELECT 1 FROM {entity} e WHERE e.{key}=m.{key} AND e.host_id=?) ORDER BY m.t LIMIT 1"
        )
        row = db.execute(sql, (NEVER_S if since_s is None else since_s, host_id)).fetchone()
        if row:
            found.append(int(row[0]))
    return min(found, default=None)


def close_hours(db: sqlite3.Connection, now_ms: int, *, host_id: int | None = None, limit: int | None = None) -> list[int]:
    """Close the hours that ended by ``now_ms``, whose minutes are all closed and that are not closed yet.

    Returns the starts of those that got rows, oldest first, at most ``limit``; call again while it is not empty. Hours without
    a minute are passed over. Each hour is a transaction of its own, but for the waiting times that come before it.
    """
    return closed(hour_steps(db, now_ms, host_id=host_id), limit)


def hour_steps(db: sqlite3.Connection, now_ms: int, *, host_id: int | None = None) -> Iterator[int | None]:
    """The same in pieces of a few milliseconds: gives the start of each hour that is closed, ``None`` after a piece of one."""
    host = current_host(db) if host_id is None else host_id
    limit_s = min(now_ms // 1000, closed_s(db, MINUTE_TIER, host))
    return _close(db, host, HOUR_TIER, limit_s, _close_hour, lambda t: sum_pieces(db, "minute", "hour", host, t, (t, t + HOUR_S)))


def closed(steps: Iterator[int | None], limit: int | None) -> list[int]:
    """What is closed by such steps, at most ``limit``."""
    found = list[int]()
    while limit is None or len(found) < limit:
        start = next(steps, _NO_MORE)
        if start is _NO_MORE:
            break
        if start is not None:
            found.append(start)
    return found


def close_ledger_hours(db: sqlite3.Connection, now_ms: int, *, host_id: int | None = None, limit: int | None = None) -> list[int]:
    """The same for the ledger: hours of which every minute is final, 16 minutes after their end."""
    host = current_host(db) if host_id is None else host_id
    limit_s = min(now_ms // 1000 - FINAL_AFTER_S, closed_s(db, LEDGER_TIER, host))
    open_until = now_ms // 1000 - _STUCK_S

    def close(db: sqlite3.Connection, host: int, t: int) -> bool:
        open_sql = (
            "SELECT 1 FROM ledger_minute WHERE t>=? AND t<? AND final=0 AND gpu_id IN (SELECT gpu_id FROM gpu WHERE host_id=?)"
        )
        if t + HOUR_S > open_until and db.execute(open_sql, (t, t + HOUR_S, host)).fetchone():
            return False
        db.execute(ledger_statement("minute", "hour"), {"t": t, "t0": t, "t1": t + HOUR_S, "host": host})
        return True

    return closed(_close(db, host, LEDGER_HOUR_TIER, limit_s, close, ledger=True), limit)


def _close_hour(db: sqlite3.Connection, host: int, t: int) -> bool:
    for statement in merge_statements("minute", "hour"):
        db.execute(statement, {"t": t, "t0": t, "t1": t + HOUR_S, "host": host})
    return True


def _nothing(_t: int) -> Iterator[None]:
    return iter(())


def _close(
    db: sqlite3.Connection,
    host: int,
    tier: str,
    limit_s: int,
    close: Callable[[sqlite3.Connection, int, int], bool],
    ahead: Callable[[int], Iterator[None]] = _nothing,
    *,
    ledger: bool = False,
) -> Iterator[int | None]:
    """Close hour after hour from the watermark to ``limit_s``; ``close`` says False when one cannot be closed yet.

    ``ahead`` is what of an hour is done in pieces before. If hours were opened again meanwhile, all is looked at anew.
    """
    offset = hour_offset_s(db, host)
    end_s = hour_start_s(limit_s, offset)
    while (done := (known := marks(db, tier, host))[0]) is None or done < end_s:
        first = first_bucket(db, "minute", done, host, ledger=ledger)
        if first is None or first >= end_s:
            if done is not None:
                set_watermark(db, tier, end_s, host)
            break
        hour = hour_start_s(first, offset)
        for _ in ahead(hour):
            yield None
        with transaction(db):
            if marks(db, tier, host) != known:
                continue
            if not close(db, host, hour):
                break
            set_watermark(db, tier, hour + HOUR_S, host)
        yield hour
