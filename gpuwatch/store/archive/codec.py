"""Columns of an hour as bytes and back, exactly: a pure function of its arguments, standard library only.

A chunk is a row of blocks, one stretch of time after the other, and each block one zlib stream, so that a reader inflates only the
minutes that it wants. ``cols`` (JSON) names the columns and says of each block how many rows it has, the time of its first and last
row, and how many bytes; the stream of a block holds the bytes of its columns, then a JSON list that says how each is kept, then
that list's length in four bytes.

How one column of a block is kept (its entry in the list):

- ``[value]``: the same in all rows, ``null`` included; no bytes.
- ``["o", base, width, masked]``: integers as ``value - base``.
- ``["d", first, bias, width, masked]``: the first integer, then each difference to the one before, ``+ bias``, which keeps small
  differences of both signs in the lowest byte.
- ``["f", masked]``: floats, eight bytes each. ``["t", width, masked, texts]``: indexes into the list of distinct texts.

Numbers of ``width`` bytes are laid out byte by byte: all lowest bytes, then all second ones, and so on, so that zlib meets the noise
apart from what hardly moves. ``masked`` is 1 if some rows have no value: one byte a row then comes first, 0 for those, and only
the others have numbers. Which of "o" and "d" is taken is guessed from the number of distinct values; both are exact.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from operator import sub
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.errors import StoreError

CODEC = 1
"""What ``chunk.codec`` holds for what is written here."""
LEVEL = 6
TIME = "ts_ms"
"""The column that every chunk has: unix milliseconds."""
_TYPES = {1: "B", 2: "H", 3: "I", 4: "I", 5: "Q", 6: "Q", 7: "Q", 8: "Q"}
_LENGTH = 4
_SWAP = sys.byteorder == "big"
_GUESS_ROWS = 256
"""So many of a block's first values tell whether their differences vary less than they do."""
_STEP_BYTES = 12_000
"""A step of encoding makes about so many bytes (2 ms)."""
_MOST_ROWS = 1 << 24
"""More rows than a block can have: a chunk that claims more is damaged."""
_FAULTS = (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, zlib.error)
"""What decoding bytes that nobody encoded can run into."""


class Block(NamedTuple):
    """One block of a chunk: its rows, the time of its first and last row (unix ms), and where its bytes lie in the body."""

    rows: int
    first_ms: int
    last_ms: int
    start: int
    size: int


class Contents(NamedTuple):
    """What ``cols`` says: the names of the columns, and the blocks in time order."""

    columns: tuple[str, ...]
    blocks: tuple[Block, ...]

    def between(self, from_ms: int, to_ms: int) -> tuple[int, int]:
        """``(first, last)`` of the blocks that may hold rows with ``from_ms < ts_ms <= to_ms``; ``last`` is not one of them."""
        first = bisect_right(self.blocks, from_ms, key=_last_ms)
        return first, max(first, bisect_right(self.blocks, to_ms, key=_first_ms))


def _first_ms(block: Block) -> int:
    return block.first_ms


def _last_ms(block: Block) -> int:
    return block.last_ms


def contents(cols: str) -> Contents:
    """Read ``cols``. Raises :class:`StoreError` if it is not what ``encode`` writes."""
    try:
        head = json.loads(cols)
        t0, start, blocks = head["t0_ms"], 0, []
        for rows, first, last, size in head["blocks"]:
            if not 0 < rows < _MOST_ROWS:
                raise ValueError(rows)
            blocks.append(Block(rows, t0 + first, t0 + last, start, size))
            start += size
        return Contents(tuple(head["columns"]), tuple(blocks))
    except _FAULTS as error:
        raise _damaged("its columns cannot be read") from error


def _damaged(what: str) -> StoreError:
    return StoreError(f"a sealed hour in the store is damaged: {what}", "gpuwatch db check")


# -------------------------------------------------------------------------------------------------------------- encoding


class Encoder:
    """Encodes one chunk block by block, so that an hour never lies in memory as a whole."""

    def __init__(self, columns: Sequence[str], t0_ms: int) -> None:
        self._columns = tuple(columns)
        self._time = self._columns.index(TIME)
        self._t0 = t0_ms
        self._blocks: list[tuple[int, int, int, int]] = []
        self._bodies: list[bytes] = []
        self.rows = 0
        self.last_ms = t0_ms

    def add(self, block: Sequence[Sequence[Any]]) -> Iterator[None]:
        """Encode one block, later than those before, of at least one row; the values of each column, in any order of rows.

        It works on some columns at each step and is not part of the chunk before the last one.
        """
        times = block[self._time]
        stream, entries, parts = zlib.compressobj(LEVEL), [], []
        fresh = 0
        for values in block:
            entry, data = _encode(values)
            entries.append(entry)
            parts.append(stream.compress(data))
            fresh += len(data)
            if fresh > _STEP_BYTES:
                yield
                fresh = 0
        about = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
        parts += [stream.compress(about + len(about).to_bytes(_LENGTH, "little")), stream.flush()]
        body = b"".join(parts)
        first, last = min(times), max(times)
        self._blocks.append((len(times), first - self._t0, last - self._t0, len(body)))
        self._bodies.append(body)
        self.rows += len(times)
        self.last_ms = last

    def finish(self) -> tuple[str, bytes]:
        """``cols`` and ``body`` of the chunk."""
        head = {"columns": self._columns, "t0_ms": self._t0, "blocks": self._blocks}
        return json.dumps(head, separators=(",", ":"), ensure_ascii=False), b"".join(self._bodies)


