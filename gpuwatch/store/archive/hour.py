"""One entity's hour on its way from the hot rows, and from the chunk that may be there already, into a chunk."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from operator import itemgetter, lt
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.errors import StoreError
from gpuwatch.store.archive.codec import CODEC, Contents, Encoder, contents, decode
from gpuwatch.store.archive.hist import Histogram
from gpuwatch.store.archive.shapes import GPU, SHAPES, Shape
from gpuwatch.store.columns import insert_sql
from gpuwatch.store.connection import transaction
from gpuwatch.store.days import reopen_hist
from gpuwatch.store.hours import HOUR_S
from gpuwatch.store.ledger_rows import ONCE

HOUR_MS = HOUR_S * 1000
ONE_ROWS, MANY_ROWS = 900, 2400
"""So many rows has a block at most, of one thing or of many (processes): to replay an instant it is decoded as a whole."""
_READ_CELLS = 12_000
"""A step reads about so many values (2 ms)."""
_FIRST_TICKS = 16
"""So many ticks are read first where nobody knows how many rows each has."""
_MOST_TICKS = 120
"""So many ticks are read at most then: the rows of others are passed over, also where there is none of this entity's."""
_REACH_MS = 180_000
"""A row speaks for at most so much time (three periods of a minute)."""
_CHUNK = insert_sql("chunk", ("kind", "host_id", "entity_id", "t0_ms", "t1_ms", "n", "codec", "cols", "body"))
Row = tuple[Any, ...]


class _Chunk(NamedTuple):
    """The chunk that is there already."""

    contents: Contents
    cols: str
    body: bytes


