"""Sealing keeps every hot row exactly, once, whatever is interrupted or repeated and however the clock was set."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from support.full_hour import HOUR_MS, T0, Recording

from gpuwatch.store.archive import codec
from gpuwatch.store.archive.hour import MANY_ROWS, ONE_ROWS
from gpuwatch.store.archive.seal import due, seal_all
from gpuwatch.store.archive.shapes import EXTRA, GPU, HOST, PROCESS, RECORDER, SHAPES, Shape
from gpuwatch.store.columns import HOT_TABLES
from gpuwatch.store.connection import transaction
from gpuwatch.store.watermarks import SEAL_TIER, watermark

END = T0 + HOUR_MS
Rows = dict[tuple[int, int], list[tuple[Any, ...]]]
"""(kind, entity) -> its rows, in order."""


def hot(db: sqlite3.Connection, first_ms: int = T0, last_ms: int = END) -> Rows:
    """The hot rows as the chunks should hold them."""
    out: Rows = {}
    for shape in SHAPES.values():
        cells = ",".join("k.ts_ms" if name == "ts_ms" else f"s.{name}" for name in shape.columns)
        entity = f"s.{shape.entity}" if shape.entity else "0"
        sql = f"SELECT {entity}, {cells} FROM tick k JOIN {shape.table} s ON s.tick_id=k.tick_id WHERE k.ts_ms>? AND k.ts_ms<=?"
        for entity_id, *row in db.execute(sql, (first_ms, last_ms)):
            out.setdefault((shape.kind, entity_id), []).append(tuple(row))
    return {key: sorted(rows, key=lambda row: row[: len(SHAPES[key[0]].key) + 1]) for key, rows in out.items()}


def sealed(db: sqlite3.Connection, t0_ms: int = T0) -> Rows:
    """The rows of the chunks of an hour."""
    out: Rows = {}
    for kind, entity_id, t1_ms, n, cols, body in db.execute(
        "SELECT kind, entity_id, t1_ms, n, cols, body FROM chunk WHERE t0_ms=? AND codec=?", (t0_ms, codec.CODEC)
    ):
        shape = SHAPES[kind]
        columns = codec.decode(cols, body)
        assert tuple(columns) == shape.columns
        rows = list(zip(*columns.values(), strict=True))
        times = columns["ts_ms"]
        assert (len(rows), max(times)) == (n, t1_ms) and t0_ms < min(times)
        out[kind, entity_id] = sorted(rows, key=lambda row: row[: len(shape.key) + 1])
    return out


def everything(db: sqlite3.Connection) -> list[list[tuple[Any, ...]]]:
    tables = (("chunk", "1, 2, 3, 4"), ("hist_hour", "1, 2, 3, 4, 5"), ("rollup_state", "1, 2"))
    return [db.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall() for table, order in tables]


def steps(db: sqlite3.Connection, now_ms: int = END) -> Iterator[None]:
    for job in due(db, now_ms):
        yield from job.steps(db)


def again(db: sqlite3.Connection, now_ms: int = END) -> int:
    """Seal as if it had never been done."""
    db.execute("DELETE FROM rollup_state")
    return seal_all(db, now_ms)


def test_every_row_of_every_table_comes_back(record: Recording) -> None:
    db = record(20, 7220).connection
    assert seal_all(db, END + 999_000) == 1
    assert sealed(db) == hot(db)
    assert {kind for kind, _ in sealed(db)} == set(SHAPES)
    assert {entity for kind, entity in sealed(db) if kind == PROCESS} == {0, 1}
    assert {name for (name,) in db.execute("SELECT typeof(body) FROM chunk")} == {"blob"}
    assert sealed(db, END) == {}
    assert seal_all(db, END + HOUR_MS) == 1
    assert sealed(db, END) == hot(db, END, END + HOUR_MS)


def test_only_closed_hours_are_due_and_none_twice(record: Recording) -> None:
    db = record(20, 5000).connection
    assert due(db, END - 1) == []
    jobs = due(db, END)
    assert {job.t0_ms for job in jobs} == {T0} and [job.kind for job in jobs] == list(SHAPES)
    assert watermark(db, SEAL_TIER) is None
    assert seal_all(db, END) == 1
    assert watermark(db, SEAL_TIER) == END // 1000
    assert due(db, END) == due(db, END + HOUR_MS - 1) == []
    assert {job.t0_ms for job in due(db, END + HOUR_MS)} == {END}


def test_a_table_without_rows_is_no_work(record: Recording) -> None:
    db = record(20, 5000).connection
    for table in HOT_TABLES[2:]:
        db.execute(f"DELETE FROM {table}")
    assert [job.kind for job in due(db, END)] == [GPU, PROCESS]


def test_an_empty_store_has_nothing_to_seal(record: Recording) -> None:
    db = record(20, 20).connection
    assert due(db, END) == [] and seal_all(db, END) == 0


def test_a_row_belongs_to_the_hour_in_which_it_ends(record: Recording) -> None:
    db = record(3580, 3640).connection
    seal_all(db, END + HOUR_MS)
    assert [row[0] for row in sealed(db)[GPU, 1]] == [END - 20_000, END]
    assert [row[0] for row in sealed(db, END)[GPU, 1]] == [END + 20_000]


def test_blocks_are_short_and_no_instant_lies_in_two(record: Recording) -> None:
    db = record(1, 3601, 1).connection
    seal_all(db, END)
    assert sealed(db) == hot(db)
    for kind, most in ((GPU, ONE_ROWS), (HOST, ONE_ROWS), (PROCESS, MANY_ROWS)):
        for (cols,) in db.execute("SELECT cols FROM chunk WHERE kind=?", (kind,)):
            blocks = codec.contents(cols).blocks
            assert max(block.rows for block in blocks) <= most
            assert len(blocks) == -(-sum(block.rows for block in blocks) // most)
            assert all(a.last_ms < b.first_ms for a, b in pairwise(blocks))


def test_rows_of_one_instant_stay_together_even_if_they_are_many(record: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuwatch.store.archive.hour.MANY_ROWS", 1)
    db = record(20, 400).connection
    seal_all(db, END)
    assert sealed(db) == hot(db)
    cols = db.execute("SELECT cols FROM chunk WHERE kind=? AND entity_id=1", (PROCESS,)).fetchone()[0]
    assert {block.rows for block in codec.contents(cols).blocks} == {2}


def test_sealing_again_changes_nothing(record: Recording) -> None:
    db = record(1, 3601, 1).connection
    seal_all(db, END)
    before = everything(db)
    assert again(db) == 1
    assert everything(db) == before


def test_stopping_anywhere_loses_and_doubles_nothing(record: Recording) -> None:
    db = record(20, 3620).connection
    count = sum(1 for _ in steps(db))
    wanted = everything(db)
    assert count > 60
    for stop in range(0, count, 5):
        for table in ("chunk", "hist_hour", "hist_bin", "rollup_state"):
            db.execute(f"DELETE FROM {table}")
        begun = steps(db)
        for _ in range(stop):
            next(begun)
            assert not db.in_transaction
        begun.close()
        chunks = sealed(db)
        assert all(chunks[key] == rows for key, rows in hot(db).items() if key in chunks), "what is there is whole"
        assert watermark(db, SEAL_TIER) is None
        seal_all(db, END)
        assert everything(db) == wanted


def test_no_step_reads_more_than_a_slice(record: Recording) -> None:
    """SQLite's own count of its work: an hour is read in parts, and as evenly as that goes."""
    db = record(1, 3601, 1).connection
    work = [0]
    db.set_progress_handler(lambda: work.__setitem__(-1, work[-1] + 1), 1000)
    for _ in steps(db):
        work.append(0)
    assert sum(work) > 20 * max(work)


