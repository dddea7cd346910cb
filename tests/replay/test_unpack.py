"""Unpacking gives back every row that was recorded, once and unchanged, from chunks, from hot rows and from both."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.archived import END_MS, FIRST_BORDER_MS, HOUR_MS, seal, told
from support.story import START

from gpuwatch.cli import main
from gpuwatch.store import connection
from gpuwatch.store.archive.unpack import unpack
from gpuwatch.store.columns import HOT_TABLES
from gpuwatch.store.window import Window

NOW_MS = END_MS
ALL = (round(START * 1000) - 1, NOW_MS)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = told(tmp_path_factory.mktemp("unpack") / "hot.db")
    db = connection.open_write(path)
    db.execute("DELETE FROM chunk")
    db.execute("DELETE FROM rollup_state WHERE tier LIKE 'seal%'")  # the rows that follow come before their hours are sealed
    db.execute("INSERT INTO extra_sample SELECT tick_id,'loss',0,0,'1',tick_id/7.0 FROM tick WHERE tick_id%10=0")
    db.execute("INSERT INTO extra_sample SELECT tick_id,'accuracy',1,0,'ratio',0.5 FROM tick WHERE tick_id%9=0")
    connection.close_cleanly(db)
    return path


def rows(path: Path, span: tuple[int, int] = ALL) -> dict[str, list[tuple[object, ...]]]:
    """Every hot row with its time instead of its tick."""
    db = sqlite3.connect(path)
    out = {}
    for table in HOT_TABLES:
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")][1:]
        cells = ",".join("s." + name for name in names)
        sql = f"SELECT k.ts_ms,{cells} FROM {table} s JOIN tick k ON k.tick_id=s.tick_id WHERE k.ts_ms>? AND k.ts_ms<=? ORDER BY 1,2,3,4"
        out[table] = db.execute(sql, span).fetchall()
    db.close()
    return out


@pytest.mark.parametrize("kept_from_ms", [0, 2_400_000, HOUR_MS, HOUR_MS + 300_000], ids=["all", "overlap", "border", "hole"])
def test_what_goes_in_comes_out(recorded: Path, tmp_path: Path, kept_from_ms: int) -> None:
    store = seal(recorded, tmp_path / "store.db", NOW_MS, FIRST_BORDER_MS + kept_from_ms if kept_from_ms else 0)
    done = unpack(store, tmp_path / "out.db", *ALL)
    expected = rows(recorded)
    if kept_from_ms > HOUR_MS:
        hole = (FIRST_BORDER_MS + HOUR_MS, FIRST_BORDER_MS + kept_from_ms)
        expected = {name: [row for row in found if not hole[0] < row[0] < hole[1]] for name, found in expected.items()}  # type: ignore[operator]
    found = rows(tmp_path / "out.db")
    for table in HOT_TABLES:
        assert found[table] == expected[table], table
    assert done.rows == {table: len(found[table]) for table in HOT_TABLES}
    assert done.rows["gpu_sample"] > 10_000
    assert done.rows["extra_sample"] > 500
    assert not done.empty


def test_a_span_has_the_rows_that_end_in_it(recorded: Path, tmp_path: Path) -> None:
    store = seal(recorded, tmp_path / "store.db", NOW_MS, FIRST_BORDER_MS + HOUR_MS)
    span = (FIRST_BORDER_MS - 90_500, FIRST_BORDER_MS + 1000)
    unpack(store, tmp_path / "out.db", *span)
    assert rows(tmp_path / "out.db", (0, 2**62)) == rows(recorded, span)


def test_the_views_read_the_file_and_a_window_stands_in_it(recorded: Path, tmp_path: Path) -> None:
    store = seal(recorded, tmp_path / "store.db", NOW_MS, FIRST_BORDER_MS + HOUR_MS)
    unpack(store, tmp_path / "out.db", *ALL)
    before, after = connection.open_read(recorded), connection.open_read(tmp_path / "out.db")
    sql = "SELECT ts_ms, gpu_uuid, utilization_ratio, power_watts, energy_joules FROM v_gpu_raw ORDER BY 1, 2"
    assert after.execute(sql).fetchall() == before.execute(sql).fetchall()
    for table in ("host", "gpu", "process", "user_account", "gap", "event"):
        sql = f"SELECT * FROM {table} ORDER BY 1, 2, 3"
        assert after.execute(sql).fetchall() == before.execute(sql).fetchall(), table
    assert after.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    before.close()
    after.close()
    with Window(tmp_path / "out.db") as window:
        first, last = window.tick_range(*ALL)
        assert window.superseded(first, last, NOW_MS) == frozenset()


def test_time_that_was_recorded_twice_comes_out_once(recorded: Path, tmp_path: Path) -> None:
    store = seal(recorded, tmp_path / "store.db", NOW_MS, 0)
    db = connection.open_write(store)
    db.execute("INSERT INTO session(session_id,host_id,started_ms,last_ms,clean,version,period_ms) SELECT 9,host_id,?,?,1,'1',1000 FROM host",
               (FIRST_BORDER_MS + HOUR_MS + 60_000, FIRST_BORDER_MS + HOUR_MS + 120_000))  # fmt: skip
    connection.close_cleanly(db)
    unpack(store, tmp_path / "out.db", *ALL)
    found = rows(tmp_path / "out.db")["gpu_sample"]
    assert not [row for row in found if FIRST_BORDER_MS + HOUR_MS + 60_000 < row[0] <= FIRST_BORDER_MS + HOUR_MS + 120_000]  # type: ignore[operator]


def test_the_command(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.db"
    command = [
        "db",
        "unpack",
        "--store",
        str(recorded),
        "--tz",
        "UTC",
        "--since",
        "2025-11-14 14:59",
        "--until",
        "2025-11-14 15:00",
        "-o",
        str(out),
    ]
    assert main(command) == 0
    said = capsys.readouterr()
    assert said.out == f"{out}: 180 gpu, 120 process, 60 host, 12 extra rows\n"
    assert oct(out.stat().st_mode & 0o777) == "0o600"
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert main([*command[:-1], str(recorded), "--force"]) == 2
    assert "is the store itself" in capsys.readouterr().err
    command[7] = "2025-11-13 14:59"
    command[9] = "2025-11-13 15:59"
    command[11] = str(tmp_path / "none.db")
    assert main(command) == 3
    assert "no single row of that span is kept" in capsys.readouterr().err
    assert not list(tmp_path.glob("*none*"))


def test_what_is_damaged_is_left_out_and_told(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = seal(recorded, tmp_path / "store.db", NOW_MS, FIRST_BORDER_MS + HOUR_MS)
    with closing(sqlite3.connect(store)) as db, db:
        db.execute(
            "UPDATE chunk SET body=substr(body,1,length(body)/2) WHERE kind=0 AND entity_id=1 AND t1_ms<=?", (FIRST_BORDER_MS,)
        )
    out = tmp_path / "out.db"
    done = unpack(store, tmp_path / "whole.db", *ALL)
    assert done.damaged == 1
    assert main(["db", "unpack", "--store", str(store), "--since", "2025-11-14", "--until", "2025-11-15", "-o", str(out)]) == 1
    assert "1 sealed hour of a GPU" in capsys.readouterr().err
    before, after = rows(recorded), rows(out)
    assert after["process_sample"] == before["process_sample"]
    missing = set(before["gpu_sample"]) - set(after["gpu_sample"])
    assert missing and all(row[1] == 1 and row[0] <= FIRST_BORDER_MS for row in missing)
