"""Between the store and ``ledger.split``: hot rows become its input, its buckets become ledger minutes, owners get their ids."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from gpuwatch.ledger import stored
from gpuwatch.ledger.types import AnyShare, BucketRow, LedgerRow
from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.store.columns import LEDGER, insert_sql
from gpuwatch.store.connection import transaction

PROCESS_PERIODS = 3
"""A process row speaks for at most so many process periods after it, as long as no newer one has come."""
_MAX_ROW_MS = 15_000
_PIECE_ROWS = 2000

_Held = tuple[int, int, int, int, int | None, int | None]
"""A row as :data:`_PROCESS_SQL` gives it: GPU, time, milliseconds that it speaks for, process, SM share in per mille, memory in MiB."""
_GPU_AND_TIME, _PROCESS = itemgetter(0, 1), itemgetter(3)
ONCE = "NOT EXISTS (SELECT 1 FROM session r WHERE r.session_id>k.session_id AND r.started_ms<k.ts_ms AND k.ts_ms<=r.last_ms)"
"""Of time that was recorded twice, since the clock had been set back, the later session counts."""
_GPU_SQL = (
    f"SELECT s.gpu_id, k.ts_ms, {', '.join(f's.{name}' for name in stored.COLUMNS)} FROM tick k CROSS JOIN gpu_sample s"
    f" WHERE s.tick_id=k.tick_id AND k.ts_ms>? AND k.ts_ms<? AND s.dt_ms>0 AND k.ts_ms-s.dt_ms<? AND {ONCE} ORDER BY k.ts_ms"
)
_PROCESS_SQL = (
    "SELECT s.gpu_id, k.ts_ms, s.dt_ms, s.proc_id, s.sm_pm, s.gpu_memory_mib FROM tick k CROSS JOIN process_sample s"
    " WHERE s.tick_id=k.tick_id AND k.ts_ms>? AND k.ts_ms<=? AND s.gpu_id<>0 ORDER BY k.ts_ms"
)
"""Within a tick the rows come by process, as their table lies; to ask for it as well would sort thousands again (20 ms)."""
_NOTHING = BucketRow(0, Bucket.UNOBSERVED, Cause.NONE, Tier.N, 0, 0)
_OWNER_SQL = (
    "SELECT p.proc_id, p.host_id, p.user_id, p.job, p.workload_id, o.owner_id FROM process p LEFT JOIN owner o"
    " ON o.host_id=p.host_id AND o.user_id=coalesce(p.user_id,0) AND o.job=p.job AND o.workload_id=coalesce(p.workload_id,0)"
    " AND o.proc_id=p.proc_id WHERE p.proc_id IN ({})"
)
_OWNERS_AT_ONCE = 500
_NEW_OWNER = (
    "INSERT OR IGNORE INTO owner(owner_id,host_id,user_id,job,workload_id,proc_id)"
    " SELECT max(coalesce(max(owner_id),0),0)+1,?,?,?,?,? FROM owner"
)
"""Ids count upwards from 1, also where past logs have negative ones only: 0 is nobody."""
_INSERT = insert_sql("ledger_minute", (*LEDGER, "final"))


def owner_id(
    db: sqlite3.Connection,
    host_id: int,
    *,
    user_id: int | None = None,
    job: str = "",
    workload_id: int | None = None,
    proc_id: int = 0,
) -> int:
    """The id of one owner, made if it is new."""
    key = (host_id, user_id or 0, job, workload_id or 0, proc_id)
    query = "SELECT owner_id FROM owner WHERE host_id=? AND user_id=? AND job=? AND workload_id=? AND proc_id=?"
    row = db.execute(query, key).fetchone()
    if row is None:
        db.execute(_NEW_OWNER, key)
        row = db.execute(query, key).fetchone()
    return int(row[0])


def process_owners(db: sqlite3.Connection, proc_ids: Iterable[int]) -> dict[int, int]:
    """``proc_id`` -> ``owner_id`` by what is known of each process now (user, job, workload)."""
    wanted, out = list(proc_ids), dict[int, int]()
    for start in range(0, len(wanted), _OWNERS_AT_ONCE):
        some = wanted[start : start + _OWNERS_AT_ONCE]
        for proc_id, host_id, user_id, job, workload_id, known in db.execute(
            _OWNER_SQL.format(",".join("?" * len(some))), some
        ).fetchall():
            if known is None:
                known = owner_id(db, host_id, user_id=user_id, job=job, workload_id=workload_id, proc_id=proc_id)
            out[proc_id] = known
    return out


def ledger_input(db: sqlite3.Connection, gpu_id: int, t0_ms: int, t1_ms: int) -> list[LedgerRow]:
    """The rows of one GPU that overlap ``[t0_ms, t1_ms)``, oldest first, with who holds it: input of ``ledger.split``."""
    return ledger_inputs(db, t0_ms, t1_ms, gpu_id=gpu_id).get(gpu_id, [])


def ledger_inputs(
    db: sqlite3.Connection, t0_ms: int, t1_ms: int, *, shares_ms: tuple[int, int] | None = None, gpu_id: int | None = None
) -> dict[int, list[LedgerRow]]:
    """The same for all GPUs (or one) in one pass over the process rows.

    ``shares_ms``: owners are only looked up for rows that overlap this span (the minute that is split; look-back and
    look-ahead need none). New owners are written in a transaction of their own.
    """
    found = Inputs(db, t0_ms, t1_ms, shares_ms=shares_ms, gpu_id=gpu_id)
    for _ in found.read():
        pass
    return {gpu: found.of(gpu) for gpu in found.gpus}


class Inputs:
    """What :func:`ledger_inputs` says, in pieces so that no tick has it all: first ``read``, then GPU by GPU ``of``."""

    def __init__(
        self, db: sqlite3.Connection, t0_ms: int, t1_ms: int, *, shares_ms: tuple[int, int] | None = None, gpu_id: int | None = None
    ) -> None:
        self._db = db
        self._only, self._values = ("", list[int]()) if gpu_id is None else (" AND s.gpu_id=?", [gpu_id])
        self._reach = _reach(db)
        self._span = shares_ms or (t0_ms, t1_ms)
        self._holders = _Holders(db, self._reach)
        self._rows: dict[int, list[tuple[Any, ...]]] = {}
        sql = _GPU_SQL.replace(" ORDER BY", f"{self._only} ORDER BY")
        for row in db.execute(sql, (t0_ms, t1_ms + self._reach, t1_ms, *self._values)):
            self._rows.setdefault(row[0], []).append(row)

    @property
    def gpus(self) -> list[int]:
        """The GPUs that have rows."""
        return list(self._rows)

    def read(self, piece_ms: int | None = None) -> Iterator[None]:
        """Read the process rows, at first of so much time (``None``: all), then of so much that they are about 2000."""
        start, end = self._span[0] - self._reach, self._span[1] + self._reach - 1
        sql = _PROCESS_SQL.replace(" ORDER BY", f"{self._only} ORDER BY")
        while start < end:
            until = end if piece_ms is None else min(start + piece_ms, end)
            rows = self._db.execute(sql, (start, until, *self._values)).fetchall()
            self._holders.add(rows)
            start, piece_ms = until, piece_ms and piece_ms * _PIECE_ROWS // max(len(rows), 1) + 1
            yield

    def of(self, gpu_id: int) -> list[LedgerRow]:
        """The rows of one GPU."""
        first, last = self._span
        at = self._holders.at
        return [
            stored.row(ts, values, at(gpu, ts) if ts > first and ts - values[0] < last else ())
            for gpu, ts, values in [(row[0], row[1], row[2:]) for row in self._rows[gpu_id]]
        ]


def _reach(db: sqlite3.Connection) -> int:
    """How far a row can speak for time before it: three of the recorder's periods."""
    row = db.execute("SELECT period_ms FROM session ORDER BY session_id DESC LIMIT 1").fetchone()
    return max(_MAX_ROW_MS, PROCESS_PERIODS * int(row[0])) if row else _MAX_ROW_MS


