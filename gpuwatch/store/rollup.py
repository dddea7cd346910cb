"""Closing minutes: rollups from hot rows by SQL.

A minute is always recomputed whole from its hot rows, in one transaction with the watermark, so doing it twice changes nothing.
A row belongs to the minute in which it ends (a row at 12:01:00 is the last of 12:00). Rows that speak for no time (``dt_ms`` 0)
count nowhere. The functions take the writer's connection and begin their own transactions.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

from gpuwatch.model import GpuSample, InferenceSample, ProcessSample
from gpuwatch.store import latency_tiers
from gpuwatch.store.columns import GPU_ROLLUP, PROCESS_ROLLUP, Rolled, rollup
from gpuwatch.store.connection import transaction
from gpuwatch.store.days import reopen
from gpuwatch.store.ledger_rows import ONCE, ledger_input, ledger_inputs, owner_id, write_ledger
from gpuwatch.store.watermarks import MINUTE_TIER, set_watermark, watermark
from gpuwatch.training import TrainingSample

__all__ = [
    "MINUTE_TIER",
    "close_again",
    "close_minutes",
    "ledger_input",
    "ledger_inputs",
    "minute_steps",
    "owner_id",
    "set_watermark",
    "watermark",
    "write_ledger",
]

_AGAIN_MS = 3_600_000
_PROCESSES = 32
"""The minutes of so many processes are closed in one piece."""
_LATEST_TICKS = 4
_FIRST_ID, _LAST_ID = -(2**62), 2**62
THROTTLE_MASK = 0x4 | 0x8 | 0x20 | 0x40 | 0x80
"""NVML clock event reasons that slow a GPU down: power cap, HW slowdown, SW and HW thermal, power brake."""
QUIET_PM = 50
"""Below 5 % utilization a GPU or process is quiet."""

_GPU_FACTS = (
    "sum(s.dt_ms)",
    "count(*)",
    "sum(CASE WHEN s.quiet=1 THEN s.dt_ms ELSE 0 END)",
    "sum(CASE WHEN s.quiet IS NOT NULL THEN s.dt_ms ELSE 0 END)",
    "sum(CASE WHEN s.context>0 THEN s.dt_ms ELSE 0 END)",
    "sum(CASE WHEN s.context IS NOT NULL THEN s.dt_ms ELSE 0 END)",
    "sum(CASE WHEN s.quiet=1 AND s.context>0 THEN s.dt_ms ELSE 0 END)",
    "sum(CASE WHEN s.unavailable THEN s.dt_ms ELSE 0 END)",
    f"sum(CASE WHEN s.clock_event_reasons & {THROTTLE_MASK} THEN s.dt_ms ELSE 0 END)",
    "sum(coalesce(s.energy_mj, s.power_mw*s.dt_ms/1000, 0))",
    "sum(CASE WHEN s.quiet=1 THEN coalesce(s.energy_mj, s.power_mw*s.dt_ms/1000, 0) ELSE 0 END)",
    "max(s.energy_mj IS NOT NULL) + 2*max(s.energy_mj IS NULL AND s.power_mw IS NOT NULL)",
)
_PROCESS_FACTS = ("sum(s.dt_ms)", "count(*)", f"sum(CASE WHEN s.sm_pm<{QUIET_PM} THEN s.dt_ms ELSE 0 END)")
_WORKLOAD_FACTS = ("sum(s.dt_ms)", "count(*)")
_MINUTE = "(k.ts_ms-1)/60000*60"
_COLUMN = re.compile(r"\bs\.(\w+)")
_TRAINING_FACTS = ("max(w.ms)", "count(*)")
_WALL = (
    "(SELECT x.t, x.workload_id, sum(min(x.dt_ms,x.since_ms)) AS ms FROM ("
    f"SELECT {_MINUTE} AS t, r.workload_id, max(r.dt_ms) AS dt_ms,"
    " k.ts_ms-coalesce(lag(k.ts_ms) OVER (PARTITION BY r.workload_id ORDER BY k.ts_ms),k.ts_ms-max(r.dt_ms)) AS since_ms"
    f" FROM tick k CROSS JOIN training_sample r WHERE k.ts_ms>? AND k.ts_ms<=? AND {ONCE} AND r.tick_id=k.tick_id AND r.dt_ms>0"
    " GROUP BY k.tick_id, r.workload_id) x GROUP BY x.t, x.workload_id)"
)


_HAS = (
    f"SELECT {_MINUTE} FROM tick k WHERE k.ts_ms>:first AND k.ts_ms<=:end AND {ONCE}"
    " AND EXISTS (SELECT 1 FROM {} s WHERE s.tick_id=k.tick_id AND s.dt_ms>0)"
)
_FRESH = (  # what past logs say of a minute, under ids below 0, closes nothing
    f"SELECT * FROM ({_HAS.format('gpu_sample')} EXCEPT SELECT m.t FROM gpu_minute m WHERE m.t>=:t AND m.gpu_id>0"
    " AND EXISTS (SELECT 1 FROM ledger_minute l WHERE l.t=m.t AND l.gpu_id>0))"
    f" UNION SELECT * FROM ({_HAS.format('process_sample')} EXCEPT SELECT m.t FROM process_minute m WHERE m.t>=:t AND m.proc_id>0)"
    f" UNION SELECT * FROM ({_HAS.format('inference_sample')} UNION {_HAS.format('training_sample')}"
    " EXCEPT SELECT m.t FROM workload_minute m WHERE m.t>=:t AND m.workload_id>0)"
    " ORDER BY 1"
)


def _expression(column: Rolled, absent: frozenset[str] = frozenset()) -> str:
    sources = [name for name in column.sources or (column.source,) if name not in absent]
    if not sources:
        return "NULL"
    if column.how == "observed":
        known = f"s.{sources[0]}" if len(sources) == 1 else f"coalesce({','.join(f's.{c}' for c in sources)})"
        return f"sum(CASE WHEN {known} IS NOT NULL THEN s.dt_ms END)"
    if column.how == "integral":
        return f"sum(s.{column.source}*s.dt_ms)"
    return f"{column.how}(s.{column.source})"


@cache
def minute_sql(
    table: str,
    sample: str,
    sample_type: type,
    key: Sequence[str],
    columns: Sequence[str],
    facts: Sequence[str],
    absent: frozenset[str] = frozenset(),
) -> str:
    """The statement that recomputes the minutes whose rows have ``ts_ms`` in ``(?, ?]``.

    ``absent`` are columns that are NULL in all of them: nothing is added up for those, which is most of the work on a narrow log.
    """
    rolled = rollup(sample_type)
    ids = [f"s.{name}" for name in key]
    told = [_COLUMN.sub(lambda found: "NULL" if found[1] in absent else found[0], fact) for fact in facts]
    values = ",".join([_MINUTE, *ids, *told, *(_expression(column, absent) for column in rolled)])
    return (
        f"INSERT OR REPLACE INTO {table}({','.join(columns)}) SELECT {values} "
        f"FROM tick k CROSS JOIN {sample} s WHERE k.ts_ms>? AND k.ts_ms<=? AND {ONCE} AND s.tick_id=k.tick_id AND s.dt_ms>0 "
        f"GROUP BY {','.join([_MINUTE, *ids])}"
    )


def minute_statements(absent: frozenset[str] = frozenset()) -> list[str]:
    """What recomputes the minutes of GPUs, processes and workloads; ``absent``: columns that no GPU row has."""
    out = [
        minute_sql("gpu_minute", "gpu_sample", GpuSample, ("gpu_id",), GPU_ROLLUP, _GPU_FACTS, absent),
        minute_sql("process_minute", "process_sample", ProcessSample, ("proc_id", "gpu_id"), PROCESS_ROLLUP, _PROCESS_FACTS),
    ]
    for sample, sample_type in (("training_sample", TrainingSample), ("inference_sample", InferenceSample)):
        columns = ("t", "workload_id", "obs_ms", "n", *(c.name for c in rollup(sample_type)))
        facts = _TRAINING_FACTS if sample_type is TrainingSample else _WORKLOAD_FACTS
        out.append(minute_sql("workload_minute", sample, sample_type, ("workload_id",), columns, facts))
    return [*out[:2], _with_wall_time(out[2]), out[3]]


def _with_wall_time(statement: str) -> str:
    """Of ranks, which are told in the same ticks, time counts once: of each tick its longest row, but no further back than the tick
    before. All other sums are over the ranks.
    """
    span, joined = "k.ts_ms>? AND k.ts_ms<=?", f"JOIN {_WALL} w ON w.t={_MINUTE} AND w.workload_id=s.workload_id WHERE"
    return statement.replace(f"WHERE {span}", f"{joined} {span}").replace(span, "k.ts_ms>?1 AND k.ts_ms<=?2")


def close_minutes(db: sqlite3.Connection, now_ms: int) -> int:
    """Recompute all minutes that ended by ``now_ms`` and are not closed yet; the caller decides how long late rows may take.

    Returns how many minutes were looked at. A clock that went back closes nothing until it has caught up.
    """
    done, end_s = _open_minutes(db, now_ms)
    if end_s <= done:
        return 0
    with transaction(db):
        _close(db, (done * 1000, end_s * 1000))
        set_watermark(db, MINUTE_TIER, end_s)
    return (end_s - done) // 60


def minute_steps(db: sqlite3.Connection, now_ms: int) -> Iterator[None]:
    """The same in pieces of a few milliseconds where there are many processes or servers; the last one moves the watermark.

    Until then the minutes are open, and would be computed again as a whole.
    """
    done, end_s = _open_minutes(db, now_ms)
    if end_s <= done:
        return
    span = (done * 1000, end_s * 1000)
    edges = _process_edges(db, span[1])
    for _ in latency_tiers.minute_pieces(db, span):
        yield
    if not edges:
        with transaction(db):
            for statement in minute_statements():
                db.execute(statement, span)
            _mark_seen(db, span)
            set_watermark(db, MINUTE_TIER, end_s)
        return
    for statement in minute_statements():
        if " INTO process_minute(" not in statement:
            with transaction(db):
                db.execute(statement, span)
            yield
    part = _process_statement()
    for after, until in pairwise([_FIRST_ID, *edges, _LAST_ID]):
        with transaction(db):
            db.execute(part, (*span, after, until))
        yield
    with transaction(db):
        _mark_seen(db, span)
        set_watermark(db, MINUTE_TIER, end_s)


@cache
def _process_statement() -> str:
    """Minutes of the processes with ids in ``(?, ?]``."""
    (statement,) = (s for s in minute_statements() if " INTO process_minute(" in s)
    return statement.replace(" GROUP BY ", " AND s.proc_id>? AND s.proc_id<=? GROUP BY ")


def _process_edges(db: sqlite3.Connection, end_ms: int) -> list[int]:
    """Ids that part the processes that were seen last into groups."""
    sql = "SELECT DISTINCT proc_id FROM process_sample WHERE tick_id>(SELECT max(tick_id) FROM tick WHERE ts_ms<=?)-? ORDER BY 1"
    return [row[0] for row in db.execute(sql, (end_ms, _LATEST_TICKS))][_PROCESSES - 1 :: _PROCESSES]


def _open_minutes(db: sqlite3.Connection, now_ms: int) -> tuple[int, int]:
    """Unix seconds between which minutes are to be closed."""
    end_s = now_ms // 60_000 * 60
    done = watermark(db, MINUTE_TIER)
    if done is None:
        first = db.execute("SELECT min(ts_ms) FROM tick").fetchone()[0]
        done = end_s if first is None else (first - 1) // 60_000 * 60
    return done, end_s


def close_again(db: sqlite3.Connection, now_ms: int, *, since_ms: int | None = None) -> list[int]:
    """Behind the watermark, where only a clock that was set back leads: close the minutes that were not closed yet, or have no ledger.

    A minute that was closed before the clock was set back stays as it is. Looks at rows after ``since_ms``, by default at those of
    the last hour. Returns the starts of the closed minutes.
    """
    end_ms = now_ms // 60_000 * 60_000
    first_ms = end_ms - _AGAIN_MS if since_ms is None else since_ms
    minutes = [row[0] for row in db.execute(_FRESH, {"first": first_ms, "end": end_ms, "t": first_ms // 60_000 * 60})]
    with transaction(db):
        for minute in minutes:
            _close(db, (minute * 1000, minute * 1000 + 60_000))
        reopen(db, minutes)
    return minutes


def _close(db: sqlite3.Connection, span: tuple[int, int]) -> None:
    for statement in minute_statements():
        db.execute(statement, span)
    latency_tiers.close_again(db, span)
    _mark_seen(db, span)


def _mark_seen(db: sqlite3.Connection, span: tuple[int, int]) -> None:
    """When each entity was last seen."""
    seen = "SELECT s.{0} AS id, max(k.ts_ms) AS ts FROM tick k CROSS JOIN {1} s WHERE k.ts_ms>? AND k.ts_ms<=? AND s.tick_id=k.tick_id GROUP BY 1"
    for table, key, sample in (
        ("gpu", "gpu_id", "gpu_sample"),
        ("process", "proc_id", "process_sample"),
        ("workload", "workload_id", "training_sample"),
        ("workload", "workload_id", "inference_sample"),
        ("server", "workload_id", "inference_sample"),
        ("trainer", "proc_id", "training_sample"),
        ("process", "proc_id", "training_sample"),
        ("host", "host_id", "host_sample"),
    ):
        query = seen.format(key, sample)
        db.execute(f"UPDATE {table} SET last_ms=max(last_ms,m.ts) FROM ({query}) AS m WHERE {table}.{key}=m.id", span)
