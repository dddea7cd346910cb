"""Rows of a span out of sealed hours: only the blocks that the span touches are inflated, only the wanted columns decoded.

Decoded blocks are kept while they lie near what is asked for, so that the next jump decodes only what is new to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.store.archive import codec

HOUR_MS = 3_600_000
BORDERS = "borders"
_NEAR_MS = 2_700_000
"""Decoded blocks are kept as long as they lie so near to the last span."""
_WHERE = "FROM chunk WHERE kind=? AND host_id=? AND entity_id=? AND"
_STARTS = f"SELECT t0_ms {_WHERE} t0_ms>? AND t0_ms<? ORDER BY t0_ms"
_CHUNK = f"SELECT entity_id, t0_ms, t1_ms, cols, body {_WHERE} t0_ms=?"
_FIRST = "SELECT cols FROM chunk WHERE kind=? AND host_id=? AND entity_id=? ORDER BY t0_ms LIMIT 1"
Columns = dict[str, list[Any]]
Ask = Callable[[str, Sequence[object]], Sequence[tuple[Any, ...]]]


class Chunk(NamedTuple):
    """One sealed hour of one entity."""

    entity_id: int
    t0_ms: int
    t1_ms: int
    contents: codec.Contents
    body: bytes


class Part(NamedTuple):
    """One block of a chunk."""

    kind: int
    chunk: Chunk
    number: int

    def pick(self, wanted: Sequence[str], places: Sequence[int]) -> Columns:
        """Some of its rows, by their ascending places."""
        return codec.pick(self.chunk.contents, self.chunk.body, wanted, self.number, places)


class Archive:
    """The sealed hours of one host. ``ask`` runs a statement and returns its rows."""

    def __init__(self, ask: Ask, host_id: int) -> None:
        self._ask = ask
        self._host_id = host_id
        self._chunks: dict[tuple[int, int, int], Chunk] = {}
        self._blocks: dict[tuple[int, int, int, int, tuple[str, ...]], Columns] = {}

    def chunks(self, kind: int, entity_id: int, from_ms: int, to_ms: int) -> list[Chunk]:
        """The chunks of one entity that may hold rows of ``(from_ms, to_ms]``, in time order."""
        found = []
        for (t0_ms,) in self._ask(_STARTS, (kind, self._host_id, entity_id, from_ms - HOUR_MS, to_ms)):
            chunk = self._chunks.get((kind, entity_id, t0_ms))
            if chunk is None:
                for row in self._ask(_CHUNK, (kind, self._host_id, entity_id, t0_ms)):
                    chunk = self._chunks[kind, entity_id, t0_ms] = Chunk(row[0], row[1], row[2], codec.contents(row[3]), row[4])
            if chunk is not None and chunk.t1_ms > from_ms:
                found.append(chunk)
        return found

    def read(self, kind: int, entity_id: int, from_ms: int, to_ms: int, wanted: tuple[str, ...]) -> Columns | None:
        """The wanted columns (``ts_ms`` among them) of the blocks that the span touches: rows around it come with them.

        ``None`` if there are no such rows. The lists may be shared: they must not be changed.
        """
        parts = [self.block(part, wanted) for part in self.parts(kind, entity_id, from_ms, to_ms)]
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else joined(parts, wanted)

    def parts(self, kind: int, entity_id: int, from_ms: int, to_ms: int) -> list[Part]:
        """The blocks that the span touches, not decoded yet."""
        return [
            Part(kind, chunk, number)
            for chunk in self.chunks(kind, entity_id, from_ms, to_ms)
            for number in range(*chunk.contents.between(from_ms, to_ms))
        ]

    def following(self, kind: int, entity_id: int, after_ms: int, to_ms: int) -> int | None:
        """The end of the first block that begins after ``after_ms`` and up to ``to_ms``, without decoding it."""
        for chunk in self.chunks(kind, entity_id, after_ms, to_ms):
            for block in chunk.contents.blocks:
                if block.first_ms > after_ms:
                    return block.last_ms if block.first_ms <= to_ms else None
        return None

    def first_ms(self, kind: int, entity_id: int) -> int | None:
        """The time of an entity's first sealed row."""
        for (cols,) in self._ask(_FIRST, (kind, self._host_id, entity_id)):
            return codec.contents(cols).blocks[0].first_ms
        return None

    def block(self, part: Part, wanted: tuple[str, ...]) -> Columns:
        """Decode one block, or take it from those that were."""
        kind, chunk, number = part
        key = (kind, chunk.entity_id, chunk.t0_ms, number, wanted)
        found = self._blocks.get(key)
        if found is None:
            found = self._blocks[key] = codec.decode(chunk.contents, chunk.body, wanted, number, number + 1)
        return found

    def forget(self, around_ms: int) -> None:
        """Drop what lies far from an instant."""
        self._chunks = {key: chunk for key, chunk in self._chunks.items() if abs(chunk.t1_ms - around_ms) <= HOUR_MS + _NEAR_MS}
        gone = [
            key for key, block in self._blocks.items()
            if not block["ts_ms"] or abs(block["ts_ms"][0] - around_ms) > _NEAR_MS
        ]  # fmt: skip
        for key in gone:
            del self._blocks[key]


def joined(parts: Sequence[Mapping[str, list[Any]]], wanted: Iterable[str]) -> Columns:
    """Columns one after the other."""
    out: Columns = {}
    for name in wanted:
        values: list[Any] = []
        for part in parts:
            values += part[name]
        out[name] = values
    return out


def cut(columns: Columns, from_ms: int, to_ms: int) -> Columns:
    """The rows of ``(from_ms, to_ms]`` of columns in time order."""
    times = columns["ts_ms"]
    first, last = bisect_right(times, from_ms), bisect_right(times, to_ms)
    if first == 0 and last == len(times):
        return columns
    return {name: values[first:last] for name, values in columns.items()}


def runs(columns: Columns, key: str, from_ms: int, to_ms: int) -> list[slice]:
    """Where the rows of ``(from_ms, to_ms]`` are, for each key, in columns that are in the order of key and time."""
    times, spans, at = columns["ts_ms"], [], 0
    for end in borders(columns, key):
        first = bisect_right(times, from_ms, at, end)
        last = bisect_right(times, to_ms, first, end)
        if first < last:
            spans.append(slice(first, last))
        at = end
    return spans


def borders(columns: Columns, key: str) -> list[int]:
    """Where the rows of each key end; found once and kept beside the columns."""
    found = columns.get(BORDERS)
    if found is None:
        keys, found, at = columns[key], [], 0
        while at < len(keys):
            at = _end_of_run(keys, at)
            found.append(at)
        columns[BORDERS] = found
    return found


def _end_of_run(keys: Sequence[int], at: int) -> int:
    """Where another key begins; ever longer steps, then halves."""
    key, step, low = keys[at], 1, at
    while low + step < len(keys) and keys[low + step] == key:
        low, step = low + step, step * 2
    high = min(low + step, len(keys))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if keys[middle] == key else (low, middle)
    return high


def every_block(chunk: Chunk, wanted: Sequence[str] | None = None) -> Iterator[Columns]:
    """All rows of a chunk, block by block."""
    for number in range(len(chunk.contents.blocks)):
        yield codec.decode(chunk.contents, chunk.body, wanted, number, number + 1)
