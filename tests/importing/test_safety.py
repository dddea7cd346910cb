"""All of a log or nothing of it, beside whoever else uses the store; whatever its rhythm and order."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.inprocess import run_program
from support.past_logs import NOW, T0, ask, content, imported, log_of, new_store, row

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.importers.types import LogRow
from gpuwatch.errors import UsageError
from gpuwatch.recorder.importing import NothingToImport, Settings, Source, copy, import_log
from gpuwatch.store.check import check

EMPTY = "SELECT (SELECT count(*) FROM host), (SELECT count(*) FROM gpu_minute), (SELECT count(*) FROM chunk), (SELECT count(*) FROM import_file)"
_TESTS = Path(__file__).resolve().parent.parent


def rows(count: int = 400, step_ms: int = 1000, start: int = T0) -> list[LogRow]:
    rnd = random.Random(count)
    return [
        row(start + n * step_ms, gpu, utilization_ratio=rnd.randint(0, 100) / 100 if n // 30 % 2 else 0.0, power_watts=rnd.randint(60, 700))
        for n in range(1, count + 1)
        for gpu in "01"
    ]  # fmt: skip


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:4]
from gpuwatch.recorder.importing import copy
from support.past_logs import imported
from test_safety import rows
real, calls = copy._columns, []
def killing(db, table):
    calls.append(table)
    if len(calls) == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(db, table)
copy._columns = killing
imported(Path(sys.argv[1]), rows())
"""
"""It dies while the real store's transaction is open, in front of one of its tables."""


