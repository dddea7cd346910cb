"""The worked queries of the documentation, asked of two days of a simulated host, against sums made here from the tables."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.two_days import MIDNIGHT, NOW, two_days

from gpuwatch.names import Bucket
from gpuwatch.store.archive.hist import ALPHA
from gpuwatch.store.reader import open_reader, query
from gpuwatch.store.worked import WORKED, Worked
from gpuwatch.zone import days

BY_NAME = {one.name: one for one in WORKED}
Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    connection = open_reader(two_days(tmp_path_factory.mktemp("worked") / "gpuwatch.db"))
    yield connection
    connection.close()


def ask(db: sqlite3.Connection, name: str) -> tuple[list[str], Rows]:
    """As ``gpuwatch query`` would, at the time at which the recording ends, on a machine whose zone is UTC."""
    now = datetime.fromtimestamp(NOW, UTC).strftime("'%Y-%m-%d %H:%M:%S'")
    return query(db, BY_NAME[name].sql.replace("'now'", now))


def tables(db: sqlite3.Connection) -> sqlite3.Connection:
    """The same file without the shadows over the private tables."""
    plain = sqlite3.connect(db.execute("PRAGMA database_list").fetchone()[2])
    plain.row_factory = sqlite3.Row
    return plain


def day_of(t: int) -> str:
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d")


def whole_day(t: int) -> bool:
    """Whether the day of ``t`` is over, so that it has a row."""
    return t < MIDNIGHT


def close(found: Rows, expected: Rows) -> None:
    assert len(found) == len(expected), (found[:3], expected[:3])
    for row, wanted in zip(found, expected, strict=True):
        assert row == tuple(pytest.approx(cell, rel=1e-9) if isinstance(cell, float) else cell for cell in wanted)


def index_of(plain: sqlite3.Connection) -> dict[int, int]:
    return {row["gpu_id"]: row["gpu_index"] for row in plain.execute("SELECT gpu_id, gpu_index FROM gpu")}


def owner_of(plain: sqlite3.Connection) -> dict[int, tuple[str | None, int]]:
    users = {row["user_id"]: row["name"] for row in plain.execute("SELECT * FROM user_account")}
    return {row["owner_id"]: (users.get(row["user_id"]), row["proc_id"]) for row in plain.execute("SELECT * FROM owner")} | {0: (None, 0)}  # fmt: skip


# ------------------------------------------------------------------------------- each answer, made from minutes and rows


def utilization_per_day(plain: sqlite3.Connection) -> Rows:
    gpus, sums = index_of(plain), defaultdict[tuple[int, str], list[int]](lambda: [0, 0, 0])
    for row in plain.execute("SELECT * FROM gpu_minute"):
        if whole_day(row["t"]):
            at = sums[gpus[row["gpu_id"]], day_of(row["t"])]
            for number, name in enumerate(("utilization_pm_ms", "utilization_obs_ms", "obs_ms")):
                at[number] += row[name]
    return [("demo-01", gpu, day, v / o / 10, ms / 3.6e6) for (gpu, day), (v, o, ms) in sorted(sums.items())]


def idle_hours_per_user(plain: sqlite3.Connection) -> Rows:
    owners, sums = owner_of(plain), defaultdict[str | None, list[int]](lambda: [0, 0])
    for row in plain.execute("SELECT * FROM ledger_hour WHERE bucket=?", (int(Bucket.HELD_IDLE),)):
        user = owners[row["owner_id"]][0]
        sums[user][0] += row["ms"]
        sums[user][1] += row["energy_mj"]
    found = [(user or "(not visible)", ms / 3.6e6, mj / 3.6e9) for user, (ms, mj) in sums.items()]
    return sorted(found, key=lambda row: -row[1])


def idle_processes(plain: sqlite3.Connection) -> Rows:
    gpus, owners, sums = index_of(plain), owner_of(plain), defaultdict[tuple[int, int], int](int)
    for row in plain.execute("SELECT * FROM ledger_hour WHERE bucket=?", (int(Bucket.HELD_IDLE),)):
        sums[gpus[row["gpu_id"]], row["owner_id"]] += row["ms"]
    people = {row["proc_id"]: (row["name"], row["pid"]) for row in plain.execute("SELECT * FROM process")}
    found = [("demo-01", gpu, owners[o][0], *people[owners[o][1]], ms / 3.6e6) for (gpu, o), ms in sums.items()]
    return sorted(found, key=lambda row: (-row[5], row[4], row[1]))[:10]


def memory_holders(plain: sqlite3.Connection) -> Rows:
    people = {row["proc_id"]: row for row in plain.execute("SELECT p.*, u.name AS user FROM process p LEFT JOIN user_account u USING (user_id)")}  # fmt: skip
    peak, held = defaultdict[int, int](int), defaultdict[int, float](float)
    for row in plain.execute("SELECT * FROM process_hour WHERE gpu_memory_obs_ms>0 AND gpu_id<>0"):
        peak[row["proc_id"]] = max(peak[row["proc_id"]], row["gpu_memory_mib_max"])
        held[row["proc_id"]] += row["gpu_memory_mib_ms"] / row["gpu_memory_obs_ms"] * row["obs_ms"]
    order = sorted(held, key=lambda proc: -held[proc])[:10]
    return [("demo-01", people[p]["user"], people[p]["name"], people[p]["pid"], peak[p] / 1024, held[p] / 1024 / 3.6e6) for p in order]  # fmt: skip


def energy_per_day(plain: sqlite3.Connection) -> Rows:
    sums = defaultdict[str, list[int]](lambda: [0, 0])
    for row in plain.execute("SELECT t, energy_used_mj, quiet_energy_mj FROM gpu_minute"):
        if whole_day(row["t"]):
            sums[day_of(row["t"])][0] += row["energy_used_mj"]
            sums[day_of(row["t"])][1] += row["quiet_energy_mj"]
    return [("demo-01", day, used / 3.6e9, quiet / 3.6e9) for day, (used, quiet) in sorted(sums.items())]


def last_busy(plain: sqlite3.Connection) -> Rows:
    gpus = {index: gpu for gpu, index in index_of(plain).items()}
    t = max(row["t"] for row in plain.execute("SELECT * FROM gpu_minute WHERE gpu_id=?", (gpus[3],)) if row["quiet_ms"] < row["obs_ms"])  # fmt: skip
    return [("demo-01", t, datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d %H:%M:%S"))]


def coverage_per_day(plain: sqlite3.Connection) -> Rows:
    sums, gpus = defaultdict[str, int](int), defaultdict[str, set[int]](set)
    for row in plain.execute("SELECT t, gpu_id, obs_ms FROM gpu_minute"):
        if whole_day(row["t"]):
            sums[day_of(row["t"])] += row["obs_ms"]
            gpus[day_of(row["t"])].add(row["gpu_id"])
    return [("demo-01", day, len(gpus[day]), ms / 3.6e6, 24 * len(gpus[day]) - ms / 3.6e6) for day, ms in sorted(sums.items())]


def gaps(plain: sqlite3.Connection) -> Rows:
    start = "2025-11-14 12:32:00"
    return [("demo-01", 2, "2025-11-14 14:30:30", 1.0, "stall"), ("demo-01", None, start, 87.0, "off")]


def throttled(plain: sqlite3.Connection) -> Rows:
    gpus, sums = index_of(plain), defaultdict[int, list[int]](lambda: [0, 0, 0])
    for row in plain.execute("SELECT * FROM gpu_hour WHERE reasons_obs_ms>0"):
        at = sums[gpus[row["gpu_id"]]]
        at[:] = [at[0] + row["throttled_ms"], at[1] + row["obs_ms"], max(at[2], row["temperature_c_max"])]
    found = [("demo-01", gpu, ms / 3.6e6, 100 * ms / obs, hottest) for gpu, (ms, obs, hottest) in sums.items()]
    return sorted(found, key=lambda row: (-row[2], row[1]))


def who_used_which(plain: sqlite3.Connection) -> Rows:
    gpus, owners, sums = index_of(plain), owner_of(plain), defaultdict[tuple[int, str, str], int](int)
    for row in plain.execute("SELECT * FROM ledger_minute"):
        if MIDNIGHT - 86_400 <= row["t"] < MIDNIGHT and row["bucket"]:
            who = owners[row["owner_id"]][0] or "(nobody or not visible)"
            sums[gpus[row["gpu_id"]], who, Bucket(row["bucket"]).label] += row["ms"]
    found = [("demo-01", *key, ms / 3.6e6) for key, ms in sums.items()]
    return sorted(found, key=lambda row: (row[1], -row[4]))


def busiest_hours(plain: sqlite3.Connection) -> Rows:
    sums = defaultdict[tuple[int, int], list[float]](lambda: [0.0, 0.0])
    for row in plain.execute("SELECT * FROM gpu_hour WHERE utilization_obs_ms>0"):
        at = datetime.fromtimestamp(row["t"], UTC)
        sums[at.weekday(), at.hour][0] += row["utilization_pm_ms"] / row["utilization_obs_ms"] * row["obs_ms"]
        sums[at.weekday(), at.hour][1] += row["obs_ms"]
    found = [("demo-01", *key, value / ms / 10) for key, (value, ms) in sums.items()]
    return sorted(found, key=lambda row: (-row[3], row[1], row[2]))[:10]


def where_it_went(plain: sqlite3.Connection) -> Rows:
    sums, seen = defaultdict[str, int](int), set[tuple[int, int]]()
    for row in plain.execute("SELECT * FROM ledger_hour"):
        sums[Bucket(row["bucket"]).label] += row["ms"]
        seen.add((row["t"], row["gpu_id"]))
    sums["unobserved"] = 3_600_000 * len(seen) - sum(ms for bucket, ms in sums.items() if bucket != "unobserved")
    found = [(bucket, ms / 3.6e6, 100 * ms / (3_600_000 * len(seen))) for bucket, ms in sums.items() if ms]
    return sorted(found, key=lambda row: -row[1])


EXPECTED: dict[str, Callable[[sqlite3.Connection], Rows]] = {
    "utilization-per-day": utilization_per_day,
    "idle-hours-per-user": idle_hours_per_user,
    "idle-processes": idle_processes,
    "memory-holders": memory_holders,
    "energy-per-day": energy_per_day,
    "last-busy": last_busy,
    "coverage-per-day": coverage_per_day,
    "gaps": gaps,
    "throttled": throttled,
    "who-used-which": who_used_which,
    "busiest-hours": busiest_hours,
    "where-it-went": where_it_went,
}


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """SQLite's ``localtime`` is the machine's."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("one", WORKED, ids=lambda one: one.name)
def test_the_answer_is_what_the_tables_say(db: sqlite3.Connection, utc: None, one: Worked) -> None:
    names, found = ask(db, one.name)
    assert names == one.answer.split("\n")[0].split(), "the printed answer has the query's columns"
    assert found
    if one.name in EXPECTED:
        close(found, EXPECTED[one.name](tables(db)))