def test_no_step_sees_what_another_reader_does_not(record: Recording) -> None:
    """Chunk and distributions of an entity's hour are written together."""
    db = record(20, 3620).connection
    for _ in steps(db):
        chunks = {row[0] for row in db.execute("SELECT entity_id FROM chunk WHERE kind=0")}
        assert chunks == {row[0] for row in db.execute("SELECT DISTINCT entity_id FROM hist_hour WHERE entity=0")}


def test_what_the_chunk_holds_stays_when_hot_rows_are_gone(record: Recording) -> None:
    db = record(20, 3620).connection
    seal_all(db, END)
    before = everything(db)
    gone = T0 + 1_500_000
    for table in HOT_TABLES:
        db.execute(f"DELETE FROM {table} WHERE tick_id IN (SELECT tick_id FROM tick WHERE ts_ms<=?)", (gone,))
    db.execute("DELETE FROM tick WHERE ts_ms<=?", (gone,))
    again(db)
    assert everything(db) == before


def test_rows_that_came_later_are_merged(record: Recording) -> None:
    db = record(20, 1820).connection
    seal_all(db, END)
    record(1820, 3620, session=False)
    assert again(db) == 1
    assert sealed(db) == hot(db)
    weights = db.execute("SELECT entity_id, sum(weight) FROM hist_hour WHERE entity=0 AND metric=1 GROUP BY 1").fetchall()
    assert [weight for _, weight in weights] == [HOUR_MS, HOUR_MS]


