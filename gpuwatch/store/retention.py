"""Keeping the file small: how old each tier may get, in short slices beside a recorder.

Old is counted from now for what was recorded here, and from its own newest data for a host of past logs, so that a log of last
year is not gone as soon as it is imported. Nothing goes before the tier above it has its sums, and always whole hours, so that an hour
that is computed again finds all its minutes or none. Days are kept for good. What the size cap takes is in ``capacity``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from itertools import pairwise

from gpuwatch.dataclass import NamedTuple
from gpuwatch.store.capacity import fit, shrink
from gpuwatch.store.columns import HOT_TABLES
from gpuwatch.store.connection import transaction
from gpuwatch.store.deleting import SLICE_ROWS, Keep, delete_chunks, delete_rows, run
from gpuwatch.store.hours import closed_s, hour_offset_s, hour_start_s
from gpuwatch.store.watermarks import (
    DAY_TIER,
    HOUR_TIER,
    LEDGER_DAY_TIER,
    LEDGER_HOUR_TIER,
    MINUTE_TIER,
    SEAL_TICK_TIER,
    SEAL_TIER,
    current_host,
    watermark,
)

DAY_S = 86_400
TRIM_SLICE_TICKS, TRIM_SLICE_ROWS = 300, 6000
_SAMPLE_TICKS = 4
_FOR_EVER = 2**62
LEAP_MS, SETTLED_MS = 10 * DAY_S * 1000, 3_600_000
COMMAND_DAYS = 35
"""Command lines and the reasons of missing values are kept so long."""


class Rule(NamedTuple):
    """What makes the rows of a table old: ``column`` before a cut, in units of ``unit`` to the second."""

    table: str
    kept: str
    column: str = "t"
    unit: int = 1
    whose: str = "host_id={host}"
    """The condition for the rows of one host."""
    above: str = ""
    """The tier that must have the sums first."""


_OF_GPU = "EXISTS (SELECT 1 FROM gpu e WHERE e.gpu_id={table}.gpu_id AND e.host_id={host})"
_OF_PROCESS = "EXISTS (SELECT 1 FROM process e WHERE e.proc_id={table}.proc_id AND e.host_id={host})"
_OF_WORKLOAD = "EXISTS (SELECT 1 FROM workload e WHERE e.workload_id={table}.workload_id AND e.host_id={host})"
_OF_ENTITY = (
    "(entity=0 AND entity_id IN (SELECT gpu_id FROM gpu WHERE host_id={host})"
    " OR entity=1 AND entity_id IN (SELECT workload_id FROM workload WHERE host_id={host}))"
)
RULES = (
    Rule("chunk", "chunk_days", "t0_ms", 1000),
    Rule("process_minute", "process_minute_days", whose=_OF_PROCESS, above=HOUR_TIER),
    Rule("gpu_minute", "minute_days", whose=_OF_GPU, above=HOUR_TIER),
    Rule("workload_minute", "minute_days", whose=_OF_WORKLOAD, above=HOUR_TIER),
    Rule("latency_minute", "minute_days", whose=_OF_WORKLOAD, above=HOUR_TIER),
    Rule("ledger_minute", "minute_days", whose=_OF_GPU, above=LEDGER_HOUR_TIER),
    Rule("ledger_span", "minute_days", "t1", whose=_OF_GPU, above=LEDGER_HOUR_TIER),
    Rule("process_hour", "hour_days", whose=_OF_PROCESS, above=DAY_TIER),
    Rule("gpu_hour", "hour_days", whose=_OF_GPU, above=DAY_TIER),
    Rule("workload_hour", "hour_days", whose=_OF_WORKLOAD, above=DAY_TIER),
    Rule("latency_hour", "hour_days", whose=_OF_WORKLOAD, above=DAY_TIER),
    Rule("ledger_hour", "hour_days", whose=_OF_GPU, above=LEDGER_DAY_TIER),
    Rule("hist_hour", "hour_days", whose=_OF_ENTITY),
    Rule("hist_day", "hour_days", whose=_OF_ENTITY),
    Rule("event", "hour_days", "ts_ms", 1000),
    Rule("gap", "hour_days", "t1_ms", 1000),
    Rule("gap_energy", "hour_days", "t0_ms", 1000),
    Rule("missing", "minute_days", "t1_ms", 1000),
)


class Old(NamedTuple):
    """What of one table and host is older than its age: rows before unix second ``until_s``, about so many bytes."""

    table: str
    host_id: int
    rows: int
    size_bytes: int
    until_s: int


class Slice(NamedTuple):
    """One table of one host with the condition for its old rows."""

    rule: Rule
    host_id: int
    cut: int
    """In the units of the rule's column; older rows go."""
    whose: str
    """The condition for the host's own rows; empty where there is no other host."""

    @property
    def where(self) -> str:
        """The whole condition."""
        return f"{self.rule.column}<{self.cut}{' AND ' if self.whose else ''}{self.whose}"