def block_number(ts_ms: int, t0_ms: int, block_ms: int) -> int:
    """The block that a row belongs to: like all of its time it belongs to where it ends."""
    return (ts_ms - t0_ms - 1) // block_ms


def encode(columns: Sequence[tuple[str, Sequence[Any]]], t0_ms: int, block_ms: int) -> tuple[str, bytes]:
    """``(cols, body)`` of columns, each of integers, floats or texts, ``None`` among them; one is ``ts_ms``, in rising order.

    ``t0_ms`` is the start of the hour, ``block_ms`` the length of a block. Integers may have any value of 64 bits, signed.
    """
    names, values = [name for name, _ in columns], [column for _, column in columns]
    encoder, start = Encoder(names, t0_ms), 0
    for _, group in groupby(values[names.index(TIME)], key=lambda ts: block_number(ts, t0_ms, block_ms)):
        end = start + sum(1 for _ in group)
        for _ in encoder.add([column[start:end] for column in values]):
            pass
        start = end
    return encoder.finish()


def _encode(values: Sequence[Any]) -> tuple[list[Any], bytes]:
    """The entry and the bytes of one column of a block."""
    first = values[0]
    if (
        values[-1] == first and values.count(first) == len(values) and (first or type(first) is not float)
    ):  # -0.0 and 0.0 are equal, but not the same
        return [first], b""
    mask, present = b"", values
    if None in values:
        present = [value for value in values if value is not None]
        mask = bytes([value is not None for value in values])
    kind = type(present[0])
    if kind is str:
        texts = list(dict.fromkeys(present))
        number = {text: at for at, text in enumerate(texts)}
        width = _width(len(texts))
        return ["t", width, int(bool(mask)), texts], mask + _shuffle([number[text] for text in present], width)
    if kind is float:
        return ["f", int(bool(mask))], mask + _planes(array("d", present), 8)
    entry, data = _encode_integers(present)
    return [*entry, int(bool(mask))], mask + data


def _encode_integers(values: Sequence[int]) -> tuple[list[Any], bytes]:
    some = values[:_GUESS_ROWS]
    if len(values) > 1 and len(set(map(sub, some[1:], some))) < len(set(some)):
        steps = list(map(sub, values[1:], values))
        width, bias = _step_width(max(max(steps), -min(steps)))
        if width <= 8:
            return ["d", values[0], bias, width], _shuffle([step + bias for step in steps], width)
    low, high = min(values), max(values)
    width = _width(high - low)
    if low >= 0 and _width(high) == width:
        return ["o", 0, width], _shuffle(values, width)
    return ["o", low, width], _shuffle([value - low for value in values], width)


def _width(value: int) -> int:
    """Bytes of a number that is not negative."""
    return (value.bit_length() + 7) // 8 or 1


def _step_width(largest: int) -> tuple[int, int]:
    """Bytes of a difference of at most ``largest``, and the bias: 0x80 in each byte."""
    width, bias = 1, 0x80
    while largest + bias >> 8 * width:
        width, bias = width + 1, bias << 8 | 0x80
    return width, bias


def _shuffle(values: Sequence[int], width: int) -> bytes:
    return _planes(array(_TYPES[width], values), width)


def _planes(numbers: array[Any], width: int) -> bytes:
    if _SWAP:
        numbers.byteswap()
    data, size = numbers.tobytes(), numbers.itemsize
    return data if size == 1 else b"".join([data[k::size] for k in range(width)])


# -------------------------------------------------------------------------------------------------------------- decoding


def decode(
    cols: str | Contents, body: bytes, wanted: Sequence[str] | None = None, first: int = 0, last: int | None = None
) -> dict[str, list[Any]]:
    """The values of the wanted columns (all) in the blocks ``first`` up to but without ``last`` (all), as they were encoded.

    A wanted column that the chunk does not have is ``None`` in all rows. Raises :class:`StoreError` for damaged bytes.
    """
    known = contents(cols) if isinstance(cols, str) else cols
    out: dict[str, list[Any]] = {name: [] for name in (known.columns if wanted is None else wanted)}
    for block in known.blocks[first:last]:
        try:
            raw = zlib.decompress(body[block.start : block.start + block.size])
            _decode_block(raw, block.rows, known.columns, out)
        except _FAULTS as error:
            raise _damaged(f"{block.rows} of its rows cannot be read") from error
    return out


