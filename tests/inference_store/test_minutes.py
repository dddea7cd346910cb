"""Minutes, hours and days of waiting times: only what a row speaks for, each count once, whatever is repeated or killed in between."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.serving import EDGES_US, LLAMA, VLLM, at, close, counts, described, keep_history, row, serve, sums
from support.store_rows import T0, gpu_row

from gpuwatch.clock import FakeClock
from gpuwatch.model import OPEN_US, Host, LatencyCounts
from gpuwatch.names import WAITS, Latency
from gpuwatch.store import check
from gpuwatch.store.days import day_steps
from gpuwatch.store.hours import close_hours, hour_steps
from gpuwatch.store.rollup import close_again, close_minutes, minute_steps
from gpuwatch.store.rows import Tick, WorkloadRow
from gpuwatch.store.writer import StoreWriter

TESTS = Path(__file__).resolve().parent.parent
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


def observations(writer: StoreWriter, tier: str = "minute") -> int:
    return int(writer.connection.execute(f"SELECT coalesce(sum(n),0) FROM latency_{tier}").fetchone()[0])


@pytest.mark.parametrize(
    ("dts", "expected"), [((2000, 2000), 20), ((0, 2000), 10), ((0, 0), 0)], ids=["both", "after a break", "neither"]
)
def test_only_what_a_row_speaks_for_is_counted(writer: StoreWriter, dts: tuple[int, int], expected: int) -> None:
    writer.add(described())
    for number, dt in enumerate(dts, 1):
        writer.add(at(2 * number, row(dt_ms=dt, output_tokens_total=3.0), latencies=[counts()]))
    assert writer.commit()
    close_minutes(writer.connection, T0 + 60_000)
    assert observations(writer) == expected
    tokens = writer.connection.execute("SELECT coalesce(sum(output_tokens_sum),0) FROM workload_minute").fetchone()[0]
    assert tokens * 10 == expected * 3


def test_a_count_belongs_to_the_minute_in_which_its_row_ends(writer: StoreWriter) -> None:
    writer.add(described())
    for second in (58, 60, 62):
        writer.add(at(second, row(), latencies=[counts(numbers=(1,))]))
    assert writer.commit()
    close_minutes(writer.connection, T0 + 120_000)
    found = writer.connection.execute("SELECT t*1000-?, n FROM latency_minute", (T0,)).fetchall()
    assert found == [(0, 2), (60_000, 1)]


def test_the_row_of_another_server_says_nothing_about_this_one(writer: StoreWriter) -> None:
    writer.add(described(keys=[VLLM, LLAMA]))
    writer.add(at(2, row(VLLM), row(LLAMA, dt_ms=0), latencies=[counts(VLLM, numbers=(1,)), counts(LLAMA, numbers=(5,))]))
    assert writer.commit()
    close_minutes(writer.connection, T0 + 60_000)
    assert observations(writer) == 1


def test_closing_twice_changes_nothing(writer: StoreWriter) -> None:
    writer.add(described())
    serve(writer, range(2, 400, 2), lambda second: at(second, row(), latencies=[counts(numbers=(second % 5, 1))]))
    close_minutes(writer.connection, T0 + 180_000)
    for _ in minute_steps(writer.connection, T0 + 360_000):
        pass
    before = writer.connection.execute("SELECT * FROM latency_minute").fetchall()
    writer.connection.execute("UPDATE rollup_state SET done_s=0 WHERE tier='minute'")
    close_minutes(writer.connection, T0 + 360_000)
    assert writer.connection.execute("SELECT * FROM latency_minute").fetchall() == before
    assert observations(writer) == sum(second % 5 + 1 for second in range(2, 361, 2))


def test_what_a_clock_that_was_set_back_recorded_is_closed_too(writer: StoreWriter) -> None:
    """Nothing but a server elsewhere is watched: there is neither a GPU nor a process that would tell."""
    writer.add(described())
    serve(writer, range(3602, 3720, 2), lambda second: at(second, row(), latencies=[counts(numbers=(1,))]))
    close_minutes(writer.connection, T0 + 3_720_000)
    assert observations(writer) == 59
    writer.begin_session(T0, 1000, "boot")
    serve(writer, range(2, 120, 2), lambda second: at(second, row(), latencies=[counts(numbers=(1,))]))
    assert close_again(writer.connection, T0 + 180_000, since_ms=0) == [T0 // 1000, T0 // 1000 + 60]
    assert observations(writer) == 2 * 59
    assert close_again(writer.connection, T0 + 180_000, since_ms=0) == []


@pytest.mark.parametrize("who", [[VLLM, LLAMA], [LLAMA], []], ids=["both", "one of them", "neither"])
def test_what_a_killed_recorder_began_to_sum_goes_if_its_time_is_recorded_again(writer: StoreWriter, who: list[Any]) -> None:
    """It was killed after the first piece of a minute, then the clock was set back: the later rows of that minute count."""
    writer.add(described(keys=[VLLM, LLAMA]))
    serve(writer, range(2, 61, 2), lambda second: at(second, row(), row(LLAMA), latencies=[counts(numbers=(1,)), counts(LLAMA, numbers=(1,))]))  # fmt: skip
    next(minute_steps(writer.connection, T0 + 60_000))
    assert observations(writer) == 60
    writer.begin_session(T0, 1000, "boot")
    told = [counts(key, numbers=(0, 1)) for key in who]
    serve(writer, range(2, 61, 2), lambda second: at(second, *(row(key) for key in who), latencies=told, gpu_rows=[gpu_row()]))
    for _ in minute_steps(writer.connection, T0 + 120_000):
        pass
    found = writer.connection.execute("SELECT lower_us, sum(n) FROM latency_minute GROUP BY 1").fetchall()
    assert found == [(100_000, 30 * len(who))][: len(who)]


def test_what_counts_no_more_is_in_no_bucket_of_a_minute_that_is_closed_again(writer: StoreWriter) -> None:
    """A minute without a GPU, and once more with one after the clock was set back."""
    writer.add(described(keys=[VLLM, LLAMA]))
    serve(writer, range(2, 122, 2), lambda second: at(second, row(), row(LLAMA), latencies=[counts(numbers=(1,)), counts(LLAMA, numbers=(1,))]))  # fmt: skip
    close_minutes(writer.connection, T0 + 120_000)
    writer.begin_session(T0, 1000, "boot")
    again = {"gpu_rows": [gpu_row()], "latencies": [counts(numbers=(0, 1))]}
    serve(writer, range(2, 62, 2), lambda second: at(second, row(), **again))
    assert close_again(writer.connection, T0 + 120_000, since_ms=0) == [T0 // 1000]
    found = "SELECT t*1000-?, workload_id, lower_us, n FROM latency_minute ORDER BY 1, 2"
    assert writer.connection.execute(found, (T0,)).fetchall() == [
        (0, 1, 100_000, 30),
        (0, 2, 0, 30),  # nothing else is known of that time
        (60_000, 1, 0, 30),
        (60_000, 2, 0, 30),
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 40])
def test_pieces_of_a_minute_have_every_server_once(writer: StoreWriter, count: int) -> None:
    keys = [(100 + n, T0, 8000) for n in range(count)]
    writer.add(described(keys=keys))
    serve(writer, (2, 62), lambda second: at(second, *(row(key) for key in keys), latencies=[counts(key) for key in keys]))
    pieces = sum(1 for _ in minute_steps(writer.connection, T0 + 120_000))
    assert pieces == min(8, -(-count // 3))
    assert observations(writer) == count * 20


def test_a_server_is_seen_as_long_as_it_has_rows(writer: StoreWriter) -> None:
    writer.add(described(keys=[VLLM, LLAMA]))
    serve(writer, range(2, 100, 2), lambda second: at(second, row()))
    close_minutes(writer.connection, T0 + 120_000)
    assert writer.connection.execute("SELECT last_ms-? FROM server ORDER BY workload_id", (T0,)).fetchall() == [(98_000,), (0,)]


# --------------------------------------------------------------------------------------------------------- tiers agree


STARTS = {"America/New_York": (2025, 11, 1), "Europe/Berlin": (2026, 3, 28), "Asia/Kathmandu": (2026, 1, 1)}
LAYOUTS = (EDGES_US, (0, 50_000, 250_000, 2_000_000, OPEN_US), (0, 7, OPEN_US), (100_000, 250_000))
"""Bounds of buckets, as of versions of a server that follow each other."""
readings = st.lists(
    st.tuples(
        st.integers(1, 5000) | st.integers(1, 400_000) | st.integers(1, 150 * 60_000),
        st.sampled_from([0, 1, 2000, 180_000]),
        st.sampled_from([VLLM, LLAMA]),
        st.sampled_from(list(WAITS)),
        st.sampled_from(LAYOUTS),
        st.lists(st.integers(0, 2**40), min_size=4, max_size=4),
    ),
    min_size=1,
    max_size=40,
)
Reading = tuple[int, int, tuple[int, int, int], Latency, tuple[int, ...], list[int]]


@settings(max_examples=40, deadline=None)
@given(zone=st.sampled_from(sorted(STARTS)), given_readings=readings)
def test_every_tier_has_every_observation_once(zone: str, given_readings: list[Reading]) -> None:
    start = datetime(*STARTS[zone], tzinfo=ZoneInfo(zone))
    writer, at_ms = StoreWriter.open(":memory:", clock=FakeClock()), round(start.timestamp() * 1000)
    writer.begin_session(at_ms, 1000, "")
    offset = start.utcoffset()
    assert offset is not None
    writer.add(Tick(at_ms, host=Host("m-1", "lab", utc_offset_seconds=round(offset.total_seconds()), timezone=zone)))
    expected: dict[tuple[int, int, int, int], int] = {}
    ids: dict[tuple[int, int, int], int] = {}
    for step, dt, key, latency, edges, numbers in given_readings:
        at_ms += step
        told: LatencyCounts = counts(key, latency, numbers, edges)
        rows: list[WorkloadRow] = [row(key, dt, output_tokens_total=1.0)]
        writer.add(Tick(at_ms, workload_rows=rows, latencies=[told]))
        ids.setdefault(key, len(ids) + 1)
        for lower, upper, n in told.buckets if dt else ():
            bucket = ids[key], int(latency), lower, upper
            expected[bucket] = expected.get(bucket, 0) + n
    assert writer.commit()
    close(writer, at_ms + 3 * DAY_MS)
    assert sums(writer, "minute") == sums(writer, "hour") == sums(writer, "day") == expected
    for tier, days in (("hour", "latency_hour"), ("day", "latency_day")):
        same = f"SELECT 1 FROM {days} l WHERE NOT EXISTS (SELECT 1 FROM workload_{tier} w WHERE w.t=l.t AND w.workload_id=l.workload_id)"
        assert writer.connection.execute(same).fetchall() == []
    writer.close()


def test_ids_below_zero_add_up_like_any_other(writer: StoreWriter) -> None:
    """Rows of a host of past logs have them."""
    db = writer.connection
    writer.add(described())
    assert writer.commit()
    names = [column[1] for column in db.execute("PRAGMA table_info(host)")][1:]
    db.execute(f"INSERT INTO host SELECT -1,{','.join(names).replace('machine_id', 'machine_id||1')} FROM host")
    columns = [column[1] for column in db.execute("PRAGMA table_info(workload)")][2:]
    db.execute(f"INSERT INTO workload SELECT -7,-1,{','.join(columns)} FROM workload")
    first = T0 // HOUR_MS * 3600
    db.executemany("INSERT INTO latency_minute VALUES(?,-7,1,0,10,?)", [(first + 60 * n, n + 1) for n in range(60)])
    db.executemany(
        "INSERT INTO workload_minute(t,workload_id,obs_ms,n) VALUES(?,-7,60000,30)", [(first + 60 * n,) for n in range(60)]
    )
    db.execute("INSERT INTO rollup_state VALUES(-1,'minute',?)", (first + 3600,))
    assert close_hours(db, T0 + HOUR_MS, host_id=-1) == [first]
    assert db.execute("SELECT * FROM latency_hour").fetchall() == [(first, -7, 1, 0, 10, sum(range(1, 61)))]


def test_hours_that_are_opened_again_in_the_middle_are_summed_anew(writer: StoreWriter) -> None:
    """A clock that was set back brings minutes of the very hour of whose servers a part is summed."""
    first, db = T0 // HOUR_MS * HOUR_MS + HOUR_MS, writer.connection
    start = (first - T0) // 1000
    told = [counts(VLLM, latency, (1,)) for latency in WAITS]
    writer.add(described(keys=[VLLM]))
    serve(writer, range(start + 1202, start + 3700, 2), lambda second: at(second, row(), latencies=told))
    close_minutes(db, first + 2 * HOUR_MS)
    steps = hour_steps(db, first + 2 * HOUR_MS)
    assert [next(steps), next(steps)] == [None, None]
    writer.begin_session(first, 1000, "boot")
    serve(writer, range(start + 2, start + 1200, 2), lambda second: at(second, row(), latencies=told))
    assert close_again(db, first + HOUR_MS, since_ms=0)
    assert [found for found in steps if found is not None] == [first // 1000, (first + HOUR_MS) // 1000]
    assert sums(writer, "hour") == sums(writer, "minute")
    assert set(sums(writer, "hour").values()) == {599 + 1249}


@pytest.mark.parametrize("tier", ["minute", "hour", "day"])
def test_a_recorder_may_end_after_any_piece(writer: StoreWriter, tier: str) -> None:
    """Each piece is a transaction: one ends after none, the next after one piece of what is open then, the next after two, and so on."""
    db, keys = writer.connection, [VLLM, LLAMA, (1, T0, 1), (2, T0, 2)]
    told = [counts(key, latency) for key in keys for latency in WAITS]
    writer.add(described(keys=keys))
    serve(writer, range(600, 50 * 3600, 600), lambda second: at(second, *(row(key) for key in keys), latencies=told))
    end_ms = T0 + 4 * DAY_MS
    if tier != "minute":
        close_minutes(db, end_ms)
    if tier == "day":
        close_hours(db, end_ms)
    made: dict[str, Callable[[sqlite3.Connection, int], Iterator[object]]]
    made = {"minute": minute_steps, "hour": hour_steps, "day": day_steps}
    for pieces in range(1000):
        if sum(1 for _ in islice(made[tier](db, end_ms), pieces)) < pieces:
            break
    close(writer, end_ms)
    assert sums(writer, "minute") == sums(writer, "hour") == sums(writer, "day")
    assert sum(sums(writer, "day").values()) == 299 * 10 * len(told)


# ---------------------------------------------------------------------------------------------------------------- kill -9


CHILD = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from support.serving import LLAMA, VLLM, at, counts, described, row
from support.store_rows import T0
from gpuwatch.clock import FakeClock
from gpuwatch.names import WAITS
from gpuwatch.recorder import Closer
from gpuwatch.store.writer import StoreWriter

path, second = Path(sys.argv[1]), int(sys.argv[2])
writer = StoreWriter.open(path, clock=FakeClock(), tmpfs_fallback=False)
writer.begin_session(T0 + second * 1000, 2000, "boot")
writer.add(described(second, keys=[VLLM, LLAMA]))
closer = Closer(writer)
while True:
    second += 2
    told = [counts(key, latency, (1, 0, second % 3)) for key in (VLLM, LLAMA) for latency in WAITS]
    writer.add(at(second, row(VLLM, output_tokens_total=1.0), row(LLAMA, output_tokens_total=1.0), latencies=told))
    now = T0 + second * 1000
    if closer.due(now) or second % 20 == 0:
        assert writer.commit(), writer.problem
        print(second, flush=True)
    closer.work(now)
"""
KILLS = int(os.environ.get("GPUWATCH_KILLS", "6"))