class SealedHour:
    """What is to become the chunk of one entity's hour that starts at ``t0_ms`` and has so many ticks."""

    def __init__(self, db: sqlite3.Connection, kind: int, host_id: int, entity_id: int, t0_ms: int, ticks: int) -> None:
        self._db, self._shape, self._t0, self._entity = db, SHAPES[kind], t0_ms, entity_id
        self._at = len(self._shape.key)
        self._host = self._own_host(host_id)
        self._before = self._chunk()
        self._around: tuple[tuple[int, int], list[Row]] = ((0, 0), [])
        self._sql = self._select()
        at_once = _FIRST_TICKS if self._at else _READ_CELLS // len(self._shape.columns)
        self._first_ms = max(1000, HOUR_MS * at_once // max(ticks, 1))
        self._longest_ms = max(1000, HOUR_MS * _MOST_TICKS // max(ticks, 1)) if self._at else HOUR_MS

    def _own_host(self, host_id: int) -> int:
        """A GPU says itself which host it is in."""
        if self._shape.kind != GPU:
            return host_id
        row = self._db.execute("SELECT host_id FROM gpu WHERE gpu_id=?", (self._entity,)).fetchone()
        return int(row[0]) if row else host_id

    def _chunk(self) -> _Chunk | None:
        sql = "SELECT cols, body FROM chunk WHERE kind=? AND host_id=? AND entity_id=? AND t0_ms=?"
        row = self._db.execute(sql, (self._shape.kind, self._host, self._entity, self._t0)).fetchone()
        if row is None:
            return None
        try:
            return _Chunk(contents(row[0]), *row)
        except StoreError:  # as good as none, but for that it must not be changed meanwhile
            return _Chunk(Contents((), ()), *row)

    def _select(self) -> str:
        shape = self._shape
        cells = ",".join("k.ts_ms" if name == "ts_ms" else f"s.{name}" for name in shape.columns)
        own = f" AND s.{shape.entity}=:entity" if shape.entity else " AND s.host_id=:host" if shape.has_host else ""
        return (
            f"SELECT {cells} FROM tick k CROSS JOIN {shape.table} s WHERE k.ts_ms>:t0 AND k.ts_ms<=:t1 AND {ONCE}"
            f" AND s.tick_id=k.tick_id{own} ORDER BY k.ts_ms"
        )

    def seal(self) -> Generator[None, None, bool]:
        """Write the chunk and its distributions, step by step; False if the chunk was changed meanwhile: all must be done again."""
        encoder, histogram = Encoder(self._shape.columns, self._t0), Histogram(self._shape.kind)
        for rows in self._blocks():
            if rows:
                columns = self._columns(rows)
                histogram.add(columns)
                yield
                yield from encoder.add(list(columns.values()))
            yield
        return not encoder.rows or self._write(encoder, histogram)

    def _blocks(self) -> Iterator[list[Row]]:
        """The rows of the hour, as many at a time as make a block; an empty list where nothing but time has passed."""
        most = MANY_ROWS if self._at else ONE_ROWS
        rows, start, length, end = list[Row](), self._t0, self._first_ms, self._t0 + HOUR_MS
        while start < end:
            stop = min(start + length, end)
            some = self._rows(start, stop)
            rows += some
            yield []
            while len(rows) > most:
                cut = self._instant(rows, most)
                yield rows[:cut]
                rows = rows[cut:]
            wanted = length * _READ_CELLS // len(self._shape.columns) // max(len(some), 1)
            start, length = stop, max(1000, min(wanted, length * 4, self._longest_ms))
        yield rows

    def _instant(self, rows: Sequence[Row], most: int) -> int:
        """Where the rows of an instant begin, at most ``most`` rows on, or the first one's end: no instant is cut in two."""
        time = itemgetter(self._at)
        begin = bisect_left(rows, time(rows[most]), key=time)
        return begin or bisect_left(rows, time(rows[0]) + 1, key=time)

    def _rows(self, start_ms: int, end_ms: int) -> list[Row]:
        """The rows of a span in order of time: those that the chunk holds, and the hot ones that speak for other time."""
        values = {"t0": start_ms, "t1": end_ms, "entity": self._entity, "host": self._host}
        hot: list[Row] = self._db.execute(self._sql, values).fetchall()
        if self._before is None:
            return hot
        span = self._before.contents.between(start_ms - _REACH_MS, end_ms + _REACH_MS)
        if self._around[0] != span:
            self._around = span, [row for number in range(*span) for row in self._block(self._before, number)]
        around, time = self._around[1], itemgetter(self._at)
        kept = [row for row in around if start_ms < time(row) <= end_ms]
        return sorted([*kept, *_uncovered(around, hot, self._shape)], key=time)

    def _block(self, before: _Chunk, number: int) -> Iterator[Row]:
        """The rows of one block of the chunk; none if it is damaged: what hot rows there are take their place."""
        try:
            found = decode(before.contents, before.body, self._shape.columns, number, number + 1)
        except StoreError:
            return iter(())
        return zip(*found.values(), strict=True)

    def _columns(self, rows: list[Row]) -> dict[str, Sequence[Any]]:
        """The columns of a block, in order of key and time; of two rows of one instant the later one."""
        if self._at:
            rows = sorted(rows, key=itemgetter(*range(self._at)))  # they are in order of time already
        columns = list(zip(*rows, strict=True))
        places = list(zip(*columns[: self._at + 1], strict=True)) if self._at else columns[0]
        if not all(map(lt, places, places[1:])):
            columns = list(zip(*dict(zip(places, rows, strict=True)).values(), strict=True))
        return dict(zip(self._shape.columns, columns, strict=True))

    def _write(self, encoder: Encoder, histogram: Histogram) -> bool:
        cols, body = encoder.finish()
        row = (self._shape.kind, self._host, self._entity, self._t0, encoder.last_ms, encoder.rows, CODEC, cols, body)
        with transaction(self._db):
            if self._chunk() != self._before:
                return False
            self._db.execute(_CHUNK, row)
            histogram.write(self._db, self._t0 // 1000, self._entity)
            reopen_hist(self._db, self._t0 // 1000, self._host)
        return True


def _uncovered(kept: Sequence[Row], rows: Sequence[Row], shape: Shape) -> list[Row]:
    """Those of the rows that speak for time that the kept ones do not speak for."""
    at = len(shape.key)
    spans: dict[Row, list[tuple[int, int]]] = {}
    for row in kept:
        spans.setdefault(row[:at], []).append((row[at], row[at + 1] if shape.timed else 0))
    for known in spans.values():
        known.sort()
    return [row for row in rows if not _covered(spans.get(row[:at], []), row[at], row[at + 1] if shape.timed else 0)]


def _covered(spans: list[tuple[int, int]], ts_ms: int, dt_ms: int) -> bool:
    """Whether the time before ``ts_ms`` is told already by (time, length), but for jitter of up to half a row."""
    place = bisect_left(spans, (ts_ms,))
    if place < len(spans):
        after, length = spans[place]
        if after == ts_ms or ts_ms - (after - length) > min(length, dt_ms) / 2:
            return True
    if place:
        before, length = spans[place - 1]
        return before - (ts_ms - dt_ms) > min(length, dt_ms) / 2
    return False
