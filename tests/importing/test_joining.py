"""Logs of one host join, in whatever order they come; what the host has already is left out, and nothing else changes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support.past_logs import T0, ask, content, imported, new_store, row

from gpuwatch.collectors.importers.types import LogProcessRow, LogRow
from gpuwatch.measure import quantise
from gpuwatch.model import Process, ProcessSample

PEOPLE = [Process(7, 1, "train", user="ann")]


def history(seed: int, hours: int = 4) -> list[LogRow]:
    """A row every 5 s of two GPUs, with quiet stretches over the edges of hours, and gaps."""
    rnd = random.Random(seed)
    rows: list[LogRow] = []
    second, left, busy = 0, 0, False
    while second < hours * 3600:
        second += 5 if rnd.random() > 0.003 else rnd.choice([20, 400, 5000])
        if left <= 0:
            left, busy = rnd.choice([4, 50, 90, 900]), not busy
        left -= 1
        used = 30 * 1024**3 if (second // 4000) % 2 else None
        for gpu in "01":
            utilization = rnd.randint(5, 100) / 100 if busy else 0.0
            rows.append(row(T0 + second * 1000 + int(gpu) * 7, gpu, utilization_ratio=utilization, power_watts=100.0, memory_used_bytes=used))  # fmt: skip
    return rows


def whole(path: Path, rows: list[LogRow]) -> dict[str, list[object]]:
    store = new_store(path)
    imported(store, rows, interval_ms=5000)
    return content(store)


@pytest.mark.parametrize("seed", [1, 2])
def test_pieces_in_any_order_are_the_whole(tmp_path: Path, seed: int) -> None:
    rows = history(seed)
    rnd = random.Random(seed)
    cuts = sorted(rnd.sample(range(1, len(rows)), 3))
    pieces = [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    rnd.shuffle(pieces)
    store = new_store(tmp_path / "pieces.db")
    for number, piece in enumerate(pieces):
        imported(store, piece, name=f"piece {number}", interval_ms=5000)
    found, expected = content(store), whole(tmp_path / "whole.db", rows)
    for table in expected:
        assert found[table] == expected[table], table
    assert ask(store, "SELECT count(*), sum(rows_used) FROM import_file") == [(4, len(rows))]


def test_one_file_a_gpu(tmp_path: Path) -> None:
    rows = history(9, 2)
    store = new_store(tmp_path / "gpus.db")
    for gpu in "10":
        imported(store, [each for each in rows if each.gpu == gpu], name=gpu, interval_ms=5000)
    found, expected = content(store), whole(tmp_path / "whole.db", rows)
    for table in expected.keys() - {"gap"}:
        assert found[table] == expected[table], table


def test_every_second_row_comes_later(tmp_path: Path) -> None:
    """Rows between rows: each then speaks for half the time, and no time is told twice."""
    rows = history(3, 3)
    store = new_store(tmp_path / "mesh.db")
    imported(store, [each for n, each in enumerate(rows) if n // 2 % 2], name="odd", interval_ms=5000)
    imported(store, [each for n, each in enumerate(rows) if not n // 2 % 2], name="even", interval_ms=5000)
    found, expected = content(store), whole(tmp_path / "whole.db", rows)
    for table in ("gpu_minute", "gpu_hour", "rows", "ledger_minute", "ledger_hour", "hist_hour"):
        assert found[table] == expected[table], table


def test_rows_that_are_there_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = history(1, 2)
    store = new_store(tmp_path / "twice.db")
    imported(store, rows[: len(rows) * 2 // 3], name="a", interval_ms=5000)
    outcome = imported(store, rows[len(rows) // 3 :], name="b", interval_ms=5000)
    assert outcome.sums.rows_left_out == len(rows) * 2 // 3 - len(rows) // 3
    assert content(store) == whole(tmp_path / "whole.db", rows)
    again = imported(store, rows[:100], name="c", interval_ms=5000)
    assert (again.sums.rows_used, again.sums.rows_left_out) == (0, 100)
    assert content(store) == whole(tmp_path / "whole2.db", rows)


def test_a_log_with_processes_joins_one_without(tmp_path: Path) -> None:
    rows = history(2, 2)
    half = len(rows) // 2
    held = [
        LogProcessRow(r.ts_ms, (7, 1), "0", quantise(ProcessSample(7, gpu_memory_bytes=2**30))) for r in rows[half:] if r.gpu == "0"
    ]
    mixed = sorted([*rows[half:], *held], key=lambda each: each.ts_ms)
    store, other = new_store(tmp_path / "a.db"), new_store(tmp_path / "b.db")
    imported(store, rows[:half], name="a", interval_ms=5000, processes=PEOPLE)
    imported(store, mixed, name="b", interval_ms=5000, processes=PEOPLE)
    imported(other, mixed, name="b", interval_ms=5000, processes=PEOPLE)
    imported(other, rows[:half], name="a", interval_ms=5000, processes=PEOPLE)
    found, expected = content(store), content(other)
    for table in expected:
        assert found[table] == expected[table], table
    assert ask(store, "SELECT count(*) FROM process") == [(1,)]


def test_another_host_is_not_touched(tmp_path: Path) -> None:
    rows = history(5, 1)
    store = new_store(tmp_path / "two.db")
    imported(store, rows, name="a", label="one")
    before = content(store)
    imported(store, rows, name="b", label="two")
    after = content(store)
    for table, expected in before.items():
        assert [r for r in after[table] if "import:one" in repr(r)] == expected, table
    ids = ask(store, "SELECT host_id FROM host UNION ALL SELECT gpu_id FROM gpu ORDER BY 1")
    assert [value for (value,) in ids] == [-4, -3, -2, -2, -1, -1]


def test_hours_of_which_only_sums_are_left_take_nothing_more(tmp_path: Path) -> None:
    rows = [row(T0 + n * 5000, utilization_ratio=0.5) for n in range(1, 1000)]
    store = new_store(tmp_path / "old.db")
    imported(store, rows[::4], name="a", interval_ms=20_000)
    ask_all(store, "DELETE FROM chunk")
    before = content(store)
    outcome = imported(store, rows[1::4], name="b", interval_ms=20_000)
    assert outcome.sums.rows_used == 0 and outcome.sums.rows_left_out == len(rows[1::4])
    assert "kept the sums alone" in outcome.log.problems[-1].text
    assert content(store) == before


def ask_all(store: Path, sql: str) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(store)) as db:
        db.execute(sql)
        db.commit()


def test_rows_that_fill_a_gap_take_its_energy_too(tmp_path: Path) -> None:
    """The counter's energy over a hole belongs to the gap; where rows say it second by second there is none."""
    store = new_store(tmp_path / "filled.db")
    outer = [row(T0 + second * 1000, utilization_ratio=0.5, energy_joules=100.0) for second in (*range(1, 11), *range(101, 111))]
    inner = [row(T0 + second * 1000, utilization_ratio=0.5, energy_joules=100.0) for second in range(11, 101)]
    imported(store, outer, name="outer", interval_ms=1000)
    assert ask(store, "SELECT count(*) FROM gap") == [(1,)]
    assert ask(store, "SELECT count(*) FROM gap_energy") == [(1,)]
    imported(store, inner, name="inner", interval_ms=1000)
    assert ask(store, "SELECT count(*) FROM gap") == [(0,)]
    assert ask(store, "SELECT count(*) FROM gap_energy") == [(0,)]