@pytest.mark.timeout(120 + 30 * KILLS)
def test_kill_nine_at_any_moment(tmp_path: Path) -> None:
    chance, path, start = random.Random(5), tmp_path / "gpuwatch.db", 0
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", CHILD, str(path), str(start)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            try:
                for _ in range(chance.randrange(60, 400)):
                    child.stdout.readline()
            finally:
                child.send_signal(signal.SIGKILL)
        assert check.check(path) == []
        reader = StoreWriter.open(path, clock=FakeClock(), tmpfs_fallback=False)
        newest = reader.connection.execute("SELECT max(ts_ms) FROM tick").fetchone()[0]
        reader.connection.close()
        start = (newest - T0) // 1000 + 120
    writer = StoreWriter.open(path, clock=FakeClock(), tmpfs_fallback=False)
    writer.begin_session(T0 + start * 1000, 2000, "boot")
    now_ms = T0 + start * 1000 + HOUR_MS
    keep_history(writer, now_ms)
    db = writer.connection
    rows = db.execute("SELECT sum(n), sum(output_tokens_sum) FROM workload_minute").fetchone()
    assert rows[0] == rows[1] > 1000, "each row of a server is counted once"
    per_row = db.execute("SELECT sum(n) FROM latency_minute WHERE lower_us=0").fetchone()[0]
    assert per_row == rows[0] * len(WAITS), "and so is each bucket beside it"
    close_hours(db, now_ms)
    done = db.execute("SELECT done_s FROM rollup_state WHERE tier='hour'").fetchone()[0]
    hours = db.execute("SELECT workload_id, latency, lower_us, upper_us, sum(n) FROM latency_hour GROUP BY 1, 2, 3, 4").fetchall()
    minutes = "SELECT workload_id, latency, lower_us, upper_us, sum(n) FROM latency_minute WHERE t<? GROUP BY 1, 2, 3, 4"
    assert hours == db.execute(minutes, (done,)).fetchall()
    close(writer, now_ms + 2 * DAY_MS)
    assert sums(writer, "day") == sums(writer, "hour") == sums(writer, "minute")
    assert check.check(path) == []
    db.close()
