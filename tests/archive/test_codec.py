"""Columns come back exactly as they were, whole or in part, and damaged bytes give one clear error."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwatch.errors import StoreError
from gpuwatch.store.archive.codec import Contents, Encoder, contents, decode, encode

HOUR = 3_600_000
T0 = 1_700_000_400_000 // HOUR * HOUR
QUARTER = 900_000
INTEGERS = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-300, 300)
FLOATS = st.floats(allow_nan=False)
TEXTS = st.text(max_size=8)


def times(count: int, step: int = 1000) -> list[int]:
    return [T0 + step * (n + 1) for n in range(count)]


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[str, list[Any]]]:
    """Rows at rising, irregular times of one hour, and columns of every kind."""
    stamps = sorted(draw(st.lists(st.integers(T0 + 1, T0 + HOUR), min_size=1, max_size=60)))
    columns: list[tuple[str, list[Any]]] = [("ts_ms", stamps)]
    for number, kind in enumerate(draw(st.lists(st.sampled_from([INTEGERS, SMALL, FLOATS, TEXTS, st.just(7)]), max_size=5))):
        cells = st.none() | kind if draw(st.booleans()) else kind
        columns.append((f"c{number}", draw(st.lists(cells, min_size=len(stamps), max_size=len(stamps)))))
    return columns


def same(got: list[Any], wanted: list[Any]) -> bool:
    return [(type(v), repr(v)) for v in got] == [(type(v), repr(v)) for v in wanted]


@given(tables(), st.sampled_from([QUARTER, 300_000, 1000, HOUR]))
@settings(max_examples=150, deadline=None)
def test_everything_comes_back_exactly(columns: list[tuple[str, list[Any]]], block_ms: int) -> None:
    cols, body = encode(columns, T0, block_ms)
    found = decode(cols, body)
    assert list(found) == [name for name, _ in columns]
    for name, values in columns:
        assert same(found[name], values)


@given(tables(), st.integers(0, HOUR), st.integers(0, HOUR))
@settings(max_examples=80, deadline=None)
def test_a_span_is_found_in_the_blocks_that_are_picked_for_it(columns: list[tuple[str, list[Any]]], a: int, b: int) -> None:
    cols, body = encode(columns, T0, QUARTER)
    start, end = T0 + min(a, b), T0 + max(a, b)
    first, last = contents(cols).between(start, end)
    found = decode(cols, body, ["ts_ms"], first, last)["ts_ms"]
    assert [ts for ts in found if start < ts <= end] == [ts for ts in columns[0][1] if start < ts <= end]
    blocks = contents(cols).blocks
    assert sum(block.rows for block in blocks) == len(columns[0][1])
    assert all((b.last_ms - T0 - 1) // QUARTER == (b.first_ms - T0 - 1) // QUARTER for b in blocks)
    assert all(block.last_ms > start and block.first_ms <= end for block in blocks[first:last])


@pytest.mark.parametrize(
    "values",
    [
        [2**63 - 1, -(2**63), 0, 2**63 - 1],
        [-1, -2, -3, None],
        [None, None, None, None],
        [0, None, 0, None],
        [1 << 24, (1 << 24) + 1, 1 << 40, 5],
        [0.0, -0.0, 0.0, 0.0],
        [math.inf, -math.inf, 5e-324, 0.1],
        ["", "", None, "ü"],
        [127, 255, 0, 383],
        [0, 0x7F7F, 0, -0x7F7F],
        [0, 0x7F80, 0, -0x8080],
    ],
)
def test_edges_of_a_column(values: list[Any]) -> None:
    cols, body = encode([("ts_ms", times(4)), ("x", values)], T0, QUARTER)
    assert same(decode(cols, body)["x"], values)


def test_rows_within_a_block_may_lie_in_any_order() -> None:
    encoder = Encoder(("proc_id", "ts_ms"), T0)
    for _ in encoder.add([(1, 1, 2, 2), (T0 + 1, T0 + 9, T0 + 2, T0 + 5)]):
        assert encoder.rows == 0
    cols, body = encoder.finish()
    assert (encoder.rows, encoder.last_ms) == (4, T0 + 9)
    assert contents(cols).blocks[0][:3] == (4, T0 + 1, T0 + 9)
    assert decode(cols, body) == {"proc_id": [1, 1, 2, 2], "ts_ms": [T0 + 1, T0 + 9, T0 + 2, T0 + 5]}


def test_only_what_is_wanted_is_decoded_and_a_column_of_later_versions_is_not_measured() -> None:
    cols, body = encode([("ts_ms", times(1800)), ("x", list(range(1800)))], T0, QUARTER)
    assert decode(cols, body, ["x", "newer"], 1, 2) == {"x": list(range(900, 1800)), "newer": [None] * 900}
    assert decode(cols, body, [], 0, 1) == {}
    assert decode(cols, body, ["x"], 5) == {"x": []}
    assert decode(contents(cols), body, ["x"], 0, 1)["x"] == list(range(900))


def test_the_end_of_a_block_belongs_to_it() -> None:
    cols, _ = encode([("ts_ms", [T0 + QUARTER - 500, T0 + QUARTER, T0 + QUARTER + 1])], T0, QUARTER)
    known = contents(cols)
    assert [block.rows for block in known.blocks] == [2, 1]
    assert known.between(T0, T0 + QUARTER) == (0, 1)
    assert known.between(T0 + QUARTER, T0 + HOUR) == (1, 2)


def test_a_steady_column_costs_next_to_nothing() -> None:
    stamps = times(3600)
    lone, steady = encode([("ts_ms", stamps)], T0, HOUR), encode([("ts_ms", stamps), ("x", [None] * 3600)], T0, HOUR)
    assert len(lone[1]) < 150
    assert len(steady[1]) - len(lone[1]) < 20


def _flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 0x5A]) + body[at + 1 :]


CORRUPT = [
    lambda cols, body: (cols, body[: len(body) // 2]),
    lambda cols, body: (cols, b""),
    lambda cols, body: (cols, _flipped(body, len(body) // 3)),
    lambda cols, body: (cols[:-4], body),
    lambda cols, body: ("[]", body),
    lambda cols, body: ('{"columns":["ts_ms"],"t0_ms":0,"blocks":[[1,2]]}', body),
    lambda cols, body: (cols.replace('"x"', '"x","y"'), body),
    lambda cols, body: (json.dumps(json.loads(cols) | {"blocks": [[77, 1, 2, len(body)]]}), body),
    lambda cols, body: (json.dumps(json.loads(cols) | {"blocks": [[2, 1, 2, len(body)]]}), body),
    lambda cols, body: (json.dumps(json.loads(cols) | {"blocks": [["a", 1, 2, len(body)]]}), body),
]


@pytest.mark.parametrize("corrupt", CORRUPT)
def test_damaged_bytes_give_one_clear_error(corrupt: Any) -> None:
    columns = [("ts_ms", times(50)), ("x", [n * n % 97 if n % 3 else None for n in range(50)])]
    with pytest.raises(StoreError, match="damaged"):
        decode(*corrupt(*encode(columns, T0, HOUR)))


@given(st.binary(max_size=60), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_no_bytes_whatever_give_anything_but_that_error(junk: bytes, rows: int) -> None:
    import zlib

    for body in (junk, zlib.compress(junk), zlib.compress(b"\0" * rows + junk + len(junk).to_bytes(4, "little"))):
        cols = json.dumps({"columns": ["ts_ms"], "t0_ms": 0, "blocks": [[rows, 1, 2, len(body)]]})
        with pytest.raises(StoreError):
            decode(cols, body)


@pytest.mark.parametrize("entry", ['["o",0,9,0]', '["o",0]', '["q"]', '["t",1,0,[]]', '["d",0,0,"x",0]', "{}", "3", '["o",0,1,0]x'])
def test_entries_that_nobody_wrote_give_that_error(entry: str) -> None:
    import zlib

    about = f"[{entry}]".encode()
    body = zlib.compress(b"\1\2" + about + len(about).to_bytes(4, "little"))
    cols = json.dumps({"columns": ["ts_ms"], "t0_ms": 0, "blocks": [[2, 1, 2, len(body)]]})
    with pytest.raises(StoreError):
        decode(cols, body)


def test_contents_are_what_they_say() -> None:
    cols, body = encode([("ts_ms", [T0 + 5])], T0, QUARTER)
    assert contents(cols) == Contents(("ts_ms",), ((1, T0 + 5, T0 + 5, 0, len(body)),))
