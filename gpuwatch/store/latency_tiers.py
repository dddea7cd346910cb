"""Sums of waiting times and of step times, in pieces: a few servers fill thousands of buckets an hour, and no tick may wait for all of them.

A piece is a few servers of a minute, or one waiting time of one server of an hour or a day, computed whole in a transaction of its
own before the watermark of its tier moves; so doing it again changes nothing, and what a recorder that was killed has left is
computed once more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise

from gpuwatch.names import Latency
from gpuwatch.store.columns import LATENCY
from gpuwatch.store.connection import transaction
from gpuwatch.store.ledger_rows import ONCE

_INTO = (  # what was counted over a time that no row speaks for is not counted
    f"INSERT OR REPLACE INTO latency_minute({','.join(LATENCY)}) "
    "SELECT (k.ts_ms-1)/60000*60,s.workload_id,s.latency,s.lower_us,s.upper_us,sum(s.n) FROM tick k CROSS JOIN "
)
_BY = " GROUP BY 1,2,3,4,5"
_SPAN = f"k.ts_ms>? AND k.ts_ms<=? AND {ONCE}"
_OF_SERVERS = (
    f"{_INTO}inference_sample i CROSS JOIN latency_sample s WHERE {_SPAN} "
    f"AND i.tick_id=k.tick_id AND i.dt_ms>0 AND s.tick_id=i.tick_id AND s.workload_id=i.workload_id{_BY}"
)
_OF_TRAININGS = (
    f"{_INTO}latency_sample s WHERE {_SPAN} AND s.tick_id=k.tick_id AND s.latency>={int(Latency.STEP)} AND EXISTS "
    f"(SELECT 1 FROM training_sample i WHERE i.tick_id=s.tick_id AND i.workload_id=s.workload_id AND i.dt_ms>0){_BY}"
)
_MINUTE = (_OF_SERVERS, _OF_TRAININGS)
"""Recompute the minutes whose rows have ``ts_ms`` in ``(?, ?]``."""
_PART = tuple(statement.replace(_BY, f" AND s.workload_id>? AND s.workload_id<=?{_BY}") for statement in _MINUTE)
_OPEN = "DELETE FROM latency_minute WHERE t>=? AND t<? AND workload_id>? AND workload_id<=?"
_TOLD = "FROM tick k CROSS JOIN {} i WHERE k.ts_ms>? AND k.ts_ms<=? AND i.tick_id=k.tick_id"
_SAMPLES = ("inference_sample", "training_sample")
_COUNTED_ANEW = tuple(
    "DELETE FROM latency_minute WHERE t>=? AND t<? AND workload_id>0 AND (t,workload_id) IN (SELECT (k.ts_ms-1)/60000*60,i.workload_id "
    f"{_TOLD.format(sample)} AND {ONCE} AND i.dt_ms>0)"
    for sample in _SAMPLES
)
_ANY = (
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM latency_sample WHERE tick_id>=(SELECT min(tick_id) FROM tick WHERE ts_ms>? AND ts_ms<=?))"
    " OR EXISTS (SELECT 1 FROM latency_minute WHERE t>=? AND t<?)"
)
_ASKED = " UNION ".join(f"SELECT i.workload_id {_TOLD.format(sample)}" for sample in _SAMPLES) + " ORDER BY 1"
_LEAST_SERVERS, _MOST_PIECES = 3, 8
"""Servers of a piece of a minute, if there are not more pieces then."""
_LAST_ID = 2**62
_SERVERS = "SELECT DISTINCT m.workload_id FROM workload_{0} m JOIN workload w ON w.workload_id=m.workload_id AND w.host_id=? WHERE m.t>=? AND m.t<?"
_SUM = (
    f"INSERT OR REPLACE INTO latency_{{1}}({','.join(LATENCY)}) SELECT :t,m.workload_id,m.latency,m.lower_us,m.upper_us,sum(m.n) "
    "FROM workload_{0} k CROSS JOIN latency_{0} m WHERE k.t>=:t0 AND k.t<:t1 AND k.workload_id=:server AND m.t=k.t "
    "AND m.workload_id=:server AND m.latency=:latency GROUP BY m.lower_us,m.upper_us"
)


def minute_pieces(db: sqlite3.Connection, span: tuple[int, int]) -> Iterator[None]:
    """Recompute the open minutes of ``span`` (unix milliseconds), a few servers (or trainings) at a time: their rows lie together, on few pages.

    What is there of these minutes a recorder has left that was killed; if the clock was set back since, it counts no more.
    """
    seconds = span[0] // 1000, span[1] // 1000
    if db.execute(_ANY, (*span, *seconds)).fetchone() is None:
        return
    servers = [row[0] for row in db.execute(_ASKED, (*span, *span))]
    size = max(_LEAST_SERVERS, -(-len(servers) // _MOST_PIECES))
    for some in pairwise([0, *servers[size - 1 : -1 : size], _LAST_ID]):
        with transaction(db):
            db.execute(_OPEN, (*seconds, *some))
            for statement in _PART:
                db.execute(statement, (*span, *some))
        yield


def close_again(db: sqlite3.Connection, span: tuple[int, int]) -> None:
    """The same in the open transaction, of minutes that may have been closed before: those of servers that have rows that count now."""
    for statement in _COUNTED_ANEW:
        db.execute(statement, (span[0] // 1000, span[1] // 1000, *span))
    for statement in _MINUTE:
        db.execute(statement, span)


def sum_pieces(db: sqlite3.Connection, source: str, target: str, host_id: int, t: int, span: tuple[int, int]) -> Iterator[None]:
    """Recompute the bucket ``t`` of a tier from the finer one's rows of ``span`` (unix seconds), server after server."""
    statement = _SUM.format(source, target)
    for (server,) in db.execute(_SERVERS.format(source), (host_id, *span)).fetchall():
        for latency in Latency:
            with transaction(db):
                found = db.execute(statement, {"t": t, "t0": span[0], "t1": span[1], "server": server, "latency": int(latency)})
            if found.rowcount:
                yield
