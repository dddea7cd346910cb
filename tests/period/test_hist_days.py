"""Distributions of days are sums of those of their hours, and a report takes from both what is whole in its span."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gpuwatch.store.days import close_hist_days, reopen_hist
from gpuwatch.store.period import Piece, hist_pieces, period_hosts
from gpuwatch.store.period_sums import histogram
from gpuwatch.store.watermarks import HIST_DAY_TIER, watermark
from gpuwatch.store.window import Window
from gpuwatch.view.period.build import build_report
from gpuwatch.view.period.types import ReportRequest

HOUR_S, DAY_S = 3600, 86_400
Bins = Counter[tuple[int, ...]]


@pytest.fixture
def store(lab: tuple[Path, int], tmp_path: Path) -> tuple[Path, sqlite3.Connection, int]:
    """A copy of the store that may be changed."""
    path = Path(shutil.copy(lab[0], tmp_path / "lab.db"))
    return path, sqlite3.connect(path, isolation_level=None), lab[1]


def of_hours(db: sqlite3.Connection, start_s: int, end_s: int) -> Bins:
    sql = "SELECT entity, entity_id, metric, bin, sum(weight) FROM hist_hour WHERE t>=? AND t<? GROUP BY 1, 2, 3, 4"
    return Counter({tuple(key): weight for *key, weight in db.execute(sql, (start_s, end_s))})


def of_day(db: sqlite3.Connection, start_s: int) -> Bins:
    sql = "SELECT entity, entity_id, metric, bin, weight FROM hist_day WHERE t=?"
    return Counter({tuple(key): weight for *key, weight in db.execute(sql, (start_s,))})


def test_a_day_is_the_sum_of_its_hours(store: tuple[Path, sqlite3.Connection, int]) -> None:
    path, db, _ = store
    with Window(path) as window:
        host = period_hosts(window)[0]
        days = [row[0] for row in db.execute("SELECT DISTINCT t FROM hist_day ORDER BY t")]
        assert len(days) >= 2
        for start in days:
            [(begin, end)] = host.days(start, start + 1)
            assert of_day(db, start) == of_hours(db, begin, end) != Counter()
            assert end <= host.done_s("hist", "day") <= host.done_s("hist", "hour")
    assert close_hist_days(db, 2**50) == []
    db.close()


def test_a_day_waits_until_its_last_hour_is_sealed(store: tuple[Path, sqlite3.Connection, int]) -> None:
    _, db, _ = store
    db.execute("DELETE FROM hist_day")
    db.execute("DELETE FROM rollup_state WHERE tier='hist_day'")
    sealed = db.execute("SELECT done_s FROM rollup_state WHERE tier='seal'").fetchone()[0]
    midnight = sealed // DAY_S * DAY_S  # the lab keeps UTC
    db.execute("UPDATE rollup_state SET done_s=? WHERE tier='seal'", (midnight - HOUR_S,))
    before = close_hist_days(db, sealed * 1000)
    assert midnight - DAY_S not in before
    db.execute("UPDATE rollup_state SET done_s=? WHERE tier='seal'", (midnight,))
    assert close_hist_days(db, sealed * 1000) == [midnight - DAY_S]
    assert watermark(db, HIST_DAY_TIER) == midnight
    db.close()


def test_an_hour_that_is_sealed_anew_is_in_its_day(store: tuple[Path, sqlite3.Connection, int]) -> None:
    _, db, _ = store
    done = watermark(db, HIST_DAY_TIER)
    assert done is not None
    day = done - DAY_S
    gpu_id, host_id = db.execute("SELECT gpu_id, host_id FROM gpu LIMIT 1").fetchone()
    db.execute("DELETE FROM hist_hour WHERE t=? AND entity_id=? AND metric=1", (day + HOUR_S, gpu_id))
    db.execute("INSERT INTO hist_hour VALUES(?,0,?,1,77,5)", (day + HOUR_S, gpu_id))
    reopen_hist(db, day + HOUR_S, host_id)
    assert watermark(db, HIST_DAY_TIER) == day
    assert close_hist_days(db, done * 1000) == [day]
    assert of_day(db, day) == of_hours(db, day, day + DAY_S)
    reopen_hist(db, done + HOUR_S, host_id)  # is of no closed day
    assert watermark(db, HIST_DAY_TIER) == done
    db.close()


@pytest.mark.parametrize("cut", [0, 1, 60, 2 * HOUR_S, 2 * HOUR_S + 60])
def test_days_and_hours_say_what_hours_alone_say(store: tuple[Path, sqlite3.Connection, int], cut: int) -> None:
    path, db, now_s = store
    with Window(path) as window:
        host = period_hosts(window)[0]
        start, end = host.first_ms // 60_000 * 60 + cut, now_s
        pieces = hist_pieces(host, start, end)
        first, last = -(-start // HOUR_S) * HOUR_S, end // HOUR_S * HOUR_S
        hours = [Piece(0, "hour", t, t + HOUR_S) for t in range(first, last, HOUR_S)]
        assert sum(piece.end_s - piece.start_s for piece in pieces) == last - first
        assert histogram(host, pieces, (1, 6)) == histogram(host, hours, (1, 6)) != {}
        assert any(piece.tier == "day" for piece in pieces)
    db.close()


def test_a_report_says_the_same_without_days(store: tuple[Path, sqlite3.Connection, int]) -> None:
    path, db, now_s = store

    def made() -> list[object]:
        with Window(path) as window:
            report = build_report(window, ReportRequest(0), now_ms=now_s * 1000, tz=ZoneInfo("UTC"))
            return [row.quantiles for row in report.gpus]

    found = made()
    assert all(found)
    db.execute("UPDATE rollup_state SET done_s=0 WHERE tier='hist_day'")
    assert made() == found
    db.close()
