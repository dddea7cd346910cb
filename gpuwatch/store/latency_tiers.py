"""Sums of waiting times, in pieces: a few servers fill thousands of buckets an hour, and no tick may wait for all of them.

A piece is one waiting time of one server, computed whole in a transaction of its own before the watermark of its tier moves; so
doing it again changes nothing, and what a recorder that was killed has left is computed once more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from gpuwatch.names import Latency
from gpuwatch.store.columns import LATENCY
from gpuwatch.store.connection import transaction
from gpuwatch.store.ledger_rows import ONCE

MINUTE = (  # what was counted over a time that no row speaks for is not counted
    f"INSERT OR REPLACE INTO latency_minute({','.join(LATENCY)}) "
    "SELECT (k.ts_ms-1)/60000*60,s.workload_id,s.latency,s.lower_us,s.upper_us,sum(s.n) "
    f"FROM tick k CROSS JOIN inference_sample i CROSS JOIN latency_sample s WHERE k.ts_ms>? AND k.ts_ms<=? AND {ONCE} "
    "AND i.tick_id=k.tick_id AND i.dt_ms>0 AND s.tick_id=i.tick_id AND s.workload_id=i.workload_id GROUP BY 1,2,3,4,5"
)
"""Recomputes the minutes whose rows have ``ts_ms`` in ``(?, ?]``."""
_PART = MINUTE.replace(" GROUP BY ", " AND s.latency=? GROUP BY ")
_ANY = "SELECT 1 FROM latency_sample WHERE tick_id>=(SELECT min(tick_id) FROM tick WHERE ts_ms>? AND ts_ms<=?) LIMIT 1"
_SERVERS = "SELECT DISTINCT m.workload_id FROM workload_{0} m JOIN workload w ON w.workload_id=m.workload_id AND w.host_id=? WHERE m.t>=? AND m.t<?"
_SUM = (
    f"INSERT OR REPLACE INTO latency_{{1}}({','.join(LATENCY)}) SELECT :t,m.workload_id,m.latency,m.lower_us,m.upper_us,sum(m.n) "
    "FROM workload_{0} k CROSS JOIN latency_{0} m WHERE k.t>=:t0 AND k.t<:t1 AND k.workload_id=:server AND m.t=k.t "
    "AND m.workload_id=:server AND m.latency=:latency GROUP BY m.lower_us,m.upper_us"
)


def minute_pieces(db: sqlite3.Connection, span: tuple[int, int]) -> Iterator[None]:
    """Recompute the minutes of ``span`` (unix milliseconds), one waiting time after the other."""
    if db.execute(_ANY, span).fetchone() is None:
        return
    for latency in Latency:
        with transaction(db):
            db.execute(_PART, (*span, int(latency)))
        yield


def sum_pieces(db: sqlite3.Connection, source: str, target: str, host_id: int, t: int, span: tuple[int, int]) -> Iterator[None]:
    """Recompute the bucket ``t`` of a tier from the finer one's rows of ``span`` (unix seconds), server after server."""
    statement = _SUM.format(source, target)
    for (server,) in db.execute(_SERVERS.format(source), (host_id, *span)).fetchall():
        for latency in Latency:
            with transaction(db):
                found = db.execute(statement, {"t": t, "t0": span[0], "t1": span[1], "server": server, "latency": int(latency)})
            if found.rowcount:
                yield