class _Holders:
    """Who holds each GPU at any instant, by the process rows around it."""

    def __init__(self, db: sqlite3.Connection, reach_ms: int) -> None:
        self._db, self._reach = db, reach_ms
        self._owners: dict[int, int] = {}
        self._times: dict[int, list[int]] = {}
        self._groups: dict[int, list[_Group]] = {}
        self._latest: dict[int, tuple[int, list[_Held]]] = {}

    def add(self, rows: Sequence[_Held]) -> None:
        """More process rows, in order of time."""
        owners, latest = self._owners, self._latest
        unknown = set(map(_PROCESS, rows)).difference(owners)
        if unknown:
            with transaction(self._db):
                owners.update(process_owners(self._db, sorted(unknown)))
        for (gpu, ts), found in groupby(rows, _GPU_AND_TIME):  # thousands of rows: nothing is done for a single one
            known = latest.get(gpu)
            if known is None or known[0] != ts:
                held: list[_Held] = []
                latest[gpu] = known = (ts, held)
                self._times.setdefault(gpu, []).append(ts)
                self._groups.setdefault(gpu, []).append(_Group(held, owners))
            known[1].extend(found)

    def at(self, gpu: int, ts: int) -> tuple[AnyShare, ...]:
        """The rows that cover ``ts``, else the latest ones before it, for three of their periods."""
        times, groups = self._times.get(gpu), self._groups.get(gpu)
        if not times or not groups:
            return ()
        at = bisect_left(times, ts)
        covering = groups[at].covering(times[at] - ts) if at < len(times) else ()
        if covering or not at:
            return covering
        before = groups[at - 1]
        reach = PROCESS_PERIODS * before.longest if before.longest else self._reach
        return before.shares if ts - times[at - 1] <= min(reach, self._reach) else ()


