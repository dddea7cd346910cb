"""Rows of servers under the store's care: trimmed, aged, capped, forgotten with their host, unpacked, backed up and exported."""

from __future__ import annotations

import csv
import io
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.inprocess import run_program
from support.serving import LLAMA, VLLM, at, close, counts, described, keep_history, row, serve, sums
from support.store_rows import T0

from gpuwatch.clock import FakeClock
from gpuwatch.names import Latency
from gpuwatch.store import check, export
from gpuwatch.store.archive.unpack import unpack
from gpuwatch.store.backup import backup
from gpuwatch.store.capacity import fit
from gpuwatch.store.connection import open_read
from gpuwatch.store.deleting import Keep
from gpuwatch.store.forget_host import find_host, forget_host
from gpuwatch.store.retention import aged, plan, trim_hot
from gpuwatch.store.writer import StoreWriter

DAY_MS = 86_400_000
TABLES = ("server", "server_field", "inference_sample", "latency_sample", "latency_minute", "latency_hour", "latency_day", "workload_minute")  # fmt: skip


def hours(writer: StoreWriter, length_s: int, every: int = 20, start: int = 0) -> int:
    """Two servers for so long; gives the end in unix milliseconds."""
    writer.add(described(start, keys=[VLLM, LLAMA]))

    def tick(second: int) -> Any:
        told = [counts(VLLM, latency, (1, second % 3, 0, second // every % 2)) for latency in (Latency.TTFT, Latency.E2E)]
        rows = [
            row(VLLM, every * 1000, output_tokens_total=float(second % 11), running_requests=2.0, flops_total=second * 1e9),
            row(LLAMA, every * 1000),
        ]
        return at(second, *rows, latencies=told)

    serve(writer, range(start + every, start + length_s + 1, every), tick)
    return T0 + (start + length_s) * 1000


def count(writer: StoreWriter, *tables: str) -> list[int]:
    return [writer.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]


def test_single_buckets_go_with_the_other_hot_rows_once_their_minutes_are_closed(writer: StoreWriter) -> None:
    end_ms = hours(writer, 4 * 3600)
    before = count(writer, "latency_sample")
    assert trim_hot(writer.connection, end_ms + DAY_MS) > 0, "without any closed minute age alone decides"
    hours(writer, 4 * 3600, start=6 * 3600)
    end_ms = T0 + 10 * 3_600_000
    close(writer, end_ms)
    left = count(writer, "latency_sample")
    assert trim_hot(writer.connection, end_ms + DAY_MS) == 0 and count(writer, "latency_sample") == left, "nothing is sealed"
    keep_history(writer, end_ms + 2 * DAY_MS)
    assert count(writer, "latency_sample", "inference_sample", "tick") == [0, 0, 0] and before[0] > 1000
    assert sums(writer, "minute") == sums(writer, "hour") and sum(sums(writer, "minute").values()) > 2000


@pytest.mark.parametrize(
    ("days", "left"), [(34, [1, 1, 1]), (37, [0, 1, 1]), (403, [0, 0, 1])], ids=["young", "no minutes", "days for good"]
)
def test_each_tier_is_kept_as_long_as_it_says(writer: StoreWriter, days: int, left: list[int]) -> None:
    end_ms = hours(writer, 30 * 3600, every=60)
    close(writer, end_ms + DAY_MS)
    total = sums(writer, "day")
    assert count(writer, "latency_minute", "latency_hour")[0] > 1000
    would = {old.table: old.rows for old in plan(writer.connection, end_ms + days * DAY_MS, Keep())}
    before = dict(zip(TABLES, count(writer, *TABLES), strict=True))
    for _ in aged(writer.connection, end_ms + days * DAY_MS, Keep()):
        pass
    tiers = ("latency_minute", "latency_hour", "latency_day")
    after = count(writer, *tiers)
    assert [int(found > 0) for found in after] == left
    assert {tier: before[tier] - rows for tier, rows in zip(tiers, after, strict=True) if before[tier] > rows} == {
        tier: would[tier] for tier in tiers if tier in would
    }
    assert sums(writer, "day") == total and count(writer, "server") == [2]


def test_minutes_stay_until_their_hours_are_closed(writer: StoreWriter) -> None:
    from gpuwatch.store.rollup import close_minutes

    end_ms = hours(writer, 3 * 3600, every=60)
    close_minutes(writer.connection, end_ms)
    rows = count(writer, "latency_minute")
    for _ in aged(writer.connection, end_ms + 100 * DAY_MS, Keep()):
        pass
    assert count(writer, "latency_minute") == rows


def test_the_size_cap_takes_the_oldest_minutes_and_says_so(writer: StoreWriter) -> None:
    end_ms = hours(writer, 30 * 3600, every=20)
    close(writer, end_ms)
    writer.connection.execute("DELETE FROM latency_sample")
    total, told = sums(writer, "hour"), list[str]()
    for _ in fit(writer.connection, end_ms + DAY_MS, Keep(max_mb=1), told.append):
        pass
    assert any(": minutes of waiting times of 2025-11-14 were dropped." in sentence for sentence in told), told
    assert sums(writer, "hour") == total


def test_prune_names_them_in_words(writer: StoreWriter, path: Path) -> None:
    end_ms = hours(writer, 26 * 3600, every=60)
    close(writer, end_ms)
    writer.end_session()
    writer.close()
    done = run_program("db", "prune", "--dry-run", "--keep-minutes", "1h", "--keep-hours", "1h", "--store", str(path))
    assert done.returncode == 0 and "minutes of waiting times" in done.stdout and "hours of waiting times" in done.stdout


def test_a_past_host_goes_with_its_servers(writer: StoreWriter, path: Path) -> None:
    end_ms = hours(writer, 3600, every=60)
    close(writer, end_ms)
    before = {table: writer.connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
    db = writer.connection
    db.execute("PRAGMA foreign_keys=OFF")
    for table, changes in (
        ("host", {"host_id": "-1", "machine_id": "'import:old'", "hostname": "'old'"}),
        ("workload", {"workload_id": "-workload_id", "host_id": "-1"}),
        *((table, {"workload_id": "-workload_id"}) for table in TABLES if not table.endswith("_sample")),
    ):
        names = [column[1] for column in db.execute(f"PRAGMA table_info({table})")]
        db.execute(f"INSERT INTO {table} SELECT {','.join(changes.get(name, name) for name in names)} FROM {table}")
    db.execute("PRAGMA foreign_keys=ON")
    assert count(writer, "server") == [4]
    for _ in forget_host(db, find_host(db, "old")):
        pass
    assert {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES} == before
    assert check.check(path) == []


# ------------------------------------------------------------------------------------------------------- unpack and copy


def rows_of(path: Path, table: str) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(path)
    names = ",".join("s." + column[1] for column in db.execute(f"PRAGMA table_info({table})") if column[1] != "tick_id")
    found = db.execute(f"SELECT k.ts_ms,{names} FROM {table} s JOIN tick k USING (tick_id) ORDER BY 1,2,3,4,5").fetchall()
    db.close()
    return found


def test_unpacked_it_has_every_row_and_the_buckets_that_are_hot(writer: StoreWriter, path: Path, tmp_path: Path) -> None:
    end_ms = hours(writer, 5 * 3600)
    before = rows_of(path, "inference_sample"), rows_of(path, "latency_sample")
    keep_history(writer, end_ms)
    hot = rows_of(path, "latency_sample")
    assert 0 < len(hot) < len(before[1]) and hot == before[1][-len(hot) :]
    done = unpack(path, tmp_path / "out.db", T0 - 1000, end_ms)
    assert (rows_of(tmp_path / "out.db", "inference_sample"), rows_of(tmp_path / "out.db", "latency_sample")) == (before[0], hot)
    assert (done.rows["inference_sample"], done.rows["latency_sample"]) == (len(before[0]), len(hot))
    for table in ("server", "server_field", "workload"):
        source, target = sqlite3.connect(path), sqlite3.connect(tmp_path / "out.db")
        assert source.execute(f"SELECT * FROM {table}").fetchall() == target.execute(f"SELECT * FROM {table}").fetchall()
        source.close()
        target.close()
    assert check.check(tmp_path / "out.db") == []


def test_a_part_of_an_hour_has_the_buckets_of_that_part(writer: StoreWriter, path: Path, tmp_path: Path) -> None:
    hours(writer, 1800)
    span = (T0 + 600_000, T0 + 900_000)
    unpack(path, tmp_path / "out.db", *span)
    expected = [found for found in rows_of(path, "latency_sample") if span[0] < found[0] <= span[1]]
    assert rows_of(tmp_path / "out.db", "latency_sample") == expected != []


def test_a_backup_has_everything(writer: StoreWriter, path: Path, tmp_path: Path) -> None:
    close(writer, hours(writer, 7200))
    backup(path, tmp_path / "copy.db")
    copy = sqlite3.connect(tmp_path / "copy.db")
    for table in TABLES:
        assert copy.execute(f"SELECT * FROM {table}").fetchall() == writer.connection.execute(f"SELECT * FROM {table}").fetchall()
    copy.close()


# ----------------------------------------------------------------------------------------------------------------- export


def exported(path: Path, what: str, every: str) -> list[dict[str, str]]:
    done = run_program("export", "--what", what, "--every", every, "--since", "2025-01-01", "--until", "2026-01-01", "--tz", "UTC", "--store", str(path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


@pytest.mark.parametrize("every", ["minute", "hour", "day"])
def test_waiting_times_are_exported_as_their_view_shows_them(writer: StoreWriter, path: Path, every: str) -> None:
    close(writer, hours(writer, 26 * 3600, every=60))
    found = exported(path, "latency", every)
    view = writer.connection.execute(f"SELECT * FROM v_latency_{every}")
    assert found and list(found[0]) == [column[0] for column in view.description]
    expected = {tuple("" if cell is None else str(cell) for cell in each) for each in view}
    assert {tuple(each.values()) for each in found} == expected and len(found) == len(expected)
    assert {each["upper_seconds"] for each in found if each["lower_seconds"] == "1.0"} == {""}


def test_single_rows_of_servers_are_the_same_whether_hot_or_sealed(writer: StoreWriter, path: Path) -> None:
    end_ms = hours(writer, 5 * 3600)
    hot = exported(path, "workload", "second")
    assert list(hot[0]) == [column[1] for column in writer.connection.execute("PRAGMA table_info(v_workload_now)")]
    keep_history(writer, end_ms)
    assert 0 < count(writer, "inference_sample")[0] < len(hot)
    assert exported(path, "workload", "second") == hot
    assert {each["state"] for each in hot} == {"up"} and {each["model"] for each in hot} == {"Qwen/Qwen3-8B"}
    assert sum(float(each["output_tokens_total"] or 0) for each in hot) == sum(second % 11 for second in range(20, 18_001, 20))


def test_half_sealed_hours_have_every_row_of_a_server_once(writer: StoreWriter, path: Path) -> None:
    from gpuwatch.store.archive.seal import due

    end_ms = hours(writer, 3 * 3600)
    close(writer, end_ms)
    db, of = open_read(path), export.source("workload", "second")
    expected = list(export.rows(db, of, 0, end_ms // 1000))
    for job in due(writer.connection, end_ms):
        for _ in job.steps(writer.connection):
            pass
        assert list(export.rows(db, of, 0, end_ms // 1000)) == expected
    db.close()


def test_a_recorder_that_starts_again_finishes_what_is_open(writer: StoreWriter, path: Path) -> None:
    end_ms = hours(writer, 2 * 3600)
    writer.connection.close()
    again = StoreWriter.open(path, clock=FakeClock(end_ms / 1000 + 900))
    again.begin_session(end_ms + 900_000, 1000, "boot")
    keep_history(again, end_ms + 7_200_000)
    assert sums(again, "minute") == sums(again, "hour")
    assert sum(sums(again, "minute").values()) == sum(2 * (1 + second % 3 + second // 20 % 2) for second in range(20, 7201, 20))
    again.connection.close()