def test_percentiles_are_within_two_percent_of_the_rows(db: sqlite3.Connection, utc: None) -> None:
    """Against every single row of the archive, weighted by the time that it speaks for."""
    from gpuwatch.store import export

    found = {row[1]: row[2] for row in ask(db, "p95-utilization")[1]}
    plain = tables(db)
    plain.row_factory = None
    of = export.source("gpu")
    place = {column.name: number for number, column in enumerate(of.columns)}
    rows = defaultdict[int, list[tuple[float, float]]](list)
    sealed = plain.execute("SELECT done_s FROM rollup_state WHERE tier='seal'").fetchone()[0]
    for row in export.rows(plain, of, 0, sealed):
        if row[place["utilization_ratio"]] is not None:
            rows[row[place["gpu_index"]]].append((row[place["utilization_ratio"]], row[place["duration_seconds"]]))
    assert set(rows) == set(found)
    for gpu, values in rows.items():
        values.sort()
        share = 0.95 * sum(weight for _, weight in values)
        exact = next(value for value, upto in zip((v for v, _ in values), accumulate(w for _, w in values)) if upto >= share - 1e-6)
        assert found[gpu] / 100 == pytest.approx(exact, rel=ALPHA + 0.005, abs=0.002), gpu


@pytest.mark.parametrize("name", [one.name for one in WORKED if "v_ledger_hour" in one.sql])
def test_no_query_reads_the_whole_ledger(db: sqlite3.Connection, name: str) -> None:
    plan = [row[3] for row in tables(db).execute("EXPLAIN QUERY PLAN " + BY_NAME[name].sql)]
    assert any("SEARCH m USING PRIMARY KEY (t>?" in step for step in plan), plan


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia", "UTC"]),
    day=st.dates(datetime(2020, 1, 1).date(), datetime(2029, 12, 31).date()),
    asked=st.dates(datetime(2020, 1, 1).date(), datetime(2029, 12, 31).date()),
)  # fmt: skip
def test_the_date_of_a_day_is_that_of_its_noon_whenever_it_is_asked(zone: str, day: Any, asked: Any) -> None:
    """``date(t + 43200 + utc_offset_seconds)`` with the offset that the host has when it is asked."""
    tz = ZoneInfo(zone)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=tz)
    start, end = next(days(round(noon.timestamp()), round(noon.timestamp()) + 1, tz))
    offset = datetime(asked.year, asked.month, asked.day, 12, tzinfo=tz).utcoffset() or timedelta(0)
    shown = sqlite3.connect(":memory:").execute("SELECT date(? + 43200 + ?, 'unixepoch')", (start, offset.total_seconds()))
    assert 22 * 3600 <= end - start <= 26 * 3600
    assert shown.fetchone()[0] == datetime.fromtimestamp(start, tz).strftime("%Y-%m-%d")


def test_the_page_carries_them(request: pytest.FixtureRequest) -> None:
    page = (Path(request.config.rootpath) / "docs" / "schema.md").read_text(encoding="utf-8")
    assert len(WORKED) >= 10
    for one in WORKED:
        assert f"### {one.question}\n\n```sql\n{one.sql}\n```" in page