def pick(known: Contents, body: bytes, wanted: Sequence[str], number: int, places: Sequence[int]) -> dict[str, list[Any]]:
    """The values of some rows of block ``number``, by their ascending places, without making those between them.

    Raises :class:`StoreError` for damaged bytes.
    """
    block, out = known.blocks[number], dict[str, list[Any]]()
    try:
        raw = zlib.decompress(body[block.start : block.start + block.size])
        for name, entry, mask, data, present in _layout(raw, block.rows, known.columns):
            if name in wanted:
                ranks = [place - mask.count(0, 0, place) for place in places if mask[place]] if mask else places
                values = _pick(entry, data, present, ranks)
                out[name] = _spread(values, bytes([mask[place] for place in places])) if mask else values
    except _FAULTS as error:
        raise _damaged(f"{block.rows} of its rows cannot be read") from error
    return {name: out.get(name, [None] * len(places)) for name in wanted}


def _decode_block(raw: bytes, rows: int, columns: Sequence[str], out: dict[str, list[Any]]) -> None:
    left = set(out)
    for name, entry, mask, data, present in _layout(raw, rows, columns):
        if name in out:
            values = _decode(entry, data, present)
            out[name] += _spread(values, mask) if mask else values
            left.discard(name)
    for name in left:
        out[name] += [None] * rows


def _layout(raw: bytes, rows: int, columns: Sequence[str]) -> Iterator[tuple[str, list[Any], bytes, bytes, int]]:
    """Of each column its name, entry, mask (empty: all rows have a value), bytes, and how many rows have a value."""
    end = len(raw) - _LENGTH
    begin, at = end - int.from_bytes(raw[end:], "little"), 0
    for name, entry in zip(columns, json.loads(raw[begin:end]), strict=True):
        present, mask = rows, b""
        if len(entry) > 1 and entry[_MASKED[entry[0]]]:
            mask = raw[at : at + rows]
            present, at = len(mask) - mask.count(0), at + rows
        size = _size(entry, present)
        yield name, entry, mask, raw[at : at + size], present
        at += size
    if at != begin:
        raise ValueError("its bytes are not those of its columns")


def _spread(values: list[Any], mask: bytes) -> list[Any]:
    """The values where the mask is set, ``None`` elsewhere."""
    value = iter(values)
    return [next(value) if known else None for known in mask]


_MASKED = {"o": 3, "d": 4, "f": 1, "t": 2}
"""Where an entry says that rows without a value are masked."""


def _size(entry: list[Any], present: int) -> int:
    """Bytes of a column's numbers."""
    if len(entry) == 1:
        return 0
    kind = entry[0]
    if kind == "d":
        return int(entry[3]) * (present - 1)
    return present * (8 if kind == "f" else int(entry[2] if kind == "o" else entry[1]))


def _decode(entry: list[Any], data: bytes, present: int) -> list[Any]:
    if len(entry) == 1:
        return entry * present
    kind = entry[0]
    if kind == "f":
        return _unshuffle(data, "d", 8, present).tolist()
    if kind == "t":
        texts = entry[3]
        return [texts[number] for number in _unshuffle(data, _TYPES[entry[1]], entry[1], present)]
    if kind == "o":
        base, width = entry[1], entry[2]
        numbers = _unshuffle(data, _TYPES[width], width, present)
        return [number + base for number in numbers] if base else numbers.tolist()
    _, before, bias, width, _ = entry
    if present > 2 and (step := _only_step(data, width, present - 1)) is not None:  # as that of times nearly always
        step -= bias
        return list(range(before, before + step * present, step)) if step else [before] * present
    steps = _unshuffle(data, _TYPES[width], width, present - 1)
    return list(accumulate([step - bias for step in steps], initial=before))


def _pick(entry: list[Any], data: bytes, present: int, ranks: Sequence[int]) -> list[Any]:
    """Some of a column's values, by their ascending ranks among those that are present."""
    if len(entry) > 1 and entry[0] == "o":
        _, base, width, _ = entry
        return [base + sum(data[k * present + rank] << 8 * k for k in range(width)) for rank in ranks]
    if len(entry) > 1 and entry[0] == "d":
        _, value, bias, width, _ = entry
        out, at, steps = [], 0, present - 1
        for rank in ranks:
            value -= bias * (rank - at)
            value += sum(sum(data[k * steps + at : k * steps + rank]) << 8 * k for k in range(width))
            out.append(value)
            at = rank
        return out
    values = _decode(entry, data, present)
    return [values[rank] for rank in ranks]


def _only_step(data: bytes, width: int, count: int) -> int | None:
    """The number that all ``count`` are, read from their bytes laid out apart; ``None`` if they differ."""
    if len(data) == width * count and all(data.count(data[at], at, at + count) == count for at in range(0, len(data), count)):
        return int.from_bytes(data[::count], "little")
    return None


def _unshuffle(data: bytes, typecode: str, width: int, count: int) -> array[Any]:
    numbers = array(typecode)
    size = numbers.itemsize
    if size > 1:
        together = bytearray(count * size)
        for k in range(width):
            together[k::size] = data[k * count : (k + 1) * count]
        data = bytes(together)
    numbers.frombytes(data)
    if len(numbers) != count:
        raise ValueError("too few bytes")
    if _SWAP:
        numbers.byteswap()
    return numbers
