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
from gpuwatch.store.archive.slices import Columns
from gpuwatch.store.columns import insert_sql
from gpuwatch.store.connection import transaction
from gpuwatch.store.days import reopen_hist

ONE_ROWS, MANY_ROWS = 900, 1600
"""So many rows has a block at most, of one thing or of many (processes): to replay an instant it is decoded as a whole."""
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
    """What is to become the chunk of one entity's hour that starts at ``t0_ms``: first all of its slices, then ``finish``."""

    def __init__(self, db: sqlite3.Connection, kind: int, host_id: int, entity_id: int, t0_ms: int) -> None:
        self._db, self._shape, self._t0, self._entity = db, SHAPES[kind], t0_ms, entity_id
        self._at = len(self._shape.key)
        self._host = self._own_host(host_id)
        self._before = self._chunk()
        self._around: tuple[tuple[int, int], list[Row]] = ((0, 0), [])
        self._encoder, self._histogram = Encoder(self._shape.columns, t0_ms), Histogram(kind)
        self._waiting: list[list[Any]] = [[] for _ in self._shape.columns]
        """Rows that do not make a block yet, as columns in order of time."""

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

    def add(self, start_ms: int, end_ms: int, columns: Columns) -> Iterator[None]:
        """Take the hot rows of the next slice, and encode what makes a block."""
        if self._before is not None:
            columns = self._merged(self._before, start_ms, end_ms, columns)
        for waiting, more in zip(self._waiting, columns):
            waiting.extend(more)
        most = MANY_ROWS if self._at else ONE_ROWS
        while len(self._waiting[0]) > most:
            cut = self._instant(self._waiting[self._at], most)
            block = [column[:cut] for column in self._waiting]
            for column in self._waiting:
                del column[:cut]
            yield from self._encode(block)

    def finish(self) -> Generator[None, None, bool]:
        """Write the chunk and its distributions; False if the chunk was changed meanwhile: all must be done again."""
        if self._waiting[0]:
            yield from self._encode(self._waiting)
        return not self._encoder.rows or self._write(self._encoder, self._histogram)

    @staticmethod
    def _instant(times: Sequence[int], most: int) -> int:
        """Where the rows of an instant begin, at most ``most`` rows on, or the first one's end: no instant is cut in two."""
        return bisect_left(times, times[most]) or bisect_left(times, times[0] + 1)

    def _merged(self, before: _Chunk, start_ms: int, end_ms: int, columns: Columns) -> Columns:
        """The rows of a span in order of time: those that the chunk holds, and the hot ones that speak for other time."""
        span = before.contents.between(start_ms - _REACH_MS, end_ms + _REACH_MS)
        if self._around[0] != span:
            self._around = span, [row for number in range(*span) for row in self._block(before, number)]
        around, time = self._around[1], itemgetter(self._at)
        kept = [row for row in around if start_ms < time(row) <= end_ms]
        hot = list(zip(*columns, strict=True))
        return list(zip(*sorted([*kept, *_uncovered(around, hot, self._shape)], key=time), strict=True))

    def _block(self, before: _Chunk, number: int) -> Iterator[Row]:
        """The rows of one block of the chunk; none if it is damaged: what hot rows there are take their place."""
        try:
            found = decode(before.contents, before.body, self._shape.columns, number, number + 1)
        except StoreError:
            return iter(())
        return zip(*found.values(), strict=True)

    def _encode(self, block: Columns) -> Iterator[None]:
        """One block, in order of key and time; of two rows of one instant the later one."""
        if self._at:
            block = _by_key(block, self._at)
        places: Sequence[Any] = list(zip(*block[: self._at + 1], strict=True)) if self._at else block[0]
        if not all(map(lt, places, places[1:])):
            block = list(zip(*dict(zip(places, zip(*block, strict=True), strict=True)).values(), strict=True))
        self._histogram.add(dict(zip(self._shape.columns, block, strict=True)))
        yield
        yield from self._encoder.add(block)
        yield

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


def _by_key(block: Columns, at: int) -> Columns:
    """Columns in order of the first ``at`` ones, rows of the same key in the order in which they are."""
    key = list(block[0] if at == 1 else zip(*block[:at], strict=True))
    times, rows = block[at], len(key)
    at_once = bisect_left(times, times[0] + 1)
    if rows % at_once == 0 and key == key[:at_once] * (rows // at_once) and all(map(lt, key[:at_once], key[1:at_once])):
        return [[value for n in range(at_once) for value in column[n::at_once]] for column in block]  # the same ones at any time
    order = sorted(range(rows), key=key.__getitem__)
    return [[column[n] for n in order] for column in block]


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