def test_processes_that_come_go_and_move_and_values_that_stand_still_for_long(record: Recording) -> None:
    """One pass reads all processes, and hands over a column only where it moves."""
    db = record(20, 21).connection
    (first,) = db.execute("SELECT max(tick_id)+1 FROM tick").fetchone()
    for n in range(1, 1201):
        db.execute("INSERT INTO tick VALUES(?,?,1)", (first + n, T0 + n * 3000))
        here = [(proc, (1, 2, 0)[(proc + n // 500) % 3]) for proc in range(1, 12) if (n // 70 + proc) % 4 and (n > 300 or proc < 3)]
        memory, written = None if n < 700 else 0, -5 if n == 901 else 2**40 if n > 1100 else 7
        rows = [(first + n, proc, gpu, 3000, memory, n % 5 if proc < 4 else 0, written) for proc, gpu in here]
        db.executemany("INSERT INTO process_sample(tick_id,proc_id,gpu_id,dt_ms,memory_pm,cpu_pm,write_kib) VALUES(?,?,?,?,?,?,?)", rows)  # fmt: skip
    wanted = {key: rows for key, rows in hot(db, T0, END).items() if key[0] == PROCESS}
    seal_all(db, END)
    found = sealed(db)
    assert {entity for _, entity in wanted} == {0, 1, 2}
    assert {key: rows for key, rows in found.items() if key[0] == PROCESS} == wanted


# ---------------------------------------------------------------------------------------------- a clock that was set back


def _times(rows: Rows, kind: int = GPU, entity: int = 1) -> list[int]:
    return [(row[len(SHAPES[kind].key)] - T0) // 1000 for row in rows[kind, entity]]


def _observed_ms(shape: Shape, rows: list[tuple[Any, ...]]) -> int:
    at = shape.columns.index("dt_ms")
    return sum(row[at] for row in rows)


def test_of_time_that_was_recorded_twice_the_later_session_counts(record: Recording) -> None:
    record(20, 2400)
    db = record(1210, 3610, session=True).connection
    seal_all(db, END)
    found = sealed(db)
    assert _times(found) == [*range(20, 1201, 20), *range(1210, 3601, 20)]
    for kind in (GPU, HOST, RECORDER):
        assert all(_observed_ms(SHAPES[k], rows) <= HOUR_MS for (k, _), rows in found.items() if k == kind)


def test_a_clock_set_back_after_sealing_adds_nothing_twice(record: Recording) -> None:
    db = record(20, 4000).connection
    seal_all(db, END)
    before = sealed(db)
    record(1810, 3610, shift_ms=250)
    jobs = due(db, END)
    assert {job.t0_ms for job in jobs} == {T0} and all(job.seals_s in (None, END // 1000) for job in jobs)
    seal_all(db, END)
    assert {key: [row[:1] for row in rows] for key, rows in sealed(db).items() if key[0] != EXTRA} == {
        key: [row[:1] for row in rows] for key, rows in before.items() if key[0] != EXTRA
    }
    assert due(db, END) == [], "and it is done once"
    assert watermark(db, SEAL_TIER) == END // 1000


def test_a_clock_set_back_fills_a_gap(record: Recording) -> None:
    record(20, 1000)
    db = record(3000, 4000).connection
    seal_all(db, END)
    record(990, 3020, shift_ms=300)  # its row at 2990.3 would tell half of what the one at 3000 tells
    seal_all(db, END)
    found = sealed(db)
    assert _times(found) == [*range(20, 981, 20), *range(990, 2971, 20), *range(3000, 3601, 20)]
    for key, rows in found.items():
        shape = SHAPES[key[0]]
        if shape.timed:
            assert _observed_ms(shape, rows) // len({row[: len(shape.key)] for row in rows}) <= HOUR_MS + 10_000
    record(2990, 3020, shift_ms=700)
    seal_all(db, END)
    found.pop((EXTRA, 0))  # these speak for an instant
    assert {key: rows for key, rows in sealed(db).items() if key[0] != EXTRA} == found


def test_ids_of_ticks_that_begin_anew_hide_nothing(record: Recording) -> None:
    db = record(20, 4000).connection
    seal_all(db, END)
    for table in (*HOT_TABLES, "tick"):
        db.execute(f"DELETE FROM {table}")
    db.execute("INSERT INTO tick VALUES(1,?,2)", (END - 5000,))
    assert {job.t0_ms for job in due(db, END)} == {T0}


# ------------------------------------------------------------------------------------------------------------ other things


@pytest.mark.parametrize("offset_s", [1800, 2700, 900])
def test_hours_begin_where_the_hosts_do(record: Recording, offset_s: int) -> None:
    db = record(20, 7220).connection
    db.execute("UPDATE host SET hour_offset_seconds=?", (offset_s,))
    start = T0 + offset_s * 1000
    assert due(db, start - 1) == []
    assert seal_all(db, start + HOUR_MS) == 2
    assert [row[0] for row in db.execute("SELECT DISTINCT t0_ms FROM chunk ORDER BY 1")] == [start - HOUR_MS, start]
    assert sealed(db, start) == hot(db, start, start + HOUR_MS)
    assert sealed(db, start - HOUR_MS) == hot(db, T0, start)
    assert {row[0] % 3600 for row in db.execute("SELECT t FROM hist_hour")} == {offset_s}
    assert watermark(db, SEAL_TIER) == (start + HOUR_MS) // 1000


def test_a_chunk_that_changes_meanwhile_is_merged_afresh(record: Recording) -> None:
    db = record(20, 3620).connection
    seal_all(db, END)
    wanted = everything(db)
    rows = sealed(db)
    columns = [(name, [row[n] for row in rows[GPU, 1][:50]]) for n, name in enumerate(SHAPES[GPU].columns)]
    cols, body = codec.encode(columns, T0, HOUR_MS)
    db.execute("DELETE FROM rollup_state")
    changed = False
    for number, _ in enumerate(steps(db)):
        if number == 3 and not changed:
            db.execute("UPDATE chunk SET cols=?, body=?, n=50 WHERE kind=0 AND entity_id=1", (cols, body))
            changed = True
    assert changed and everything(db) == wanted


@pytest.mark.parametrize("sql", ["UPDATE chunk SET body=substr(body,1,length(body)/2)", "UPDATE chunk SET cols='{'"])
def test_a_damaged_chunk_does_not_stop_sealing(record: Recording, sql: str) -> None:
    db = record(1, 3601, 1).connection
    seal_all(db, END)
    wanted = sealed(db)
    db.execute(f"{sql} WHERE kind IN (0,4)")
    again(db)
    assert sealed(db) == wanted


def test_it_may_be_part_of_a_transaction(record: Recording) -> None:
    db = record(20, 3620).connection
    with transaction(db):
        seal_all(db, END)
        assert db.in_transaction
    assert sealed(db) == hot(db)