def newest_ms(db: sqlite3.Connection, host_id: int, now_ms: int) -> int:
    """From when the ages of a host's data count: now for one that was recorded here, else its newest row (0: not known)."""
    if host_id > 0:  # a host of past logs has an id below 0
        return now_ms
    sql = "SELECT max(last_ms) FROM (SELECT last_ms FROM host WHERE host_id=? UNION ALL SELECT last_ms FROM gpu WHERE host_id=?)"
    return int(db.execute(sql, (host_id, host_id)).fetchone()[0] or 0)


def old_slices(db: sqlite3.Connection, now_ms: int, keep: Keep) -> list[Slice]:
    """All tables and hosts with the condition for what is too old."""
    hosts = [row[0] for row in db.execute("SELECT host_id FROM host ORDER BY host_id")]
    out = []
    for host in hosts:
        newest_s, offset = newest_ms(db, host, now_ms) // 1000, hour_offset_s(db, host)
        for rule in RULES:
            days = getattr(keep, rule.kept)
            if rule.table == "process_minute":
                days = min(days, keep.minute_days)
            until_s = newest_s - round(days * DAY_S)
            if rule.above:
                until_s = min(until_s, closed_s(db, rule.above, host))
            cut = hour_start_s(until_s, offset) * rule.unit
            out.append(Slice(rule, host, cut, rule.whose.format(table=rule.table, host=host) if len(hosts) > 1 else ""))
    return out


def leapt(db: sqlite3.Connection, now_ms: int) -> bool:
    """Whether the clock stands far ahead of all that was recorded before, since less than an hour.

    A computer whose clock is wrong until it has asked the network must not lose its history for that. Who has really been off for
    so long loses nothing by waiting an hour.
    """
    sessions = db.execute("SELECT started_ms, last_ms FROM session ORDER BY session_id DESC LIMIT 50").fetchall()
    return any(0 <= now_ms - begun < SETTLED_MS and begun - last > LEAP_MS for (begun, _), (_, last) in pairwise(sessions))


def aged(db: sqlite3.Connection, now_ms: int, keep: Keep, *, people: bool = True) -> Iterator[int]:
    """Delete what is older than its tier is kept for, in short transactions; gives the rows that each one deleted.

    ``people``: look through the processes too, which takes longer when there are many; once a day is enough.
    """
    for part in old_slices(db, now_ms, keep):
        yield from _delete(db, part)
    yield from _forget_findings(db, now_ms, keep)
    if people:
        yield from _forget_people(db, now_ms, keep)


_CLEARED = "FROM finding f WHERE f.host_id=? AND f.ended_ms<?"
_FINDINGS = (  # minutes before the finding that tells whose they are
    (f"DELETE FROM finding_minute WHERE finding_id IN (SELECT f.finding_id {_CLEARED}", "minute_days"),
    (f"DELETE FROM finding_minute WHERE finding_id IN (SELECT f.finding_id {_CLEARED}", "hour_days"),
    (f"DELETE FROM finding WHERE finding_id IN (SELECT f.finding_id {_CLEARED}", "hour_days"),
    ("DELETE FROM mute WHERE mute_id IN (SELECT mute_id FROM mute WHERE host_id=? AND min(coalesce(until_ms,lifted_ms),coalesce(lifted_ms,until_ms))<?", "hour_days"),
)  # fmt: skip
_SILENT = (
    "UPDATE finding SET title=coalesce(CASE WHEN json_valid(detail) THEN json_extract(detail,'$.name') END,rule), evidence='', advice='', "
    f"command='', detail='' WHERE finding_id IN (SELECT f.finding_id {_CLEARED} AND f.detail<>''"
)


def _forget_findings(db: sqlite3.Connection, now_ms: int, keep: Keep) -> Iterator[int]:
    """Findings count by when they cleared; what they say of command lines goes as early as those."""
    for (host,) in db.execute("SELECT host_id FROM host").fetchall():
        newest = newest_ms(db, host, now_ms)
        run(db, f"{_SILENT})", (host, newest - COMMAND_DAYS * DAY_S * 1000))
        for sql, kept in _FINDINGS:
            yield run(db, f"{sql})", (host, newest - round(getattr(keep, kept) * DAY_S * 1000)))


def _delete(db: sqlite3.Connection, part: Slice) -> Iterator[int]:
    rule = part.rule
    if rule.table == "chunk":
        yield from delete_chunks(db, part.where)
        return
    first: int | None = db.execute(f"SELECT min({rule.column}) FROM {rule.table}").fetchone()[0]
    if first is not None:
        yield from delete_rows(db, rule.table, rule.column, (first, part.cut), part.whose)


_OLD_RUNS = (
    "SELECT r.run_id FROM run r JOIN workload w ON w.workload_id=r.workload_id WHERE w.host_id=? AND w.last_ms<? AND r.command<>''"
)