class _Group:
    """The process rows of one GPU at one tick."""

    def __init__(self, held: list[_Held], owners: Mapping[int, int]) -> None:
        self._held, self._owners = held, owners
        self._shares: tuple[AnyShare, ...] | None = None

    @property
    def shares(self) -> tuple[AnyShare, ...]:
        """All of them, made when they are first asked for."""
        if self._shares is None:
            owners = self._owners
            self._shares = tuple([(owners[proc], sm, memory) for _, _, _, proc, sm, memory in self._held])
        return self._shares

    @property
    def longest(self) -> int:
        """The longest time that one of them speaks for."""
        return max([row[2] for row in self._held])

    def covering(self, before_ms: int) -> tuple[AnyShare, ...]:
        """Those that speak for the instant ``before_ms`` earlier."""
        if not before_ms:
            return self.shares
        if before_ms >= self.longest:
            return ()
        if all(before_ms < row[2] for row in self._held):
            return self.shares
        return tuple(share for row, share in zip(self._held, self.shares, strict=True) if before_ms < row[2])


def write_ledger(db: sqlite3.Connection, gpu_id: int, minute_t: int, rows: Sequence[BucketRow], final: bool) -> None:
    """Replace the ledger of one GPU's minute. A provisional write never replaces a final one.

    Unobserved time has no row; a minute with nothing else has one of 0 ms, so that it counts as recorded.
    Part of the open transaction, if there is one.
    """
    with transaction(db):
        _write(db, gpu_id, minute_t, rows, final)


def add_ledger(db: sqlite3.Connection, gpu_id: int, minutes: Iterable[tuple[int, Sequence[BucketRow], bool]]) -> None:
    """Many minutes (start, buckets, final) of one GPU at once: in order of time, none of them recorded yet."""
    rows, spans = list[tuple[int, ...]](), list[list[int]]()
    for minute_t, buckets, final in minutes:
        rows += [_row((minute_t, gpu_id), row, final) for row in _kept(buckets)]
        if spans and spans[-1][1] == minute_t:
            spans[-1][1] += 60
        else:
            spans.append([minute_t, minute_t + 60])
    with transaction(db):
        db.executemany(_INSERT, rows)
        for t0, t1 in spans:
            if not db.execute("UPDATE ledger_span SET t1=? WHERE gpu_id=? AND t1=?", (t1, gpu_id, t0)).rowcount:
                db.execute("INSERT INTO ledger_span(gpu_id,t0,t1) VALUES(?,?,?)", (gpu_id, t0, t1))


def _kept(rows: Sequence[BucketRow]) -> list[BucketRow]:
    return [r for r in rows if r.bucket is not Bucket.UNOBSERVED and (r.ms or r.energy_mj)] or [_NOTHING]


def _row(key: tuple[int, int], r: BucketRow, final: bool) -> tuple[int, ...]:
    return (*key, r.owner, int(r.bucket), int(r.cause), int(r.tier), r.ms, r.energy_mj, int(final))


def _write(db: sqlite3.Connection, gpu_id: int, minute_t: int, rows: Sequence[BucketRow], final: bool) -> None:
    key = (minute_t, gpu_id)
    if not final and db.execute("SELECT 1 FROM ledger_minute WHERE t=? AND gpu_id=? AND final=1 LIMIT 1", key).fetchone():
        return
    db.execute("DELETE FROM ledger_minute WHERE t=? AND gpu_id=?", key)
    db.executemany(_INSERT, [_row(key, row, final) for row in _kept(rows)])
    extended = db.execute("UPDATE ledger_span SET t1=? WHERE gpu_id=? AND t1=?", (minute_t + 60, gpu_id, minute_t)).rowcount
    inside = "SELECT 1 FROM ledger_span WHERE gpu_id=? AND t0<=? AND t1>? LIMIT 1"
    if not extended and not db.execute(inside, (gpu_id, minute_t, minute_t)).fetchone():
        db.execute("INSERT INTO ledger_span(gpu_id,t0,t1) VALUES(?,?,?)", (gpu_id, minute_t, minute_t + 60))
