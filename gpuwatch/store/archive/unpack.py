"""Writing a span of the past out as a store of its own whose hot tables hold every row, for plain SQL.

Hour after hour, chunk after chunk: memory holds one block of rows and the times of one hour. An hour is read from one state of the
store, so that rows which are sealed and trimmed meanwhile are written once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gpuwatch.dataclass import dataclass, field
from gpuwatch.errors import StoreError
from gpuwatch.store import connection
from gpuwatch.store.archive import codec
from gpuwatch.store.archive.read import HOUR_MS
from gpuwatch.store.archive.shapes import HOST, RECORDER, SHAPES, Shape
from gpuwatch.store.bulk import Inserter
from gpuwatch.store.columns import HOT_TABLES, LATENCY_SAMPLE, SCHEMA_VERSION
from gpuwatch.store.hours import hour_offset_s
from gpuwatch.store.ledger_rows import ONCE

_WHO = (
    "host",
    "gpu",
    "user_account",
    "workload",
    "server",
    "server_field",
    "process",
    "owner",
    "trainer",
    "run",
    "session",
    "import_file",
)
_SPANS = {
    "gap": "t0_ms<:end AND t1_ms>:start",
    "gap_energy": "t0_ms>=:start AND t0_ms<:end",
    "event": "ts_ms>:start AND ts_ms<=:end",
    "missing": "t0_ms<:end AND (t1_ms IS NULL OR t1_ms>:start)",
}
_HOT = (
    "WHERE s.tick_id=k.tick_id AND k.ts_ms>:start AND k.ts_ms<=:end AND EXISTS (SELECT 1 FROM session x "
    f"WHERE x.session_id=k.session_id AND coalesce(x.host_id,:host)=:host) AND {ONCE}"
)
_KEPT = (
    "SELECT min(first), max(last) FROM (SELECT min(t0_ms) AS first, max(t1_ms) AS last FROM chunk WHERE host_id=:host "
    "UNION ALL SELECT min(ts_ms)-1, max(ts_ms) FROM tick UNION ALL SELECT first_ms-1, last_ms FROM host WHERE host_id=:host)"
)
_FETCH = 2000
_LAST_SESSION = 2**62
"""What was imported belongs to no session, and none came after it."""
Row = tuple[Any, ...]


@dataclass(slots=True)
class Unpacked:
    """What was written: rows by hot table, the spans (unix ms) of whole hours of which there was no row, and damaged chunks."""

    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(HOT_TABLES, 0))
    empty: list[tuple[int, int]] = field(default_factory=list)
    damaged: int = 0
    """Sealed hours of an entity that cannot be read; they are left out."""


def unpack(source: Path, target: Path, start_ms: int, end_ms: int, progress: Callable[[int], None] = lambda _: None) -> Unpacked:
    """Write all rows with ``start_ms < ts_ms <= end_ms`` of the store ``source`` into the new store ``target``.

    ``source`` is only read, also beside its recorder. ``progress`` is told the time that has been reached. Raises
    :class:`StoreError` for a source that cannot be read or is of an older schema, or a target that cannot be written.
    """
    db = connection.open_read(source)
    try:
        if (version := connection.schema_version(db, source)) < SCHEMA_VERSION:  # it has no sealed hours: all its rows are plain
            raise connection.older(source, version)
        out = connection.open_write(target, wal=False)
    except StoreError:
        db.close()
        raise
    try:
        out.execute("PRAGMA synchronous=OFF")  # a file that is not whole is thrown away
        return _Unpacking(db, out, source, target, start_ms, end_ms).run(progress)
    finally:
        db.close()
        connection.close_cleanly(out)


class _Unpacking:
    def __init__(
        self, db: sqlite3.Connection, out: sqlite3.Connection, source: Path, target: Path, start_ms: int, end_ms: int
    ) -> None:
        self._db, self._out, self._source, self._target = db, out, source, target
        self._start, self._end = start_ms, end_ms
        self._tick = 0
        self._done = Unpacked()
        self._inserters = {kind: Inserter(shape.table, _columns(shape)) for kind, shape in SHAPES.items()}
        self._ticks = Inserter("tick", ("tick_id", "ts_ms", "session_id"))
        self._latencies = Inserter("latency_sample", LATENCY_SAMPLE)

    def run(self, progress: Callable[[int], None]) -> Unpacked:
        with self._state():
            self._copy_people()
            hosts = [row[0] for row in self._read("SELECT host_id FROM host ORDER BY host_id")]  # imported ones first
            spans = [(host, *span) for host in hosts for span in self._hours(host)]
        there: set[int] = set()
        for host, start, end in spans:
            with self._state():
                if self._hour(host, start, end):
                    there.add(start)
            progress(start)
        self._done.empty = _joined(sorted({(start, end) for _, start, end in spans if start not in there}))
        return self._done

    # -------------------------------------------------------------------------------------------------------- the files

    def _state(self) -> _OneState:
        return _OneState(self._db, self._out, self._target)

    def _read(self, sql: str, values: object = ()) -> list[Row]:
        try:
            return self._db.execute(sql, values).fetchall()  # type: ignore[arg-type]
        except sqlite3.Error as error:
            raise connection.explain(error, self._source) from error

    def _copy_people(self) -> None:
        self._copy("meta", "key<>:own", {"own": connection.MIN_READER})
        for table in _WHO:
            self._copy(table, "1=1", {})
        for table, where in _SPANS.items():
            self._copy(table, where, {"start": self._start, "end": self._end})

    def _copy(self, table: str, where: str, values: dict[str, object]) -> None:
        own = {row[1] for row in self._out.execute(f"PRAGMA table_info({table})")}
        known = [row[1] for row in self._read(f"PRAGMA table_info({table})") if row[1] in own]  # a newer store may have more
        rows = self._read(f"SELECT {','.join(known)} FROM {table} WHERE {where}", values) if known else []
        if rows:
            Inserter(table, known).insert(self._out, rows)

    # --------------------------------------------------------------------------------------------------------- the rows

    def _hours(self, host: int) -> Iterator[tuple[int, int]]:
        """The parts of the span that lie in one hour of the host each, from its first row to its last one."""
        offset = hour_offset_s(self._db, host) * 1000
        first, last = self._read(_KEPT, {"host": host})[0]
        start, end = max(self._start, first or 0), min(self._end, last or 0)
        while start < end:
            stop = min(end, start - (start - offset) % HOUR_MS + HOUR_MS)
            yield start, stop
            start = stop

    def _hour(self, host: int, start: int, end: int) -> int:
        """Write one hour of one host; how many rows that were."""
        chunks = self._read(
            "SELECT kind, entity_id, cols, body FROM chunk WHERE host_id=? AND t0_ms>? AND t0_ms<? AND t1_ms>? ORDER BY kind, entity_id",
            (host, start - HOUR_MS, end, start),
        )
        sealed: dict[int, dict[int, set[int]]] = {kind: {} for kind in SHAPES}
        whole: list[Row] = []
        for chunk in chunks:
            kind, entity, cols, body = chunk
            try:  # inflating any column of a block checks every byte of it
                known = {row[0] for rows in self._blocks(SHAPES.get(kind), cols, body, start, end, ("ts_ms",)) for row in rows}
            except StoreError:
                self._done.damaged += 1
                continue
            whole.append(chunk)
            if known:
                sealed[kind].setdefault(entity, set()).update(known)
        hot = {kind: self._hot_times(shape, host, start, end) for kind, shape in SHAPES.items()}
        times = set[int]().union(*(each for known in sealed.values() for each in known.values()), *hot.values())
        number = self._number(host, sorted(times))
        written = 0
        for kind, entity, cols, body in whole:
            shape = SHAPES.get(kind)
            for rows in self._blocks(shape, cols, body, start, end, shape.columns if shape else ()):
                written += self._write(shape, entity if shape.entity else host, rows, number) if shape else 0
        for kind, shape in SHAPES.items():
            if hot[kind]:
                written += self._write_hot(shape, host, start, end, sealed[kind], number)
        self._write_latencies(host, start, end, number)
        return written

    def _blocks(
        self, shape: Shape | None, cols: str, body: bytes, start: int, end: int, wanted: Sequence[str]
    ) -> Iterator[list[Row]]:
        """The rows of a chunk that end in ``(start, end]``, block by block. What a newer program added is passed over."""
        if shape is None:
            return
        known = codec.contents(cols)
        at = wanted.index("ts_ms")
        for number in range(*known.between(start, end)):
            columns = codec.decode(known, body, wanted, number, number + 1)
            yield [row for row in zip(*(columns[name] for name in wanted), strict=True) if start < row[at] <= end]

    def _number(self, host: int, times: list[int]) -> dict[int, int]:
        """A tick for each time, in the session that told it last."""
        sessions = self._read(
            "SELECT session_id, started_ms, last_ms FROM session WHERE host_id=? ORDER BY session_id DESC", (host,)
        )
        number, rows = {}, []
        for ts in times:
            self._tick += 1
            own = next((i for i, started, last in sessions if started <= ts <= last), None)
            if own is None:
                own = next((i for i, started, _ in sessions if started <= ts), _LAST_SESSION)
            number[ts] = self._tick
            rows.append((self._tick, ts, own))
        self._ticks.insert(self._out, rows)
        return number

    def _write(self, shape: Shape, own: int, rows: list[Row], number: dict[int, int]) -> int:
        """Rows in the order of a chunk's columns into the hot table; ``own`` is the entity or the host, where the table has one."""
        at = len(shape.key)
        before = (own,) if _own(shape) else ()
        self._inserters[shape.kind].insert(self._out, [(number[row[at]], *before, *row[:at], *row[at + 1 :]) for row in rows])
        self._done.rows[shape.table] += len(rows)
        return len(rows)

    def _hot_times(self, shape: Shape, host: int, start: int, end: int) -> set[int]:
        sql = f"SELECT DISTINCT k.ts_ms FROM tick k CROSS JOIN {shape.table} s {_HOT}"
        return {row[0] for row in self._read(sql, {"host": host, "start": start, "end": end})}

    def _write_hot(self, shape: Shape, host: int, start: int, end: int, sealed: dict[int, set[int]], number: dict[int, int]) -> int:
        """Rows of the hot table that are in no chunk."""
        own = _own(shape)
        cells = ",".join(
            [f"s.{own}" if own else "0", *(f"s.{name}" for name in shape.key), "k.ts_ms", *(f"s.{name}" for name in shape.values)]
        )
        cursor = self._db.execute(
            f"SELECT {cells} FROM tick k CROSS JOIN {shape.table} s {_HOT}", {"host": host, "start": start, "end": end}
        )
        at, written = len(shape.key) + 1, 0
        while some := cursor.fetchmany(_FETCH):
            rows: dict[int, list[Row]] = {}
            for row in some:
                if row[at] not in sealed.get(row[0] if shape.entity else 0, ()):
                    rows.setdefault(row[0], []).append(row[1:])
            written += sum(self._write(shape, entity, kept, number) for entity, kept in rows.items())
        return written

    def _write_latencies(self, host: int, start: int, end: int, number: dict[int, int]) -> None:
        """Buckets of waiting times, beside the rows of their servers: of single rows only the hot ones have them."""
        sql = (
            f"SELECT k.ts_ms, {','.join(f's.{name}' for name in LATENCY_SAMPLE[1:])} FROM tick k CROSS JOIN latency_sample s {_HOT}"
        )
        rows = self._read(sql, {"host": host, "start": start, "end": end})
        kept = [(number[row[0]], *row[1:]) for row in rows if row[0] in number]
        if kept:
            self._latencies.insert(self._out, kept)
        self._done.rows["latency_sample"] += len(kept)


class _OneState:
    """One state of the source, and one transaction of the target."""

    def __init__(self, db: sqlite3.Connection, out: sqlite3.Connection, target: Path) -> None:
        self._db, self._out, self._target = db, out, target

    def __enter__(self) -> None:
        self._db.execute("BEGIN")
        self._out.execute("BEGIN")

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        connection.roll_back(self._db)
        if error is None:
            self._out.execute("COMMIT")
            return
        connection.roll_back(self._out)
        if isinstance(error, sqlite3.Error):
            raise connection.explain(error, self._target) from error


def _own(shape: Shape) -> str:
    """The column of a hot table that a chunk says once."""
    return shape.entity or ("host_id" if shape.kind in (HOST, RECORDER) else "")


def _columns(shape: Shape) -> tuple[str, ...]:
    """The columns of a hot table in the order in which rows are written."""
    own = _own(shape)
    return ("tick_id", *((own,) if own else ()), *shape.key, *shape.values)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that follow each other as one."""
    out: list[tuple[int, int]] = []
    for start, end in spans:
        if out and out[-1][1] >= start:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out