def _forget_people(db: sqlite3.Connection, now_ms: int, keep: Keep) -> Iterator[int]:
    """Command lines go early; processes go when nothing that is kept speaks of them any more. Runs stay."""
    old = "FROM process p WHERE p.host_id=? AND p.last_ms<?"
    gone = f"{old} AND p.proc_id NOT IN (SELECT proc_id FROM process_day)"
    for (host,) in db.execute("SELECT host_id FROM host").fetchall():
        newest = newest_ms(db, host, now_ms)
        for sql, days in (
            (f"UPDATE process SET command='' WHERE proc_id IN (SELECT p.proc_id {old} AND p.command<>''", COMMAND_DAYS),
            (f"UPDATE run SET command='' WHERE run_id IN ({_OLD_RUNS}", COMMAND_DAYS),
            (
                f"DELETE FROM trainer WHERE proc_id IN (SELECT p.proc_id {gone} AND p.proc_id IN (SELECT proc_id FROM trainer)",
                keep.hour_days,
            ),
            (f"DELETE FROM process WHERE proc_id IN (SELECT p.proc_id {gone}", keep.hour_days),
        ):
            while run(db, f"{sql} LIMIT {SLICE_ROWS})", (host, newest - round(days * DAY_S * 1000))):
                yield 0


def prune(db: sqlite3.Connection, now_ms: int, keep: Keep, told: Callable[[str], None]) -> int:
    """All that is too old, then what is beyond the size cap, and the room goes back to the disk; gives the rows deleted.

    Beside a recorder or without one; each transaction is short. ``told`` hears what the size cap took.
    """
    deleted = sum(aged(db, now_ms, keep)) + sum(fit(db, now_ms, keep, told))
    for _ in shrink(db, 0):
        pass
    return deleted


def plan(db: sqlite3.Connection, now_ms: int, keep: Keep) -> list[Old]:
    """What would go now by age, largest first; sizes are estimates from sampled rows."""
    out = []
    for part in old_slices(db, now_ms, keep):
        table = part.rule.table
        count = int(db.execute(f"SELECT count(*) FROM {table} WHERE {part.where}").fetchone()[0])
        if count:
            size = _size(db, part, count)
            out.append(Old(table, part.host_id, count, size, part.cut // part.rule.unit))
    return sorted(out, key=lambda old: -old.size_bytes)


def _size(db: sqlite3.Connection, part: Slice, count: int) -> int:
    """Bytes that the rows take, indices not counted: of chunks their bodies, else by a sample (SQLite's record format)."""
    if part.rule.table == "chunk":
        sql = f"SELECT sum(length(body)+length(cols)) FROM chunk WHERE {part.where}"
        return int(db.execute(sql).fetchone()[0] or 0)
    sample = db.execute(f"SELECT * FROM {part.rule.table} WHERE {part.where} LIMIT 200").fetchall()
    return count * sum(4 + sum(map(_cell_size, row)) for row in sample) // len(sample)


def _cell_size(value: object) -> int:
    if value is None or value in (0, 1):
        return 1
    if isinstance(value, int):
        return 1 + next(size for size in (1, 2, 3, 4, 6, 8) if size == 8 or -(1 << 8 * size - 1) <= value < 1 << 8 * size - 1)
    return 9 if isinstance(value, float) else 1 + len(str(value))


def trim_hot(db: sqlite3.Connection, now_ms: int, hours: float = 2, *, slices: int = 4) -> int:
    """Delete hot rows older than ``hours`` whose hours are sealed, in at most ``slices`` short transactions of at most 300 ticks.

    What lies as far ahead is of a clock that was set back since, and goes too: it would keep all that came after it.
    Returns the number of ticks deleted; call again while it is not 0. Without any closed minute (a store in memory keeps none)
    age alone decides.
    """
    kept_ms = round(hours * 3_600_000)
    cut_ms = now_ms - kept_ms
    sealed_tick = _FOR_EVER
    if watermark(db, MINUTE_TIER) is not None:
        cut_ms = min(cut_ms, closed_s(db, SEAL_TIER, current_host(db)) * 1000 + 1)
        sealed_tick = watermark(db, SEAL_TICK_TIER, current_host(db)) or 0
    deleted = 0
    for _ in range(slices):
        last, count = None, 0
        for tick_id, ts_ms in db.execute("SELECT tick_id, ts_ms FROM tick ORDER BY tick_id LIMIT ?", (_slice_ticks(db),)):
            if (cut_ms <= ts_ms or tick_id > sealed_tick) and ts_ms <= now_ms + kept_ms:
                break
            last, count = tick_id, count + 1
        if last is None:
            break
        with transaction(db):
            for table in (*HOT_TABLES, "tick"):
                db.execute(f"DELETE FROM {table} WHERE tick_id<=?", (last,))
        deleted += count
    return deleted


def _slice_ticks(db: sqlite3.Connection) -> int:
    """How many ticks are deleted at once (4 ms), by how many rows the oldest ones have: fewer where there are many processes."""
    first = db.execute("SELECT min(tick_id) FROM tick").fetchone()[0] or 0
    counts = [
        f"(SELECT count(*) FROM {table} WHERE tick_id<:until)" for table in ("gpu_sample", "process_sample", "latency_sample")
    ]
    rows = int(db.execute(f"SELECT {'+'.join(counts)}", {"until": first + _SAMPLE_TICKS}).fetchone()[0])
    return max(_SAMPLE_TICKS, min(TRIM_SLICE_TICKS, TRIM_SLICE_ROWS * _SAMPLE_TICKS // max(rows, 1)))