@pytest.mark.parametrize("moment", [2, 9, 16])
def test_a_killed_import_leaves_nothing(tmp_path: Path, moment: int) -> None:
    store = new_store(tmp_path / "gpuwatch.db")
    command = [sys.executable, "-c", KILLED, str(store), str(_TESTS), str(_TESTS / "importing"), str(moment)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert ask(store, EMPTY) == [(0, 0, 0, 0)] and check(store) == []
    imported(store, rows())
    assert ask(store, "SELECT rows_used FROM import_file") == [(800,)]


def test_an_error_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(tmp_path / "gpuwatch.db")

    def full(*_: object) -> list[str]:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(copy, "_columns", full)
        with pytest.raises(Exception, match="full"):
            imported(store, rows())
    assert ask(store, EMPTY) == [(0, 0, 0, 0)]


RECORDER = """
import sys
sys.path.insert(0, sys.argv[2])
from gpuwatch.clock import FakeClock
from gpuwatch.store.writer import StoreWriter
from support.store_rows import T0, first_tick, gpu_row, tick
writer = StoreWriter.open(sys.argv[1], clock=FakeClock(T0 / 1000))
writer.begin_session(T0, 1000, "")
writer.add(first_tick())
failed = 0
print("ready", flush=True)
for number in range(1, 41):
    writer.add(tick(number, gpu_row()))
    failed += not writer.commit()
sys.stdin.readline()
number += 1
writer.add(tick(number, gpu_row()))
failed += not writer.commit()
writer.close()
print(number, failed, flush=True)
"""


def test_beside_a_recorder_and_a_reader(tmp_path: Path) -> None:
    store = new_store(tmp_path / "gpuwatch.db")
    command = [sys.executable, "-c", RECORDER, str(store), str(_TESTS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as recorder:
        assert recorder.stdin and recorder.stdout
        assert recorder.stdout.readline() == "ready\n"
        with closing(sqlite3.connect(store)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM import_file").fetchone() == (0,)
            for number in range(4):
                imported(store, rows(200, start=T0 + number * 10_000_000), name=f"log {number}")
            assert reader.execute("SELECT count(*) FROM import_file").fetchone() == (0,)
        out, _ = recorder.communicate("go on\n", timeout=60)
    ticks, failed = map(int, out.split())
    assert failed == 0
    assert ask(store, "SELECT count(*) FROM gpu_sample") == [(ticks,)]
    assert ask(store, "SELECT count(*), sum(rows_used) FROM import_file") == [(4, 1600)]
    assert ask(store, "SELECT min(gpu_id), max(gpu_id) FROM gpu") == [(-2, 1)] and check(store) == []


def test_two_imports_at_once_never_share_an_id(tmp_path: Path) -> None:
    store = new_store(tmp_path / "gpuwatch.db")
    opened: list[int] = []

    def while_another_comes() -> object:
        opened.append(1)
        if len(opened) == 1:
            imported(store, rows(start=T0 + 5_000_000), name="other", label="other")
        return log_of(rows())

    import_log(store, Source("mine", "mine", while_another_comes), Settings("mine"), now_ms=NOW)  # type: ignore[arg-type]
    assert ask(store, "SELECT hostname, host_id FROM host ORDER BY host_id") == [("mine", -2), ("other", -1)]
    assert ask(store, "SELECT count(DISTINCT gpu_id), sum(n) FROM gpu_minute") == [(4, 2 * 798)]


@pytest.mark.parametrize("step_ms", [100, 303, 1000, 60_000, 420_000])
def test_any_rhythm_adds_up(tmp_path: Path, step_ms: int) -> None:
    store = new_store(tmp_path / "gpuwatch.db")
    given = rows(max(60, 400_000 // step_ms), step_ms)
    outcome = imported(store, given)
    assert outcome.sums.interval_ms == step_ms and not outcome.gaps
    told = (len(given) - 2) * step_ms
    assert ask(store, "SELECT sum(obs_ms) FROM gpu_minute") == ask(store, "SELECT sum(obs_ms) FROM gpu_hour") == [(told,)]
    for tier in ("minute", "hour", "day"):
        assert ask(store, f"SELECT sum(ms) FROM ledger_{tier}") == [(told,)], tier
    assert ask(store, "SELECT sum(n) FROM chunk") == [(len(given),)]
    assert ask(store, "SELECT max(ms) FROM ledger_minute")[0][0] <= 60_000


def test_rows_far_apart_say_nothing_of_the_time_between_them(tmp_path: Path) -> None:
    store = new_store(tmp_path / "gpuwatch.db")
    with pytest.raises(UsageError, match="its rows are 2 h apart") as refused:
        imported(store, rows(3, 7_200_000))
    assert "--interval" in refused.value.hint and ask(store, "SELECT count(*) FROM host") == [(0,)]
    outcome = imported(store, rows(3, 7_200_000), interval_ms=7_200_000)
    assert outcome.sums.observed_ms == 2 * 2 * 7_200_000


def test_a_log_out_of_order_is_sorted_first(tmp_path: Path) -> None:
    given = rows(9000)
    mixed = [*given[12_000:], *given[:12_000]]
    stores = [new_store(tmp_path / name) for name in ("a.db", "b.db")]
    for store, each in zip(stores, (given, mixed), strict=True):
        imported(store, each)
    assert content(stores[0]) == content(stores[1])


def test_a_row_alone_speaks_for_no_time(tmp_path: Path) -> None:
    store = new_store(tmp_path / "gpuwatch.db")
    outcome = imported(store, rows(1)[:1])
    assert (outcome.sums.interval_ms, outcome.sums.observed_ms, outcome.sums.rows_used) == (None, 0, 1)
    assert ask(store, "SELECT (SELECT sum(n) FROM chunk), (SELECT count(*) FROM gpu_minute)") == [(1, 0)]
    with pytest.raises(NothingToImport):
        imported(store, [], name="empty")


def test_an_export_comes_back_the_same(tmp_path: Path) -> None:
    clock = FakeClock(NOW / 1000)
    store, other = new_store(tmp_path / "a.db"), new_store(tmp_path / "b.db")
    given = rows(5000)
    imported(store, [each for each in given if not 0 < (each.ts_ms - T0) % 1_000_000 < 20_000])
    rows_csv = tmp_path / "rows.csv"
    out = run_program("export", "--store", str(store), "--since", f"@{T0 // 1000}", "--until", f"@{T0 // 1000 + 20_000}", "-o", str(rows_csv), clock=clock)  # fmt: skip
    assert out.returncode == 0, out.stderr
    done = run_program("import", "--store", str(other), "--host", "box", str(rows_csv), clock=clock)
    assert done.returncode == 0, done.stderr
    before, after = content(store), content(other)
    for table in ("gpu_minute", "gpu_hour", "gpu_day", "ledger_minute", "ledger_hour", "hist_hour", "hist_day", "rows", "gap"):
        assert after[table] == before[table], table


def test_a_long_log_is_kept_as_long_as_a_recording_would_be(tmp_path: Path) -> None:
    """Six weeks of a row every half hour: sums of every day, minutes of 35 days, single rows of 30."""
    store = new_store(tmp_path / "gpuwatch.db")
    given = [row(T0 + n * 1_800_000, utilization_ratio=0.5, process_count=0) for n in range(1, 41 * 48)]
    imported(store, given, now_ms=given[-1].ts_ms + 86_400_000)
    newest = given[-1].ts_ms // 1000
    for table, column, days in (("gpu_minute", "t", 35), ("ledger_minute", "t", 35), ("chunk", "t0_ms/1000", 30)):
        oldest = ask(store, f"SELECT min({column}) FROM {table}")[0][0]
        assert newest - days * 86_400 <= oldest < newest - days * 86_400 + 7200, table
    assert (
        ask(store, "SELECT sum(obs_ms) FROM gpu_hour")
        == ask(store, "SELECT sum(ms) FROM ledger_hour")
        == [((len(given) - 1) * 1_800_000,)]
    )
    assert ask(store, "SELECT count(*) FROM gpu_day") == [(42,)]
